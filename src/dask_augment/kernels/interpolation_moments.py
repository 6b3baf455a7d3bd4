"""Means and variances of rows between rows of a table, summed in a fixed order, so the same on every CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def variance(values: NDArray[Any], rows: NDArray[np.int64]) -> float:
    """The variance of the values of these rows, at least one, all alike."""
    mean = total = 0.0
    for row in rows:
        mean += np.float64(values[row])
    mean /= len(rows)
    for row in rows:
        total += (np.float64(values[row]) - mean) ** 2
    return total / len(rows)


@njit(nogil=True, cache=True)
def variance_between(
    values: NDArray[Any], rows: NDArray[np.int64], children: NDArray[np.int64], neighbours: NDArray[np.int32],
    found: NDArray[np.int32],
) -> float:  # fmt: skip
    r"""The variance of x + u (x' - x), with u uniform in [0, 1), over rows x, each ``children`` times, and neighbours x'.

    (Var x + Var x' + Cov(x, x')) / 3 + (mean x' - mean x)^2 / 12; each of the ``found`` neighbours is as likely.
    ``rows`` have one child at least between them, and those that have any have neighbours.
    """
    number = pivot = 0.0
    for row in rows:
        number += children[row]
        pivot += children[row] * np.float64(values[row])
    pivot /= number
    # Both means and all squares are taken about the mean of x, or their digits would cancel.
    other = of_x = of_other = of_both = 0.0
    for row in rows:
        if not children[row]:
            continue
        x = np.float64(values[row]) - pivot
        first = second = 0.0
        for j in range(found[row]):
            y = np.float64(values[neighbours[row, j]]) - pivot
            first += y
            second += y * y
        share = children[row] / number
        other += share * first / found[row]
        of_x += share * x * x
        of_other += share * second / found[row]
        of_both += share * x * first / found[row]
    return (of_x + of_other - other**2 + of_both) / 3.0 + other**2 / 12.0
