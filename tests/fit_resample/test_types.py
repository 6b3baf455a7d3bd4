"""X and y come back in the forms and types that they came in."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from imblearn.over_sampling import RandomOverSampler

import dask_augment as da

RNG = np.random.default_rng(0)
ROWS = 60
Y = np.array([0] * 50 + [1] * 10)
TEXTS = np.where(Y == 1, "top", "qcd")
CODES = np.arange(ROWS) % 3
NUMBERS = RNG.normal(size=(ROWS, 3))
FRAME = pd.DataFrame(NUMBERS[:, :2], columns=["a", "b"])
FLOATS: dict[str, Any] = {
    "float16": pd.Series(NUMBERS[:, 2], dtype="float16"),
    "float32": pd.Series(NUMBERS[:, 2], dtype="float32"),
    "Float64": pd.Series(NUMBERS[:, 2]).astype("Float64"),
    "Float32": pd.Series(NUMBERS[:, 2]).astype("Float32"),
    "arrow": pd.Series(NUMBERS[:, 2]).astype(pd.ArrowDtype(pa.float32())),
    "sparse": pd.Series(np.where(CODES == 0, 0, NUMBERS[:, 2])).astype(pd.SparseDtype("float64", 0.0)),
}
LETTERS = np.array(["barrel", "endcap", "forward"])[CODES]
CATEGORIES: dict[str, Any] = {
    "category": pd.Series(pd.Categorical(LETTERS, ["forward", "endcap", "barrel"], ordered=True)),
    "category of years": pd.Series(pd.Categorical(CODES + 2016)),
    "str": pd.Series(LETTERS),
    "object": pd.Series(LETTERS.astype(object), dtype=object),
    "arrow text": pd.Series(LETTERS).astype(pd.ArrowDtype(pa.string())),
    "Int64": pd.Series(CODES).astype("Int64"),
    "boolean": pd.Series(CODES == 1).astype("boolean"),
    "bool": pd.Series(CODES == 1),
    "uint8": pd.Series(CODES, dtype="uint8"),
    "float codes": pd.Series(CODES / 2),
    "Float64 codes": pd.Series(CODES * 1.0).astype("Float64"),
    "dates": pd.Series(pd.Timestamp("2016-05-01") + pd.to_timedelta(CODES, unit="D")),
}


def resampled(sampler: Any, X: pd.DataFrame, lazy: bool) -> tuple[pd.DataFrame, pd.Series[Any], Any]:
    """The result, and the types that it must have."""
    label = pd.Series(TEXTS, name="label")
    if not lazy:
        return *sampler.fit_resample(X, label), X.dtypes
    both = dd.from_pandas(X.assign(label=label), npartitions=3)
    x, y = sampler.fit_resample(both[list(X)], both["label"])
    assert x.dtypes.equals(both[list(X)].dtypes)
    return *dask.compute(x, y), both[list(X)].dtypes


@pytest.mark.parametrize("lazy", [False, True], ids=["pandas", "dask"])
@pytest.mark.parametrize("kind", FLOATS)
def test_numbers(kind: str, lazy: bool) -> None:
    X = FRAME.assign(c=FLOATS[kind])
    x, y, types = resampled(da.Resampler("smote", seed=1), X, lazy)
    assert x.dtypes.equals(types)
    assert len(x) == len(y) == 100
    made = x.iloc[np.flatnonzero(~x["a"].isin(X["a"]).to_numpy())]
    assert len(made) == 40
    top = X["c"][Y == 1].astype(float)
    assert made["c"].astype(float).between(top.min(), top.max()).all()
    assert kind == "sparse" or made["c"].nunique() > 20


@pytest.mark.parametrize("lazy", [False, True], ids=["pandas", "dask"])
@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories(kind: str, lazy: bool) -> None:
    X = FRAME.assign(c=CATEGORIES[kind])
    x, _, types = resampled(da.Resampler("smotenc", categorical=["c"], seed=1), X, lazy)
    assert x.dtypes.equals(types)
    assert len(x) == 100
    assert set(x["c"].astype(object)) == set(X["c"].astype(object))
    assert x["c"][x["a"].isin(X["a"])].astype(object).tolist() == X["c"].astype(object).tolist()


@pytest.mark.parametrize("kind", CATEGORIES)
def test_columns_that_are_no_features_and_strata(kind: str) -> None:
    X = FRAME.assign(c=CATEGORIES[kind])
    resampler = da.Resampler("smote", features=["a", "b"])
    x, _ = resampler.fit_resample(X, Y)
    assert x["c"].equals(X["c"].take(resampler.sample_indices_).reset_index(drop=True))
    strata = () if kind in ("float codes", "Float64 codes", "dates") else ["c"]
    x, _ = da.PerStratum(RandomOverSampler(random_state=0), strata).fit_resample(X, Y)
    assert x.dtypes.equals(X.dtypes)


def test_categories_by_name_position_mask_and_type() -> None:
    frame = FRAME.assign(c=LETTERS, d=pd.Categorical(CODES % 2))
    both = [["c", "d"], [2, 3], [-2, -1], [False, False, True, True], np.array([False, False, True, True])]
    results = [da.Resampler("smotenc", categorical=given).fit_resample(frame, Y)[0] for given in both]
    assert all(result.equals(results[0]) for result in results)
    alone = frame.drop(columns="c")
    auto, _ = da.Resampler("smotenc", categorical="auto").fit_resample(alone, Y)
    assert auto.equals(da.Resampler("smotenc", categorical="d").fit_resample(alone, Y)[0])


def test_matrices_of_objects_codes_and_lists() -> None:
    matrix = np.empty((ROWS, 3), object)
    matrix[:, :2], matrix[:, 2] = NUMBERS[:, :2], LETTERS
    x, _ = da.Resampler("smotenc", categorical=[2]).fit_resample(matrix, Y)
    assert (x.dtype, x.shape) == (np.dtype(object), (100, 3))
    rows, labels = da.Resampler("smotenc", categorical=[2]).fit_resample(matrix.tolist(), Y.tolist())
    assert rows == x.tolist()
    assert isinstance(labels, list)
    codes = np.c_[NUMBERS[:, :2], CODES]
    x, _ = da.Resampler("smotenc", categorical=["x2"]).fit_resample(codes, Y)
    assert x.dtype == np.float64
    assert set(x[:, 2]) == {0.0, 1.0, 2.0}
    for kind in ("float16", ">f8"):
        x, _ = da.Resampler("smote").fit_resample(NUMBERS.astype(kind), Y)
        assert x.dtype == np.dtype(kind)
    assert np.array_equal(x, da.Resampler("smote").fit_resample(NUMBERS, Y)[0]), "the order of bytes is no matter"
    frame, _ = da.Resampler("smote").fit_resample(pd.DataFrame(NUMBERS.astype(">f8")), Y)
    assert np.array_equal(frame.to_numpy(), x)


FORMS: dict[str, Any] = {
    "list": Y.tolist(), "tuple": tuple(Y.tolist()), "texts": TEXTS.tolist(), "column": Y[:, None], "series": pd.Series(TEXTS, name="label"),
    "frame": pd.DataFrame({"label": TEXTS}), "Int64": pd.Series(Y).astype("Int64"), "boolean": pd.Series(Y == 1).astype("boolean"),
    "category": pd.Series(pd.Categorical(TEXTS, ["top", "qcd", "w"])), "categorical": pd.Categorical(TEXTS), "index": pd.Index(Y, name="n"),
    "one-vs-all": np.stack([Y == 0, Y == 1], 1).astype(np.int8), "frame one-vs-all": pd.DataFrame({"qcd": Y == 0, "top": Y == 1}),
    "list one-vs-all": np.stack([Y == 0, Y == 1], 1).astype(int).tolist(), "mixed": [1 if value else "qcd" for value in Y], "bytes": TEXTS.astype("S"),
    "half": Y.astype(np.float16), "objects": (Y == 1).astype(object),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_classes(form: str) -> None:
    y = FORMS[form]
    resampler = da.Resampler("oversample")
    for X in (NUMBERS, FRAME.set_axis(np.arange(ROWS) + 100)):
        x, found = resampler.fit_resample(X, y)
        rows = resampler.sample_indices_
        assert type(found) is type(y)
        assert getattr(found, "dtype", None) == getattr(y, "dtype", None)
        if isinstance(y, (list, tuple)):
            assert found == type(y)(y[row] for row in rows)
            continue
        expected = y.take(rows) if not hasattr(y, "iloc") else y.iloc[rows].reset_index(drop=True)
        if isinstance(y, np.ndarray):
            assert np.array_equal(found, y[rows])
        else:
            assert found.equals(expected)
        if hasattr(x, "index") and hasattr(found, "iloc"):
            assert x.index.equals(found.index)


def test_index_has_no_label_twice_where_rows_are_made() -> None:
    frame, y = FRAME.set_axis(np.arange(ROWS) * 10), pd.Series(Y, np.arange(ROWS) * 10, name="label")
    for method in ("oversample", "smote", "smote_tomek"):
        more, classes = da.Resampler(method).fit_resample(frame, y)
        assert more.index.equals(pd.RangeIndex(len(more)))
        assert len(more.join(classes)) == len(more)
    few, classes = da.Resampler("undersample").fit_resample(frame, y)
    assert few.equals(frame.loc[few.index])
    assert classes.equals(y.loc[few.index])


OURS = FRAME.assign(
    weight=NUMBERS[:, 2], train_weight=NUMBERS[:, 0], split=CODES, augment_kind=np.arange(ROWS) + 0.5, augment_copy=np.arange(ROWS),
    augment_changed=TEXTS, augment_share=NUMBERS[:, 1], row=np.arange(ROWS), target=TEXTS, stratum=np.arange(ROWS), dataset=LETTERS,
).assign(**{"class": np.arange(ROWS)})  # fmt: skip


@pytest.mark.parametrize("method", ["oversample", "undersample", "smote", "smote_enn", "edited_nearest_neighbours"])
def test_columns_named_as_ours_are_those_of_the_rows_taken(method: str) -> None:
    features = {} if method in ("oversample", "undersample") else {"features": ["a", "b"]}
    resampler = da.Resampler(method, train_weight="unit", **features)
    repeats = method not in ("undersample", "edited_nearest_neighbours")
    with pytest.warns(UserWarning, match="source's values in") if repeats else nullcontext():
        x, _ = resampler.fit_resample(OURS, Y)
    others = OURS.columns.drop(["a", "b"])
    taken = OURS.take(resampler.sample_indices_).reset_index(drop=True)
    assert x[others].reset_index(drop=True).equals(taken[others])


def test_columns_named_as_ours_are_no_features_unless_named() -> None:
    frame = OURS[["a", "b", "weight", "train_weight"]]
    with pytest.warns(UserWarning, match=r"source's values in \['weight'\]"):
        assert da.Resampler("smote").fit(frame, Y).step_.features == ("a", "b")
    assert da.Resampler("smote", features=["a", "weight"]).fit(frame, Y).step_.features == ("a", "weight")
    x, _ = da.Resampler(
        "undersample", strata=["dataset"], sampling_strategy={"dataset=barrel|class=0": 5}
    ).fit_resample(OURS, Y)
    assert np.sum(x["dataset"] == "barrel") == 5 + np.sum((LETTERS == "barrel") & (Y == 1))

    named = frame.assign(mcWeight=CODES)
    with pytest.warns(UserWarning, match=r"source's values in \['weight'\]"):
        x, _ = da.Resampler("oversample", strata=["mcWeight"]).fit_resample(named, Y)
    assert x.groupby("mcWeight").size().tolist() == [2 * np.bincount(CODES[Y == 0]).max()] * 3


MATRIX = np.c_[NUMBERS[:, :2], CODES]


@pytest.mark.parametrize(
    ("options", "x", "y", "words"),
    [
        ({"categorical": ["q"]}, FRAME, Y, "X has no column 'q'; it has"),
        ({"categorical": "auto"}, FRAME, Y, "columns of type category, and X has none"),
        ({"categorical": [True]}, FRAME, Y, "as a mask must have one entry for each of 2 columns, got 1"),
        ({"categorical": [5]}, FRAME, Y, "has the position 5, and X has 2 columns"),
        ({"categorical": [1.5]}, FRAME, Y, "names, positions, a mask of all columns"),
        ({"categorical": [2]}, pd.DataFrame(MATRIX, columns=[2, 1, 0]), Y, "name of one column and the position of another"),
        ({"categorical": ["a", "b"]}, FRAME, Y, "there is no feature among the columns"),
        ({"categorical": ["c"]}, FRAME.assign(c=pd.Series(LETTERS).where(CODES > 0)), Y, "'c' has 20 missing values"),
        ({"categorical": ["a"]}, FRAME.assign(c=LETTERS), Y, "feature 'c' has type str"),
        ({"categorical": ["a"], "strata": ["class"]}, OURS, Y, "X's column 'class' cannot be a feature, category"),
        ({"categorical": ["a"], "strata": ["regoin"]}, OURS, Y, "X has no column 'regoin'"),
        ({"categorical": [2]}, np.ma.masked_array(MATRIX), Y, "masked array"),
        ({"categorical": [0]}, [[1.0, 2.0], [3.0]] * 30, Y, "rows have different lengths"),
        ({"categorical": [0]}, NUMBERS, np.where(Y > 0, np.nan, Y), "y has 10 missing values"),
        ({"categorical": [0]}, NUMBERS, np.array(["1", *Y[1:]], dtype=object), "y has classes that read alike"),
        ({"categorical": [0]}, NUMBERS, "label", "y must be a list, an array of NumPy, or a series"),
    ],
)  # fmt: skip
def test_refused(options: dict[str, Any], x: Any, y: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        da.Resampler("smotenc", **options).fit_resample(x, y)


def test_features_must_have_something_between_them() -> None:
    for kind in (np.int64, np.bool_, np.longdouble, np.complex128):
        with pytest.raises(TypeError, match=r"feature 'x0' has type .* made rows lie between two values"):
            da.Resampler("smote").fit_resample(NUMBERS.astype(kind), Y)
    with pytest.raises(TypeError, match="sample_weight must be one number for each of 60 rows"):
        da.Resampler("smote").fit_resample(NUMBERS, Y, sample_weight="w")
    with pytest.raises(ValueError, match="fit_resample has no option 'carry'"):
        da.Resampler("smote", carry="parent")


@pytest.mark.parametrize("lazy", [False, True])
def test_weights_that_made_rows_repeat_are_told(lazy: bool) -> None:
    frame = FRAME.assign(weight=np.arange(60) - 20.5, gen_weight=2, genWeight=1.5, weight_note="text")
    given: tuple[Any, Any] = (frame, pd.Series(Y))
    if lazy:
        given = (dd.from_pandas(frame, npartitions=3), dd.from_pandas(given[1], npartitions=2))
    resampler = da.Resampler("oversample")
    with pytest.warns(UserWarning, match=r"source's values in \['weight', 'genWeight'\], .* for yields use augment"):
        made, _ = dask.compute(*resampler.fit_resample(*given))
    (at,) = dask.compute(resampler.sample_indices_)  # an array beside tables cannot be asked of the newest Dask
    again = pd.Series(at).duplicated().to_numpy()
    assert made.loc[~again, "weight"].sum() == frame["weight"].sum()
    assert np.array_equal(made["weight"], frame["weight"].to_numpy()[at])
    da.Resampler("undersample").fit_resample(*given)


def test_classes_with_nul_are_named() -> None:
    y = np.array(["a", "a\0"], dtype=object)[Y]
    more = int(np.sum(Y)) + 5
    _, found = da.Resampler("oversample", sampling_strategy={"a\0": more}).fit_resample(NUMBERS, y)
    assert found.tolist().count("a\0") == more  # NumPy compares without NUL at the end
