"""Gather rows of some strata in one table, in an order that does not depend on the partitions."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.contract.ids import file_word
from dask_augment.events.columns import number
from dask_augment.events.domains import broken_feature, refuse_broken_weights
from dask_augment.events.strata import Strata
from dask_augment.options import is_finite
from dask_augment.sampling.categories import coded
from dask_augment.sampling.census import STREAM, ByGroup, Groups, Ints, Key
from dask_augment.sampling.deviations import Spread, standard_deviations

_BITS, _LARGEST = 24, 1e308
MOST_ROWS = 1_000_000
"""Rows of a stratum that may be searched exactly."""
MOST_APPROXIMATE = 10_000_000
"""Rows of a stratum that may be searched by an index that may miss some."""


def words_of(draw: Draw, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """What tells these rows apart, uint64 (n, w): the word of the data set, the ids, the copy number."""
    datasets = np.array([file_word(name) for name in draw.datasets], np.uint64)
    codes = np.zeros(len(draw), np.int64) if draw.codes is None else draw.codes
    columns = [datasets[codes[rows]], *(values[rows] for values in draw.ids.values()), draw.copies[rows]]
    return np.stack([column.astype(np.uint64, copy=False) for column in columns], axis=1)


def in_order(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order of rows by their words, the first word first."""
    order: NDArray[np.int64] = np.lexsort(words.T[::-1])
    return order


