"""What clustering and zooming of jets cost: kt subjets against FastJet, and all of jet_zoom against clustering alone.

Run ``python benchmarks/jet_zoom.py [--json]``. FastJet is under the GPL and no part of this package; the first figure is
left out where it is not installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec

import awkward as ak
import numpy as np
import uproot
from _report import Figure, in_turns, show

import dask_augment as da
from dask_augment.events.columns import flat, only
from dask_augment.events.constituents import Constituents, Particles
from dask_augment.kernels.clustering import cluster

STEP = da.JetZoom(reference="jet")
KT = 1.0


def sample() -> ak.Array:
    """The events with large jets that are shipped with the package, as ``apply`` is given them."""
    parts = []
    for name in ("wz", "qcd"):
        with as_file(files("dask_augment") / "data" / f"{name}.root") as path, uproot.open(path) as file:
            parts.append(file["Events"].arrays([flat(column) for column in sorted(STEP.uses())]))
    return only(ak.concatenate(parts), STEP.uses())


def particles_of(events: ak.Array) -> Particles:
    """The particles of all jets."""
    return Constituents.of(STEP.constituents, STEP.jets).of_jets(events, f"{STEP.jets}.pt")


def kt_subjets(events: ak.Array) -> Figure:
    """Subjets of all jets from ready four-momenta, with the subjet of each particle."""
    import fastjet

    particles = particles_of(events)
    momenta = dict(zip(("px", "py", "pz", "E"), particles.p4.T.copy(), strict=True))
    jets = ak.unflatten(ak.zip(momenta, with_name="Momentum4D"), np.diff(particles.offsets))
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, STEP.r_sub)

    def ours() -> np.ndarray:
        return cluster(particles.p4, particles.offsets, radius=STEP.r_sub, power=KT)

    def peer() -> ak.Array:
        return fastjet.ClusterSequence(jets, definition).inclusive_jets()

    with _banner_on_stderr():
        found = peer()
    labels = ak.unflatten(ours(), np.diff(particles.offsets))
    assert ak.all(ak.fill_none(ak.max(labels, axis=1), -1) + 1 == ak.num(found))
    seconds, peer_seconds, ratio = in_turns(ours, peer, rounds=9)
    per_jet = 1e6 / (len(particles.offsets) - 1)
    limit = f"looking for the nearest of {len(particles.p4) * per_jet / 1e6:.0f} particles: N^2"
    name = "FastJet's inclusive_jets on awkward arrays, which does not say whose particles they are"
    return Figure("kt_subjets", seconds * per_jet, peer_seconds * per_jet, name, ratio, "CPU us / jet", 1 / 1.7, limit)


@contextmanager
def _banner_on_stderr() -> Iterator[None]:
    """FastJet writes a banner when it first clusters, to where the figures go."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def zoom_chain(events: ak.Array) -> Figure:
    """All that jet_zoom does with events, against taking the constituents and clustering them."""

    def ours() -> object:
        return STEP.apply(events, None)

    def peer() -> np.ndarray:
        particles = particles_of(events)
        return cluster(particles.p4, particles.offsets, radius=STEP.r_sub, power=KT)

    seconds, peer_seconds, ratio = in_turns(ours, peer, rounds=9)
    per_jet = 1e6 / len(ak.flatten(events.FatJet.pt))
    limit = "clustering; then rapidity and azimuth of each particle that is kept"
    name = "constituents gathered and clustered, the labels thrown away"
    return Figure("zoom_chain", seconds * per_jet, peer_seconds * per_jet, name, ratio, "CPU us / jet", 1.4, limit)


def figures() -> Iterator[Figure]:
    """All of them, in turn."""
    events = sample()
    if find_spec("fastjet"):
        yield kt_subjets(events)
    yield zoom_chain(events)


if __name__ == "__main__":
    show("Jet zooming", figures())
