"""Translate ``sampling_strategy`` between classes, as in imbalanced-learn, and strata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dask_augment.events.strata import encoded
from dask_augment.sampling.strategy import wanted

CLASS = "class"
"""The column of the classes beside those of X: the name that strata have it under."""


def of_strata(strategy: Any, y: Any, *, alone: bool) -> Any:
    """The sampling strategy with labels of strata in place of classes; ``alone``: there are no strata but classes."""
    if callable(strategy):
        strategy = strategy(y)
    if isinstance(strategy, Mapping):
        return {label(key) if alone else str(key): rows for key, rows in strategy.items()}
    if isinstance(strategy, (list, tuple)):
        return [label(key) if alone else str(key) for key in strategy]
    return strategy


def label(key: Any) -> str:
    """The label of the stratum of a class."""
    value: Any = int(key) if isinstance(key, (float, np.floating, bool, np.bool_)) else key
    return f"{CLASS}={encoded(value)}"


def of_classes(strategy: Any, counts: Mapping[Any, int], kind: str) -> dict[Any, int]:
    """What imbalanced-learn's samplers have as ``sampling_strategy_``.

    By class: rows to make for ``kind`` "over-sampling", rows to keep for "under-sampling", rows of the smallest
    class, of those that are cleaned, for "clean-sampling".
    """
    named = {label(key): key for key in counts}
    have = {text: counts[key] for text, key in named.items()}
    if kind == "clean-sampling":
        cleaned = (
            wanted(have, strategy, "under")
            if isinstance(strategy, str)
            else [text for text in strategy if text in have]
        )
        return {named[text]: min(have.values()) for text in cleaned}
    rows = wanted(have, strategy, "over" if kind == "over-sampling" else "under")
    over = kind == "over-sampling"
    return {named[text]: number - have[text] if over else number for text, number in rows.items()}
