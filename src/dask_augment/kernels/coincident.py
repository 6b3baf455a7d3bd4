"""Rows at the same point, and the nearest neighbours among rows at points known to be near."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.ranking import Pairs, consider


class Places(NamedTuple):
    """The points that differ, in the order of the first row at each."""

    of: NDArray[np.int64]
    """The place of each row (n,)."""
    starts: NDArray[np.int64]
    """Where the rows of each place start among the members, and where the last ones end (u + 1,)."""
    members: NDArray[np.int64]
    """Rows by place, ascending (n,)."""

    @property
    def firsts(self) -> NDArray[np.int64]:
        """The first row at each place (u,)."""
        return self.members[self.starts[:-1]]


def places_of(points: NDArray[np.float64]) -> Places:
    """Where points (n, d) are the same."""
    n = len(points)
    order = np.lexsort(points.T)
    differs = np.zeros(n, np.bool_)
    differs[:1] = True
    for values in points.T:
        ordered = values[order]
        differs[1:] |= ordered[1:] != ordered[:-1]
    firsts = order[differs]  # Of equal rows, the sort leaves the first one first.
    number = np.empty(len(firsts), np.int64)
    number[np.argsort(firsts)] = np.arange(len(firsts))
    of = np.empty(n, np.int64)
    of[order] = number[np.cumsum(differs) - 1]
    starts = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=len(firsts)))])
    return Places(of, starts, np.argsort(of, kind="stable"))


def ranked(
    points: NDArray[np.float64], places: Places, near: NDArray[np.int64], k: int, *, distinct: bool
) -> NDArray[np.int64]:
    """Of the rows at a row's own place and at those near it, the k next to it (n, k), as ``nearest`` ranks them.

    ``near`` (u, c) holds places near each place, not itself; -1: none. Exact if the k nearest ones are among them, of
    places at one distance the first ones.
    """
    n = len(points)
    none = np.zeros((n, 0), np.int64)
    points = np.ascontiguousarray(points, np.float64)
    pairs = Pairs(
        points, points, np.arange(n), np.full(n, np.inf), np.full(n, n), none, none, 0.0, bool(distinct),
    )  # fmt: skip
    best, rows = np.full((n, k), np.inf), np.full((n, k), -1, np.int64)
    _rank(pairs, places, np.ascontiguousarray(near, np.int64), best, rows)
    return rows


@njit(nogil=True, cache=True)
def _rank(
    pairs: Pairs, places: Places, near: NDArray[np.int64], best: NDArray[np.float64], rows: NDArray[np.int64]
) -> None:
    """Consider the rows of each row's own place and of those near it, of each no more than can be needed."""
    k = rows.shape[1]
    for q in range(len(rows)):
        own = places.of[q]
        start = places.starts[own]
        for at in range(start, min(start + k + 1, places.starts[own + 1])):
            consider(pairs, q, places.members[at], best, rows)
        for place in near[own]:
            if place < 0:
                continue
            start = places.starts[place]
            for at in range(start, min(start + k, places.starts[place + 1])):
                consider(pairs, q, places.members[at], best, rows)
