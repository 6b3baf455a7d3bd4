"""Exact quotas: which rows of each group are taken, and how they carry the weight of the whole group.

The rows of a group with the smallest random keys are taken, as many as the quota says, so that a higher quota adds
rows and drops none. Weights are rescaled in integers, rounding down; the row with the group's smallest key, which any
quota takes, gets what that leaves.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.domains import broken_of
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import MOST, renumbered, too_many, unknown_stratum
from dask_augment.kernels.allocation import rescaled
from dask_augment.kernels.grouping import exact_sums, within
from dask_augment.sampling.carried import exponents_of
from dask_augment.sampling.census import STREAM, ByGroup, Census, Count, Groups, Ints, Key
from dask_augment.sampling.cutting import KEYS, Cut, equal_keys
from dask_augment.sampling.moments import Moments, exact_sum
from dask_augment.sampling.units import EXACT


def counted(groups: Groups) -> Generator[Measure[Any], Any, dict[Key, Count]]:
    """Ask for the census, and return it in order; refuses broken weights and too many strata."""
    census = (yield from Census(groups=groups).ask()).parts
    for i, name in enumerate(groups.columns):
        if broken := sum(count.broken.values[i] for count in census.values()):
            raise broken_of(name, broken, sum(count.rows for count in census.values()))
    if groups.train and (negative := sum(count.broken.values[-1] for count in census.values())):
        raise ValueError(f"{negative} rows have a negative {TRAIN_WEIGHT}; it must be 0 or more")
    if len({key.stratum for key in census}) > MOST:
        raise too_many(len({key.stratum for key in census}), groups.strata)
    for key in sorted(census):
        if census[key].times > 1:
            raise equal_keys(key.stratum)
    return (yield from _in_units(groups, {key: census[key] for key in sorted(census)}))


def _in_units(groups: Groups, census: dict[Key, Count]) -> Generator[Measure[Any], Any, dict[Key, Count]]:
    """The census with sums of train_weight in the units of their strata; one more question where rows are rounded."""
    exponents = exponents_of(census, groups)  # Sums that are too large are told now.
    if not groups.train:
        return census
    powers = {key: exponents[key.stratum][-1] for key in census}
    if all(count.finest >= powers[key] for key, count in census.items()):
        return {key: replace(count, train=count.train >> powers[key] - EXACT) for key, count in census.items()}
    sums = (yield from Moments(groups=groups, exponents=exponents).ask()).parts
    return {key: replace(count, train=sums[key].values[-2]) for key, count in census.items()}


@dataclass(frozen=True, eq=False)
class Quotas:
    """The groups that were learned, their quotas, and how weights are rescaled.

    arrays (G groups in order, U weights with train_weight last where it is read): strata and signs, str (G,); rows and
    quota, int64 (G,); first and threshold, uint64 (G,): smallest key, and largest key that is taken; exponents and
    powers, int64 (G, U): the power of two that each weight is counted in, as it is and as it is to be; wanted, present
    and rest, int64 (G, U): the sum of weights that a group is to have, that of the rows taken, and what rounding down
    leaves, in units of powers, exponents and powers.
    """

    groups: Groups
    arrays: Mapping[str, NDArray[Any]]

    @cached_property
    def _index(self) -> dict[Key, int]:
        pairs = zip(self.arrays["strata"], self.arrays["signs"], strict=True)
        return {Key(str(stratum), str(signs)): g for g, (stratum, signs) in enumerate(pairs)}

    def find(self, events: ak.Array) -> NDArray[np.int64]:
        """The learned group of each row."""
        keys, which = self.groups.of(events)
        for key in keys:
            if key not in self._index:
                known = {known.stratum for known in self._index}
                detail = f" with weights of sign {key.signs!r}" if key.stratum in known else ""
                raise unknown_stratum(key.stratum, known, detail)
        return renumbered(np.array([self._index[key] for key in keys], np.int64), which)

    def taken(self, bits: NDArray[np.uint64], which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row is within the quota of its group."""
        taken: NDArray[np.bool_] = within(which, bits, self.arrays["threshold"], self.arrays["quota"] > 0)
        return taken

    def rescaled(self, events: ak.Array, which: NDArray[np.int64], bits: NDArray[np.uint64]) -> NDArray[np.int64]:
        """All weights of the rows taken, as integers that add up to what the group is to have: int64 (U, n)."""
        arrays = self.arrays
        units = self._scaled(self.groups.units(events, which, arrays["exponents"]), which)
        return units + np.where(bits == arrays["first"][which], arrays["rest"][which].T, 0)

    def _scaled(self, units: NDArray[np.int64], which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Units of the weights of rows taken, rescaled and rounded down; in place."""
        arrays, names = self.arrays, self.groups.columns
        for i, unit in enumerate(units):
            wanted, present = arrays["wanted"][:, i], arrays["present"][:, i]
            factors = wanted / np.maximum(present, 1)
            if np.any(unit * factors[which] >= 2.0**53):
                group = int(which[np.argmax(unit * factors[which])])
                raise ValueError(
                    f"a row of stratum {str(arrays['strata'][group])!r} would have to carry more {names[i]} than a float64 "
                    f"can hold exactly: it is rescaled by {factors[group]:.3g}; take more rows of the stratum"
                )
            units[i] = rescaled(unit, which, wanted, present)
        return units

    def weight(
        self, i: int, values: NDArray[np.float64], units: NDArray[np.int64], which: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Weight column i of the rows taken, with its signs; as it is in groups that need no rescaling."""
        arrays = self.arrays
        scaled = np.copysign(np.ldexp(units.astype(np.float64), arrays["powers"][which, i]), values)
        return np.where(self.same[which, i], values, scaled)

    @cached_property
    def same(self) -> NDArray[np.bool_]:
        """Whether a group keeps a weight as it is (G, U)."""
        arrays = self.arrays
        same: NDArray[np.bool_] = np.equal(arrays["wanted"], arrays["present"])
        same &= arrays["powers"] == arrays["exponents"]
        return same

    def trained(self, units: NDArray[np.int64], which: NDArray[np.int64]) -> NDArray[np.float64]:
        """train_weight from its units, as rows of these groups are to have it; 1 where it is not carried."""
        if not self.groups.train:
            return np.ones(len(which))
        weights: NDArray[np.float64] = np.ldexp(units.astype(np.float64), self.arrays["powers"][which, -1])
        return weights

    def learned(
        self, *, drops: bool, found: Mapping[Key, Cut] | None = None
    ) -> Generator[Measure[Any], Any, Learned]:  # fmt: skip
        """The arrays with what rounding down leaves: one more question where weights are rescaled that ``found`` has not."""
        arrays = self.arrays
        rest = np.zeros_like(arrays["wanted"])
        if not np.all(self.same):
            sums: Mapping[Key, Ints] | None = None if found is None else self._gathered(found)
            if sums is None:
                sums = (yield from Rescaled(quotas=self, drops=drops).ask()).parts
            for key, g in self._index.items():
                got = sums[key].values if key in sums else (0,) * rest.shape[1]
                rest[g] = [int(wanted) - had for wanted, had in zip(arrays["wanted"][g], got, strict=True)]
        return Learned({**arrays, "rest": rest})

    def _gathered(self, found: Mapping[Key, Cut]) -> dict[Key, Ints] | None:
        """The sums of rescaled weights of the rows that quotas take, rounded down; None where some were not gathered."""
        sums: dict[Key, Ints] = {}
        for key, g in self._index.items():
            units = found[key].units if key in found else None
            if units is not None:
                scaled = self._scaled(units.copy(), np.full(units.shape[1], g))
                sums[key] = Ints(tuple(map(exact_sum, scaled)))
            elif np.all(self.same[g]) and self.arrays["quota"][g]:
                sums[key] = Ints(tuple(self.arrays["present"][g].tolist()))
            elif self.arrays["quota"][g]:
                return None
        return sums


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescaled(Measure[ByGroup[Ints]]):
    """The sum of rescaled weights of the rows taken, rounded down."""

    keyed = True
    quotas: Quotas
    drops: bool
    """Whether rows beyond the quota are dropped."""

    def uses(self) -> frozenset[str]:
        """Strata and weights."""
        return self.quotas.groups.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Ints]:
        """The sums of one slice."""
        assert draw is not None
        which, bits = self.quotas.find(events), draw.bits(STREAM)
        if self.drops:
            taken = np.flatnonzero(self.quotas.taken(bits, which))
            events, which, bits = events[taken], which[taken], bits[taken]
        units = self.quotas.rescaled(events, which, bits)
        keys = list(self.quotas._index)
        sums = [exact_sums(unit, which, len(keys)) for unit in units]
        return ByGroup({keys[int(g)]: Ints(tuple(s[g] for s in sums)) for g in np.unique(which)})


