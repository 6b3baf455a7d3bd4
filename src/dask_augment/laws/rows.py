"""Laws about rows: the same for any slicing and order, weights kept, test events unchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.augmenters.repeat import Repeat
from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Learner
from dask_augment.contract.ids import row_ids
from dask_augment.events import columns as cols
from dask_augment.events.own_columns import KIND
from dask_augment.laws.case import Case, Probe
from dask_augment.laws.compare import by_key, columns_of, difference, groups, key_table, numbers


def same_in_slices(case: Case) -> None:
    """A partition in slices gives what the whole gives, bit for bit; so does a second run."""
    whole = case.run(case.events)
    for borders in _cuts(len(case.events)):
        start = 0
        for first, last in pairwise(borders):
            piece = case.run(case.events[first:last])
            stop = start + len(piece)
            found = difference(columns_of(piece), columns_of(whole[start:stop]))
            if found:
                raise case.broken(f"rows {first} to {last} alone give another result than among others: {found}")
            start = stop
        if start != len(whole):
            raise case.broken(f"slices give {start} rows, the whole {len(whole)}")


def _cuts(n: int) -> list[list[int]]:
    """The whole; ten slices of one row and a few long ones; slices of about a third."""
    fine = [*range(min(n, 10)), *(n * part // 20 for part in (1, 2, 5, 6, 13) if n * part // 20 > 10), n]
    return [[0, n], sorted({0, *fine}), sorted({0, n // 3, 2 * n // 3 + 1, n})]


def same_in_any_order(case: Case) -> None:
    """Events in another order give the same rows in another order."""
    order = np.random.default_rng(7).permutation(len(case.events))
    ids = case.setting.ids
    shuffled = by_key(case.run(case.events[order]), ids)
    if found := difference(columns_of(shuffled), columns_of(by_key(case.run(case.events), ids))):
        raise case.broken(f"of events in another order, and brought back into order, {found}")


def data_sets_may_be_mixed(case: Case) -> None:
    """Rows of several data sets, told apart by a column ``dataset``, draw what they draw alone under that name."""
    if not case.augmenter.keyed or isinstance(case.augmenter, Learner):
        return
    names = np.array(["one", "other"])[np.arange(len(case.events)) % 2]
    unnamed = replace(case, setting=replace(case.setting, dataset=None))
    result = unnamed.run(ak.with_field(case.events, ak.Array(names), "dataset"))
    for name in ("one", "other"):
        alone = replace(case, setting=replace(case.setting, dataset=name)).run(case.events[names == name])
        among = columns_of(result[np.asarray(result["dataset"] == name)])
        if found := difference(columns_of(alone), among, columns_of(alone)):
            raise case.broken(f"a data set alone gives another result than among others: {found}")


def copies_are_told_apart(case: Case) -> None:
    """Copies of copies, made before and after it, differ in their copy number and in what later steps draw."""
    after = case.after(("once", Repeat(n=2)))
    result = after.chain(after.events, (case.label, after.ready), ("twice", Repeat(n=2)), ("probe", Probe()))
    if len(np.unique(key_table(result, case.setting.ids), axis=0)) != len(result):
        raise case.broken("copies of copies have the same ids and copy number")
    if len(np.unique(numbers(result, "probe"))) != len(result):
        raise case.broken("copies of copies draw the same random numbers")


def copies_vary(case: Case) -> None:
    """A random step for training gives each copy, and a step that makes rows each child, values of its own.

    New columns of learners are left out: they may be marks, such as a class weight, that copies have in common.
    """
    augmenter = case.augmenter
    if augmenter.makes in ("interpolated", "generated"):
        result = case.run(case.events)
    elif augmenter.keyed and augmenter.keeps_rows and augmenter.use == "training":
        copies = case.after(("once", Repeat(n=2)), ("twice", Repeat(n=2)))
        result = copies.run(copies.events)
    else:
        return
    made = result[numbers(result, KIND) > 0]
    marks = isinstance(augmenter, Learner) and augmenter.keeps_rows
    names = [name for name in augmenter.produces() if cols.has(case.events, name) or not marks]
    found = [columns_of(made)[cols.dotted(name)] for name in names if name not in case.setting.weights]
    if not found:
        return
    rows = list(zip(*(map(repr, ak.Array(column).to_list()) for column in found), strict=True))
    alike = several = 0
    for group in groups(made, case.setting.ids):
        values = {rows[row] for row in group}
        if len(group) > 1 and rows[group[0]] != ("[]",) * len(found):
            several += 1
            alike += len(values) == 1
    if alike > several / 2:
        raise case.broken(
            f"all copies have the same values in {alike} of {several} events; draw for each row by itself"
        )


def rows_are_accounted_for(case: Case) -> None:
    """Rows in, less those dropped, with those made, are the rows out; made rows say what they are."""
    account = Account()
    result = case.run(case.events, account)
    if (account.rows_in, account.rows_out) != (len(case.events), len(result)) or not account.adds_up:
        raise case.broken(f"the account does not add up: {len(case.events)} rows in, {len(result)} out, {account}")
    if case.augmenter.makes:
        made = int(np.count_nonzero(numbers(result, KIND) > 0))
        if made != sum(account.made.values()):
            raise case.broken(f"{sum(account.made.values())} rows were made, and {made} say so in augment_kind")


def weight_is_not_lost(case: Case) -> None:
    """A training step that drops rows hands their weight on: the sum of w of training events stays.

    Where that is so on average, the sum changes by no more than rows that come and go at random can change it.
    """
    if case.augmenter.use != "training":
        return
    result = case.run(case.events)
    for name in case.setting.weights:
        before, after = (numbers(events, name).astype(np.float64) for events in (case.events, result))
        lost = math.fsum(before) - math.fsum(after)
        most = 1e-10 * math.fsum(np.abs(before))
        if case.augmenter.keeps_weight == "on average":
            most += 4 * math.sqrt(_change(case, result, name))
        if abs(lost) > most:
            raise case.broken(f"the sum of {name!r} was {math.fsum(before)} and is {math.fsum(after)}")


def _change(case: Case, result: ak.Array, name: str) -> float:
    """The sum of squares of what the events' weights change by: the variance of their sum's change, if it is 0 on average."""
    changes: dict[tuple[int, ...], float] = {}
    for events, sign in ((case.events, -1.0), (result, 1.0)):
        rows = zip(*(ids.tolist() for ids in row_ids(events, case.setting.ids).values()), strict=True)
        for row, weight in zip(rows, numbers(events, name).tolist(), strict=True):
            changes[row] = changes.get(row, 0.0) + sign * weight
    return math.fsum(change**2 for change in changes.values())


def made_rows_add_no_yield(case: Case) -> None:
    """Made rows have physics weight 0: sums of w and of w squared in histograms are the same before and after."""
    if not case.augmenter.makes:
        return
    account = Account()
    result = case.run(case.events, account)
    made = numbers(result, KIND) > 0
    for name in case.setting.weights:
        if np.any(numbers(result, name)[made] != 0):
            raise case.broken(f"rows that it made have {name!r} other than 0, and would change yields")
        for variable in () if account.dropped else _variables(case, columns_of(result)):
            values = np.unique(_values(case.events, variable)[0])
            edges = values[~np.isnan(values)][:: len(values) // 10 + 1]
            for power in (1, 2):
                before, after = (_histogram(events, variable, name, edges, power) for events in (case.events, result))
                if not np.array_equal(before, after):
                    raise case.broken(f"the histogram of {variable} weighted by {name!r}**{power} changes")


def _variables(case: Case, result: Mapping[str, Any]) -> list[str]:
    """Three columns that are left, to fill histograms with, those that it alters first."""
    taken = {*case.setting.weights, *case.setting.ids, case.setting.split, "train.weight"}
    columns = {name: c for name, c in columns_of(case.events).items() if name not in taken and name in result}
    numeric = [n for n, c in columns.items() if c.is_numpy or (c.is_list and c.content.is_numpy)]
    altered = [name for name in map(cols.dotted, case.augmenter.produces()) if name in numeric]
    return list(dict.fromkeys([*altered, *numeric[:: len(numeric) // 3 + 1], *numeric]))[:3]


def _values(events: ak.Array, variable: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """All values of a column, flat, and the row of each."""
    column = ak.Array(cols.plain(cols.column(events, variable)))
    if column.ndim == 1:
        return np.asarray(column), np.arange(len(events))
    return cols.flatten(column), np.repeat(np.arange(len(events)), np.asarray(ak.num(column, axis=1)))


def _histogram(events: ak.Array, variable: str, weight: str, edges: NDArray[Any], power: int) -> NDArray[Any]:
    values, rows = _values(events, variable)
    return np.bincount(np.digitize(values, edges), numbers(events, weight)[rows] ** power, minlength=len(edges) + 1)


def leaves_test_events_alone(case: Case) -> None:
    """A training step changes no event outside the training split, and no row is made from one."""
    split = case.setting.split
    if split is None or not (case.augmenter.use == "training" or case.augmenter.makes):
        return
    result = case.run(case.events)
    before, after = (events[numbers(events, split) != 0] for events in (case.events, result))
    names = columns_of(case.narrowed(before))
    if found := difference(columns_of(after), columns_of(before), names):
        raise case.broken(f"it changes events with {split} != 0, which are not for training: {found}")
    if case.augmenter.makes:
        made = row_ids(result[numbers(result, KIND) > 0], case.setting.ids)
        training = row_ids(case.training, case.setting.ids)
        if not _rows(made) <= _rows(training):
            raise case.broken(f"it makes rows from events with {split} != 0, which are not for training")


def _rows(ids: dict[str, NDArray[np.uint64]]) -> set[tuple[int, ...]]:
    return set(zip(*(values.tolist() for values in ids.values()), strict=True))
