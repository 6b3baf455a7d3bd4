"""Rows of some strata brought together in one table, in an order that does not depend on the partitions."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract import Measure
from dask_augment.draw import Draw
from dask_augment.identity import file_word
from dask_augment.sampling.census import STREAM, ByGroup, Groups, Ints, Key, number
from dask_augment.sampling.spread import Spread, standard_deviations
from dask_augment.strata import Strata

MOST_ROWS = 1_000_000
"""Rows of a stratum that may be brought together."""


def words_of(draw: Draw) -> NDArray[np.uint64]:
    """What tells rows apart, uint64 (n, w): the word of the data set, the ids, the copy number."""
    datasets = np.array([file_word(name) for name in draw.datasets], np.uint64)
    codes = np.zeros(len(draw), np.int64) if draw.codes is None else draw.codes
    return np.stack([datasets[codes], *draw.ids.values(), draw.copies.astype(np.uint64)], axis=1)


def in_order(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order of rows by their words, the first word first."""
    order: NDArray[np.int64] = np.lexsort(words.T[::-1])
    return order


def measured(events: ak.Array, names: Sequence[str]) -> list[NDArray[Any]]:
    """Columns that can be interpolated: one float32 or float64 for each event."""
    columns = []
    for name in names:
        values = number(events, name)
        if values.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"feature {name!r} has type {values.dtype}, and what lies between two of its values is none: leave it "
                f"out, name it as categorical (smotenc), or make it float first, define: {{{name}_: {name} * 1.0}}"
            )
        columns.append(values)
    return columns


def category(events: ak.Array, name: str) -> NDArray[Any]:
    """A column of categories: one integer or boolean for each event."""
    values = number(events, name)
    if values.dtype.kind not in "iub":
        raise TypeError(f"categorical column {name!r} has type {values.dtype}, not integers: make it a feature")
    return values


@dataclass(frozen=True)
class Rows:
    """Rows of one group, in pieces, each (words, random keys, columns...), and how many values of each are broken."""

    pieces: tuple[tuple[NDArray[Any], ...], ...]
    broken: Ints

    def __add__(self, other: Rows) -> Rows:
        return Rows(self.pieces + other.pieces, self.broken + other.broken)


@dataclass(frozen=True, kw_only=True, eq=False)
class Gather(Measure[ByGroup[Rows]]):
    """The rows of some strata: what tells them apart, a random key, features and categories."""

    keyed: ClassVar[bool] = True
    groups: Groups
    strata: tuple[str, ...]
    features: tuple[str, ...]
    categories: tuple[str, ...] = ()

    def uses(self) -> frozenset[str]:
        """Strata, weights (for their signs), features and categories."""
        return self.groups.uses() | set(self.features) | set(self.categories)

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Rows]:
        """The rows of one slice."""
        assert draw is not None
        keys, which = self.groups.of(events)
        values = measured(events, self.features) + [category(events, name) for name in self.categories]
        columns = [words_of(draw), draw.bits(STREAM), *values]
        found = {}
        for g, key in enumerate(keys):
            if key.stratum in self.strata:
                rows = np.flatnonzero(which == g)
                taken = tuple(column[rows] for column in columns)
                found[key] = Rows((taken,), Ints(tuple(int((~np.isfinite(v)).sum()) for v in taken[2:])))
        return ByGroup(found)


