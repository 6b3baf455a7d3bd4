"""Which columns steps need, make and leave, from their declarations alone: for compounds, plans, frames and runs.

A column has one dotted name here, whatever it is called where it comes from, and where a step makes fields of ``Jet``, there
is a counter ``nJet``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from dask_augment.contract.augmenter import Augmenter, Learner
from dask_augment.contract.interpolating import Interpolating
from dask_augment.contract.setting import Setting
from dask_augment.events.names import dotted, flat
from dask_augment.events.own_columns import CHANGED, DATASET, PROVENANCE, SPLIT, is_provenance, lineage


@dataclass(frozen=True)
class Step:
    """One augmenter under its label, and its position among the steps; what it says of its columns is asked once."""

    label: str
    augmenter: Augmenter
    position: int = 0

    @cached_property
    def uses(self) -> frozenset[str]:
        """The columns that it needs, also to learn."""
        return frozenset(self.augmenter.uses())

    @cached_property
    def remedies(self) -> Mapping[str, str]:
        """What to do where a column of these is missing."""
        used = self.augmenter.uses()
        return used if isinstance(used, Mapping) else {}

    @cached_property
    def gets(self) -> frozenset[str]:
        """The columns that ``apply`` gets."""
        return self.augmenter.reads_to_apply() if isinstance(self.augmenter, Learner) else self.uses

    @cached_property
    def between(self) -> tuple[str, ...]:
        """The columns among its products that lie between those of two rows, and that the frame computes."""
        return self.augmenter.between() if isinstance(self.augmenter, Interpolating) else ()

    @cached_property
    def produces(self) -> Mapping[str, str | None]:
        """The columns that it produces, with their types."""
        return self.augmenter.produces()

    @cached_property
    def products(self) -> frozenset[str]:
        """The columns that it produces, dotted."""
        return frozenset(map(dotted, self.produces))

    @property
    def bit(self) -> int:
        """Its bit in ``augment_changed``: its position; all from the 62nd on share bit 62."""
        return min(self.position, 62)


@dataclass(frozen=True)
class Flow:
    """Steps in order, with the setting that they share, and the columns that go through them."""

    steps: tuple[Step, ...]
    setting: Setting

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (*((s.label, s.position, s.augmenter.digest) for s in self.steps), repr(self.setting))

    @property
    def keyed(self) -> bool:
        """Whether any step reads ids."""
        return any(step.augmenter.keyed for step in self.steps)

    @property
    def keeps_rows(self) -> bool:
        """Whether rows stay as they are."""
        return all(step.augmenter.keeps_rows for step in self.steps)

    @property
    def interpolates(self) -> bool:
        """Whether rows are made that lie between two others."""
        return any(isinstance(step.augmenter, Interpolating) for step in self.steps)

    @property
    def changed_bits(self) -> dict[str, int]:
        """Labels of the steps that may alter values, each with its bit in ``augment_changed``."""
        altering = (step for step in self.steps if step.augmenter.use == "training" and step.augmenter.keeps_rows)
        return {step.label: step.bit for step in altering}

    @property
    def untaught(self) -> list[Step]:
        """The learners that have not learned."""
        return [s for s in self.steps if isinstance(s.augmenter, Learner) and s.augmenter.learned is None]

    def on(self, dataset: str) -> Self:
        """The same for events of this data set."""
        return replace(self, setting=replace(self.setting, dataset=dataset))

    # Some of the steps ------------------------------------------------------------------------------------------------

    def before(self, label: str) -> Self:
        """The steps before this one."""
        at = next(i for i, step in enumerate(self.steps) if step.label == label)
        return replace(self, steps=self.steps[:at])

    def after(self, done: Flow) -> Self:
        """The steps that are left when those of ``done``, the first ones, are done."""
        return replace(self, steps=self.steps[len(done.steps) :])

    def with_step(self, step: Step) -> Self:
        """The same with this step in place of the one of its label."""
        return replace(self, steps=tuple(step if old.label == step.label else old for old in self.steps))

    def pruned(self, final: Iterable[str]) -> Self:
        """Without row-keeping steps whose products nobody needs; ``final`` are the columns asked for at the end."""
        wanted = set(map(dotted, final))
        kept: list[Step] = []
        for step in reversed(self.steps):
            if step.augmenter.keeps_rows and not with_counters(step.products) & wanted:
                continue
            kept.append(step)
            extra = set(step.uses) | (set(self.setting.ids) if step.augmenter.keyed else set())
            if step.augmenter.use == "training" and self.setting.split is not None:
                extra.add(self.setting.split)
            wanted |= set(map(dotted, extra))
        return replace(self, steps=tuple(reversed(kept)))

    # Columns ----------------------------------------------------------------------------------------------------------

    def missing(self, there: Iterable[str] = ()) -> dict[str, Step]:
        """Columns that steps use, and that neither are there nor made by a step before, with the first step that does."""
        known = with_counters(there)
        found: dict[str, Step] = {}
        for step in self.steps:
            for name in sorted(step.uses):
                if dotted(name) not in known:
                    found.setdefault(name, step)
            known |= with_counters(step.products)
        return found

    def needed(self, final: Iterable[str], *, keyed: bool) -> frozenset[str]:
        """Every column that the steps and a question about ``final`` may read, whether there is one or not."""
        setting = self.setting
        needed = {*final, *PROVENANCE, CHANGED, setting.split or SPLIT, DATASET}.union(*(s.uses for s in self.steps))
        if keyed or self.keyed:
            needed |= {*setting.ids}
        if not self.keeps_rows:
            needed |= {*setting.zeroed}
        for step in self.steps:
            if step.augmenter.use == "training":  # the rows that it leaves alone keep theirs, or as many zeros
                needed |= with_counters(step.products)
        return frozenset(needed)

    @cached_property
    def made(self) -> frozenset[str]:
        """Columns that steps produce, dotted."""
        return frozenset().union(*(step.products for step in self.steps))

    @property
    def written(self) -> frozenset[str]:
        """Columns that may have other values after the steps, where there are such: theirs, and those about rows."""
        written = {*self.made, CHANGED}
        for step in self.steps:
            if step.augmenter.makes:
                written |= {*self.about_rows(step), *self.setting.zeroed}
        return frozenset(written)

    def about_rows(self, step: Step) -> dict[str, str]:
        """Columns, and their types, that tell of the rows that a step made."""
        if not step.augmenter.makes:
            return {}
        return {**PROVENANCE, **(lineage(self.setting.ids) if isinstance(step.augmenter, Interpolating) else {})}

    @cached_property
    def _left(self) -> dict[str, frozenset[str]]:
        """By the label of each step that leaves the columns that are true of the rows it made, these."""
        found = {}
        for step in self.steps:
            carried = step.augmenter.carries() if isinstance(step.augmenter, Interpolating) else None
            if carried is not None:
                found[step.label] = step.products | set(map(dotted, {*carried, *self.setting.always_left}))
        return found

    @property
    def narrowing(self) -> list[str]:
        """Labels of the steps that do not leave all columns."""
        return list(self._left)

    def leaves(self, name: str) -> bool:
        """Whether a column that there is before the steps is there after them."""
        return all(_is_left(name, left) for left in self._left.values())

    def refuse_gone(self) -> None:
        """Raise ValueError for a step that uses a column which a step before it did not leave."""
        left: frozenset[str] | None = None
        by = ""
        for step in self.steps:
            gone = [] if left is None else sorted(name for name in step.uses if not _is_left(name, left))
            if gone:
                raise ValueError(
                    f"step {step.label!r} uses {gone[0]!r}, which is not there after step {by!r}: that keeps only "
                    f"columns that are right for the rows it makes. Put {step.label!r} before it, make {gone[0]!r} "
                    "one of its features, or say carry: parent, with which its rows have their parent's values"
                )
            if step.label in self._left:
                left, by = self._left[step.label], step.label
            elif left is not None:
                left |= with_counters(step.products)


def _is_left(name: str, left: Collection[str]) -> bool:
    """Whether a column is among those that are left, tells of provenance, or is a frame's own."""
    return dotted(name) in left or is_provenance(name) or name.startswith("\x00")


def with_counters(names: Iterable[str]) -> set[str]:
    """Columns, dotted, with the counters of their collections."""
    found = set(map(dotted, names))
    return found | {f"n{name.partition('.')[0]}" for name in found if "." in name}


def read_for(needed: Iterable[str], columns: Sequence[str], is_list: Callable[[str], bool]) -> tuple[str, ...]:
    """Those of flat columns that are read for these; a counter is also had from any list of its collection."""
    names = set(map(flat, needed))
    kept = names & {*columns}
    for counter in names - kept:
        lists = [name for name in columns if f"n{name.partition('_')[0]}" == counter and is_list(name)]
        kept.update(lists[:1])
    return tuple(name for name in columns if name in kept)
