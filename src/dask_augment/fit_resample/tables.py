"""X and y as one frame of pandas or dask, and back into what they were."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.sampling.census import TRAIN_WEIGHT
from dask_augment.strata import Strata

CLASS, TARGET, ROW = "class", "target", "row"
"""Columns beside those of X: y as integers or strings, y as it is, and the position of a row."""
_STRATUM = "stratum"
_OURS = (CLASS, TARGET, ROW, _STRATUM, TRAIN_WEIGHT)


def table_of(X: Any) -> Table:  # noqa: N803
    """What handles X, by its type."""
    if isinstance(X, np.ndarray):
        return Arrays()
    package = type(X).__module__.partition(".")[0]
    if package == "pandas" and hasattr(X, "columns"):
        return Frames()
    if package == "dask" and hasattr(X, "columns"):
        return DaskFrames()
    if package == "dask" and hasattr(X, "chunks"):
        return DaskArrays()
    raise TypeError(
        f"X must be a NumPy array, or a frame or array of pandas or dask, got {type(X).__name__}; convert it first"
    )


class Table(ABC):
    """X and y of one kind."""

    @abstractmethod
    def frame(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, list[str]]:  # noqa: N803
        """One frame with the columns of X and ours, and the names of those of X."""

    @abstractmethod
    def numbered(self, frame: Any) -> Any:
        """The frame with the position of each row."""

    @abstractmethod
    def by_stratum(self, frame: Any, strata: Strata, function: Callable[[Any], Any]) -> Any:
        """A function of pandas frames that hold each stratum whole or not at all, taken of all."""

    @abstractmethod
    def column(self, frame: Any, name: str, like: Any = None) -> Any:
        """One column, of the kind that ``like`` is; an array by default."""

    @abstractmethod
    def back(self, frame: Any, columns: Sequence[str], X: Any) -> Any:  # noqa: N803
        """These columns, of the kind that X is."""


class Frames(Table):
    """pandas; y is a series, an array or a list."""

    def frame(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, list[str]]:  # noqa: N803
        """Columns of X by names as text; the index stays."""
        import pandas as pd

        columns = _names(X.columns)
        target = np.asarray(y) if isinstance(y, (list, tuple)) else y
        check_lengths(len(X), target, sample_weight)
        # A type of its own, or pandas would take objects for strings.
        kind = object if target.dtype.kind == "U" else target.dtype
        ours = {TARGET: pd.Series(getattr(target, "array", target), X.index, kind), CLASS: classes(target)}
        if sample_weight is not None:
            ours[TRAIN_WEIGHT] = np.asarray(sample_weight, dtype=np.float64)
        return X.set_axis(columns, axis=1).assign(**ours), columns

    def numbered(self, frame: Any) -> Any:
        """Numbers from 0 on."""
        return frame.assign(**{ROW: np.arange(len(frame))})

    def by_stratum(self, frame: Any, strata: Strata, function: Callable[[Any], Any]) -> Any:  # noqa: ARG002
        """All rows are here."""
        return function(frame)

    def column(self, frame: Any, name: str, like: Any = None) -> Any:
        """A series for a series."""
        if hasattr(like, "index") and hasattr(like, "name"):
            return frame[name].rename(like.name)
        return np.asarray(frame[name].to_numpy(), dtype=getattr(like, "dtype", None))

    def back(self, frame: Any, columns: Sequence[str], X: Any) -> Any:  # noqa: N803
        """A frame with the names that X has."""
        return frame[columns].set_axis(X.columns, axis=1)


class Arrays(Frames):
    """NumPy; columns are named x0, x1, ..."""

    def frame(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, list[str]]:  # noqa: N803
        """Columns of a matrix."""
        import pandas as pd

        if X.ndim != 2:
            raise ValueError(f"X must have two axes, rows and features, got shape {X.shape}")
        return super().frame(pd.DataFrame(X, columns=_numbers(X.shape[1])), y, sample_weight)

    def back(self, frame: Any, columns: Sequence[str], X: Any) -> NDArray[Any]:  # noqa: N803
        """A matrix of X's type."""
        return np.asarray(frame[columns].to_numpy(), dtype=X.dtype)


