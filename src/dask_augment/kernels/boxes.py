"""Nearest neighbours with a tree of boxes along principal axes: near boxes are searched first, far ones skipped.

The squared distance of turned points (:mod:`dask_augment.kernels.axes`) never exceeds the true one by more than is known,
so that it can rule points out and never decides which are in: those left are computed from the points themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.axes import WIDTH, Axes, gap_of, most_of, radius_of, turned
from dask_augment.kernels.ranking import Pairs, consider

LEAF = 64
"""Points in a leaf; the last one may have fewer."""


class Tree(NamedTuple):
    """Points in boxes. Node i has the children 2i + 1 and 2i + 2; the nodes of the last level are leaves, some empty."""

    order: NDArray[np.int64]
    """Rows, leaf after leaf (n,)."""
    blocks: NDArray[np.float32]
    """Turned points of each leaf (leaves, WIDTH, LEAF); inf fills up."""
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    """Corners of the boxes (nodes, WIDTH)."""
    errors: NDArray[np.float64]
    """The largest error of a point in each node."""
    leaf: NDArray[np.int64]
    """Which leaf each node of the last level is, -1: none."""


# The tree ---------------------------------------------------------------------------------------------------------------


def tree_of(points: NDArray[np.float64], axes: Axes) -> Tree:
    """A balanced tree of full leaves."""
    places, errors = turned(points, axes)
    order = np.arange(len(points))
    leaves = -(-len(points) // LEAF)
    levels = (leaves - 1).bit_length()
    _divide(places, order, leaves, levels)
    return Tree(order, *_boxes(places, errors[order], leaves, levels))


@njit(nogil=True, cache=True)
def _divide(places: NDArray[np.float32], order: NDArray[np.int64], leaves: int, levels: int) -> None:
    """Bring points into the order of their leaves: each node is divided across its longest side."""
    n = len(places)
    low, high = np.empty(WIDTH, np.float32), np.empty(WIDTH, np.float32)
    for level in range(levels):
        for node in range(1 << level):
            start, stop = LEAF * (leaves * node >> level), min(n, LEAF * (leaves * (node + 1) >> level))
            middle = LEAF * (leaves * (2 * node + 1) >> (level + 1))
            if not start < middle < stop:
                continue
            low[:], high[:] = np.inf, -np.inf
            for i in range(start, stop):
                for f in range(WIDTH):
                    low[f], high[f] = min(low[f], places[i, f]), max(high[f], places[i, f])
            _part(places, order, int(np.argmax(high - low)), start, stop - 1, middle)


@njit(nogil=True, cache=True)
def _part(places: NDArray[np.float32], order: NDArray[np.int64], axis: int, first: int, last: int, middle: int) -> None:
    """Bring points of smaller coordinates before the middle, and larger ones behind (Hoare's selection)."""
    while first < last:
        a, b, c = places[first, axis], places[(first + last) >> 1, axis], places[last, axis]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = first, last
        while i <= j:
            while places[i, axis] < pivot:
                i += 1
            while places[j, axis] > pivot:
                j -= 1
            if i <= j:
                for f in range(WIDTH):
                    places[i, f], places[j, f] = places[j, f], places[i, f]
                order[i], order[j] = order[j], order[i]
                i, j = i + 1, j - 1
        if middle <= j:
            last = j
        elif middle >= i:
            first = i
        else:
            return


@njit(nogil=True, cache=True)
def _boxes(
    places: NDArray[np.float32], errors: NDArray[np.float64], leaves: int, levels: int
) -> tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]
]:  # fmt: skip
    """The leaves' blocks, the boxes' corners and errors, and which leaf each node of the last level is."""
    n, last = len(places), 1 << levels
    blocks = np.full((leaves, WIDTH, LEAF), np.inf, np.float32)
    lows, highs = (
        np.full((2 * last - 1, WIDTH), np.inf, np.float32),
        np.full((2 * last - 1, WIDTH), -np.inf, np.float32),
    )
    most, leaf = np.zeros(2 * last - 1), np.full(last, -1)
    for place in range(last):
        at, node = leaves * place >> levels, last - 1 + place
        if leaves * (place + 1) >> levels == at:
            continue
        leaf[place] = at
        for i in range(at * LEAF, min(n, (at + 1) * LEAF)):
            for f in range(WIDTH):
                blocks[at, f, i - at * LEAF] = places[i, f]
                lows[node, f], highs[node, f] = min(lows[node, f], places[i, f]), max(highs[node, f], places[i, f])
            most[node] = max(most[node], errors[i])
    for node in range(last - 2, -1, -1):
        left, right = 2 * node + 1, 2 * node + 2
        lows[node], highs[node] = np.minimum(lows[left], lows[right]), np.maximum(highs[left], highs[right])
        most[node] = max(most[left], most[right])
    return blocks, lows, highs, most, leaf


