"""Sums of weights of data sets: when a run says that they are not kept, and what cuts took of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dask_augment as da
from dask_augment import run
from dask_augment.contract.account import Account
from dask_augment.contract.setting import Setting
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.runs.run import dry_run
from run_toys import columns, plan, write
from sampling_toys import toy

BINS = {"column": "MET.pt", "edges": [0, 2]}
WARNED = r"strata do not contain dataset: sums of each data set are kept on average only"


def result_of(tmp_path: Path, step: Any, names: tuple[str, ...] = ("one", "two")) -> Any:
    """A run over data sets of 60 events with weights 1, 2, 1, ..."""
    ones = np.abs(columns(0, 60)["genWeight"])
    files = {
        name: {"files": {write(tmp_path / f"{name}.root", 60 * i, 60, more={"genWeight": ones}): "Events"}}
        for i, name in enumerate(names)
    }
    inputs = {"fileset": files, "weight": "genWeight"}
    steps = [{"select": "MET.pt > 1"}, {"define": {"HT": "sum(Jet.pt)"}}, step]
    return run(plan(inputs=inputs, steps=steps, split=None), tmp_path / "out")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"undersample": {"strata": [BINS]}}, f"'undersample': {WARNED}"),
        ({"positive_resample": {"strata": [BINS], "keep": "uncertainty"}}, f"'positive_resample': {WARNED}"),
        ({"edited_nearest_neighbours": {"label": "luminosityBlock", "features": ["HT"]}}, None),
    ],
)
def test_sums_of_data_sets_that_are_mixed_in_strata(tmp_path: Path, step: Any, words: str | None) -> None:
    if words is None:  # one class alone cannot be cleaned
        with pytest.raises(Exception, match="but one class"):
            result_of(tmp_path, step)
        return
    result = result_of(tmp_path, step)
    (warning,) = result.warnings
    assert re.search(words, warning)
    assert WARNED in " ".join(repr(result).split())
    assert json.loads((result.path / "_manifest.json").read_text())["extra"]["warnings"] == [warning]


def test_no_warning_where_sums_are_kept(tmp_path: Path) -> None:
    for i, (step, names) in enumerate([
        ({"undersample": {"strata": ["dataset", BINS]}}, ("one", "two")),
        ({"undersample": {"strata": [BINS]}}, ("one",)),
        ({"undersample": {"strata": [BINS], "weights": []}}, ("one",)),
        ({"undersample": {"strata": [BINS], "keep": "average"}}, ("one", "two")),
        ({"oversample": {"strata": [BINS]}}, ("one", "two")),
    ]):  # fmt: skip
        folder = tmp_path / str(i)
        folder.mkdir()
        assert result_of(folder, step, names).warnings == ()


def test_what_cuts_took_is_told_apart(tmp_path: Path) -> None:
    result = result_of(tmp_path, {"undersample": {"strata": ["dataset", BINS]}})
    for name, account in result.manifest.datasets.items():
        assert account.cut == account.dropped["select"] == 12
        assert account.dropped["undersample"] > 0
        entering, cut, leaving = (getattr(account, f"weights_{when}")["weight"][0] for when in ("in", "cut", "out"))
        assert cut > 0
        assert leaving == pytest.approx(entering - cut, rel=1e-12), name
    text = repr(result)
    assert re.search(r"rows in\s*\S\s*cut\s*\S\s*dropped.*sum of weight in\s*\S\s*cut\s*\S\s*and out", text)
    assert "cut: by steps that act on all events; dropped: by resampling" in text
    assert "bias of spectra: largest average error" in text
    assert any(entry["weight_bias"] > 0 for entry in result.report()["undersample"])


def test_accounts_of_cuts_add_up() -> None:
    stage = Stage(labelled([da.Select("HT > 100"), da.Select("label == 0")]), Setting(1, "toy", split=None))
    events, whole = toy(300), Account()
    result = stage.run(events, whole)
    assert whole.cut == 300 - len(result)
    parts = [Account() for _ in range(3)]
    for number, part in enumerate(parts):
        stage.run(events[100 * number : 100 * (number + 1)], part)
    total = Account.total(parts)
    assert total.cut == whole.cut
    assert total.weights_cut["weight"] == pytest.approx(whole.weights_cut["weight"])
    assert Account.from_dict(json.loads(json.dumps(total.to_dict()))) == total
    both = parts[0].then(Account(cut=3, weights_cut={"weight": (1.0, 2.0), "other": (1.0, 1.0)}))
    assert both.cut == parts[0].cut + 3
    assert both.weights_cut["weight"][0] == parts[0].weights_cut["weight"][0] + 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "weight column 'weight' is NaN or infinite in 2 of 30 rows: repair"),
        (-np.inf, "weight column 'weight' is NaN or infinite in 2 of 30 rows: repair"),
        (1e200, r"weight column 'weight' has values up to 1e\+200, and float64 cannot hold the sum of their squares"),
    ],
)
def test_weights_without_sums(value: float, words: str) -> None:
    events = toy(30)
    events["weight"] = np.where(np.arange(30) < 2, value, 1.0)
    with pytest.raises(ValueError, match=words):
        Stage(labelled([da.Select("HT > 100")]), Setting(1, "toy", split=None)).run(events, Account())


def test_overwritten_weights_are_told_with_their_sums(tmp_path: Path) -> None:
    inputs = {"fileset": {"tt": [write(tmp_path / "a.root", rows=8)]}}
    twice = plan(inputs=inputs, steps=[{"define": {"weight": "2 * weight"}}])
    before = dry_run(twice, tmp_path / "out")["warnings"]
    result = run(twice, tmp_path / "out")
    (w, _), (after, _) = (
        getattr(result.manifest.datasets["tt"], name)["weight"] for name in ("weights_in", "weights_out")
    )
    assert after == 2 * w != 0
    said = f"data set 'tt': the sum of 'weight' was {w:.6g} and is {after:.6g}: 'define' overwrites it"
    assert said in result.warnings
    assert f"of the first 8 events, {said}" in before
    for warnings in (before, result.warnings):
        assert any(text.startswith("step 'define' overwrites the physics weight 'weight'") for text in warnings)
    silent = plan(inputs=inputs, steps=[{"define": {"weight_btag": "2 * weight"}}])
    assert not any("overwrites" in text for text in run(silent, tmp_path / "other").warnings)
