"""Convert columns of X for the steps, and their results back to the types of X."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dask_augment.events.own_columns import KIND, KINDS
from dask_augment.fit_resample.features import nothing_between


@dataclass(frozen=True)
class Read:
    """Which columns of X a sampler reads, and how."""

    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Of categories that are no integers, the values that codes stand for, in order."""

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys([*self.features, *self.categorical, *self.others]))

    def of_all(self, X: pd.DataFrame) -> Read:  # noqa: N803
        """The same, with the values that categories have in these rows."""
        found = {name: distinct(X[name], name) for name in self.categorical}
        return replace(self, values={name: in_order(values) for name, values in found.items() if values is not None})

    def frame(self, X: pd.DataFrame, beside: Mapping[str, Any]) -> pd.DataFrame:  # noqa: N803
        """What steps get of these rows: the columns that are read, and what stands beside them."""
        columns = {name: _others(X[name]) for name in self.others}
        columns |= {name: _codes(X[name], name, self.values.get(name)) for name in self.categorical}
        columns |= {name: measured(X[name], name) for name in self.features}
        return pd.DataFrame(
            {name: pd.Series(values, X.index) for name, values in {**columns, **beside}.items()}, X.index
        )

    def taken(self, X: pd.DataFrame, rows: NDArray[np.int64], result: pd.DataFrame) -> pd.DataFrame:  # noqa: N803
        """These rows of X, with what the steps made of features and categories in made rows."""
        taken = X.take(rows)
        if KIND not in result:
            return taken
        made = np.flatnonzero(result[KIND].to_numpy() == KINDS["interpolated"])
        if len(made):
            for name in (*self.features, *self.categorical):
                values = result[name].to_numpy()[made]
                if name in self.values:
                    values = np.array(self.values[name], dtype=object)[values]
                taken[name] = _replaced(taken[name], made, values)
        return taken


def _replaced(column: Any, rows: NDArray[np.int64], values: NDArray[Any]) -> Any:
    """The column with these values in these rows, in its type."""
    dtype = column.dtype
    array = _dense(column).array.copy()  # a sparse one cannot be written to
    array[rows] = values if array.dtype == object else pd.array(values, dtype=array.dtype)
    return pd.Series(array, column.index, dtype=array.dtype).astype(dtype)


def _dense(column: Any) -> Any:
    return column.sparse.to_dense() if isinstance(column.dtype, pd.SparseDtype) else column


def measured(column: Any, name: str) -> Any:
    """A feature as float32 or float64; TypeError for what nothing lies between."""
    column = _dense(column)
    dtype = column.dtype
    numbers = getattr(dtype, "numpy_dtype", dtype)
    if dtype == object:
        if pd.api.types.infer_dtype(column, skipna=True) in ("floating", "integer", "mixed-integer-float"):
            return column.to_numpy(dtype=np.float64)
    elif isinstance(numbers, np.dtype) and numbers.kind == "f" and numbers.itemsize <= 8:
        kind = np.float64 if numbers.itemsize == 8 else np.float32
        missing = {} if isinstance(dtype, np.dtype) else {"na_value": np.nan}
        return column.to_numpy(dtype=kind, **missing)
    raise nothing_between(name, dtype)


def distinct(column: Any, name: str) -> set[Any] | None:
    """The values of categories; None of integers, which stand for themselves. ValueError where some are missing."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub":
        return None
    if missing := int(column.isna().sum()):
        raise ValueError(
            f"categorical column {name!r} has {missing} missing values; fill them with a value of its own first"
        )
    return set(column.unique().tolist())


def in_order(values: Iterable[Any]) -> list[Any]:
    """Values of categories in an order that does not depend on the rows."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda value: (type(value).__name__, str(value)))


def _codes(column: Any, name: str, values: Sequence[Any] | None) -> Any:
    if values is None:
        return column.to_numpy()
    codes = pd.Index(list(values), dtype=object).get_indexer(pd.Index(_dense(column), dtype=object))
    if np.any(codes < 0):
        raise ValueError(
            f"categorical column {name!r} has values that were not there before: it changes while it is read"
        )
    return codes.astype(np.int64)


def _others(column: Any) -> Any:
    """A stratum or an id; of objects alone, a partition without rows would not say that they are texts."""
    column = _dense(column)
    if column.dtype == object and not len(column):
        import pyarrow as pa

        return pd.Series([], dtype=pd.ArrowDtype(pa.string())).array
    return column.array
