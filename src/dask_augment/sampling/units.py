"""Weights as integers: the unit, and exact sums in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.events.strata import paired
from dask_augment.kernels.grouping import exact_sums

TRAIN_UNIT = -32
"""train_weight is counted in units of 2**-32 where all of a stratum are multiples of it, and no more than 2**20 together."""
SMALLEST = 1100
"""Powers of two are counted in units of 2**-1100, below all of float64."""
LARGEST = 1023
"""Weights of a stratum must be less than 2**1023 together, or float64 could not hold their sum."""
_DIGITS = 53
EXACT = -SMALLEST - _DIGITS
"""Sums that are not rounded are counted in units of 2**-1153, of which each float64 is a multiple."""


def as_units(values: NDArray[np.float64], exponents: Any, name: str) -> NDArray[np.int64]:
    """Non-negative numbers as integer multiples of 2**exponents, to the nearest."""
    units = np.ldexp(values, -exponents)
    if not np.all(units < 2.0**53):
        raise ValueError(
            f"column {name!r} has values, {values[~(units < 2.0**53)][0]} is the first, that are NaN or far larger than "
            "those that quotas were learned from; learn from all the data, and make weights finite"
        )
    whole: NDArray[np.int64] = np.rint(units).astype(np.int64)
    return whole


def bounds_of(weight: NDArray[np.float64], which: NDArray[np.int64], number: int) -> list[int]:
    """For each group the sum of the powers of two next above \\|w\\|, in units of 2**-1100."""
    exponents = np.frexp(weight)[1].astype(np.int64) + SMALLEST
    there = np.isfinite(weight) & (weight != 0)
    sums = [0] * number
    pairs, codes = paired(which[there], exponents[there])
    for (group, exponent), rows in zip(pairs, np.bincount(codes, minlength=len(pairs)), strict=True):
        sums[group] += int(rows) << exponent
    return sums


def exact_of(weight: NDArray[np.float64], which: NDArray[np.int64], number: int) -> tuple[list[int], list[int]]:
    """For each group the sum of its positive weights in units of 2**EXACT, and the power that all are multiples of."""
    there = np.isfinite(weight) & (weight > 0)
    parts, exponents = np.frexp(weight[there])
    whole = np.ldexp(parts, _DIGITS).astype(np.int64)
    sums, finest = [0] * number, [LARGEST] * number
    pairs, codes = paired(which[there], exponents.astype(np.int64) + SMALLEST)
    lowest = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    least = np.full(len(pairs), LARGEST)
    np.minimum.at(least, codes, lowest)
    for (group, exponent), units, low in zip(pairs, exact_sums(whole, codes, len(pairs)), least.tolist(), strict=True):
        sums[group] += units << exponent
        finest[group] = min(finest[group], exponent + EXACT + low)
    return sums, finest


def unit_exponent(bound: int) -> int:
    """The power of two to count weights in whose sum of bounds is this: they make at most 2**52 units, unrounded."""
    return max((bound - 1).bit_length() - 52 - SMALLEST, -1074) if bound else 0


def train_exponent(bound: int, finest: int) -> int:
    """The power of two to count train_weight in: 2**-32 if all are multiples of it, and no coarser one is needed."""
    exponent = unit_exponent(bound)
    return TRAIN_UNIT if exponent < TRAIN_UNIT <= finest else exponent


def check_size(name: str, stratum: str, bound: int) -> None:
    """Raise where float64 might not hold the sum of weights whose bounds (units of 2**-1100) add up to this."""
    if bound >> LARGEST + SMALLEST:
        raise ValueError(
            f"the sizes of {name!r} in stratum {stratum!r} add up to 2**{LARGEST} (9e307) or more, the most that float64 "
            "can hold; divide all weights by one number"
        )
