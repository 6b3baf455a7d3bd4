"""Reductions over the objects of an event: entries offsets[i]:offsets[i + 1] belong to event i.

Entries are added and compared one after the other, so that the result has the same bits on every CPU and for any
slicing of the events.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def sums(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of each event, in the order of its objects; 0 without objects."""
    out = np.zeros(len(offsets) - 1, np.float64)
    for i in range(len(out)):
        for j in range(offsets[i], offsets[i + 1]):
            out[i] += values[j]
    return out


@njit(nogil=True, cache=True)
def maxima(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest value of each event; NaN without objects, and where any value is NaN."""
    out = np.full(len(offsets) - 1, np.nan)
    for i in range(len(out)):
        if offsets[i] == offsets[i + 1]:
            continue
        largest = values[offsets[i]]
        for j in range(offsets[i] + 1, offsets[i + 1]):
            if values[j] > largest or np.isnan(values[j]):
                largest = values[j]
        out[i] = largest
    return out
