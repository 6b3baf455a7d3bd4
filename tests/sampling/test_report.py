"""What samplers say a resampled set is worth, held to the rows that they make."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.learned import Learned
from dask_augment.events import columns as cols
from dask_augment.events.strata import Strata
from dask_augment.frames.learning import Events, teach
from dask_augment.frames.questions import Questions
from dask_augment.kernels.interpolation_moments import variance, variance_between
from dask_augment.sampling.moments import exact_squares
from interpolation_toys import FEATURES, classes, shuffled
from sampling_toys import SETTING, column, divided, taught, toy
from sampling_toys import applied as applied_to

HUGE = {"rtol": 1e-7}
"""train_weight is rounded to 2**-32, which the closed forms leave out."""


def weighted(events: ak.Array, seed: int = 1) -> ak.Array:
    """The events with unequal train_weight, multiples of 2**-10."""
    rng = np.random.default_rng(seed)
    return ak.with_field(events, np.round(rng.lognormal(0, 1, len(events)) * 2**10) / 2**10, "train_weight")


def applied(learner: Any, events: ak.Array) -> ak.Array:
    return applied_to(learner, [events])


def counted_out(events: ak.Array, strata: Any) -> dict[str, tuple[int, float, float, float]]:
    """Of each stratum the rows, sum of train_weight, and effective numbers of events and of rows: by brute force."""
    labels, which = Strata.of(strata).codes(cols.only(events, Strata.of(strata).uses()))
    found = {}
    for g, label in enumerate(labels):
        rows = which == g
        weight = column(events, "train_weight")[rows]
        by_event = pd.Series(weight).groupby(column(events, "event")[rows]).sum().to_numpy()
        worth = [float(values.sum() ** 2 / (values**2).sum()) for values in (by_event, weight)]
        found[label] = (int(rows.sum()), float(weight.sum()), *worth)
    return found


def same(learner: Augmenter, events: ak.Array, made: ak.Array, strata: Any) -> None:
    """The report is what is found among the rows before and after."""
    labels, which = Strata.of(strata).codes(cols.only(events, Strata.of(strata).uses()))
    before = dict(zip(labels, np.bincount(which).tolist(), strict=True))
    after = counted_out(made, strata)
    report = {entry["stratum"]: entry for entry in learner.report()}
    assert sorted(report) == sorted(before)
    for label, entry in report.items():
        rows, weight, events_, by_rows = after.get(label, (0, 0.0, 0.0, 0.0))
        assert (entry["rows_before"], entry["rows_after"]) == (before[label], rows)
        assert np.isclose(entry["train_weight_after"], weight, **HUGE)
        assert np.isclose(entry["events"], events_, **HUGE)
        assert np.isclose(entry["by_rows"], by_rows, **HUGE)


@pytest.mark.parametrize("train_weight", ["conserve", "balance", "unit"])
def test_five_hundred_events_stay_five_hundred(train_weight: str) -> None:
    label = np.repeat(np.array([0, 1], np.int8), [10_000, 500])
    events = ak.Array({
        "run": np.ones(len(label), np.uint32), "luminosityBlock": np.ones(len(label), np.uint32),
        "event": np.arange(len(label), dtype=np.uint64), "label": label, "weight": np.ones(len(label)),
    })  # fmt: skip
    large, small = taught(da.Oversample(strata=["label"], train_weight=train_weight), [events]).report()
    assert (small["stratum"], small["rows_before"], small["rows_after"]) == ("label=1", 500, 10_000)
    assert (small["events"], small["by_rows"]) == (500.0, 10_000.0)
    assert (large["events"], large["by_rows"]) == (10_000.0, 10_000.0)
    before = None if train_weight == "unit" else 500.0
    after = {"conserve": 500.0, "balance": 5250.0, "unit": 10_000.0}[train_weight]
    assert (small["train_weight_before"], small["train_weight_after"]) == (before, after)


STRATA = ["label", "region"]
POLICIES = ("conserve", "balance", "unit")
SAMPLERS = {
    "undersample": (da.Undersample(strata=STRATA, weights=["weight", "weight_up"]), STRATA),
    "undersample without weights": (da.Undersample(strata=STRATA, weights=()), STRATA),
    "oversample": (da.Oversample(strata=STRATA), STRATA),
    "bootstrap": (da.Oversample(strata=STRATA, multiplicity="bootstrap"), STRATA),
    "smote": (da.Smote(strata=STRATA, features=FEATURES), STRATA),
    "smotenc": (da.Smotenc(features=["x", "z"], label="label", categorical=["region"]), ["label"]),
    "adasyn": (da.Adasyn(features=FEATURES, strata=["region"]), ["region", "label"]),
    "borderline": (da.BorderlineSmote(features=FEATURES), ["label"]),
    "enn": (da.EditedNearestNeighbours(features=FEATURES), ["label"]),
    "tomek": (da.TomekLinks(features=FEATURES, strata=["region"]), ["region", "label"]),
    "positive": (da.PositiveResample(strata=["label"], keep="uncertainty"), ["label"]),
}


def sampler(name: str, train_weight: str) -> tuple[Any, Any]:
    learner, strata = SAMPLERS[name]
    return (replace(learner, train_weight=train_weight) if hasattr(learner, "train_weight") else learner), strata


def sample(negative: float = 0.15) -> ak.Array:
    events = classes(1200, negative=negative)
    return ak.with_field(events, events.weight * 1.5, "weight_up")


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("train_weight", POLICIES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_it_is_what_the_rows_say(name: str, train_weight: str, unequal: bool) -> None:
    learner, strata = sampler(name, train_weight)
    events = weighted(sample()) if unequal else sample()
    weights = getattr(learner, "weights", ("weight",))
    setting = replace(SETTING, weights=weights)
    events = events[[field for field in events.fields if not field.startswith("weight") or field in weights]]
    step = taught(learner, [events], setting)
    same(step, events, applied_to(step, [events], setting), strata)
    if unequal and train_weight != "unit":
        before = counted_out(events, strata)
        for entry in step.report():
            assert np.isclose(entry["train_weight_before"], before[entry["stratum"]][1])
            assert entry["events"] < entry["rows_before"]


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_same_bits_for_any_partitions(name: str, unequal: bool) -> None:
    learner, _ = sampler(name, "balance")
    events = weighted(sample()) if unequal else sample()
    first = taught(learner, [events])
    for parts in (divided(events, 3), divided(shuffled(events), 7)):
        again = taught(learner, parts)
        assert again.report() == first.report()
        assert again.learned.digest == first.learned.digest


def test_copies_count_as_their_event() -> None:
    """After steps that made rows, an event is still one: what comes after sees through it."""
    events = toy(900)
    copied = da.Repeat(n=3)
    settings_: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}
    for learner in (
        da.Undersample(strata=["label"], sampling_strategy={"label=0": 700, "label=1": 300}, weights=("weight",)),
        da.Undersample(strata=["label"], weights=("weight",), train_weight="unit"),
        da.Oversample(strata=["label"], train_weight="balance"),
        da.Oversample(strata=["label"], multiplicity="bootstrap"),
    ):
        step = da.learn(events, learner, copied, **settings_)
        made = da.augment(events, copied, step, **settings_)
        before = da.augment(events, copied, **settings_)
        same(step, before, made, ["label"])
        assert all(entry["events"] <= entry["rows_before"] / 4 + 1e-6 for entry in step.report())


@pytest.mark.parametrize("name", ["undersample", "oversample", "bootstrap", "smote", "enn", "positive"])
def test_rows_of_an_event_may_lie_anywhere(name: str) -> None:
    """Same bits where copies and their event are in different partitions."""
    learner, _ = sampler(name, "conserve")
    events = applied(taught(da.Oversample(strata=["label"]), [sample()]), sample())
    first = taught(learner, [events])
    assert any(entry["events"] < entry["rows_before"] / 2 for entry in first.report())
    for parts in (divided(shuffled(events), 4), [events[::2], events[1::2]]):
        assert taught(learner, parts).learned.digest == first.learned.digest


def test_many_events_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sample from any partitions, and near what all events say."""
    events = weighted(da.augment(toy(3000), da.Repeat(n=1), seed=7, dataset="toy", split=None))
    learner = da.Undersample(strata=["region"], weights=("weight",))
    exact = taught(learner, [events]).report()
    monkeypatch.setattr("dask_augment.sampling.report.MOST", 1400)
    first = taught(learner, [events])
    for entry, other in zip(first.report(), exact, strict=True):
        assert entry["events"] != other["events"]
        assert entry["events"] == pytest.approx(other["events"], rel=0.2)
        assert entry | {"events": 0} == other | {"events": 0}
    for parts in (divided(events, 5), divided(shuffled(events), 3)):
        assert taught(learner, parts).report() == first.report()


