"""The total weight of all rows of an event, in any partition, for sums of its square."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

MOST = 2**20
"""Events that are told apart, of all strata together: beyond that, a random sample of as many."""


@dataclass(frozen=True)
class Weighed:
    """Events of one stratum and the units of weight of all their rows: at most so many, those with the smallest keys.

    Those of two parts are among those of each, so that the sample and its weights do not depend on the parts.
    """

    most: int
    keys: NDArray[np.uint64]
    """A random number for each event, ascending."""
    units: NDArray[np.int64]

    @classmethod
    def of(cls, most: int, keys: NDArray[np.uint64], units: NDArray[np.int64]) -> Weighed:
        """The sample of rows, of which those of one event have one key."""
        order = np.argsort(keys, kind="stable")
        keys, units = keys[order], units[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
        totals = np.add.reduceat(units, first) if len(first) else units
        return cls(most, keys[first][:most], totals[:most])

    def __add__(self, other: Weighed) -> Weighed:
        return Weighed.of(self.most, np.concatenate([self.keys, other.keys]), np.concatenate([self.units, other.units]))

    def squares(self, total: int) -> Fraction:
        """The sum of squares, of events that have ``total`` units: exact if all are here, else in their proportion."""
        units = self.units.astype(object)
        here = int(units.sum())
        return Fraction(total * int((units * units).sum()), here) if here else Fraction(0)
