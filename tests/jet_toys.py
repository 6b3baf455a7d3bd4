"""Sets of particles that look like jets, and the jets that others find in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
import pytest
from numpy.typing import NDArray


def four_momenta(pt: Any, y: Any, phi: Any, mass: Any = 0.0) -> NDArray[np.float64]:
    """[px, py, pz, E] from transverse momentum, rapidity, azimuth and mass."""
    pt, y, phi, mass = np.broadcast_arrays(pt, y, phi, mass)
    mt = np.hypot(pt, mass)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=-1)


def toy_jets(sets: int, seed: int = 1, mean: float = 40.0, width: float = 0.4) -> tuple[Any, NDArray[np.int64]]:
    """Four-momenta of pions and photons about three axes each, and the offsets of the sets; some sets are empty."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(mean * rng.random(sets))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    n, which = offsets[-1], np.repeat(np.arange(sets), counts)
    prong = rng.integers(0, 3, n)
    axes = rng.normal(0, [1.0, 0.0], (sets, 2))[:, None, :] + rng.normal(0, width, (sets, 3, 2))
    axes[..., 1] += rng.uniform(-np.pi, np.pi, (sets, 1))
    spread = rng.normal(0, width / 3, (n, 2)) * rng.random((n, 1))
    y, phi = (axes[which, prong] + spread).T
    mass = np.where(rng.random(n) < 0.7, 0.13957, 0.0)
    return four_momenta(np.exp(rng.normal(1.0, 1.2, n)), y, phi, mass), offsets


def counted_jets() -> tuple[Any, NDArray[np.int64]]:
    """As :func:`toy_jets`, but from multiples of irrational numbers, so that they never change.

    Multiples by squares: by whole numbers they would lie on a lattice, with many distances the same.
    """
    k = np.arange(1, 601) ** 2
    pt = np.exp(4 * ((k * 0.6180339887498949) % 1))
    y = 1.6 * ((k * 0.4142135623730951) % 1) - 0.8
    phi = 3.0 + 1.6 * ((k * 0.7320508075688772) % 1)
    return four_momenta(pt, y, phi, 0.13957 * (k % 5 > 0)), np.array([0, 20, 60, 60, 61, 180, 400, 600])


def fastjet_momenta(p4: Any, offsets: NDArray[np.int64]) -> ak.Array:
    """The particles as fastjet's awkward interface takes them."""
    particles = ak.zip(dict(zip(("px", "py", "pz", "E"), p4.T, strict=True)), with_name="Momentum4D")
    return ak.unflatten(particles, np.diff(offsets))


def fastjet_pts(p4: Any, offsets: NDArray[np.int64], radius: float, power: int) -> list[NDArray[np.float64]]:
    """pT of the inclusive jets of each set by fastjet, descending; skips the test where it is not installed."""
    fastjet = pytest.importorskip("fastjet")
    kinds = {1: fastjet.kt_algorithm, 0: fastjet.cambridge_algorithm, -1: fastjet.antikt_algorithm}
    found = fastjet.ClusterSequence(fastjet_momenta(p4, offsets), fastjet.JetDefinition(kinds[power], radius))
    jets = found.inclusive_jets()
    pts = ak.sort(np.hypot(jets.px, jets.py), axis=1, ascending=False)
    return [np.asarray(each) for each in pts]


def jet_pts(p4: Any, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """pT of the jets of one set, from the labels of its particles."""
    count = int(labels.max(initial=-1)) + 1
    px, py = (np.bincount(labels, p4[:, axis], count) for axis in (0, 1))
    return np.hypot(px, py)


Prong = tuple[float, float, float]


def jets_of(*jets: Sequence[Prong]) -> ak.Array:
    """Events of one jet each, of massless particles (pt, y, phi), in the layout of NanoAOD v15."""
    flat = np.array([prong for jet in jets for prong in jet], float).reshape(-1, 3)
    return in_nano(four_momenta(*flat.T), np.concatenate([[0], np.cumsum([len(jet) for jet in jets])]))


def in_nano(p4: Any, offsets: NDArray[np.int64]) -> ak.Array:
    """Events of one jet each, of these particles, in the layout of NanoAOD v15 but for its precision: float64."""
    counts = np.diff(offsets)
    pt = np.hypot(p4[:, 0], p4[:, 1])
    m2 = (p4[:, 3] + p4[:, 2]) * (p4[:, 3] - p4[:, 2]) - pt**2
    particles = {
        "pt": pt,
        "eta": np.arcsinh(p4[:, 2] / pt),
        "phi": np.arctan2(p4[:, 1], p4[:, 0]),
        "mass": np.sqrt(np.where(m2 > 1e-9 * p4[:, 3] ** 2, m2, 0.0)),
    }
    place = np.arange(len(p4)) - np.repeat(offsets[:-1], counts)
    links = {"jetIdx": np.zeros(len(p4), np.int32), "pfCandIdx": place.astype(np.int32)}
    one = np.ones(len(counts), np.int64)
    jets = {name: np.full(len(counts), 100.0) for name in ("pt", "mass")}
    return ak.Array({"FatJet": _zip(jets, one), "FatJetPFCand": _zip(links, counts), "PFCand": _zip(particles, counts)})


def _zip(fields: dict[str, Any], counts: Any) -> ak.Array:
    return ak.zip({name: ak.unflatten(values, counts) for name, values in fields.items()})
