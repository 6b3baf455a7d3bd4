"""Sort the objects of each event: entries offsets[i]:offsets[i + 1] belong to event i."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True, inline="always")
def _higher(value: Any, other: Any) -> bool:
    """Whether a value comes before another one."""
    return bool(value > other or (np.isnan(other) and not np.isnan(value)))


@njit(nogil=True, cache=True)
def descending(
    values: NDArray[Any], kept: NDArray[np.bool_], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entries that are kept, each event's by descending value, and the offsets of the events among them.

    Equal values stay in the order that they have; NaN comes last. Insertion: objects come nearly in order, and then it
    takes one comparison for each.
    """
    order = np.empty(len(values), np.int64)
    ends = np.zeros(len(offsets), np.int64)
    count = 0
    for i in range(len(offsets) - 1):
        first = count
        for j in range(offsets[i], offsets[i + 1]):
            if not kept[j]:
                continue
            value, at = values[j], count
            while at > first and _higher(value, values[order[at - 1]]):
                order[at] = order[at - 1]
                at -= 1
            order[at] = j
            count += 1
        ends[i + 1] = count
    return order[:count].copy(), ends
