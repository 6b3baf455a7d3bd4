"""Plans carried out with coffea's Runner: the rows of our own readers, or a refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import dask_augment as da
from dask_augment.dataset.manifest import account_dict
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.verify import verify
from dask_augment.plan import Plan, PlanError
from dask_augment.runs.run import run
from run_toys import plan, read, write

pytest.importorskip("coffea")
from coffea import processor
from coffea.nanoevents import BaseSchema

from dask_augment.frames.coffea import Chunks

STEPS: tuple[Any, ...] = (
    da.Split(train=0.7),
    (
        "fewer",
        da.Undersample(
            strata=["dataset", da.Bins("MET.pt", [0, 3])],
            allocation="proportional",
            size=30,
        ),
    ),
    da.Repeat(n=2),
    ("more", da.Oversample(strata=["dataset"])),
)


def runner(**options: Any) -> Any:
    executor = processor.IterativeExecutor(status=False)
    return processor.Runner(executor, **{"schema": BaseSchema, "chunksize": 7, "savemetrics": False, **options})


def sample(path: Path, first: int, rows: int) -> str:
    """A file whose generator weights can be rescaled exactly."""
    return write(path, first, rows, more={"genWeight": np.array([1.0, 2.0, -1.0])[np.arange(first, first + rows) % 3]})


@pytest.fixture
def asked(tmp_path: Path) -> Plan:
    """Two data sets whose events have the same numbers, one of them in two files."""
    one, two = sample(tmp_path / "a.root", 0, 40), sample(tmp_path / "b.root", 40, 23)
    other = sample(tmp_path / "c.root", 0, 50)
    fileset = {"tt": {"files": [one, two], "metadata": {"xsec": 2.0}}, "dy": [other]}
    return replace(plan(inputs={"fileset": fileset}, output={"keep": ["Jet.*", "genWeight"]}), steps=STEPS)


def test_same_rows_and_manifest_as_with_our_readers(asked: Plan, tmp_path: Path) -> None:
    """Learners over two data sets that share ids; made rows have 0 in the generator weight too, which is kept."""
    ours = run(asked, tmp_path / "ours", chunksize=11)
    theirs = run(asked, tmp_path / "theirs", runner=runner())
    for result in (ours, theirs):
        rows = read(result)
        made = rows.augment_kind > 0
        assert np.any(made)
        assert not np.any(rows.genWeight[made])
        assert not np.any(rows.weight[made])
        assert verify(result.path, deep=True).ok
    assert theirs.manifest.logical_hash == ours.manifest.logical_hash
    assert theirs.manifest.digest == ours.manifest.digest
    assert theirs.manifest.extra == ours.manifest.extra
    accounts = [account_dict(result.manifest.account) for result in (ours, theirs)]
    assert accounts[0].keys() == accounts[1].keys()
    assert accounts[0]["made"] == accounts[1]["made"]
    assert accounts[0]["weights_out"].keys() == accounts[1]["weights_out"].keys() == {"weight"}
    assert {"learn", "write", "step fewer"} <= theirs.seconds.keys()


def test_what_was_learned_is_not_learned_again(asked: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = run(asked, tmp_path / "quiet")

    def full(self: Any, *args: Any) -> Any:
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(Sink, "write_part", full)
        with pytest.raises(Exception, match="Performed attempt"):
            run(asked, tmp_path / "out", runner=runner())
    monkeypatch.setattr(Chunks, "ask", full)
    result = run(asked, tmp_path / "out", runner=runner(), resume=True)
    assert result.manifest.logical_hash == quiet.manifest.logical_hash


def test_published_is_published_however_it_was_cut(asked: Plan, tmp_path: Path) -> None:
    first = run(asked, tmp_path / "out", chunksize=11)
    again = run(asked, tmp_path / "out", chunksize=5)
    with_coffea = run(asked, tmp_path / "out", runner=runner(chunksize=9))
    assert not first.already
    assert again.already
    assert with_coffea.already


def test_relative_paths_are_those_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are hashed as they are named, wherever the plan is run, and read from the folder of the plan."""
    (tmp_path / "in").mkdir()
    sample(tmp_path / "in" / "a.root", 0, 20)
    made = Plan.from_dict(
        {"inputs": {"tt": ["in/a.root"]}, "seed": 1, "steps": [{"split": {"train": 0.5}}]}, folder=tmp_path
    )
    monkeypatch.chdir("/")
    ours = run(made, tmp_path / "out")
    assert run(made, tmp_path / "out", runner=runner()).already
    assert run(made, tmp_path / "theirs", runner=runner()).manifest.logical_hash == ours.manifest.logical_hash


