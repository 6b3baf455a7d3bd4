"""Draw with replacement, exactly as many as asked for: the first random arrivals at the rows of a stratum.

Every row has random arrivals of its own, on average one in each unit of time (a Poisson process). Whichever row the next
arrival of a stratum is at, each is as likely, whatever came before. So the first m arrivals are m independent draws with
replacement: their counts have the multinomial distribution, and their number is m. A row knows its own arrivals without
the others; what all the data must say is the time of the m-th. More draws keep the earlier ones.

Time is an integer, in units of 2**-64: the high word counts whole units, the low one is a random word of the row. How
many arrivals a row has in each unit is read off a table of the distribution function, in integers as well.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import isqrt
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.strata import Strata
from dask_augment.sampling.census import ByGroup
from dask_augment.sampling.cutting import equal_keys

_NUMBER, _PLACE = 1, 2
"""Streams of the number of arrivals in each unit of time, and of where in it they are."""
_UNIT = 2**64
_LOW = _UNIT - 1
NEVER = -1
"""The time of the last draw of a stratum from which none are drawn."""
_SIGMAS = 8
_MARGIN = 64


def _distribution() -> NDArray[np.uint64]:
    """2**64 P(number <= k) of a Poisson distribution with mean 1, rounded down, for all k that a word can tell apart."""
    steps: list[int] = []
    with localcontext(prec=60):
        term = Decimal(-1).exp()
        total = Decimal(0)
        while not steps or steps[-1] < _LOW:
            total += term
            steps.append(int(total * _UNIT))
            term /= len(steps)
    return np.array(steps, np.uint64)


_STEPS = _distribution()


@dataclass(frozen=True)
class Arrivals:
    """Arrivals, in order of rows and units of time: the row of each, and its time."""

    row: NDArray[np.int64]
    unit: NDArray[np.int64]
    place: NDArray[np.uint64]

    def until(self, unit: NDArray[np.int64], place: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which are at or before the time of their own, given for each arrival."""
        within: NDArray[np.bool_] = (self.unit < unit) | ((self.unit == unit) & (self.place <= place))
        return within


def arrivals(draw: Draw, units: NDArray[np.int64]) -> Arrivals:
    """All arrivals of each row in its first ``units`` units of time."""
    numbers = np.searchsorted(_STEPS, draw.bits(_NUMBER, counts=units), side="right")
    row = np.repeat(np.arange(len(units)), units)
    unit = np.arange(len(row)) - np.repeat(np.cumsum(units) - units, units)
    totals = np.zeros(len(units), np.int64)
    np.add.at(totals, row, numbers)
    places = draw.bits(_PLACE, counts=totals)
    return Arrivals(np.repeat(row, numbers), np.repeat(unit, numbers), places)


