"""Rows between two others: their columns, what is written about their parents, and which columns are true of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content
from numpy.typing import NDArray

from dask_augment.contract.flow import Step
from dask_augment.contract.ids import copy_numbers, whole_numbers
from dask_augment.contract.interpolating import Interpolating
from dask_augment.contract.second_parents import SecondParents
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.events.own_columns import BASE_COPY, DATASET, OTHER_COPY, SHARE, lineage, other
from dask_augment.frames.check_output import PromiseBroken
from dask_augment.frames.row_columns import kept
from dask_augment.kernels.interpolation import interpolated


def between(
    step: Step, events: ak.Array, source: NDArray[np.int64], second: SecondParents | None
) -> dict[str, Content]:
    """The columns that lie between those of two rows, of all rows that a step leaves; none of other steps."""
    columns = {}
    for name in step.between:
        values = np.asarray(cols.plain(cols.column(events, name)).data)
        if second is None:
            columns[name] = cols.as_content(values[source])
            continue
        found = np.empty(len(source), values.dtype)
        interpolated(values, second.columns[name], source, second.row, second.share, found)
        columns[name] = cols.as_content(found)
    return columns


def lineage_columns(
    step: Step, events: ak.Array, setting: Setting, source: NDArray[np.int64], nth: NDArray[np.int64],
    types: Mapping[str, ak.types.Type], second: SecondParents | None,
) -> dict[str, Content]:  # fmt: skip
    """Of rows interpolated now, both parents and the way between them; of others, what there was. None of other steps."""
    if not isinstance(step.augmenter, Interpolating):
        return {}
    made = np.flatnonzero(nth)
    new: dict[str, NDArray[Any]] = {BASE_COPY: copy_numbers(events)[source[made]]}
    if second is not None:
        told = {**second.ids, DATASET: second.dataset}
        new |= {other(name): values[second.row[made]] for name, values in told.items()}
        new |= {OTHER_COPY: second.copy[second.row[made]], SHARE: second.share[made]}
    columns = {}
    for name in lineage(setting.ids):
        kind = np.dtype(types[name].primitive)
        if cols.has(events, name) and kind.kind != "f":
            column = whole_numbers(events, name).astype(kind)[source]
        else:
            column = np.asarray(kept(events, name, types[name]).data).astype(kind)[source]
        if name in new:
            column[made] = new[name]
        columns[name] = cols.as_content(column)
    return columns


def check_parents(step: Step, second: SecondParents | None, nth: NDArray[Any] | None) -> None:
    """:class:`PromiseBroken` where a step that interpolates does not say of which second rows, as it promised."""
    if not isinstance(step.augmenter, Interpolating) or nth is None or not np.any(nth):
        return
    label, made = step.label, nth > 0
    if not isinstance(second, SecondParents):
        raise PromiseBroken(
            f"step {label!r} interpolates, so it must name the second parents: return Output(second=...)"
        )
    for values in (second.row, second.share):
        if np.shape(values) != made.shape:
            raise PromiseBroken(f"step {label!r} must name a second parent for each of {len(made)} rows")
    parents, rows = len(second.dataset), second.row[made]
    if rows.min() < 0 or rows.max() >= parents:
        raise PromiseBroken(
            f"step {label!r} names second parents {rows.min()} to {rows.max()}; it told {parents} rows apart"
        )
    if set(second.columns) != set(step.between):
        raise PromiseBroken(f"step {label!r} must give {sorted(step.between)} of its second parents")
    for values in (*second.ids.values(), second.copy, *second.columns.values()):
        if np.shape(values) != (parents,):
            raise PromiseBroken(
                f"step {label!r} must give ids, copy numbers and columns of all {parents} second parents"
            )
