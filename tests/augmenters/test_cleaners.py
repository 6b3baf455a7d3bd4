"""Edited nearest neighbours and Tomek links: the sets of imbalanced-learn, and weights that stay."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from imblearn.under_sampling import EditedNearestNeighbours, TomekLinks
from numpy.typing import NDArray

import dask_augment as da
from interpolation_toys import FEATURES, classes, in_order, matrix, shuffled
from sampling_toys import applied, column, divided, taught, units


def enn(**options: Any) -> da.EditedNearestNeighbours:
    return da.EditedNearestNeighbours(**{"features": FEATURES, "scale": None} | options)


def tomek(**options: Any) -> da.TomekLinks:
    return da.TomekLinks(**{"features": FEATURES, "scale": None} | options)


def stays(events: ak.Array, result: ak.Array) -> NDArray[np.int64]:
    """Rows of the events that are left."""
    return np.flatnonzero(np.isin(column(events, "event"), column(result, "event")))


PAIRS = {
    "enn": (enn(), EditedNearestNeighbours()),
    "enn, 5": (enn(n_neighbors=5), EditedNearestNeighbours(n_neighbors=5)),
    "enn, all classes": (enn(sampling_strategy="all"), EditedNearestNeighbours(sampling_strategy="all")),
    "enn, majority": (enn(sampling_strategy="majority"), EditedNearestNeighbours(sampling_strategy="majority")),
    "enn, a list": (enn(sampling_strategy=["label=1"]), EditedNearestNeighbours(sampling_strategy=[1])),
    "enn, mode": (enn(kind_sel="mode"), EditedNearestNeighbours(kind_sel="mode")),
    "enn, mode of 4": (enn(kind_sel="mode", n_neighbors=4), EditedNearestNeighbours(kind_sel="mode", n_neighbors=4)),
    "tomek": (tomek(), TomekLinks()),
    "tomek, all classes": (tomek(sampling_strategy="all"), TomekLinks(sampling_strategy="all")),
    "tomek, not majority": (tomek(sampling_strategy="not majority"), TomekLinks(sampling_strategy="not majority")),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("parts", [1, 7])
def test_sets_are_those_of_imbalanced_learn(name: str, parts: int) -> None:
    ours, theirs = PAIRS[name]
    events = in_order(classes(2500))
    theirs.fit_resample(matrix(events), column(events, "label"))
    result = applied(taught(ours, divided(shuffled(events), parts)), divided(events, 3))
    expected = np.sort(theirs.sample_indices_)
    assert 0 < len(events) - len(expected) < 1500
    assert np.array_equal(stays(events, result), expected)


def test_ties_go_by_ids() -> None:
    """Of many rows at few places, those with the smaller ids are the nearer ones."""
    events = in_order(classes(400, fractions=(0.7, 0.3)))
    for name in FEATURES:
        values = column(events, name).astype(np.float64)
        events = ak.with_field(events, np.rint(values / values.std()).astype(np.float32), name)
    points, labels = matrix(events), column(events, "label")
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1, kind="stable")
    surrounded = (labels[near[:, :3]] == labels[:, None]).all(axis=1)
    for parts in ([events], divided(shuffled(events), 5)):
        assert np.array_equal(stays(events, applied(taught(enn(), parts), [events])), np.flatnonzero(surrounded | (labels == 1)))  # fmt: skip
        linked = (labels[near[:, 0]] != labels) & (near[near[:, 0], 0] == np.arange(400))
        assert np.array_equal(stays(events, applied(taught(tomek(), parts), [events])), np.flatnonzero(~linked | (labels == 1)))  # fmt: skip


@pytest.mark.parametrize("learner", [enn(), tomek()], ids=["enn", "tomek"])
def test_weights_of_groups_stay_as_integers(learner: Any) -> None:
    events = classes(2000, negative=0.3)
    had = np.random.default_rng(2).integers(0, 2**40, len(events)) * 2.0**-32
    events = ak.with_field(events, had, "train_weight")
    result = applied(taught(learner, divided(events, 4)), divided(events, 3))
    assert len(result) < len(events)
    exponent = int(np.floor(np.log2(np.abs(column(result, "weight")).min()))) - 60
    for label in range(3):
        for sign in (-1, 1):
            before, after = (
                units(
                    column(e, "weight")[(column(e, "label") == label) & (np.sign(column(e, "weight")) == sign)],
                    exponent,
                )
                for e in (events, result)
            )
            assert before == after != 0
        totals = [units(column(e, "train_weight")[column(e, "label") == label], -32) for e in (events, result)]
        assert totals[0] == totals[1]
    cleaned = column(events, "label") != 2
    same = stays(events, result)
    untouched = same[~cleaned[same]]
    assert np.array_equal(
        np.sort(column(events, "weight")[untouched]), np.sort(column(result, "weight")[column(result, "label") == 2])
    )


@pytest.mark.parametrize("learner", [enn(train_weight="unit"), tomek(train_weight="unit", weights=())])
def test_unit(learner: Any) -> None:
    result = applied(taught(learner, [classes()]), [classes()])
    assert set(column(result, "train_weight").tolist()) == {1.0}


def test_within_strata() -> None:
    events = in_order(classes(2000))
    result = applied(taught(enn(strata=["region"]), divided(events, 3)), [events])
    for region in (0, 1):
        mine = events[column(events, "region") == region]
        theirs = EditedNearestNeighbours()
        theirs.fit_resample(matrix(mine), column(mine, "label"))
        assert np.array_equal(stays(mine, result), np.sort(theirs.sample_indices_))


def test_after_smote() -> None:
    """SMOTE and then edited nearest neighbours, as in imbalanced-learn's SMOTEENN, with made rows as neighbours."""
    events = classes(800)[["run", "luminosityBlock", "event", "label", *FEATURES]]
    setting: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None, "weights": ()}
    smote = da.learn(events, da.Smote(strata=["label"], features=FEATURES, weights=()), **setting)
    clean = da.learn(events, enn(sampling_strategy="all", weights=()), smote, **setting)
    result = da.augment(events, smote, clean, **setting)
    made = da.augment(events, smote, **setting)
    theirs = EditedNearestNeighbours(sampling_strategy="all")
    theirs.fit_resample(matrix(made), column(made, "label"))
    rows = [set(zip(column(e, "event").tolist(), column(e, "augment_copy").tolist(), strict=True)) for e in (made[np.sort(theirs.sample_indices_)], result)]  # fmt: skip
    assert rows[0] == rows[1]
    assert len(result) < len(made)


