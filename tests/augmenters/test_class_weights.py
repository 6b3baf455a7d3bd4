from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

import dask_augment as da
from dask_augment.events.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, taught, toy, units

STRATA = ["label", da.Bins("HT", [0, 200])]
LEARNERS = {
    "balanced": da.ClassWeights(strata=STRATA),
    "effective": da.ClassWeights(strata=STRATA, class_weight="effective", beta=0.999),
    "costs": da.ClassWeights(strata=["label"], class_weight={"label=1": 2.5, "label=2": 0}),
    "matrix": da.ClassWeights(
        strata=["label"], class_weight={"label=0": {"label=1": 1, "label=2": 4}, "label=2": {"label=0": 0.1}}
    ),
}


def by_label(events: ak.Array) -> list[int]:
    """The sum of train_weight of each label in its units."""
    weight = column(events, "train_weight") if "train_weight" in events.fields else np.ones(len(events))
    return [units(weight[column(events, "label") == label], -32) for label in range(3)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=4), st.booleans())
def test_balanced_as_sklearn(rows: list[int], weighted: bool) -> None:
    label = np.repeat(np.arange(len(rows)), rows)
    events = ak.with_field(toy(len(label)), label, "label")
    had = np.ones(len(label))
    if weighted:
        had = np.random.default_rng(1).integers(1, 2**33, len(label)) * 2.0**-32
        events = ak.with_field(events, had, "train_weight")
    result = applied(taught(da.ClassWeights(strata=["label"]), divided(events, 3)), [events])
    weight = column(result, "train_weight")
    sums = [units(weight[label == g], -32) for g in range(len(rows))]
    assert sum(sums) == units(had, -32), "the sum over all strata stays"
    assert max(sums) - min(sums) <= 1
    if not weighted:
        factors = compute_class_weight("balanced", classes=np.arange(len(rows)), y=label)
        assert np.allclose(weight, factors[label], atol=60 * 2.0**-32)


def test_effective_numbers() -> None:
    events = toy()
    for beta in (0.0, 0.9, 0.999, 0.999999):
        learner = taught(replace(LEARNERS["effective"], strata=["label"], beta=beta), [events])
        result = applied(learner, divided(events, 3))
        rows = np.bincount(column(events, "label"))
        factors = (1 - beta) / (1 - beta**rows)
        expected = factors * len(events) / np.sum(factors * rows)
        assert np.allclose(column(result, "train_weight"), expected[column(result, "label")], rtol=1e-6)
        assert sum(by_label(result)) == len(events) * 2**32
    same = applied(taught(replace(LEARNERS["effective"], beta=0.0), [events]), [events])
    assert set(column(same, "train_weight").tolist()) == {1.0}


@pytest.mark.parametrize(("name", "costs"), [("costs", [1.0, 2.5, 0.0]), ("matrix", [5.0, 1.0, 0.1])])
def test_costs(name: str, costs: list[float]) -> None:
    events = toy()
    result = applied(taught(LEARNERS[name], [events]), divided(events, 3))
    rows = np.bincount(column(events, "label"))
    expected = np.array(costs) * len(events) / np.sum(costs * rows)
    assert np.allclose(column(result, "train_weight"), expected[column(result, "label")], rtol=1e-6)
    assert sum(by_label(result)) == len(events) * 2**32


def test_after_a_step_that_balances() -> None:
    events = toy(900)
    steps = [da.Oversample(strata=["label"]), da.ClassWeights(strata=["label"])]
    ready: list[da.Augmenter] = []
    for step in steps:
        ready.append(da.learn(events, step, *ready, seed=7, dataset="toy", split=None))
    result = da.augment(events, *ready, seed=7, dataset="toy", split=None)
    assert by_label(result) == [300 * 2**32] * 3
    assert np.all(column(result, "weight")[column(result, "augment_kind") == 1] == 0)


def test_a_stratum_without_train_weight_stays_so() -> None:
    events = toy()
    events = ak.with_field(events, (column(events, "label") != 1) * 1.0, "train_weight")
    before = by_label(events)
    after = by_label(applied(taught(da.ClassWeights(strata=["label"]), [events]), [events]))
    assert after == [sum(before) // 2, 0, sum(before) - sum(before) // 2]


def test_only_training_events_count() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    result = applied(taught(LEARNERS["balanced"], divided(events, 3), setting), [events], setting)
    assert set(column(result[result.split != 0], "train_weight").tolist()) == {0.0}
    assert sum(by_label(result)) == 1000 * 2**32


def test_errors() -> None:
    events = toy()
    learner = taught(da.ClassWeights(strata=["label"]), [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2'"):
        applied(learner, [events])
    with pytest.raises(ValueError, match=r"names the strata \['label=3', 'label=4'\], which are not there"):
        taught(da.ClassWeights(strata=["label"], class_weight={"label=3": 1, "label=1": {"label=4": 1}}), [events])
    with pytest.raises(ValueError, match="no stratum would have any train_weight"):
        taught(da.ClassWeights(class_weight={"all": 0}), [events])
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(da.ClassWeights(strata=["label"]), [events[:0]])
    broken = ak.with_field(events, np.where(events.event < 4, np.nan, 1.0), "train_weight")
    with pytest.raises(ValueError, match=r"'train_weight' is NaN or infinite in 4 of [\d,]+ rows"):
        taught(da.ClassWeights(strata=["label"]), [broken])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"class_weight": "balance"}, "class_weight must be one of"),
        ({"class_weight": "effective"}, "which needs one"),
        ({"beta": 0.9}, "beta is for"),
        ({"class_weight": "effective", "beta": 1.0}, r"beta must lie in \[0, 1\), got 1.0"),
        ({"class_weight": {"label=1": -1}}, "cost of stratum 'label=1' must be a number, 0 or more, got -1"),
        ({"class_weight": {"label=1": "high"}}, "must be a number, 0 or more, got 'high'"),
        ({"class_weight": {"label=1": {"label=1": 1}}}, "a cost against itself"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        da.ClassWeights(strata=["label"], **arguments)
