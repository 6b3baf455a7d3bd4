"""Columns made from the origin of events: physics weights, and ids from file and entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.ids import POSITION, file_word
from dask_augment.events.domains import refuse_broken_weights
from dask_augment.events.own_columns import WEIGHT


def made_columns(
    rows: int,
    weights: Mapping[str, Any],
    factor: float,
    position: tuple[str, int] | None = None,
    generator: str | None = None,
) -> dict[str, NDArray[Any]]:
    """The weights as float64 times ``factor``, where a None counts as 1 for each event, and the ids by position.

    ``position`` is the file's uuid and the first entry, ``generator`` what ``weight`` is called where it comes from.
    ValueError for weights that are NaN or infinite: every sum with them would be lost.
    """
    made: dict[str, NDArray[Any]] = {}
    for name, values in weights.items():
        if values is None:
            made[name] = np.full(rows, factor)
            continue
        numbers = np.asarray(values).astype(np.float64)
        refuse_broken_weights(generator if name == WEIGHT and generator else name, numbers)
        made[name] = numbers * factor
    if position is not None:
        uuid, first = position
        made[POSITION[0]] = np.full(rows, file_word(uuid), np.uint64)
        made[POSITION[1]] = np.arange(rows, dtype=np.uint64) + np.uint64(first)
    return made
