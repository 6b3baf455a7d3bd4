"""Teach the learners of a run, each in its turn; learners that can ask together share one pass over the data.

A question can be put as soon as all learners that it depends on have learned: those before it that change rows, and
those whose columns it needs, itself or through other steps. So learners that do not depend on each other share passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

from dask_augment.contract.augmenter import Augmenter, Learner, Measure
from dask_augment.contract.flow import Step
from dask_augment.contract.ids import refuse_repeated_ids
from dask_augment.contract.learned import Learned
from dask_augment.contract.nesting import whole
from dask_augment.contract.questions import Asking, Fit
from dask_augment.frames.questions import Question, Questions, Totals, Work, learning
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import key_of, refuse_unlearned

D = TypeVar("D", bound="Data")
T = TypeVar("T")


class Data(ABC):
    """All the events of a run, and the steps that are left to do on them."""

    @abstractmethod
    def left(self) -> Stage:
        """The steps that are left to do."""

    @abstractmethod
    def having(self, step: Step) -> Self:
        """The same with this step in place of the one of its label."""

    @abstractmethod
    def put(self, questions: Questions) -> Totals:
        """The totals of all the data, in one pass."""

    def folder(self) -> str | None:
        """Where what is large is stored before it travels; None: nowhere."""
        return None

    def work(self, work: Work, total: Any) -> Learned:
        """Have it done by one worker."""
        return work(total)

    def stores(self, before: Stage) -> bool:  # noqa: ARG002
        """Whether the events after these steps are stored before anything is asked about them."""
        return False

    def stored(self, before: Stage) -> Self:  # noqa: ARG002
        """The same with the events after these steps."""
        return self

    def known(self, step: Step) -> Learned | None:  # noqa: ARG002
        """What the step learned before, in a run that goes on."""
        return None

    def unique(self) -> None:  # noqa: B027  most keep no note of it
        """No event stands twice."""

    def learned(self, step: Step) -> Self:
        """The same with the step that has learned now."""
        return self.having(step)


@dataclass(frozen=True)
class Events(Data):
    """Events that are asked by a function, and stay where they are."""

    stage: Stage
    ask: Callable[[Questions], Totals]
    artefacts: str | None = None
    do: Callable[[Work, Any], Learned] = Work.__call__

    def left(self) -> Stage:
        """The steps that are left to do."""
        return self.stage

    def folder(self) -> str | None:
        """Where what is large is stored."""
        return self.artefacts

    def having(self, step: Step) -> Self:
        """The same with this step in place of the one of its label."""
        return replace(self, stage=self.stage.with_step(step))

    def put(self, questions: Questions) -> Totals:
        """The totals of all the data."""
        return self.ask(questions)

    def work(self, work: Work, total: Any) -> Learned:
        """Have it done where the events are."""
        return self.do(work, total)


def teach(data: D, pupils: Collection[str] | None = None, *, check: str | None = None) -> D:
    """The same with the learners ``pupils`` taught; all that there are unless given.

    ``check``: the name under which it is made sure that no event stands twice, in passes of the first questions or, if
    there are none, its own; None: it is not.
    """
    stage = data.left()
    waiting = {step.label for step in stage.untaught if pupils is None or step.label in pupils}
    asking: dict[str, Asking[Any]] = {}
    if check is not None:
        asking[_IDS] = Asking(refuse_repeated_ids(stage.setting.ids))
    while True:
        data = _begun(data, waiting, asking)
        if not asking:
            return data
        asked = _ready(data.left(), waiting, asking, check or "")
        answers = iter(_totals(data, [question for questions in asked.values() for question in questions]))
        for label, questions in asked.items():
            mine = [next(answers) for _ in questions]
            if label == _IDS:
                _answer_ids(asking, mine, data)
                continue
            try:
                with learning(label):
                    answers_of = [_worked(data, one, total) for one, total in zip(questions, mine, strict=True)]
                    asking[label].answer(answers_of)
            except Exception:
                while _IDS in asking:  # What went wrong may have come of events that stand twice.
                    _answer_ids(asking, _totals(data, _of_ids(data.left(), asking, check or "")), data)
                raise
            if not asking[label].open:
                waiting.discard(label)
                data = _finished(data, label, asking.pop(label).result)


def put_to(questions: Generator[Measure[Any], Any, T], *data: Data, label: str) -> T:
    """What comes of questions that are put to several data sets, such as to one before and after it was augmented.

    Each is answered by a tuple of their totals, None of one without rows; a fit is given that tuple. ``label`` keys random
    numbers.
    """
    asking = Asking(questions)
    while asking.open:
        totals = [_totals(one, [Question.of(m, one.left(), label).pruned() for m in asking.open]) for one in data]
        answers = zip(asking.open, zip(*totals, strict=True), strict=True)
        first = data[0]
        asking.answer([first.work(Work(m, first.folder()), t) if isinstance(m, Fit) else t for m, t in answers])
    result: T = asking.result
    return result


_IDS = ""
"""No step has this label."""


def _begun(data: D, waiting: set[str], asking: dict[str, Asking[Any]]) -> D:
    """The data that those are taught with who are at their questions now: all but those whose events must be stored yet."""
    for step in data.left().steps:
        if step.label not in waiting or step.label in asking:
            continue
        learned = data.known(step)
        if learned is not None:
            waiting.discard(step.label)
            data = data.having(replace(step, augmenter=_with(step, learned)))
            continue
        before = data.left().before(step.label)
        if data.stores(before):
            if _IDS in asking or waiting & {one.label for one in before.steps}:
                break
            data = data.stored(before)
        learner = step.augmenter
        assert isinstance(learner, Learner)
        course = Asking(learner.learning())
        if course.open:
            asking[step.label] = course
        else:
            waiting.discard(step.label)
            data = _finished(data, step.label, course.result)
    return data


def _ready(stage: Stage, waiting: set[str], asking: dict[str, Asking[Any]], check: str) -> dict[str, list[Question]]:
    """The questions that can be put now in one pass, by whose they are."""
    asked = {_IDS: _of_ids(stage, asking, check)} if _IDS in asking else {}
    for label in [label for label in asking if label != _IDS]:
        questions = [Question.of(m, stage.before(label), label).pruned() for m in asking[label].open]
        missing = [step for one in questions for step in one.stage.untaught]
        for step in missing:
            if step.label not in waiting:
                refuse_unlearned(step)
        if not missing:
            asked[label] = questions
    # A worker that has what one of them needs may not have what another one does.
    first = Questions(tuple(next(iter(asked.values())))).resources
    return {label: some for label, some in asked.items() if Questions(tuple(some)).resources == first}


def _of_ids(stage: Stage, asking: dict[str, Asking[Any]], check: str) -> list[Question]:
    """About all events as they come, before any step: what steps make of them is told apart by its copy number."""
    plain = replace(stage, steps=(), setting=replace(stage.setting, split=None))  # test rows, too
    return [Question(plain, measure, check) for measure in asking[_IDS].open]


def _answer_ids(asking: dict[str, Asking[Any]], answers: Sequence[Any], data: Data) -> None:
    if None not in answers:  # else there are no events
        asking[_IDS].answer(answers)
    if None in answers or not asking[_IDS].open:
        del asking[_IDS]
        data.unique()


def _totals(data: Data, questions: Sequence[Question]) -> tuple[Any, ...]:
    """The totals of all the data; what is asked about may be large, and is stored: a task carries its address alone."""
    asked, folder = Questions(tuple(questions)), data.folder()
    for question in questions:
        values = [getattr(question.measure, field.name) for field in fields(question.measure)]
        inside = [step.learned for outer in question.measure.after for step in whole(outer)]
        for value in (*values, *inside):
            if folder is not None and isinstance(value, Learned):
                value.put(folder)
    with learning(*(one.label for one in questions)):
        return data.put(asked).answers


def _worked(data: Data, question: Question, total: Any) -> Any:
    """The answer to a question of a learner, from its total."""
    if total is None:
        split, rows = question.stage.setting.split, question.measure.rows
        which = {"train": f" with {split} == 0 (training)", "test": f" with {split} != 0 (test)"}.get(rows, "")
        raise ValueError(
            f"step {question.label!r} has nothing to learn from: there are no events{which if split else ''}"
        )
    measure = question.measure
    return data.work(Work(measure, data.folder()), total) if isinstance(measure, Fit) else total


def _finished(data: D, label: str, learned: Learned | None) -> D:
    """The data with the learner that has learned this."""
    step = next(step for step in data.left().steps if step.label == label)
    if step.augmenter.keyed and learned is not None:
        learned = learned.under(key_of(label, data.left().setting))
    folder = data.folder()
    if folder is not None and learned is not None:
        learned.put(folder)
    return data.learned(replace(step, augmenter=_with(step, learned)))


def _with(step: Step, learned: Learned | None) -> Augmenter:
    learner = step.augmenter
    assert isinstance(learner, Learner)
    return replace(learner, learned=learned)
