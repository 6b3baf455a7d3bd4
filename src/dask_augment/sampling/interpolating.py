"""Base of the samplers that make events between an event and one of its neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.interpolating import Interpolating
from dask_augment.contract.learned import Learned
from dask_augment.contract.second_parents import SecondParents
from dask_augment.events.columns import lookup, plain
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import Strata
from dask_augment.kernels.interpolation import expanded, modes, positions
from dask_augment.options import check_choices, check_columns, check_count, options_of
from dask_augment.sampling.allotment import by_outer
from dask_augment.sampling.approximate import faiss_module
from dask_augment.sampling.carried import POLICIES, balanced, exponents_of, rows_by_stratum, sums_of_train
from dask_augment.sampling.categories import arrays_of, coded, decoded, is_text, texts_of
from dask_augment.sampling.census import STREAM, Count, Groups, Key
from dask_augment.sampling.deviations import standard_deviations
from dask_augment.sampling.gathering import Spreads, Table, check_scale, gathered, inverse, scales_of, words_of
from dask_augment.sampling.parent_choice import partners, refuse_few
from dask_augment.sampling.quotas import Quotas, quotas_of
from dask_augment.sampling.report import Resampling, counted_alike, multiples, reported
from dask_augment.sampling.strategy import Strategy, check_strategy, rows_of, targets
from dask_augment.sampling.variance import variance_ratios

NEIGHBOUR, SHARE, CATEGORY = 1, 2, 3
"""Streams of a made row: which neighbour, how far towards it, which of categories that are equally frequent."""
CARRY = (None, "parent")


class Around(NamedTuple):
    """What decides how many rows are made of each."""

    table: Table
    points: NDArray[np.float64]
    """The features of the table in units of their scales (n, d)."""
    bases: NDArray[np.bool_]
    """Rows of the table that have neighbours to make rows with."""
    counts: Mapping[str, int]
    """Rows of all strata, those too that are not in the table."""
    scales: NDArray[np.float64]

    def of(self, stratum: str) -> NDArray[np.int64]:
        """The bases of a stratum."""
        rows = self.table.of(stratum)
        return rows[self.bases[rows]]


@options_of(Resampling)
@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolator(Interpolating, Resampling):
    """Base of samplers that make events on the way from an event to one of its nearest neighbours.

    A subclass says how many are made of each event, :meth:`children`.

    Parameters
    ----------
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: classes are balanced in each, and
        neighbours sought within it. A column in bins is best a feature too; otherwise made rows have their parent's value.
    label
        Column of the classes, integers or strings, that are balanced within each stratum; without it, as ``smote`` and
        ``smotenc`` may be, the strata are the classes.
    features
        Columns to interpolate: one float32 or float64 for each event. Distances are taken between these. Angles have no
        middle across the border at pi: use their sine and cosine.
    sampling_strategy
        As in imbalanced-learn: ``"auto"`` (all classes as large as the largest), ``"minority"``, ``"not minority"``,
        ``"not majority"``, ``"all"``, for two classes the ratio small / large, or ``{stratum: events}``.
    k_neighbors
        Neighbours of each event, of its own stratum, class and sign of the weight, that are drawn from.
    distinct
        Leave out neighbours at distance 0, between which there are only copies.
    weights
        Columns whose signs both parents share; a sign with k_neighbors events or fewer is no source. ``()``: there are
        no weights.
    carry
        None: the result has features, categories, strata, ids, weights, split and provenance, which are true of made rows.
        ``"parent"``: it keeps all columns, and made rows have those of their parent.
    """

    strata: Any = ()
    label: str | None = None
    features: Sequence[str] = ()
    sampling_strategy: Strategy = "auto"
    k_neighbors: int = 5
    scale: Any = "std"
    distinct: bool = False
    weights: Sequence[str] = ("weight",)
    train_weight: str = "conserve"
    carry: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_columns(self, "features", needed=True)
        if TRAIN_WEIGHT in self.features:
            raise ValueError(
                f"features names {TRAIN_WEIGHT!r}, which the step shares out among rows and cannot interpolate: leave it out, "
                "or give it another name before (define)"
            )
        check_columns(self, "weights")
        if isinstance(self.scale, list):
            object.__setattr__(self, "scale", tuple(self.scale))
        check_scale(self.scale, self.features)
        check_count("k_neighbors", self.k_neighbors)
        check_choices(self, train_weight=POLICIES)
        check_strategy(self.sampling_strategy, "over")
        check_choices(self, carry=CARRY)
        self._classes  # noqa: B018  a label that is in strata too is told now

    @property
    def _classes(self) -> Strata:
        return self.strata.classes(self.label)  # type: ignore[no-any-return]  # strata are Any until they are made

    @property
    def _groups(self) -> Groups:
        return Groups(self._classes, (), self.train_weight != "unit")

    @property
    def _categorical(self) -> tuple[str, ...]:
        return ()

    def uses(self) -> frozenset[str]:
        """Strata, label, features, weights (for their signs), and train_weight unless it becomes 1."""
        return self._groups.uses() | set(self.features) | set(self._categorical) | set(self.weights)

    def produces(self) -> Mapping[str, str | None]:
        """The features, and the weight for training."""
        return {**dict.fromkeys((*self.features, *self._categorical)), TRAIN_WEIGHT: "float64"}

    def between(self) -> tuple[str, ...]:
        """The features."""
        return tuple(self.features)

    def reads_to_apply(self) -> frozenset[str]:
        """Strata, label, categories, and train_weight unless it becomes 1."""
        return self._groups.uses() | set(self._categorical)

    def carries(self) -> frozenset[str] | None:
        """Strata and label, which are those of the source; all columns with ``carry="parent"``."""
        return None if self.carry == "parent" else self._classes.uses()

    @property
    def _approximate(self) -> bool | None:
        """Whether neighbours are sought by an index that may miss some; None: there is no choice."""
        return None

    @abstractmethod
    def children(self, more: Mapping[str, int], around: Around) -> Generator[Measure[Any], Any, NDArray[np.int64]]:
        """How many rows to make of each row of the table: ``more`` of each stratum, of its bases alone."""

    def _penalties(
        self, more: Mapping[str, int], scales: NDArray[np.float64]
    ) -> Generator[Measure[Any], Any, dict[str, float]]:
        """What a category that differs adds to a squared distance in each stratum.

        It is the squared median of the features' standard deviations, in units of their scales.
        """
        if not more or not self._categorical:
            return dict.fromkeys(more, 0.0)
        spreads = (yield from Spreads(features=tuple(self.features), strata=self._classes).ask()).parts
        sigmas = [standard_deviations(spreads[name], name) for name in self.features]
        units = inverse(scales).tolist()
        each = {name: [sigma[name] * unit for sigma, unit in zip(sigmas, units, strict=True)] for name in more}
        return {name: float(np.median(found)) ** 2 for name, found in each.items()}

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count; bring the rows of the strata together that get more; find their neighbours."""
        if self._approximate:
            faiss_module()  # It is missed before the data is read.
        groups = self._groups
        census, likeness = yield from counted_alike(groups)
        counts = rows_by_stratum(census)
        more = self.more(counts)
        scales = yield from scales_of(self.scale, self.features)
        signed = Groups(groups.strata, tuple(self.weights), False)
        wanted = {stratum: counts[stratum] for stratum in more}
        table = yield from gathered(signed, wanted, self.features, self._categorical, approximate=self._approximate)
        points = table.points(scales)
        neighbours = partners(
            table, points, self.k_neighbors, (yield from self._penalties(more, scales)), distinct=self.distinct,
            approximate=bool(self._approximate),
        )  # fmt: skip
        found = (neighbours >= 0).sum(axis=1)
        refuse_few(table, more, found, self.k_neighbors, counts, signed=bool(self.weights))
        children = np.zeros(0, np.int64)
        if more:
            children = yield from self.children(more, Around(table, points, found > 0, counts, scales))
        near, found = neighbours.astype(np.int32), found.astype(np.int32)
        strata = sorted(counts)
        arrays: dict[str, Any] = {
            "words": table.words, "features": table.features, "categories": table.categories,
            "neighbours": near, "found": found, "children": children,
            "gathered": np.array([key.stratum in more for key in census]),
            "report_variance": variance_ratios(table, near, found, children, strata, more), **arrays_of(table.texts),
        }  # fmt: skip
        times = {
            key: multiples(children[table.of(key.stratum)]) if key.stratum in more else {1: count.rows}
            for key, count in census.items()
        }
        quotas = self._quotas(groups, census)
        return (yield from reported(self, quotas, census, times, likeness, drops=False, more=arrays))

    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Quotas:
        """The quotas of strata."""
        return Quotas(self._groups, learned)

    def times(self, quotas: Quotas, draw: Draw, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """One more than the rows that are made of each."""
        at = self._found(draw, which)
        more = np.flatnonzero(at >= 0)
        times = np.ones(len(which), np.int64)
        times[more] += quotas.arrays["children"][at[more]]
        return times

    def more(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Rows to make in each stratum that gets any; with a label, classes are balanced within each stratum."""
        wanted: dict[str, int] = {}
        if self.label is None or isinstance(self.sampling_strategy, Mapping):
            wanted = targets(counts, self.sampling_strategy, "over")
        else:
            for outer, inside in by_outer(counts).items():
                if len(inside) < 2:
                    raise ValueError(
                        f"stratum {outer!r} has but one class, {inside[0]!r}: there is nothing to balance it against; "
                        "make coarser strata, or name the rows to make: sampling_strategy={stratum: rows} "
                        f"{rows_of(counts)}"
                    )
                wanted |= targets({name: counts[name] for name in inside}, self.sampling_strategy, "over")
        return {name: wanted[name] - counts[name] for name in sorted(wanted) if wanted[name] > counts[name]}

    def _quotas(self, groups: Groups, census: Mapping[Key, Count]) -> Quotas:
        """Of each stratum the train_weight that it has and is to have; no quota drops any row."""
        none, exponents = dict.fromkeys(census, 0), exponents_of(census, groups)
        wanted = balanced(census, groups, self.train_weight)
        return quotas_of(groups, census, none, {}, exponents, sums_of_train(census, groups, wanted), wanted.exponents)

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Each row, then those that are made of it, which share its train_weight."""
        assert draw is not None
        assert self.learned is not None
        learned = self.learned
        quotas = self.quotas_from(learned)
        which = quotas.find(events)
        at = self._found(draw, which)
        more = np.flatnonzero(at >= 0)
        times = np.zeros(len(events), np.int64)
        times[more] = learned["children"][at[more]]
        source, nth, made = expanded(times)
        parent = source[made]
        children = draw.at(parent, nth[made])
        base, other, share = at[parent], np.full(len(source), -1, np.int32), np.zeros(len(source))
        if len(made):
            other[made] = learned["neighbours"][base, children.integers(NEIGHBOUR, learned["found"][base])]
            share[made] = children.uniform(SHARE)
        columns = self._chosen(events, source, made, base, children)
        columns[TRAIN_WEIGHT] = self._shared(quotas, events, which, draw, times + 1, source, nth)
        return Output(columns, source, nth, self._parents(draw, other, share) if len(made) else None)

    def _parents(self, draw: Draw, other: NDArray[np.int32], share: NDArray[np.float64]) -> SecondParents:
        """The rows of the table, which of them are second parents, and how near made rows are to them."""
        assert self.learned is not None
        words = self.learned["words"]
        ids = {name: words[:, 1 + i] for i, name in enumerate(draw.ids)}
        columns = dict(zip(self.features, self.learned["features"], strict=True))
        return SecondParents(ids, words[:, 0], words[:, -1].astype(np.int64), other, share, columns)

    def _chosen(
        self, events: ak.Array, source: NDArray[np.int64], made: NDArray[np.int64], base: NDArray[np.int64],
        children: Draw,
    ) -> dict[str, Any]:  # fmt: skip
        """Each category, of a made row the most frequent one of its source's neighbours, rows ``base`` of the table."""
        assert self.learned is not None
        columns, texts = {}, texts_of(self.learned)
        for c, name in enumerate(self._categorical):
            like = plain(lookup(events.layout, name))
            codes, own = coded(events, name)
            column = codes[source]
            if len(made):
                known = np.ascontiguousarray(self.learned["categories"][c])
                if (int(known[0]) in texts) != is_text(like):
                    raise ValueError(
                        f"categorical column {name!r} has texts, or had them while learning, and not both: learn from all the "
                        "data again"
                    )
                values, several = modes(known, self.learned["neighbours"], self.learned["found"], base)
                column[made] = values[np.arange(len(made)), children.integers(CATEGORY + c, several)]
            columns[name] = decoded(column, texts | own, like) if is_text(like) else column
        return columns

    def _found(self, draw: Draw, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each row stands in the table; -1 in strata that get no more."""
        assert self.learned is not None
        at = np.full(len(which), -1)
        rows = np.flatnonzero(self.learned["gathered"][which])
        if not len(rows):
            return at
        table, words = self.learned["words"], words_of(draw, rows)
        if table.shape[1] != words.shape[1]:
            raise ValueError("the step learned from events with other ids; learn again")
        at[rows] = positions(table, words)
        lost = rows[at[rows] < 0]
        if len(lost):
            raise ValueError(
                f"{len(lost)} rows, the first of stratum {str(self.learned['strata'][which[lost[0]]])!r}, were not "
                "there while learning, so the step has no numbers of rows to make for them: learn from all the data "
                "again"
            )
        return at

    def _shared(
        self, quotas: Quotas, events: ak.Array, which: NDArray[np.int64], draw: Draw, times: NDArray[np.int64],
        source: NDArray[np.int64], nth: NDArray[np.int32],
    ) -> NDArray[np.float64]:  # fmt: skip
        """train_weight of each row, divided between it and the rows made of it."""
        if not quotas.groups.train:
            return np.ones(len(source))
        share, rest = np.divmod(quotas.rescaled(events, which, draw.bits(STREAM))[-1], times)
        return quotas.trained(share[source] + (nth < rest[source]), which[source])
