"""Units in which weights are counted, and the train_weight that each stratum gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.sampling.census import Count, Groups, Key
from dask_augment.sampling.units import EXACT, SMALLEST, check_size, train_exponent, unit_exponent

POLICIES = ("conserve", "balance", "unit")
"""What train_weight can be: its sum in each stratum as before, the same in all strata, or 1 for every row."""


def rows_by_stratum(census: Mapping[Key, Count]) -> dict[str, int]:
    """Rows of each stratum, over its signs."""
    rows: dict[str, int] = {}
    for key, count in census.items():
        rows[key.stratum] = rows.get(key.stratum, 0) + count.rows
    return rows


def exponents_of(census: Mapping[Key, Count], groups: Groups) -> dict[str, tuple[int, ...]]:
    """The power of two that each weight, then train_weight, is counted in, for each stratum: one for all signs."""
    strata: dict[str, list[Count]] = {}
    for key, count in census.items():
        strata.setdefault(key.stratum, []).append(count)
    found = {}
    for stratum, counts in strata.items():
        bounds = [sum(values) for values in zip(*(count.bounds.values for count in counts), strict=True)]
        for name, bound in zip(groups.columns, bounds, strict=True):
            check_size(name, stratum, bound)
        powers = [unit_exponent(bound) for bound in bounds]
        if groups.train:
            powers[-1] = train_exponent(bounds[-1], min(count.finest for count in counts))
        found[stratum] = tuple(powers[: len(groups.columns)])
    return found


class Wanted(NamedTuple):
    """What each group is to have of train_weight: units, and the power of two that these are, of each stratum."""

    units: Mapping[Key, int]
    exponents: Mapping[str, int]


def balanced(census: Mapping[Key, Count], groups: Groups, train_weight: str) -> Wanted:
    """The sum of train_weight that each group is to have: what it has, or as much for each stratum."""
    powers = {stratum: found[-1] for stratum, found in exponents_of(census, groups).items()} if groups.train else {}
    have = {key: count.train for key, count in census.items()}
    if train_weight != "balance":
        return Wanted(have, powers)
    strata: dict[str, list[Key]] = {}
    for key in have:
        strata.setdefault(key.stratum, []).append(key)
    for name, keys in strata.items():
        if sum(have.values()) and not sum(have[key] for key in keys):
            raise ValueError(
                f"stratum {name!r} has no {TRAIN_WEIGHT}, so that it cannot get as much as the others: say "
                'train_weight="conserve", or leave its rows out'
            )
    total, power = total_train(census, powers)
    each = total // len(strata)
    wanted: dict[Key, int] = {}
    for keys in strata.values():
        stratum = sum(have[key] for key in keys)
        for key in keys[1:]:
            wanted[key] = each * have[key] // stratum if stratum else 0
        wanted[keys[0]] = each - sum(wanted[key] for key in keys[1:])
    return Wanted(wanted, dict.fromkeys(strata, power))


def sums_of_train(
    census: Mapping[Key, Count], groups: Groups, wanted: Wanted
) -> dict[Key, tuple[tuple[int, ...], tuple[int, ...]]]:
    """The train_weight that each group is to have and has, where it is carried and no other weight is."""
    return {key: ((wanted.units[key],), (count.train,)) if groups.train else ((), ()) for key, count in census.items()}


def total_train(census: Mapping[Key, Count], powers: Mapping[str, int]) -> tuple[int, int]:
    """The sum of all train_weight in units that all strata can have it in, and the power of two that these are."""
    exact = sum(count.train << powers[key.stratum] - EXACT for key, count in census.items())
    bound = (exact >> -SMALLEST - EXACT) + 1
    check_size(TRAIN_WEIGHT, "all", bound)
    power = train_exponent(bound, min(powers.values()))
    return exact >> power - EXACT, power