# The search -------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def homes(tree: Tree, places: NDArray[np.float32]) -> NDArray[np.int64]:
    """The node of the last level that is nearest to each turned query, or nearly so."""
    found = np.empty(len(places), np.int64)
    for q in range(len(places)):
        node = 0
        while node < len(tree.leaf) - 1:
            left = 2 * node + 1
            a = gap_of(places[q], tree.lows[left], tree.highs[left])
            b = gap_of(places[q], tree.lows[left + 1], tree.highs[left + 1])
            node = left if a <= b else left + 1
        found[q] = node
    return found


@njit(nogil=True, cache=True, forceinline=True)
def _scan(
    block: NDArray[np.float32], place: NDArray[np.float32], most: np.float32, sums: NDArray[np.float32]
) -> np.int32:
    """Squared distances of all turned points of a leaf from a query; returns how many are no larger than ``most``."""
    hits = np.int32(0)
    for j in range(LEAF):  # without a branch, so that many are computed at once
        total = np.float32(0)
        for f in range(WIDTH):
            step = block[f, j] - place[f]
            total += step * step
        sums[j] = total
        hits = np.int32(hits + np.int32(total <= most))
    return hits


@njit(nogil=True, cache=True)
def search(
    tree: Tree, axes: Axes, pairs: Pairs, some: NDArray[np.int64], home: NDArray[np.int64],
    places: NDArray[np.float32], errors: NDArray[np.float64], any_: bool, best: NDArray[np.float64],
    rows: NDArray[np.int64],
) -> tuple[int, int, int]:  # fmt: skip
    """Search for some of the queries, best in the order of their homes; how many boxes, leaves and points were seen.

    With ``any_``, any k points that count will do, and a query is done when they are found.
    """
    n, k, inner = len(tree.order), best.shape[1], len(tree.leaf) - 1
    nodes, bounds, sums = np.empty(128, np.int64), np.empty(128, np.float32), np.empty(LEAF, np.float32)
    boxes, leaves, seen = 0, 0, 0
    lows, highs, blocks, order = tree.lows, tree.highs, tree.blocks, tree.order  # a tenth faster than by their names
    for q in some:
        place = places[q]
        radius = radius_of(pairs.within[q], axes.unit)
        # First where the query is at home; then all from the root.
        nodes[0], nodes[1], bounds[:2], depth, begun = 0, home[q], 0, 2, False
        while depth:
            depth -= 1
            node = nodes[depth]
            most = most_of(radius, errors[q] + tree.errors[node], axes.least)
            if bounds[depth] > most:
                continue
            if node < inner:
                boxes += 1
                left, right = 2 * node + 1, 2 * node + 2
                a, b = gap_of(place, lows[left], highs[left]), gap_of(place, lows[right], highs[right])
                if a < b:  # the nearer one is looked into first
                    left, right, a, b = right, left, b, a
                nodes[depth], bounds[depth] = left, a
                depth += a <= most
                nodes[depth], bounds[depth] = right, b
                depth += b <= most
                continue
            leaf = tree.leaf[node - inner]
            if leaf < 0 or (begun and node == home[q]):
                continue
            begun = True
            leaves += 1
            if not _scan(blocks[leaf], place, most, sums):
                continue
            for j in range(min(LEAF, n - leaf * LEAF)):
                if sums[j] <= most:
                    seen += 1
                    if not consider(pairs, q, order[leaf * LEAF + j], best, rows):
                        continue
                    if not any_:
                        radius = radius_of(min(best[q, k - 1], pairs.within[q]), axes.unit)
                        most = most_of(radius, errors[q] + tree.errors[node], axes.least)
                    elif rows[q, k - 1] >= 0:
                        break
            if any_ and rows[q, k - 1] >= 0:
                break
    return boxes, leaves, seen
