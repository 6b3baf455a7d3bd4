"""Questions about other rows, after other steps, of two data sets, and with a training: the same in every frame and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
import frame_toys as toys
from dask_augment.contract.questions import Together
from dask_augment.contract.setting import Setting
from dask_augment.dataset.artefacts import read_learned
from dask_augment.events.columns import MissingColumn
from dask_augment.frames import put_questions
from dask_augment.frames.learning import Events, put_to, teach
from dask_augment.frames.questions import Fold, Questions
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.laws import check
from dask_augment.runs.run import run
from question_toys import Median, Overtrained, Rounds, Sum, Trained, moved
from run_toys import plan

SPLIT = da.Split(train=0.6, validation=0.2)
LEARNERS = {"rows": Overtrained(), "after": Rounds(), "fit": Trained()}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.root")


def expected(path: Path, name: str) -> list[float]:
    """What is learned, by hand."""
    events = da.augment(toys.flat_events(path), SPLIT, dataset="toy", **toys.SETTING)
    values, training = np.asarray(events.MET_pt).astype(np.float64), np.asarray(events.split) == 0
    assert 0 < training.sum() < len(values)
    if name == "rows":
        return [values[training].mean(), values[~training].mean(), values.mean()]
    if name == "after":
        return [values[training].mean() / 2**n for n in (1, 2, 3)]
    return [float(np.median(values[training]))]


def learned_in(frame: str, path: Path, folder: Path, learner: Any, where: Any = None) -> Any:
    """What it learned in this frame, or in a run of a plan."""
    if frame == "plan":
        asked = plan(inputs={"fileset": {"toy": {"files": [str(path)]}}, "weight": "genWeight"})
        steps = [SPLIT, ("step", learner)]
        kept = run(replace(asked, steps=steps), folder / "out", where=where, chunksize=70, quiet=True)
        return read_learned(kept.path, kept.manifest)["step"]
    frames: dict[str, Callable[..., toys.Frame]] = {
        "eager": toys.Frame,
        "partitions": toys.ListOfPartitions,
        "dask.dataframe": partial(toys.DaskFrame, partitions=3),
        "dask-awkward": partial(toys.DaskAwkward, partitions=3),
    }
    if frame == "dask-awkward":
        pytest.importorskip("dask_awkward", exc_type=ImportError)
    return frames[frame](path, folder).learn(learner, SPLIT).learned


@pytest.mark.parametrize("frame", ["eager", "partitions", "dask.dataframe", "dask-awkward", "plan"])
@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_the_same_everywhere(name: str, frame: str, path: Path, tmp_path: Path) -> None:
    found = learned_in(frame, path, tmp_path, LEARNERS[name])
    assert found["value"].tolist() == pytest.approx(expected(path, name), rel=1e-6)
    # Where no draw is, all frames learn the same bytes.
    assert found["value"].tolist() == learned_in("eager", path, tmp_path, LEARNERS[name])["value"].tolist()


@pytest.mark.parametrize("name", ["rows", "after"])
def test_laws_hold(name: str) -> None:
    check(LEARNERS[name])


def test_three_kinds_of_rows_are_one_pass(path: Path) -> None:
    passes: list[int] = []

    def ask(questions: Questions) -> Any:
        passes.append(len(questions.questions))
        return questions.measure(events)

    events = toys.flat_events(path)
    stage = Stage(labelled([SPLIT, Overtrained()]), Setting(7, "toy"))
    teach(Events(stage, ask))
    assert passes == [3]


@pytest.mark.parametrize("frame", ["dask-awkward", "dask.dataframe", "plan"])
def test_a_fit_is_done_by_a_worker_that_has_what_it_needs(
    frame: str, path: Path, tmp_path: Path, two_workers: Any
) -> None:
    found = learned_in(frame, path, tmp_path, Trained(needs={"GPU": 1}), two_workers)
    assert str(found["worker"]) == "1"
    assert found["value"].tolist() == pytest.approx(expected(path, "fit"))


def sides(frame: str, path: Path, folder: Path) -> list[Events]:
    """The events as they are, and those that are left of them."""
    kind = {"eager": toys.Frame, "dask.dataframe": partial(toys.DaskFrame, partitions=3)}[frame]
    events = kind(path, folder).events()
    stages = [Stage(labelled(steps), Setting(7, "toy", split=None)) for steps in ([], [da.Select("MET.pt > 30")])]
    return [Events(stage, partial(put_questions, events)) for stage in stages]


@pytest.mark.parametrize("frame", ["eager", "dask.dataframe"])
def test_two_data_sets_are_asked_as_a_pair(frame: str, path: Path, tmp_path: Path) -> None:
    values = np.asarray(toys.flat_events(path).MET_pt).astype(np.float64)
    distance = (values[values > 30].mean() - values.mean()) / values.std()
    assert put_to(moved(), *sides(frame, path, tmp_path), label="metric") == pytest.approx(distance, rel=1e-6)
    medians = put_to(Median().ask(), *sides(frame, path, tmp_path), label="metric")
    assert medians["value"].tolist() == [np.median(values), np.median(values[values > 30])]


def test_two_parts_of_a_run_are_asked_as_a_pair(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run asks its parts: the events as they come, and those that its steps leave."""
    from dask_augment.runs import learn
    from dask_augment.runs.answers import Answers

    asked: list[float] = []
    real = learn.taught

    def taught(segment: Any, job: Any, tasks: Any) -> Any:
        after = real(segment, job, tasks)
        answers = Answers(job.staging)
        given = [replace(after, stage=replace(after.stage, steps=())), after]
        asked.append(put_to(moved(), *(learn.Lessons(one, job, tasks, answers) for one in given), label="metric"))
        return after

    monkeypatch.setattr("dask_augment.runs.run.taught", taught)
    inputs = {"fileset": {"toy": {"files": [str(path)]}}, "weight": "genWeight"}
    run(replace(plan(inputs=inputs, split="none"), steps=[da.Select("MET.pt > 30")]), tmp_path / "out", quiet=True)
    assert asked == [put_to(moved(), *sides("eager", path, tmp_path), label="metric")]


