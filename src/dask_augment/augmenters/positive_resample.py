"""Make the weights of a stratum positive and keep their sum."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import Strata
from dask_augment.options import check_choices, check_columns, options_of
from dask_augment.sampling.carried import exponents_of
from dask_augment.sampling.census import STREAM, Count, Groups, Ints, Key, Slice, Window
from dask_augment.sampling.cutting import equal_keys
from dask_augment.sampling.drawing import Drawn, drawn
from dask_augment.sampling.moments import Moments, exact_sum, variations
from dask_augment.sampling.quotas import Quotas, among, quotas_of
from dask_augment.sampling.report import Likeness, Resampling, counted_alike, reported
from dask_augment.sampling.strategy import apportion

_FORMS = ("sum", "uncertainty")
_MOST = 100_000_000
"""Events that may be drawn among: so many keys and weights are 2.4 GB for one weight."""


@options_of(Groups)
@dataclass(frozen=True, kw_only=True, eq=False)
class PositiveResample(Resampling):
    r"""Give the events of each stratum positive weights with the same sum, for models that take no negative weights.

    With :math:`W = \sum w`, :math:`A = \sum |w|` and :math:`Q = \sum w^2` of a stratum, ``keep`` is

    - "sum": all events stay, with :math:`w' = |w|\, W / A` (Andersen, Gütschow, Maier, Prestel, arXiv:2005.09375, in
      bins). The sum of :math:`w'^2` is :math:`Q (W / A)^2`: it understates the statistical uncertainty.
    - "uncertainty": events are drawn with a probability in proportion to :math:`|w|`, and all drawn events get the same
      weight, so that the average weight of each event is that of "sum". If all :math:`|w|` are equal,
      :math:`n = W^2 / Q` events are drawn. Otherwise n is such that the sum of :math:`w'^2` is Q as before (to 1 part
      in n), and events with :math:`|w|` above a threshold, which would be drawn more than once, stay with
      :math:`w' = |w|\, W / A`. The drawn events have the statistical uncertainty of the sample (Nachman, Thaler,
      arXiv:2007.11586, in bins). ``train_weight`` keeps its sum in each stratum.

    Sums of weights of strata stay the same, as integers in units of a power of two. Inside a stratum, bin b of a
    histogram becomes :math:`A_b\, W / A` (on average, with "uncertainty"). This is the old content if negative weights
    have the same share everywhere. The variation of that share inside a stratum is lost, so take strata as fine as the
    number of events allows; the size of weights may vary freely. A stratum whose sum is not positive is refused. A
    stratum without negative weights stays as it is. With "uncertainty", events of weight 0 are dropped from strata with
    negative weights, so put steps that make rows after it.

    Parameters
    ----------
    keep
        ``"sum"`` or ``"uncertainty"``.
    weights
        Physics weights (float64), each made positive by itself. The first one decides which events are drawn. The
        others keep their sum; in histograms they have the average that "sum" gives, except for the bias of a ratio:
        about the squared relative spread of their ratio to the first weight, divided by n.

    Columns out: the weights and, with "uncertainty", ``train_weight`` float64. Rows are kept, or with "uncertainty"
    dropped, of training events only. Random numbers: one 64-bit key for each row. Learns in three questions, or four
    with "uncertainty". "uncertainty" gathers in one place 16 bytes for each event, and 8 for each weight, of strata
    with negative weights: of at most 100 million events.

    Example
    -------
    ::

        - positive_resample: {strata: [dataset, {column: HT, edges: [0, 400, 800]}]}
    """

    strata: Any = ()
    keep: str = "sum"
    weights: Sequence[str] = ("weight",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_columns(self, "weights", needed=True)
        check_choices(self, keep=_FORMS)

    def uses(self) -> frozenset[str]:
        """Strata, weights, and train_weight where rows are dropped."""
        return self._signed.uses() | self._whole.uses()

    def produces(self) -> Mapping[str, str | None]:
        """The weights."""
        return {**dict.fromkeys(self.weights), **({TRAIN_WEIGHT: "float64"} if self._whole.train else {})}

    @property
    def _signed(self) -> Groups:
        """Groups of one stratum and one sign of each weight."""
        return Groups(self.strata, tuple(self.weights), train=False)

    @property
    def _whole(self) -> Groups:
        """Groups of one stratum."""
        return Groups(self.strata, (), self.keep == "uncertainty")

    def rescales(self) -> tuple[str, ...]:
        """The weights."""
        return tuple(self.weights)

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, add up weights and squares, and divide."""
        groups = Groups(self.strata, tuple(self.weights), self._whole.train)
        census, likeness = yield from counted_alike(groups)
        exponents = exponents_of(census, groups)
        sums: Mapping[Key, Ints] = (yield from Moments(groups=self._signed, exponents=exponents).ask()).parts
        totals = {stratum: [_net(i, stratum, sums) for i in range(len(self.weights))] for stratum in exponents}
        for stratum, nets in totals.items():
            for name, net, exponent in zip(self.weights, nets, exponents[stratum], strict=False):
                if net <= 0:
                    raise ValueError(
                        f"the sum of {name!r} in stratum {stratum!r} is {np.ldexp(float(net), exponent):.6g}, which "
                        "positive weights cannot have; merge it with another stratum, for instance by wider bins"
                    )
        if self.keep == "sum":
            return (yield from self._rescaled(census, sums, totals, exponents))
        return (yield from self._drawn(census, totals, exponents, likeness, variations(census, sums)))

    def _rescaled(
        self, census: Mapping[Key, Count], sums: Mapping[Key, Ints], totals: Mapping[str, list[int]],
        exponents: Mapping[str, tuple[int, ...]],
    ) -> Generator[Measure[Any], Any, Learned]:  # fmt: skip
        """The sum of a stratum, divided between its signs as the sizes of their weights are."""
        wanted: dict[Key, list[int]] = {key: [] for key in census}
        for i in range(len(self.weights)):
            for stratum, nets in totals.items():
                keys = [key for key in census if key.stratum == stratum]
                sizes = [sums[key].values[2 * i] for key in keys]
                for key, want in zip(keys, apportion(nets[i], sizes, [0] * len(keys), sizes), strict=True):
                    wanted[key].append(want)
        both = {key: (tuple(wanted[key]), sums[key].values[::2]) for key in census}
        rows = {key: count.rows for key, count in census.items()}
        return (yield from quotas_of(self._signed, census, rows, {}, exponents, both).learned(drops=False))

    def _drawn(
        self, census: Mapping[Key, Count], totals: Mapping[str, list[int]], exponents: Mapping[str, tuple[int, ...]],
        likeness: Likeness, cv: Mapping[str, float],
    ) -> Generator[Measure[Any], Any, Learned]:  # fmt: skip
        """The rows that stay of each stratum that has negative weights, and what they weigh."""
        mixed = {key.stratum for key in census if "-" in key.signs}
        windows = {key: (0, 2**64 - 1) for key in census if key.stratum in mixed}
        groups = Groups(self.strata, tuple(self.weights), train=True)
        rows: Mapping[Key, Slice] = {}
        if (many := sum(census[key].rows for key in windows)) > _MOST:
            raise ValueError(
                f'keep="uncertainty" draws among {many} events of strata with negative weights, which are gathered in '
                f'one place, and the limit is {_MOST}; say keep="sum", which gathers none, or draw from each data set '
                "in a separate plan"
            )
        if windows:
            rows = (yield from Window(groups=groups, windows=windows, exponents=exponents).ask()).parts
        strata: dict[Key, Count] = {}
        for key, count in census.items():
            stratum = Key(key.stratum, "")
            bare = replace(count, bounds=Ints(count.bounds.values[-1:]))
            strata[stratum] = strata[stratum] + bare if stratum in strata else bare
        found, train = {}, {}
        for key, count in strata.items():
            stays = count.train
            if key.stratum in mixed:
                parts = {signed: part for signed, part in rows.items() if signed.stratum == key.stratum}
                found[key], stays = _drawn_of(key.stratum, self.weights, parts, totals[key.stratum])
            train[key] = ((count.train,), (stays,))
        arrays = _arrays(strata, found, exponents, len(self.weights))
        powers = {stratum: (power[-1],) for stratum, power in exponents.items()}
        rules = quotas_of(self._whole, strata, {key: count.rows for key, count in strata.items()}, {}, powers, train)
        first = {key: int(drawn.keys[0]) for key, drawn in found.items()}
        rules = Stays(rules.groups, {
            **rules.arrays, **arrays, "first": np.array([first.get(k, c.first) for k, c in strata.items()], np.uint64),
        })  # fmt: skip
        times = {key: {1: len(found[key].keys) if key in found else count.rows} for key, count in strata.items()}
        spread = {stratum: (value, 0.0) for stratum, value in cv.items()}
        return (yield from reported(self, rules, strata, times, likeness, drops=True, more=arrays, spread=spread))

    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Quotas:
        """The quotas: of strata and signs, where all rows stay, or of strata."""
        return Quotas(self._signed, learned) if self.keep == "sum" else Stays(self._whole, learned)

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Rescale, or draw."""
        assert draw is not None
        assert self.learned is not None
        bits = draw.bits(STREAM)
        quotas = self.quotas_from(self.learned)
        which = quotas.find(events)
        if self.keep == "sum":
            units = quotas.rescaled(events, which, bits)
            columns: dict[str, Any] = {}
            for i, name in enumerate(self.weights):
                columns[name] = np.abs(quotas.weight(i, quotas.groups.weight(events, name), units[i], which))
            return Output(columns, np.arange(len(events)))
        source = np.flatnonzero(quotas.taken(bits, which))
        events, which, bits = events[source], which[source], bits[source]
        columns = self._positive(events, which, bits)
        columns[TRAIN_WEIGHT] = quotas.trained(quotas.rescaled(events, which, bits)[-1], which)
        return Output(columns, source)

    def _positive(self, events: ak.Array, which: NDArray[np.int64], bits: NDArray[np.uint64]) -> dict[str, Any]:
        """The weights of the rows that stay; those of strata without negative weights are what they were."""
        assert self.learned is not None
        learned = self.learned
        found = {name: self._signed.weight(events, name).copy() for name in self.weights}
        units = self._signed.units(events, which, learned["weight_powers"]) if len(which) else None
        for h in np.unique(which[learned["mixed"][which]]):
            rows = np.flatnonzero(which == h)
            assert units is not None
            drawn = _drawn_from(learned, int(h))
            weighed = drawn.weighed(units[:, rows])
            weighed += np.where(bits[rows] == learned["first"][h], np.array(drawn.left)[:, None], 0)
            for i, name in enumerate(self.weights):
                found[name][rows] = np.ldexp(weighed[i].astype(np.float64), learned["weight_powers"][h, i])
        return found


@dataclass(frozen=True, eq=False)
class Stays(Quotas):
    """Quotas that name the rows that stay, by their random keys (D,), ascending, in strata with negative weights."""

    def taken(self, bits: NDArray[np.uint64], which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row stays."""
        stays: NDArray[np.bool_] = among(self.arrays["stays"], bits) | ~self.arrays["mixed"][which]
        return stays


