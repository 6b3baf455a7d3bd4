"""How often the data are read: questions that do not need each other's answers share a pass, and so does the check of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dask_augment as da
from dask_augment.contract.ids import RepeatedIds
from dask_augment.inputs.reader import Reader
from dask_augment.runs.run import run
from run_toys import Excess, plan, write

HT = da.Bins("MET.pt", [0, 2, 4])
BEFORE: tuple[Any, ...] = (da.Split(train=0.7),)
UNDER = da.Undersample(strata=[HT])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each part was read in this process."""
    counted: Counter[str] = Counter()
    real = Reader.batches

    def reading(self: Reader, part: Any, *most: int) -> Any:
        counted[part.id] += 1
        return real(self, part, *most)

    monkeypatch.setattr(Reader, "batches", reading)
    return counted


@pytest.fixture(scope="module")
def threads() -> Iterator[Any]:
    """A cluster whose workers are threads of this process, so that what they read can be counted."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0")
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(params=["here", "cluster"])
def where(request: pytest.FixtureRequest) -> Any:
    return None if request.param == "here" else request.getfixturevalue("threads")


def passes(reads: Counter[str], out: Path, *steps: Any, where: Any = None) -> int:
    """How often a plan of these steps reads each part, writing among them."""
    files = [write(out.parent / f"{n}.root", 30 * n, 30) for n in range(3)]
    reads.clear()
    result = run(replace(plan(*files), steps=[*BEFORE, *steps]), out, where=where, chunksize=15, quiet=True)
    assert len(reads) == 6
    (times,) = set(reads.values())
    assert result.manifest.extra["ids"]["checked"]
    return times


def test_ids_and_questions_share_passes(reads: Counter[str], tmp_path: Path, where: Any) -> None:
    assert passes(reads, tmp_path / "under", UNDER, where=where) == 3
    assert passes(reads, tmp_path / "excess", Excess(), where=where) == 2
    assert passes(reads, tmp_path / "without", where=where) == 2, "ids are looked at before anything is written"


def test_learners_that_are_independent_share_passes(reads: Counter[str], tmp_path: Path, where: Any) -> None:
    alone = passes(reads, tmp_path / "one", UNDER, where=where)
    assert passes(reads, tmp_path / "two", Excess(), UNDER, where=where) == alone
    assert passes(reads, tmp_path / "three", Excess(), ("more", Excess()), UNDER, where=where) == alone


def test_a_learner_waits_for_what_it_depends_on(reads: Counter[str], tmp_path: Path) -> None:
    """On rows that another one drops, and on columns that another one makes, also through a step between them."""
    alone = passes(reads, tmp_path / "one", UNDER)
    assert passes(reads, tmp_path / "rows", UNDER, Excess()) == alone + 1
    assert passes(reads, tmp_path / "columns", da.ClassWeights(strata=[HT]), UNDER) > alone
    between = da.Define(more="excess * 1.0")
    strata = [da.Bins("more", [-1e6, 0, 1e6])]
    assert passes(reads, tmp_path / "through", Excess(), between, da.ClassWeights(strata=strata)) == 3


def test_what_is_learned_is_what_each_learns_alone(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.root", 30 * n, 30) for n in range(3)]
    learned = {}
    for name, steps in {"both": [("excess", Excess()), ("under", UNDER)], "one": [("under", UNDER)]}.items():
        result = run(replace(plan(*files), steps=[*BEFORE, *steps]), tmp_path / name, quiet=True)
        learned[name] = result.manifest.extra["learned"]
    assert learned["both"]["under"]["digest"] == learned["one"]["under"]["digest"]


def test_events_that_stand_twice_are_why_a_learner_fails(tmp_path: Path) -> None:
    """Two rows of one event have one random key, which would be told as chance: the ids are asked to the end first."""
    files = [write(tmp_path / "a.root"), write(tmp_path / "b.root", 6)]
    with pytest.raises(RepeatedIds):
        run(replace(plan(*files), steps=[da.Split(train=1), UNDER]), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("splits", [([0] * 6, [2] * 6), ([2] * 6, [2] * 6), ([0, 0, 0, 2, 2, 2], [2, 2, 2, 2, 2, 0])])
@pytest.mark.parametrize(
    "steps", [[], [da.Undersample(strata=["dataset"], sampling_strategy={"dataset=toy": 1})]], ids=["none", "learner"]
)
def test_test_rows_that_stand_twice_are_found(splits: Any, steps: Any, tmp_path: Path) -> None:
    """Files that have a split: an event that is for training in one and for testing in the other is a leak."""
    for name, first, split in zip("ab", (0, 5), splits, strict=True):
        number = np.arange(first, first + 6)
        columns = {"run": number * 0 + 1, "luminosityBlock": number * 0 + 1, "event": number, "split": np.int8(split)}
        pq.write_table(
            pa.table({**columns, "x": number * 1.0, "weight": number * 0 + 1.0}), tmp_path / f"{name}.parquet"
        )
    files = [str(tmp_path / f"{name}.parquet") for name in "ab"]
    asked = replace(plan(*files), steps=[da.Define(y="x"), *steps], split="split")
    with pytest.raises(RepeatedIds):
        run(asked, tmp_path / "out", quiet=True)
    events = ak.Array({"event": [1, 2, 2, 3], "run": [1] * 4, "luminosityBlock": [1] * 4, "split": [0, 2, 2, 0]})
    with pytest.raises(RepeatedIds):
        da.learn(
            events,
            da.Undersample(strata=["dataset"], sampling_strategy={"dataset=a": 1}, weights=()),
            dataset="a",
            seed=1,
        )


@pytest.mark.parametrize("ids", [["position_file", "position_entry"], ["position_entry", "position_file"]])
def test_positions_of_another_run_are_checked(ids: list[str], tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 2)):
        entries = np.arange(first, first + 4, dtype=np.uint64)
        columns = {"position_file": entries * 0, "position_entry": entries, "x": np.ones(4), "weight": np.ones(4)}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    inputs = {"files": [str(tmp_path / f"{name}.parquet") for name in "ab"], "dataset": "toy", "ids": ids}
    with pytest.raises(RepeatedIds):
        run(da.Plan(inputs=inputs, steps=[da.Define(y="x")], seed=1), tmp_path / "out", quiet=True)
