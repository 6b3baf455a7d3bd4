"""X and y in memory: pair their rows, and give results the forms of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.fit_resample.targets import Target, package_of, weight_of


def is_lazy(X: Any) -> bool:  # noqa: N803
    """Whether X is a frame or array of dask; TypeError where it is nothing that has rows and columns."""
    package = package_of(X)
    frame = getattr(X, "ndim", 0) == 2 and hasattr(X, "columns")
    if package == "dask" and (frame or hasattr(X, "chunks")):
        return True
    if isinstance(X, (np.ndarray, list)) or (package == "pandas" and frame):
        return False
    if package == "scipy":
        raise TypeError(
            f"X is sparse, a {type(X).__name__}: neighbours are sought among rows that are full; pass X.toarray() where that "
            "fits into memory"
        )
    raise TypeError(
        f"X must be a NumPy array, a list of rows, or a frame or array of pandas or dask, got {type(X).__name__}; convert it first"
    )


def names_of(columns: Sequence[Any]) -> list[str]:
    """Names of columns as texts."""
    names = [str(name) for name in columns]
    if len(set(names)) < len(names):
        raise ValueError("X has two columns of one name; rename one")
    return names


def numbers_of(X: Any) -> list[str]:  # noqa: N803
    """Names of the columns of a matrix."""
    if X.ndim != 2:
        raise ValueError(f"X must have two axes, rows and features, got shape {X.shape}")
    return [f"x{number}" for number in range(X.shape[1])]


@dataclass(frozen=True)
class InMemory:
    """Rows of X with their classes and weights."""

    like: Any
    """X as it came."""
    values: Any
    """X as an array of NumPy or a frame of pandas."""
    names: list[str]
    target: Target
    weight: NDArray[np.float64] | None

    @classmethod
    def of(cls, X: Any, y: Any, sample_weight: Any) -> InMemory:  # noqa: N803
        """X, y and weights in memory: the first rows belong together, and so on."""
        values: Any = _matrix(X) if isinstance(X, list) else X
        if isinstance(values, np.ndarray) and not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        if isinstance(values, np.ma.MaskedArray):
            raise TypeError("X is a masked array, whose masks would be lost; fill it first, X.filled(...)")
        names = numbers_of(values) if isinstance(values, np.ndarray) else names_of(values.columns)
        if not isinstance(values, np.ndarray):
            # pandas takes no rows of columns whose bytes are in another order.
            kinds = {
                name: kind for name, kind in values.dtypes.items() if isinstance(kind, np.dtype) and not kind.isnative
            }
            values = values.astype({name: kind.newbyteorder("=") for name, kind in kinds.items()}) if kinds else values
        target, weight = Target.of(y, len(values)), weight_of(sample_weight, len(values))
        for what, other in {"y": y, "sample_weight": sample_weight}.items():
            if hasattr(values, "iloc") and hasattr(other, "iloc"):
                from dask_augment.fit_resample.pairing import refuse_other_order

                refuse_other_order(values.index, other.index, what)
        return cls(X, values, names, target, weight)

    @property
    def named(self) -> bool:
        """Whether columns have names of their own."""
        return not isinstance(self.values, np.ndarray)

    @property
    def labels(self) -> Sequence[Any]:
        """Names of columns as X has them."""
        return list(self.values.columns) if self.named else self.names

    def frame(self) -> Any:
        """X as a frame of pandas whose columns have texts as names."""
        import pandas as pd

        if self.named:
            return self.values.set_axis(self.names, axis=1)
        return pd.DataFrame(self.values, columns=self.names, dtype=object if self.values.dtype.kind in "OUS" else None)

    def back(self, taken: Any, values: Any, index: Any) -> tuple[Any, Any]:
        """These rows in the form of X, and these classes in that of y; frames and series have this index."""
        target = self.target.back(values, index)
        if self.named:
            return taken.set_axis(self.values.columns, axis=1).set_axis(index, axis=0), target
        rows = np.asarray(
            taken if isinstance(taken, np.ndarray) else taken.to_numpy(),
            dtype=getattr(self.like, "dtype", self.values.dtype),
        )
        return rows.tolist() if isinstance(self.like, list) else rows, target

    def index_of(self, rows: NDArray[np.int64], *, made: bool) -> Any:
        """The index of a result: that of its rows, or numbers of its own where rows are made, which would repeat it."""
        for owner in (self.values, self.target.like):
            if hasattr(owner, "iloc"):
                import pandas as pd

                return pd.RangeIndex(len(rows)) if made else owner.index.take(rows)
        return None


def _matrix(rows: list[Any]) -> NDArray[Any]:
    try:
        values = np.asarray(rows)
    except ValueError as error:
        raise ValueError("X is a list whose rows have different lengths; each row must have all features") from error
    return np.array(rows, dtype=object) if values.dtype.kind in "US" else values
