"""Cluster particles to anti-kt jets, match measured to generated jets, and assign flavours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_augment.generator.particles import Floats, Integers, Particles, distance2, kept, pt_eta_phi_mass
from dask_augment.kernels.clustering import cluster


@dataclass(frozen=True)
class Jets:
    """Jets of many events in flat arrays, by descending pT in each event."""

    offsets: Integers
    """int64 (events + 1,): jets offsets[i]:offsets[i + 1] are those of event i."""
    p4: Floats
    """float64 (n, 4): px, py, pz, E [GeV]."""
    jet_of: Integers
    """For each particle that was clustered, its jet's number in its event; -1 for none of these jets."""

    @property
    def events(self) -> int:
        """Number of events."""
        return len(self.offsets) - 1


def anti_kt(particles: Particles, radius: float, pt_min: float) -> Jets:
    """Anti-kt jets above a transverse momentum [GeV], E-scheme (0802.1189)."""
    labels = cluster(particles.p4, particles.offsets, radius=radius, power=-1.0)
    event = particles.event
    counts = np.zeros(particles.events, np.int64)
    np.maximum.at(counts, event, labels + 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    jet = offsets[event] + labels
    p4: Floats = np.stack([np.bincount(jet, component, offsets[-1]) for component in particles.p4.T], axis=1)
    hard = np.hypot(p4[:, 0], p4[:, 1]) > pt_min
    # Labels fall with pT, so that what is kept has the first numbers of its event.
    return Jets(kept(offsets, hard), p4[hard], np.where(hard[jet], labels, -1))


def matched(jets: Jets, generated: Jets, radius: float) -> Integers:
    """For each jet, the number in its event of the nearest generated jet within the radius; -1 for none.

    A generated jet has one jet at most: the jets choose in the order of their pT.
    """
    _, eta, phi, _ = pt_eta_phi_mass(jets.p4)
    _, gen_eta, gen_phi, _ = pt_eta_phi_mass(generated.p4)
    found = np.full(len(eta), -1, np.int64)
    for i in range(jets.events):
        theirs = slice(*generated.offsets[i : i + 2])
        free = np.ones(theirs.stop - theirs.start, np.bool_)
        for j in range(*jets.offsets[i : i + 2]):
            gaps = np.where(free, distance2(gen_eta[theirs], gen_phi[theirs], eta[j], phi[j]), np.inf)
            if len(gaps) and gaps.min() < radius**2:
                found[j] = gaps.argmin()
                free[found[j]] = False
    return found


def flavour(jets: Jets, partons: Particles, radius: float) -> Integers:
    """For each jet, the PDG number of the hardest parton of the hard process within the radius; 0 for none."""
    _, eta, phi, _ = pt_eta_phi_mass(jets.p4)
    pt, parton_eta, parton_phi, _ = pt_eta_phi_mass(partons.p4)
    found = np.zeros(len(eta), np.int64)
    event = np.repeat(np.arange(jets.events), np.diff(jets.offsets))
    for j in range(len(eta)):
        mine = slice(*partons.offsets[event[j] : event[j] + 2])
        near = distance2(parton_eta[mine], parton_phi[mine], eta[j], phi[j]) < radius**2
        if near.any():
            found[j] = partons.pdg[mine][np.where(near, pt[mine], -1.0).argmax()]
    return found
