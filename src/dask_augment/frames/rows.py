"""Choose the rows that a step acts on, write their provenance, and merge them with the others."""

from __future__ import annotations

from collections.abc import Mapping

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray
from numpy.typing import NDArray

from dask_augment import columns as cols
from dask_augment import forms
from dask_augment.flow import Step
from dask_augment.identity import whole_numbers
from dask_augment.own_columns import CHANGED, KIND, KINDS, SPLIT, TRAIN


def spares_originals(step: Step) -> bool:
    """Whether a step varies copies only."""
    return step.augmenter.keeps_rows and not step.augmenter.originals


def alters(step: Step, events: ak.Array) -> bool:
    """Whether a training step gives other values to columns that the events have."""
    augmenter = step.augmenter
    return augmenter.use == "training" and augmenter.keeps_rows and any(cols.has(events, c) for c in step.produces)


def changed(events: ak.Array, step: Step) -> Content:
    """``augment_changed`` with the bit of this step set."""
    bit = np.int64(1 << step.bit)
    if not cols.has(events, CHANGED):
        return cols.as_content(np.full(len(events), bit))
    return cols.as_content(whole_numbers(events, CHANGED) | bit)


def training_rows(events: ak.Array, split: str | None) -> NDArray[np.bool_] | None:
    """Which rows are for training; None where no column tells."""
    if split is None or not cols.has(events, split):
        return None
    training: NDArray[np.bool_] = whole_numbers(events, split) == TRAIN
    return training


def about(events: ak.Array, rows: str, split: str | None) -> NDArray[np.bool_] | None:
    """Which rows a question is about, that says "train", "test" or "all"; None for all that there are."""
    training = None if rows == "all" else training_rows(events, split)
    if rows == "test" and training is None:
        raise cols.MissingColumn(
            f"a question is about test events, and no column tells them (split is {split!r}): put a split before it"
        )
    return ~training if rows == "test" and training is not None else training


def kinds(events: ak.Array) -> NDArray[np.int64] | None:
    """What each row is, as ``augment_kind`` says; None where there is no such column."""
    if not cols.has(events, KIND):
        return None
    found = whole_numbers(events, KIND)
    if strange := sorted(set(np.unique(found).tolist()) - set(KINDS.values()) - {0}):
        raise ValueError(
            f"column {KIND!r} holds {strange[:3]}, and what steps write and read under that name is 0 (original), 1 "
            "(copy), 2 (interpolated) or 3 (generated): rename yours, or leave it out"
        )
    return found


def divides(step: Step, split: str | None) -> bool:
    """Whether a step says which rows are for training."""
    return bool(step.produces.keys() & {SPLIT, split})


def refuse_to_part(step: Step, events: ak.Array) -> None:
    """ValueError for rows between two events where a step divides rows: a parent may land on the other side.

    Copies have the ids of their event, and stay with it.
    """
    kind = kinds(events)
    between = 0 if kind is None else int(np.count_nonzero(kind == KINDS["interpolated"]))
    if between:
        raise ValueError(
            f"step {step.label!r} divides rows into training and test, and {between} of them lie between two events "
            "(augment_kind 2), which may come to different sides: put it before the step that makes them, or leave them out "
            "before it, select: augment_kind != 2"
        )


def kept(events: ak.Array, name: str, kind: ak.types.Type) -> Content:
    """A column of rows that a step did not act on: as it is where there is one, else zeros of its type."""
    if cols.has(events, name):
        return cols.plain(cols.column(events, name))
    head, dot, _ = name.partition(".")
    if dot and isinstance(kind, ak.types.ListType) and cols.has(events, f"n{head}"):
        counts = np.asarray(cols.plain(cols.column(events, f"n{head}")).data).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return ListOffsetArray(ak.index.Index64(offsets), forms.zeros(kind.content, int(offsets[-1])))
    return forms.zeros(kind, len(events))


def merged(first: Content, second: Content, order: NDArray[np.int64]) -> Content:
    """Rows of both, one after the other, in this order."""
    if all(content.is_indexed and content.parameter("__array__") == "categorical" for content in (first, second)):
        # awkward joins no categories.
        texts = merged(first.project(), second.project(), order)
        return cols.plain(ak.str.to_categorical(ak.Array(texts)).layout)
    both = ak.concatenate([ak.Array(first), ak.Array(second)])
    return cols.plain(both[order].layout)


def spread(
    events: ak.Array, columns: Mapping[str, Content], types: Mapping[str, ak.types.Type], rows: NDArray[np.int64]
) -> dict[str, Content]:
    """Columns of some rows, filled up with what the other rows keep."""
    rest = np.setdiff1d(np.arange(len(events)), rows, assume_unique=True)
    order = np.argsort(np.concatenate([rows, rest]), kind="stable")
    untouched = events[rest]
    return {name: merged(new, kept(untouched, name, types[name]), order) for name, new in columns.items()}
