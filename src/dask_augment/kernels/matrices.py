"""Rows of a matrix in memory: take them, move them towards rows of another matrix, turn them into columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.interpolation import between

_APART = 80


@njit(nogil=True, cache=True)
def interpolated_rows(
    values: NDArray[Any], table: NDArray[Any], source: NDArray[np.int64], other: NDArray[np.int64],
    share: NDArray[np.float64], out: NDArray[Any],
) -> None:  # fmt: skip
    """What :func:`~dask_augment.kernels.interpolation.interpolated` gives, of all columns: (n, d), (m, d) and out (N, d)."""
    for i in range(len(source)):
        x, made = values[source[i]], out[i]
        if other[i] < 0:
            for j in range(len(made)):
                made[j] = x[j]
        else:
            y, part = table[other[i]], share[i]
            for j in range(len(made)):
                made[j] = between(np.float64(x[j]), np.float64(y[j]), part)


@njit(nogil=True, cache=True)
def columns_of(values: NDArray[Any], columns: NDArray[np.int64]) -> NDArray[Any]:
    """Some columns of a matrix (n, d), one after the other (c, n)."""
    # Columns that begin a power of two apart would all fall into one place of the cache.
    out = np.empty((len(columns), len(values) + _APART), values.dtype)[:, : len(values)]
    for i in range(len(values)):
        for j in range(len(columns)):
            out[j, i] = values[i, columns[j]]
    return out