def measured(events: ak.Array, names: Sequence[str], rows: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Of these rows, columns that can be interpolated: one float32 or float64 for each event."""
    columns = []
    for name in names:
        values = number(events, name, rows)
        if values.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"feature {name!r} has type {values.dtype}, and nothing lies between two of its values: leave it out, "
                f"name it as categorical (smotenc), or make it float first, define: {{{name}_: {name} * 1.0}}"
            )
        columns.append(values)
    return columns


@dataclass(frozen=True)
class Rows:
    """Rows of one group, in pieces, each (words, random keys, columns...), and how many values of each are broken."""

    pieces: tuple[tuple[NDArray[Any], ...], ...]
    broken: Ints
    texts: Mapping[int, str]
    """What codes of categories stand for, where those are texts."""

    def __add__(self, other: Rows) -> Rows:
        return Rows(self.pieces + other.pieces, self.broken + other.broken, {**self.texts, **other.texts})


@dataclass(frozen=True, kw_only=True, eq=False)
class Gather(Measure[ByGroup[Rows]]):
    """The rows of some strata: what tells them apart, a random key, features and categories."""

    keyed = True
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
        for name in self.groups.weights:
            refuse_broken_weights(name, number(events, name))
        keys, which = self.groups.of(events)
        mine = np.flatnonzero(np.array([key.stratum in self.strata for key in keys])[which])
        which, words, bits = which[mine], words_of(draw, mine), draw.bits(STREAM)[mine]
        columns = [coded(events, name, mine) for name in self.categories]
        values = measured(events, self.features, mine) + [codes for codes, _ in columns]
        texts = {code: text for _, some in columns for code, text in some.items()}
        found = {}
        for g in np.unique(which):
            rows = np.flatnonzero(which == g)
            taken = (words[rows], bits[rows], *(column[rows] for column in values))
            broken = Ints(tuple(int((~np.isfinite(v)).sum()) for v in taken[2:]))
            found[keys[g]] = Rows((taken,), broken, texts)
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
    texts: Mapping[int, str]
    """What codes of categories stand for, where those are texts."""

    def __len__(self) -> int:
        return len(self.words)

    def points(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features in units of their scales, float64 (n, d): distances are taken between these."""
        points = np.empty((len(self), len(scales)))
        np.multiply(self.features.T, inverse(scales), out=points, dtype=np.float64)
        return points

    def of(self, stratum: str) -> NDArray[np.int64]:
        """Rows of a stratum."""
        groups = [g for g, key in enumerate(self.groups) if key.stratum == stratum]
        return np.flatnonzero(np.isin(self.which, groups))


def gathered(
    groups: Groups,
    counts: Mapping[str, int],
    features: Sequence[str],
    categories: Sequence[str] = (),
    *,
    approximate: bool | None = None,
) -> Generator[Measure[Any], Any, Table]:
    """Ask for the rows of these strata; refuses strata that are too large, and broken values.

    ``approximate``: whether neighbours are sought by an index that may miss some; None: there is no choice.
    """
    _refuse_large(counts, approximate)
    question = Gather(groups=groups, strata=tuple(counts), features=tuple(features), categories=tuple(categories))
    if not counts:
        return _table(0, len(features), len(categories), np.float64)
    parts: Mapping[Key, Rows] = (yield from question.ask()).parts
    for i, name in enumerate([*features, *categories]):
        if broken := sum(part.broken.values[i] for part in parts.values()):
            raise broken_feature(name, broken)
    keys = sorted(parts)
    pieces = [piece for key in keys for piece in parts[key].pieces]
    which = np.repeat(np.arange(len(keys)), [sum(len(piece[0]) for piece in parts[key].pieces) for key in keys])
    order = in_order(np.concatenate([piece[0] for piece in pieces]))

    def column(number: int) -> NDArray[Any]:
        return np.concatenate([piece[number] for piece in pieces])[order]

    dtype = np.result_type(np.float32, *(values.dtype for piece in pieces for values in piece[2 : 2 + len(features)]))
    found = _table(len(order), len(features), len(categories), dtype)
    for i, values in enumerate([*found.features, *found.categories]):
        values[:] = column(2 + i)
    texts = {code: text for part in parts.values() for code, text in part.texts.items()}
    return replace(found, words=column(0), keys=column(1), groups=tuple(keys), which=which[order], texts=texts)


def _refuse_large(counts: Mapping[str, int], approximate: bool | None) -> None:
    """Raise for a stratum with more rows than can be searched in that way."""
    most, way, remedy = (MOST_APPROXIMATE, "by an index ", "") if approximate else (MOST_ROWS, "exactly ", "")
    if approximate is False:
        remedy = (
            ', or say neighbors="approximate" for an index that misses some of them (it needs '
            "pip install 'dask-augment[faiss]')"
        )
    for stratum, rows in counts.items():
        if rows > most:
            raise ValueError(
                f"stratum {stratum!r} has {rows} rows, and neighbours are sought {way}among {most} at most: make more "
                f"strata, or take fewer rows of it with undersample first{remedy}"
            )


def _table(rows: int, features: int, categories: int, dtype: np.dtype[Any] | type) -> Table:
    """A table for so many rows."""
    return Table(
        words=np.zeros((rows, 0), np.uint64),
        keys=np.zeros(rows, np.uint64),
        features=np.zeros((features, rows), dtype),
        categories=np.zeros((categories, rows), np.int64),
        groups=(),
        which=np.zeros(rows, np.int64),
        texts={},
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
        if not (is_finite(value) and value > 0):
            raise ValueError(f"scale of feature {name!r} must be a number above 0, got {value!r}")


def inverse(scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """One over each scale, to 24 bits: what float32 and whole numbers below 2**28 are multiplied with, without rounding.

    So equal differences of such features are equal differences of points, and of equal distances the ids decide: with a
    scale as without one. A quotient would be rounded, and differ.
    """
    with np.errstate(over="ignore"):
        fractions, exponents = np.frexp(np.minimum(1 / scales, _LARGEST))
    rounded: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(fractions, _BITS)), exponents - _BITS)
    return rounded


def scales_of(scale: Any, features: Sequence[str]) -> Generator[Measure[Any], Any, NDArray[np.float64]]:
    """The unit that each feature is measured in: its standard deviation over all training rows, 1, or as given."""
    if scale is None:
        return np.ones(len(features))
    if scale != "std":
        return np.array(scale, np.float64)
    spreads = (yield from Spreads(features=tuple(features), strata=Strata()).ask()).parts
    sigmas = [standard_deviations(spreads[name], name)["all"] for name in features]
    return np.array([sigma if sigma > 0 else 1.0 for sigma in sigmas])
