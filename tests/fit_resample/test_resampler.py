"""``fit_resample`` of our samplers: numbers as imbalanced-learn's, and the same rows from every kind of X and y."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import EditedNearestNeighbours, RandomUnderSampler
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import dask_augment as da
from dask_augment.contract.setting import Setting
from dask_augment.fit_resample import matrix

RNG = np.random.default_rng(1)
X = RNG.normal(size=(240, 3))
Y = RNG.choice([0, 1, 2], 240, p=[0.7, 0.2, 0.1])
NAMES = ("auto", "majority", "minority", "not majority", "not minority", "all")


def numbers(y: Any) -> dict[Any, int]:
    return dict(Counter(np.asarray(y).tolist()))


STRATEGIES = st.one_of(
    st.sampled_from(NAMES),
    st.floats(0.05, 1.2),
    st.dictionaries(st.integers(0, 4), st.integers(0, 60), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), STRATEGIES, st.booleans(), st.booleans(), st.data())
def test_numbers_as_imblearn(rows: list[int], strategy: Any, under: bool, called: bool, data: st.DataObject) -> None:
    y = np.repeat(np.arange(len(rows)), rows)
    x = np.arange(len(y), dtype=float)[:, None]
    given_strategy = (lambda y: strategy) if called and isinstance(strategy, dict) else strategy
    theirs = (RandomUnderSampler if under else RandomOverSampler)(sampling_strategy=given_strategy, random_state=0)
    multiplicity = {} if under else {"multiplicity": data.draw(st.sampled_from(["even", "bootstrap"]))}
    ours = da.Resampler(
        "undersample" if under else "oversample", sampling_strategy=given_strategy, **multiplicity,
        train_weight="unit",
    )  # fmt: skip
    try:
        _, expected = theirs.fit_resample(x, y)
    except ValueError:
        with pytest.raises(ValueError):
            ours.fit_resample(x, y)
        return
    made, found = ours.fit_resample(x, y)
    assert numbers(found) == numbers(expected)
    assert np.array_equal(y[made[:, 0].astype(int)], found), "each row keeps its class"
    assert np.array_equal(ours.sample_indices_, made[:, 0])
    if under:
        assert len(np.unique(made)) == len(made)


METHODS: dict[str, dict[str, Any]] = {
    "undersample": {},
    "oversample": {"multiplicity": "bootstrap"},
    "smote": {"k_neighbors": 3},
}


def as_kind(kind: str, x: Any, y: Any, parts: int) -> tuple[Any, Any]:
    frame = pd.DataFrame(x, columns=["x0", "x1", "x2"])
    if kind == "pandas":
        return frame, pd.Series(y, name="label")
    import dask.array
    import dask.dataframe as dd

    if kind == "dask.array":
        rows = -(-len(x) // parts)
        return dask.array.from_array(x, chunks=(rows, 2)), dask.array.from_array(y, chunks=rows)
    both = dd.from_pandas(frame.assign(label=y), npartitions=parts)
    return both[["x0", "x1", "x2"]], both["label"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("pandas", 1),
        *(("dask.dataframe", parts) for parts in (1, 3, 17)),
        *(("dask.array", parts) for parts in (1, 3)),
        pytest.param("dask.array", 17, marks=pytest.mark.slow),
    ],
)
def test_same_from_every_kind(method: str, kind: str, parts: int) -> None:
    resampler = da.Resampler(method, seed=3, **METHODS[method])
    x, y = resampler.fit_resample(X, Y)
    assert (x.dtype, y.dtype) == (X.dtype, Y.dtype)
    assert isinstance(x, np.ndarray)
    given_x, given_y = as_kind(kind, X, Y, parts)
    again = da.Resampler(method, seed=3, **METHODS[method])
    other_x, other_y = again.fit_resample(given_x, given_y)
    assert type(other_x) is type(given_x)
    assert type(other_y) is type(given_y)
    other_x, other_y = dask.compute(other_x, other_y)
    # By itself: newer releases of dask do not like to compute arrays beside dataframes.
    (indices,) = dask.compute(again.sample_indices_)
    if kind != "dask.array":
        assert other_y.name == "label"
        assert other_x.columns.tolist() == ["x0", "x1", "x2"]
    assert np.array_equal(np.asarray(other_x), x)
    assert np.array_equal(np.asarray(other_y), y)
    assert np.array_equal(indices, resampler.sample_indices_)


def test_ids_make_it_independent_of_order() -> None:
    frame = pd.DataFrame(X, columns=list("abc")).assign(event=np.arange(len(X)))
    order = np.random.default_rng(0).permutation(len(X))
    results = []
    for rows in (np.arange(len(X)), order):
        x, y = da.Resampler("oversample", ids=["event"]).fit_resample(frame.iloc[rows], Y[rows])
        results.append(sorted(zip(x["event"].tolist(), y.tolist(), strict=True)))
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", ["str", "object", "bool", "float64", "int8", "category"])
def test_kinds_of_classes(dtype: str) -> None:
    values = pd.Series(np.where(Y > 0, 1, 0))
    y = (
        values.map({0: "qcd|%", 1: "top"}).astype(dtype)
        if dtype in ("str", "object", "category")
        else values.astype(dtype)
    )
    wanted = {y.iloc[0]: 50}
    _, found = da.Resampler("undersample", sampling_strategy=wanted).fit_resample(X, y)
    assert found.dtype == y.dtype
    assert dict(found.value_counts()) == dict(y.value_counts()) | wanted
    _, found = da.Resampler("undersample", sampling_strategy=wanted).fit_resample(X, np.asarray(y))
    assert numbers(found)[y.iloc[0]] == 50


def test_within_strata_of_columns() -> None:
    frame = pd.DataFrame(X, columns=list("abc")).assign(region=np.where(X[:, 0] < 0, "barrel", "endcap"))
    x, y = da.Resampler("undersample", strata=["region"]).fit_resample(frame, Y)
    rows = x.groupby(["region", y]).size()
    assert len(rows) == 6
    assert rows.nunique() == 1
    wanted = {"region=barrel|class=0": 20}
    x, y = da.Resampler("undersample", strata=["region"], sampling_strategy=wanted).fit_resample(frame, Y)
    assert np.sum((y == 0) & (x["region"] == "barrel")) == 20


@pytest.mark.parametrize("strategy", ["auto", "majority", [0, 1]])
def test_cleaned_as_by_imblearn(strategy: Any) -> None:
    theirs = EditedNearestNeighbours(sampling_strategy=strategy)
    _, expected = theirs.fit_resample(X, Y)
    ours = da.Resampler("edited_nearest_neighbours", sampling_strategy=strategy, scale=None)
    _, found = ours.fit_resample(X, Y)
    assert numbers(found) == numbers(expected)
    assert np.array_equal(ours.sample_indices_, np.sort(theirs.sample_indices_))


def test_compounds_as_from_pandas() -> None:
    wanted = {"sampling_strategy": {1: 120, 2: 90}, "undersampling_strategy": {0: 100}}
    for method, options in (("smote_undersample", wanted), ("smote_enn", {}), ("smote_tomek", {})):
        x, y = da.Resampler(method, seed=2, **options).fit_resample(X, Y)
        other_x, other_y = da.Resampler(method, seed=2, **options).fit_resample(*as_kind("pandas", X, Y, 1))
        assert np.array_equal(other_x.to_numpy(), x)
        assert np.array_equal(other_y.to_numpy(), y)
        if options:
            assert numbers(y) == {0: 100, 1: 120, 2: 90}


def test_slices_of_a_matrix_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(3).uniform(0.5, 2.0, len(X))
    for method, options in METHODS.items():
        results = []
        for rows in (1000, 7):
            monkeypatch.setattr(matrix, "ASKED", rows)
            monkeypatch.setattr(matrix, "ACTED_ON", rows - 3)
            resampler = da.Resampler(method, **options)
            results.append([*resampler.fit_resample(X, Y, sample_weight=weight), resampler.sample_weight_])
        assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_columns_that_are_no_features_are_those_of_the_source() -> None:
    resampler = da.Resampler("smote", features=["x0", "x2"])
    x, _ = resampler.fit_resample(X, Y)
    made = ~np.isin(x[:, 0], X[:, 0])
    assert made.any()
    assert np.array_equal(x[:, 1], X[resampler.sample_indices_, 1])
    assert not np.array_equal(x[:, 2], X[resampler.sample_indices_, 2])


def test_sample_weight_is_kept_in_integers() -> None:
    weight = np.random.default_rng(2).integers(1, 2**34, len(X)) * 2.0**-32
    for method in ("undersample", "oversample"):
        resampler = da.Resampler(method)
        _, y = resampler.fit_resample(X, Y, sample_weight=weight)
        for label in range(3):
            before, after = weight[label == Y].sum() * 2**32, resampler.sample_weight_[y == label].sum() * 2**32
            assert before == after == int(before)


def test_pipeline_clone_and_search() -> None:
    resampler = da.Resampler("oversample", multiplicity="bootstrap", seed=5)
    twin = clone(resampler)
    assert twin.get_params() == resampler.get_params()
    assert np.array_equal(twin.fit_resample(X, Y)[0], resampler.fit_resample(X, Y)[0])
    y = (X[:, 0] > 0.8).astype(int)
    pipeline = make_pipeline(resampler, LogisticRegression())
    search = GridSearchCV(pipeline, {"resampler__sampling_strategy": [0.5, 1.0], "resampler__seed": [1]}, cv=3).fit(
        X, y
    )
    chosen = search.best_estimator_.named_steps["resampler"]
    assert chosen.get_params()["seed"] == 1
    assert repr(resampler).startswith("Resampler(method='oversample', ")
    by_hand = LogisticRegression().fit(*clone(chosen).fit_resample(X, y))
    assert np.array_equal(search.predict_proba(X), by_hand.predict_proba(X))


def test_index_and_names_stay() -> None:
    frame = pd.DataFrame(X, columns=[0, 1, "two"], index=np.arange(len(X)) * 10)
    x, y = da.Resampler("undersample").fit_resample(frame, pd.Series(Y, index=frame.index))
    assert x.columns.tolist() == [0, 1, "two"]
    assert x.equals(frame.loc[x.index])
    assert np.array_equal(y.to_numpy(), Y[x.index // 10])


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X, Y[:-1], ValueError, r"y must have one entry for each of 240 rows of X, got shape \(239,\)"),
        (X, np.stack([Y, Y], 1), ValueError, "Multilabel and multioutput targets are not supported. y has 2 columns"),
        (X[:, 0], Y, ValueError, "X must have two axes"),
        (tuple(X), Y, TypeError, "X must be a NumPy array, .* got tuple"),
        (X, Y + 0.5, ValueError, "Unknown label type: .* numbers that are no integers"),
        (X, Y + 1j, ValueError, "integers or strings, it has type complex128"),
        (X, np.where(Y > 1, None, "a"), ValueError, r"y has \d+ missing values"),
        (pd.DataFrame(X, columns=["1", 1, "c"]), Y, ValueError, "two columns of one name"),
        (X[:0], Y[:0], ValueError, "nothing to learn from"),
        (X, np.zeros(240, int), ValueError, "there is but one"),
    ],
)
def test_bad_tables(x: Any, y: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.Resampler("undersample").fit_resample(x, y)


def test_bad_weights_and_kinds_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="sample_weight must have one entry"):
        da.Resampler("undersample").fit_resample(X, Y, sample_weight=[1.0])
    x, _ = as_kind("dask.dataframe", X, Y, 2)
    with pytest.raises(TypeError, match="y must be a series or array of dask, got ndarray"):
        da.Resampler("undersample").fit_resample(x, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"method": "phi_rotate"}, ValueError, "method must be a sampler"),
        ({"method": "select"}, ValueError, "method must be a sampler"),
        ({"method": "overample"}, ValueError, "no augmenter is named 'overample'"),
        ({"method": "oversample", "k": 3}, TypeError, r"oversample: unknown options \['k'\]; there are"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.Resampler(**arguments)


@pytest.mark.parametrize(
    "about", [{"rows": "test"}, {"after": (da.Define(x0="x0 * 100"),)}], ids=["test rows", "after a step"]
)
def test_questions_that_a_matrix_cannot_answer_are_refused(about: Any) -> None:
    @dataclass(frozen=True, kw_only=True, eq=False)
    class Total(da.Measure[float]):
        def uses(self) -> frozenset[str]:
            return frozenset({"x0"})

        def measure(self, events: Any, draw: Any) -> float:
            return float(np.sum(events.x0))

    @dataclass(frozen=True, kw_only=True, eq=False)
    class Asks(da.Learner):
        keeps_rows = False
        use = "training"

        def uses(self) -> frozenset[str]:
            return frozenset({"x0"})

        def produces(self) -> dict[str, str | None]:
            return {}

        def learning(self) -> Any:
            return da.Learned({"total": np.array([(yield from Total(**about).ask())])})

        def apply(self, events: Any, draw: Any) -> da.Output:
            return da.Output({}, np.arange(len(events)))

    rows = matrix.Matrix.of(X[:6], Y[:6], None)
    with pytest.raises(
        TypeError, match=r"asks about events behind a step, or about test rows: .* use learn and augment"
    ):
        rows.resampled(Asks(), Setting(1, "d", (matrix.ROW,), (), None))