def test_errors() -> None:
    events = classes(400, fractions=(0.8, 0.2))
    label = column(events, "label")
    with pytest.raises(ValueError, match="column 'label' has but one class in each stratum"):
        taught(enn(), [events[label == 0]])
    with pytest.raises(ValueError, match="names 'label=9', which is not there"):
        taught(enn(sampling_strategy=["label=9"]), [events])
    with pytest.raises(ValueError, match="a stratum has 4 rows; n_neighbors=5 needs 6"):
        taught(enn(n_neighbors=5), [events[np.r_[np.flatnonzero(label == 0)[:2], np.flatnonzero(label == 1)[:2]]]])
    holes = column(events, "x").copy()
    holes[:3] = np.nan
    with pytest.raises(ValueError, match="feature 'x' is NaN or infinite in 3 rows"):
        taught(tomek(), [ak.with_field(events, holes, "x")])
    mixed = np.flatnonzero(label == 0)[:3]
    lonely = events[np.r_[mixed, np.flatnonzero(label == 1)]]
    with pytest.raises(ValueError, match=r"all 3 rows of stratum 'label=0' .* are dropped"):
        taught(enn(sampling_strategy=["label=0"], features=["x"]), [ak.with_field(lonely, np.zeros(len(lonely)), "x")])
    for options, sentence in (
        ({"label": ""}, "label must name"),
        ({"features": []}, "features must name"),
        ({"kind_sel": "none"}, "kind_sel must be one of"),
        ({"n_neighbors": 0}, "n_neighbors must be"),
        ({"sampling_strategy": "minority"}, "sampling_strategy must be one of"),
    ):
        with pytest.raises(ValueError, match=sentence):
            enn(**options)
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(enn(), [events[:0]])


def test_the_spread_of_weights_is_reported() -> None:
    events = classes(400, fractions=(0.8, 0.2))
    size = np.random.default_rng(0).lognormal(size=len(events))
    events = ak.with_field(events, np.where(column(events, "event") % 5, size, -size), "weight")
    for step in (enn(n_neighbors=1), tomek()):
        told = taught(step, divided(events, 3)).report()
        for entry in told:
            mine = size[column(events, "label") == int(entry["stratum"].removeprefix("label="))]
            assert entry["weight_cv"] == pytest.approx(np.std(mine) / np.mean(mine), rel=1e-6)
            assert "weight_bias" not in entry
    assert "weight_cv" not in taught(tomek(weights=()), [events]).report()[0]
