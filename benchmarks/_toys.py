"""NanoAOD-like files of random events, as many as are wanted in little time, and a plan for them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from dask_augment.plans.plan import Plan

_FILES = 4
_CLUSTER = 10_000


def toy_plan(fileset: dict[str, Any]) -> Plan:
    """Select, define, split, copy and rotate, then balance the two data sets in bins of HT."""
    return Plan.from_dict(
        {
            "inputs": {"fileset": fileset, "lumi": 1000.0},
            "seed": 7,
            "steps": [
                {"select": "nJet >= 2"},
                {"define": {"HT": "sum(Jet.pt)"}},
                {"split": {"train": 0.8}},
                {
                    "oversample": {
                        "strata": ["dataset", {"column": "HT", "edges": [0, 150, 300]}],
                        "sampling_strategy": "not majority",
                    }
                },
                {"phi_rotate": {"columns": ["Jet.phi", "Muon.phi", "MET.phi"]}},
            ],
            "output": {"keep": ["Jet.*", "Muon.*", "MET.*"]},
        }
    )


def write_sample(folder: Path, events: int) -> dict[str, Any]:
    """Write NanoAOD-like ROOT files of a rare signal and its background; returns their fileset."""
    fileset = {}
    for name, share, xsec, scale in (("signal", 0.2, 1.0, 90.0), ("background", 0.8, 200.0, 45.0)):
        count = max(int(events * share), _FILES)
        borders = [count * i // _FILES for i in range(_FILES + 1)]
        files = {}
        for number, (start, stop) in enumerate(pairwise(borders)):
            path = folder / f"{name}_{number}.root"
            _write_file(path, start, stop, scale, np.random.default_rng([7, len(name), number]))
            files[str(path)] = "Events"
        fileset[name] = {"files": files, "metadata": {"xsec": xsec}}
    return fileset


def _write_file(path: Path, start: int, stop: int, scale: float, rng: np.random.Generator) -> None:
    """One file of events: jets with an exponential pT spectrum [GeV], some muons, MET, signed generator weights."""
    count = stop - start
    weight = np.where(rng.random(count) < 0.1, -1.0, 1.0).astype(np.float32)
    columns: dict[str, Any] = {
        "run": np.ones(count, np.uint32),
        "luminosityBlock": (np.arange(start, stop) // 1000 + 1).astype(np.uint32),
        "event": np.arange(start, stop).astype(np.uint64),
        "genWeight": weight,
        "MET_pt": rng.exponential(scale / 2, count).astype(np.float32),
        "MET_phi": rng.uniform(-np.pi, np.pi, count).astype(np.float32),
        "Jet": _objects(rng, rng.poisson(3.5, count), scale, 25.0, 6.0),
        "Muon": _objects(rng, rng.binomial(2, 0.3, count), scale / 2, 10.0, 0.1057),
    }
    with uproot.recreate(path) as file:
        file.mktree(
            "Events",
            {name: values.dtype if isinstance(values, np.ndarray) else values.type for name, values in columns.items()},
        )
        # Clusters as real files have them: a reader of a few events must not have to unpack all of them.
        for first in range(0, count, _CLUSTER):
            file["Events"].extend({name: values[first : first + _CLUSTER] for name, values in columns.items()})
        file.mktree("Runs", {"run": np.uint32, "genEventSumw": np.float64, "genEventCount": np.int64})
        file["Runs"].extend(
            {"run": [1], "genEventSumw": [float(weight.sum(dtype=np.float64))], "genEventCount": [count]}
        )


def _objects(rng: np.random.Generator, counts: Any, scale: float, threshold: float, mass: float) -> ak.Array:
    total = int(counts.sum())
    flat = {
        "pt": threshold + rng.exponential(scale, total),
        "eta": np.clip(rng.normal(0.0, 1.3, total), -2.4, 2.4),
        "phi": rng.uniform(-np.pi, np.pi, total),
        "mass": np.full(total, mass),
    }
    return ak.zip({name: ak.unflatten(values.astype(np.float32), counts) for name, values in flat.items()})