_NUMBERS = ("threshold", "net", "size", "rest", "number", "share")
"""What is learned of each stratum that is drawn from, beside its keys; 0 of the others."""


def _arrays(
    strata: Mapping[Key, Count], found: Mapping[Key, Drawn], exponents: Mapping[str, tuple[int, ...]], weights: int
) -> dict[str, NDArray[Any]]:
    """What was drawn, as arrays by stratum."""
    none = Drawn(np.zeros(0, np.uint64), 0, 0, 0, 0, 0, 0, (0.0,) * (weights - 1), (0,) * weights)
    rows = [found.get(key, none) for key in strata]
    numbers = [[getattr(row, name) for name in _NUMBERS] for row in rows]
    return {
        "stays": np.sort(np.concatenate([row.keys for row in rows])),
        "mixed": np.array([key in found for key in strata]),
        "drawn": np.array(numbers, np.int64).reshape(len(rows), -1),
        "factors": np.array([row.factors for row in rows], np.float64).reshape(len(rows), -1),
        "left": np.array([row.left for row in rows], np.int64).reshape(len(rows), -1),
        "weight_powers": np.array([exponents[key.stratum][:weights] for key in strata], np.int64),
    }


def _drawn_from(learned: Mapping[str, NDArray[Any]], h: int) -> Drawn:
    """What was drawn of one stratum, without the keys."""
    numbers = dict(zip(_NUMBERS, learned["drawn"][h].tolist(), strict=True))
    none = np.zeros(0, np.uint64)
    return Drawn(keys=none, factors=tuple(learned["factors"][h]), left=tuple(learned["left"][h]), **numbers)


