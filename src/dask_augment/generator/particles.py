"""Particles of many events in flat arrays, and quantities computed from their momenta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NEUTRINOS = (12, 14, 16)


@dataclass(frozen=True)
class Particles:
    """Particles offsets[i]:offsets[i + 1] are those of event i."""

    offsets: Integers
    """int64 (events + 1,), from 0."""
    p4: Floats
    """float64 (n, 4): px, py, pz, E [GeV]."""
    pdg: Integers
    """int64 (n,): PDG numbers."""
    charge: Floats
    """float64 (n,): electric charge, in units of the proton's."""

    @property
    def events(self) -> int:
        """Number of events."""
        return len(self.offsets) - 1

    @property
    def event(self) -> Integers:
        """int64 (n,): the event of each particle."""
        return np.repeat(np.arange(self.events), np.diff(self.offsets))

    def where(self, mask: NDArray[np.bool_]) -> Particles:
        """Only some of the particles, of the same events."""
        return Particles(kept(self.offsets, mask), self.p4[mask], self.pdg[mask], self.charge[mask])


def kept(offsets: Integers, mask: NDArray[np.bool_]) -> Integers:
    """The offsets after only the entries of the mask were kept."""
    return np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])[offsets]


def pt_eta_phi_mass(p4: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Transverse momentum [GeV], pseudorapidity, azimuth, mass [GeV]; a mass squared below 0 by rounding is 0."""
    px, py, pz, energy = p4.T
    pt = np.hypot(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.arcsinh(pz / pt)
    mass2 = energy**2 - px**2 - py**2 - pz**2
    return pt, np.nan_to_num(eta), np.arctan2(py, px), np.sqrt(np.maximum(mass2, 0.0))


def momenta(pt: Floats, eta: Floats, phi: Floats, mass: Floats) -> Floats:
    """float64 (n, 4): px, py, pz, E of a transverse momentum, pseudorapidity, azimuth and mass."""
    pz = pt * np.sinh(eta)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pz, np.sqrt(pt**2 + pz**2 + mass**2)], axis=1)


def distance2(eta: Floats, phi: Floats, eta0: float, phi0: float) -> Floats:
    """Squared distance in pseudorapidity and azimuth."""
    dphi = np.abs(phi - phi0)
    return np.asarray((eta - eta0) ** 2 + np.minimum(dphi, 2.0 * np.pi - dphi) ** 2)
