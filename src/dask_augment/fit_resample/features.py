"""Choose the columns of X that a sampler reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dask_augment.events.columns import flat
from dask_augment.events.own_columns import SPLIT, TRAIN_WEIGHT, WEIGHT, is_provenance
from dask_augment.fit_resample.strategies import CLASS

ROW = "row"
"""The column of the positions of rows beside those of X."""


def is_ours(name: str) -> bool:
    """Whether a column has the name of one that the package writes: it describes a row and is no feature by itself."""
    return name in (WEIGHT, TRAIN_WEIGHT, SPLIT) or is_provenance(name)


def column_of(name: str, names: Iterable[str]) -> str:
    """The column of X that goes by this name, as it stands or flat; ValueError where there is none."""
    known = list(names)
    for found in (name, flat(name)):
        if found in known:
            if found in (CLASS, ROW, TRAIN_WEIGHT) or is_provenance(found):
                raise ValueError(
                    f"X's column {found!r} cannot be a feature, category, stratum or id: fit_resample has a column of that "
                    "name itself; rename it"
                )
            return found
    raise ValueError(f"X has no column {name!r}; it has {known[:12]}")


def nothing_between(name: str, dtype: Any) -> TypeError:
    """The error that says that a feature is no number with others between two of its values."""
    return TypeError(
        f"feature {name!r} has type {dtype}, and made rows lie between two values: convert it to float32 or float64 "
        "where a fraction makes sense, name it as categorical (smotenc), or leave it out of features"
    )


def categorical_of(given: Any, labels: Sequence[Any], dtypes: Sequence[Any]) -> list[int]:
    """Positions of the columns that are categories: by names, positions, a mask of all columns, or ``"auto"``."""
    if isinstance(given, str) and given == "auto":
        found = [at for at, dtype in enumerate(dtypes) if hasattr(dtype, "categories")]
        if not found:
            raise ValueError('categorical="auto" takes the columns of type category, and X has none; name them')
        return found
    several = not isinstance(given, str) and hasattr(given, "__iter__")
    entries = list(given) if several else [given]
    if entries and all(isinstance(entry, (bool, np.bool_)) for entry in entries):
        if len(entries) != len(labels):
            raise ValueError(
                f"categorical as a mask must have one entry for each of {len(labels)} columns, got {len(entries)}"
            )
        return [at for at, chosen in enumerate(entries) if chosen]
    return [_position(entry, labels) for entry in entries]


def _position(entry: Any, labels: Sequence[Any]) -> int:
    if isinstance(entry, str):
        names = [str(label) for label in labels]
        return names.index(column_of(entry, names))
    if isinstance(entry, (bool, np.bool_)) or not isinstance(entry, (int, np.integer)):
        raise TypeError(f'categorical must be names, positions, a mask of all columns or "auto", got {entry!r} in it')
    at = int(entry) + (len(labels) if entry < 0 else 0)
    if not 0 <= at < len(labels):
        raise ValueError(f"categorical has the position {entry}, and X has {len(labels)} columns, from 0 on")
    if entry in labels and list(labels).index(entry) != at:
        raise ValueError(
            f"categorical has {entry}, which is the name of one column and the position of another; give names as texts"
        )
    return at
