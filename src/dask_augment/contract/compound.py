"""Several steps under one name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import awkward as ak

from dask_augment.contract.augmenter import Augmenter, Learner, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.flow import Flow, Step
from dask_augment.contract.learned import Learned
from dask_augment.contract.setting import Setting

A = TypeVar("A", bound=Augmenter)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compound(Augmenter):
    """Several steps under one name: before it is learned or run, it is taken apart into them, and compounds in it too.

    Each step has the label of the compound and its own name, ``smote_enn.smote``, under which it learns, draws and is
    accounted for as if the plan named it.
    """

    learned: tuple[Any, ...] | None = None
    """What each of the steps learned: None for one that does not, for a compound a tuple as this one."""

    def __post_init__(self) -> None:
        self.steps()  # each refuses wrong options, which are those of the compound

    @abstractmethod
    def steps(self) -> tuple[Augmenter, ...]:
        """The steps, in order; some may be compounds."""

    @property
    def parts(self) -> tuple[Augmenter, ...]:
        """The steps with what they learned."""
        steps = self.steps()
        learned = self.learned or (None,) * len(steps)
        both: Any = zip(steps, learned, strict=True)  # those that learned are learners, which have the field
        return tuple(step if one is None else replace(step, learned=one) for step, one in both)

    def taught_by(self, learned: Iterable[Learned | None]) -> Self:
        """The compound with what its steps learned, one entry for each step that it is taken apart into, in order."""
        left = iter(learned)
        mine = (step.taught_by(left).learned if isinstance(step, Compound) else next(left) for step in self.steps())
        return replace(self, learned=tuple(mine))

    def of(self, kind: type[A], **options: Any) -> A:
        """A step of this kind, with the options of the compound that it knows, and these."""
        mine = {field.name for field in fields(self)} & {field.name for field in fields(kind)} - {"learned"}
        return kind(**{name: getattr(self, name) for name in mine} | options)

    def uses(self) -> Mapping[str, str]:
        """Columns that the steps use and none of them makes before, with what to do where one is missing."""
        flow = Flow(tuple(Step("", step) for step in self.steps()), Setting())
        return {name: step.remedies.get(name, "") for name, step in flow.missing().items()}

    def produces(self) -> Mapping[str, str | None]:
        """Columns that the steps produce."""
        return {name: kind for step in self.steps() for name, kind in step.produces().items()}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Its steps are applied, one after the other, each to what the frame makes of the one before."""
        raise TypeError(f"{type(self).__name__} is several steps and is not applied by itself: use augment or a plan")

    def report(self) -> list[dict[str, Any]]:
        """The reports of the steps, one after the other."""
        return [entry for part in self.parts if isinstance(part, (Learner, Compound)) for entry in part.report()]

    @property
    def digest(self) -> str:
        """sha256 of class, configuration and what the steps learned."""
        return self._digest([part.digest for part in self.parts])
