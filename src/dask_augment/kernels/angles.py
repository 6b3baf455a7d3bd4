"""Angles about the beam, in radians, in [-pi, pi)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def rotated(phi: NDArray[Any], offsets: NDArray[np.int64], alpha: NDArray[np.float64]) -> NDArray[Any]:
    """``phi`` of the objects offsets[i]:offsets[i + 1] of event i plus alpha[i] in [0, 2 pi), back in [-pi, pi).

    Computed in float64 and returned in the type of ``phi``; NaN stays NaN.
    """
    out = np.empty_like(phi)
    for i in range(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            angle = np.float64(phi[j]) + alpha[i]
            if angle >= np.pi:
                angle -= 2.0 * np.pi
            out[j] = angle
            # Rounding to float32 may end on +pi itself, which is -pi.
            if out[j] >= np.pi:
                out[j] = -np.pi
    return out


@njit(nogil=True, cache=True)
def first_outside(values: NDArray[Any], limit: float, most: float) -> int:
    """The first entry beyond [-limit, limit] but not beyond [-most, most], -1 if there is none; NaN is not beyond."""
    for i in range(len(values)):
        if limit < abs(values[i]) <= most:
            return i
    return -1
