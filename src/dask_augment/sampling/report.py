"""How many events a resampled set is worth: rows, weights and the effective number of events of each stratum.

With t the train_weight of a row, and t_g that of all rows that come from event g, the rows of a stratum are worth

    n_eff = (sum_g t_g)**2 / sum_g t_g**2

events: copies, and rows made between events, add none (those count as their source's, the first parent's). The same
with rows in place of events is what they seem to be worth. All sums are integers, or fractions of integers, and are
rounded once. What rounding down leaves of train_weight, less than a unit for each row, is not looked at. Where steps
before have made rows, and there are more than 2**20 events, sum_g t_g**2 is that of a random sample of so many.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite, ldexp
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Learner, Measure
from dask_augment.contract.draw import Draw
from dask_augment.contract.interpolating import Interpolating
from dask_augment.contract.learned import Learned
from dask_augment.contract.questions import beside
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.kernels.grouping import exact_sums
from dask_augment.sampling.by_event import MOST, Weighed
from dask_augment.sampling.census import STREAM, ByGroup, Count, Groups, Ints, Key
from dask_augment.sampling.cutting import Cut
from dask_augment.sampling.moments import exact_squares
from dask_augment.sampling.quotas import Quotas, counted

_SPREAD = ("weight_cv", "weight_bias")
_EVENT = 2**16
"""The stream of a random number of each event, which its rows share."""


class Worth(NamedTuple):
    """Of one stratum after a step: rows, and sums of train_weight (any unit) and its squares."""

    rows: int
    weight: int
    by_event: Fraction | int
    """Sum of squares of the train_weight of all rows of an event."""
    by_row: Fraction | int

    def plus(self, other: Worth) -> Worth:
        """Both together."""
        return Worth(
            self.rows + other.rows,
            self.weight + other.weight,
            self.by_event + other.by_event,
            self.by_row + other.by_row,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Resampling(Learner):
    """Base of learners that decide how many rows there are of each one, and how these share its weight.

    Parameters
    ----------
    label
        Column of the classes: integers or strings.
    scale
        Units of the features: ``"std"``, their standard deviations over all training rows that come to the step; None, as
        they are; or one number for each. imbalanced-learn has no units: its neighbours are those of ``scale=None``.
    train_weight
        What becomes of ``train_weight`` (1 for each event where there is none yet; counted in a power of two):
        ``"conserve"``: its sum in each stratum stays, exactly, and an event shares its own with the rows made of it;
        ``"balance"``: all strata get the same sum; ``"unit"``: each row gets 1.
    """

    keeps_rows = False
    keyed = True
    use = "training"

    @abstractmethod
    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Quotas:
        """The quotas among what was learned."""

    def times(self, quotas: Quotas, draw: Draw, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows there are of each row after the step; 0 where it is dropped."""
        return quotas.taken(draw.bits(STREAM), which).astype(np.int64)

    def report(self) -> list[dict[str, Any]]:
        """Of each stratum, rows and train_weight before and after, and the events that it is worth.

        ``events`` is the effective number of events, ``by_rows`` that of rows; ``variance`` is, for each feature that was
        interpolated, the variance of made rows in units of that of the stratum's rows. Of steps that hand on weights
        of rows that they drop, ``weight_cv`` is the standard deviation over the mean of the sizes of the (first) weight,
        and ``weight_bias`` the relative bias that histograms inside the stratum may have, about, where rows are dropped
        at random. Training rows only.
        """
        return (
            []
            if self.learned is None
            else _rows(self.learned, self.between() if isinstance(self, Interpolating) else ())
        )


@dataclass(frozen=True)
class Likeness:
    """The smallest and the largest train_weight, and how many rows a step before has made."""

    low: float
    high: float
    made: int

    def __add__(self, other: Likeness) -> Likeness:
        return Likeness(min(self.low, other.low), max(self.high, other.high), self.made + other.made)

    @property
    def alike(self) -> bool:
        """Whether each row is an event, and all have one weight: sums then follow from numbers of rows."""
        return self.low == self.high and not self.made


