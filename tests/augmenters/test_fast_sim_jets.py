"""The shipped model of jets against the shipped events, none of which it was trained on."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import dask_augment as da
from dask_augment.columns import flatten
from dask_augment.models import bundle
from dask_augment.models.files import located

pytest.importorskip("torch")

MODEL = "shipped:bundles/jets"
BINS = (20.0, 60.0, 200.0, 600.0)
"""Of generated pT [GeV]."""
REPEATS = 8
"""Simulations of each event, so that the errors are those of the detector's sample."""
FIELDS = ("pt", "eta", "phi", "mass")


@cache
def events() -> ak.Array:
    branches = ["run", "luminosityBlock", "event", "Jet_pt", "Jet_genJetIdx", *(f"GenJet_{name}" for name in FIELDS)]
    parts = []
    for number, name in enumerate(("wz", "qcd")):
        part = uproot.open(located(f"shipped:{name}.root"))["Events"].arrays(branches)
        parts.append(ak.with_field(part, np.full(len(part), number + 1, np.uint32), "run"))
    return ak.concatenate(parts)


def of_generated(index: ak.Array, pt: ak.Array) -> np.ndarray[Any, Any]:
    """pT of the jet of each generated one, flat; NaN where there is none."""
    counts = ak.num(events().GenJet_pt)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    out = np.full(int(ak.sum(counts)), np.nan)
    matched = index >= 0
    out[flatten((index + first)[matched])] = flatten(pt[matched])
    return out


@cache
def detector() -> np.ndarray[Any, Any]:
    return of_generated(events().Jet_genJetIdx, events().Jet_pt)


@cache
def simulated() -> np.ndarray[Any, Any]:
    """(REPEATS, generated jets)."""
    found = []
    for seed in range(REPEATS):
        out = da.augment(events(), da.FastSim(model=MODEL), seed=seed, dataset="shipped")
        found.append(of_generated(out.FastJet_genJetIdx, out.FastJet_pt))
    return np.stack(found)


def median_and_width(response: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    low, middle, high = np.quantile(response, [0.16, 0.5, 0.84])
    return np.array([middle, (high - low) / 2])


def bootstrap(response: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Standard errors of median and width."""
    rng = np.random.default_rng(1)
    return np.std([median_and_width(rng.choice(response, len(response))) for _ in range(200)], axis=0)


def pulls(fast: np.ndarray[Any, Any], low: float, high: float) -> dict[str, float]:
    """Fast less full simulation in a bin of generated pT, in standard errors."""
    pt = flatten(events().GenJet_pt).astype(float)
    chosen = (pt >= low) & (pt < high)
    full, many = (detector() / pt)[chosen], (fast / pt)[:, chosen]
    seen, all_seen = full[~np.isnan(full)], many[~np.isnan(many)]
    error = bootstrap(seen) * np.sqrt(1 + 1 / REPEATS)
    median, width = (median_and_width(all_seen) - median_and_width(seen)) / error
    efficiency = len(all_seen) / many.size
    expected = np.sqrt(efficiency * (1 - efficiency) / len(full) * (1 + 1 / REPEATS))
    return {"median": median, "width": width, "efficiency": (efficiency - len(seen) / len(full)) / expected}


@pytest.mark.parametrize(("low", "high"), list(pairwise(BINS)))
def test_response_is_that_of_the_detector(low: float, high: float) -> None:
    found = pulls(simulated(), low, high)
    assert {name: pull for name, pull in found.items() if abs(pull) > 2} == {}


def test_another_response_is_seen() -> None:
    pt = flatten(events().GenJet_pt).astype(float)
    assert abs(pulls(simulated() * 1.005, 60, 200)["median"]) > 3
    wider = pt * ((simulated() / pt - 1) * 1.1 + 1)
    assert abs(pulls(wider, 60, 200)["width"]) > 3
    lost = np.where(np.random.default_rng(2).random(simulated().shape) < 0.01, np.nan, simulated())
    assert abs(pulls(lost, 20, 60)["efficiency"]) > 3


def test_nearly_all_are_in_range() -> None:
    out = da.augment(events(), da.FastSim(model=MODEL), seed=1, dataset="shipped")
    assert 0.99 < np.mean(flatten(out.FastJet_in_range)) < 1
    far = ak.with_field(events(), events().GenJet_pt * 100, "GenJet_pt")
    assert not flatten(da.augment(far, da.FastSim(model=MODEL), seed=1, dataset="shipped").FastJet_in_range).any()


def test_bundle() -> None:
    about = bundle.manifest(MODEL, bundle.sha256_of(MODEL))
    files = list(Path(located(MODEL)).iterdir())
    assert sorted(file.name for file in files) == ["manifest.json", "weights.safetensors"]
    assert sum(file.stat().st_size for file in files) < 200_000
    assert [entry.column for entry in about.outputs] == list(FIELDS)
    assert about.trained_on["objects"] > 100_000
    assert bundle.weights(MODEL, bundle.sha256_of(MODEL))
    with pytest.raises(FileExistsError):
        bundle.write(located(MODEL), about, {})
