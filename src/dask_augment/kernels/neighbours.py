"""The k nearest neighbours of points, exactly: the same on any machine, in any order and for any blocks.

Neighbours are ranked by (squared distance, row number). The squared distance is the sum of squared differences in
float64, one feature after the other; whatever speeds up the search only leaves out rows whose distance is proven to be
larger than that of the k-th found. Two ways lead to the same result: a k-d tree, which leaves out whole boxes, and
products of float32 matrices, whose error is bounded, where boxes leave out too little.
"""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.boxes import LEAF, SURE, bound, tree_of

_BLOCK = 96
"""Points in a block of a product."""
_BLOCKS = 16
"""Blocks that one query is compared with at a time: their bounds stay in the cache."""
_ALONE = 2**18
"""Products of so many numbers OpenBLAS computes in the calling thread: Dask decides how many threads there are."""
_PILOT = 32
_FEW, _MANY = 1000, 8000
"""Below so many points, or queries, it does not pay to build a tree."""
_SAMPLE = 20_000
_WORTH = 0.12
"""The tree is taken where it leaves less than this share of all distances to be computed."""
_FURTHEST = 1e150


def nearest(
    points: NDArray[np.float64],
    queries: NDArray[np.float64],
    k: int,
    *,
    own: NDArray[np.int64] | None = None,
    within: NDArray[np.float64] | None = None,
    distinct: bool = False,
    categories: tuple[NDArray[np.int64], NDArray[np.int64], float] | None = None,
    way: str = "",
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Squared distances (m, k), ascending, and rows (m, k) of the k points next to each query; inf and -1 fill up.

    Parameters
    ----------
    points, queries
        (n, d) and (m, d), finite. Of points at one distance, the one with the smaller row number comes first.
    own
        For each query, the row among the points that is itself and no neighbour; -1: none.
    within
        For each query, the largest squared distance that counts.
    distinct
        Points at distance 0 do not count.
    categories
        Codes of the points (n, c) and of the queries (m, c), and what each code that differs adds to a squared distance.
    way
        "tree" or "products" instead of the faster one, which few queries tell.
    """
    points, queries = np.ascontiguousarray(points, np.float64), np.ascontiguousarray(queries, np.float64)
    n, m = len(points), len(queries)
    best = np.full((m, k), np.inf)
    rows = np.full((m, k), -1, np.int64)
    if not (n and m and k):
        return best, rows
    own = np.full(m, -1, np.int64) if own is None else np.ascontiguousarray(own, np.int64)
    within = np.full(m, np.inf) if within is None else np.ascontiguousarray(within, np.float64)
    furthest = max(float(np.abs(points).max(initial=0)), float(np.abs(queries).max(initial=0)))
    if not furthest < _FURTHEST:
        raise ValueError(f"coordinates must be finite and below {_FURTHEST:g}, the largest is {furthest}")
    codes, asked, penalty = categories or (np.zeros((n, 0), np.int64), np.zeros((m, 0), np.int64), 0.0)
    what = (queries, own, within, codes, asked, penalty, distinct)
    if not way:
        way = _better(points, k, *what)
    if way == "tree":
        _search(*tree_of(points), np.arange(m), *what, best, rows)
    else:
        _by_products(points, *what, best, rows)
    return best, rows


def _better(
    points: NDArray[np.float64], k: int, queries: NDArray[np.float64], own: NDArray[np.int64],
    within: NDArray[np.float64], codes: NDArray[np.int64], asked: NDArray[np.int64], penalty: float, distinct: bool,
) -> str:  # fmt: skip
    """The way that is likely to be faster: how much a tree leaves to be computed is counted for some queries."""
    if len(points) < _FEW or len(queries) < _MANY:
        return "products"
    some = np.arange(0, len(queries), -(-len(queries) // _PILOT))
    # A tree of the rows that stand at equal steps is as good for the purpose as that of all.
    step = max(1, len(points) // _SAMPLE)
    sample = points[::step]
    best, rows = np.full((len(queries), k), np.inf), np.full((len(queries), k), -1, np.int64)
    what = (queries, np.where(own % step, -1, own // step), within, codes[::step], asked, penalty, distinct)
    counted = _search(*tree_of(sample), some, *what, best, rows)
    return "tree" if counted < _WORTH * len(some) * len(sample) else "products"


# By boxes ---------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _insert(best: NDArray[np.float64], rows: NDArray[np.int64], distance: float, row: int) -> None:
    """Put a point among the best, which are in order; the last one falls out."""
    at = len(best) - 1
    if distance > best[at] or (distance == best[at] and 0 <= rows[at] < row):
        return
    while at > 0 and (distance < best[at - 1] or (distance == best[at - 1] and row < rows[at - 1])):
        best[at] = best[at - 1]
        rows[at] = rows[at - 1]
        at -= 1
    best[at] = distance
    rows[at] = row


@njit(nogil=True, cache=True)
def _search(
    ordered: NDArray[np.float64], order: NDArray[np.int64], borders: NDArray[np.int64], lows: NDArray[np.float64],
    highs: NDArray[np.float64], some: NDArray[np.int64], queries: NDArray[np.float64], own: NDArray[np.int64],
    within: NDArray[np.float64], codes: NDArray[np.int64], asked: NDArray[np.int64], penalty: float, distinct: bool,
    best: NDArray[np.float64], rows: NDArray[np.int64],
) -> int:  # fmt: skip
    """Search the tree for some of the queries; returns how many distances were computed."""
    features, leaves, k = len(ordered), len(borders) - 1, best.shape[1]
    nodes, bounds = np.empty(128, np.int64), np.empty(128)
    sums = np.empty(2 * LEAF + 2)
    counted = 0
    for q in some:
        query = queries[q]
        nodes[0], bounds[0], depth = 0, bound(query, lows[0], highs[0]), 1
        while depth:
            depth -= 1
            node = nodes[depth]
            limit = min(best[q, k - 1], within[q])
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
            size = stop - start
            counted += size
            part = sums[:size]
            part[:] = 0.0
            for f in range(features):
                value, column = query[f], ordered[f, start:stop]
                for j in range(part.shape[0]):
                    step = value - column[j]
                    part[j] += step * step
            for j in range(size):
                row = order[start + j]
                if sums[j] > limit or row == own[q]:
                    continue
                total = sums[j]
                for c in range(codes.shape[1]):
                    if codes[row, c] != asked[q, c]:
                        total += penalty
                if total <= within[q] and not (distinct and total == 0.0):
                    _insert(best[q], rows[q], total, row)
    return counted


# By products ------------------------------------------------------------------------------------------------------------


def _by_products(
    points: NDArray[np.float64], queries: NDArray[np.float64], own: NDArray[np.int64], within: NDArray[np.float64],
    codes: NDArray[np.int64], asked: NDArray[np.int64], penalty: float, distinct: bool,
    best: NDArray[np.float64], rows: NDArray[np.int64],
) -> None:  # fmt: skip
    """Search all points, with a lower bound of each squared distance from one product of float32 matrices.

    With p and q about the centre, |p - q|^2 = |p|^2 + |q|^2 - 2 p q. In float32 it is wrong by less than half of
    share * (|p|^2 + |q|^2), whatever the order in which the product is summed; share is taken off. Where the points ask
    about themselves, each pair is looked at once.
    """
    n, m, features = len(points), len(queries), points.shape[1]
    mirrored = queries is points and np.array_equal(own, np.arange(n))
    share = (features + 16) * 2.0**-22
    centre = points.mean(axis=0)
    near, far = points - centre, queries - centre
    # A power of two that brings all into [-1, 1]: nothing overflows, and nothing is rounded by it.
    unit = 2.0 ** -frexp(max(float(np.abs(near).max()), float(np.abs(far).max()), 1e-150))[1]
    right, left = _factor(near * unit, share), _factor(far * unit, share)
    left[:, :features] *= -2
    left[:, [features, features + 1]] = left[:, [features + 1, features]]
    blocks = right.reshape(-1, _BLOCK, features + 2).transpose(0, 2, 1)
    limits = np.full(len(left), -np.inf, np.float32)
    limits[:m] = _limits(np.minimum(best[:, -1], within), unit * unit)
    most = _ALONE // (_BLOCK * (features + 2))
    step = next(size for size in (96, 48, 24, 12, 6, 3, 1) if size <= max(most, 1))  # all in one block
    for a in range(0, m, step):
        first = a // _BLOCK if mirrored else 0
        for c in range(first, len(blocks), _BLOCKS):
            bounds = np.matmul(left[a : min(a + step, m)], blocks[c : c + _BLOCKS])
            _scan(
                bounds, a, c, mirrored, points, unit * unit, queries, own, within, codes, asked, penalty, distinct, limits,
                best, rows,
            )  # fmt: skip


def _factor(values: NDArray[np.float64], share: float) -> NDArray[np.float32]:
    """Points about the centre, their squared norms less the share, and 1; rows that fill up blocks are far away."""
    n, features = values.shape
    factor = np.zeros((-(-n // _BLOCK) * _BLOCK, features + 2), np.float32)
    factor[:n, :features], factor[:n, features] = values, (1 - share) * np.einsum("ij,ij->i", values, values)
    factor[n:, features], factor[:, features + 1] = np.inf, 1
    return factor


@njit(nogil=True, cache=True)
def _limits(distance: Any, unit: float) -> Any:
    """What a bound may be at most for the point to be looked at."""
    return distance * (unit * (1 + 1e-6)) + 1e-30


@njit(nogil=True, cache=True)
def _look(
    q: int, row: int, points: NDArray[np.float64], queries: NDArray[np.float64], within: NDArray[np.float64],
    codes: NDArray[np.int64], asked: NDArray[np.int64], penalty: float, distinct: bool, unit: float,
    limits: NDArray[np.float32], best: NDArray[np.float64], rows: NDArray[np.int64],
) -> None:  # fmt: skip
    """Compute one distance, and put the point among the best of the query if it belongs there."""
    total = 0.0
    for f in range(points.shape[1]):
        step = queries[q, f] - points[row, f]
        total += step * step
    for c in range(codes.shape[1]):
        if codes[row, c] != asked[q, c]:
            total += penalty
    if total <= within[q] and not (distinct and total == 0.0):
        _insert(best[q], rows[q], total, row)
        limits[q] = np.float32(_limits(min(best[q, best.shape[1] - 1], within[q]), unit))


@njit(nogil=True, cache=True)
def _scan(
    bounds: NDArray[np.float32], first_query: int, first_block: int, mirrored: bool, points: NDArray[np.float64],
    unit: float, queries: NDArray[np.float64], own: NDArray[np.int64], within: NDArray[np.float64],
    codes: NDArray[np.int64], asked: NDArray[np.int64], penalty: float, distinct: bool, limits: NDArray[np.float32],
    best: NDArray[np.float64], rows: NDArray[np.int64],
) -> None:  # fmt: skip
    """Compute the distances that the bounds do not rule out; if mirrored, for both ends of a pair of blocks."""
    n = len(points)
    for i in range(bounds.shape[1]):
        q = first_query + i
        for block in range(bounds.shape[0]):
            start = (first_block + block) * _BLOCK
            part, limit = bounds[block, i], limits[q]
            hits = np.int32(0)
            for j in range(_BLOCK):  # without a branch, so that many are compared at once
                hits = np.int32(hits + np.int32(part[j] <= limit))
            if hits:
                for j in range(_BLOCK):
                    if part[j] <= limits[q] and start + j < n and start + j != own[q]:
                        _look(
                            q,
                            start + j,
                            points,
                            queries,
                            within,
                            codes,
                            asked,
                            penalty,
                            distinct,
                            unit,
                            limits,
                            best,
                            rows,
                        )
            if not mirrored or q >= start:  # the block of the query itself has both ends of its pairs
                continue
            others = limits[start : start + _BLOCK]
            hits = np.int32(0)
            for j in range(_BLOCK):
                hits = np.int32(hits + np.int32(part[j] <= others[j]))
            if hits:
                for j in range(_BLOCK):
                    if part[j] <= others[j]:
                        _look(
                            start + j,
                            q,
                            points,
                            queries,
                            within,
                            codes,
                            asked,
                            penalty,
                            distinct,
                            unit,
                            limits,
                            best,
                            rows,
                        )
