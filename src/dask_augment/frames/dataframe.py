"""dask.dataframe: each partition goes through :mod:`dask_augment.frames.pandas`; and ``frame.augment(...)``."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import dask
import dask.dataframe as dd
from dask.base import tokenize
from dask.dataframe.extensions import register_dataframe_accessor

from dask_augment.frames import augment
from dask_augment.frames.assumptions import levels
from dask_augment.frames.pandas import ask_pandas, asked, augment_pandas
from dask_augment.frames.questions import TREE_WIDTH, Questions, Totals, total
from dask_augment.frames.stage import Run, Stage


def augment_dataframe(frame: dd.DataFrame, stage: Stage) -> dd.DataFrame:
    """The augmented dask.dataframe, lazy; all columns of the frame are read and kept.

    Warns where a step asks for resources: dask.dataframe forgets what a single layer asks for.
    """
    if resources := stage.resources:
        warnings.warn(
            f"the steps ask for {resources}, which dask.dataframe cannot ask for by itself: compute the result by "
            f"client.compute(result, resources={resources})",
            UserWarning,
            stacklevel=levels(),
        )
    return frame.map_partitions(Run(augment_pandas, stage), meta=augment_pandas(frame._meta, stage))


def ask_dataframe(frame: dd.DataFrame, questions: Questions) -> Totals:
    """The totals over all partitions, computed now; only the columns that the questions need are read."""
    # Arbitrary functions stop dask.dataframe from leaving columns out, so the selection is made before them. Without
    # any column the rows could not be counted.
    names = asked(frame._meta, questions) or list(frame.columns[:1])
    name = f"learn-{questions.told}"
    ask = dask.delayed(ask_pandas, name=name, pure=False)
    parts = [
        ask(part, questions, dask_key_name=f"{name}-{tokenize(part.key, questions)}")
        for part in frame[names].to_delayed()
    ]
    add = dask.delayed(total)
    while len(parts) > 1:
        parts = [add(parts[start : start + TREE_WIDTH]) for start in range(0, len(parts), TREE_WIDTH)]
    with dask.annotate(resources=questions.resources) if questions.resources else nullcontext():
        return parts[0].compute()  # type: ignore[no-any-return]


@register_dataframe_accessor("augment")
class Accessor:
    """``frame.augment(...)``: :func:`dask_augment.augment` of this frame."""

    def __init__(self, frame: dd.DataFrame) -> None:
        self._frame = frame

    def __call__(self, *augmenters: Any, **settings: Any) -> dd.DataFrame:
        """The augmented frame, lazy."""
        return augment(self._frame, *augmenters, **settings)
