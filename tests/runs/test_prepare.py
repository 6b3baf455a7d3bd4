"""From plan to work: the weights of simulated and collision data in numbers, and plans that cannot be carried out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dask_augment as da
import whole_toys
from dask_augment.dataset.publication import RunFailed
from dask_augment.inputs import reader
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import dry_run, run
from run_toys import plan, read, write

DATA = {"metadata": {"is_mc": False}}


def test_weight_is_genweight_times_xsec_times_lumi_by_the_sum_of_all_files(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.root", 0, 12, runs={"genEventSumw": 60.0}), write(tmp_path / "b.root", 12, 12)]
    fileset = {
        "tt": {"files": files, "metadata": {"xsec": 4, "lumi": 50}},
        "dy": {"files": [write(tmp_path / "c.root", 24, 3)], "metadata": {"xsec": 4}},
        "vv": {"files": [write(tmp_path / "d.root", 27, 3)]},
    }
    result = run(plan(inputs={"fileset": fileset, "lumi": 10}), tmp_path / "out", chunksize=5)
    said = result.manifest.extra["normalisation"]
    assert said["tt"] == {
        "sumw": 68.0, "sumw_from": "Runs.genEventSumw, unselected sum of genWeight", "xsec": 4.0, "lumi": 50.0,
        "factor": 200.0 / 68.0,
    }  # fmt: skip
    assert said["dy"] == {
        "sumw": 2.0, "sumw_from": "unselected sum of genWeight", "xsec": 4.0, "lumi": 10.0, "factor": 20.0,
    }  # fmt: skip
    assert said["vv"]["factor"] == 1.0
    weights = read(result).weight.tolist()
    assert weights[:24] == [w * 200.0 / 68.0 for w in (1.0, 2.0, -1.0)] * 8
    assert weights[24:] == [20.0, 40.0, -20.0, 1.0, 2.0, -1.0]


def test_further_weights_scale_together(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=3, runs={"genEventSumw": 4.0})
    inputs = {"fileset": {"tt": {"files": [path], "metadata": {"xsec": 2.0}}}, "weights": ["MET_pt"]}
    asked = plan(inputs=inputs, steps=[{"repeat": {"n": 1}}], split="none")
    rows = read(run(asked, tmp_path / "out"))
    assert rows.weight.tolist() == [0.5, 0, 1.0, 0, -0.5, 0]
    assert rows.MET_pt.tolist() == [0.25, 0, 0.75, 0, 1.25, 0]


def test_weight_of_another_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=3, more={"weight": np.array([1.0, 3.0, 4.0])}, runs={"genEventSumw": 99.0})
    fileset = {"tt": {"files": [path], "metadata": {"xsec": 16.0}}}
    rows = read(run(plan(inputs={"fileset": fileset, "weight": "weight"}), tmp_path / "out"))
    assert rows.weight.tolist() == [2.0, 6.0, 8.0]
    with pytest.raises(PlanError, match=r"'tt' has an xsec, but its weights are not made .*column weight, as it is"):
        dry_run(plan(inputs={"fileset": fileset}), tmp_path / "other")


def test_parquet_has_a_sum_of_weights_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"event": [0, 1], "MET_pt": [1.0, 2.0], "genWeight": [3.0, 5.0]}), tmp_path / "a.parquet")
    inputs = {"files": str(tmp_path / "a.parquet"), "dataset": "tt", "ids": ["event"], "metadata": {"xsec": 4.0}}
    rows = read(run(plan(inputs=inputs, steps=[{"define": {"x": "MET.pt"}}]), tmp_path / "out"))
    assert rows.weight.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("name", "more", "metadata", "refused"),
    [
        ("mu", {"HLT_Mu": np.ones(9, bool)}, {}, True),
        ("mu", {"Flag_good": np.ones(9, bool)}, {}, True),
        ("data2018", {}, {}, True),
        ("mu", {"HLT_Mu": np.ones(9, bool)}, {"is_mc": True}, False),
        ("mu", {"HLT_Mu": np.ones(9, bool), "GenMET_pt": np.ones(9, "f4")}, {}, False),
        ("mu", {}, {}, False),
    ],
    ids=str,
)
def test_what_looks_like_collision_data_is_not_trained_on(
    name: str, more: dict[str, Any], metadata: dict[str, Any], refused: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.root", rows=9, without=("genWeight",), more=more)
    # Without a simulated weight every event weighs 1, which a data set that says is_mc has to say by its weight.
    inputs = {"fileset": {name: {"files": [path], "metadata": metadata}}} | ({"weight": "MET_pt"} if metadata else {})
    asked = plan(inputs=inputs, steps=[{"split": {"train": 0.5}}, {"repeat": {"n": 1}}])
    if refused:
        with pytest.raises(
            PlanError, match=f"data set '{name}' looks like collision data .* 'repeat' is a training step"
        ):
            da.run(asked, tmp_path / "out")
        for_analysis = plan(inputs=inputs, steps=[{"split": {"train": 0.5}}])
        assert da.run(for_analysis, tmp_path / "out").rows == 9
    else:
        assert da.run(asked, tmp_path / "out").rows > 9


def test_collision_data_have_weight_one(tmp_path: Path) -> None:
    data = write(tmp_path / "data.root", 0, 3, without=("genWeight",))
    simulated = write(tmp_path / "tt.root", 3, 3)
    result = run(plan(inputs={"fileset": {"data": {"files": [data], **DATA}, "tt": [simulated]}}), tmp_path / "out")
    assert read(result).weight.tolist() == [1.0, 1.0, 1.0, 1.0, 2.0, -1.0]
    assert result.manifest.extra["normalisation"]["data"]["sumw_from"] == "no genWeight: every event has weight 1"


def _refused(case: str, folder: Path) -> tuple[Any, str]:
    simulated = write(folder / "tt.root", 3, 3)
    bare = write(folder / "data.root", 0, 3, without=("genWeight",))
    final = write(folder / "final.root", 6, 3, more={"weight": np.ones(3)})
    cases: dict[str, tuple[Any, str]] = {
        "generator weight in data": (
            {"fileset": {"data": {"files": [simulated], **DATA}}},
            r"'data' is collision data .*, but 'genWeight' of '.*tt.root' is a generator column",
        ),
        "training step on data": (
            {"fileset": {"data": {"files": [bare], **DATA}}},
            r"'data' is collision data .* 'repeat' is a training step.*for_analysis",
        ),
        "simulated without weight": (
            {"fileset": {"tt": {"files": [bare], "metadata": {"is_mc": True}}}},
            r"'tt' is simulated \(is_mc: true\), but has no column 'genWeight'",
        ),
        "weight in some files": ({"fileset": {"tt": [simulated, bare]}}, "column 'genWeight' is not in every input file of 'tt'"),
        "final weight in some files": ({"fileset": {"tt": [simulated, final]}}, "has a column weight, which is taken as it is"),
        "cross section without weight": (
            {"fileset": {"tt": {"files": [bare], "metadata": {"xsec": 1.0}}}}, "'tt' has an xsec, but .*every event has weight 1",
        ),
        "weights that sum to nothing": (
            {"fileset": {"tt": {"files": [write(folder / "z.root", runs={"genEventSumw": 0.0})], "metadata": {"xsec": 1.0}}}},
            r"generator weights sum to 0 \(Runs.genEventSumw\)",
        ),
    }  # fmt: skip
    return cases[case]


@pytest.mark.parametrize(
    "case",
    ["generator weight in data", "training step on data", "simulated without weight", "weight in some files",
     "final weight in some files", "cross section without weight", "weights that sum to nothing"],
)  # fmt: skip
def test_weights_that_would_be_wrong_are_refused(case: str, tmp_path: Path) -> None:
    inputs, sentence = _refused(case, tmp_path)
    steps = [{"repeat": {"n": 1}}] if "training" in case else [{"define": {"x": "MET.pt"}}]
    with pytest.raises(PlanError, match=sentence):
        dry_run(plan(inputs=inputs, steps=steps), tmp_path / "out")


def test_dry_run_writes_nothing_and_says_what_would_be(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root")
    summary = dry_run(
        plan(path, steps=[{"split": {"train": 0.5}}, {"repeat": {"n": 1}}]), tmp_path / "out", chunksize=5
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.root"]
    toy = summary["datasets"]["toy"]
    assert (toy["files"], toy["entries"], toy["parts"], toy["sumw"]) == (1, 12, 3, 8.0)
    assert summary["steps"] == ["split", "repeat"]
    assert {"augment_kind", "augment_copy", "split", "event"} <= set(summary["columns"])


def test_training_step_without_split_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root")
    with pytest.raises(KeyError, match="there is no column 'split' that tells"):
        dry_run(plan(path, steps=[{"repeat": {"n": 1}}]), tmp_path / "out")


def test_split_of_another_name_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", more={"fold": np.arange(12, dtype=np.int8) % 3})
    rows = read(run(plan(path, steps=[{"repeat": {"n": 1}}], split="fold"), tmp_path / "out"))
    assert sorted(rows.event[rows.augment_kind == 1].tolist()) == [0, 3, 6, 9]


def test_label_is_the_key_of_random_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=40)
    split = {"split": {"train": 0.5}}
    sides = [
        read(run(plan(path, steps=steps), tmp_path / str(n))).split.tolist()
        for n, steps in enumerate([[split], [{"define": {"x": "MET.pt"}}, split], [split | {"as": "other"}]])
    ]
    assert sides[0] == sides[1] != sides[2]


def test_generator_weight_that_is_kept_is_a_weight_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", rows=3)
    steps = [{"repeat": {"n": 1}}]
    result = run(plan(path, steps=steps, split="none", output={"keep": ["genWeight"]}), tmp_path / "out")
    rows = read(result)
    assert rows.genWeight.tolist() == [1.0, 0, 2.0, 0, -1.0, 0]
    assert "genWeight" not in read(run(plan(path, steps=steps, split="none"), tmp_path / "other")).fields


def test_data_sets_that_could_not_be_told_apart_are_refused(tmp_path: Path) -> None:
    fileset = {"tt": [write(tmp_path / "a.root")], "dy": [write(tmp_path / "b.root")]}
    steps = [{"split": {"train": 0.5}}]
    with pytest.raises(
        PlanError, match=r"partition_by is \['split'\], so the rows of 2 data sets \(dy, tt\) could not"
    ):
        dry_run(plan(inputs=fileset, steps=steps, output={"partition_by": ["split"]}), tmp_path / "out")
    only = {"tt": fileset["tt"]}
    assert dry_run(plan(inputs=only, steps=steps, output={"partition_by": ["split"]}), tmp_path / "out")["columns"]


@pytest.mark.parametrize(
    ("fileset", "inputs"),
    [({"lumi": 10.0}, {}), ({}, {"lumi": 10.0}), ({"is_mc": False}, {"lumi": 10.0})],
)
def test_luminosity_that_nothing_is_scaled_with_is_refused(fileset: Any, inputs: Any, tmp_path: Path) -> None:
    without = ("genWeight",) if fileset else ()
    path = write(tmp_path / "a.root", without=without if "is_mc" in fileset else ())
    asked = plan(inputs={"fileset": {"tt": {"files": [path], "metadata": fileset}}} | inputs)
    with pytest.raises(PlanError, match=r"lumi.*, but no xsec \[pb\] that it would be multiplied with"):
        dry_run(asked, tmp_path / "out")


def test_luminosity_of_collision_data_is_no_fault(tmp_path: Path) -> None:
    data = {"files": [write(tmp_path / "a.root", without=("genWeight",))], "metadata": {"is_mc": False, "lumi": 3.0}}
    assert dry_run(plan(inputs={"fileset": {"data": data}}), tmp_path / "out")["datasets"]["data"]["factor"] == 1


LISTS = ak.Array([[1.0], [2.0, 3.0], []] * 4)


@pytest.mark.parametrize("inputs", [{"weight": "w"}, {"weights": ["w"]}])
def test_weights_that_are_lists_are_a_fault_of_the_plan(inputs: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", more={"w": LISTS})
    asked = plan(inputs={"fileset": {"tt": [path]}} | inputs)
    with pytest.raises(PlanError, match=r"weight 'w' must be one number for each event, but in .*a.root' it is list"):
        run(asked, tmp_path / "out", max_bad_files=1)


def test_weights_that_are_missing_are_a_fault_of_the_plan(tmp_path: Path) -> None:
    table = pa.table({"event": [0, 1], "MET_pt": [1.0, 2.0], "genWeight": [3.0, None]})
    pq.write_table(table, tmp_path / "a.parquet")
    inputs = {"files": str(tmp_path / "a.parquet"), "dataset": "tt", "ids": ["event"]}
    asked = plan(inputs=inputs, steps=[{"define": {"x": "MET.pt"}}])
    with pytest.raises(PlanError, match=r"weight 'genWeight' must be one number .* double with missing values"):
        run(asked, tmp_path / "out", max_bad_files=1)


def test_fault_of_the_reader_is_no_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(rows: int, *args: Any) -> Any:
        if rows:
            raise TypeError("a fault of ours")
        return real(rows, *args)

    real = reader.made_columns
    monkeypatch.setattr(reader, "made_columns", wrong)
    with pytest.raises(RunFailed, match="TypeError: a fault of ours"):
        run(plan(write(tmp_path / "a.root"), write(tmp_path / "b.root", 12)), tmp_path / "out", max_bad_files=1)


@pytest.mark.parametrize(
    "step",
    [
        da.TomekLinks(label="label", features=["MET.pt", "MET.phi"]),
        da.EditedNearestNeighbours(label="label", features=["MET.pt"], kind_sel="mode"),
        da.Undersample(strata=["label"], allocation="neyman", variable="MET.pt", size=60),
    ],
    ids=lambda step: type(step).__name__,
)
def test_what_is_only_learned_from_is_read_too(step: Any, tmp_path: Path) -> None:
    """Columns that nothing but a question needs are read, and not written."""
    plan = whole_toys.plan(
        whole_toys.fileset(tmp_path / "in", 400), (da.Split(train=0.7), da.Define(label="nJet > 5"), step), keep=("label",)
    )  # fmt: skip
    result = run(plan, tmp_path / "out")
    assert 0 < result.rows < 400
    assert "MET_pt" not in whole_toys.table(tmp_path / "out").column_names
