"""Laws about learners: what is learned depends on the events, not on the partitions."""

from __future__ import annotations

from itertools import pairwise

import awkward as ak
import numpy as np

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Learner
from dask_augment.contract.ids import RepeatedIds
from dask_augment.events import columns as cols
from dask_augment.events.own_columns import TRAIN, TRAIN_WEIGHT
from dask_augment.laws.case import Case


def learns_the_same_from_any_partitions(case: Case) -> None:
    """Any partitioning and order of the events teaches the same, bit for bit; partitions may be empty."""
    if not isinstance(case.augmenter, Learner):
        return
    events, n = case.events, len(case.events)
    shuffled = events[np.random.default_rng(5).permutation(n)]
    thirds, many = _divided(events, 3), _divided(events, 17)
    ways = {
        "3 partitions": thirds,
        "17 partitions, and an empty one": [events[:0], *many],
        "the same partitions in another order": [*reversed(many)],
        "shuffled events in 5 partitions": _divided(shuffled, 5),
    }
    first = case.taught([events]).learned
    for way, partitions in ways.items():
        learned = case.taught(partitions).learned
        if first is None or learned is None or learned.digest != first.digest:
            raise case.broken(f"it learns {learned!r} from {way}, other contents than from one partition: {first!r}")


def repeated_ids_are_refused(case: Case) -> None:
    """A keyed learner refuses events that are there twice, in one partition or in two."""
    if not (isinstance(case.augmenter, Learner) and case.augmenter.keyed):
        return
    twice = case.training[:1]
    ways = {
        "one partition": [ak.concatenate([case.events, twice])],
        "two partitions": [*_divided(case.events, 4), twice],
    }
    for way, partitions in ways.items():
        try:
            case.taught(partitions)
        except RepeatedIds:
            continue
        raise case.broken(f"it learns from an event that stands twice, in {way}")


def broken_weights_are_refused(case: Case) -> None:
    """A learner refuses weights of which one is NaN or infinite, and names the column: sums with it are no sums."""
    if not isinstance(case.augmenter, Learner):
        return
    case.run(case.events, account := Account())
    if case.augmenter.makes and not any(account.made.values()):
        return  # Weights are those of rows that others are made of.
    split = case.setting.split
    row = 0 if split is None else int(np.argmin(cols.column(case.events, split).data != TRAIN))
    for name in sorted({*case.setting.weights, TRAIN_WEIGHT} & {*case.augmenter.uses()}):
        for value in (np.nan, np.inf):
            there = cols.has(case.events, name)
            weight = np.array(cols.column(case.events, name).data) if there else np.ones(len(case.events))
            weight[row] = value
            broken = case.on(cols.assemble(case.events, {name: cols.as_content(weight)}))
            try:
                broken.run(broken.events)
            except ValueError as error:
                if name in str(error):
                    continue
                raise case.broken(
                    f"it refuses a {name!r} that is {value} without naming the column: {error}"
                ) from error
            raise case.broken(f"it takes a {name!r} that is {value}; refuse weights that are no numbers")


def _divided(events: ak.Array, parts: int) -> list[ak.Array]:
    borders = [len(events) * part // parts for part in range(parts + 1)]
    return [events[start:stop] for start, stop in pairwise(borders)]
