"""The classes y, in any form: convert to one column and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANY = "Multilabel and multioutput targets are not supported."


def package_of(value: Any) -> str:
    """The package that the type of a value is of."""
    return type(value).__module__.partition(".")[0]


@dataclass(frozen=True)
class Target:
    """y in memory."""

    values: Any
    """The classes as they are, (n,): an array of NumPy or pandas; of a y one-vs-all, the numbers of the columns."""
    like: Any
    """y as it came."""

    @classmethod
    def of(cls, y: Any, rows: int) -> Target:
        """y of so many rows of X."""
        values = _column(y)
        shape = np.shape(values)
        if shape[:1] != (rows,) or len(shape) > 2 or shape[1:] == (0,):
            raise _not_each("y", rows, shape)
        return cls(values if len(shape) == 1 else _one_vs_all(values), y)

    def back(self, values: Any, index: Any = None) -> Any:
        """These classes in the form that y came in, a series or frame with this index."""
        if package_of(self.like) == "pandas":
            return _pandas_back(self.like, values, index)
        array = np.asarray(self.like)
        if array.ndim == 2:
            width = array.shape[1]
            values = np.reshape(values, (-1, 1)) if width == 1 else np.eye(width)[np.asarray(values)]
        if isinstance(self.like, np.ndarray):
            return np.asarray(values, dtype=array.dtype)
        values = np.asarray(values)
        # Texts and numbers in one list are objects, which are as they were.
        return type(self.like)((values if values.dtype == object else values.astype(array.dtype)).tolist())

    def counts(self) -> dict[Any, int]:
        """How many rows each class has."""
        if isinstance(self.values, np.ndarray) and self.values.dtype != object:
            found, rows = np.unique(self.values, return_counts=True)
            return dict(zip(found.tolist(), rows.tolist(), strict=True))
        import pandas as pd

        counts = pd.Series(self.values).value_counts()
        return {key: int(rows) for key, rows in counts.items() if rows}


def _column(y: Any) -> Any:
    """The values of y (n,), or (n, k) where it has several columns."""
    if package_of(y) == "pandas" and hasattr(y, "columns"):
        return y.iloc[:, 0].array if y.shape[1] == 1 else y.to_numpy()
    if package_of(y) == "pandas":
        return y.array if hasattr(y, "iloc") else y
    if isinstance(y, (list, tuple)):
        array = np.asarray(y)
        y = np.array(y, dtype=object) if array.dtype.kind in "USO" else array
    elif package_of(y) == "dask":
        raise TypeError(f"X is in memory and y is of dask, got {type(y).__name__}: compute it first, y.compute()")
    elif not isinstance(y, np.ndarray):
        raise TypeError(
            f"y must be a list, an array of NumPy, or a series or frame of pandas, got {type(y).__name__}; convert it first"
        )
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _pandas_back(like: Any, values: Any, index: Any) -> Any:
    import pandas as pd

    if isinstance(like, pd.Series):
        return pd.Series(values, index, dtype=like.dtype, name=like.name)
    if isinstance(like, pd.DataFrame):
        columns = [values] if like.shape[1] == 1 else list(np.eye(like.shape[1])[np.asarray(values)].T)
        found = {at: pd.Series(column, index, like.dtypes.iloc[at]) for at, column in enumerate(columns)}
        return pd.DataFrame(found, index).set_axis(like.columns, axis=1)
    array = pd.array(values, dtype=like.dtype)
    return pd.Index(array, name=like.name) if isinstance(like, pd.Index) else array


def _one_vs_all(values: NDArray[Any]) -> NDArray[np.int64]:
    """The column that holds the 1 of each row."""
    if values.dtype.kind not in "biuf" or not np.all((values == 0) | (values == 1)) or np.any(values.sum(axis=1) != 1):
        raise ValueError(
            f"{_MANY} y has {values.shape[1]} columns, which must be one-vs-all: a 1 in the column of the row's class, "
            "and 0 in the others; pass one column of classes"
        )
    columns: NDArray[np.int64] = values.argmax(axis=1)
    return columns


def weight_of(sample_weight: Any, rows: int) -> NDArray[np.float64] | None:
    """The weights in memory of so many rows of X."""
    if sample_weight is None:
        return None
    if package_of(sample_weight) == "dask":
        raise TypeError(
            f"X is in memory and sample_weight is of dask, got {type(sample_weight).__name__}: compute it first, "
            "sample_weight.compute()"
        )
    try:
        values = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError) as error:
        kind = type(sample_weight).__name__
        raise TypeError(
            f"sample_weight must be one number for each of {rows} rows of X, got {kind}: {error}"
        ) from error
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (rows,):
        raise _not_each("sample_weight", rows, values.shape)
    refuse_weights(*wrong_weights(values), rows)
    return values


def wrong_weights(values: NDArray[np.float64]) -> tuple[int, int]:
    """How many are NaN or infinite, and how many are below 0."""
    return int(np.count_nonzero(~np.isfinite(values))), int(np.count_nonzero(values < 0))


def refuse_weights(broken: int, negative: int, rows: int) -> None:
    """Raise where weights of so many rows are not what weights for training can be."""
    for what, wrong in {"NaN or infinite": broken, "below 0": negative}.items():
        if wrong:
            raise ValueError(
                f"sample_weight is {what} in {wrong} of {rows} rows; weights for training are numbers, 0 or more: "
                "repair them, or leave those rows out"
            )


def _not_each(what: str, rows: int, shape: tuple[int, ...]) -> ValueError:
    return ValueError(f"{what} must have one entry for each of {rows} rows of X, got shape {shape}")


def classes(y: Any) -> NDArray[Any]:
    """The classes that y (n,) says, as integers or strings; ValueError where it holds no classes."""
    values = _plain(y)
    if values.dtype.kind in "OUST":
        texts = np.array([str(value) for value in values], dtype=object)
        if values.dtype == object and len(set(texts.tolist())) < len(set(values.tolist())):
            raise ValueError(
                f"y has classes that read alike, {sorted(set(texts.tolist()))[:8]} as texts, such as 1 and '1'; name them apart"
            )
        return texts
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    if values.dtype.kind == "f":
        if missing := int(np.isnan(values).sum()):
            raise _missing(missing)
        if not np.all(np.isfinite(values)) or np.any(values != np.rint(values)):
            raise ValueError(
                "Unknown label type: continuous. y must hold classes, and it has numbers that are no integers; put "
                "those into bins first"
            )
        return values.astype(np.int64)
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    raise ValueError(
        f"Unknown label type: {values.dtype}. y must hold classes, integers or strings, it has type {values.dtype}"
    )


def _plain(y: Any) -> NDArray[Any]:
    """y as NumPy has it; ValueError where some are missing."""
    if isinstance(y, np.ndarray) and y.dtype != object:
        return y
    import pandas as pd

    series = pd.Series(y)
    if missing := int(series.isna().sum()):
        raise _missing(missing)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = pd.Series(series.to_numpy())
    if series.dtype == object:
        series = series.infer_objects()
    for is_kind, kind in (
        (pd.api.types.is_bool_dtype, np.bool_),
        (pd.api.types.is_unsigned_integer_dtype, np.uint64),
        (pd.api.types.is_integer_dtype, np.int64),
        (pd.api.types.is_float_dtype, np.float64),
    ):
        if is_kind(series.dtype):
            return series.to_numpy(dtype=kind)
    texts = isinstance(series.dtype, pd.StringDtype) or pd.api.types.is_string_dtype(series.dtype)
    return series.to_numpy(dtype=object) if texts else series.to_numpy()


def _missing(rows: int) -> ValueError:
    return ValueError(f"y has {rows} missing values; leave those rows out")


# dask ----------------------------------------------------------------------------------------------------------------


def lazy_column(values: Any, what: str) -> tuple[Any, Callable[[Any], Any]]:
    """y or weights of dask as a series of dask, and what brings such a series into the form that they came in."""
    import dask.dataframe as dd

    if package_of(values) == "dask" and hasattr(values, "columns") and values.ndim == 2:
        if len(values.columns) != 1:
            raise ValueError(f"{_MANY} {what} must have one column, it has {len(values.columns)}")
        name = values.columns[0]
        return values[name], lambda series: series.rename(name).to_frame()
    if package_of(values) == "dask" and hasattr(values, "divisions"):
        return values, lambda series: series.rename(values.name)
    if package_of(values) != "dask" or not hasattr(values, "chunks"):
        raise TypeError(f"with X of dask, {what} must be a series or array of dask, got {type(values).__name__}")
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise ValueError(f"{_MANY} {what} must have one column, it has shape {values.shape}")
    flat = values if values.ndim == 1 else values[:, 0]

    def array(series: Any) -> Any:
        found = series.to_dask_array().astype(values.dtype)
        return found if values.ndim == 1 else found[:, None]

    return dd.from_dask_array(flat), array
