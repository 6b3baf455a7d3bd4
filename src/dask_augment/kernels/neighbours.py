"""The k nearest neighbours of points, exactly: the same on any machine, in any order and for any blocks.

Neighbours are ranked by (squared distance, row number). The squared distance is the sum of squared differences in
float64, one feature after the other; whatever speeds up the search only leaves out rows whose distance is proven to be
larger than that of the k-th found. Two ways lead to the same result: a tree, which leaves out whole boxes, and products
of float32 matrices, where boxes leave out too little.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.axes import axes_of, turned
from dask_augment.kernels.boxes import homes, search, tree_of
from dask_augment.kernels.products import by_products, is_mirrored
from dask_augment.kernels.ranking import Pairs

_PILOT = 32
_FEW = 1000
"""Below so many points, or queries, it does not pay to build a tree."""
_BROAD = 256
"""Features above which the principal axes alone cost too much."""
_BOX, _LEAF, _POINT = 30.0, 60.0, 40.0
"""What a tree costs for each box, leaf and point that is seen, in nanoseconds: only their ratios to each other, and to
those of products, matter."""
FURTHEST = 1e150


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
    m, n = len(queries), len(points)
    codes, asked, penalty = categories or (np.zeros((n, 0), np.int64), np.zeros((m, 0), np.int64), 0.0)
    pairs = _pairs(points, queries, own, within, np.full(m, n), codes, asked, penalty, distinct)
    return _found(pairs, k, any_=False, way=way)


def crowded(
    points: NDArray[np.float64], queries: NDArray[np.float64], k: int, radius: NDArray[np.float64],
    before: NDArray[np.int64], *, own: NDArray[np.int64] | None = None, way: str = "",
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether k points lie within a squared radius of each query, seeking no further than needed to know.

    Of points at the radius itself, those count whose row is smaller than ``before``; ``own`` and ``way`` as in
    :func:`nearest`.
    """
    none = np.zeros((len(points), 0), np.int64), np.zeros((len(queries), 0), np.int64)
    _, rows = _found(_pairs(points, queries, own, radius, before, *none, 0.0, False), k, any_=True, way=way)
    return rows[:, k - 1] >= 0


def check_reach(furthest: float) -> None:
    """Raise where float64 does not hold squares of distances between points, the largest coordinate of which is this."""
    if not (furthest < FURTHEST and (furthest > 1 / FURTHEST or not furthest)):
        raise ValueError(
            f"features in units of their scales must be finite, and the largest between {1 / FURTHEST:g} and {FURTHEST:g}, "
            f"as distances are squared; it is {furthest:g}: take other units, or scale='std'"
        )


def _pairs(
    points: NDArray[np.float64], queries: NDArray[np.float64], own: NDArray[np.int64] | None,
    within: NDArray[np.float64] | None, before: NDArray[np.int64], codes: NDArray[np.int64], asked: NDArray[np.int64],
    penalty: float, distinct: bool,
) -> Pairs:  # fmt: skip
    """All in the types and layout that kernels are compiled for."""
    m = len(queries)
    return Pairs(
        np.ascontiguousarray(points, np.float64),
        np.ascontiguousarray(queries, np.float64),
        np.full(m, -1, np.int64) if own is None else np.ascontiguousarray(own, np.int64),
        np.full(m, np.inf) if within is None else np.ascontiguousarray(within, np.float64),
        np.ascontiguousarray(before, np.int64),
        np.ascontiguousarray(codes, np.int64),
        np.ascontiguousarray(asked, np.int64),
        float(penalty),
        bool(distinct),
    )


def _found(pairs: Pairs, k: int, *, any_: bool, way: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k best of each query, or, with ``any_``, any k that count."""
    points, queries = pairs.points, pairs.queries
    n, m, d = len(points), len(queries), points.shape[1]
    best, rows = np.full((m, k), np.inf), np.full((m, k), -1, np.int64)
    if not (n and m and k):
        return best, rows
    both = [points] if queries is points else [points, queries]
    furthest = float(np.max([np.abs([values.min(initial=0), values.max(initial=0)]) for values in both]))
    check_reach(furthest)
    if way == "products" or (not way and (min(n, m) < _FEW or d > _BROAD)):
        by_products(pairs, best, rows)
        return best, rows
    axes = axes_of(points, furthest)
    tree, (places, errors) = tree_of(points, axes), turned(queries, axes)
    home = homes(tree, places)
    # Queries that follow each other seek in the same leaves, which are in the cache then.
    order = np.argsort(home, kind="stable")
    if not way:
        some = order[:: -(-m // _PILOT)]
        boxes, leaves, seen = search(tree, axes, pairs, some, home, places, errors, any_, best.copy(), rows.copy())
        alike = (0.4 + 0.03 * d) * n * (0.6 if is_mirrored(pairs) else 1.0)
        way = "tree" if _BOX * boxes + _LEAF * leaves + _POINT * seen < alike * len(some) else "products"
    if way == "tree":
        search(tree, axes, pairs, order, home, places, errors, any_, best, rows)
    else:
        by_products(pairs, best, rows)
    return best, rows
