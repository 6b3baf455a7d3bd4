"""Rows of several collections of dask, and indices of pandas, that belong together by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

_WORD = 2**64


def refuse_other_order(index: pd.Index[Any], other: pd.Index[Any], what: str) -> None:
    """Raise where y or the weights have the labels of X's rows in another order; other labels say nothing."""
    if index.equals(other):
        return
    (mine, my_order), (theirs, their_order) = (_words(labels) for labels in (index, other))
    if mine == theirs and my_order != their_order:
        raise _other_order(what)


def _other_order(what: str) -> ValueError:
    return ValueError(
        f"the index of {what} has the labels of X's index in another order, so that it is not clear which rows belong "
        f"together: bring both into one order ({what}.loc[X.index]), or leave the index of both out "
        "(reset_index(drop=True)) where rows are paired by position"
    )


def _words(index: pd.Index[Any]) -> tuple[int, int]:
    """Sums over all labels that tell which there are, and in which order."""
    words = pd.util.hash_pandas_object(index, index=False).to_numpy()
    places = np.arange(len(index), dtype=np.uint64)
    return int(words.sum(dtype=np.uint64)), int((words * places).sum(dtype=np.uint64))


def aligned(frame: Any, others: Mapping[str, Any], labelled: Mapping[str, bool]) -> tuple[list[Any], list[int]]:
    """Series in the partitions of a frame of dask, row by row, and the lengths of partitions.

    All are read once, to count rows. ``labelled`` says of the frame, under "X", and each series whether its index is
    the user's: those are held against each other.
    """
    import dask

    first = frame[list(frame.columns[:1])]
    tables = {"X": first, **others}
    lazy = [
        table.map_partitions(_summary, labelled[what], meta=_summary(table._meta, False), align_dataframes=False)
        for what, table in tables.items()
    ]
    found = dict(zip(tables, dask.compute(*lazy), strict=True))
    lengths = {what: summary["rows"].tolist() for what, summary in found.items()}
    series = []
    for what, other in others.items():
        if sum(lengths[what]) != sum(lengths["X"]):
            raise ValueError(
                f"{what} must have one entry for each of {sum(lengths['X'])} rows of X, got {sum(lengths[what])}"
            )
        if labelled["X"] and labelled[what]:
            mine, theirs = _total(found["X"]), _total(found[what])
            if mine[0] == theirs[0] and mine[1] != theirs[1]:
                raise _other_order(what)
        same = lengths[what] == lengths["X"]
        series.append(other if same else _in_parts(other, lengths[what], lengths["X"]))
    return series, lengths["X"]


def _summary(part: Any, labelled: bool) -> Any:
    labels, order = _words(part.index) if labelled else (0, 0)
    values = {"rows": [len(part)], "labels": np.array([labels], np.uint64), "order": np.array([order], np.uint64)}
    return pd.DataFrame(values)


def _total(summary: Any) -> tuple[int, int]:
    """The two sums over all partitions."""
    starts = [0, *accumulate(summary["rows"].tolist())]
    labels, orders = summary["labels"].tolist(), summary["order"].tolist()
    order = sum(own + start * words for own, start, words in zip(orders, starts, labels, strict=False))
    return sum(labels) % _WORD, order % _WORD


def _in_parts(series: Any, have: Sequence[int], wanted: Sequence[int]) -> Any:
    """The series in partitions of other lengths, in the same order."""
    import dask
    import dask.dataframe as dd

    parts, starts = series.to_delayed(), [0, *accumulate(have)]
    cut = dask.delayed(_cut)
    pieces = []
    for low, rows in zip([0, *accumulate(wanted)], wanted, strict=False):
        inside = [at for at in range(len(have)) if starts[at] < low + rows and starts[at + 1] > low] or [0]
        pieces.append(cut([parts[at] for at in inside], low - starts[inside[0]] if rows else 0, rows))
    return dd.from_delayed(pieces, meta=series._meta, verify_meta=False)


def _cut(parts: Sequence[Any], start: int, rows: int) -> Any:
    return (pd.concat(parts) if len(parts) > 1 else parts[0]).iloc[start : start + rows]


def starts_of(lengths: Sequence[int]) -> Any:
    """The position of the first row of each partition, one in each of as many partitions."""
    import dask.dataframe as dd

    return dd.from_map(_start, [0, *accumulate(lengths)][:-1], meta=_start(0))


def _start(row: int) -> Any:
    return pd.Series([row], dtype=np.int64)
