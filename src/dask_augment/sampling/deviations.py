"""The spread of variables in each stratum, in integers, for the Neyman allocation and kernel widths."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ldexp, sqrt

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import number
from dask_augment.events.domains import broken_feature
from dask_augment.events.strata import Strata, paired
from dask_augment.kernels.grouping import exact_sums
from dask_augment.sampling.census import ByGroup, Ints
from dask_augment.sampling.units import SMALLEST


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread(Measure[ByGroup[Ints]]):
    """For each stratum: rows, sum of x, sum of x squared (exact in 30 bits of each value), rows where x is broken."""

    strata: Strata
    variable: str

    def uses(self) -> frozenset[str]:
        """Strata and the variable."""
        return self.strata.uses() | {self.variable}

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Ints]:  # noqa: ARG002
        """The sums of one slice, in units of 2**-1130 and its square."""
        labels, which = self.strata.codes(events)
        return ByGroup(
            dict(
                zip(
                    labels,
                    _sums(number(events, self.variable, what="variable").astype(np.float64), which, len(labels)),
                    strict=True,
                )
            )
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SpreadOfOriginals(Measure[ByGroup[ByGroup[Ints]]]):
    """For each variable what :class:`Spread` says, without the rows that steps have made."""

    keyed = True
    strata: Strata
    variables: tuple[str, ...]

    def uses(self) -> frozenset[str]:
        """Strata and the variables."""
        return self.strata.uses() | set(self.variables)

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[ByGroup[Ints]]:
        """The sums of one slice."""
        assert draw is not None
        labels, which = self.strata.codes(events)
        rows = np.flatnonzero(draw.copies == 0)
        sums = {
            name: _sums(number(events, name, rows, "variable").astype(np.float64), which[rows], len(labels))
            for name in self.variables
        }
        return ByGroup({name: ByGroup(dict(zip(labels, found, strict=True))) for name, found in sums.items()})


def _sums(values: NDArray[np.float64], which: NDArray[np.int64], groups: int) -> list[Ints]:
    """Of each group rows, sum, sum of squares and broken rows."""
    finite = np.isfinite(values)
    fractions, exponents = np.frexp(np.where(finite, values, 0.0))
    digits = np.rint(np.ldexp(fractions, 30)).astype(np.int64)
    pairs, codes = paired(which, exponents.astype(np.int64) + SMALLEST)
    negative = np.where(digits < 0, -digits, 0)
    plus = exact_sums(digits + negative, codes, len(pairs))
    minus = exact_sums(negative, codes, len(pairs))
    # A square has up to 60 bits: its halves are added one by one.
    high = exact_sums(digits**2 >> 30, codes, len(pairs))
    low = exact_sums(digits**2 & (2**30 - 1), codes, len(pairs))
    rows, broken = (np.bincount(which, mask, groups) for mask in (np.ones(len(which)), ~finite))
    sums = [[int(rows[g]), 0, 0, int(broken[g])] for g in range(groups)]
    for i, (group, exponent) in enumerate(pairs):
        sums[group][1] += (plus[i] - minus[i]) << exponent
        sums[group][2] += ((high[i] << 30) + low[i]) << (2 * exponent)
    return [Ints(tuple(found)) for found in sums]


def standard_deviations(spread: ByGroup[Ints], variable: str) -> dict[str, float]:
    """The standard deviation of each stratum, rounded once: the same for any partitioning; NaN where there are no rows."""
    if broken := sum(part.values[3] for part in spread.parts.values()):
        raise broken_feature(variable, broken)
    sigmas = {}
    for label, part in spread.parts.items():
        rows, first, second, _ = part.values
        sigmas[label] = _root(rows * second - first**2, rows) if rows else float("nan")
    return sigmas


def _root(square: int, rows: int) -> float:
    """The root of this over rows, in units of 2**-1130: float64 holds it, and may not hold its square."""
    power = (square.bit_length() - 2 * rows.bit_length()) // 2
    return ldexp(sqrt(Fraction(square, rows**2) / Fraction(4) ** power), power - SMALLEST - 30)
