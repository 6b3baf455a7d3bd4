"""Four-vectors (E, px, py, pz) from measured quantities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.elementary import exp, sin_cos

TILE = 256
"""Events that are worked on together: what they need stays in the caches next to the core."""


@njit(nogil=True, cache=True, error_model="numpy")
def add_four_vectors(
    offsets: NDArray[np.int64], index: int, a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], d: NDArray[Any],
    polar: bool, energy: bool, slot: int, out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write the four-vector of object ``index`` of each event into ``out[:, slot]``, (n, N, 4); zeros where it lacks.

    Event i has the objects offsets[i]:offsets[i + 1]. ``a, b, c`` are pt, eta, phi with ``polar``, else px, py, pz; ``d``
    is the energy with ``energy``, else the mass, of which E**2 = p**2 + m |m|, at least 0.
    """
    s = np.empty((4, TILE))
    n = len(offsets) - 1
    for start in range(0, n, TILE):
        count = min(TILE, n - start)
        for k in range(TILE):
            at = offsets[start + k] + index if k < count else 0
            there = k < count and at < offsets[start + k + 1]
            s[0, k] = a[at] if there else 0.0
            s[1, k] = b[at] if there else 0.0
            s[2, k] = c[at] if there else 0.0
            s[3, k] = d[at] if there else 0.0
        if polar:
            for k in range(TILE):
                pt = s[0, k]
                stretch = exp(s[1, k])
                sine, cosine = sin_cos(s[2, k])
                s[0, k] = pt * cosine
                s[1, k] = pt * sine
                s[2, k] = pt * (0.5 * (stretch - 1.0 / stretch))
        if not energy:
            for k in range(TILE):
                square = s[0, k] * s[0, k] + s[1, k] * s[1, k] + s[2, k] * s[2, k] + s[3, k] * abs(s[3, k])
                s[3, k] = np.sqrt(max(square, 0.0))
        for k in range(count):
            out[start + k, slot, 0] = s[3, k]
            out[start + k, slot, 1] = s[0, k]
            out[start + k, slot, 2] = s[1, k]
            out[start + k, slot, 3] = s[2, k]


@njit(nogil=True, cache=True)
def first_spacelike(vectors: NDArray[np.float64], slot: int, least: float) -> int:
    """The first event of which ``vectors[:, slot]`` has E < least * p, with p above 10 MeV; -1 if there is none."""
    for i in range(len(vectors)):
        energy, px, py, pz = vectors[i, slot]
        square = px * px + py * py + pz * pz
        if square > 1e-4 and (energy < 0.0 or energy * energy < least * least * square):
            return i
    return -1
