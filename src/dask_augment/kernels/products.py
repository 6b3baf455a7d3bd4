"""Nearest neighbours from float32 matrix products with bounded errors, for points that boxes do not separate."""

from __future__ import annotations

from math import frexp

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.ranking import Pairs, consider

_BLOCK = 96
"""Points in a block of a product."""
_BLOCKS = 16
"""Blocks that one query is compared with at a time: their bounds stay in the cache."""
_ALONE = 2**18
"""Products of so many numbers OpenBLAS computes in the calling thread: Dask decides how many threads there are."""


def is_mirrored(pairs: Pairs) -> bool:
    """Whether the points ask about themselves, so that one bound serves both ends of a pair."""
    return pairs.queries is pairs.points and np.array_equal(pairs.own, np.arange(len(pairs.points)))


def by_products(pairs: Pairs, best: NDArray[np.float64], rows: NDArray[np.int64]) -> None:
    """Search all points, with a lower bound of each squared distance from one product of float32 matrices.

    With p and q about the centre, |p - q|^2 = |p|^2 + |q|^2 - 2 p q. In float32 it is wrong by less than half of
    share * (|p|^2 + |q|^2), whatever the order in which the product is summed; share is taken off.
    """
    points, queries = pairs.points, pairs.queries
    m, features = len(queries), points.shape[1]
    mirrored = is_mirrored(pairs)
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
    # No bound is near 1e30, as all is within [-1, 1].
    limits[:m] = np.minimum(_limits(np.minimum(best[:, -1], pairs.within), unit * unit), 1e30)
    most = _ALONE // (_BLOCK * (features + 2))
    step = next(size for size in (96, 48, 24, 12, 6, 3, 1) if size <= max(most, 1))  # all in one block
    for a in range(0, m, step):
        first = a // _BLOCK if mirrored else 0
        for c in range(first, len(blocks), _BLOCKS):
            bounds = np.matmul(left[a : min(a + step, m)], blocks[c : c + _BLOCKS])
            _scan(bounds, a, c, mirrored, unit * unit, pairs, limits, best, rows)


def _factor(values: NDArray[np.float64], share: float) -> NDArray[np.float32]:
    """Points about the centre, their squared norms less the share, and 1; rows that fill up blocks are far away."""
    n, features = values.shape
    factor = np.zeros((-(-n // _BLOCK) * _BLOCK, features + 2), np.float32)
    factor[:n, :features], factor[:n, features] = values, (1 - share) * np.einsum("ij,ij->i", values, values)
    factor[n:, features], factor[:, features + 1] = np.inf, 1
    return factor


@njit(nogil=True, cache=True)
def _limits(distance: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """What a bound may be at most for the point to be looked at."""
    # The last part: squares of differences below 1e-161 are 0 in float64, of each feature.
    return distance * (unit * (1 + 1e-6)) + 1e-30 + unit * 1e-318


@njit(nogil=True, cache=True)
def _look(
    q: int, row: int, unit: float, pairs: Pairs, limits: NDArray[np.float32], best: NDArray[np.float64],
    rows: NDArray[np.int64],
) -> None:  # fmt: skip
    """Compute one distance; what belongs among the best lowers the limit."""
    if consider(pairs, q, row, best, rows):
        limits[q] = np.float32(_limits(min(best[q, best.shape[1] - 1], pairs.within[q]), unit))


@njit(nogil=True, cache=True)
def _scan(
    bounds: NDArray[np.float32], first_query: int, first_block: int, mirrored: bool, unit: float, pairs: Pairs,
    limits: NDArray[np.float32], best: NDArray[np.float64], rows: NDArray[np.int64],
) -> None:  # fmt: skip
    """Compute the distances that the bounds do not rule out; if mirrored, for both ends of a pair of blocks."""
    n = len(pairs.points)
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
                    if part[j] <= limits[q] and start + j < n:
                        _look(q, start + j, unit, pairs, limits, best, rows)
            if not mirrored or q >= start:  # the block of the query itself has both ends of its pairs
                continue
            others = limits[start : start + _BLOCK]
            hits = np.int32(0)
            for j in range(_BLOCK):
                hits = np.int32(hits + np.int32(part[j] <= others[j]))
            if hits:
                for j in range(_BLOCK):
                    if part[j] <= others[j]:
                        _look(start + j, q, unit, pairs, limits, best, rows)
