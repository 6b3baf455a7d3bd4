"""Drop events of large strata, down to an exact number of rows."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.contract.questions import beside
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import Strata
from dask_augment.options import check_choices, check_columns, check_count, options_of
from dask_augment.sampling.carried import POLICIES, balanced, exponents_of, rows_by_stratum
from dask_augment.sampling.census import STREAM, Count, Groups, Ints, Key
from dask_augment.sampling.cutting import cuts
from dask_augment.sampling.deviations import Spread, standard_deviations
from dask_augment.sampling.moments import Moments, variation, variations
from dask_augment.sampling.quotas import Quotas, quotas_of
from dask_augment.sampling.report import Resampling, counted_alike, reported
from dask_augment.sampling.strategy import (
    Strategy,
    apportion,
    check_strategy,
    neyman,
    number_of,
    proportional,
    rows_of,
    targets,
)

_FORMS = ("sum", "average")
_ALLOCATIONS = (None, "proportional", "neyman")


@options_of(Groups, Resampling)
@dataclass(frozen=True, kw_only=True, eq=False)
class Undersample(Resampling):
    r"""Drop events of some strata, with exact numbers over the whole data set, for any partitions.

    Of stratum h with :math:`N_h` events, :math:`n_h` are taken without replacement, each with the same probability.
    With ``keep="sum"`` the taken events get the weight of all events of the stratum:

    .. math:: w_i' = w_i \, \frac{\sum_{j \in h} w_j}{\sum_{j \in h, \text{taken}} w_j}

    separately for each sign of the weight. The sums are equal in integers, not only up to rounding: weights are counted
    in units of a power of two of the stratum. So yields of strata stay the same. Histograms inside a stratum stay the
    same on average only if its weights are equal: the factor is a ratio of sums, and a bin where weights have the size
    :math:`w_b` is off on average by the fraction

    .. math:: \left(\frac{1}{n_h} - \frac{1}{N_h}\right) \left(CV^2 + 1 - \frac{w_b}{\bar w}\right)

    where CV is the standard deviation over the mean of the stratum's weights. Bins of small weights get too much, and
    no bin is off by more than :math:`CV^2 (1/n_h - 1/N_h)` of the stratum's sum, to leading order in :math:`1 / n_h`.
    ``report()`` gives that number, ``weight_bias``, for each stratum. With ``keep="average"``
    :math:`w_i' = w_i N_h / n_h`: every histogram stays the same on average, for any weights; the sum of a stratum too
    is then right on average, no longer exactly.

    The statistical uncertainty grows; sums of :math:`w'^2` give it correctly. Strata from which nothing is dropped keep
    their weights bit for bit. A higher quota takes the same events and more.

    Parameters
    ----------
    sampling_strategy
        As in imbalanced-learn: ``"auto"`` (all strata as small as the smallest), ``"majority"``, ``"not minority"``,
        ``"not majority"``, ``"all"``, for two strata the ratio small / large, or ``{stratum: events}``.
    allocation
        Instead of a strategy, divide ``size`` events over the strata: ``"proportional"`` to their number of events, or
        ``"neyman"``: to number times standard deviation of ``variable``, which gives its mean the smallest variance.
    size
        Events to take in all, with ``allocation``.
    variable
        Column with one number for each event, with ``allocation="neyman"``.
    minimum
        Least number of events to take from each stratum, with ``allocation``; smaller strata are taken whole.
    weights
        Physics weights (float64) that are rescaled: all that the events have, as in ``augment(..., weights=[...])``;
        some without the others are refused. Each stratum needs an event of every sign (negative, zero,
        positive; of every combination, for several weights), so its quota must be that at least; beyond that it is
        divided between signs in proportion. ``()``: none is heeded, whatever it is called, and rows are dropped with what
        they weigh: for what is trained on alone, and fills no yield.
    keep
        ``"sum"`` keeps the sum of weights of each stratum; ``"average"`` keeps the average of each histogram.

    Columns out: the weights, ``train_weight`` float64. Rows are dropped, of training events only. Random numbers: one
    64-bit key for each row; all variations of an event have the same key. Learns in three questions, or four with
    "neyman": rows and scale of weights of each group; the keys next to the quota; the remainders of rounding down.

    Example
    -------
    ::

        - undersample: {strata: [dataset, {column: HT, edges: [0, 400, 800]}]}
    """

    strata: Any = ()
    sampling_strategy: Strategy = "auto"
    allocation: str | None = None
    size: int | None = None
    variable: str | None = None
    minimum: int = 1
    weights: Sequence[str] = ("weight",)
    keep: str = "sum"
    train_weight: str = "conserve"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_columns(self, "weights")
        check_choices(self, train_weight=POLICIES, keep=_FORMS)
        if self.keep == "average":
            object.__setattr__(self, "keeps_weight", "on average")
        check_strategy(self.sampling_strategy, "under")
        check_choices(self, allocation=_ALLOCATIONS)
        if (self.allocation is None) != (self.size is None):
            raise ValueError(f"size and allocation go together, got size={self.size}, allocation={self.allocation!r}")
        if self.allocation is not None and self.sampling_strategy != "auto":
            raise ValueError("give allocation or sampling_strategy, not both: each says how many events to take")
        if (self.allocation == "neyman") != (self.variable is not None):
            raise ValueError(
                f'variable is for allocation="neyman", which needs one; got {self.variable!r}, {self.allocation!r}'
            )
        for name in ("size", "minimum"):
            if (value := getattr(self, name)) is not None:
                check_count(name, value, 0)

    def uses(self) -> frozenset[str]:
        """Strata, weights, the variable, and train_weight unless it becomes 1."""
        return self._groups.uses() | ({self.variable} if self.variable else set())

    def reads_to_apply(self) -> frozenset[str]:
        """All but the variable."""
        return self._groups.uses()

    def produces(self) -> Mapping[str, str | None]:
        """The weights, rescaled."""
        return {**dict.fromkeys(self.weights), TRAIN_WEIGHT: "float64"}

    def rescales(self) -> tuple[str, ...]:
        """The weights."""
        return tuple(self.weights)

    @property
    def _groups(self) -> Groups:
        return Groups(self.strata, tuple(self.weights), self.train_weight != "unit")

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, allot, and find the last key of each group that is taken."""
        groups = self._groups
        census, likeness = yield from counted_alike(groups)
        quotas = self._per_sign(census, (yield from self._per_stratum(census)))
        exponents = exponents_of(census, groups)
        drops = any(0 < quota < census[key].rows for key, quota in quotas.items())
        question, spread = cuts(groups, census, quotas, exponents, gather=True), None
        if drops and self.weights:
            moments = Moments(groups=replace(groups, train=False), exponents=exponents)
            found, squares = yield from beside(question, moments)
            spread = self._spread(census, quotas, squares.parts)
        else:
            found = yield from question
        wanted = balanced(census, groups, self.train_weight)
        sums = {}
        for key, count in census.items():
            none = (0,) * len(self.weights)  # of a group that is taken whole, the weights stay as they are
            every, taken = (found[key].every, found[key].taken) if key in found else ((*none, count.train),) * 2
            if self.keep == "average":
                every = (*taken[: len(self.weights)], *every[len(self.weights) :])
            if groups.train:
                every = (*every[:-1], wanted.units[key])
            columns = len(groups.columns)
            sums[key] = (every[:columns], taken[:columns])
        rules = quotas_of(groups, census, quotas, found, exponents, sums, wanted.exponents)
        times = {key: {1: quota} for key, quota in quotas.items()}
        return (yield from reported(self, rules, census, times, likeness, drops=True, found=found, spread=spread))

    def _spread(
        self, census: Mapping[Key, Count], quotas: Mapping[Key, int], squares: Mapping[Key, Ints]
    ) -> dict[str, tuple[float, float]]:
        """Of each stratum how much its first weight varies, and the largest bias of its signs."""
        bias: dict[str, float] = {}
        for key, count in census.items():
            part = Fraction(1, quotas[key]) - Fraction(1, count.rows) if quotas[key] else 0
            found = float(part) * variation(count.rows, *squares[key].values[:2]) ** 2 if self.keep == "sum" else 0.0
            bias[key.stratum] = max(bias.get(key.stratum, 0.0), found)
        return {stratum: (cv, bias[stratum]) for stratum, cv in variations(census, squares).items()}

    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Quotas:
        """The quotas of strata and signs."""
        return Quotas(self._groups, learned)

    def _per_stratum(self, census: Mapping[Key, Count]) -> Generator[Measure[Any], Any, dict[str, int]]:
        """Rows to take of each stratum."""
        rows = rows_by_stratum(census)
        if self.allocation is None or self.size is None:
            return targets(rows, self.sampling_strategy, "under")
        least = {stratum: max(self.minimum, needed) for stratum, needed in self._needed(census).items()}
        if self.allocation == "proportional" or self.variable is None:
            return proportional(rows, self.size, least)
        spread = yield from Spread(strata=self.strata, variable=self.variable).ask()
        return neyman(rows, standard_deviations(spread, self.variable), self.size, least)

    def _needed(self, census: Mapping[Key, Count]) -> dict[str, int]:
        """Rows without which a weight of a stratum would be lost."""
        carried = bool(self.weights) or self.train_weight != "unit"
        needed = dict.fromkeys(rows_by_stratum(census), 0)
        for key in census:
            needed[key.stratum] += carried
        return needed

    def _per_sign(self, census: Mapping[Key, Count], quotas: Mapping[str, int]) -> dict[Key, int]:
        """Rows to take of each group: a stratum's, divided between the signs of its weights."""
        divided: dict[Key, int] = {}
        for stratum, needed in self._needed(census).items():
            keys = [key for key in census if key.stratum == stratum]
            if quotas[stratum] < needed:
                signs = f" (signs {', '.join(repr(key.signs) for key in keys)})" if self.weights else ""
                raise ValueError(
                    f"stratum {stratum!r} gets {number_of(quotas[stratum])}, and needs {needed} to carry its weights"
                    f'{signs}; take more of it, make coarser strata, or say weights=(), train_weight="unit" if no sum of '
                    f"weights is to be kept {rows_of(rows_by_stratum(census))}"
                )
            rows = [census[key].rows for key in keys]
            least = [min(needed, 1)] * len(keys)
            divided |= dict(zip(keys, apportion(quotas[stratum], rows, least, rows), strict=True))
        return divided

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Take the rows whose keys are within the quota of their group, with the weight of the others."""
        assert draw is not None
        assert self.learned is not None
        quotas = self.quotas_from(self.learned)
        which, bits = quotas.find(events), draw.bits(STREAM)
        source = np.flatnonzero(quotas.taken(bits, which))
        events, which, bits = events[source], which[source], bits[source]
        units = quotas.rescaled(events, which, bits)
        groups = quotas.groups
        columns = {
            name: quotas.weight(i, groups.weight(events, name), units[i], which) for i, name in enumerate(self.weights)
        }
        if self.keep == "average":
            times = quotas.arrays["rows"] / np.maximum(quotas.arrays["quota"], 1)
            columns = {name: weight * times[which] for name, weight in columns.items()}
        columns[TRAIN_WEIGHT] = quotas.trained(units[-1:].reshape(-1), which)
        return Output(columns, source)
