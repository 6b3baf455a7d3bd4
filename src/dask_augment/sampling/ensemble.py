"""Several draws without replacement: each takes the rows with the smallest of its own keys."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.strata import Strata
from dask_augment.sampling.census import ByGroup
from dask_augment.sampling.cutting import equal_keys, key_window

EVERY = 2**64 - 1
"""The last key of a draw that takes all rows."""


@dataclass(frozen=True)
class Near:
    """Of one stratum, for each draw: how many keys lie below a window, and those in it."""

    below: NDArray[np.int64]
    keys: list[NDArray[np.uint64]]

    def __add__(self, other: Near) -> Near:
        both = zip(self.keys, other.keys, strict=True)
        return Near(self.below + other.below, [np.concatenate(pair) for pair in both])


@dataclass(frozen=True, kw_only=True, eq=False)
class KeysNear(Measure[ByGroup[Near]]):
    """The keys of each draw that lie in a window [low, high] of their stratum, and how many lie below."""

    keyed = True
    strata: Strata
    draws: int
    windows: Mapping[str, tuple[int, int]]

    def uses(self) -> frozenset[str]:
        """Strata."""
        return self.strata.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> ByGroup[Near]:
        """The keys of one slice."""
        assert draw is not None
        labels, which = self.strata.codes(events)
        wanted = [label for label in labels if label in self.windows]
        rows = {label: np.flatnonzero(which == labels.index(label)) for label in wanted}
        below: dict[str, list[int]] = {label: [] for label in wanted}
        keys: dict[str, list[NDArray[np.uint64]]] = {label: [] for label in wanted}
        for number in range(self.draws):
            bits = draw.bits(number)
            for label in wanted:
                low, high = (np.uint64(border) for border in self.windows[label])
                here = bits[rows[label]]
                below[label].append(int(np.count_nonzero(here < low)))
                keys[label].append(here[(here >= low) & (here <= high)])
        return ByGroup({label: Near(np.array(below[label], np.int64), keys[label]) for label in wanted})


def last_members(
    strata: Strata, draws: int, rows: Mapping[str, int], quotas: Mapping[str, int]
) -> Generator[Measure[Any], Any, dict[str, list[int]]]:
    """Ask for the largest key that each draw takes, of so many rows of each stratum: one question as a rule."""
    found = {stratum: [EVERY] * draws for stratum in rows if quotas[stratum] in (0, rows[stratum])}
    width = 1.0
    while still := [stratum for stratum in rows if stratum not in found]:
        windows = {stratum: key_window(rows[stratum], quotas[stratum], width) for stratum in still}
        parts: Mapping[str, Near] = (yield from KeysNear(strata=strata, draws=draws, windows=windows).ask()).parts
        for stratum in still:
            last = [_last(stratum, parts[stratum], draw, quotas[stratum]) for draw in range(draws)]
            if None not in last:
                found[stratum] = [key for key in last if key is not None]
        width *= 16
    return found


def _last(stratum: str, near: Near, draw: int, quota: int) -> int | None:
    """The key of the quota's last row; None where the window misses it."""
    keys = np.sort(near.keys[draw])
    last = quota - int(near.below[draw]) - 1
    if not 0 <= last < len(keys):
        return None
    if last + 1 < len(keys) and keys[last] == keys[last + 1]:
        raise equal_keys(stratum)
    return int(keys[last])
