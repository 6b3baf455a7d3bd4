"""Base of the samplers that drop events by their neighbours and give the dropped weight to the rest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from dask_augment.kernels.grouping import exact_sums
from dask_augment.options import check_choices, check_columns, options_of
from dask_augment.sampling.allotment import by_outer
from dask_augment.sampling.carried import POLICIES, balanced, exponents_of, rows_by_stratum
from dask_augment.sampling.census import STREAM, ByGroup, Count, Groups, Ints, Key
from dask_augment.sampling.cutting import equal_keys
from dask_augment.sampling.gathering import Table, check_scale, gathered, scales_of
from dask_augment.sampling.moments import Moments, variations
from dask_augment.sampling.quotas import Quotas, among, quotas_of
from dask_augment.sampling.report import Resampling, counted_alike, reported
from dask_augment.sampling.strategy import rows_of

_STRATEGIES = ("auto", "majority", "not minority", "not majority", "all")


@dataclass(frozen=True, eq=False)
class Kept(Quotas):
    """Quotas that name the rows that are dropped, by their random keys (D,), ascending, in groups that are cleaned."""

    def taken(self, bits: NDArray[np.uint64], which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row stays."""
        stays: NDArray[np.bool_] = ~(among(self.arrays["dropped"], bits) & self.arrays["cleaned"][which])
        return stays


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums(Measure[ByGroup[Ints]]):
    """The sums of weights of each group, of all rows and then of those that stay, in units."""

    keyed = True
    quotas: Kept

    def uses(self) -> frozenset[str]:
        """Strata and weights."""
        return self.quotas.groups.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Ints]:
        """The sums of one slice."""
        assert draw is not None
        which, bits = self.quotas.find(events), draw.bits(STREAM)
        units = self.quotas.groups.units(events, which, self.quotas.arrays["exponents"])
        stays = self.quotas.taken(bits, which)
        keys = list(self.quotas._index)
        sums = [exact_sums(unit[rows], which[rows], len(keys)) for rows in (slice(None), stays) for unit in units]
        return ByGroup({keys[int(g)]: Ints(tuple(s[g] for s in sums)) for g in np.unique(which)})


