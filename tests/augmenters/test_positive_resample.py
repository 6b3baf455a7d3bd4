from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, table, taught, toy, units

STRATA = ["label", da.Bins("HT", [0, 200])]
LEARNERS = {
    "sum": da.PositiveResample(strata=STRATA, weights=["weight", "weight_up"]),
    "uncertainty": da.PositiveResample(strata=["label"], keep="uncertainty", weights=["weight", "weight_up"]),
}
COLUMNS = ("weight", "weight_up")


@pytest.mark.parametrize("keep", ["sum", "uncertainty"])
def test_sums_of_strata_stay_in_integers(keep: str) -> None:
    events = toy()
    learner = taught(replace(LEARNERS["uncertainty"], keep=keep), divided(events, 3))
    result = applied(learner, divided(events, 4))
    powers = learner.learned["powers" if keep == "uncertainty" else "exponents"]
    for i, name in enumerate(COLUMNS):
        assert np.all(column(result, name) > 0)
        for label in range(3):
            stratum = int(np.argmax(learner.learned["strata"] == f"label={label}"))
            power = int(powers[stratum, i])
            before, after = (column(e, name)[column(e, "label") == label] for e in (events, result))
            assert units(before, power) == units(after, power)
            # Such sums are exact in float64, in any order.
            assert float(after.sum()) == float(after[::-1].sum()) == np.ldexp(units(after, power), power)


def test_weights_of_all_are_in_proportion() -> None:
    events = toy()
    result = applied(taught(LEARNERS["sum"], [events]), [events])
    labels, which = LEARNERS["sum"].strata.codes(events[["label", "HT"]])
    assert np.array_equal(column(result, "event"), column(events, "event"))
    for group in range(len(labels)):
        before, after = (column(e, "weight")[which == group] for e in (events, result))
        assert np.allclose(after, np.abs(before) * before.sum() / np.abs(before).sum(), rtol=1e-9)


def test_as_many_rows_as_tell_as_much() -> None:
    events = toy()
    learner = taught(LEARNERS["uncertainty"], [events])
    result = applied(learner, divided(events, 3))
    for label in range(3):
        before, after = (column(e, "weight")[column(e, "label") == label] for e in (events, result))
        number = before.sum() ** 2 / np.square(before).sum()
        assert len(after) == round(number)
        assert np.square(after).sum() == pytest.approx(np.square(before).sum(), rel=1 / number)
        assert np.ptp(after) < 1e-9 * after.mean()
        had = np.sum(column(events, "label") == label)
        train = column(result, "train_weight")[column(result, "label") == label]
        assert units(train, -32) == had * 2**32


def test_histograms_across_strata_stay_on_average() -> None:
    events = toy(600)
    edges = np.array([0.0, 100, 200, 400, 5000])
    shares = np.histogram(column(events, "HT"), edges)[0] / len(events)
    learner = da.PositiveResample(keep="uncertainty")
    found = []
    for seed in range(60):
        setting = replace(SETTING, seed=seed)
        result = applied(taught(learner, [events], setting), [events], setting)
        found.append(np.histogram(column(result, "HT"), edges, weights=column(result, "weight"))[0])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    expected = shares * column(events, "weight").sum()
    assert np.all(np.abs(np.mean(found, axis=0) - expected) < 4 * error)


def test_positive_weights_stay_bit_for_bit() -> None:
    events = toy(negative=0.0)
    result = applied(taught(LEARNERS["sum"], [events]), [events])
    assert table(result, *COLUMNS) == table(events, *COLUMNS)


def test_only_training_events_change() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    for learner in LEARNERS.values():
        result = applied(taught(learner, divided(events, 3), setting), [events], setting)
        assert table(result[result.split != 0], *COLUMNS) == table(events[events.split != 0], *COLUMNS)
        assert np.all(column(result[result.split == 0], "weight") > 0)


def test_errors() -> None:
    events = toy()
    negative = ak.with_field(events, np.where(events.label == 1, -1.0, 1.0), "weight")
    for keep in ("sum", "uncertainty"):
        with pytest.raises(ValueError, match=r"sum of 'weight' in stratum 'label=1' is -\d+, which no positive"):
            taught(da.PositiveResample(strata=["label"], keep=keep), [negative])
        learner = taught(da.PositiveResample(strata=["label"], keep=keep), [events[events.label != 2]])
        with pytest.raises(UnknownStratum, match="'label=2'"):
            applied(learner, [events])
        with pytest.raises(ValueError, match="nothing to learn from"):
            taught(da.PositiveResample(keep=keep), [events[:0]])
        broken = ak.with_field(events, np.where(events.event < 4, np.nan, 1.0), "weight")
        with pytest.raises(ValueError, match="'weight' is NaN or infinite in 4 rows"):
            taught(da.PositiveResample(keep=keep), [broken])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"weights": "weight"}, TypeError, "weights must be a list"),
        ({"weights": ()}, TypeError, "weights must be a list"),
        ({"keep": "all"}, ValueError, "keep must be one of"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.PositiveResample(**arguments)
