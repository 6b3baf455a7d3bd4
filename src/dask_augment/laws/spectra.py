"""The law about histograms inside strata: which rows stay, and with which weight, must not depend on their weights."""

from __future__ import annotations

from dataclasses import replace

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Learner
from dask_augment.contract.ids import row_ids
from dask_augment.events import columns as cols
from dask_augment.events.own_columns import KIND
from dask_augment.events.strata import strata_of
from dask_augment.laws.case import Case
from dask_augment.laws.compare import numbers

SEEDS = 40
SIGMAS = 5.0
"""A bin may be off by so many standard errors of its mean over the seeds: 1 chance in 1.7 million for each, if it is right."""
RARE = 14.0
"""Of a bin that no seed filled this many rows were to be expected over all seeds, or it may be chance: e^-14 is 1 in 1.2 million."""
_SIZES = np.array([1.0, 2.0, 8.0, 40.0])
"""Of weights, in turn; one in five is negative."""


def spectra_stay_on_average(case: Case) -> None:
    """A training step that drops rows or changes weights keeps, in each stratum, the histogram of what rows weigh.

    On average over seeds: the mean lies within 5 standard errors, and twice the bias that the step's ``report()`` tells,
    ``weight_bias``, of the stratum. Of a step that makes all weights positive, their sizes keep their proportions.
    """
    augmenter, names = case.augmenter, case.setting.weights
    changes = not augmenter.keeps_rows or any(name in augmenter.produces() for name in names)
    if augmenter.use != "training" or augmenter.keeps_weight == "in sum" or not changes:
        return
    bins, number, events = _weighed(case)
    keys = _keys(events, case)
    order = np.argsort(keys)
    for name in names:
        found: list[NDArray[np.float64]] = []
        before, positive, bias = numbers(events, name), True, 0.0
        largest = np.zeros(number)
        for seed in range(SEEDS):
            tried = replace(case.on(events), setting=replace(case.setting, seed=seed))
            result = _training(tried.run(events), case)
            weight, rows = numbers(result, name), order[np.searchsorted(keys, _keys(result, case), sorter=order)]
            if not len(found) and len(result) == len(events) and np.array_equal(weight, before[rows]):
                break
            found.append(_filled(bins[rows], weight, number))
            np.maximum.at(largest, bins[rows] // len(_SIZES), np.abs(weight))
            positive &= bool(np.all(weight >= 0))
            report = tried.ready.report() if isinstance(tried.ready, Learner) else []
            bias = max([bias, *(entry.get("weight_bias", 0.0) for entry in report)])
        else:
            expected = _expected(bins, before, number, positive=positive)
            _hold(case, name, np.array(found), expected, largest, bias)


def _hold(
    case: Case, name: str, found: NDArray[np.float64], expected: NDArray[np.float64], largest: NDArray[np.float64],
    bias: float,
) -> None:  # fmt: skip
    """Raise where the mean of histograms (seeds, strata, sizes) is not the one expected.

    ``largest``: the largest weight of a row after the step, of each stratum.
    """
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    whole = expected.sum(axis=1, keepdims=True)
    off = np.abs(found.mean(axis=0) - expected) - SIGMAS * error - (2 * bias + 1e-9) * np.abs(whole)
    off[(found == 0).all(axis=0) & (SEEDS * np.abs(expected) < RARE * largest[:, None])] = 0
    if np.any(off > 0):
        stratum, size = np.unravel_index(int(np.argmax(off)), off.shape)
        raise case.broken(
            f"rows of weight {_SIZES[size]:g} have {expected[stratum, size]:.6g} of {name!r} in a stratum, and after it "
            f"{found.mean(axis=0)[stratum, size]:.6g} on average over {SEEDS} seeds, +- {error[stratum, size]:.2g}: a "
            "histogram in what weights depend on would change. Draw and weigh rows so that each has its weight on average"
        )


def _expected(
    bins: NDArray[np.int64], weight: NDArray[np.float64], number: int, *, positive: bool
) -> NDArray[np.float64]:
    """The histogram that is to be there on average (strata, sizes)."""
    sums = _filled(bins, weight, number)
    if positive:
        sizes = _filled(bins, np.abs(weight), number)
        sums = sizes * (sums.sum(axis=1, keepdims=True) / sizes.sum(axis=1, keepdims=True))
    return sums


def _filled(bins: NDArray[np.int64], weight: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    return np.bincount(bins, weight, number * len(_SIZES)).astype(np.float64).reshape(number, -1)


def _weighed(case: Case) -> tuple[NDArray[np.int64], int, ak.Array]:
    """Training rows with weights that vary in each stratum: the bin of each row, the number of strata, and the rows."""
    events = _training(case.events, case)
    strata = strata_of(case.augmenter)
    readable = case.only(events, strata.uses())
    labels, which = strata.codes(readable)
    place = np.zeros(len(events), np.int64)
    for stratum in range(len(labels)):
        rows = np.flatnonzero(which == stratum)
        place[rows] = np.arange(len(rows))
    weight = _SIZES[place % len(_SIZES)] * np.where(place // len(_SIZES) % 5 == 2, -1.0, 1.0)
    # Other columns would be carried along, for every seed.
    names = {*case.augmenter.uses(), *case.setting.ids, *([case.setting.split] if case.setting.split else [])}
    events = cols.only(events, {name for name in names if cols.has(events, name)})
    events = cols.assemble(events, {name: cols.as_content(weight) for name in case.setting.weights})
    return which * len(_SIZES) + place % len(_SIZES), len(labels), events


def _training(events: ak.Array, case: Case) -> ak.Array:
    """Rows for training that no step has made."""
    mine = np.ones(len(events), np.bool_)
    if case.setting.split is not None:
        mine &= numbers(events, case.setting.split) == 0
    if cols.has(events, KIND):
        mine &= numbers(events, KIND) <= 0
    return events[mine]


def _keys(events: ak.Array, case: Case) -> NDArray[np.void]:
    """The ids of rows as one key each, which sorts."""
    ids = np.stack(list(row_ids(events, case.setting.ids).values()), axis=1)
    names = [(f"id{number}", ids.dtype) for number in range(ids.shape[1])]
    return np.ascontiguousarray(ids).view(names).reshape(-1)