@dataclass(frozen=True, kw_only=True, eq=False)
class Alike(Measure[Likeness]):
    """Whether rows differ in what they weigh in training."""

    keyed = True
    groups: Groups

    def uses(self) -> frozenset[str]:
        """train_weight, where it counts."""
        return frozenset({TRAIN_WEIGHT} if self.groups.train else ())

    def measure(self, events: ak.Array, draw: Draw | None) -> Likeness:
        """The range of weights in one slice."""
        assert draw is not None
        made = int(np.count_nonzero(draw.copies))
        if not self.groups.train:
            return Likeness(1.0, 1.0, made)
        weight = self.groups.weight(events, TRAIN_WEIGHT)
        return Likeness(float(weight.min()), float(weight.max()), made)


def counted_alike(groups: Groups) -> Generator[Measure[Any], Any, tuple[dict[Key, Count], Likeness]]:
    """The census, and in the same pass whether all rows are events of one weight."""
    return (yield from beside(counted(groups), Alike(groups=groups)))


@dataclass(frozen=True)
class Sums:
    """Of one stratum after a step: rows, units of train_weight, its squares by row, and by event if those are rows."""

    values: Ints
    events: Weighed | None
    """What events weigh, if rows are not events."""

    def __add__(self, other: Sums) -> Sums:
        events = None if self.events is None or other.events is None else self.events + other.events
        return Sums(self.values + other.values, events)

    @property
    def worth(self) -> Worth:
        """The sums with the squares by event."""
        rows, weight, by_row, by_event = self.values.values
        return Worth(rows, weight, by_event if self.events is None else self.events.squares(weight), by_row)


