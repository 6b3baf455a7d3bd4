"""The shipped model of jets against the shipped events, none of which it was trained on."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import dask_augment as da
from dask_augment.events.columns import flatten
from dask_augment.kernels.mantissa import stored_bits
from dask_augment.models import bundle
from dask_augment.models.files import located
from dask_augment.models.transforms import wrapped

pytest.importorskip("torch")

MODEL = "shipped:bundles/jets"
BINS = (20.0, 60.0, 200.0, 600.0)
"""Of generated pT [GeV]."""
REPEATS = 8
"""Simulations of each event, so that the errors are those of the detector's sample."""
FIELDS = ("pt", "eta", "phi", "mass")


@cache
def events() -> ak.Array:
    branches = ["run", "luminosityBlock", "event", "Jet_genJetIdx"]
    branches += [f"{collection}_{name}" for collection in ("GenJet", "Jet") for name in FIELDS]
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


def pairs(out: ak.Array, collection: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of each jet that has a generated one: pT, |eta| and mass of that, what the model gives for it, and its event."""
    index = out[f"{collection}_genJetIdx"]
    event = flatten(ak.broadcast_arrays(np.arange(len(out)), index)[0][index >= 0])
    g = {name: flatten(out[f"GenJet_{name}"][index[index >= 0]]).astype(float) for name in FIELDS}
    v = {name: flatten(out[f"{collection}_{name}"][index >= 0]).astype(float) for name in FIELDS}
    ratios = [v["pt"] / g["pt"], (v["mass"] + 1) / (g["mass"] + 1)]
    shifts = [v["eta"] - g["eta"], wrapped(v["phi"] - g["phi"])]
    return np.stack([g["pt"], np.abs(g["eta"]), g["mass"], *ratios, *shifts], 1), event


def told_apart(one: tuple[Any, Any], other: tuple[Any, Any]) -> float:
    """Area under the curve of a classifier of the two, trained on even and tested on odd events."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([one[0], other[0]])
    y = np.repeat([0, 1], [len(one[0]), len(other[0])])
    test = np.concatenate([one[1], other[1]]) % 2 == 1
    classifier = HistGradientBoostingClassifier(random_state=1).fit(x[~test], y[~test])
    return float(roc_auc_score(y[test], classifier.predict_proba(x[test])[:, 1]))


@pytest.mark.slow
@pytest.mark.parametrize("run", [1, 2])
def test_a_classifier_cannot_tell(run: int, tmp_path: Path) -> None:
    """wz and qcd: pairs of generated and reconstructed jets; with all bits of float32 it can."""
    pytest.importorskip("sklearn")
    mine = events()[events().run == run]
    about = bundle.manifest(MODEL, bundle.sha256_of(MODEL))
    whole = tuple(replace(entry, bits=None) for entry in about.outputs)
    bundle.write(tmp_path / "whole", replace(about, outputs=whole), bundle.weights(MODEL, bundle.sha256_of(MODEL)))
    found = {}
    for model in (MODEL, str(tmp_path / "whole")):
        out = da.augment(mine, da.FastSim(model=model), seed=1, dataset="shipped")
        found[model] = told_apart(pairs(out, "Jet"), pairs(out, "FastJet"))
    assert found[MODEL] <= 0.53
    assert found[str(tmp_path / "whole")] > 0.7


def test_stored_as_the_sample_is() -> None:
    """The same bits of the mantissa, the same lowest pT."""
    out = da.augment(events(), da.FastSim(model=MODEL), seed=1, dataset="shipped")
    for name in FIELDS:
        bits = {collection: stored_bits(flatten(out[f"{collection}_{name}"])) for collection in ("Jet", "FastJet")}
        assert bits == dict.fromkeys(bits, {"pt": 10, "mass": 10}.get(name, 12)), name
    assert ak.min(out.FastJet_pt) == ak.min(out.Jet_pt) == 15.0
    phi = flatten(out.FastJet_phi)
    assert (np.abs(phi) < np.pi).all()


@pytest.mark.slow
def test_manifest_is_what_the_tool_measures() -> None:
    path = Path(__file__).parents[2] / "tools" / "train_jets_bundle.py"
    spec = importlib.util.spec_from_file_location("train_jets_bundle", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    about = bundle.manifest(MODEL, bundle.sha256_of(MODEL))
    assert tool.stored(about) == about
    assert (
        tool.stored(replace(about, outputs=tuple(replace(o, bits=None, threshold=None) for o in about.outputs)))
        == about
    )
    found = tool.sample_of(MODEL)
    assert about.sample is not None
    assert replace(found, effects={}) == replace(about.sample, effects={})
    for process, numbers in about.sample.effects.items():
        assert found.effects[process] == pytest.approx(numbers, abs=2e-3)
