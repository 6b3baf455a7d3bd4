"""The k-th row of each stratum, exactly, in an order of all the data by integer keys of the rows.

A row's key is one or several 64-bit words. It is found by its digits of 16 bits, the highest first: one question counts
how many rows have each digit, and says in which digit the k-th row is. So no question brings more than 65,536 numbers
for a stratum, whatever the rows are like.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.strata import Strata, paired
from dask_augment.sampling.census import ByGroup

_BITS = 16
_DIGITS = 64 // _BITS
_MASK = np.uint64(2**_BITS - 1)
_SIGN = np.uint64(2**63)


@dataclass(frozen=True, kw_only=True, eq=False)
class Order(ABC):
    """An order of the rows of each stratum."""

    strata: Strata

    words: ClassVar[int] = 1
    """64-bit words of a key, the highest first."""

    @abstractmethod
    def uses(self) -> frozenset[str]:
        """Columns that keys are made of."""

    @abstractmethod
    def keys(self, events: ak.Array, draw: Draw) -> list[NDArray[np.uint64]]:
        """The words of the rows' keys: the row with the smallest key comes first."""


@dataclass(frozen=True)
class Tally:
    """How many rows have which digit; digits ascend."""

    digits: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __add__(self, other: Tally) -> Tally:
        digits, place = np.unique(np.concatenate([self.digits, other.digits]), return_inverse=True)
        rows = np.zeros(len(digits), np.int64)
        np.add.at(rows, place, np.concatenate([self.rows, other.rows]))
        return Tally(digits, rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits(Measure[ByGroup[Tally]]):
    """The digits at one place of the keys that begin with a prefix, which each stratum has its own of."""

    keyed = True
    order: Order
    prefixes: Mapping[str, int]
    place: int
    """Digits that the prefixes have."""

    def uses(self) -> frozenset[str]:
        """Strata, and what keys are made of."""
        return self.order.strata.uses() | self.order.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Tally]:
        """The digits of one slice."""
        assert draw is not None
        labels, which = self.order.strata.codes(events)
        rows = np.flatnonzero(np.array([label in self.prefixes for label in labels])[which])
        words = [word[rows] for word in self.order.keys(events, draw)]
        word, place = divmod(self.place, _DIGITS)
        shift = np.uint64(64 - _BITS * (place + 1))
        prefixes = [self.prefixes.get(label, 0) for label in labels]
        begins = np.ones(len(rows), bool)
        for i in range(word + 1):
            digits = min(self.place - i * _DIGITS, _DIGITS)  # of this word's, that are in the prefix
            if digits:
                part = [prefix >> _BITS * (self.place - i * _DIGITS - digits) for prefix in prefixes]
                part = [value & (1 << _BITS * digits) - 1 for value in part]
                begins &= words[i] >> np.uint64(64 - _BITS * digits) == np.array(part, np.uint64)[which[rows]]
        found = (words[word][begins] >> shift & _MASK).astype(np.int64)
        pairs, codes = paired(which[rows[begins]], found)
        counts = np.bincount(codes, minlength=len(pairs))
        table = np.array(pairs, np.int64).reshape(-1, 2)
        borders = np.searchsorted(table[:, 0], np.arange(len(labels) + 1))
        return ByGroup({
            label: Tally(table[borders[g] : borders[g + 1], 1], counts[borders[g] : borders[g + 1]])
            for g, label in enumerate(labels) if borders[g] < borders[g + 1]
        })  # fmt: skip


def last_keys(
    order: Order, ranks: Mapping[str, int], *, whole: bool
) -> Generator[Measure[Any], Any, dict[str, tuple[int, int]]]:
    """Ask for the key of the row that is ``ranks[stratum]``-th (from 1), and how many rows have no larger key.

    ``whole=False``: instead of it perhaps a larger key that no other row lies below, which takes fewer questions.
    """
    found: dict[str, tuple[int, int]] = {}
    left = dict(ranks)
    prefixes = dict.fromkeys(ranks, 0)
    below = dict.fromkeys(ranks, 0)
    places = order.words * _DIGITS
    for place in range(places):
        if not prefixes:
            break
        tallies: Mapping[str, Tally] = (yield from Digits(order=order, prefixes=prefixes, place=place).ask()).parts
        for stratum in list(prefixes):
            tally = tallies[stratum]
            ends = np.cumsum(tally.rows)
            at = int(np.searchsorted(ends, left[stratum]))
            start = int(ends[at]) - int(tally.rows[at])
            left[stratum] -= start
            below[stratum] += start
            prefixes[stratum] = (prefixes[stratum] << _BITS) + int(tally.digits[at])
            rows = int(tally.rows[at])
            rest = _BITS * (places - place - 1)
            if not rest or (not whole and left[stratum] == rows):
                key = (prefixes.pop(stratum) + 1 << rest) - 1
                found[stratum] = (key, below[stratum] + rows)
    return found


def ascending(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Words in the order of the numbers; -0 and 0 are equal."""
    bits = (values + 0.0).view(np.uint64)
    words: NDArray[np.uint64] = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return words


def number(word: int) -> float:
    """The number that :func:`ascending` gives this word."""
    bits = word - 2**63 if word >= 2**63 else ~word & 2**64 - 1
    return float(np.uint64(bits).view(np.float64))
