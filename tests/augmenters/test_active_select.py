from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.contract.draw import Draw
from dask_augment.events.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, taught, toy


def scored(n: int = 3000) -> ak.Array:
    """Events with a probability p, some of them alike, an ``entropy`` and a float32 ``margin``."""
    events = toy(n)
    p = np.random.default_rng(5).beta(0.5, 0.5, n)
    events = ak.with_field(events, np.where(p < 0.2, np.round(p, 1), p), "p")
    return ak.with_field(events, column(events, "HT") - np.float32(200), "margin")


LEARNERS = {
    "uncertain": da.ActiveSelect(score="p", size=100, strata=["label"]),
    "named": da.ActiveSelect(
        score="margin", size={"label=2": 30}, strata=["label"], informative="highest", column="chosen"
    ),
}


def test_the_first_by_sorting() -> None:
    events = scored()
    result = applied(taught(LEARNERS["uncertain"], divided(events, 3)), divided(events, 4))
    for label in range(3):
        distance = np.abs(column(events, "p") - 0.5)[column(events, "label") == label]
        marked = column(result, "active")[column(result, "label") == label] == 1
        assert marked.sum() == 100
        assert np.array_equal(np.sort(distance[marked]), np.sort(distance)[:100])
    result = applied(taught(LEARNERS["named"], [events]), [events])
    marked = column(result, "chosen") == 1
    assert set(column(result, "label")[marked].tolist()) == {2}
    few = column(events, "margin")[column(events, "label") == 2]
    assert np.array_equal(np.sort(column(result, "margin")[marked]), np.sort(few)[-30:])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), min_size=1, max_size=25),
    st.integers(0, 30),
    st.sampled_from(["uncertain", "highest", "lowest"]),
)
def test_numbers_are_exact_among_equals(scores: list[float], size: int, informative: str) -> None:
    events = ak.with_field(toy(len(scores)), np.array(scores), "p")
    result = applied(
        taught(da.ActiveSelect(score="p", size=size, informative=informative), divided(events, 3)), [events]
    )
    marked = column(result, "active") == 1
    assert marked.sum() == min(size, len(scores))
    values = np.abs(np.array(scores) - 0.5) if informative == "uncertain" else np.array(scores)
    values = -values if informative == "highest" else values
    assert np.array_equal(np.sort(values[marked]), np.sort(values)[: marked.sum()])


def test_equals_are_chosen_at_random_and_more_keep_those_before() -> None:
    events = ak.with_field(toy(300), np.full(300, 0.5), "p")
    marks = {
        size: column(applied(taught(da.ActiveSelect(score="p", size=size), [events]), [events]), "active") == 1
        for size in (10, 100, 101)
    }
    assert np.all(marks[100][marks[10]])
    assert np.all(marks[101][marks[100]])
    other = replace(SETTING, seed=8)
    again = (
        column(applied(taught(da.ActiveSelect(score="p", size=100), [events], other), [events], other), "active") == 1
    )
    assert 10 < np.sum(again & marks[100]) < 60


def test_the_rest_is_dropped_fairly_afterwards() -> None:
    events = scored()
    marked = da.learn(events, LEARNERS["uncertain"], seed=7, dataset="toy", split=None)
    fewer = da.Undersample(strata=["active", "label"], sampling_strategy={"active=0|label=0": 200})
    fewer = da.learn(events, fewer, marked, seed=7, dataset="toy", split=None)
    result = da.augment(events, marked, fewer, seed=7, dataset="toy", split=None)
    assert np.sum(column(result, "active") == 1) == 300
    assert np.sum((column(result, "active") == 0) & (column(result, "label") == 0)) == 200
    assert column(result, "weight").sum() == pytest.approx(column(events, "weight").sum(), rel=1e-12)


def test_only_training_events_are_marked() -> None:
    events = ak.with_field(scored(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    result = applied(taught(da.ActiveSelect(score="p", size=70), divided(events, 3), setting), [events], setting)
    assert len(result) == len(events)
    assert column(result, "active")[:1000].sum() == column(result, "active").sum() == 70


def test_bad_scores_and_strata() -> None:
    events = scored()
    broken = ak.with_field(events, np.where(events.event < 4, np.nan, 0.5), "p")
    with pytest.raises(ValueError, match="score 'p' is NaN in 4 rows"):
        taught(da.ActiveSelect(score="p", size=3), [broken])
    with pytest.raises(ValueError, match=r"'HT' has \d+ values outside \[0, 1\]"):
        taught(da.ActiveSelect(score="HT", size=3), [events])
    with pytest.raises(TypeError, match="score 'region' must be one number for each event"):
        taught(da.ActiveSelect(score="region", size=3), [events])
    sure = ak.with_field(events, column(events, "p") > 0.5, "p")
    with pytest.raises(TypeError, match="score 'p' must be one number for each event, it is bool"):
        taught(da.ActiveSelect(score="p", size=3), [sure])
    with pytest.raises(ValueError, match=r"size names the strata \['label=7'\], which are not there"):
        taught(da.ActiveSelect(score="p", size={"label=7": 3}, strata=["label"]), [events])
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(da.ActiveSelect(score="p", size=3), [events[:0]])
    learner = taught(da.ActiveSelect(score="p", size=3, strata=["label"]), [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2'"):
        applied(learner, [events])


def test_equal_keys_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draw, "bits", lambda self, stream, **_: np.full(len(self), 2**62, np.uint64))
    events = ak.with_field(toy(12), np.full(12, 0.5), "p")
    with pytest.raises(ValueError, match="'all' have the same score and 64-bit random key"):
        taught(da.ActiveSelect(score="p", size=3), [events])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": -1}, "size must be a whole number of at least 0, got -1"),
        ({"size": 1.5}, "size must be a whole number of at least 0"),
        ({"size": {"all": True}}, "size must be a whole number of at least 0"),
        ({"size": 3, "informative": "best"}, "informative must be one of"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        da.ActiveSelect(score="p", **arguments)


@pytest.mark.parametrize(
    "learner",
    [da.ActiveSelect(score="p", size=3), da.BalancedEnsemble(strata=["region"], draws=3)],
    ids=["marks", "masks"],
)
def test_a_column_of_another_is_not_overwritten(learner: Any) -> None:
    events, options = scored(50), {"seed": 1, "dataset": "tt", "split": None}
    named = replace(learner, column="label")
    with pytest.raises(
        ValueError, match=r"column names 'label', which the events have, .*: give the new column another name"
    ):
        da.learn(events, named, **options)
    with pytest.raises(ValueError, match="column names 'chosen', which the events have"):
        da.learn(events, replace(learner, column="chosen"), da.Define(chosen="p > 1"), **options)
    step = da.learn(events, learner, **options)
    with pytest.raises(ValueError, match="column names 'label'"):
        da.augment(events, replace(named, learned=step.learned), **options)
    once = da.augment(events, step, **options)
    again = da.augment(once, da.learn(once, learner, **options), **options)
    assert again[learner.column].tolist() == once[learner.column].tolist(), "its own former result"
