from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

import dask_augment as da
from dask_augment.contract.ids import file_word
from interpolation_toys import FEATURES, classes, in_order, matrix, shuffled
from sampling_toys import SETTING, applied, column, divided, taught, units


def made(result: ak.Array) -> ak.Array:
    return result[column(result, "augment_kind") == 2]


def smote(**options: Any) -> da.Smote:
    return da.Smote(**{"strata": ["label"], "features": FEATURES} | options)


def parents(result: ak.Array, events: ak.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the events that each made row was made of."""
    where = {event: row for row, event in enumerate(column(events, "event").tolist())}
    new = made(result)
    first = [where[event] for event in column(new, "event").tolist()]
    return np.array(first), np.array([where[event] for event in column(new, "augment_other_event").tolist()])


@pytest.mark.parametrize("strategy", ["auto", "minority", "not minority", "not majority", "all", {"label=1": 700}])
def test_numbers_are_those_of_imbalanced_learn(strategy: Any) -> None:
    events = classes()
    result = applied(taught(smote(sampling_strategy=strategy), [events]), divided(events, 3))
    theirs = {int(name[-1]): rows for name, rows in strategy.items()} if isinstance(strategy, dict) else strategy
    _, labels = SMOTE(sampling_strategy=theirs, random_state=0).fit_resample(matrix(events), column(events, "label"))
    assert np.array_equal(np.bincount(column(result, "label")), np.bincount(labels))


def test_a_ratio_of_two_classes() -> None:
    events = classes(fractions=(0.9, 0.1))
    result = applied(taught(smote(sampling_strategy=0.37), [events]), [events])
    few, many = sorted(np.bincount(column(result, "label")).tolist())
    assert (few, many) == (int(many * 0.37), np.bincount(column(events, "label")).max())


@pytest.mark.parametrize("scale", [None, "std", [1.0, 2.0, 300.0]])
def test_neighbours_are_those_of_sklearn(scale: Any) -> None:
    events = in_order(classes())
    step = taught(smote(scale=scale, sampling_strategy={"label=1": 1500}), [events])
    points = matrix(events)
    units_of = {None: np.ones(3), "std": points.std(axis=0)}.get(scale if scale != [1.0, 2.0, 300.0] else 0)
    points = points / (np.array(scale) if units_of is None else units_of)
    minority = points[column(events, "label") == 1]
    theirs = NearestNeighbors(n_neighbors=6).fit(minority).kneighbors(minority, return_distance=False)[:, 1:]
    assert np.array_equal(step.learned["neighbours"], theirs)


def test_provenance_recomputes_every_row_bit_for_bit() -> None:
    events = classes(negative=0.2)
    result = applied(taught(smote(), divided(events, 4)), divided(events, 3))
    new = made(result)
    first, second = parents(result, events)
    share = column(new, "augment_share")
    assert np.all((share >= 0) & (share < 1))
    for name in FEATURES:
        x, y = (column(events, name)[rows].astype(np.float64) for rows in (first, second))
        value = np.clip(x + share * (y - x), np.minimum(x, y), np.maximum(x, y))
        assert np.array_equal(column(new, name), value.astype(column(events, name).dtype))
    for name in ("run", "luminosityBlock"):
        assert np.array_equal(column(new, f"augment_other_{name}"), column(events, name)[second])
    assert set(column(new, "augment_other_dataset").tolist()) == {file_word("toy")}
    assert not column(new, "augment_other_copy").any()
    assert not column(new, "augment_base_copy").any()
    old = result[column(result, "augment_kind") == 0]
    for name in ("augment_share", "augment_other_event", "augment_other_dataset"):
        assert not column(old, name).any()


def test_weights_are_zero_and_signs_are_never_crossed() -> None:
    events = classes(negative=0.3)
    result = applied(taught(smote(), [events]), [events])
    assert not column(made(result), "weight").any()
    assert column(result, "weight").sum() == column(events, "weight").sum()
    first, second = parents(result, events)
    sign, label = np.sign(column(events, "weight")), column(events, "label")
    assert np.array_equal(sign[first], sign[second])
    assert set(sign[first].tolist()) == {-1.0, 1.0}
    assert np.array_equal(label[first], label[second])
    free = applied(taught(smote(weights=()), [events]), [events])
    first, second = parents(free, events)
    assert np.any(sign[first] != sign[second]), "without weights nobody looks at signs"


def test_a_sign_with_few_events_is_no_source() -> None:
    events = classes(300)
    few = np.flatnonzero(column(events, "label") == 1)[:3]
    weight = column(events, "weight").copy()
    weight[few] *= -1
    events = ak.with_field(events, weight, "weight")
    result = applied(taught(smote(sampling_strategy={"label=1": 200}), [events]), [events])
    first, _ = parents(result, events)
    assert not set(first.tolist()) & set(few.tolist())
    assert np.bincount(column(result, "label"))[1] == 200


@pytest.mark.parametrize("policy", ["conserve", "balance", "unit"])
def test_train_weight(policy: str) -> None:
    events = classes()
    had = np.random.default_rng(2).integers(0, 2**40, len(events)) * 2.0**-32
    events = ak.with_field(events, had, "train_weight")
    result = applied(taught(smote(train_weight=policy), divided(events, 2)), divided(events, 5))
    values = column(result, "train_weight")
    before = [units(had[column(events, "label") == label], -32) for label in range(3)]
    after = [units(values[column(result, "label") == label], -32) for label in range(3)]
    if policy == "conserve":
        assert after == before
    elif policy == "balance":
        assert set(after) == {sum(before) // 3}
    else:
        assert set(values.tolist()) == {1.0}


def test_even_and_iid() -> None:
    events = classes()
    rows = np.bincount(column(events, "label"))[2]
    target = {"label=2": int(rows * 5.5)}
    for allocation in ("even", "iid"):
        result = applied(taught(smote(sampling_strategy=target, allocation=allocation), [events]), [events])
        _, times = np.unique(column(result, "event")[column(result, "label") == 2], return_counts=True)
        assert times.sum() == target["label=2"]
        if allocation == "even":
            assert times.max() - times.min() <= 1
        else:
            assert abs((times - 1).var() / (times - 1).mean() - 1) < 0.5, "about Poisson"


def test_moment_law() -> None:
    """Mean and variance of made rows are those that parents say, within five standard deviations."""
    events = classes(4000, fractions=(0.6, 0.4))
    result = applied(taught(smote(sampling_strategy={"label=1": 60_000}), [events]), [events])
    first, second = parents(result, events)
    for name in FEATURES:
        x, y = column(events, name)[first].astype(float), column(events, name)[second].astype(float)
        s = column(made(result), name).astype(float)
        mean = (x.mean() + y.mean()) / 2
        variance = (x.var() + y.var() + np.cov(x, y, bias=True)[0, 1]) / 3 + (y.mean() - x.mean()) ** 2 / 12
        # The spread of what the shares alone decide, given the parents.
        assert abs(s.mean() - mean) < 5 * np.sqrt(np.mean((y - x) ** 2 / 12) / len(s))
        fluctuation = np.std((s - mean) ** 2 - ((x - mean) ** 2 + (y - mean) ** 2 + (x - mean) * (y - mean)) / 3)
        assert abs(np.mean((s - mean) ** 2) - variance) < 5 * fluctuation / np.sqrt(len(s))
        assert s.var() < x.var(), "interpolation narrows"


# What imbalanced-learn does wrong -------------------------------------------------------------------------------------


def test_rows_that_stand_twice_are_not_copied() -> None:
    """Where each row of a class stands twice, a neighbour at distance 0 gives copies of rows that there are."""
    events = classes(600)
    values = matrix(events)
    minority = np.flatnonzero(column(events, "label") == 1)
    half = len(minority) // 2
    twins = dict(zip(minority[:half].tolist(), minority[half : 2 * half].tolist(), strict=True))
    for f, name in enumerate(FEATURES):
        values[list(twins), f] = values[list(twins.values()), f]
        events = ak.with_field(events, values[:, f].astype(column(events, name).dtype), name)
    points, labels = matrix(events), column(events, "label")
    theirs, _ = SMOTE(random_state=0).fit_resample(points, labels)
    there = {tuple(row) for row in points.tolist()}
    assert any(tuple(row) in there for row in theirs[len(points) :].tolist()), "the defect is still there"
    ours = made(applied(taught(smote(distinct=True), [events]), [events]))
    assert not any(tuple(row) in there for row in matrix(ours).tolist())


def test_classes_draw_by_themselves() -> None:
    """Two classes that are one another moved, in imbalanced-learn, give made rows that are one another moved."""
    events = classes(900, fractions=(0.5, 0.25, 0.25))
    minority = [np.flatnonzero(column(events, "label") == label)[:150] for label in (1, 2)]
    events = events[np.concatenate([np.flatnonzero(column(events, "label") == 0), *minority])]
    label = column(events, "label")
    values = matrix(events)
    values[label == 2] = values[label == 1] + 1000.0
    for f, name in enumerate(FEATURES):
        events = ak.with_field(events, values[:, f], name)
    theirs, labels = SMOTE(random_state=0).fit_resample(values, label)
    moved = [theirs[len(values) :][labels[len(values) :] == c] for c in (1, 2)]
    assert np.allclose(moved[0] + 1000.0, moved[1]), "the defect is still there"
    ours = made(applied(taught(smote(), [events]), [events]))
    shares = [column(ours, "augment_share")[column(ours, "label") == c] for c in (1, 2)]
    assert len(set(shares[0].tolist()) & set(shares[1].tolist())) == 0


# Strata, labels, splits ------------------------------------------------------------------------------------------------


def test_a_label_is_balanced_within_each_stratum() -> None:
    events = classes(2000)
    step = taught(smote(strata=["region"], label="label"), [events])
    result = applied(step, divided(events, 3))
    for region in (0, 1):
        before = np.bincount(column(events, "label")[column(events, "region") == region])
        after = np.bincount(column(result, "label")[column(result, "region") == region])
        assert after.tolist() == [before.max()] * 3
    first, second = parents(result, events)
    region = column(events, "region")
    assert np.array_equal(region[first], region[second])


def test_only_training_events_are_seen() -> None:
    events = ak.with_field(classes(), np.arange(1500, dtype=np.int8) % 3, "split")
    setting = replace(SETTING, split="split")
    step = taught(smote(), divided(events, 3), setting)
    result = applied(step, divided(events, 2), setting)
    training = events[column(events, "split") == 0]
    first, second = parents(result, training)
    assert len(first) == len(second) > 0
    assert len(step.learned["words"]) < len(training)
    assert np.all(column(made(result), "split") == 0)
    again = taught(smote(), [training], replace(SETTING, split=None))
    assert np.array_equal(again.learned["neighbours"], step.learned["neighbours"])


def test_twice() -> None:
    """Rows that were made before keep what tells of them, and may be parents."""
    events = classes(500)
    first = da.learn(events, smote(sampling_strategy={"label=2": 100}), seed=7, dataset="toy", split=None)
    once = da.augment(events, first, seed=7, dataset="toy", split=None)
    second = da.learn(
        events, smote(sampling_strategy={"label=2": 300}, weights=()), first, seed=7, dataset="toy", split=None
    )
    result = da.augment(events, first, second, seed=7, dataset="toy", split=None)
    key = ["event", "augment_copy", "augment_share", "augment_other_event", "x"]
    rows = {tuple(row) for row in zip(*(column(result, name).tolist() for name in key), strict=True)}
    assert {tuple(row) for row in zip(*(column(once, name).tolist() for name in key), strict=True)} <= rows
    assert len({row[:2] for row in rows}) == len(result)
    new = made(result)
    assert np.any(column(new, "augment_other_copy") > 0)
    assert np.any(column(new, "augment_base_copy") > 0)
    values = {
        (e, c): x for e, c, x in zip(*(column(result, n).tolist() for n in ("event", "augment_copy", "x")), strict=True)
    }
    bases = zip(*(column(new, n).tolist() for n in ("event", "augment_base_copy")), strict=True)
    others = zip(*(column(new, n).tolist() for n in ("augment_other_event", "augment_other_copy")), strict=True)
    x, y = (np.array([values[key] for key in keys]) for keys in (bases, others))
    share = column(new, "augment_share")
    between = np.clip(x + share * (y - x), np.minimum(x, y), np.maximum(x, y))
    assert np.array_equal(column(new, "x"), between.astype(np.float32))


def test_two_data_sets() -> None:
    events = ak.with_field(classes(), np.array(["a", "b"])[np.arange(1500) % 2], "dataset")
    setting = replace(SETTING, dataset=None)
    step = taught(smote(), [events], setting)
    result = applied(step, divided(shuffled(events), 3), setting)
    names = {file_word("a"): "a", file_word("b"): "b"}
    first, second = parents(result, events)
    of = np.array(ak.to_list(events.dataset))
    assert [names[word] for word in column(made(result), "augment_other_dataset").tolist()] == of[second].tolist()
    assert np.any(of[first] != of[second])


# Columns ----------------------------------------------------------------------------------------------------------------


def test_other_columns_are_left_out_or_the_parents() -> None:
    events = classes()
    narrow = applied(taught(smote(), [events]), [events])
    assert "region" not in narrow.fields
    wide = applied(taught(smote(carry="parent"), [events]), [events])
    first, _ = parents(wide, events)
    assert np.array_equal(column(made(wide), "region"), column(events, "region")[first])


# Bad input --------------------------------------------------------------------------------------------------------------


def broken(events: ak.Array, **changed: Any) -> ak.Array:
    for name, values in changed.items():
        events = ak.with_field(events, values, name)
    return events


def test_errors_of_events() -> None:
    events = classes(400)
    label = column(events, "label")
    few = np.flatnonzero(label == 2)[:4]
    with pytest.raises(ValueError, match=r"stratum 'label=2' has 4 rows .*k_neighbors=5 needs 6"):
        taught(smote(), [events[np.concatenate([np.flatnonzero(label < 2), few])]])
    with pytest.raises(ValueError, match="there is but one"):
        taught(smote(), [events[label == 0]])
    with pytest.raises(ValueError, match="stratum 'all' has but one class"):
        taught(smote(strata=[], label="label"), [events[label == 0]])
    holes = column(events, "x").copy()
    holes[np.flatnonzero(label == 2)[:3]] = np.nan
    with pytest.raises(ValueError, match="feature 'x' is NaN or infinite in 3 rows"):
        taught(smote(scale=None), [broken(events, x=holes)])
    with pytest.raises(TypeError, match="feature 'region' has type int32"):
        taught(smote(features=["x", "region"]), [events])
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(smote(), [events[:0]])
    alike = np.where(label == 2, 1.0, matrix(events)[:, 0])
    with pytest.raises(ValueError, match="have the same features"):
        taught(smote(features=["x"], distinct=True), [broken(events, x=alike)])
    step = taught(smote(), [events[:300]])
    with pytest.raises(ValueError, match="were not there while learning"):
        applied(step, [events])


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dask_augment.sampling.gathering.MOST_ROWS", 100)
    with pytest.raises(
        ValueError, match=r"stratum 'label=1' has \d+ rows, and neighbours are sought exactly among 100 at most"
    ):
        taught(smote(), [classes()])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"features": []}, "features must name at least one column"),
        ({"features": "x"}, r"write features=\['x'\]"),
        ({"features": ["x", "x"]}, "features names a column twice"),
        (
            {"features": ["x", "train_weight"]},
            "features names 'train_weight', which the step shares out .*: leave it out",
        ),
        ({"weights": ["weight", "weight"]}, "weights names a column twice"),
        ({"k_neighbors": 0}, "k_neighbors must be a whole number of at least 1"),
        ({"scale": [1.0]}, "one number for each of the 3 features"),
        ({"scale": [1.0, 0.0, 1.0]}, "scale of feature 'y' must be a number above 0"),
        ({"scale": "mad"}, "scale must be"),
        ({"carry": "all"}, "carry must be one of"),
        ({"allocation": "odd"}, "allocation must be one of"),
        ({"label": "label"}, "label and strata both name 'label': .* leave it out of strata"),
        ({"sampling_strategy": "majority"}, "over-sampling must be one of"),
    ],
)
def test_errors_of_options(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        smote(**options)


@pytest.mark.parametrize("kind", [da.Smote, da.Adasyn, da.BorderlineSmote])
def test_a_feature_may_be_a_stratum_in_bins(kind: Any) -> None:
    """Classes are balanced in each bin of the sources, and what is made may lie in another."""
    events = classes(fractions=(0.8, 0.2))
    step = kind(strata=[da.Bins("x", [-99, 0.5, 99])], label="label", features=FEATURES, scale=None)
    result = applied(taught(step, [events]), divided(events, 3))
    base, other = parents(result, events)
    points, share = matrix(events), column(made(result), "augment_share")[:, None]
    between = points[base] + share * (points[other] - points[base])
    assert np.allclose(matrix(made(result)), between, rtol=1e-6)
    inside = points[:, 0] < 0.5
    for rows in (inside, ~inside):
        few, many = np.bincount(column(events, "label")[rows])[::-1]
        assert np.sum(rows[base]) == many - few


def test_a_weight_that_is_no_number_has_no_sign() -> None:
    events = classes()
    weight = column(events, "weight").copy()
    weight[[3, 8]] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"'weight' is NaN or infinite in 2 of [\d,]+ rows"):
        taught(smote(), [ak.with_field(events, weight, "weight")])