def test_what_cannot_be_asked(path: Path) -> None:
    events = toys.flat_events(path)
    with pytest.raises(ValueError, match=r"rows must be one of \['train', 'test', 'all'\], got 'validation'"):
        Sum(rows="validation")
    with pytest.raises(ValueError, match="at least one question"):
        Together(questions=())
    with pytest.raises(MissingColumn, match="about test events, and no column tells them"):
        da.learn(events, Overtrained(), dataset="toy", **toys.SETTING)
    untaught = Sum(column="found", after=(Trained(),))
    with pytest.raises(RuntimeError, match=r"step 'a\.trained' has not learned yet"):
        put_to(
            untaught.ask(), Events(Stage((), Setting(7, "toy")), lambda questions: questions.measure(events)), label="a"
        )
    all_for_training = ak.with_field(events, np.zeros(len(events), np.int8), "split")
    with pytest.raises(ValueError, match=r"there are no events with split != 0 \(test\)"):
        da.learn(all_for_training, Overtrained(), dataset="toy", **toys.SETTING)


@dataclass(frozen=True)
class Pieces:
    """Numbers side by side, which knows how large it is."""

    values: tuple[int, ...]
    copied: ClassVar[list[int]] = []

    @property
    def nbytes(self) -> int:
        return len(self.values)

    def __add__(self, other: Pieces) -> Pieces:
        self.copied.append(len(self.values) + len(other.values))
        return Pieces(self.values + other.values)


@pytest.mark.parametrize("sizes", [[1] * 1000, [7, 1, 1, 30] * 200, [1000] + [1] * 1000, [], [3]])
def test_answers_are_folded_without_copying_all_for_each(sizes: list[int]) -> None:
    """Lists that are put behind each other are copied some log2 times, whatever comes first."""
    Pieces.copied.clear()
    fold, waiting = Fold(), 0
    for n, size in enumerate(sizes):
        fold.add(Pieces((n,) * size))
        fold.add(None)
        waiting = max(waiting, len(fold._waiting))
    total = fold.total
    assert (total.values if sizes else total) == (tuple(n for n, size in enumerate(sizes) for _ in range(size)) or None)
    assert sum(Pieces.copied) <= sum(sizes) * 12
    assert waiting <= 12


def test_answers_that_do_not_grow_are_added_at_once() -> None:
    """A total that has all its groups is one array; no copies of it wait."""
    fold = Fold()
    for _ in range(500):
        fold.add(np.ones(1000, np.int64))
        assert len(fold._waiting) == 1
    assert fold.total.tolist() == [500] * 1000
    assert Fold(range(100)).total == 4950
    assert Fold([None]).total is None