def among(keys: NDArray[np.uint64], bits: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of these random keys are among others, which ascend."""
    if not len(keys):
        return np.zeros(len(bits), np.bool_)
    found: NDArray[np.bool_] = keys[np.minimum(np.searchsorted(keys, bits), len(keys) - 1)] == bits
    return found


def quotas_of(
    groups: Groups,
    census: Mapping[Key, Count],
    quotas: Mapping[Key, int],
    found: Mapping[Key, Cut],
    exponents: Mapping[str, tuple[int, ...]],
    sums: Mapping[Key, tuple[tuple[int, ...], tuple[int, ...]]],
    powers: Mapping[str, int] | None = None,
) -> Quotas:
    """Quotas as arrays; ``sums`` are, for each group, the weights wanted and those present, in units.

    ``powers``: the power of two of the train_weight wanted in each stratum; None: as it is counted.
    """
    keys = list(census)
    columns = len(groups.columns)
    units = np.array([exponents[key.stratum] for key in keys], np.int64).reshape(len(keys), columns)
    wanted_units = units.copy()
    if powers and groups.train:
        wanted_units[:, -1] = [powers[key.stratum] for key in keys]
    everything = KEYS - 1
    thresholds = [found[key].threshold if key in found else everything for key in keys]
    arrays: dict[str, NDArray[Any]] = {
        "strata": np.array([key.stratum for key in keys]),
        "signs": np.array([key.signs for key in keys]),
        "rows": np.array([census[key].rows for key in keys], np.int64),
        "quota": np.array([quotas[key] for key in keys], np.int64),
        "first": np.array([census[key].first for key in keys], np.uint64),
        "threshold": np.array(thresholds, np.uint64),
        "exponents": units,
        "powers": wanted_units,
        "wanted": np.array([sums[key][0] for key in keys], np.int64).reshape(len(keys), columns),
        "present": np.array([sums[key][1] for key in keys], np.int64).reshape(len(keys), columns),
        "rest": np.zeros((len(keys), columns), np.int64),
    }
    return Quotas(groups, arrays)
