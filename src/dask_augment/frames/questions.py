"""Questions of learners in frames: each about some rows after a stage, and several in one pass over the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Measure
from dask_augment.contract.flow import Step
from dask_augment.contract.ids import RepeatedIds, refuse_keyless
from dask_augment.contract.learned import Learned
from dask_augment.contract.questions import Fit
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.own_columns import DATASET, PROVENANCE
from dask_augment.frames.apply_step import act
from dask_augment.frames.row_columns import about
from dask_augment.frames.stage import Slices, Stage
from dask_augment.frames.step_inputs import draw_of, given, only, refuse_missing_values, seed_of
from dask_augment.frames.steps import refuse_unlearned
from dask_augment.plans.registry import with_labels

_LEARNS = "which learns from the events that it gets"
TREE_WIDTH = 16
"""Answers that one task of a reduction adds up."""


@dataclass(frozen=True)
class Question:
    """One question of the step ``label``, about the events after a stage."""

    stage: Stage
    measure: Measure[Any]
    label: str

    @classmethod
    def of(cls, measure: Measure[Any], before: Stage, label: str) -> Question:
        """The question of a step that comes after these, with the steps that the question brings."""
        number = len(before.steps)
        extra = [Step(f"{label}.{name}", s, number + i) for i, (name, s) in enumerate(with_labels(measure.after))]
        for step in extra:
            refuse_unlearned(step)
        return cls(replace(before, steps=(*before.steps, *extra)), measure, label)

    def pruned(self) -> Question:
        """The same without the steps that it does not depend on."""
        setting, measure = self.stage.setting, self.measure
        needed = {*measure.uses(), *(setting.ids if measure.keyed else ())}
        if measure.keyed and setting.dataset is None:
            needed.add(DATASET)
        if measure.rows != "all":
            needed.add(setting.split or "")
        return replace(self, stage=self.stage.pruned(frozenset(needed)))

    def about(self, events: ak.Array) -> ak.Array:
        """Those of the events after its stage that it is about."""
        rows = about(events, self.measure.rows, self.stage.setting.split)
        return events if rows is None else events[rows]

    def answer(self, events: ak.Array) -> Any:
        """The answer of the events after its stage; None where there are no rows that it is about."""
        setting, measure = self.stage.setting, self.measure
        with learning(self.label):
            events = self.about(events)
            if len(events) == 0:
                return None
            draw = draw_of(self.label, events, setting) if measure.keyed else None
            refuse_missing_values(events, measure.uses() - given(measure.uses(), events, setting))
            return measure.measure(only(events, measure.uses(), setting), draw)

    def touch(self, events: ak.Array) -> None:
        """Mark the columns that it reads of events before its stage that are typetracers."""
        events = self.stage.shape_only(events)
        setting, measure = self.stage.setting, self.measure
        needed = set(measure.uses() - given(measure.uses(), events, setting))
        if measure.keyed:
            seed_of(self.label, setting)
            refuse_keyless(events, setting.ids, setting.dataset)
            needed |= {*setting.ids} | ({DATASET} if setting.dataset is None else set())
            needed |= {name for name in PROVENANCE if cols.has(events, name)}
        if measure.rows != "all" and setting.split is not None and cols.has(events, setting.split):
            needed.add(setting.split)
        forms.touch(events, needed)

    def __dask_tokenize__(self) -> Any:
        kind = type(self.measure)
        # Another class may have the same fields.
        return (self.stage.__dask_tokenize__(), f"{kind.__module__}.{kind.__qualname__}", self.measure, self.label)


@dataclass(frozen=True)
class Totals:
    """The answers to several questions, in their order; None where there were no rows to ask."""

    answers: tuple[Any, ...]

    def __add__(self, other: Totals) -> Totals:
        return Totals(tuple(total(pair) for pair in zip(self.answers, other.answers, strict=True)))


@dataclass(frozen=True)
class Questions:
    """Questions that are put in one pass over the data."""

    questions: tuple[Question, ...]

    def measure(self, events: ak.Array) -> Totals:
        """The answers of some events; steps that several questions have in common are done once, on a slice at a time."""
        folds = [Fold(() if one.stage.steps else [one.answer(events)]) for one in self.questions]
        staged = [(one, fold) for one, fold in zip(self.questions, folds, strict=True) if one.stage.steps]
        slices = Slices()
        for some in slices.of(events) if staged else ():
            done: dict[tuple[int, ...], ak.Array] = {(): some}
            for one, fold in staged:
                fold.add(one.answer(_after(one.stage, done)))
            for made in done.values():
                slices.saw(made)
        return Totals(tuple(fold.total for fold in folds))

    def over(self, partitions: Iterable[ak.Array]) -> Totals:
        """The answers of all these partitions."""
        return self.total(self.measure(events) for events in partitions)

    def total(self, parts: Iterable[Totals]) -> Totals:
        """The answers of parts, added up."""
        folds = [Fold() for _ in self.questions]
        for part in parts:
            for fold, answer in zip(folds, part.answers, strict=True):
                fold.add(answer)
        return Totals(tuple(fold.total for fold in folds))

    def touch(self, events: ak.Array) -> None:
        """Mark the columns that are read of events that are typetracers."""
        for question in self.questions:
            question.touch(events)

    def on(self, dataset: str) -> Questions:
        """The questions to events of this data set."""
        return Questions(tuple(replace(one, stage=one.stage.on(dataset)) for one in self.questions))

    def needs(self) -> frozenset[str]:
        """Every column that may be read, whether there is one or not."""
        found = (one.stage.needed(one.measure.uses(), keyed=one.measure.keyed) for one in self.questions)
        return frozenset().union(*found)

    @property
    def resources(self) -> dict[str, float]:
        """What a worker must have free to ask them."""
        needed: dict[str, float] = {}
        for question in self.questions:
            for name, amount in question.stage.resources.items():
                needed[name] = max(amount, needed.get(name, 0))
        return needed

    @property
    def told(self) -> str:
        """Whose questions they are, for a person."""
        return ", ".join(dict.fromkeys(one.label for one in self.questions if one.label)) or "ids"

    def __dask_tokenize__(self) -> Any:
        return ("dask_augment", self.questions)


@dataclass(frozen=True)
class Work:
    """What one worker is to do with the total of a question."""

    fit: Fit
    artefacts: str | None = None
    """Where what was learned is stored, by that worker."""
    name = "augment-fit"

    @property
    def resources(self) -> dict[str, float]:
        """What the worker must have free."""
        return dict(self.fit.resources())

    def __call__(self, total: Any) -> Learned:
        """What is learned from the total."""
        learned = self.fit.fit(total)
        return learned if self.artefacts is None else learned.put(self.artefacts)


@contextmanager
def learning(*labels: str) -> Iterator[None]:
    """Errors say that they come of what these steps learn from, unless they say it of one; "" is none."""
    try:
        yield
    except Exception as error:
        told = " or ".join(f"step {label!r}" for label in dict.fromkeys(labels) if label)
        said = (str(error), *getattr(error, "__notes__", ()))
        if told and not isinstance(error, RepeatedIds) and not any(_LEARNS in text for text in said):
            error.add_note(f"in {told}, {_LEARNS}")
        raise


class Fold:
    """Answers added up as they come, in any order; those of partitions without rows are None.

    A sum waits until one of at least half its size comes, as a digit of a counter waits for the carry. So an answer is
    added some log2(answers) times, and not once for each answer after it; and what waits is no more than twice the total.
    """

    def __init__(self, answers: Iterable[Any] = ()) -> None:
        self._waiting: list[tuple[int, Any]] = []
        for answer in answers:
            self.add(answer)

    def add(self, answer: Any) -> None:
        """One answer more."""
        if answer is None:
            return
        number = 1
        while self._waiting and self._waiting[-1][0] <= 2 * _size(answer, number):
            before, earlier = self._waiting.pop()
            answer, number = earlier + answer, before + number
        self._waiting.append((_size(answer, number), answer))

    @property
    def total(self) -> Any:
        """The sum of all so far; None if there are none."""
        found = None
        for _, earlier in reversed(self._waiting):
            found = earlier if found is None else earlier + found
        return found


def _size(total: Any, number: int) -> int:
    """Bytes of a total that tells them; else the number of answers that it is the sum of."""
    return int(getattr(total, "nbytes", number))


def total(parts: Iterable[Any]) -> Any:
    """The sum of the answers of partitions; those without rows answered None."""
    return Fold(parts).total


def _after(stage: Stage, done: dict[tuple[int, ...], ak.Array]) -> ak.Array:
    """The events after a stage; ``done`` has those after other steps."""
    steps: tuple[int, ...] = ()
    for step in stage.steps:
        before, steps = steps, (*steps, id(step))
        if steps not in done:
            done[steps] = act(step, done[before], stage.setting, Account())
    return done[steps]
