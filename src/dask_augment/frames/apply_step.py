"""Apply one step to one slice of events in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import awkward as ak
import numpy as np
from awkward.contents import Content
from numpy.typing import NDArray

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Output
from dask_augment.contract.draw import composed
from dask_augment.contract.flow import Step
from dask_augment.contract.ids import copy_numbers
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.own_columns import CHANGED, COPY, KIND, KINDS
from dask_augment.frames.assumptions import count as count_doubted
from dask_augment.frames.check_output import checked
from dask_augment.frames.interpolation import between, check_parents, lineage_columns
from dask_augment.frames.planning import narrow, promised, reads, refuse, shape, splits
from dask_augment.frames.row_columns import (
    changed,
    divides,
    kept,
    kinds,
    merged,
    refuse_to_part,
    spares_originals,
    spread,
    training_rows,
)
from dask_augment.frames.step_inputs import adjusted, draw_of, followed, only, refuse_missing_values, zero_where
from dask_augment.frames.steps import refuse_unlearned


def act(step: Step, events: ak.Array, setting: Setting, account: Account) -> ak.Array:
    """The events after a step; ``account`` is told of the rows that it dropped and made."""
    augmenter = step.augmenter
    refuse_unlearned(step)
    refuse(step, events, setting)
    weights = adjusted(step, events, setting)
    types = promised(step, events, setting, weights)
    rows = acting_rows(step, events, setting)
    count = len(events) if rows is None else len(rows)
    if count == 0:
        if len(events) == 0:
            return forms.empty(shape(step, forms.typetracer(events), types, setting))
        new = {name: kept(events, name, kind) for name, kind in types.items()}
        return narrow(step, cols.assemble(events, new, like=step.uses), setting)
    acting = events if rows is None else events[rows]
    if divides(step, setting.split):
        refuse_to_part(step, acting)
    output = output_of(step, acting, types, setting, weights)
    count_doubted(account.doubted, step, acting, setting)
    if augmenter.keeps_rows:
        columns = {name: output.columns[name] for name in step.produces}
        if CHANGED in types:
            columns[CHANGED] = changed(acting, step)
        if rows is not None:
            columns = spread(events, columns, types, rows)
        return cols.assemble(events, columns, like=step.uses)
    source, nth = rows_of(output, count)
    columns = dict(output.columns) | between(step, acting, source, output.second)
    if not augmenter.makes:
        columns |= followed(step, acting, weights, source, columns)
    made = int(np.count_nonzero(nth))
    _count(account.made, step.label, made)
    _count(account.dropped, step.label, count - (len(source) - made))
    if augmenter.makes:
        columns |= made_columns(step, acting, weights, source, nth, types, columns)
    columns |= lineage_columns(step, acting, setting, source, nth, types, output.second)
    return narrow(step, _with_the_rest(step, events, rows, source, columns, types), setting)


def rows_of(output: Output, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each row of the output, which of ``count`` rows it came from, and which of its children it is."""
    source = np.arange(count) if output.source is None else output.source
    return source, np.zeros(len(source), np.int64) if output.nth is None else output.nth.astype(np.int64)


def output_of(
    step: Step, events: ak.Array, types: Mapping[str, ak.types.Type], setting: Setting,
    weights: Iterable[str] | None = None,
) -> Output:  # fmt: skip
    """What a step makes of events that it acts on, which there are, as promised."""
    augmenter = step.augmenter
    draw = draw_of(step.label, events, setting) if augmenter.keyed else None
    needed = reads(step, events, setting, weights) - set(setting.ids)
    try:
        refuse_missing_values(events, needed - step.uses if augmenter.takes_missing else needed)
        output = augmenter.apply(only(events, step.gets, setting), draw)
    except Exception as error:
        error.add_note(f"in step {step.label!r}, which sees the columns {sorted(step.gets)}")
        raise
    output = checked(step, output, types, len(events))
    check_parents(step, output.second, output.nth)
    return output


def acting_rows(step: Step, events: ak.Array, setting: Setting) -> NDArray[np.int64] | None:
    """Rows that a step acts on; None for all. Training steps leave test rows alone, and alterations the originals."""
    if step.augmenter.use != "training":
        return None
    mask: NDArray[np.bool_] | None = None
    if splits(step, events, setting):
        mask = training_rows(events, setting.split)
    if spares_originals(step) and (kind := kinds(events)) is not None:
        made = kind > 0
        mask = made if mask is None else mask & made
    return None if mask is None or bool(mask.all()) else np.flatnonzero(mask)


def made_columns(
    step: Step, events: ak.Array, weights: Iterable[str], source: NDArray[np.int64], nth: NDArray[np.int64],
    types: Mapping[str, ak.types.Type], given: Mapping[str, Content],
) -> dict[str, Content]:  # fmt: skip
    """What the frame writes about made rows: kind, copy number, and physics weights of 0."""
    made = nth > 0
    kind = kinds(events)
    kind = np.zeros(len(source), np.int64) if kind is None else kind[source]
    copy = composed(copy_numbers(events)[source], step.label, nth)
    kind = np.where(made, np.int8(KINDS[step.augmenter.makes]), kind).astype(np.int8)
    columns: dict[str, Content] = {KIND: cols.as_content(kind), COPY: cols.as_content(copy)}
    for name in weights:
        if name in types:
            weight = given[name] if name in given else cols.plain(cols.column(events, name))[source]
            columns[name] = zero_where(made, weight)
    return columns


def _with_the_rest(
    step: Step, events: ak.Array, rows: NDArray[np.int64] | None, source: NDArray[np.int64],
    columns: Mapping[str, Content], types: Mapping[str, ak.types.Type],
) -> ak.Array:  # fmt: skip
    """The rows of the result: sources in order, each followed by its children; rows not acted on stay as they are."""
    if rows is None:
        return cols.assemble(events, columns, source, step.uses)
    rest = np.setdiff1d(np.arange(len(events)), rows, assume_unique=True)
    order = np.argsort(np.concatenate([rows[source], rest]), kind="stable")
    untouched = events[rest]
    both = {name: merged(columns[name], kept(untouched, name, types[name]), order) for name in columns}
    return cols.assemble(events, both, np.concatenate([rows[source], rest])[order], step.uses)


def _count(counts: dict[str, int], label: str, number: int) -> None:
    if number:
        counts[label] = counts.get(label, 0) + number
