"""Share out the rows to make over the rows of a class; and group classes by stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.draw import Draw


def by_outer(names: Sequence[str] | Mapping[str, int]) -> dict[str, list[str]]:
    """Strata with a label last, by what stands before it: those are the classes of one stratum."""
    outer: dict[str, list[str]] = {}
    for name in names:
        outer.setdefault(name.rpartition("|")[0] or "all", []).append(name)
    return outer


def evenly(number: int, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``number`` shared out over rows, all as equal as can be; those with the smallest keys get one more."""
    times = np.full(len(rows), number // len(rows))
    times[np.argsort(keys[rows], kind="stable")[: number % len(rows)]] += 1
    return times


def at_random(number: int, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``number`` shared out over rows, each time to any of them: the keys of all are the seed."""
    return np.bincount(_draws(number, keys[rows]).integers(0, len(rows)), minlength=len(rows))


def one_below(high: int, keys: NDArray[np.uint64]) -> int:
    """A random whole number in [0, high): the keys of all rows are the seed."""
    return int(_draws(1, keys).integers(0, high)[0])


def _draws(number: int, keys: NDArray[np.uint64]) -> Draw:
    seed = int(np.bitwise_xor.reduce(keys))
    return Draw(seed, "iid", [""], {"number": np.arange(number, dtype=np.uint64)}, np.zeros(number, np.int64))


def in_proportion(number: int, shares: NDArray[np.int64]) -> NDArray[np.int64]:
    """``number`` shared out in proportion to shares, exactly: largest remainders, the first of equals first."""
    whole, rest = np.divmod(number * shares, int(shares.sum()))
    left = number - int(whole.sum())
    whole[np.argsort(-rest, kind="stable")[:left]] += 1
    return whole
