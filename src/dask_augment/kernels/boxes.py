"""Points in a tree of boxes (k-d tree): what is near is looked into first, and what is far is left out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAF = 64
"""Points in a leaf: this many at least where there are so many, and less than twice as many."""
SURE = 1 - 1e-12
"""A bound times this is below every squared distance that it bounds, rounded as it may be."""


def tree_of(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """A balanced tree: points in its order, transposed; their rows; borders of its leaves; corners of all boxes.

    Node i has the children 2i + 1 and 2i + 2; the leaves are the last ones.
    """
    n = len(points)
    depth = max(0, (max(n // LEAF, 1)).bit_length() - 1)
    order = np.arange(n)
    for level in range(depth):
        borders = n * np.arange(2**level + 1) >> level
        for start, stop in pairwise(borders):
            inside = points[order[start:stop]]
            axis = int(np.argmax(inside.max(axis=0) - inside.min(axis=0)))
            middle = _middle(n, level, int(start))
            order[start:stop] = order[start:stop][np.argpartition(inside[:, axis], middle - start)]
    leaves = 2**depth
    borders = n * np.arange(leaves + 1) >> depth
    lows = np.empty((2 * leaves - 1, points.shape[1]))
    highs = np.empty_like(lows)
    ordered = points[order]
    lows[leaves - 1 :] = np.minimum.reduceat(ordered, borders[:-1])
    highs[leaves - 1 :] = np.maximum.reduceat(ordered, borders[:-1])
    for node in range(leaves - 2, -1, -1):
        lows[node] = np.minimum(lows[2 * node + 1], lows[2 * node + 2])
        highs[node] = np.maximum(highs[2 * node + 1], highs[2 * node + 2])
    return np.ascontiguousarray(ordered.T), order, borders, lows, highs


def _middle(n: int, level: int, start: int) -> int:
    """Where the node of this level that begins at ``start`` is divided."""
    # The border of the next level between the two halves.
    node = -(-(start << level) // n)
    return n * (2 * node + 1) >> (level + 1)


@njit(nogil=True, cache=True)
def bound(query: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Squared distance of a point from a box."""
    total = 0.0
    for f in range(len(query)):
        gap = max(low[f] - query[f], query[f] - high[f])
        if gap > 0.0:
            total += gap * gap
    return total


@njit(nogil=True, cache=True)
def crowded(
    ordered: NDArray[np.float64], order: NDArray[np.int64], borders: NDArray[np.int64], lows: NDArray[np.float64],
    highs: NDArray[np.float64], queries: NDArray[np.float64], own: NDArray[np.int64], radius: NDArray[np.float64],
    before: NDArray[np.int64], k: int,
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether k points lie within a squared radius of each query, seeking no further than needed to know.

    The first five arguments are what :func:`tree_of` returns. Of points at the radius itself, those count whose row is
    smaller than ``before``; ``own`` is the row that does not count, -1: none.
    """
    features, leaves = len(ordered), len(borders) - 1
    nodes, bounds = np.empty(128, np.int64), np.empty(128)
    sums = np.empty(2 * LEAF + 2)
    enough = np.zeros(len(queries), np.bool_)
    for q in range(len(queries)):
        query, limit, found = queries[q], radius[q], 0
        nodes[0], bounds[0], depth = 0, bound(query, lows[0], highs[0]), 1
        while depth and found < k:
            depth -= 1
            node = nodes[depth]
            if bounds[depth] * SURE > limit:
                continue
            if node < leaves - 1:
                left, right = 2 * node + 1, 2 * node + 2
                a, b = bound(query, lows[left], highs[left]), bound(query, lows[right], highs[right])
                if a < b:  # the nearer one is looked into first
                    left, right, a, b = right, left, b, a
                nodes[depth], bounds[depth] = left, a
                nodes[depth + 1], bounds[depth + 1] = right, b
                depth += 2
                continue
            start, stop = borders[node - leaves + 1], borders[node - leaves + 2]
            part = sums[: stop - start]
            part[:] = 0.0
            for f in range(features):
                value, column = query[f], ordered[f, start:stop]
                for j in range(part.shape[0]):
                    step = value - column[j]
                    part[j] += step * step
            for j in range(part.shape[0]):
                row = order[start + j]
                if row != own[q] and (part[j] < limit or (part[j] == limit and row < before[q])):
                    found += 1
        enough[q] = found >= k
    return enough
