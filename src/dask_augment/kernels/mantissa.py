"""Round numbers to fewer bits than float32 has, and count the bits that stored numbers have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL = 23
"""Bits of the mantissa of float32, without the leading one."""
_MANTISSA = np.uint32((1 << FULL) - 1)
_LEAST_NUMBERS = 64
_LEAST_BITS = 6


def rounded(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    r"""float32 with so many bits of its mantissa, 1 to 22; the others are 0.

    Rounds to nearest, halves away from zero, on the words alone, as the files of NanoAOD are written: the same bits on
    every machine. Relative to the value, the error is at most :math:`2^{-bits - 1}`. NaN and infinity stay.
    """
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    dropped = np.uint32(FULL - bits)
    half = np.uint32(1) << (dropped - np.uint32(1))
    result: NDArray[np.float32] = ((words + half) >> dropped << dropped).view(np.float32)
    return np.where(np.isfinite(values), result, values)


def stored_bits(values: NDArray[Any]) -> int | None:
    """Bits of the mantissa that numbers were stored with: the smallest number that loses nothing of any of them.

    None: all of them, or fewer than 64 numbers, of which no precision can be read, or fewer than 6 bits, which are those
    of whole numbers and not of a way to store them. NaN, infinity and zeros say nothing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.asarray(values).astype(np.float32)
    told = np.isfinite(narrow) & (narrow != 0)
    if np.count_nonzero(told) < _LEAST_NUMBERS or np.any(narrow[told] != np.asarray(values)[told]):
        return None
    used = int(np.bitwise_or.reduce(narrow[told].view(np.uint32) & _MANTISSA))
    lowest = (used & -used).bit_length() - 1
    bits = FULL - lowest if used else 0
    return bits if _LEAST_BITS <= bits < FULL else None
