"""Rows by group: find distinct values, and add up and count integers for each group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SMALL = 2**16
_HALF, _LOW = 26, 2**26 - 1


def distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The integers (or booleans) that occur, ascending, and which of them each entry is.

    Those of a small range are counted; sorting them would cost ten times as much.
    """
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low >= _SMALL or high >= 2**63:
        found, which = np.unique(values, return_inverse=True)
        return found, which.reshape(-1).astype(np.int64)
    if values.dtype == np.bool_:
        values = values.view(np.uint8)
    there = np.zeros(high - low + 1, np.bool_)
    _mark(values, low, there)
    found = np.flatnonzero(there)
    if len(found) == len(there):  # as a rule: labels are numbered through
        return found + low, values.astype(np.int64) - low
    place = np.cumsum(there) - 1
    return found + low, place[values.astype(np.int64) - low]


@njit(nogil=True, cache=True)
def _mark(values: NDArray[Any], low: int, there: NDArray[np.bool_]) -> None:
    for value in values:
        there[np.int64(value) - low] = True


@njit(nogil=True, cache=True)
def first_keys(
    which: NDArray[np.int64], keys: NDArray[np.uint64], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Of each group its rows, its smallest key (all bits set without rows), and how many rows have that."""
    rows = np.zeros(groups, np.int64)
    first = np.full(groups, np.uint64(2**64 - 1))
    times = np.zeros(groups, np.int64)
    for i in range(which.shape[0]):
        group, key = which[i], keys[i]
        rows[group] += 1
        if key < first[group]:
            first[group] = key
            times[group] = 1
        elif key == first[group]:
            times[group] += 1
    return rows, first, times


@njit(nogil=True, cache=True)
def in_windows(
    which: NDArray[np.int64], keys: NDArray[np.uint64], low: NDArray[np.uint64], high: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many keys of each group lie below its window [low, high], and the rows whose keys lie in it."""
    below = np.zeros(low.shape[0], np.int64)
    inside = np.empty(which.shape[0], np.int64)
    count = 0
    for i in range(which.shape[0]):
        group, key = which[i], keys[i]
        below[group] += key < low[group]
        inside[count] = i
        count += (key >= low[group]) & (key <= high[group])
    return below, inside[:count].copy()


@njit(nogil=True, cache=True)
def within(
    which: NDArray[np.int64], keys: NDArray[np.uint64], last: NDArray[np.uint64], some: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether each key is no larger than the last one of its group, of groups that have ``some``."""
    out = np.empty(which.shape[0], np.bool_)
    for i in range(which.shape[0]):
        out[i] = (keys[i] <= last[which[i]]) & some[which[i]]
    return out


@njit(nogil=True, cache=True)
def _halves(
    units: NDArray[np.int64], which: NDArray[np.int64], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    high, low = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    for i in range(which.shape[0]):
        high[which[i]] += units[i] >> _HALF
        low[which[i]] += units[i] & _LOW
    return high, low


def exact_sums(units: NDArray[np.int64], which: NDArray[np.int64], groups: int) -> list[int]:
    """The sum of each group's units (0 <= unit < 2**53), as Python's integers: nothing overflows."""
    high, low = _halves(units, which, groups)
    return [(int(h) << _HALF) + int(rest) for h, rest in zip(high, low, strict=True)]
