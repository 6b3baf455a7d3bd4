from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.events.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, table, taught, toy

STRATA = ["label", da.Bins("HT", [0, 200])]
LEARNERS = {
    "largest": da.Unweight(strata=STRATA),
    "quantile": da.Unweight(strata=["label"], quantile=0.95, weights=["weight", "weight_up"]),
    "number": da.Unweight(max_weight=1.5),
}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from([-3.0, -1.0, 0.0, 0.25, 0.5, 1.0, 1.0 + 2.0**-52, 5e-324, 1e300]), min_size=1, max_size=30
    ),
    st.floats(0.01, 1.0),
)
def test_quantile_as_numpy(weights: list[float], quantile: float) -> None:
    quantile = round(quantile, 2)
    events = toy(len(weights))
    events = ak.with_field(events, np.array(weights), "weight")
    learner = taught(da.Unweight(quantile=quantile), divided(events, 3))
    below = np.sum(np.abs(weights) <= learner.learned["max_weight"][0])
    least = np.sum(np.abs(weights) < learner.learned["max_weight"][0])
    assert learner.learned["max_weight"][0] in np.abs(weights)
    assert least * 100 < round(quantile * 100) * len(weights) <= below * 100


def test_weights_of_what_stays() -> None:
    events = toy()
    learner = taught(LEARNERS["quantile"], [events])
    result = applied(learner, divided(events, 4))
    by_event = dict(zip(column(events, "event").tolist(), column(events, "weight").tolist(), strict=True))
    before = np.array([by_event[event] for event in column(result, "event").tolist()])
    after, up = column(result, "weight"), column(result, "weight_up")
    heavy = 0
    for label in range(3):
        sizes = np.abs(column(events, "weight")[column(events, "label") == label])
        largest = np.quantile(sizes, 0.95, method="inverted_cdf")
        here = column(result, "label") == label
        over = np.abs(before[here]) > largest
        heavy += over.sum()
        assert over.sum() == (sizes > largest).sum(), "overweight events stay"
        assert np.array_equal(after[here][over], before[here][over])
        assert np.array_equal(after[here][~over], np.sign(before[here][~over]) * largest)
    assert heavy > 0
    ups = dict(zip(column(events, "event").tolist(), column(events, "weight_up").tolist(), strict=True))
    expected = np.array([ups[event] for event in column(result, "event").tolist()]) / before
    assert np.allclose(up / after, expected, rtol=1e-14), "variations have the same factor"


def test_sums_stay_on_average() -> None:
    events = toy(400)
    edges = np.array([0.0, 100, 200, 400, 5000])
    for learner, runs in ((taught(LEARNERS["quantile"], [events]), 80), (taught(LEARNERS["number"], [events]), 80)):
        for name in learner.weights:
            expected = np.histogram(column(events, "HT"), edges, weights=column(events, name))[0]
            found = []
            for seed in range(runs):
                setting = replace(SETTING, seed=seed)
                free = replace(learner, learned=da.Learned(dict(learner.learned)))
                result = applied(free, [events], setting)
                found.append(np.histogram(column(result, "HT"), edges, weights=column(result, name))[0])
            error = np.std(found, axis=0, ddof=1) / np.sqrt(runs)
            assert np.all(error > 0)
            assert np.all(np.abs(np.mean(found, axis=0) - expected) < 4 * error)


def test_a_smaller_largest_weight_keeps_the_same_events_and_more() -> None:
    events = toy()
    kept: set[int] = set()
    for largest in (20.0, 10.0, 3.0, 1.0, 0.1):
        more = set(column(applied(taught(da.Unweight(max_weight=largest), [events]), [events]), "event").tolist())
        assert kept < more
        kept = more
    result = applied(taught(da.Unweight(max_weight=1e-9), [events]), [events])
    assert table(result, "weight") == table(events, "weight"), "all are overweight"


def test_weights_that_are_all_alike_or_none() -> None:
    events = toy()
    signs = np.where(column(events, "event") % 3 == 0, -1.0, 1.0)
    alike = ak.with_field(events, signs, "weight")
    assert table(applied(taught(LEARNERS["largest"], [alike]), [alike]), "weight") == table(alike, "weight")
    zero = ak.with_field(events, np.where(column(events, "label") == 1, 0.0, signs), "weight")
    result = applied(taught(LEARNERS["largest"], [zero]), [zero])
    assert table(result, "weight") == table(zero[zero.label != 1], "weight"), "weight 0 adds nothing"


def test_float32_weights_stay_so() -> None:
    events = toy()
    events = ak.with_field(events, column(events, "weight").astype(np.float32), "weight")
    result = applied(taught(LEARNERS["largest"], [events]), [events])
    assert column(result, "weight").dtype == np.float32
    assert set(np.abs(column(result, "weight")).tolist()) <= set(np.abs(column(events, "weight")).tolist())


def test_only_training_events_go() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    learner = taught(LEARNERS["largest"], divided(events, 3), setting)
    result = applied(learner, [events], setting)
    assert table(result[result.split != 0], "weight") == table(events[events.split != 0], "weight")
    assert 0 < np.sum(column(result, "split") == 0) < 1000


def test_what_cannot_be_unweighted() -> None:
    events = toy()
    broken = ak.with_field(events, np.where(events.event < 4, np.nan, 1.0), "weight")
    with pytest.raises(ValueError, match="'weight' is NaN or infinite in 4 of 3,000 rows"):
        taught(LEARNERS["largest"], [broken])
    with pytest.raises(
        TypeError, match="'weight' must be one float for each event, it is int64; make it float first, define: "
    ):
        taught(LEARNERS["largest"], [ak.with_field(events, column(events, "event").astype(np.int64), "weight")])
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(LEARNERS["largest"], [events[:0]])
    learner = taught(da.Unweight(strata=["label"]), [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2', and there were none while learning; there were 2 strata"):
        applied(learner, [events])
    with pytest.raises(ValueError, match=r"rescales the weights \['weight'\], but not \['weight_up'\]"):
        applied(taught(da.Unweight(), [events]), [events], replace(SETTING, weights=("weight", "weight_up")))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"weights": "weight"}, TypeError, "weights must be a list"),
        ({"weights": ()}, ValueError, "weights must name at least one column"),
        ({"quantile": 0.0}, ValueError, r"quantile must lie in \(0, 1\], got 0.0"),
        ({"quantile": "all"}, ValueError, "quantile must lie"),
        ({"max_weight": -1.0}, ValueError, "max_weight must be a positive number, got -1.0"),
        ({"max_weight": float("inf")}, ValueError, "max_weight must be a positive number"),
        ({"max_weight": 1.0, "quantile": 0.9}, ValueError, "leave quantile and strata out"),
        ({"max_weight": 1.0, "strata": ["label"]}, ValueError, "leave quantile and strata out"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.Unweight(**arguments)
