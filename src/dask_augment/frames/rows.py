"""Columns of rows that a step acted on, put together with those of rows that it left alone."""

from __future__ import annotations

from collections.abc import Mapping

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray
from numpy.typing import NDArray

from dask_augment import columns as cols


def kept(events: ak.Array, name: str, kind: ak.types.Type) -> Content:
    """A column of rows that a step did not act on: as it is where there is one, else zeros of its type."""
    if cols.has(events, name):
        return cols.plain(cols.column(events, name))
    head, dot, _ = name.partition(".")
    if dot and isinstance(kind, ak.types.ListType) and cols.has(events, f"n{head}"):
        counts = np.asarray(cols.plain(cols.column(events, f"n{head}")).data).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return ListOffsetArray(ak.index.Index64(offsets), cols.zeros(kind.content, int(offsets[-1])))
    return cols.zeros(kind, len(events))


def merged(first: Content, second: Content, order: NDArray[np.int64]) -> Content:
    """Rows of both, one after the other, in this order."""
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