def test_no_pass_more() -> None:
    """Rows of one weight need no question beyond those that the result needs."""
    events, asked = toy(600), []

    def questions(learner: Any, data: ak.Array) -> int:
        asked.clear()
        stage = da.frames.stage.Stage((da.frames.steps.Step("step", learner),), SETTING)

        def ask(put: Questions) -> Any:
            asked.append([type(one.measure).__name__ for one in put.questions])
            return put.measure(data)

        teach(Events(stage, ask))
        return len(asked)

    assert questions(da.Undersample(strata=["label"]), events) == 2
    assert questions(da.Undersample(strata=["label"]), weighted(events)) == 3
    even = da.Oversample(strata=["label"])
    assert questions(even, events) == 2
    assert questions(even, weighted(events)) == 3
    assert questions(replace(even, multiplicity="bootstrap"), events) == 2


# The moment law ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allocation", ["even", "iid"])
def test_variance_of_made_rows(allocation: str) -> None:
    """Within 5 sigma of what is found among 20,000 made rows; and SMOTE narrows."""
    events = classes(2000, fractions=(0.9, 0.1))
    rows = int(np.sum(column(events, "label") == 1))
    learner = da.Smote(
        strata=["label"], features=FEATURES, allocation=allocation, sampling_strategy={"label=1": rows + 20_000}
    )
    step = taught(learner, [events])
    made = applied(step, events)
    kind, label = column(made, "augment_kind"), column(made, "label")
    entry = {entry["stratum"]: entry for entry in step.report()}
    assert entry["label=0"]["variance"] == {}
    assert list(entry["label=1"]["variance"]) == FEATURES
    for name, ratio in entry["label=1"]["variance"].items():
        values = column(made, name).astype(np.float64)
        new, old = values[(kind == 2) & (label == 1)], values[(kind == 0) & (label == 1)]
        assert len(new) == 20_000
        sigma = np.sqrt((np.mean((new - new.mean()) ** 4) - new.var() ** 2) / len(new))
        assert abs(ratio * old.var() - new.var()) < 5 * sigma
        assert 0.5 < ratio < 1.0
        assert abs(old.var() - new.var()) > 5 * sigma, "the test could tell that nothing is narrowed"


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 3), st.integers(0, 999))
def test_moment_law(n: int, k: int, seed: int) -> None:
    """The kernel against the law written out over all pairs."""
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=n) + 1000).astype(rng.choice([np.float32, np.float64]))
    neighbours = rng.integers(0, n, (n, k)).astype(np.int32)
    found, children = rng.integers(1, k + 1, n).astype(np.int32), rng.integers(0, 4, n)
    children[0] += 1
    rows = np.arange(n)
    pairs = [(i, j, children[i] / found[i]) for i in rows for j in neighbours[i, : found[i]]]
    x, y = (np.array([float(values[pair[side]]) for pair in pairs]) for side in (0, 1))
    covariance = np.cov(x, y, aweights=[pair[2] for pair in pairs], ddof=0)
    share = np.array([pair[2] for pair in pairs])
    shift = np.average(y, weights=share) - np.average(x, weights=share)
    expected = (covariance[0, 0] + covariance[1, 1] + covariance[0, 1]) / 3 + shift**2 / 12
    assert np.isclose(variance_between(values, rows, children, neighbours, found), expected, atol=1e-9)
    assert np.isclose(variance(values, rows), values.astype(np.float64).var(), atol=1e-9)


