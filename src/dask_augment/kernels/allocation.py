"""Rescale integers in proportion, exactly."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_1 = np.uint64(1)


@njit(nogil=True, cache=True)
def rescaled(
    units: NDArray[np.int64], which: NDArray[np.int64], wanted: NDArray[np.int64], present: NDArray[np.int64]
) -> NDArray[np.int64]:
    """floor(units[i] * wanted[g] / present[g]) with g = which[i], the product in 128 bits; 0 where present[g] is 0.

    All are non-negative; the results must lie below 2**63.
    """
    out = np.zeros(units.shape[0], np.int64)
    for i in range(units.shape[0]):
        divisor = np.uint64(present[which[i]])
        if divisor == 0:
            continue
        unit, factor = np.uint64(units[i]), np.uint64(wanted[which[i]])
        part = factor % divisor
        quotient = np.uint64(0)
        if part != 0:
            # Long division of unit * part, bit by bit: the remainder stays below the divisor, hence below 2**63.
            remainder = np.uint64(0)
            bit = np.uint64(63)
            while bit > 0 and (unit >> bit) == 0:
                bit -= _1
            for _ in range(bit + _1):
                quotient <<= _1
                remainder <<= _1
                if remainder >= divisor:
                    remainder -= divisor
                    quotient += _1
                if (unit >> bit) & _1:
                    remainder += part
                    if remainder >= divisor:
                        remainder -= divisor
                        quotient += _1
                bit -= _1
        out[i] = np.int64(unit * (factor // divisor) + quotient)
    return out
