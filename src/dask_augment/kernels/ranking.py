"""Rules shared by all neighbour searches: which points count for which query, and the k best of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Pairs(NamedTuple):
    """Points and queries, and which points count for which queries."""

    points: NDArray[np.float64]
    """(n, d)."""
    queries: NDArray[np.float64]
    """(m, d)."""
    own: NDArray[np.int64]
    """The row among the points that is the query itself, -1: none (m,)."""
    within: NDArray[np.float64]
    """The largest squared distance that counts (m,)."""
    before: NDArray[np.int64]
    """Of points at that distance itself, those count whose row is smaller (m,)."""
    codes: NDArray[np.int64]
    """Categories of the points (n, c)."""
    asked: NDArray[np.int64]
    """Categories of the queries (m, c)."""
    penalty: float
    """What each category that differs adds to a squared distance."""
    distinct: bool
    """Points at distance 0 do not count."""


@njit(nogil=True, cache=True)
def consider(pairs: Pairs, q: int, row: int, best: NDArray[np.float64], rows: NDArray[np.int64]) -> bool:
    """Compute one distance, and put the point among the best of the query if it counts; whether it belongs there.

    This is the one place where distances that are returned are computed: float64, one feature after the other.
    """
    if row == pairs.own[q]:
        return False
    total = 0.0
    for f in range(pairs.points.shape[1]):
        step = pairs.queries[q, f] - pairs.points[row, f]
        total += step * step
    for c in range(pairs.codes.shape[1]):
        if pairs.codes[row, c] != pairs.asked[q, c]:
            total += pairs.penalty
    within = pairs.within[q]
    if total > within or (total == within and row >= pairs.before[q]) or (pairs.distinct and total == 0.0):
        return False
    belongs: bool = _insert(best[q], rows[q], total, row)
    return belongs


@njit(nogil=True, cache=True)
def _insert(best: NDArray[np.float64], rows: NDArray[np.int64], distance: float, row: int) -> bool:
    """Put a point among the best, which are in order, and the last one falls out; False if it is behind them all."""
    at = len(best) - 1
    if distance > best[at] or (distance == best[at] and 0 <= rows[at] < row):
        return False
    while at > 0 and (distance < best[at - 1] or (distance == best[at - 1] and row < rows[at - 1])):
        best[at] = best[at - 1]
        rows[at] = rows[at - 1]
        at -= 1
    best[at] = distance
    rows[at] = row
    return True
