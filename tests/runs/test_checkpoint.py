"""Events stored between two passes are the events, and what is learned from them is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.contract.account import Account
from dask_augment.contract.learned import load
from dask_augment.dataset.manifest import account_dict
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.runs import learn
from dask_augment.runs.checkpoint import CheckpointReader, checkpoint_sink
from dask_augment.runs.run import run
from dask_augment.runs.tasks import Tasks
from run_toys import SCALE, Excess, Shift, plan, read, write

EVENTS = ak.Array(
    {
        "event": [1, 2, 3],
        "Jet_pt": [[1.0, 2.0], [], [3.0]],
        "Jet_phi": [[0.0, 1.0], [], [2.0]],
        "x": [1.0, 2, 3],
        "good": [True, False, True],
        "stratum": ["low", "", "high"],
        "tags": [["a", "bc"], [], ["d"]],
    }
)


@pytest.fixture
def stored(tmp_path: Path) -> tuple[CheckpointReader, Part]:
    schema = schema_of(EVENTS)
    sink, part = checkpoint_sink(tmp_path / "stage", schema), Part.of("toy", {"file": "a.root"})
    sink.write_part(part, [to_table(EVENTS, schema)], lambda: Account(rows_in=2, made={"copy": 1}, rows_out=3))
    return CheckpointReader(sink, tuple(EVENTS.fields)), part


def test_events_come_back(stored: tuple[CheckpointReader, Part]) -> None:
    reader, part = stored
    (events,) = reader.batches(part)
    assert events.to_list() == EVENTS.to_list()
    assert str(events.type) == str(EVENTS.type)
    assert ak.concatenate(list(reader.batches(part, 1))).to_list() == EVENTS.to_list()
    assert [len(few) for few in replace(reader, columns=()).batches(part)] == [len(EVENTS)]
    assert reader.account(part).made == {"copy": 1}
    assert reader.form().fields == EVENTS.fields
    assert len(reader.form()) == 0


def test_only_what_is_needed_is_read(stored: tuple[CheckpointReader, Part]) -> None:
    reader, part = stored
    assert next(reader.narrowed({"Jet.pt", "other"}).batches(part)).fields == ["Jet_pt"]
    assert reader.narrowed({"nJet", "x"}).columns == ("Jet_pt", "x")


def test_part_that_is_not_there(stored: tuple[CheckpointReader, Part]) -> None:
    with pytest.raises(FileNotFoundError, match=r"was not stored in .*; run the plan again"):
        next(stored[0].batches(Part.of("toy", {"file": "b.root"})))


@pytest.mark.parametrize("chunksize", [1, 7, 12, 100])
def test_learner_after_copies(chunksize: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with events stored after the copies, and computed again for each question."""
    files = [write(tmp_path / "a.root", 0, 12), write(tmp_path / "b.root", 12, 9)]
    steps = [da.Split(train=0.7), da.Repeat(n=2), Shift(), Excess(), da.PhiRotate(columns=("MET.phi",))]
    asked = replace(plan(*files), steps=steps)
    stages: list[str] = []
    monkeypatch.setattr(
        learn,
        "checkpoint_sink",
        lambda folder, schema: stages.append(folder.name) or checkpoint_sink(folder, schema),
    )
    result = run(asked, tmp_path / "out", chunksize=chunksize)
    assert stages == ["003"]
    monkeypatch.setattr(learn.Lessons, "stores", lambda *_: False)
    again = run(asked, tmp_path / "again", chunksize=5)
    assert len(stages) == 1
    assert again.manifest.logical_hash == result.manifest.logical_hash
    assert account_dict(again.manifest.account) == account_dict(result.manifest.account)
    assert again.manifest.extra["learned"] == result.manifest.extra["learned"]
    rows = read(result)
    training = rows[rows.split == 0]
    total = int(np.rint(np.asarray(training.MET_pt) * SCALE).sum()) / SCALE
    assert ak.all(rows.excess == rows.MET_pt - total)
    assert result.manifest.account.made == {"repeat": 2 * ak.sum(training.augment_kind == 0)}


def test_ids_that_steps_multiply_are_no_repeats(tmp_path: Path) -> None:
    asked: Any = replace(plan(write(tmp_path / "a.root")), steps=[da.Split(train=1), da.Repeat(n=1), Excess()])
    assert run(asked, tmp_path / "out").rows == 24


def _interrupted(asked: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was cut off when all was learned; the folder with what was."""

    def cut(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tasks, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            run(asked, out)
    (folder,) = out.parent.glob(f".{out.name}.staging-*")
    return folder / "learned"


@pytest.mark.parametrize("damage", ["none", "notes", "arrays", "all"])
def test_what_was_learned_is_taken_up_unless_it_is_damaged(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label is no name of a note of ours; a note or an array that was cut short is as none."""
    steps = [da.Split(train=0.7), ("ids", Excess()), ("steps", Excess())]
    asked: Any = replace(plan(write(tmp_path / "a.root")), steps=steps)
    quiet = run(asked, tmp_path / "quiet")
    learned = _interrupted(asked, tmp_path / "out", monkeypatch)
    notes, arrays = sorted(learned.rglob("*.json")), sorted(learned.glob("*.npz"))
    assert {path.relative_to(learned).as_posix() for path in notes} == {
        "unique.json",
        "steps/ids.json",
        "steps/steps.json",
    }
    assert len(arrays) == 1, "both steps learned the same"
    for path in [*(notes if damage in ("notes", "all") else ()), *(arrays if damage in ("arrays", "all") else ())]:
        path.write_bytes(path.read_bytes()[:-3])
    load.cache_clear()
    questions: list[str] = []
    real = Tasks.ask
    monkeypatch.setattr(
        Tasks, "ask", lambda self, *rest: questions.extend(one.label for one in rest[-1].questions) or real(self, *rest)
    )
    write_parts = Tasks.write

    def written(self: Any, segment: Any, *rest: Any) -> None:
        load.cache_clear()
        for step in segment.stage.steps[1:]:
            assert load(str(learned), step.augmenter.learned.digest) == step.augmenter.learned
        write_parts(self, segment, *rest)

    monkeypatch.setattr(Tasks, "write", written)
    assert run(asked, tmp_path / "out", resume=True).manifest.logical_hash == quiet.manifest.logical_hash
    both = {"ids", "steps"}
    again = {"none": set(), "notes": {"", *both}, "arrays": both, "all": {"", *both}}
    assert set(questions) == again[damage]
