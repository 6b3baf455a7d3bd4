"""Compare two sets of events bit for bit, and report where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content
from numpy.typing import NDArray

from dask_augment.contract.ids import copy_numbers, row_ids
from dask_augment.events import columns as cols


def columns_of(events: ak.Array) -> dict[str, Content]:
    """All columns by their dotted names, as plain layouts; counters of collections are not columns."""
    found: dict[str, Content] = {}
    for field in events.fields:
        content = cols.plain(events.layout[field])
        if content.fields:
            found |= {f"{field}.{name}": content[name] for name in content.fields}
        else:
            found[cols.dotted(field)] = content
    collections = {name.partition(".")[0] for name in found if "." in name}
    return {name: found[name] for name in sorted(found) if name[:1] != "n" or name[1:] not in collections}


def content_bytes(content: Content) -> bytes:
    """The type and all values of a layout; NaN equals NaN, and 0 is not -0."""
    _, _, buffers = ak.to_buffers(ak.to_packed(ak.Array(content)))
    return b"".join(
        [str(content.form.type).encode(), *(np.asarray(buffers[name]).tobytes() for name in sorted(buffers))]
    )


def difference(one: Mapping[str, Content], other: Mapping[str, Content], names: Iterable[str] | None = None) -> str:
    """Where two sets of columns differ, in words; empty where they are the same. ``names``: compare these alone."""
    if names is None:
        if set(one) != set(other):
            return f"columns {sorted(set(one) ^ set(other))} are in one of them alone"
        names = one
    for name in sorted(names):
        if name not in one or name not in other:
            return f"column {name!r} is in one of them alone"
        mine, yours = one[name], other[name]
        if mine.length != yours.length:
            return f"{mine.length} rows against {yours.length}"
        if mine.form.type != yours.form.type:
            return f"column {name!r} has type {mine.form.type} against {yours.form.type}"
        if content_bytes(mine) != content_bytes(yours):
            return f"column {name!r} {_first(mine, yours)}"
    return ""


def _first(one: Content, other: Content) -> str:
    differing = [
        row for row in range(one.length) if content_bytes(one[row : row + 1]) != content_bytes(other[row : row + 1])
    ]
    row = differing[0]
    values = " against ".join(str(ak.Array(content[row : row + 1]).to_list()[0]) for content in (one, other))
    return f"differs in {len(differing)} of {one.length} rows, first in row {row}: {values}"


def key_table(events: ak.Array, ids: Sequence[str]) -> NDArray[np.uint64]:
    """What tells rows apart, (n, ids + 1): the ids and the copy number."""
    return np.stack([*row_ids(events, ids).values(), copy_numbers(events).astype(np.uint64)], axis=1)


def by_key(events: ak.Array, ids: Sequence[str]) -> ak.Array:
    """The rows in the order of ids and copy numbers."""
    return events[np.lexsort(key_table(events, ids).T[::-1])]


def groups(events: ak.Array, ids: Sequence[str]) -> list[NDArray[np.int64]]:
    """Rows with the same ids, one array for each event."""
    _, which = np.unique(key_table(events, ids)[:, :-1], axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    return np.split(order, np.flatnonzero(np.diff(which.reshape(-1)[order])) + 1) if len(order) else []


def numbers(events: ak.Array, name: str) -> NDArray[Any]:
    """A column with one number for each row, as an array."""
    return np.asarray(cols.plain(cols.column(events, name)).data)
