"""From declarations and the form of the events alone: columns that steps read and make, and reasons to refuse them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import awkward as ak

from dask_augment.contract.flow import Flow, Step, with_counters
from dask_augment.contract.ids import refuse_keyless
from dask_augment.contract.interpolating import Interpolating
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.own_columns import CHANGED, DATASET, KIND, PROVENANCE
from dask_augment.frames.row_columns import alters, divides, spares_originals
from dask_augment.frames.step_inputs import adjusted, given, known_weights, seed_of
from dask_augment.frames.steps import refuse_other_key


def settled(steps: Iterable[Step], columns: Iterable[str]) -> tuple[Step, ...]:
    """The steps with the names that their wildcards match, of these columns and those that steps before them make."""
    known, result = {cols.dotted(name) for name in columns}, []
    for step in steps:
        matched = step.augmenter.matched(known)
        result.append(step if matched is step.augmenter else replace(step, augmenter=matched))
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
    lacking = [name for name, remedy in step.remedies.items() if remedy and not cols.has(events, name)]
    for name in sorted(lacking):
        if name not in given([name], events, setting):
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


def reads(step: Step, events: ak.Array, setting: Setting, weights: Iterable[str] | None = None) -> frozenset[str]:
    """All columns that a step needs of these events: those it uses, ids, provenance, split and weights.

    ``weights``: those that the frame writes for it, where they are known.
    """
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
        needed |= {name for name in Flow((step,), setting).about_rows(step) if cols.has(events, name)}
    needed |= {*(adjusted(step, events, setting) if weights is None else weights)}
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
    new = {name for name in step.produces if not cols.has(events, name)}
    counters = with_counters(new) - set(map(cols.dotted, new))
    return tell | (step.produces.keys() - new) | {name for name in counters if cols.has(events, name)}


def narrow(step: Step, events: ak.Array, setting: Setting) -> ak.Array:
    """The result of a step with the columns that it leaves."""
    flow = Flow((step,), setting)
    return cols.narrowed(events, flow.leaves) if flow.narrowing else events


def promised(
    step: Step, events: ak.Array, setting: Setting, weights: Iterable[str] | None = None
) -> dict[str, ak.types.Type]:
    """Types of all columns that the result has anew: the step's own, and those that the frame writes for it.

    ``weights``: those that the frame writes for it, where they are known.
    """
    types = forms.promised(events.layout, step.produces)
    written = Flow((step,), setting).about_rows(step)
    if alters(step, events):
        written[CHANGED] = "int64"
    types |= {name: ak.types.NumpyType(kind) for name, kind in written.items()}
    names: dict[str, str | None] = dict.fromkeys(adjusted(step, events, setting) if weights is None else weights)
    if names:
        types |= {name: kind for name, kind in forms.promised(events.layout, names).items() if name not in types}
    return types


def shape(step: Step, events: ak.Array, types: Mapping[str, ak.types.Type], setting: Setting) -> ak.Array:
    """The form of the result of a step that gives columns of these types, for events that are typetracers."""
    augmenter = step.augmenter
    whole = forms.shape_only(events, types, keeps_rows=augmenter.keeps_rows, like=step.uses)
    return narrow(step, whole, setting)