def times_drawn(draw: Draw, unit: NDArray[np.int64], place: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each row is drawn, where the last draw of its stratum is at time (unit, place)."""
    found = arrivals(draw, unit + 1)
    drawn = found.row[found.until(unit[found.row], place[found.row])]
    return np.bincount(drawn, minlength=len(draw)).astype(np.int64)


@dataclass(frozen=True)
class Early:
    """Of one stratum: arrivals before a window of time, and the times of those in it."""

    rows: NDArray[np.int64]
    """How many rows have 0, 1, 2, ... arrivals before the window."""
    units: NDArray[np.int64]
    places: NDArray[np.uint64]
    earlier: NDArray[np.int64]
    """How many arrivals the row of each has before it."""

    def __add__(self, other: Early) -> Early:
        rows = np.zeros(max(len(self.rows), len(other.rows)), np.int64)
        rows[: len(self.rows)] += self.rows
        rows[: len(other.rows)] += other.rows
        return Early(
            rows,
            np.concatenate([self.units, other.units]),
            np.concatenate([self.places, other.places]),
            np.concatenate([self.earlier, other.earlier]),
        )

    @property
    def before(self) -> int:
        """Arrivals before the window."""
        return int(self.rows @ np.arange(len(self.rows)))

    def drawn(self, first: NDArray[np.int64]) -> dict[int, int]:
        """How many rows have how many arrivals, where these are the arrivals in the window that count, in order."""
        rows = np.zeros(max(len(self.rows), int(self.earlier.max(initial=0)) + 2), np.int64)
        rows[: len(self.rows)] += self.rows
        np.subtract.at(rows, self.earlier[first], 1)
        np.add.at(rows, self.earlier[first] + 1, 1)
        return {number: int(n) for number, n in enumerate(rows) if n}


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrived(Measure[ByGroup[Early]]):
    """The arrivals in a window of time [low, high) of each stratum, and how many there are before it."""

    keyed = True
    strata: Strata
    windows: Mapping[str, tuple[int, int]]

    def uses(self) -> frozenset[str]:
        """Strata."""
        return self.strata.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Early]:
        """The arrivals of one slice."""
        assert draw is not None
        labels, which = self.strata.codes(events)
        windows = [self.windows.get(label, (0, 0)) for label in labels]
        units = np.array([-(-high // _UNIT) for _, high in windows], np.int64)
        found = arrivals(draw, units[which])
        stratum = which[found.row]
        before, until = (_until(found, stratum, [window[border] for window in windows]) for border in (0, 1))
        times = np.bincount(found.row[before], minlength=len(which))
        most = int(times.max(initial=0)) + 1
        rows = np.bincount(which * most + times, minlength=len(labels) * most).reshape(len(labels), most)
        inside = np.flatnonzero(until & ~before)
        inside = inside[np.lexsort((found.place[inside], found.unit[inside], found.row[inside], stratum[inside]))]
        row = found.row[inside]
        earlier = times[row] + np.arange(len(row)) - _starts(row)
        borders = np.searchsorted(stratum[inside], np.arange(len(labels) + 1))
        parts = [slice(borders[g], borders[g + 1]) for g in range(len(labels))]
        return ByGroup({
            label: Early(rows[g], found.unit[inside[parts[g]]], found.place[inside[parts[g]]], earlier[parts[g]])
            for g, label in enumerate(labels) if label in self.windows
        })  # fmt: skip


def _starts(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the run of equal values begins that each one is in."""
    new = np.concatenate([[True], values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.bool_)
    starts: NDArray[np.int64] = np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
    return starts


def _until(found: Arrivals, stratum: NDArray[np.int64], times: list[int]) -> NDArray[np.bool_]:
    """Which arrivals are before the time of their stratum."""
    moments = [time - 1 for time in times]
    units = np.array([moment >> 64 for moment in moments], np.int64)
    places = np.array([moment & _LOW for moment in moments], np.uint64)
    return found.until(units[stratum], places[stratum])


def last_draws(
    strata: Strata, rows: Mapping[str, int], draws: Mapping[str, int]
) -> Generator[Measure[Any], Any, tuple[dict[str, int], dict[str, dict[int, int]]]]:
    """Ask when the last of so many draws from each stratum is, :data:`NEVER` where there are none.

    And how many rows of each stratum are drawn how often.

    The m-th arrival at N rows is at m / N, give or take sqrt(m) / N: one question as a rule. The window is widened
    where it is not within eight times that.
    """
    found = {stratum: NEVER for stratum in rows if not draws[stratum]}
    drawn = {stratum: {0: rows[stratum]} for stratum in found}
    width = 1
    while open_strata := [stratum for stratum in rows if stratum not in found]:
        windows = {stratum: _window(rows[stratum], draws[stratum], width) for stratum in open_strata}
        parts: Mapping[str, Early] = (yield from Arrived(strata=strata, windows=windows).ask()).parts
        for stratum in open_strata:
            early = parts[stratum]
            last = draws[stratum] - early.before - 1
            order = np.lexsort((early.places, early.units))
            if not 0 <= last < len(order):
                continue
            moments = [(int(early.units[i]) << 64) + int(early.places[i]) for i in order[last : last + 2]]
            if moments[0] == moments[-1] and len(moments) == 2:
                raise equal_keys(stratum)
            found[stratum], drawn[stratum] = moments[0], early.drawn(order[: last + 1])
        width *= 16
    return found, drawn


def _window(rows: int, draws: int, width: int) -> tuple[int, int]:
    half = width * (_SIGMAS * isqrt(draws) + _MARGIN)
    return max(draws - half, 0) * _UNIT // rows, (draws + half) * _UNIT // rows
