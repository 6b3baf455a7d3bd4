"""Pair rows of dask collections, and indices of pandas, by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

from dask_augment.fit_resample.targets import refuse_weights, wrong_weights

_WORD = 2**64
WEIGHTS = "sample_weight"


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


def aligned(frame: Any, others: Mapping[str, Any], labelled: Mapping[str, bool]) -> tuple[Any, list[Any], list[int]]:
    """A frame of dask and series in the same partitions, row by row, without empty ones; the lengths of partitions.

    All are read once, to count rows. ``labelled`` says of the frame, under "X", and each series whether its index is
    the user's: those are held against each other.
    """
    import dask

    lazy = [
        table.map_partitions(
            _summary, labelled[what], what == WEIGHTS,
            meta=_summary(table._meta, False, False), align_dataframes=False,
        )
        for what, table in {"X": frame[list(frame.columns[:1])], **others}.items()
    ]  # fmt: skip
    found = dict(zip(("X", *others), dask.compute(*lazy), strict=True))
    rows = int(found["X"]["rows"].sum())
    for what in others:
        if (other := int(found[what]["rows"].sum())) != rows:
            raise ValueError(f"{what} must have one entry for each of {rows} rows of X, got {other}")
        mine, theirs = _total(found["X"]), _total(found[what])
        if labelled["X"] and labelled[what] and mine[0] == theirs[0] and mine[1] != theirs[1]:
            raise _other_order(what)
        refuse_weights(int(found[what]["broken"].sum()), int(found[what]["negative"].sum()), rows)
    lengths = {
        what: [length for length in summary["rows"].tolist() if length] or [0] for what, summary in found.items()
    }
    full = {what: _full(table, found[what]["rows"]) for what, table in {"X": frame, **others}.items()}
    series = [
        full[what] if lengths[what] == lengths["X"] else _in_parts(full[what], lengths[what], lengths["X"])
        for what in others
    ]
    return full["X"], series, lengths["X"]


def _full(table: Any, rows: Any) -> Any:
    """The partitions that have rows, one at least."""
    chosen = np.flatnonzero(rows.to_numpy())
    return table if len(chosen) == len(rows) else table.partitions[chosen.tolist() or [0]]


def _summary(part: Any, labelled: bool, weights: bool) -> Any:
    labels, order = _words(part.index) if labelled else (0, 0)
    values = {"rows": [len(part)], "labels": np.array([labels], np.uint64), "order": np.array([order], np.uint64)}
    wrong = wrong_weights(part.to_numpy(np.float64)) if weights else (0, 0)
    values |= {"broken": [wrong[0]], "negative": [wrong[1]]}
    return pd.DataFrame(values)


def _total(summary: Any) -> tuple[int, int]:
    """The two sums over all partitions."""
    starts = accumulate(summary["rows"].tolist(), initial=0)
    labels, orders = summary["labels"].tolist(), summary["order"].tolist()
    order = sum(own + start * words for own, start, words in zip(orders, starts, labels, strict=False))
    return sum(labels) % _WORD, order % _WORD


def _in_parts(series: Any, have: Sequence[int], wanted: Sequence[int]) -> Any:
    """The series in partitions of other lengths, in the same order; there are no empty ones."""
    meta = series._meta.to_frame("values").assign(position=np.zeros(0, np.int64))
    table = series.map_partitions(_positioned, starts_of(have), meta=meta, align_dataframes=False)
    table = table.set_index("position", sorted=True, divisions=_borders(have))
    return table.repartition(divisions=_borders(wanted))["values"]


def _borders(lengths: Sequence[int]) -> tuple[int, ...]:
    """The first position of each partition, and the last of all."""
    starts = list(accumulate(lengths, initial=0))
    return (*starts[:-1], starts[-1] - 1)


def _positioned(part: Any, start: Any) -> Any:
    first = int(start.iloc[0])
    return part.to_frame("values").assign(position=np.arange(first, first + len(part)))


def starts_of(lengths: Sequence[int]) -> Any:
    """The position of the first row of each partition, one in each of as many partitions."""
    import dask.dataframe as dd

    return dd.from_map(_start, list(accumulate(lengths, initial=0))[:-1], meta=_start(0))


def _start(row: int) -> Any:
    return pd.Series([row], dtype=np.int64)
