"""What steps read and give, and what they are refused for, from promises and the form of the events alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import awkward as ak

from dask_augment import columns as cols
from dask_augment import forms
from dask_augment.carrying import is_left, left_by
from dask_augment.flow import Step
from dask_augment.frames.given import following, given, known_weights, seed_of, zeroed
from dask_augment.frames.rows import alters, changed_bit, divides, spares_originals
from dask_augment.frames.steps import Setting, refuse_other_key
from dask_augment.identity import refuse_keyless
from dask_augment.interpolating import Interpolating
from dask_augment.own_columns import CHANGED, DATASET, KIND, PROVENANCE, SPLIT, lineage


@dataclass(frozen=True)
class Steps:
    """Steps in order, with the setting that they share."""

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
        return {
            step.label: changed_bit(step)
            for step in self.steps
            if step.augmenter.use == "training" and step.augmenter.keeps_rows
        }

    def before(self, label: str) -> Self:
        """The steps before this one."""
        at = next(i for i, step in enumerate(self.steps) if step.label == label)
        return replace(self, steps=self.steps[:at])

    def after(self, done: Steps) -> Self:
        """The steps that are left when those of ``done``, the first ones, are done."""
        return replace(self, steps=self.steps[len(done.steps) :])

    def with_step(self, step: Step) -> Self:
        """The same with this step in place of the one of its label."""
        return replace(self, steps=tuple(step if old.label == step.label else old for old in self.steps))

    def pruned(self, needed: frozenset[str]) -> Self:
        """Without row-keeping steps whose products nobody needs; ``needed`` are the columns asked for at the end."""
        wanted = {cols.dotted(name) for name in needed}
        kept: list[Step] = []
        for step in reversed(self.steps):
            if step.augmenter.keeps_rows and not step.products & wanted:
                continue
            kept.append(step)
            extra = set(step.uses) | (set(self.setting.ids) if step.augmenter.keyed else set())
            if step.augmenter.use == "training" and self.setting.split is not None:
                extra.add(self.setting.split)
            wanted |= {cols.dotted(name) for name in extra}
        return replace(self, steps=tuple(reversed(kept)))

    def needs(self, final: Iterable[str], *, keyed: bool) -> frozenset[str]:
        """Every column that the steps and a question about ``final`` may read, whether there is one or not."""
        setting = self.setting
        needed = {*final, *PROVENANCE, CHANGED, setting.split or SPLIT, DATASET}
        for step in self.steps:
            needed |= step.uses
        if keyed or self.keyed:
            needed |= {*setting.ids}
        if not self.keeps_rows:
            needed |= {*setting.zeroed}
        return frozenset(needed)


def settled(steps: Iterable[Step], columns: Iterable[str]) -> tuple[Step, ...]:
    """The steps with the names that their wildcards match, of these columns and those that steps before them make."""
    known, result = {cols.dotted(name) for name in columns}, []
    for step in steps:
        result.append(replace(step, augmenter=step.augmenter.matched(known)))
        known |= result[-1].products
    return tuple(result)


def remarks(steps: Iterable[Step], columns: Iterable[str]) -> list[str]:
    """What is to be said of columns that steps leave as they are; ``columns`` are those that the first one finds."""
    known, said = {cols.dotted(name) for name in columns}, []
    for step in steps:
        if text := step.augmenter.remark(known):
            said.append(f"step {step.label!r} {text}")
        known |= step.products
    return said


# One step ------------------------------------------------------------------------------------------------------------


def refuse(step: Step, events: ak.Array, setting: Setting) -> None:
    """Raise where a step cannot do what it says with these events, or would falsify their weights in silence."""
    augmenter = step.augmenter
    refuse_other_key(step, setting)
    _refuse_missing(step, events, setting)
    if augmenter.keyed:
        seed_of(step.label, setting)
        refuse_keyless(events, setting.ids, setting.dataset)
    if augmenter.makes and augmenter.use != "training":
        raise ValueError(
            f'step {step.label!r} makes {augmenter.makes}, so it must say use = "training": otherwise it would make them '
            "of test events too, and of those in an analysis"
        )
    if augmenter.makes == "interpolated" and not isinstance(augmenter, Interpolating):
        raise TypeError(
            f"step {step.label!r} makes rows between others, so it must say which: derive it from Interpolating"
        )
    weights = [name for name in setting.weights if cols.has(events, name)]
    _refuse_unweighted(step, events, setting, weights)
    _refuse_collections_that_are_there(step, events)
    left = [name for name in weights if cols.dotted(name) not in step.products]
    drops = augmenter.use == "training" and not augmenter.keeps_rows and not augmenter.makes
    named = augmenter.rescales()
    if drops and left and (named or len(left) < len(weights)):
        rescaled = list(named) or [name for name in weights if name not in left]
        raise ValueError(
            f"step {step.label!r} drops rows and rescales the weights {rescaled}, but not {left}, whose sums would no "
            f"longer be right: give the step weights: {weights}, or leave those columns out"
        )


def _refuse_unweighted(step: Step, events: ak.Array, setting: Setting, weights: Sequence[str]) -> None:
    """Rows that are made would count in yields, and sums be lost with those dropped, where nobody knows the weights."""
    augmenter = step.augmenter
    changes = augmenter.use == "training" and not augmenter.keeps_rows
    if weights or setting.unweighted or not changes or not (augmenter.makes or not setting.weights):
        return
    known = known_weights(events)
    if not known and not setting.weights:
        return
    what = "makes rows, whose physics weight must be 0" if augmenter.makes else "drops rows, whose weight is lost"
    said = f"none of the weight columns {list(setting.weights)}" if setting.weights else f"{known}, and weights=() none"
    remedy = f"name them, weights={known}" if known else "name those that they have with weights=[...]"
    raise cols.MissingColumn(
        f"step {step.label!r} {what}: the events have {said}; {remedy}, as an argument of augment and learn or under inputs "
        'of a plan. Where the weight is no column, say weights="none" and multiply it by ~da.is_made(events)'
    )


def _refuse_collections_that_are_there(step: Step, events: ak.Array) -> None:
    """A list for each event is of a new collection: into one that is there it fits or not by chance, and mixes with it."""
    for name, kind in step.produces.items():
        head, dot, _ = name.partition(".")
        if dot and (kind or "").startswith("var *") and cols.collection_of(events.layout, head) is not None:
            raise ValueError(
                f"step {step.label!r} makes a collection {head!r}, and the events have one: give it another name (for a "
                f"field of the one that is there, {name!r} is promised with the type of one object, not {kind!r})"
            )


def _refuse_missing(step: Step, events: ak.Array, setting: Setting) -> None:
    """Raise where a column is missing of which the step knows a remedy; of others the reader of columns says so."""
    for name in sorted(step.remedies.keys() - given(step.uses, events, setting)):
        if step.remedies[name] and not cols.has(events, name):
            raise cols.MissingColumn(
                f"step {step.label!r} finds no column {name!r} among the events; {step.remedies[name]}"
            )


def splits(step: Step, events: ak.Array, setting: Setting) -> bool:
    """Whether a column tells the training step which rows are for training; it must where rows are changed."""
    split = setting.split
    if split is None:
        return False
    if cols.has(events, split):
        return True
    if not step.augmenter.keeps_rows:
        raise cols.MissingColumn(
            f"step {step.label!r} changes the rows of training events, but there is no column {split!r} that tells "
            "them from test events: put a split before it, or say split: none (None in Python) to change all rows"
        )
    return False


def reads(step: Step, events: ak.Array, setting: Setting) -> frozenset[str]:
    """All columns that a step needs of these events: those it uses, ids, provenance, split and weights."""
    augmenter = step.augmenter
    needed = set(step.uses - given(step.uses, events, setting))
    if augmenter.keyed:
        needed |= set(setting.ids)
        needed |= {DATASET} if setting.dataset is None else set()
    if augmenter.keyed or augmenter.makes:
        needed |= {name for name in PROVENANCE if cols.has(events, name)}
    if augmenter.use == "training":
        needed |= _spared(step, events, setting)
    if augmenter.makes:
        needed |= {name for name in written_by(step, setting) if cols.has(events, name)} | {*zeroed(events, setting)}
    needed |= {*following(step, events, setting)}
    if divides(step, setting.split) and cols.has(events, KIND):
        needed.add(KIND)
    if alters(step, events) and cols.has(events, CHANGED):
        needed.add(CHANGED)
    return frozenset(needed)


def _spared(step: Step, events: ak.Array, setting: Setting) -> set[str]:
    """What a training step needs to tell the rows that it leaves alone, and to fill up its columns for those."""
    tell = {setting.split or ""} if splits(step, events, setting) else set()
    if spares_originals(step) and cols.has(events, KIND):
        tell.add(KIND)
    if not tell:
        return set()
    produced = step.produces
    counters = {f"n{name.partition('.')[0]}" for name in produced if "." in name and not cols.has(events, name)}
    return (
        tell
        | {name for name in produced if cols.has(events, name)}
        | {name for name in counters if cols.has(events, name)}
    )


def written_by(step: Step, setting: Setting) -> dict[str, str]:
    """Columns, and their types, that tell of the rows that a step made."""
    if not step.augmenter.makes:
        return {}
    return dict(PROVENANCE) | (lineage(setting.ids) if isinstance(step.augmenter, Interpolating) else {})


def narrow(step: Step, events: ak.Array, setting: Setting) -> ak.Array:
    """The result of a step with the columns that it leaves."""
    left = left_by(step, always_left(setting))
    return events if left is None else cols.narrowed(events, lambda name: is_left(name, left))


def always_left(setting: Setting) -> tuple[str, ...]:
    """Columns of the setting, which are true of made rows too."""
    return (*setting.ids, *setting.zeroed, *([setting.split] if setting.split else []))


def promised(step: Step, events: ak.Array, setting: Setting) -> dict[str, ak.types.Type]:
    """Types of all columns that the result has anew: the step's own, and those that the frame writes for it."""
    types = forms.promised(events.layout, step.produces)
    written = written_by(step, setting)
    if alters(step, events):
        written[CHANGED] = "int64"
    types |= {name: ak.types.NumpyType(kind) for name, kind in written.items()}
    names = zeroed(events, setting) if step.augmenter.makes else following(step, events, setting)
    if names:
        weights: dict[str, str | None] = dict.fromkeys(names)
        types |= {name: kind for name, kind in forms.promised(events.layout, weights).items() if name not in types}
    return types


def shape(step: Step, events: ak.Array, types: Mapping[str, ak.types.Type], setting: Setting) -> ak.Array:
    """The form of the result of a step that gives columns of these types, for events that are typetracers."""
    augmenter = step.augmenter
    whole = forms.shape_only(events, types, keeps_rows=augmenter.keeps_rows, like=step.uses)
    return narrow(step, whole, setting)
