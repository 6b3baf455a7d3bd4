"""Random events in the shape of NanoAOD, with rare cases that break augmenters."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray, RecordArray
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.events.columns import flat as flat_name

RARE = 0.02
"""Fraction of NaN in the columns that have any."""


def sample_events(n: int = 400, seed: int = 1, *, flat: bool = False) -> ak.Array:
    """``n`` random events, nested as ``events.Jet.pt`` or flat as ``events.Jet_pt``.

    Ids over two runs of several luminosity blocks, some beyond 2**53; ``Jet``, ``Electron``, ``Muon`` (pt, eta, phi,
    mass; GeV, float32) with many empty lists, ``Jet.btag`` with NaN, ``GenJet`` like these, ``MET``; ``HT`` [GeV,
    float32]; ``label`` (int8, 0 and 1, 1 in one event of six, with higher jets); ``weight`` (float64, multiples of
    2**-10, one in five negative); ``split`` (int8: 60 % training, the rest validation and test); ``FatJet`` (pt, eta,
    phi, mass) with links ``FatJetPFCand`` (jetIdx, pfCandIdx) to ``PFCand`` (pt, eta, phi, mass), as NanoAOD v15 has
    them, some without any.
    """
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 1 / 6).astype(np.int8)
    jets = rng.poisson(2.0, n)
    pt = (20 + rng.exponential(40, jets.sum()) * (1 + np.repeat(label, jets))).astype(np.float32)
    jet = _particles(rng, pt, 12.0) | {"btag": _with_nan(rng, rng.random(len(pt))).astype(np.float32)}
    starts = np.concatenate([[0], np.cumsum(jets)])
    contents: dict[str, Any] = _ids(rng, n) | {
        "Jet": _collection(jets, jet),
        "HT": NumpyArray(np.diff(np.concatenate([[0.0], np.cumsum(pt, dtype=np.float64)])[starts]).astype(np.float32)),
        "label": NumpyArray(label),
        "weight": NumpyArray(
            np.round(rng.exponential(1.0, n) * 2**10 + 1) / 2**10 * np.where(rng.random(n) < 0.2, -1, 1)
        ),
        "split": NumpyArray(rng.choice(np.array([0, 1, 2], np.int8), n, p=[0.6, 0.2, 0.2])),
    }
    met = {"pt": rng.exponential(30, n).astype(np.float32), "phi": _angles(rng, n)}
    contents["MET"] = RecordArray([NumpyArray(values) for values in met.values()], list(met))
    for name, mean, mass in (("Electron", 0.6, 0.000511), ("Muon", 0.5, 0.10566)):
        counts = rng.poisson(mean, n)
        lepton = _particles(rng, (5 + rng.exponential(25, counts.sum())).astype(np.float32), mass)
        charge = rng.choice(np.array([-1, 1], np.int32), counts.sum())
        contents[name] = _collection(counts, lepton | {"charge": charge})
    contents |= _fat_jets(np.random.default_rng([seed, 1]), n)
    counts = rng.poisson(2.5, n)
    contents["GenJet"] = _collection(
        counts, _particles(rng, (8 + rng.exponential(60, counts.sum())).astype(np.float32), 6.0)
    )
    events = ak.Array(RecordArray(list(contents.values()), list(contents)))
    return flattened(events) if flat else events


def flattened(events: ak.Array) -> ak.Array:
    """Nested events as flat branches: ``Jet_pt`` for ``Jet.pt``, with the counters ``nJet`` (int32) of collections."""
    contents: dict[str, Any] = {}
    for name in events.fields:
        for field in events[name].fields:
            contents[flat_name(f"{name}.{field}")] = events[name][field].layout
        if not events[name].fields:
            contents[name] = events[name].layout
        elif events[name].ndim > 1:
            contents[f"n{name}"] = NumpyArray(np.asarray(ak.num(events[name], axis=1)).astype(np.int32))
    return ak.Array(RecordArray(list(contents.values()), list(contents), length=len(events)))


def _ids(rng: np.random.Generator, n: int) -> dict[str, NumpyArray]:
    number = rng.permutation(n).astype(np.uint64) + np.uint64(1000)
    number[:: max(n // 5, 1)] += np.uint64(2**60)
    run = np.where(np.arange(n) < n // 2, 1, 2).astype(np.uint32)
    lumi = (np.arange(n) // 37 % 5 + 1).astype(np.uint32)
    return {"run": NumpyArray(run), "luminosityBlock": NumpyArray(lumi), "event": NumpyArray(number)}


def _particles(rng: np.random.Generator, pt: NDArray[np.float32], mass: float) -> dict[str, NDArray[Any]]:
    eta = rng.normal(0, 1.5, len(pt)).astype(np.float32)
    return {"pt": pt, "eta": eta, "phi": _angles(rng, len(pt)), "mass": np.full(len(pt), mass, np.float32)}


def _fat_jets(rng: np.random.Generator, n: int) -> dict[str, ListOffsetArray]:
    """Large jets of two prongs, the links to their particles, and the particles."""
    jets = rng.poisson(0.8, n)
    many = jets.sum()
    jet = _particles(rng, (200 + rng.exponential(100, many)).astype(np.float32), 60.0)
    links = rng.poisson(6.0, many) * (rng.random(many) > 0.1)
    which = np.repeat(np.arange(many), links)
    candidate = {name: values[which] for name, values in jet.items()}
    for name in ("eta", "phi"):
        prong = rng.choice([-0.25, 0.25], len(which)) + rng.normal(0, 0.05, len(which))
        candidate[name] = (candidate[name] + prong).astype(np.float32)
    candidate["phi"] = (np.remainder(candidate["phi"] + np.pi, 2 * np.pi) - np.pi).astype(np.float32)
    candidate["pt"] = _with_nan(rng, rng.exponential(30, len(which)) + 1, RARE / 4).astype(np.float32)
    candidate["mass"] = rng.choice(np.array([0, 0.13957], np.float32), len(which))
    event = np.repeat(np.arange(n), jets)
    per_event = np.bincount(event[which], minlength=n)
    number = np.arange(many) - np.repeat(np.cumsum(jets) - jets, jets)
    place = np.arange(len(which)) - np.repeat(np.cumsum(per_event) - per_event, per_event)
    link = {"jetIdx": number[which].astype(np.int32), "pfCandIdx": place.astype(np.int32)}
    return {
        "FatJet": _collection(jets, jet),
        "FatJetPFCand": _collection(per_event, link),
        "PFCand": _collection(per_event, candidate),
    }


def _angles(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    return rng.uniform(-3.1415, 3.1415, n).astype(np.float32)


def _with_nan(rng: np.random.Generator, values: NDArray[np.float64], share: float = RARE) -> NDArray[np.float64]:
    return np.where(rng.random(len(values)) < share, np.nan, values)


def _collection(counts: NDArray[np.int64], fields: dict[str, NDArray[Any]]) -> ListOffsetArray:
    offsets = Index64(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))
    return ListOffsetArray(offsets, RecordArray([NumpyArray(values) for values in fields.values()], list(fields)))
