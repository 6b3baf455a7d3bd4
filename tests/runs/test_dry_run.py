"""What a dry run finds before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import pytest

import dask_augment as da
from dask_augment.dataset.publication import RunFailed
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import dry_run
from run_toys import plan, write


@da.augmenter(uses=["MET.pt"], produces={"x": "float32"})
def wrong_type(events: ak.Array) -> Any:
    return events.MET.pt.to_numpy().astype("float64")


@da.augmenter(uses=["MET.pt"], produces={"x": "float32"})
def undeclared(events: ak.Array) -> Any:
    return events.MET.phi


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([wrong_type], "'wrong_type' promised 'x' as float32 and returned float64"),
        ([undeclared], r"in step 'undeclared', which sees the columns \['MET.pt'\]"),
        ([da.Select("Jet.pt > 30")], "the condition of Select must have one value for each event"),
        ([da.Undersample(strata=["MET.pt"])], "'MET.pt'"),
        ([wrong_type, da.Undersample(strata=["run"])], "'wrong_type' promised 'x'"),
    ],
    ids=["type", "undeclared", "jagged condition", "stratum of floats", "before a learner"],
)
def test_what_breaks_is_found_without_writing(steps: list[Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=5)
    asked = da.Plan(inputs=plan(path).inputs, steps=steps, seed=1, split=None)
    with pytest.raises(RunFailed, match=message):
        dry_run(asked, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_what_stands_where_the_output_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=5)
    asked = plan(path)
    out = tmp_path / "out"
    assert dry_run(asked, out)["standing"] == "free"
    da.run(asked, out)
    assert dry_run(asked, out)["standing"] == "published already"
    other = da.Plan(inputs=asked.inputs, steps=[da.Select("MET.pt >= 0")], seed=asked.seed)
    assert dry_run(other, out)["standing"] == "taken by the data set of another plan"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    assert dry_run(asked, tmp_path / "mine")["standing"] == "taken by something that is not a data set of ours"


@pytest.mark.parametrize(("said", "meant"), [("lum", "lumi"), ("XSec", "the cross section as xsec")])
def test_misspelt_metadata(said: str, meant: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=5)
    with pytest.raises(PlanError, match=f"metadata '{said}', which has no meaning here: write '?{meant}"):
        dry_run(plan(inputs={"fileset": {"tt": {"files": [path], "metadata": {said: 1.0}}}}), tmp_path / "out")


def test_a_plan_by_its_path_and_an_output_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=5)
    (tmp_path / "plan.yaml").write_text(
        f"inputs: {{files: {path}, dataset: tt}}\nseed: 1\nsteps: [select: MET.pt >= 0]\noutput: {tmp_path / 'out'}\n"
    )
    assert da.run(tmp_path / "plan.yaml").path == tmp_path / "out"