@pytest.mark.parametrize(
    ("option", "value"),
    [("limit_files", 1), ("max_bad_files", 1), ("client", object()), ("executor", "futures"), ("chunksize", 10),
     ("scheduler", "tcp://nowhere:1"), ("workers", 2)],
)  # fmt: skip
def test_what_a_runner_would_not_heed_is_refused(option: str, value: Any, asked: Plan, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=rf"{option}=.* cannot be used with a coffea Runner"):
        run(asked, tmp_path / "out", runner=runner(), **{option: value})
    assert not (tmp_path / "out").exists()


def test_a_part_of_the_chunks_is_refused(asked: Plan, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="the Runner has maxchunks=1, which reads a part of the events only"):
        run(asked, tmp_path / "out", runner=runner(maxchunks=1))
    assert not (tmp_path / "out").exists()


def _collision_data(case: str, path: Path) -> tuple[Any, Any]:
    """A file of collision data, and the steps of a plan on it."""
    more = {"Jet_hadronFlavour": np.zeros(9, "i4")} if case == "a generator column is there" else {}
    file = write(path, rows=9, without=("genWeight",), more=more)
    made = {"define": {"Jet.hadronFlavour": "Jet.pt * 0"}}
    steps = {
        "a generator column is there": [],
        "a step makes one": [made, {"define": {"n": "sum(Jet.hadronFlavour)"}}],
        "a step reads one": [{"define": {"x": "GenMET.pt"}}, made],
        "trained on": [{"repeat": {"n": 1}}],
    }
    return file, [{"split": {"train": 0.5}}, *steps[case]]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("a generator column is there", "'Jet_hadronFlavour' of '.*' is a generator column"),
        ("a step makes one", None),
        ("a step reads one", "'GenMET.pt' is a generator column"),
        ("trained on", "'repeat' is a training step"),
    ],
)
def test_collision_data_are_judged_alike(case: str, said: str | None, tmp_path: Path) -> None:
    file, steps = _collision_data(case, tmp_path / "a.root")
    inputs = {"fileset": {"mu": {"files": [file], "metadata": {"is_mc": False}}}}
    asked = plan(inputs=inputs, steps=steps)
    ways: tuple[dict[str, Any], ...] = ({}, {"runner": runner()})
    events = rows_of(file)
    if said is None:
        ours, theirs = (run(asked, tmp_path / str(number), **way) for number, way in enumerate(ways))
        assert ours.manifest.logical_hash == theirs.manifest.logical_hash
        da.augment(events, *asked.steps, seed=1, split=None)
        return
    sentences = []
    for way in ways:
        with pytest.raises(PlanError, match=f"'mu' is collision data .*{said}") as refused:
            run(asked, tmp_path / "out", **way)
        sentences.append(str(refused.value))
    with pytest.raises(ValueError, match="'mu' is collision data") as refused_in_a_frame:
        da.augment(events, *asked.steps, seed=1, split=None)
    # A frame does not know the file.
    assert [str(refused_in_a_frame.value)] * 2 == [sentence.replace(f" of {file!r}", "") for sentence in sentences]


def rows_of(file: str) -> Any:
    """The events of a file with what coffea would say of them."""
    with uproot.open(file) as opened:
        events = opened["Events"].arrays()
    return ak.Array(ak.with_parameter(events, "metadata", {"dataset": "mu", "is_mc": False}).layout)