def _drawn_of(stratum: str, names: Sequence[str], parts: Mapping[Key, Slice], nets: list[int]) -> tuple[Drawn, int]:
    """The rows that stay of a stratum, and the units of train_weight that these have."""
    there = {key: part for key, part in parts.items() if key.signs[0] != "0"}
    if lost := [key for key in parts if key not in there and key.signs.strip("0")]:
        rows = sum(len(parts[key].keys) for key in lost)
        raise ValueError(
            f"{rows} rows of stratum {stratum!r} have {names[0]!r} 0 and another weight that is not 0: the first "
            "weight gives the probability to stay, so none of these would stay; drop them first, or put another "
            "weight first"
        )
    keys = np.concatenate([part.keys for part in there.values()])
    units = np.concatenate([part.units for part in there.values()], axis=1)
    if len(np.unique(keys)) < len(keys):
        raise equal_keys(stratum)
    found = drawn(keys, units[:-1], nets)
    return found, exact_sum(units[-1][among(found.keys, keys)])


def _net(i: int, stratum: str, sums: Mapping[Key, Ints]) -> int:
    """The sum of weight i in a stratum: of the positive ones less that of the negative ones."""
    signs = {"-": -1, "0": 0, "+": 1}
    return sum(signs[key.signs[i]] * found.values[2 * i] for key, found in sums.items() if key.stratum == stratum)
