"""Rows of X, y and weights that belong together: by position, whatever partitions and indices are, or not at all."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import dask
import dask.array
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler

import dask_augment as da

ROWS = 60
NUMBER = np.arange(ROWS)
CLASSES = (NUMBER % 6 == 0).astype(int)
FRAME = pd.DataFrame({"a": NUMBER * 1.0, "b": NUMBER + 0.5})
LABEL = pd.Series(CLASSES, name="label")


def parts(data: Any, number: int) -> Any:
    return dd.from_pandas(data, npartitions=number)


def restarting(data: Any, number: int) -> Any:
    """The index begins at 0 in each partition."""
    return parts(data, number).map_partitions(lambda part: part.reset_index(drop=True))


def of_lengths(data: Any, lengths: list[int]) -> Any:
    ends = np.cumsum([0, *lengths])
    pieces = [data.iloc[start:end] for start, end in pairwise(ends)]
    return dd.from_map(lambda piece: piece, pieces, meta=data.iloc[:0])


PAIRS: dict[str, Any] = {
    "chunks of unknown length": lambda: (parts(FRAME, 4).values, parts(LABEL, 4).values),
    "unknown chunks that differ": lambda: (parts(FRAME, 4).values, parts(LABEL, 7).values),
    "unknown and known chunks": lambda: (parts(FRAME, 4).values, dask.array.from_array(CLASSES, chunks=13)),
    "partitions that differ": lambda: (parts(FRAME, 4), parts(LABEL, 7)),
    "an index that restarts": lambda: (restarting(FRAME, 4), restarting(LABEL, 4)),
    "restarting elsewhere": lambda: (restarting(FRAME, 4), restarting(LABEL, 7)),
    "empty partitions": lambda: (of_lengths(FRAME, [0, 10, 0, 50, 0]), of_lengths(LABEL, [30, 0, 30])),
    "frame and array": lambda: (parts(FRAME, 4), parts(LABEL, 3).values),
    "array and series": lambda: (parts(FRAME, 4).values, parts(LABEL, 3)),
    "a column": lambda: (parts(FRAME, 4), parts(LABEL.to_frame(), 3)),
    "a column of an array": lambda: (parts(FRAME, 4).values, parts(LABEL, 3).values[:, None]),
    "other labels": lambda: (parts(FRAME, 3), parts(LABEL.set_axis(NUMBER + 100), 2)),
    "pandas with other labels": lambda: (FRAME.sample(frac=1, random_state=1).sort_values("a"), LABEL.set_axis(NUMBER * 2)),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("method", ["oversample", "undersample", "per_stratum"])
def test_each_row_keeps_its_class(pair: str, method: str) -> None:
    X, y = PAIRS[pair]()
    sampler = da.PerStratum(RandomOverSampler(random_state=0), ()) if method == "per_stratum" else da.Resampler(method)
    more, found = sampler.fit_resample(X, y)
    assert isinstance(found, type(y))
    (more,) = dask.compute(more)
    (found,) = dask.compute(found)
    assert np.ndim(found) == y.ndim
    assert np.array_equal(CLASSES[np.asarray(more)[:, 0].astype(int)], np.asarray(found).ravel())
    assert np.bincount(np.asarray(found).ravel()).tolist() == ([10, 10] if method == "undersample" else [50, 50])
    if hasattr(more, "index") and method != "undersample":
        assert more.index.is_unique
    if hasattr(more, "index") and hasattr(found, "index"):
        assert more.index.equals(found.index)


@pytest.mark.parametrize("kind", ["frame", "array"])
def test_weights_are_paired_too(kind: str) -> None:
    X, y = (parts(FRAME, 4), parts(LABEL, 4)) if kind == "frame" else PAIRS["unknown chunks that differ"]()
    weight = parts(pd.Series(NUMBER + 1.0), 5)
    resampler = da.Resampler("oversample")
    resampler.fit_resample(X, y, sample_weight=weight if kind == "frame" else weight.values)
    (weights,) = dask.compute(resampler.sample_weight_)
    (rows,) = dask.compute(resampler.sample_indices_)
    assert np.array_equal(np.bincount(rows, weights), NUMBER + 1.0)


SHUFFLED = LABEL.sample(frac=1, random_state=0)
REFUSED: dict[str, Any] = {
    "pandas": (lambda: (FRAME, SHUFFLED, None), "the index of y has the labels of X's index in another order"),
    "pandas weights": (lambda: (FRAME, CLASSES, SHUFFLED * 1.0), "the index of sample_weight has the labels"),
    "dask": (lambda: (parts(FRAME, 4), dd.from_pandas(SHUFFLED, npartitions=3, sort=False), None), "index of y has the"),
    "too few": (lambda: (parts(FRAME, 4), parts(LABEL[:-1], 4), None), "y must have one entry for each of 60 rows of X, got 59"),
    "few weights": (lambda: (parts(FRAME, 4), parts(LABEL, 4), dask.array.ones(61, chunks=9)), "sample_weight must .* got 61"),
    "y in memory": (lambda: (parts(FRAME, 4), LABEL, None), "with X of dask, y must be a series or array of dask, got Series"),
    "y of dask": (lambda: (FRAME, parts(LABEL, 2), None), r"X is in memory and y is of dask, got Series: .* y.compute\(\)"),
    "weights of dask": (lambda: (FRAME, LABEL, parts(FRAME, 2)["a"]), r"sample_weight.compute\(\)"),
    "weights in memory": (lambda: (parts(FRAME, 4), parts(LABEL, 2), NUMBER), "with X of dask, sample_weight must be"),
    "several columns": (lambda: (parts(FRAME, 4), parts(FRAME, 4), None), "y must have one column, it has 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_belong_together_is_refused(case: str) -> None:
    given, words = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=words):
        da.Resampler("undersample").fit_resample(*given())


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-1.0, "below 0")]
)
def test_weights_of_dask_that_are_none_are_told_by_their_name(value: float, what: str) -> None:
    weight = pd.Series(np.where(np.arange(60) % 25 == 7, value, 1.0))
    with pytest.raises(ValueError, match=f"sample_weight is {what} in 3 of 60 rows; .* leave those rows out"):
        da.Resampler("undersample").fit_resample(parts(FRAME, 4), parts(LABEL, 3), parts(weight, 5))
