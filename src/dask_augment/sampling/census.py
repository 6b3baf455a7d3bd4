"""Questions to all the data for exact quotas: rows, random keys and sums of weights of each group.

A group is a stratum and the signs that its rows' weights have, ``-``, ``0`` or ``+`` for each weight column: what is
taken from a group can then carry the group's weight. All sums are integers, so that they are the same for any
partitioning: a weight, also train_weight, is counted in units of a power of two of its stratum, chosen from the weights
of all its rows so that they are less than 2**53 units together. A sum of such weights is then exact in float64, in any
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import lookup, number, plain
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import MOST, Strata, paired, too_many
from dask_augment.kernels.grouping import exact_sums, first_keys, in_windows
from dask_augment.sampling.units import LARGEST, as_units, bounds_of, exact_of

STREAM = 0
"""The stream of the 64-bit keys; the rows with the smallest keys are taken."""
_SIGNS = "-0+"


class Adds(Protocol):
    """Anything with a ``+`` of its kind."""

    def __add__(self, other: Self, /) -> Self: ...


V = TypeVar("V", bound=Adds)


class Key(NamedTuple):
    """A group of rows: a stratum, and the sign of each weight."""

    stratum: str
    signs: str


@dataclass(frozen=True)
class ByGroup(Generic[V]):
    """A total for each group (or stratum)."""

    parts: Mapping[Any, V]

    def __add__(self, other: ByGroup[V]) -> ByGroup[V]:
        merged = dict(self.parts)
        for key, part in other.parts.items():
            merged[key] = merged[key] + part if key in merged else part
        return ByGroup(merged)


@dataclass(frozen=True)
class Ints:
    """Integers that add up one by one."""

    values: tuple[int, ...]

    def __add__(self, other: Ints) -> Ints:
        return Ints(tuple(a + b for a, b in zip(self.values, other.values, strict=True)))


@dataclass(frozen=True, kw_only=True, eq=False)
class RowsOf(Measure[ByGroup[int]]):
    """How many rows each stratum has."""

    strata: Strata

    def uses(self) -> frozenset[str]:
        """Strata."""
        return self.strata.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[int]:  # noqa: ARG002
        """The rows of one slice."""
        labels, which = self.strata.codes(events)
        return ByGroup(dict(zip(labels, np.bincount(which, minlength=len(labels)).tolist(), strict=True)))


@dataclass(frozen=True)
class Groups:
    """How rows are grouped, and the weights that are carried: physics weights, and train_weight or not.

    Parameters
    ----------
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``.
    """

    strata: Strata
    weights: tuple[str, ...] = ()
    train: bool = True

    def uses(self) -> frozenset[str]:
        """The columns that decide about the group, and the weights."""
        return self.strata.uses() | set(self.weights) | ({TRAIN_WEIGHT} if self.train else set())

    def of(self, events: ak.Array) -> tuple[list[Key], NDArray[np.int64]]:
        """The groups that these rows are in, and which of them each row is in."""
        labels, which = self.strata.codes(events)
        keys = [Key(label, "") for label in labels]
        for name in self.weights:
            weight = number(events, name)
            pairs, which = paired(which, (weight > 0).astype(np.int64) - (weight < 0) + 1)
            if len(pairs) > 3 * MOST:
                raise too_many(len(pairs), self.strata)
            keys = [Key(keys[a].stratum, keys[a].signs + _SIGNS[b]) for a, b in pairs]
        return keys, which

    def weight(self, events: ak.Array, name: str) -> NDArray[np.float64]:
        """One weight column; it must be float64, which alone can hold sums exactly."""
        content = plain(lookup(events.layout, name))
        if not content.is_numpy or content.data.dtype != np.float64 or content.data.ndim != 1:
            raise TypeError(
                f"weight column {name!r} has type {content.form.type}; sums of weights are kept exactly, which needs "
                f"float64: convert it first, events[{name!r}] = ak.values_astype(events[{name!r}], 'float64')"
            )
        return np.asarray(content.data)

    @property
    def columns(self) -> tuple[str, ...]:
        """The weights, with train_weight last where it is carried."""
        return (*self.weights, TRAIN_WEIGHT) if self.train else self.weights

    def units(self, events: ak.Array, which: NDArray[np.int64], exponents: NDArray[np.int64]) -> NDArray[np.int64]:
        """All weights as integers, int64 (weights, n): |w| in units of 2**exponents[which, weight], then train_weight."""
        if self.train and (negative := int((self.weight(events, TRAIN_WEIGHT) < 0).sum())):
            raise ValueError(f"{negative} rows have a negative train_weight; it must be 0 or more")
        columns = [
            as_units(np.abs(self.weight(events, name)), exponents[which, i], name)
            for i, name in enumerate(self.columns)
        ]
        return np.stack(columns) if columns else np.zeros((0, len(events)), np.int64)


@dataclass(frozen=True)
class Count:
    """A group: its rows, its smallest key and how many rows have that, and what its weights are like."""

    rows: int
    first: int
    times: int
    bounds: Ints
    """For each weight, and train_weight, the sum of the powers of two next above \\|w\\|, in units of 2**-1100."""
    broken: Ints
    """For each weight, and train_weight, the rows where it is NaN or infinite; then those with a train_weight below 0."""
    train: int
    """Sum of train_weight: not rounded, in units of 2**EXACT, and once its unit is known, in that of the stratum."""
    finest: int = LARGEST
    """The largest power of two of which each train_weight is a multiple."""

    def __add__(self, other: Count) -> Count:
        first = min(self.first, other.first)
        times = self.times * (self.first == first) + other.times * (other.first == first)
        bounds, broken = self.bounds + other.bounds, self.broken + other.broken
        finest = min(self.finest, other.finest)
        return Count(self.rows + other.rows, first, times, bounds, broken, self.train + other.train, finest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Census(Measure[ByGroup[Count]]):
    """Which groups there are, how many rows they have, and the scale of their weights."""

    keyed = True
    groups: Groups

    def uses(self) -> frozenset[str]:
        """Strata and weights."""
        return self.groups.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Count]:
        """The groups of one slice."""
        assert draw is not None
        keys, which = self.groups.of(events)
        number = len(keys)
        bits = draw.bits(STREAM)
        rows, first, times = first_keys(which, bits, number)
        values = [self.groups.weight(events, name) for name in self.groups.columns]
        broken = [np.bincount(which[~np.isfinite(v)], minlength=number) for v in values]
        bounds = [bounds_of(v, which, number) for v in values]
        train, finest = [0] * number, [LARGEST] * number
        if self.groups.train:
            broken.append(np.bincount(which[values[-1] < 0], minlength=number))
            train, finest = exact_of(values[-1], which, number)
        return ByGroup({
            key: Count(
                int(rows[g]), int(first[g]), int(times[g]), Ints(tuple(b[g] for b in bounds)),
                Ints(tuple(int(b[g]) for b in broken)), train[g], finest[g],
            )
            for g, key in enumerate(keys)
        })  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """Of one group: rows and weights below a window of keys, all weights, and the rows in the window."""

    below: int
    below_units: Ints
    all_units: Ints
    pieces: tuple[tuple[NDArray[np.uint64], NDArray[np.int64]], ...]
    """Keys (n,) and units of weights (weights, n) of the rows in the window."""

    def __add__(self, other: Slice) -> Slice:
        return Slice(
            self.below + other.below,
            self.below_units + other.below_units,
            self.all_units + other.all_units,
            self.pieces + other.pieces,
        )

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Of all rows in the window."""
        return np.concatenate([keys for keys, _ in self.pieces])

    @property
    def units(self) -> NDArray[np.int64]:
        """Of all rows in the window."""
        return np.concatenate([units for _, units in self.pieces], axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Window(Measure[ByGroup[Slice]]):
    """The rows whose keys lie in a window [low, high] of their group, and sums of those below."""

    keyed = True
    groups: Groups
    windows: Mapping[Key, tuple[int, int]]
    exponents: Mapping[str, tuple[int, ...]]
    """Of each stratum, the power of two that each weight is counted in."""

    def uses(self) -> frozenset[str]:
        """Strata and weights."""
        return self.groups.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Slice]:
        """The windows of one slice."""
        assert draw is not None
        keys, which = self.groups.of(events)
        exponents = np.array([self.exponents[key.stratum] for key in keys], np.int64).reshape(len(keys), -1)
        units = self.groups.units(events, which, exponents)
        bits = draw.bits(STREAM)
        wanted = [self.windows.get(key) for key in keys]
        # A group without a quota has the empty window [1, 0], which no key lies in.
        low = np.array([window[0] if window else 1 for window in wanted], np.uint64)
        high = np.array([window[1] if window else 0 for window in wanted], np.uint64)
        rows, inside = in_windows(which, bits, low, high)
        beneath = [exact_sums(np.where(bits < low[which], unit, 0), which, len(keys)) for unit in units]
        total = [exact_sums(unit, which, len(keys)) for unit in units]
        inside = inside[np.argsort(which[inside], kind="stable")]
        borders = np.searchsorted(which[inside], np.arange(len(keys) + 1))
        return ByGroup({
            key: Slice(
                int(rows[g]), Ints(tuple(b[g] for b in beneath)), Ints(tuple(t[g] for t in total)),
                ((bits[mine], units[:, mine]),),
            )
            for g, (key, mine) in enumerate(zip(keys, np.split(inside, borders[1:-1]), strict=True)) if wanted[g]
        })  # fmt: skip
