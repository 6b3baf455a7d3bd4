"""Turn points so that their largest variances come first, with a bound on what is lost.

The first eight coordinates along the principal axes are kept in float32. With axes V of norm 1 at most, y = V (x - c)
rounded, and r the true distance of x and x', |y - y'| <= r + e + e', where

    e = |x - c| (2^-24 + (d + 4) 2^-50)

covers the rounding to float32 and that of the product in float64, summed in any order. So a distance of turned points
can rule a pair out; which axes they are, and how they were rounded, changes the time that a search takes and no result.
The square of the left side is computed in float32 with a relative error below 2^-19.
"""

from __future__ import annotations

from math import frexp, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

WIDTH = 8
"""Coordinates that are kept: what one register of AVX holds."""
_SAMPLE = 2048
"""Rows, at equal steps, that tell the principal axes."""


class Axes(NamedTuple):
    """How points are turned."""

    centre: NDArray[np.float64]
    across: NDArray[np.float64]
    """(d, WIDTH), of norm 1 at most; 0 fills up."""
    unit: float
    """A power of two that brings all coordinates into [-1, 1]."""
    share: float
    """Error of a turned point, by its distance from the centre."""
    least: float
    """Squared distances below this are not told from 0."""


def axes_of(points: NDArray[np.float64], furthest: float) -> Axes:
    """Principal axes of a sample; no coordinate of points or queries is larger than ``furthest``."""
    n, d = points.shape
    sample = points[:: max(1, n // _SAMPLE)]
    centre = sample.mean(axis=0)
    unit = 2.0 ** -(frexp(max(furthest, 1e-150))[1] + 1)
    _, vectors = np.linalg.eigh(_covariance(sample, centre, unit))
    across = np.zeros((d, WIDTH))
    across[:, :d] = vectors[:, ::-1][:, :WIDTH]
    # However well the vectors are orthonormal, their matrix must not make anything longer.
    across /= np.sqrt(1 + np.abs(across.T @ across - np.eye(WIDTH) * (np.arange(WIDTH) < d)).sum())
    # Squares that underflow lose 2^-1074 each.
    return Axes(centre, across, unit, 2.0**-24 + (d + 4) * 2.0**-50, 1e-30 + d * (unit * 1e-161) ** 2)


@njit(nogil=True, cache=True)
def _covariance(sample: NDArray[np.float64], centre: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Sums of products of the coordinates about the centre."""
    d = sample.shape[1]
    sums = np.zeros((d, d))
    for i in range(len(sample)):
        away = (sample[i] - centre) * unit
        for f in range(d):
            for g in range(d):
                sums[f, g] += away[f] * away[g]
    return sums


@njit(nogil=True, cache=True)
def turned(values: NDArray[np.float64], axes: Axes) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The first coordinates along the axes (n, WIDTH), and the error of each point (n,)."""
    n, d = values.shape
    places, errors = np.empty((n, WIDTH), np.float32), np.empty(n)
    sums = np.empty(WIDTH)
    for i in range(n):
        sums[:] = 0.0
        norm = 0.0
        for f in range(d):
            away = (values[i, f] - axes.centre[f]) * axes.unit
            norm += away * away
            for p in range(WIDTH):
                sums[p] += away * axes.across[f, p]
        for p in range(WIDTH):
            places[i, p] = sums[p]
        errors[i] = np.sqrt(norm) * axes.share
    return places, errors


@njit(nogil=True, cache=True, forceinline=True)
def gap_of(place: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]) -> np.float32:
    """Squared distance of a turned point from a box."""
    total = np.float32(0)
    for f in range(WIDTH):
        gap = max(low[f] - place[f], place[f] - high[f], np.float32(0))
        total += gap * gap
    return total


@njit(nogil=True, cache=True, forceinline=True)
def radius_of(limit: float, unit: float) -> float:
    """The distance, in units of the tree, that a squared distance computed in float64 proves at most."""
    return sqrt(limit) * unit * (1 + 1e-9)


@njit(nogil=True, cache=True, forceinline=True)
def most_of(radius: float, error: float, least: float) -> np.float32:
    """The largest squared distance of turned points that can be of points within the radius."""
    return np.float32((radius + error) ** 2 * (1 + 2.0**-19) + least)
