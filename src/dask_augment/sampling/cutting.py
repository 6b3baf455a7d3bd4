"""Which key of a group is the last that its quota takes: found in a window of keys, with little sent from the data."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.sampling.census import Count, Groups, Key, Slice, Window
from dask_augment.sampling.moments import exact_sum

KEYS = 2**64
"""Keys are whole numbers below this."""
_SIGMAS = 8.0
MOST_GATHERED = 2**21
"""Rows whose weights are brought to one place."""


class Cut(NamedTuple):
    """Of one group: the largest key that is taken, and the sums of weights of all its rows and of those taken."""

    threshold: int
    every: tuple[int, ...]
    taken: tuple[int, ...]
    units: NDArray[np.int64] | None
    """The weights of all rows taken (weights, n), where they were gathered."""


def cuts(
    groups: Groups, census: Mapping[Key, Count], quotas: Mapping[Key, int], exponents: Mapping[str, tuple[int, ...]],
    *, gather: bool = False,
) -> Generator[Measure[Any], Any, dict[Key, Cut]]:  # fmt: skip
    """Find the largest key to take of each group that is not taken whole.

    Keys are uniform, so the quota's lies within some standard deviations of its fraction: one question as a rule. The
    window is widened where it does not, up to all keys. ``gather``: unless they are too many, the weights of the rows taken
    are brought along, which spares the question what rounding leaves of them.
    """
    found: dict[Key, Cut] = {}
    width = 1.0
    open_keys = [key for key, quota in quotas.items() if 0 < quota < census[key].rows]
    gather = gather and sum(quotas[key] for key in open_keys) <= MOST_GATHERED
    while open_keys:
        windows = {key: key_window(census[key].rows, quotas[key], width) for key in open_keys}
        if gather:
            windows = {key: (0, high) for key, (_, high) in windows.items()}
        question = Window(groups=groups, windows=windows, exponents=exponents)
        slices: Mapping[Key, Slice] = (yield from question.ask()).parts
        for key in open_keys:
            cut = _cut(key, slices[key], quotas[key])
            if cut is not None:
                found[key] = cut if gather else cut._replace(units=None)
        open_keys = [key for key in open_keys if key not in found]
        width *= 16
    return found


def key_window(rows: int, quota: int, width: float) -> tuple[int, int]:
    """Keys [low, high] among which the quota's last one is, as good as always at width 1."""
    spread = _SIGMAS * sqrt(quota * (rows - quota) / rows) + _SIGMAS**2
    centre, half = quota * KEYS // rows, int(width * spread / rows * KEYS)
    return max(centre - half, 0), min(centre + half, KEYS - 1)


def _cut(key: Key, found: Slice, quota: int) -> Cut | None:
    """The cut of one group; None where the window misses it."""
    order = np.argsort(found.keys)
    last = quota - found.below - 1
    if not 0 <= last < len(order):
        return None
    threshold = found.keys[order[last]]
    if last + 1 < len(order) and found.keys[order[last + 1]] == threshold:
        raise equal_keys(key.stratum)
    taken = found.units[:, order[: last + 1]]
    sums = [b + exact_sum(units) for b, units in zip(found.below_units.values, taken, strict=True)]
    return Cut(int(threshold), found.all_units.values, tuple(sums), taken)


def equal_keys(stratum: str) -> ValueError:
    """The error that says that two rows have the same random key."""
    return ValueError(
        f"two rows of stratum {stratum!r} have the same 64-bit random key, so that one cannot be told from the "
        "other; change the seed"
    )