def test_a_constant_feature_has_no_ratio() -> None:
    events = ak.with_field(classes(400), np.ones(400), "z")
    entries = taught(da.Smote(strata=["label"], features=FEATURES), [events]).report()
    assert {tuple(entry["variance"]) for entry in entries} == {(), ("x", "y")}


# Where it is said ----------------------------------------------------------------------------------------------------


def test_resampler_says_it() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 3)), np.repeat([0, 1], [500, 100])
    resampler = da.Resampler("smote", seed=1)
    resampler.fit_resample(X, y)
    large, small = resampler.step_.report()
    assert (small["stratum"], small["rows_after"], small["events"]) == ("class=1", 500, 100.0)
    assert sorted(small["variance"]) == ["x0", "x1", "x2"]
    assert large["by_rows"] == 500.0
    weighted_ = da.Resampler("undersample", seed=1)
    weight = rng.integers(1, 9, len(X)) / 8
    weighted_.fit_resample(X, y, sample_weight=weight)
    after = pd.Series(np.asarray(weighted_.sample_weight_))
    kept = y[weighted_.sample_indices_] == 0
    entry = weighted_.step_.report()[0]
    assert np.isclose(entry["events"], after[kept].sum() ** 2 / (after[kept] ** 2).sum(), **HUGE)


