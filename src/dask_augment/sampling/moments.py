"""Sums of weights and of their squares of each group, as integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.kernels.grouping import exact_sums
from dask_augment.sampling.census import ByGroup, Count, Groups, Ints, Key

_HALF = 26


def exact_squares(units: NDArray[np.int64], which: NDArray[np.int64], groups: int, times: Any = 1) -> list[int]:
    """The sum of each group's squares, each taken ``times`` (0 <= units, units * times < 2**53), as Python's integers."""
    # units * (units * times) has up to 106 bits: (2**26 a + b) (2**26 c + d), term by term, of which none overflows.
    (a, b), (c, d) = ((part >> _HALF, part & ((1 << _HALF) - 1)) for part in (units, units * times))
    parts = [exact_sums(term, which, groups) for term in (a * c, a * d, b * c, b * d)]
    return [(hh << 2 * _HALF) + (hl + lh << _HALF) + ll for hh, hl, lh, ll in zip(*parts, strict=True)]


def exact_sum(units: NDArray[np.int64]) -> int:
    """The sum of all (0 <= units < 2**53)."""
    return exact_sums(units, np.zeros(len(units), np.int64), 1)[0]


def exact_square(units: NDArray[np.int64]) -> int:
    """The sum of the squares of all (0 <= units < 2**53)."""
    return exact_squares(units, np.zeros(len(units), np.int64), 1)[0]


def variations(census: Mapping[Key, Count], sums: Mapping[Key, Ints], weight: int = 0) -> dict[str, float]:
    """The coefficient of variation of the sizes of a weight in each stratum: standard deviation over mean."""
    totals: dict[str, tuple[int, int, int]] = {}
    for key, count in census.items():
        part = (count.rows, *sums[key].values[2 * weight : 2 * weight + 2])
        rows, size, squares = (a + b for a, b in zip(totals.get(key.stratum, (0, 0, 0)), part, strict=True))
        totals[key.stratum] = (rows, size, squares)
    return {stratum: variation(*found) for stratum, found in totals.items()}


def variation(rows: int, size: int, squares: int) -> float:
    """Standard deviation over mean of numbers with this sum and this sum of squares; 0 where all are 0."""
    return sqrt(Fraction(rows * squares - size**2, size**2)) if size else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments(Measure[ByGroup[Ints]]):
    """For each group, of each weight in turn: the sum of \\|w\\| in units of 2**exponent, and of w**2 in its squares."""

    keyed = True
    groups: Groups
    exponents: Mapping[str, tuple[int, ...]]
    """Of each stratum, the power of two that each weight is counted in: as ``carried.exponents_of`` gives it."""

    def uses(self) -> frozenset[str]:
        """Strata and weights."""
        return self.groups.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Ints]:  # noqa: ARG002
        """The sums of one slice."""
        keys, which = self.groups.of(events)
        exponents = np.array([self.exponents[key.stratum] for key in keys], np.int64).reshape(len(keys), -1)
        sums: list[list[int]] = [[] for _ in keys]
        for units in self.groups.units(events, which, exponents):
            first = exact_sums(units, which, len(keys))
            second = exact_squares(units, which, len(keys))
            for g, found in enumerate(sums):
                found += [first[g], second[g]]
        return ByGroup({key: Ints(tuple(found)) for key, found in zip(keys, sums, strict=True)})
