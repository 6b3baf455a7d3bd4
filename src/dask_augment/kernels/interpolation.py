"""Interpolate between two rows, find rows by their ids, and take the most frequent categories of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def expanded(more: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Each row, and then as many made of it as ``more`` says: which row each is or is made of, which one of it, from 0,
    and where those stand that are made."""
    number = 0
    for i in range(len(more)):
        number += more[i]
    source, nth = np.empty(len(more) + number, np.int64), np.empty(len(more) + number, np.int32)
    made = np.empty(number, np.int64)
    at = 0
    for i in range(len(more)):
        source[at], nth[at] = i, 0
        at += 1
        for j in range(more[i]):
            source[at], nth[at], made[at - i - 1] = i, j + 1, at
            at += 1
    return source, nth, made


@njit(nogil=True, cache=True)
def interpolated(
    values: NDArray[Any], table: NDArray[Any], source: NDArray[np.int64], other: NDArray[np.int64],
    share: NDArray[np.float64], out: NDArray[Any],
) -> None:  # fmt: skip
    """out[i] = x + share[i] * (y - x) with x = values[source[i]], y = table[other[i]]; x where other[i] is negative.

    In float64, no further than x and y, and rounded once to the type of ``out``.
    """
    for i in range(len(source)):
        if other[i] < 0:
            out[i] = values[source[i]]
        else:
            out[i] = between(np.float64(values[source[i]]), np.float64(table[other[i]]), share[i])


@njit(nogil=True, cache=True, inline="always")
def between(x, y, share):  # type: ignore[no-untyped-def]
    """A number on the way from x to y, no further than both."""
    return min(max(x + share * (y - x), min(x, y)), max(x, y))


@njit(nogil=True, cache=True)
def positions(table: NDArray[np.uint64], rows: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each row (n, w) stands in a table (m, w) whose rows are in order and differ; -1 where it does not."""
    found = np.full(len(rows), -1, np.int64)
    words = rows.shape[1]
    for i in range(len(rows)):
        low, high = 0, len(table)
        while low < high:
            middle = (low + high) // 2
            smaller = False
            for j in range(words):
                if table[middle, j] != rows[i, j]:
                    smaller = table[middle, j] < rows[i, j]
                    break
            if smaller:
                low = middle + 1
            else:
                high = middle
        if low < len(table):
            same = True
            for j in range(words):
                same = same and table[low, j] == rows[i, j]
            if same:
                found[i] = low
    return found


@njit(nogil=True, cache=True)
def modes(
    codes: NDArray[np.int64], neighbours: NDArray[np.int32], found: NDArray[np.int32], bases: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The most frequent codes (m, k) among the neighbours of each base, ascending, and how many there are (m,)."""
    values = np.zeros((len(bases), neighbours.shape[1]), np.int64)
    number = np.zeros(len(bases), np.int64)
    for i in range(len(bases)):
        near = np.sort(codes[neighbours[bases[i], : found[bases[i]]]])
        most = run = 0
        for j in range(len(near)):
            run = run + 1 if j > 0 and near[j] == near[j - 1] else 1
            if run > most:
                most = run
                number[i] = 0
            if run == most:
                values[i, number[i]] = near[j]
                number[i] += 1
    return values, number