def test_compound_says_it_of_each_step() -> None:
    events = classes(600)
    step = da.learn(events, da.SmoteTomek(features=FEATURES, label="label"), seed=7, dataset="toy", split=None)
    made, cleaned = step.report()[:3], step.report()[3:]
    assert [entry["stratum"] for entry in made] == [entry["stratum"] for entry in cleaned]
    for before, after in zip(made, cleaned, strict=True):
        assert before["rows_after"] == after["rows_before"]
        assert after["events"] <= before["rows_before"]


def test_it_is_plain() -> None:
    """JSON has no NaN, and gives the report back."""
    for train_weight in POLICIES:
        report = taught(sampler("smote", train_weight)[0], [sample()]).report()
        assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_nothing_to_say() -> None:
    events = toy(300)
    assert da.Undersample(strata=["label"]).report() == []
    step = taught(da.Undersample(strata=["label"]), [events])
    old = {name: array for name, array in step.learned.items() if not name.startswith("report_")}
    assert replace(step, learned=Learned(old)).report() == [], "what a release before this one learned"


@given(st.lists(st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 2)), max_size=20))
def test_exact_squares(rows: list[tuple[int, int]]) -> None:
    units, which = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    expected = [sum(unit**2 for unit, group in rows if group == g) for g in range(3)]
    assert exact_squares(units, which, 3) == expected
    thirds = units // 3
    assert exact_squares(thirds, which, 3, np.full(len(rows), 3)) == [
        3 * sum((unit // 3) ** 2 for unit, group in rows if group == g) for g in range(3)
    ]


def test_exact_squares_of_many_alike() -> None:
    """One row in many pieces: the square of a piece, as often as there are, is beyond int64."""
    units, times = 2**26 - 1, 2**26
    found = exact_squares(np.array([units]), np.zeros(1, np.int64), 1, np.array([times]))
    assert found == [units**2 * times]
