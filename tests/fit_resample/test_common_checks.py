"""imbalanced-learn's own checks of samplers, and its tools, on ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from imblearn.combine import SMOTEENN
from imblearn.ensemble import BalancedBaggingClassifier
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import EditedNearestNeighbours, RandomUnderSampler, TomekLinks
from imblearn.utils import estimator_checks
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

import dask_augment as da

WITHOUT_FEATURES = ("undersample", "oversample")
WITH_FEATURES = (
    "smote", "adasyn", "borderline_smote", "edited_nearest_neighbours", "tomek_links", "smote_enn", "smote_tomek",
)  # fmt: skip
SAMPLERS = {
    **{name: da.Resampler(name) for name in (*WITHOUT_FEATURES, *WITH_FEATURES)},
    "per_stratum": da.PerStratum(SMOTE(random_state=0), ()),
}
CHECKS = sorted(name for name in dir(estimator_checks) if name.startswith(("check_sampler", "check_target")))
SPARSE = "a sparse X would have to be filled in memory, and neighbours are sought among full rows: it is refused"
FEATURES = "a check of samplers that look at no values: neighbours need numbers, and all of them"
CANNOT_HOLD: dict[tuple[str, str], str] = {
    **{(name, "check_samplers_sparse"): SPARSE for name in SAMPLERS},
    **{(name, "check_samplers_nan"): FEATURES for name in (*WITH_FEATURES, "per_stratum")},
    **{(name, "check_samplers_string"): FEATURES for name in (*WITH_FEATURES, "per_stratum")},
    ("per_stratum", "check_samplers_fit"): "the sampler is fitted in each stratum: there is no one sampling_strategy_",
}
"""Checks that cannot hold, and why. One of these that holds makes its test fail."""
REFUSED = {"check_samplers_sparse": "X is sparse"}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_common_checks(name: str, check: str) -> None:
    run = getattr(estimator_checks, check)
    if (name, check) not in CANNOT_HOLD:
        run(type(SAMPLERS[name]).__name__, SAMPLERS[name])
        return
    with pytest.raises((TypeError, ValueError, AssertionError), match=REFUSED.get(check)):
        run(type(SAMPLERS[name]).__name__, SAMPLERS[name])


def test_all_their_checks_are_run() -> None:
    theirs = {
        check.__name__
        for sampler in (RandomUnderSampler(), SMOTE())
        for check in estimator_checks._yield_sampler_checks(sampler)
    }
    assert theirs <= set(CHECKS)
    assert all(check in CHECKS and name in SAMPLERS for name, check in CANNOT_HOLD)


RNG = np.random.default_rng(5)
Y = RNG.choice([0, 1, 2], 120, p=[0.6, 0.25, 0.15])
X = RNG.normal(size=(120, 3)) + 2 * Y[:, None]
PAIRS = {
    "undersample": (RandomUnderSampler, "auto"),
    "oversample": (RandomOverSampler, "not majority"),
    "smote": (SMOTE, {1: 90}),
    "edited_nearest_neighbours": (EditedNearestNeighbours, "all"),
    "tomek_links": (TomekLinks, [0, 1]),
    "smote_enn": (SMOTEENN, "minority"),
}


@pytest.mark.parametrize("method", PAIRS)
def test_fitted_strategy_is_theirs(method: str) -> None:
    kind, strategy = PAIRS[method]
    theirs = kind(sampling_strategy=strategy).fit(X, Y)
    ours = da.Resampler(method, sampling_strategy=strategy).fit(X, Y)
    assert ours.sampling_strategy_ == theirs.sampling_strategy_
    assert ours._sampling_type == theirs._sampling_type
    assert ours.n_features_in_ == 3


def test_no_strategy_of_classes_within_strata() -> None:
    frame = pd.DataFrame(X, columns=list("abc")).assign(side=X[:, 0] > 0)
    ours = da.Resampler("undersample").fit(frame, Y)
    assert ours.sampling_strategy_
    ours.set_params(strata=["side"]).fit(frame, Y)
    assert not hasattr(ours, "sampling_strategy_")


def test_parameters_are_attributes() -> None:
    resampler = da.Resampler("smote", k_neighbors=3)
    assert (resampler.k_neighbors, resampler.method, resampler.seed) == (3, "smote", 0)
    resampler.k_neighbors = 4
    assert clone(resampler).k_neighbors == 4
    assert clone(resampler).fit(X, Y).step_.k_neighbors == 4
    per_stratum = da.PerStratum(SMOTE(), ())
    assert per_stratum.get_params()["sampler__k_neighbors"] == 5
    assert per_stratum.set_params(sampler__k_neighbors=2, seed=3).sampler.k_neighbors == 2
    with pytest.raises(ValueError, match="there is no parameter 'other__k'"):
        per_stratum.set_params(other__k=2)


def test_inside_their_tools() -> None:
    y = (X[:, 0] > 0.8).astype(int)
    bagging = BalancedBaggingClassifier(DecisionTreeClassifier(), sampler=da.Resampler("undersample"), n_estimators=3)
    assert bagging.fit(X, y).score(X, y) > 0.7
    bagging.set_params(sampler=da.Resampler("smote", k_neighbors=2))
    assert bagging.fit(X, y).score(X, y) > 0.7
    pipeline = make_pipeline(da.Resampler("smote"), LogisticRegression())
    search = GridSearchCV(pipeline, {"resampler__k_neighbors": [2, 3], "resampler__method": ["smote", "adasyn"]}, cv=2)
    assert search.fit(X, y).best_params_["resampler__k_neighbors"] in (2, 3)
    within = make_pipeline(da.PerStratum(SMOTE(), ()), LogisticRegression())
    search = GridSearchCV(within, {"perstratum__sampler__k_neighbors": [2, 3]}, cv=2, error_score="raise")
    assert search.fit(X, y).score(X, y) > 0.7


def test_names_of_columns() -> None:
    resampler = da.Resampler("undersample")
    with pytest.raises(AttributeError, match="not known before fit_resample"):
        resampler.get_feature_names_out()
    assert resampler.fit(X, Y).get_feature_names_out().tolist() == ["x0", "x1", "x2"]
    resampler.fit(pd.DataFrame(X, columns=list("abc")), Y)
    assert resampler.feature_names_in_.tolist() == list("abc")
    assert not hasattr(resampler.fit(pd.DataFrame(X), Y), "feature_names_in_")


def test_neighbours_are_theirs_without_scale_alone() -> None:
    wide = X * [1, 2, 10]
    theirs = EditedNearestNeighbours()
    theirs.fit_resample(wide, Y)
    rows: dict[Any, list[int]] = {}
    for scale in (None, "std"):
        ours = da.Resampler("edited_nearest_neighbours", scale=scale)
        ours.fit_resample(wide, Y)
        rows[scale] = ours.sample_indices_.tolist()
    assert rows[None] == sorted(theirs.sample_indices_.tolist())
    assert rows["std"] != rows[None]
