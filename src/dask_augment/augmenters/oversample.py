"""Copy events of small strata, up to an exact number of rows."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import Strata
from dask_augment.options import check_choices, options_of
from dask_augment.sampling.bootstrap import last_draws, times_drawn
from dask_augment.sampling.carried import POLICIES, balanced, exponents_of, rows_by_stratum, sums_of_train
from dask_augment.sampling.census import STREAM, Groups
from dask_augment.sampling.cutting import cuts
from dask_augment.sampling.quotas import Quotas, quotas_of
from dask_augment.sampling.report import Resampling, counted_alike, reported
from dask_augment.sampling.strategy import Strategy, check_strategy, targets

_MULTIPLICITIES = ("even", "bootstrap")


@options_of(Groups, Resampling)
@dataclass(frozen=True, kw_only=True, eq=False)
class Oversample(Resampling):
    r"""Copy events of some strata, with exact numbers over the whole data set, for any partitions.

    Stratum h has :math:`N_h` events and gets :math:`M_h` rows. With ``multiplicity="even"`` each event appears
    :math:`\lfloor M_h / N_h \rfloor` times, and :math:`M_h \bmod N_h` events, drawn without replacement, once more: the
    numbers of copies of two events of a stratum differ by at most one. With ``"bootstrap"`` each of the
    :math:`M_h - N_h` copies is of an event drawn with replacement, as in imbalanced-learn: numbers of copies have the
    multinomial distribution, and some events have none. A higher target keeps all copies and adds some.

    Copies have physics weight 0, so that every histogram has the same sum of w and of w squared as before. In later
    steps they draw their own random numbers. Copies add no information to the originals. With ``smooth`` after it, the
    bootstrap becomes a smoothed bootstrap.

    Parameters
    ----------
    sampling_strategy
        As in imbalanced-learn: ``"auto"`` (all strata as large as the largest), ``"minority"``, ``"not minority"``,
        ``"not majority"``, ``"all"``, for two strata the ratio small / large, or ``{stratum: events}``.
    multiplicity
        ``"even"`` or ``"bootstrap"``: how copies are divided over the events of a stratum.

    Columns out: ``train_weight`` float64; augment_kind 1 and augment_copy of copies. Each row is followed by its
    copies. Random numbers: one 64-bit key for each row; with "bootstrap" also a Poisson process, read until the last
    draw of the stratum. Learns in two questions as a rule, in three with "balance" or if rows differ in train_weight.

    Example
    -------
    ::

        - oversample: {strata: [dataset, {column: HT, edges: [0, 400, 800]}]}
    """

    makes = "copies"

    strata: Any = ()
    sampling_strategy: Strategy = "auto"
    multiplicity: str = "even"
    train_weight: str = "conserve"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_choices(self, multiplicity=_MULTIPLICITIES, train_weight=POLICIES)
        check_strategy(self.sampling_strategy, "over")

    def uses(self) -> frozenset[str]:
        """Strata, and train_weight unless it becomes 1."""
        return self._groups.uses()

    def produces(self) -> Mapping[str, str | None]:
        """The weight for training."""
        return {TRAIN_WEIGHT: "float64"}

    @property
    def _groups(self) -> Groups:
        return Groups(self.strata, (), self.train_weight != "unit")

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, and find the last copy of each stratum: the last key that gets one more, or the last draw."""
        groups = self._groups
        census, likeness = yield from counted_alike(groups)
        rows = rows_by_stratum(census)
        wanted = targets(rows, self.sampling_strategy, "over")
        even = self.multiplicity == "even"
        more = {key: wanted[key.stratum] % count.rows if even else 0 for key, count in census.items()}
        exponents = exponents_of(census, groups)
        found = yield from cuts(groups, census, more, exponents)
        weights = balanced(census, groups, self.train_weight)
        sums = sums_of_train(census, groups, weights)
        quotas = quotas_of(groups, census, more, found, exponents, sums, weights.exponents)
        if even:
            whole = {key: wanted[key.stratum] // count.rows for key, count in census.items()}
            times = {
                key: {whole[key]: count.rows - more[key], whole[key] + 1: more[key]} for key, count in census.items()
            }
            arrays = {"times": np.array(list(whole.values()), np.int64)}
        else:
            draws = {stratum: wanted[stratum] - rows[stratum] for stratum in rows}
            last, drawn = yield from last_draws(groups.strata, rows, draws)
            times = {key: {1 + n: events for n, events in drawn[key.stratum].items()} for key in census}
            units, places = zip(*(divmod(last[key.stratum], 2**64) for key in census), strict=True)
            arrays = {"unit": np.array(units, np.int64), "place": np.array(places, np.uint64)}
        return (yield from reported(self, quotas, census, times, likeness, drops=False, more=arrays))

    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Quotas:
        """The quotas of strata."""
        return Quotas(self._groups, learned)

    def times(self, quotas: Quotas, draw: Draw, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """One more than the copies of each row."""
        learned = quotas.arrays
        if self.multiplicity == "even":
            times: NDArray[np.int64] = learned["times"][which] + quotas.taken(draw.bits(STREAM), which)
            return times
        return 1 + times_drawn(draw, learned["unit"][which], learned["place"][which])

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Each row, then its copies, which share its train_weight."""
        assert draw is not None
        assert self.learned is not None
        quotas = self.quotas_from(self.learned)
        which = quotas.find(events)
        times = self.times(quotas, draw, which)
        source = np.repeat(np.arange(len(events)), times)
        nth = np.arange(len(source)) - np.repeat(np.cumsum(times) - times, times)
        if quotas.groups.train:
            share, rest = np.divmod(quotas.rescaled(events, which, draw.bits(STREAM))[-1], times)
            units = share[source] + (nth < rest[source])
        else:
            units = source
        return Output({TRAIN_WEIGHT: quotas.trained(units, which[source])}, source, nth.astype(np.int32))
