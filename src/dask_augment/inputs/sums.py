"""Sums of generator weights, and which events each sum covers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dask_augment.messages import counted

UNSELECTED = "unselected sum of "
"""How it is said that a sum of weights is that of the events of a file, for want of those that were processed."""
PRESELECTED = "sum_genw_presel"
"""Where skims of HiggsDNA keep the sum of generator weights of all events that they were made of."""


def summed(values: Any, name: str, prefix: str = "") -> tuple[float, str]:
    """The sum of weights and what it is the sum of; NaN and why, where it is no number."""
    numbers = np.asarray(values).astype(np.float64)
    strange = int(np.count_nonzero(~np.isfinite(numbers)))
    if strange:
        return math.nan, f"{name} has {strange:,} NaN or infinite among {counted(len(numbers), 'value')}"
    try:
        return math.fsum(numbers.tolist()), f"{prefix}{name}"
    except OverflowError:
        return math.nan, f"{name} sums to more than a number can hold"
