"""The case that a law is tested on: an augmenter, events, and the settings of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.compound import Compound
from dask_augment.contract.draw import Draw
from dask_augment.contract.flow import Step
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.frames.check_output import PromiseBroken
from dask_augment.frames.learning import Events, teach
from dask_augment.frames.planning import narrow
from dask_augment.frames.questions import Question
from dask_augment.frames.stage import Stage
from dask_augment.frames.step_inputs import draw_of, only
from dask_augment.frames.steps import labelled
from dask_augment.laws.sample import sample_events


class LawBroken(AssertionError):
    """An augmenter, or the frame that runs it, breaks a law; the sentence says how."""


SETTING = Setting(seed=1, dataset="sample")


@dataclass(frozen=True)
class Case:
    """One augmenter, events to try it on, and the setting of the run.

    The events are nested, as :func:`sample_events` makes them. A learner is taught by all of them when it is needed.
    """

    augmenter: Augmenter
    events: ak.Array = field(default_factory=sample_events)
    setting: Setting = SETTING

    @cached_property
    def label(self) -> str:
        """The name of the augmenter, by which random numbers are keyed."""
        return labelled([self.augmenter])[0].label

    @cached_property
    def ready(self) -> Augmenter:
        """The augmenter, taught by all the events where it has to learn."""
        if isinstance(self.augmenter, Learner) and self.augmenter.learned is None:
            return self.taught([self.events])
        return self.augmenter

    @cached_property
    def step(self) -> Step:
        """The augmenter as the one step of a run."""
        return Step(self.label, self.ready)

    @cached_property
    def stage(self) -> Stage:
        """The run of this one step."""
        return Stage((self.step,), self.setting)

    def on(self, events: ak.Array) -> Case:
        """The same with other events; what was learned is forgotten."""
        return replace(self, events=events, augmenter=self.untaught)

    def after(self, *steps: tuple[str, Augmenter]) -> Case:
        """The same after these steps, whose result is what it learns from."""
        return self.on(self.chain(self.events, *steps))

    def apart(self) -> tuple[Case, ...]:
        """One case for each step of a compound, with the events that the steps before it give; else this one."""
        if not isinstance(self.augmenter, Compound):
            return (self,)
        cases: list[Case] = []
        events = self.events
        for step in self.augmenter.steps():
            cases.append(replace(self, augmenter=step, events=events))
            events = ak.to_packed(cases[-1].run(events))
        return tuple(cases)

    @property
    def untaught(self) -> Augmenter:
        """The augmenter before it learned."""
        return replace(self.augmenter, learned=None) if isinstance(self.augmenter, Learner) else self.augmenter

    def taught(self, partitions: Sequence[ak.Array]) -> Learner:
        """The augmenter, taught by these partitions one after the other."""
        step = Step(self.label, self.untaught)
        data = Events(Stage((step,), self.setting), lambda questions: questions.over(partitions))
        (step,) = teach(data, check=self.label if step.augmenter.keyed else None).stage.steps
        assert isinstance(step.augmenter, Learner)
        return step.augmenter

    def run(self, events: ak.Array, account: Account | None = None) -> ak.Array:
        """Run the step on events, as a frame does on one partition."""
        return self.chain(events, (self.label, self.ready), account=account)

    def chain(self, events: ak.Array, *steps: tuple[str, Augmenter], account: Account | None = None) -> ak.Array:
        """Run several steps on events."""
        try:
            return Stage(labelled(steps), self.setting).run(events, account)
        except PromiseBroken as error:
            raise LawBroken(str(error)) from error

    @property
    def training(self) -> ak.Array:
        """The events that are for training."""
        split = self.setting.split
        return self.events if split is None else self.events[cols.column(self.events, split).data == 0]

    @property
    def acting(self) -> ak.Array:
        """The events that the step acts on, where no step before it made rows."""
        return self.training if self.augmenter.use == "training" else self.events

    def inputs(self) -> tuple[ak.Array, Draw | None]:
        """What the frame hands to ``apply``."""
        augmenter, events = self.augmenter, self.acting
        return self.only(events, frozenset(augmenter.uses())), self.draw(events) if augmenter.keyed else None

    def about(self, question: Measure[Any]) -> ak.Array:
        """The events that a question is about."""
        asked = Question.of(question, Stage((), self.setting), self.label)
        return asked.about(asked.stage.run(self.events))

    def only(self, events: ak.Array, columns: frozenset[str]) -> ak.Array:
        """The events with these columns, as the frame hands them over."""
        return only(events, columns, self.setting)

    def draw(self, events: ak.Array) -> Draw:
        """The random numbers of these events in this step."""
        return draw_of(self.label, events, self.setting)

    def narrowed(self, events: ak.Array) -> ak.Array:
        """The events with the columns that the step leaves."""
        return narrow(self.step, events, self.setting)

    def broken(self, how: str) -> LawBroken:
        """The error that says how this augmenter breaks a law."""
        return LawBroken(f"{self.label}: {how}")


def case_of(augmenter: Augmenter, events: ak.Array, setting: Setting) -> Case:
    """A case; events that lack ``weight`` or ``split`` are given them."""
    missing: dict[str, Any] = {}
    for name in setting.weights:
        if not cols.has(events, name):
            missing[name] = np.where(np.arange(len(events)) % 5 == 0, -0.5, 1.25)
    if setting.split is not None and not cols.has(events, setting.split):
        missing[setting.split] = np.array([0, 0, 1, 0, 2], np.int8)[np.arange(len(events)) % 5]
    events = cols.assemble(events, {name: cols.as_content(values) for name, values in missing.items()})
    return Case(augmenter, events, setting)


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe(Augmenter):
    """Write one random number for each row, as a later step would draw it."""

    keyed = True

    def uses(self) -> frozenset[str]:
        """No column but the ids."""
        return frozenset()

    def produces(self) -> Mapping[str, str | None]:
        """The number."""
        return {"probe": "float64"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Draw it."""
        assert draw is not None
        return Output({"probe": draw.uniform(0)})
