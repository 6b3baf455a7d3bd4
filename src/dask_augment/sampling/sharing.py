"""Rows to make, shared out over the rows of a class; and which classes belong to one stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.draw import Draw


def check_count(name: str, value: Any) -> None:
    """Raise for what is no number of neighbours."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def check_columns(step: Any, *names: str, needed: bool = False) -> None:
    """Make lists of columns tuples in a step that is being made; TypeError for a text, which is a list of letters.

    ValueError for a column that is named twice, and where one is ``needed``, for none.
    """
    for name in names:
        value = getattr(step, name)
        if isinstance(value, str):
            raise TypeError(f"{name} must be a list of columns, got {value!r}; write {name}=[{value!r}]")
        columns = tuple(value)
        if len(set(columns)) < len(columns):
            raise ValueError(f"{name} names a column twice: {list(columns)}")
        if needed and not columns:
            raise ValueError(f"{name} must name at least one column")
        object.__setattr__(step, name, columns)


def by_outer(names: Sequence[str] | Mapping[str, int]) -> dict[str, list[str]]:
    """Strata with a label last, by what stands before it: those are the classes of one stratum."""
    outer: dict[str, list[str]] = {}
    for name in names:
        outer.setdefault(name.rpartition("|")[0] or "all", []).append(name)
    return outer


def evenly(number: int, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``number`` shared out over rows, all as equal as can be; those with the smallest keys get one more."""
    times = np.full(len(rows), number // len(rows))
    times[np.argsort(keys[rows], kind="stable")[: number % len(rows)]] += 1
    return times


def at_random(number: int, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``number`` shared out over rows, each time to any of them: the keys of all are the seed."""
    return np.bincount(_draws(number, keys[rows]).integers(0, len(rows)), minlength=len(rows))


def one_below(high: int, keys: NDArray[np.uint64]) -> int:
    """A random whole number in [0, high): the keys of all rows are the seed."""
    return int(_draws(1, keys).integers(0, high)[0])


def _draws(number: int, keys: NDArray[np.uint64]) -> Draw:
    seed = int(np.bitwise_xor.reduce(keys))
    return Draw(seed, "iid", [""], {"number": np.arange(number, dtype=np.uint64)}, np.zeros(number, np.int64))


def in_proportion(number: int, shares: NDArray[np.int64]) -> NDArray[np.int64]:
    """``number`` shared out in proportion to shares, exactly: largest remainders, the first of equals first."""
    whole, rest = np.divmod(number * shares, int(shares.sum()))
    left = number - int(whole.sum())
    whole[np.argsort(-rest, kind="stable")[:left]] += 1
    return whole
