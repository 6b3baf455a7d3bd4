"""Resample rows in memory: all of them, or one partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.fit_resample.features import ROW
from dask_augment.fit_resample.lazy import POSITION, TARGET, WEIGHT, Codes, Lazy, beside, own_index
from dask_augment.fit_resample.reading import Read
from dask_augment.fit_resample.strategies import CLASS
from dask_augment.frames import augment


@dataclass(frozen=True)
class Part:
    """The rows that are left or made of some rows of X."""

    read: Read
    step: Augmenter
    setting: Mapping[str, Any]
    codes: Codes | None = None

    def work(self, frame: pd.DataFrame, codes: NDArray[Any], first: int, weight: Any) -> pd.DataFrame:
        """What the sampler sees of these rows, the first of which has this position."""
        ours = {CLASS: codes, ROW: np.arange(first, first + len(frame))}
        return self.read.frame(frame, ours if weight is None else ours | {TRAIN_WEIGHT: np.asarray(weight)})

    def acted(self, frame: pd.DataFrame, work: pd.DataFrame, step: Augmenter, first: int = 0) -> tuple[Any, Any, Any]:
        """The rows that are left or made, their positions in X, and their weights."""
        result = augment(work, step, **self.setting)
        at = result[ROW].to_numpy()
        return self.read.taken(frame, at - first, result), at, result[TRAIN_WEIGHT].to_numpy()

    def lazy_work(self, frame: pd.DataFrame, target: Any, start: Any, weight: Any = None) -> pd.DataFrame:
        """What the sampler sees of a partition."""
        assert self.codes is not None
        return self.work(frame, self.codes.of(target), int(start.iloc[0]), weight)

    def lazy_result(self, frame: pd.DataFrame, target: Any, start: Any, weight: Any = None) -> Any:
        """A partition with the rows that are left or made, and what is told of them."""
        work, first = self.lazy_work(frame, target, start, weight), int(start.iloc[0])
        if not len(frame):
            taken, at, weights = frame, np.zeros(0, np.int64), np.zeros(0)
        else:
            taken, at, weights = self.acted(frame, work, self.step, first)
        if self.step.makes:
            taken = taken.set_axis(own_index(at), axis=0)
        return beside(taken, {TARGET: target.array.take(at - first), POSITION: at, WEIGHT: weights})


def no_rows(rows: Lazy, columns: Sequence[str]) -> tuple[Any, ...]:
    """The form of what a function of partitions gets."""
    form = (rows.frame._meta[list(columns)], rows.target._meta, pd.Series([0]))
    return form if rows.weight is None else (*form, rows.weight._meta)
