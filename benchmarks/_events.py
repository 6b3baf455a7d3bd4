"""NanoAOD-like events with 40 columns, and the pair mass that the benchmarks compute of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from awkward.contents import ListOffsetArray, NumpyArray, RecordArray
from numba import njit
from numpy.typing import NDArray

import dask_augment as da

ANGLES = ("Jet.phi", "Electron.phi", "Muon.phi", "MET.phi")
_FIELDS = {
    "Jet": (
        "pt eta phi mass btagDeepFlavB area rawFactor qgl",
        {"jetId": np.int32, "nConstituents": np.uint8, "hadronFlavour": np.int32},
    ),
    "Electron": ("pt eta phi mass pfRelIso03_all dxy", {"charge": np.int32, "cutBased": np.int32}),
    "Muon": ("pt eta phi mass pfRelIso04_all dxy", {"charge": np.int32, "nStations": np.uint8}),
}
_MEAN = {"Jet": 5.0, "Electron": 0.6, "Muon": 0.6}
_MOST_IN_TREE = 20_000


def collections(start: int, stop: int) -> dict[str, Any]:
    """Columns of the events of these numbers: flat ones, and one array of records for each collection."""
    rng = np.random.default_rng([11, start])
    count = stop - start
    columns: dict[str, Any] = {
        "run": np.ones(count, np.uint32),
        "luminosityBlock": (np.arange(start, stop) // 1000 + 1).astype(np.uint32),
        "event": np.arange(start, stop, dtype=np.uint64),
        "genWeight": np.where(rng.random(count) < 0.1, -1.0, 1.0).astype(np.float32),
        "MET_pt": _rounded(rng.exponential(35.0, count)),
        "MET_phi": _rounded(rng.uniform(-np.pi, np.pi, count)),
        "MET_sumEt": _rounded(rng.exponential(900.0, count)),
        "Pileup_nPU": rng.poisson(30, count).astype(np.int32),
        "Rho_fixedGridRhoAll": _rounded(rng.normal(20.0, 5.0, count)),
        "Pileup_nTrueInt": _rounded(rng.normal(32.0, 6.0, count)),
        "LHE_HT": _rounded(rng.exponential(200.0, count)),
        "HLT_IsoMu24": rng.random(count) < 0.2,
        "HLT_Ele32": rng.random(count) < 0.1,
    }
    for name, (floats, integers) in _FIELDS.items():
        columns[name] = _objects(rng, rng.poisson(_MEAN[name], count), floats.split(), integers)
    return columns


def _objects(rng: np.random.Generator, counts: NDArray[Any], floats: list[str], integers: dict[str, type]) -> ak.Array:
    total = int(counts.sum())
    flat: dict[str, NDArray[Any]] = {name: _rounded(rng.exponential(0.2, total)) for name in floats}
    flat["pt"] = _rounded(20.0 + rng.exponential(40.0, total))
    flat["eta"] = _rounded(np.clip(rng.normal(0.0, 1.5, total), -2.5, 2.5))
    flat["phi"] = _rounded(rng.uniform(-np.pi, np.pi, total))
    flat |= {name: rng.integers(0, 6, total).astype(kind) for name, kind in integers.items()}
    return ak.zip({name: ak.unflatten(values, counts) for name, values in flat.items()})


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """As NanoAOD stores them: float32 with 12 of the 23 bits of the mantissa."""
    bits = values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFF800)
    return bits.view(np.float32)


def events(start: int, stop: int) -> ak.Array:
    """The events in memory, in flat columns as a file's reader gives them."""
    columns: dict[str, Any] = {}
    for name, values in collections(start, stop).items():
        if isinstance(values, np.ndarray):
            columns[name] = NumpyArray(values)
        else:
            offsets, objects = values.layout.offsets, values.layout.content
            columns |= {f"{name}_{field}": ListOffsetArray(offsets, objects[field]) for field in objects.fields}
    return ak.Array(RecordArray(list(columns.values()), list(columns)))


def write_root(path: Path, start: int, stop: int) -> None:
    """The events as a ROOT file with a tree ``Events``, in clusters of 20,000."""
    with uproot.recreate(path) as file:
        for first in range(start, stop, _MOST_IN_TREE):
            columns = collections(first, min(first + _MOST_IN_TREE, stop))
            if first == start:
                file.mktree(
                    "Events", {name: getattr(values, "dtype", None) or values.type for name, values in columns.items()}
                )
            file["Events"].extend(columns)


@njit(nogil=True, cache=True)
def leading_pair_mass(
    offsets: NDArray[np.int64], pt: NDArray[Any], eta: NDArray[Any], phi: NDArray[Any], mass: NDArray[Any]
) -> NDArray[np.float32]:
    """Invariant mass of the first two objects of each event [GeV]; 0 where there are fewer."""
    out = np.zeros(len(offsets) - 1, np.float32)
    for i in range(len(out)):
        if offsets[i + 1] - offsets[i] < 2:
            continue
        e = px = py = pz = 0.0
        for j in range(offsets[i], offsets[i] + 2):
            p, m = np.float64(pt[j]), np.float64(mass[j])
            x, y, z = p * np.cos(phi[j]), p * np.sin(phi[j]), p * np.sinh(np.float64(eta[j]))
            px, py, pz = px + x, py + y, pz + z
            e += np.sqrt(x * x + y * y + z * z + m * m)
        out[i] = np.sqrt(max(e * e - px * px - py * py - pz * pz, 0.0))
    return out


@da.augmenter(uses=["Jet.pt", "Jet.eta", "Jet.phi", "Jet.mass"], produces={"mjj": "float32"})
def pair_mass(events: ak.Array) -> NDArray[np.float32]:
    """The mass of the two leading jets, as a user writes it over a kernel of their own."""
    jets = events.Jet.layout
    return leading_pair_mass(jets.offsets.data, *(jets.content[name].data for name in ("pt", "eta", "phi", "mass")))
