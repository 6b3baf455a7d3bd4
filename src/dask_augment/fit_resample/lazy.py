"""X and y of dask: pair their rows, and resample partition by partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dask_augment.fit_resample.pairing import WEIGHTS, aligned, starts_of
from dask_augment.fit_resample.reading import distinct, in_order
from dask_augment.fit_resample.tables import names_of, numbers_of
from dask_augment.fit_resample.targets import classes, lazy_column

TARGET, POSITION, WEIGHT = "\0target", "\0position", "\0weight"
"""Columns beside those of X in results: no column of a user's has such a name."""
_CHILDREN = 2**20


@dataclass(frozen=True)
class Codes:
    """Which class each value of y is."""

    values: Any
    """All values that y has, an index of pandas."""
    numbers: NDArray[Any]
    """Their classes, integers or texts."""

    def of(self, target: pd.Series[Any]) -> NDArray[Any]:
        """The classes of these rows."""
        at = self.values.get_indexer(pd.Index(target.to_numpy(dtype=object), dtype=object))
        if np.any(at < 0):
            raise ValueError("y has a class that was not there before: it changes while it is read")
        numbers: NDArray[Any] = self.numbers[at]
        return numbers


@dataclass(frozen=True)
class Lazy:
    """Rows of X of dask with their classes and weights: partitions of all have the same rows."""

    like: Any
    """X as it came."""
    frame: Any
    """X as a frame of dask whose columns have texts as names."""
    target: Any
    """y as a series of dask."""
    target_back: Callable[[Any], Any]
    weight: Any
    lengths: list[int]

    @classmethod
    def of(cls, X: Any, y: Any, sample_weight: Any = None) -> Lazy:  # noqa: N803
        """X, y and weights of dask: the first rows belong together, and so on, whatever their partitions."""
        import dask.dataframe as dd

        if hasattr(X, "columns"):
            frame, names = X, names_of(X.columns)
            if names != list(X.columns):
                frame = X.rename(columns=dict(zip(X.columns, names, strict=True)))
        else:
            names = numbers_of(X)
            frame = dd.from_dask_array(X.rechunk({1: -1}) if X.numblocks[1] > 1 else X, columns=names)
        target, back = lazy_column(y, "y")
        others, given = {"y": target}, {"X": X, "y": y, "sample_weight": sample_weight}
        if sample_weight is not None:
            others[WEIGHTS] = lazy_column(sample_weight, WEIGHTS)[0].astype("float64")
        labelled = {what: hasattr(value, "divisions") for what, value in given.items()}
        frame, series, lengths = aligned(frame, others, labelled)
        return cls(X, frame, series[0], back, series[1] if sample_weight is not None else None, lengths)

    @property
    def names(self) -> list[str]:
        """Names of columns as texts."""
        return list(self.frame.columns)

    @property
    def labels(self) -> Sequence[Any]:
        """Names of columns as X has them."""
        return list(getattr(self.like, "columns", self.names))

    def counted(self) -> tuple[Codes, dict[Any, int]]:
        """The classes that there are, and how many rows each has."""
        found = self.target.value_counts(dropna=False).compute()
        found = found[found > 0]
        codes = classes(pd.Series(found.index).array)
        values = pd.Index(found.index.to_numpy(dtype=object), dtype=object)
        return Codes(values, codes), dict(zip(found.index.tolist(), found.tolist(), strict=True))

    def distinct(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Values of categories that are no integers, in order."""
        import dask

        found: dict[str, list[Any]] = {}
        for name in names:
            of_part = dask.delayed(distinct)
            parts = dask.compute(*[of_part(part[name], name) for part in self.frame[[name]].to_delayed()])
            if (values := [part for part in parts if part is not None]) and isinstance(values[0], set):
                found[name] = in_order(set().union(*values))
        return found

    def mapped(self, function: Callable[..., Any], columns: Sequence[str], meta: Any, *, clear: bool) -> Any:
        """A function of (frame, target, start, weight...) of each partition; ``clear``: its result has another index."""
        import dask.dataframe as dd

        frame = self.frame if list(columns) == self.names else self.frame[list(columns)]
        weight = [] if self.weight is None else [self.weight]
        return dd.map_partitions(
            function, frame, self.target, starts_of(self.lengths), *weight,
            meta=meta, align_dataframes=False, clear_divisions=clear,
        )  # fmt: skip

    def meta(self, index: Any = None) -> Any:
        """The form of a result: the columns of X, and ours."""
        ours = {TARGET: self.target._meta.array, POSITION: np.zeros(0, np.int64), WEIGHT: np.zeros(0)}
        meta = beside(self.frame._meta, ours)
        return meta if index is None else meta.set_axis(index, axis=0)

    def back(self, result: Any) -> tuple[Any, Any]:
        """The columns of X and y of a result, in their forms."""
        rows, target = result[self.names], self.target_back(result[TARGET])
        if hasattr(self.like, "columns"):
            names = dict(zip(self.names, self.labels, strict=True))
            return (rows if self.names == list(self.labels) else rows.rename(columns=names)), target
        return rows.to_dask_array().astype(self.like.dtype), target


def beside(frame: Any, columns: Mapping[str, Any]) -> Any:
    """A frame of pandas with more columns, in their types."""
    return frame.assign(**{name: pd.Series(values, frame.index) for name, values in columns.items()})


def own_index(positions: NDArray[np.int64]) -> pd.Index[Any]:
    """An index without repetitions, of rows that follow those they are made of: 2^20 times the position, and a number."""
    starts = np.flatnonzero(np.diff(positions, prepend=-1))
    nth = np.arange(len(positions)) - np.repeat(starts, np.diff(starts, append=len(positions)))
    if np.any(nth >= _CHILDREN):
        raise ValueError(f"more than {_CHILDREN} rows are made of one; ask for fewer, or give more rows of its class")
    index: pd.Index[Any] = pd.Index(positions * _CHILDREN + nth)
    return index