@dataclass(frozen=True, kw_only=True, eq=False)
class After(Measure[ByGroup[Sums]]):
    """What is in each stratum after the step; ``made``: there are rows that a step before it has made."""

    keyed = True
    step: Resampling
    learned: Learned
    made: bool

    def uses(self) -> frozenset[str]:
        """Those of the quotas."""
        return self.step.quotas_from(self.learned).groups.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Sums]:
        """The sums of one slice."""
        assert draw is not None
        step = replace(self.step, learned=self.learned)
        quotas = step.quotas_from(self.learned)
        which, bits = quotas.find(events), draw.bits(STREAM)
        times = step.times(quotas, draw, which)
        rows = np.flatnonzero(times)
        strata, stratum = np.unique(self.learned["strata"], return_inverse=True)
        number, times, at = len(strata), times[rows], stratum[which[rows]]
        units = quotas.rescaled(events[rows], which[rows], bits[rows])[-1] if quotas.groups.train else times
        share, rest = np.divmod(units, times)
        squares = exact_squares(share, at, number, times - rest), exact_squares(share + 1, at, number, rest)
        by_row = [a + b for a, b in zip(*squares, strict=True)]
        by_event = [0] * number if self.made else exact_squares(units, at, number)
        values = zip(exact_sums(times, at, number), exact_sums(units, at, number), by_row, by_event, strict=True)
        weighed = self._weighed(draw, rows, units, at, number) if self.made else [None] * number
        sums = [Sums(Ints(found), of) for found, of in zip(values, weighed, strict=True)]
        return ByGroup({str(strata[h]): sums[h] for h in np.unique(stratum[which])})

    @staticmethod
    def _weighed(
        draw: Draw, rows: NDArray[np.int64], units: NDArray[np.int64], at: NDArray[np.int64], number: int
    ) -> list[Weighed]:
        """What the rows of each event weigh, for each stratum."""
        keys, most = draw.of_originals().bits(_EVENT)[rows], max(MOST // number, 1)
        order = np.argsort(at, kind="stable")
        borders = np.searchsorted(at[order], np.arange(number + 1))
        parts = [order[borders[h] : borders[h + 1]] for h in range(number)]
        return [Weighed.of(most, keys[part], units[part]) for part in parts]


def reported(
    step: Resampling, quotas: Quotas, census: Mapping[Key, Count], times: Mapping[Key, Mapping[int, int]],
    likeness: Likeness, *, drops: bool, found: Mapping[Key, Cut] | None = None, more: Mapping[str, Any] | None = None,
    spread: Mapping[str, tuple[float, float]] | None = None,
) -> Generator[Measure[Any], Any, Learned]:  # fmt: skip
    """What the step learned, ``quotas`` and the arrays ``more``, with its report.

    ``times`` says of each group how many of its rows become how many; ``spread`` of each stratum how much the sizes of
    its weights vary, and how much that may bias a histogram. Where rows are not alike the data are asked as
    well, in a pass that there is anyway if weights are rescaled.
    """
    more = more or {}
    worth: dict[str, Worth] = {}
    if likeness.alike:
        learned = yield from quotas.learned(drops=drops, found=found)
        for g, key in enumerate(census):
            part = _worth(times[key], int(quotas.arrays["wanted"][g, -1]) if quotas.groups.train else None)
            worth[key.stratum] = worth[key.stratum].plus(part) if key.stratum in worth else part
    else:
        rider = After(step=step, learned=Learned({**quotas.arrays, **more}), made=likeness.made > 0)
        learned, sums = yield from beside(quotas.learned(drops=drops, found=found), rider)
        worth = {stratum: part.worth for stratum, part in sums.parts.items()}
    told = _told(quotas, census, worth)
    if spread is not None:
        told["report_spread"] = np.array([spread[stratum] for stratum in told["report_strata"]], np.float64)
    return Learned({**learned, **more, **told})


def multiples(children: NDArray[np.int64]) -> dict[int, int]:
    """How many rows become how many, those with children themselves among them."""
    numbers, rows = np.unique(children, return_counts=True)
    return dict(zip((1 + numbers).tolist(), rows.tolist(), strict=True))


def _worth(times: Mapping[int, int], wanted: int | None) -> Worth:
    """Of a group where each row that is left has the same part of ``wanted``; None: each row after the step has 1."""
    left = sum(rows for number, rows in times.items() if number)
    after = sum(number * rows for number, rows in times.items())
    if wanted is None:
        return Worth(after, after, sum(number**2 * rows for number, rows in times.items()), after)
    square = Fraction(wanted, left) ** 2 if left else Fraction(0)
    by_row = sum((Fraction(rows, number) for number, rows in times.items() if number), Fraction(0))
    return Worth(after, wanted if left else 0, square * left, square * by_row)


def _told(quotas: Quotas, census: Mapping[Key, Count], worth: Mapping[str, Worth]) -> dict[str, NDArray[Any]]:
    """The report as arrays, by stratum (H,): rows and train_weight before and after (H, 2), events by source and row."""
    strata = sorted({key.stratum for key in census})
    arrays, sums = quotas.arrays, dict.fromkeys(strata, (0.0, 0.0))
    for g, (key, count) in enumerate(census.items() if quotas.groups.train else ()):
        pairs = (count.train, arrays["exponents"][g, -1]), (int(arrays["wanted"][g, -1]), arrays["powers"][g, -1])
        had, wanted = (ldexp(units, int(power)) for units, power in pairs)
        sums[key.stratum] = (sums[key.stratum][0] + had, sums[key.stratum][1] + wanted)
    rows, weights, events = [], [], []
    for stratum in strata:
        counts = [count for key, count in census.items() if key.stratum == stratum]
        after = worth[stratum]
        rows.append((sum(count.rows for count in counts), after.rows))
        weights.append(sums[stratum] if quotas.groups.train else (np.nan, after.rows))
        squares = (after.by_event, after.by_row)
        events.append([float(Fraction(after.weight) ** 2 / square) if square else 0.0 for square in squares])
    return {
        "report_strata": np.array(strata),
        "report_rows": np.array(rows, np.int64),
        "report_weight": np.array(weights, np.float64),
        "report_events": np.array(events, np.float64),
    }


def _rows(learned: Mapping[str, NDArray[Any]], features: Sequence[str]) -> list[dict[str, Any]]:
    """The report from its arrays; nothing of what was learned before there were reports."""
    if "report_strata" not in learned:
        return []
    variances, carried = learned.get("report_variance"), "report_spread" in learned
    told = []
    for h, stratum in enumerate(learned["report_strata"]):
        rows, weights, events = (learned[f"report_{name}"][h].tolist() for name in ("rows", "weight", "events"))
        spreads = dict(zip(_SPREAD, learned["report_spread"][h].tolist(), strict=True)) if carried else {}
        spreads = {name: value for name, value in spreads.items() if isfinite(value)}
        ratios = {} if variances is None else dict(zip(features, variances[h].tolist(), strict=True))
        told.append({
            "stratum": str(stratum),
            "rows_before": rows[0],
            "rows_after": rows[1],
            "train_weight_before": None if np.isnan(weights[0]) else weights[0],
            "train_weight_after": weights[1],
            "events": events[0],
            "by_rows": events[1],
            "variance": {name: ratio for name, ratio in ratios.items() if np.isfinite(ratio)},
            **spreads,
        })  # fmt: skip
    return told