class DaskFrames(Table):
    """dask.dataframe; y is a series of the same partitions, or an array of such chunks."""

    def frame(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, list[str]]:  # noqa: N803
        """Lazy, as X is."""
        columns = _names(X.columns)
        frame = X.rename(columns=dict(zip(X.columns, columns, strict=True)))
        frame = frame.assign(**{TARGET: _series(y, X)})
        coded = frame[TARGET].map_partitions(_coded, meta=_coded(frame[TARGET]._meta))
        frame = frame.assign(**{CLASS: coded})
        if sample_weight is not None:
            frame = frame.assign(**{TRAIN_WEIGHT: _series(sample_weight, X).astype("float64")})
        return frame, columns

    def numbered(self, frame: Any) -> Any:
        """Numbers from 0 on: the lengths of all partitions are computed."""
        import dask.dataframe as dd

        lengths = frame.map_partitions(_length, meta=_length(frame._meta)).compute()
        # One start in each of as many partitions: dask joins them partition by partition.
        starts = dd.from_map(_start, np.cumsum([0, *lengths])[:-1].tolist(), meta=_start(0))
        return frame.map_partitions(_numbered, starts, align_dataframes=False, meta=_numbered(frame._meta, _start(0)))

    def by_stratum(self, frame: Any, strata: Strata, function: Callable[[Any], Any]) -> Any:
        """One shuffle brings each stratum together."""
        marked = frame.map_partitions(_marked, strata, meta=_marked(frame._meta, strata))
        together = marked.shuffle(on=_STRATUM).drop(columns=[_STRATUM])
        return together.map_partitions(function, meta=frame._meta.drop(columns=[ROW]))

    def column(self, frame: Any, name: str, like: Any = None) -> Any:
        """A series for a series, lazy."""
        return frame[name].rename(like.name) if hasattr(like, "divisions") else frame[name].to_dask_array()

    def back(self, frame: Any, columns: Sequence[str], X: Any) -> Any:  # noqa: N803
        """A frame with the names that X has, lazy."""
        return frame[list(columns)].rename(columns=dict(zip(columns, X.columns, strict=True)))


class DaskArrays(DaskFrames):
    """dask.array; columns are named x0, x1, ..., and what comes out has chunks of unknown length."""

    def frame(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, list[str]]:  # noqa: N803
        """Columns of a matrix, lazy."""
        import dask.dataframe as dd

        if X.ndim != 2:
            raise ValueError(f"X must have two axes, rows and features, got shape {X.shape}")
        frame = dd.from_dask_array(X.rechunk({1: -1}), columns=_numbers(X.shape[1]))
        return super().frame(frame, y, sample_weight)

    def back(self, frame: Any, columns: Sequence[str], X: Any) -> Any:  # noqa: N803
        """A matrix of X's type, lazy."""
        return frame[list(columns)].to_dask_array().astype(X.dtype)


def check_lengths(rows: int, y: Any, sample_weight: Any) -> None:
    """Raise where y or the weights have not one entry for each row."""
    for what, values in {"y": y, "sample_weight": sample_weight}.items():
        if values is not None and (np.ndim(values) != 1 or len(values) != rows):
            raise ValueError(f"{what} must have one entry for each of {rows} rows of X, got shape {np.shape(values)}")


def classes(y: Any) -> NDArray[Any]:
    """The classes that y says, as integers or strings; TypeError where it holds no classes."""
    values = np.asarray(y)
    if values.dtype == object or values.dtype.kind in "UST":
        import pandas as pd

        if missing := int(np.sum(pd.isna(values))):
            raise ValueError(f"y has {missing} missing values; leave those rows out")
        return np.array([str(value) for value in values], dtype=object)
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    if values.dtype.kind == "f":
        if not np.all(np.isfinite(values)) or np.any(values != np.rint(values)):
            raise TypeError("y must hold classes, and it has numbers that are no integers; put those into bins first")
        return values.astype(np.int64)
    if values.dtype.kind not in "iu":
        raise TypeError(f"y must hold classes, integers or strings, it has type {values.dtype}")
    return values


def _names(columns: Any) -> list[str]:
    names = [str(name) for name in columns]
    if taken := sorted(set(names) & set(_OURS)):
        raise ValueError(f"X has columns {taken}, names that fit_resample needs for itself; rename them")
    if len(set(names)) < len(names):
        raise ValueError("X has two columns of one name; rename one")
    return names


def _numbers(columns: int) -> list[str]:
    return [f"x{number}" for number in range(columns)]


def _series(y: Any, X: Any) -> Any:  # noqa: N803
    """A series in the partitions of X."""
    if hasattr(y, "divisions"):
        return y
    if hasattr(y, "to_dask_dataframe"):
        return y.to_dask_dataframe(index=X.index)
    raise TypeError(f"with X of dask, y must be a series or array of dask, got {type(y).__name__}")


def _coded(target: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    values = classes(target.to_numpy())
    # Of objects alone, a partition without rows would not say that they are texts.
    dtype = pd.ArrowDtype(pa.string()) if values.dtype == object else values.dtype
    return pd.Series(values, index=target.index, dtype=dtype)


def _length(part: Any) -> Any:
    import pandas as pd

    return pd.Series([len(part)])


def _start(row: int) -> Any:
    import pandas as pd

    return pd.Series([row])


def _numbered(part: Any, start: Any) -> Any:
    return part.assign(**{ROW: int(start.iloc[0]) + np.arange(len(part))})


def _marked(part: Any, strata: Strata) -> Any:
    """A frame with an integer that stands for each row's stratum."""
    from dask_augment.frames.pandas import events_of

    if not len(part):
        return part.assign(**{_STRATUM: np.zeros(0, np.int64)})
    labels, which = strata.codes(events_of(part, sorted(strata.uses())))
    words = [int.from_bytes(hashlib.blake2b(label.encode(), digest_size=7).digest(), "little") for label in labels]
    return part.assign(**{_STRATUM: np.array(words, np.int64)[which]})