@dataclass(frozen=True)
class Table:
    """Rows in the order of their words."""

    words: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    """Random numbers, one for each row."""
    features: NDArray[Any]
    """float32 or float64 (d, n), by feature."""
    categories: NDArray[np.int64]
    """(c, n)."""
    groups: tuple[Key, ...]
    which: NDArray[np.int64]
    """The group of each row."""

    def __len__(self) -> int:
        return len(self.words)

    def points(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features in units of their scales, float64 (n, d): distances are taken between these."""
        return np.ascontiguousarray((self.features.astype(np.float64) / scales[:, None]).T)

    def of(self, stratum: str) -> NDArray[np.int64]:
        """Rows of a stratum."""
        groups = [g for g, key in enumerate(self.groups) if key.stratum == stratum]
        return np.flatnonzero(np.isin(self.which, groups))


def gathered(
    groups: Groups,
    counts: Mapping[str, int],
    features: Sequence[str],
    categories: Sequence[str] = (),
) -> Generator[Measure[Any], Any, Table]:
    """Ask for the rows of these strata; refuses strata that are too large, and broken values."""
    for stratum, rows in counts.items():
        if rows > MOST_ROWS:
            raise ValueError(
                f"stratum {stratum!r} has {rows} rows, and neighbours are sought among {MOST_ROWS} at most: make more "
                "strata, or take fewer rows of it with undersample first"
            )
    question = Gather(groups=groups, strata=tuple(counts), features=tuple(features), categories=tuple(categories))
    if not counts:
        return _nothing(len(features), len(categories))
    parts: Mapping[Key, Rows] = (yield from question.ask()).parts
    for i, name in enumerate([*features, *categories]):
        if broken := sum(part.broken.values[i] for part in parts.values()):
            raise ValueError(f"feature {name!r} is NaN or infinite in {broken} rows; repair or drop them first")
    keys = sorted(parts)
    columns = [np.concatenate(column) for column in zip(*(p for key in keys for p in parts[key].pieces), strict=True)]
    which = np.repeat(np.arange(len(keys)), [sum(len(p[0]) for p in parts[key].pieces) for key in keys])
    order = in_order(columns[0])
    words, bits, *values = (column[order] for column in columns)
    measured_, categorical = values[: len(features)], values[len(features) :]
    dtype = np.result_type(np.float32, *(column.dtype for column in measured_))
    return Table(
        words=words,
        keys=bits,
        features=np.stack(measured_).astype(dtype) if measured_ else np.zeros((0, len(words)), dtype),
        categories=np.stack(categorical).astype(np.int64) if categorical else np.zeros((0, len(words)), np.int64),
        groups=tuple(keys),
        which=which[order],
    )


def _nothing(features: int, categories: int) -> Table:
    """A table without rows."""
    return Table(
        words=np.zeros((0, 0), np.uint64),
        keys=np.zeros(0, np.uint64),
        features=np.zeros((features, 0)),
        categories=np.zeros((categories, 0), np.int64),
        groups=(),
        which=np.zeros(0, np.int64),
    )


# Scales --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Spreads(Measure[ByGroup[Any]]):
    """How much each feature varies in each stratum, in integers."""

    features: tuple[str, ...]
    strata: Strata

    def uses(self) -> frozenset[str]:
        """Strata and features."""
        return self.strata.uses() | set(self.features)

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Any]:
        """The sums of one slice."""
        spreads = (Spread(strata=self.strata, variable=name) for name in self.features)
        return ByGroup({spread.variable: spread.measure(events, draw) for spread in spreads})


def check_scale(scale: Any, features: Sequence[str]) -> None:
    """Raise for what is no scale of these features."""
    if scale is None or scale == "std":
        return
    if isinstance(scale, str) or len(scale) != len(features):
        raise ValueError(
            f'scale must be "std", None or one number for each of the {len(features)} features, got {scale!r}'
        )
    for name, value in zip(features, scale, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (isfinite(value) and value > 0):
            raise ValueError(f"scale of feature {name!r} must be a number above 0, got {value!r}")


def scales_of(scale: Any, features: Sequence[str]) -> Generator[Measure[Any], Any, NDArray[np.float64]]:
    """The unit that each feature is measured in: its standard deviation over all training rows, 1, or as given."""
    if scale is None:
        return np.ones(len(features))
    if scale != "std":
        return np.array(scale, np.float64)
    spreads = (yield from Spreads(features=tuple(features), strata=Strata()).ask()).parts
    sigmas = [standard_deviations(spreads[name], name)["all"] for name in features]
    return np.array([sigma if sigma > 0 else 1.0 for sigma in sigmas])
