"""The classes of the nearest neighbours of some rows, over all the data: a question with short answers."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.domains import broken_feature
from dask_augment.events.strata import Strata
from dask_augment.kernels.neighbours import nearest
from dask_augment.sampling.allotment import by_outer
from dask_augment.sampling.gathering import Table, in_order, inverse, measured, words_of


@dataclass(frozen=True)
class Ranked:
    """The k nearest rows of each query, by (squared distance, words): the sum of two is that of both together.

    Adding is associative and commutative, and a row that is in both counts once.
    """

    k: int
    query: NDArray[np.int64]
    distance: NDArray[np.float64]
    words: NDArray[np.uint64]
    foreign: NDArray[np.bool_]
    """Whether the row is of another class than the query."""

    def __add__(self, other: Ranked) -> Ranked:
        query = np.concatenate([self.query, other.query])
        distance = np.concatenate([self.distance, other.distance])
        words = np.concatenate([self.words, other.words])
        foreign = np.concatenate([self.foreign, other.foreign])
        order = np.lexsort((*words.T[::-1], distance, query))
        query, distance, words, foreign = query[order], distance[order], words[order], foreign[order]
        same = np.zeros(len(query), np.bool_)
        same[1:] = (query[1:] == query[:-1]) & (distance[1:] == distance[:-1]) & (words[1:] == words[:-1]).all(axis=1)
        kept = np.flatnonzero(~same)
        first = np.searchsorted(query[kept], query[kept])
        kept = kept[np.arange(len(kept)) - first < self.k]
        return Ranked(self.k, query[kept], distance[kept], words[kept], foreign[kept])

    def foreigners(self, queries: int) -> NDArray[np.int64]:
        """How many of its nearest rows are of another class, for each query."""
        return np.bincount(self.query[self.foreign], minlength=queries)


@dataclass(frozen=True, kw_only=True, eq=False)
class Nearest(Measure[Ranked]):
    """The nearest rows of other classes, no further than what is known to be near already.

    ``queries`` holds points (m, d), within (m,), the largest squared distance that can be among the k smallest, and
    area (m,), by which ``areas`` says in which strata each one's neighbours are sought.
    """

    keyed = True
    strata: Strata
    features: tuple[str, ...]
    k: int
    queries: Learned
    scales: tuple[float, ...]
    areas: Mapping[str, int]

    def uses(self) -> frozenset[str]:
        """Strata and features."""
        return self.strata.uses() | set(self.features)

    def measure(self, events: ak.Array, draw: Draw | None) -> Ranked:
        """The nearest rows of one slice."""
        assert draw is not None
        labels, which = self.strata.codes(events)
        area = np.array([self.areas.get(label, -1) for label in labels], np.int64)[which]
        rows = np.flatnonzero(area >= 0)
        words = words_of(draw, rows)
        order = in_order(words)
        words, there = words[order], rows[order]
        area = area[there]
        columns = measured(events, self.features, there)
        points = np.stack(columns, axis=1).astype(np.float64) * inverse(np.array(self.scales))
        found = Ranked(
            self.k, np.zeros(0, np.int64), np.zeros(0), np.zeros((0, words.shape[1]), np.uint64), np.zeros(0, np.bool_)
        )
        for code in np.unique(area):
            rows, asked = np.flatnonzero(area == code), np.flatnonzero(self.queries["area"] == code)
            mine = points[rows]
            for name, values in zip(self.features, mine.T, strict=True):
                if broken := int((~np.isfinite(values)).sum()):
                    raise broken_feature(name, broken)
            distances, at = nearest(mine, self.queries["points"][asked], self.k, within=self.queries["within"][asked])
            query, place = np.nonzero(at >= 0)
            found += Ranked(
                self.k, asked[query], distances[query, place], words[rows[at[query, place]]],
                np.ones(len(query), np.bool_),
            )  # fmt: skip
        return found


def foreign_neighbours(
    classes: Strata, features: Sequence[str], table: Table, points: NDArray[np.float64], k: int,
    counts: Mapping[str, int], scales: NDArray[np.float64],
) -> Generator[Measure[Any], Any, NDArray[np.int64]]:  # fmt: skip
    """How many of the k nearest rows of each row of the table, of all classes of its stratum, are of another class.

    First among the rows of the table itself; then the rest of the data is asked for what is nearer.
    """
    strata = [key.stratum for key in table.groups]
    area_of = {stratum: i for i, inside in enumerate(by_outer(counts).values()) for stratum in inside}
    area = np.array([area_of[stratum] for stratum in strata], np.int64)[table.which]
    codes = {stratum: i for i, stratum in enumerate(counts)}
    label = np.array([codes[stratum] for stratum in strata], np.int64)[table.which]
    found: Ranked | None = None
    within = np.full(len(table), np.inf)
    for code in np.unique(area):
        rows = np.flatnonzero(area == code)
        distances, at = nearest(points[rows], points[rows], k, own=np.arange(len(rows)))
        within[rows] = distances[:, -1]
        query, place = np.nonzero(at >= 0)
        near = rows[at[query, place]]
        part = Ranked(k, rows[query], distances[query, place], table.words[near], label[near] != label[rows[query]])
        found = part if found is None else found + part
    assert found is not None
    there = set(strata)
    areas = {stratum: area_of[stratum] for stratum in counts if stratum not in there}
    if areas:
        question = Nearest(
            strata=classes, features=tuple(features), k=k,
            queries=Learned({"points": points, "within": within, "area": area}),
            scales=tuple(scales.tolist()), areas=areas,
        )  # fmt: skip
        found += yield from question.ask()
    return found.foreigners(len(table))