@options_of(Resampling)
@dataclass(frozen=True, kw_only=True, eq=False)
class Cleaner(Resampling):
    """Base of samplers that drop events of some classes because of their neighbours in the same stratum.

    Parameters
    ----------
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: neighbours are sought within each.
    features
        Columns between which distances are taken: one float32 or float64 for each event.
    sampling_strategy
        Classes to clean in each stratum, as in imbalanced-learn: ``"auto"`` or ``"not minority"``, ``"majority"``,
        ``"not majority"``, ``"all"``, or a list of strata, ``["label=0"]``.
    weights
        Physics weights (float64) that are rescaled: all that the events have. ``()``: none, as in ``undersample``.
    """

    keeps_weight = "in sum"

    strata: Any = ()
    label: str = "label"
    features: Sequence[str] = ()
    sampling_strategy: str | Sequence[str] = "auto"
    scale: Any = "std"
    weights: Sequence[str] = ("weight",)
    train_weight: str = "conserve"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_columns(self, "features", needed=True)
        check_columns(self, "weights")
        if not isinstance(self.label, str) or not self.label:
            raise ValueError(f"label must name the column of the classes, got {self.label!r}")
        if isinstance(self.scale, list):
            object.__setattr__(self, "scale", tuple(self.scale))
        check_scale(self.scale, self.features)
        check_choices(self, train_weight=POLICIES)
        if isinstance(self.sampling_strategy, str):
            if self.sampling_strategy not in _STRATEGIES:
                raise ValueError(
                    f"sampling_strategy must be one of {list(_STRATEGIES)} or a list of strata, got "
                    f"{self.sampling_strategy!r}"
                )
        else:
            object.__setattr__(self, "sampling_strategy", tuple(self.sampling_strategy))
        self._classes  # noqa: B018  a label that is in strata too is told now

    @property
    def _classes(self) -> Strata:
        return self.strata.classes(self.label)  # type: ignore[no-any-return]  # strata are Any until they are made

    @property
    def _groups(self) -> Groups:
        return Groups(self._classes, tuple(self.weights), self.train_weight != "unit")

    def uses(self) -> frozenset[str]:
        """Strata, label, features, weights, and train_weight unless it becomes 1."""
        return self._groups.uses() | set(self.features)

    def reads_to_apply(self) -> frozenset[str]:
        """All but the features."""
        return self._groups.uses()

    def produces(self) -> Mapping[str, str | None]:
        """The weights, rescaled."""
        return {**dict.fromkeys(self.weights), TRAIN_WEIGHT: "float64"}

    def rescales(self) -> tuple[str, ...]:
        """The weights."""
        return tuple(self.weights)

    @abstractmethod
    def dropped(
        self, points: NDArray[np.float64], classes: NDArray[np.int64], cleaned: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Which rows of one stratum are dropped, of the classes ``cleaned``.

        ``points`` (n, d) are features in units of their scales, in the order of ids; ``classes`` (n,) are numbers in the
        order of the labels.
        """

    def cleaned(self, counts: Mapping[str, int]) -> dict[str, list[str]]:
        """Of each stratum with several classes and one to clean, the classes to clean."""
        strategy = self.sampling_strategy
        if unknown := sorted(set(() if isinstance(strategy, str) else strategy) - set(counts)):
            raise ValueError(
                f"sampling_strategy names {unknown[0]!r}, which is not there; there are {sorted(counts)[:8]}"
            )
        if all(len(inside) < 2 for inside in by_outer(counts).values()):
            raise ValueError(f"column {self.label!r} has but one class in each stratum {rows_of(counts)}")
        found = {}
        for outer, inside in by_outer(counts).items():
            smallest, largest = min(inside, key=counts.__getitem__), max(inside, key=counts.__getitem__)
            chosen = {
                "majority": [largest],
                "not minority": [name for name in inside if name != smallest],
                "not majority": [name for name in inside if name != largest],
                "all": inside,
            }.get({"auto": "not minority"}.get(strategy, strategy) if isinstance(strategy, str) else "")
            if chosen is None:
                chosen = [name for name in inside if name in strategy]
            if len(inside) > 1 and chosen:
                found[outer] = chosen
        return found

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count; bring the strata together; find who is dropped, and what the others are to weigh."""
        groups = self._groups
        census, likeness = yield from counted_alike(groups)
        counts = dict(sorted(rows_by_stratum(census).items()))
        cleaned = self.cleaned(counts)
        scales = yield from scales_of(self.scale, self.features)
        outer = by_outer(counts)
        wanted = {name: counts[name] for key in cleaned for name in outer[key]}
        table = yield from gathered(replace(groups, train=False), wanted, self.features)
        drop = self._drop(table, scales, {key: outer[key] for key in cleaned}, cleaned)
        quotas = self._kept(groups, census, table, drop, {name for names in cleaned.values() for name in names})
        sums, spread = yield from self._weights(groups, census, quotas)
        gone = {key: int(drop[table.which == g].sum()) for g, key in enumerate(table.groups)}
        times = {key: {1: count.rows - gone.get(key, 0)} for key, count in census.items()}
        rules = self._weighed(quotas, census, sums)
        return (yield from reported(self, rules, census, times, likeness, drops=True, spread=spread))

    @staticmethod
    def _weights(
        groups: Groups, census: Mapping[Key, Count], quotas: Kept
    ) -> Generator[Measure[Any], Any, tuple[Mapping[Key, Ints], dict[str, tuple[float, float]] | None]]:
        """The sums of weights, and of each stratum how much the first one varies."""
        question = Sums(quotas=quotas)
        if not groups.weights:
            return (yield from question.ask()).parts, None
        moments = Moments(groups=replace(groups, train=False), exponents=exponents_of(census, groups))
        sums, squares = yield from beside(question.ask(), moments)
        cv = variations(census, squares.parts)
        # Who is dropped has to do with what is filled: how far that moves a histogram, no number of the weights tells.
        return sums.parts, {stratum: (value, float("nan")) for stratum, value in cv.items()}

    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Kept:
        """The quotas of classes and signs, and the rows that are dropped."""
        return Kept(self._groups, learned)

    def _drop(
        self, table: Table, scales: NDArray[np.float64], outer: Mapping[str, Sequence[str]],
        cleaned: Mapping[str, Sequence[str]],
    ) -> NDArray[np.bool_]:  # fmt: skip
        points = table.points(scales) if len(table) else np.zeros((0, len(scales)))
        drop = np.zeros(len(table), np.bool_)
        for key, inside in outer.items():
            number = {name: i for i, name in enumerate(inside)}
            classes = np.array([number.get(group.stratum, -1) for group in table.groups], np.int64)[table.which]
            rows = np.flatnonzero(classes >= 0)
            drop[rows] = self.dropped(points[rows], classes[rows], [number[name] for name in cleaned[key]])
        return drop

    def _kept(
        self, groups: Groups, census: Mapping[Key, Count], table: Table, drop: NDArray[np.bool_], cleaned: set[str]
    ) -> Kept:
        """The rows that are dropped, and of each group the smallest key that stays, whose row takes the remainder."""
        keys = list(census)
        if len(np.unique(table.keys)) < len(table):
            raise equal_keys(next(iter(cleaned)))
        first = {key: count.first for key, count in census.items()}
        for g, key in enumerate(table.groups):
            stays = table.keys[(table.which == g) & ~drop]
            if not len(stays) and (self.weights or groups.train):
                raise ValueError(
                    f"all {census[key].rows} rows of stratum {key.stratum!r} (signs of weights {key.signs!r}) are dropped, "
                    "and nobody is left to carry their weight: take more or other neighbours, coarser strata, or say "
                    "weights=(), train_weight='unit' if no sum of weights is to be kept "
                    f"{rows_of(rows_by_stratum(census))}"
                )
            first[key] = int(stays.min()) if len(stays) else first[key]
        units = ((0,) * len(groups.columns),) * 2
        quotas = quotas_of(
            groups,
            census,
            dict.fromkeys(census, 0),
            {},
            exponents_of(census, groups),
            dict.fromkeys(census, units),
            balanced(census, groups, self.train_weight).exponents,
        )
        arrays = {
            "first": np.array([first[key] for key in keys], np.uint64),
            "dropped": np.sort(table.keys[drop]),
            "cleaned": np.array([key.stratum in cleaned for key in keys]),
        }
        return Kept(groups, {**quotas.arrays, **arrays})

    def _weighed(self, quotas: Kept, census: Mapping[Key, Count], sums: Mapping[Key, Ints]) -> Kept:
        """The quotas with the sums that groups are to have, and those of the rows that stay."""
        wanted_train = balanced(census, quotas.groups, self.train_weight).units
        columns = len(quotas.groups.columns)
        wanted, present = [], []
        for key in census:
            every, stays = sums[key].values[:columns], sums[key].values[columns:]
            if quotas.groups.train:
                every = (*every[:-1], wanted_train[key])
            wanted.append(every)
            present.append(stays)
        shape = (len(census), columns)
        arrays = {
            "wanted": np.array(wanted, np.int64).reshape(shape), "present": np.array(present, np.int64).reshape(shape),
        }  # fmt: skip
        return Kept(quotas.groups, {**quotas.arrays, **arrays})

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """The rows that stay, with the weight of those that do not."""
        assert draw is not None
        assert self.learned is not None
        quotas = self.quotas_from(self.learned)
        which, bits = quotas.find(events), draw.bits(STREAM)
        source = np.flatnonzero(quotas.taken(bits, which))
        events, which, bits = events[source], which[source], bits[source]
        units = quotas.rescaled(events, which, bits)
        groups = quotas.groups
        columns: dict[str, Any] = {
            name: quotas.weight(i, groups.weight(events, name), units[i], which) for i, name in enumerate(self.weights)
        }
        columns[TRAIN_WEIGHT] = quotas.trained(units[-1:].reshape(-1), which)
        return Output(columns, source)
