"""What is lost is told where a person looks, and weights without a sum are refused by file and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dask_augment.dataset.publication import RunFailed
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import dry_run, run
from run_toys import plan, write


def told(fileset: dict[str, Any], out: Path, **more: Any) -> tuple[str, ...]:
    """The warnings of a run, which its text and its dictionary hold as well."""
    result = run(plan(inputs={"fileset": fileset}), out, **more)
    assert all(text in repr(result) for text in result.warnings)
    assert result.to_dict()["warnings"] == list(result.warnings)
    return result.warnings


def of(*files: str, **metadata: Any) -> dict[str, Any]:
    return {"files": list(files), "metadata": metadata}


def test_sum_of_what_is_left_is_told(tmp_path: Path) -> None:
    skim = of(write(tmp_path / "a.root"), xsec=1.0)
    whole = of(write(tmp_path / "b.root", 100, runs={"genEventSumw": 50.0}), xsec=1.0)
    (text,) = told({"skim": skim, "whole": whole}, tmp_path / "out")
    assert text.startswith("data set 'skim' is normalised to the unselected sum of genWeight")
    assert "no Runs tree" in text
    assert dry_run(plan(inputs={"fileset": {"skim": skim}}), tmp_path / "x")["warnings"] == [text]
    assert told({"plain": of(write(tmp_path / "c.root"))}, tmp_path / "plain") == ()
    mixed = of(*whole["files"], *skim["files"], xsec=1.0)
    assert "unselected sum of genWeight" in told({"mixed": mixed}, tmp_path / "mixed")[0]


def test_data_set_that_is_lost_is_told(tmp_path: Path) -> None:
    good = write(tmp_path / "a.root")
    fileset = {"wz": of(good), "gone": of("/nowhere/x.root")}
    (text,) = told(fileset, tmp_path / "out", max_bad_files=1)
    assert text.startswith("data set 'gone' has no readable file, and is missing from the result: 1 file left out")
    (text,) = told({"wz": of(good, "/nowhere/x.root")}, tmp_path / "less", max_bad_files=1)
    assert text.startswith("data set 'wz' is read without 1 of 2 files, which cannot be read")
    assert "'/nowhere/x.root'" in text


STRANGE = {
    "NaN": [np.nan],
    "infinite": [np.inf],
    "both signs": [np.inf, -np.inf],
    "a NaN and infinite": [np.nan, -np.inf],
}


@pytest.mark.parametrize("case", STRANGE)
@pytest.mark.parametrize("metadata", [{}, {"xsec": 1.0}])
def test_weights_without_a_sum_are_refused(case: str, metadata: dict[str, float], tmp_path: Path) -> None:
    weights = np.ones(12, np.float32)
    weights[: len(STRANGE[case])] = STRANGE[case]
    path = write(tmp_path / "a.root", more={"genWeight": weights})
    sentence = f"data set 'tt': input file '{path}': genWeight has {len(STRANGE[case])} NaN or infinite among 12 values"
    for ask in (run, dry_run):
        with pytest.raises(PlanError, match=sentence):
            ask(plan(inputs={"fileset": {"tt": of(path, **metadata)}}), tmp_path / "out")
    with pytest.raises(PlanError, match=sentence):
        run(plan(inputs={"fileset": {"tt": of(path, **metadata)}}), tmp_path / "out", max_bad_files=1)


def test_weight_of_one_event_is_refused_where_it_is_read(tmp_path: Path) -> None:
    """The Runs tree says the sum, so that weights are not looked at before."""
    weights = np.ones(12)
    weights[5] = np.nan
    path = write(tmp_path / "a.root", more={"genWeight": weights}, runs={"genEventSumw": 12.0})
    with pytest.raises(RunFailed, match=rf"'{path}', .*weight column 'genWeight' is NaN or infinite in 1 of 12 rows"):
        run(plan(path), tmp_path / "out", max_bad_files=1)
    path = write(tmp_path / "b.root", more={"other": weights})
    inputs = {"files": [path], "dataset": "tt", "weights": ["other"]}
    with pytest.raises(RunFailed, match=rf"'{path}', .*weight column 'other' is NaN or infinite in 1 of 12 rows"):
        run(plan(inputs=inputs), tmp_path / "out")


@pytest.mark.parametrize("sumw", [np.nan, np.inf])
def test_runs_tree_without_a_sum_is_refused(sumw: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", runs={"genEventSumw": sumw})
    with pytest.raises(PlanError, match=f"'{path}': Runs.genEventSumw has 1 NaN or infinite among 1 value,"):
        run(plan(path), tmp_path / "out")


@pytest.mark.parametrize(("xsec", "sumw"), [(1.0, -5.0), (1.0, 0.0), (1e300, 1e-300), (1e-300, 1e300)])
def test_factors_that_are_none_are_refused(xsec: float, sumw: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", runs={"genEventSumw": sumw})
    with pytest.raises(PlanError, match=r"data set 'tt'.* xsec"):
        run(plan(inputs={"fileset": {"tt": of(path, xsec=xsec)}}), tmp_path / "out")
