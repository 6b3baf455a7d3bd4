"""What a plan would read twice, or write and read again, and folders of which something would not be read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import run
from run_toys import columns, plan, write

MET = {"define": {"MET2": "MET.pt * 2"}}
FILES = {"files": "in/*.parquet", "dataset": "a"}


def table(first: int, **more: Any) -> pa.Table:
    flat = {name: values for name, values in columns(first, 12).items() if name != "Jet"}
    return pa.table({**flat, **more})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path, first in (("in/x.parquet", 0), ("in/dataset=q/y.parquet", 12)):
        Path(path).parent.mkdir(exist_ok=True)
        pq.write_table(table(first), path)
    return tmp_path


def ask(inputs: Any, output: str = "out", keep: Any = ("MET.pt",), **how: Any) -> Any:
    return run(plan(inputs=inputs, steps=[MET], output={"keep": list(keep)}), output, **how)


@pytest.mark.parametrize(
    "inputs",
    [
        {"folder": "in"},
        {"folder": "file://{here}/in"},
        {"files": "in/**/*.parquet", "dataset": "a"},
        {"files": "{here}/in/*/*/*.parquet", "dataset": "q"},
        {"files": ["in/x.parquet", "in/out/dataset=q/z.parquet"], "dataset": "a"},
    ],
)
def test_output_that_the_plan_would_read_is_refused(inputs: dict[str, Any], here: Path) -> None:
    Path("in/out/dataset=q").mkdir(parents=True)
    pq.write_table(table(24), "in/out/dataset=q/z.parquet")
    text = {k: v.replace("{here}", str(here)) if isinstance(v, str) else v for k, v in inputs.items()}
    with pytest.raises(PlanError, match="another run would read the result as an input"):
        ask(text, "in/out")


def test_output_beside_its_inputs_and_in_place_of_them() -> None:
    assert ask(FILES, "in/out").rows == 12, "the pattern does not reach there"
    assert run(plan(inputs={"folder": "in/out"}, steps=[{"define": {"M": "MET2"}}]), "in/out", replace=True).rows == 12


def test_a_file_of_two_data_sets_is_told() -> None:
    os.symlink("x.parquet", "in/link.parquet")
    shared = ask({"fileset": {"a": ["in/x.parquet"], "b": ["in/link.parquet"]}})
    assert ["'a' and 'b' share 1 file" in warning for warning in shared.warnings] == [True]
    assert not ask({"fileset": {"a": ["in/x.parquet"], "b": ["in/dataset=q/y.parquet"]}}, "other").warnings


def test_folders_are_read_whole() -> None:
    os.remove("in/x.parquet")
    for name, first in (("z.pq", 24), ("z.parq", 36)):
        pq.write_table(table(first), f"in/dataset=q/{name}")
    assert ask({"folder": "in"}).rows == 36
    shutil.copytree("in", "else")
    os.symlink("../else/dataset=q", "in/dataset=r")
    with pytest.raises(PlanError, match="holds 'dataset=r', a link to a folder, which is not followed"):
        ask({"folder": "in"}, "other")


def test_one_hive_folder_has_the_name_that_it_says(here: Path) -> None:
    for number, folder in enumerate(("in/dataset=q", f"file://{here}/in/dataset=q")):
        assert {*ask({"folder": folder}, f"out{number}").manifest.datasets} == {"q"}


def test_a_column_dataset_is_not_written_beside_the_names() -> None:
    pq.write_table(table(0, dataset=pa.array(["u", "v"] * 6)), "d.parquet")
    inputs = {"files": "d.parquet", "dataset": "a"}
    with pytest.raises(PlanError, match="the files have a column 'dataset'"):
        ask(inputs, keep=["*"])
    assert ask(inputs, keep=["*", "!dataset"]).rows == 12


def test_a_file_is_the_one_of_its_name() -> None:
    for name, first in (("a[1].parquet", 0), ("a1.parquet", 12), ("a?.parquet", 24)):
        pq.write_table(table(first), name)
    assert ask({"files": ["a[1].parquet", "a?.parquet"], "dataset": "a"}).rows == 24
    assert ask({"files": "a[12].parquet", "dataset": "a"}, "other").rows == 12


@pytest.mark.parametrize(
    "inputs",
    [
        {"files": "~/x.root", "dataset": "a"},
        {"files": "~/x*.root", "dataset": "a"},
        {"files": "$HOME/x.root", "dataset": "a"},
        {"files": "a/${X}/*.root", "dataset": "a"},
        {"folder": "~/x"},
    ],
)
def test_what_a_shell_puts_in_is_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="what only a shell puts in"):
        ask(inputs)


def test_a_file_that_looks_like_a_variable_is_read(tmp_path: Path) -> None:
    write(tmp_path / "$HOME.root")
    assert ask({"files": "$HOME.root", "dataset": "a"}).rows == 12
