"""What a run says to those who are new to it: a list for a plan, a report of other events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import dask_augment as da
from dask_augment.plans.plan import PlanError
from run_toys import plan, write

BALANCE = {"oversample": {"strata": [{"column": "MET.pt", "edges": [0, 2]}], "train_weight": "unit"}}


def test_a_list_of_steps_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"run takes a Plan or the path of its file, got list: \["):
        da.run([da.Repeat(n=2)], tmp_path / "out")  # type: ignore[arg-type]


def test_a_report_says_which_events_it_is_of(tmp_path: Path) -> None:
    first, other = write(tmp_path / "a.root", 0, 60), write(tmp_path / "b.root", 60, 40)
    learned = da.run(plan(first, steps=[BALANCE], split=None), tmp_path / "first")
    assert "learned from earlier" not in repr(learned)
    taught = da.published_plan(tmp_path / "first")
    again = da.run(replace(taught, inputs={"files": other, "dataset": "toy"}), tmp_path / "again")
    assert again.manifest.extra["learned_before"] == ["oversample"]
    assert "for the events that it learned from earlier, not for these" in repr(again)
