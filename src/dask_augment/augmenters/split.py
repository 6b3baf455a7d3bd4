"""Assign events to training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.own_columns import SPLIT
from dask_augment.options import is_number


@dataclass(frozen=True, kw_only=True, eq=False)
class Split(Augmenter):
    """Write ``split``: 0 for training, 1 for validation, 2 for test events.

    One random number keyed by the ids of the event decides, never rows, jets or copies: an event gets the same value in
    every file, variation and run with this seed. Training steps act only on rows with ``split == 0``, and made rows
    inherit it, so no test event leaks into training rows. A split after such steps gives an event and its copies the
    same value. It refuses rows between two events, whose parents may get different values.

    Parameters
    ----------
    train, validation
        Expected fractions of the events, since each event is assigned independently. The rest is for testing.

    Columns out: ``split`` int8. Rows are kept.

    Example
    -------
    ::

        - split: {train: 0.8, validation: 0.1}
    """

    keyed = True

    train: float
    validation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("train", "validation"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= 1):
                raise ValueError(f"{name} must be a fraction in [0, 1], got {value!r}")
        if self.train + self.validation > 1:
            raise ValueError(f"train + validation must be at most 1, got {self.train} + {self.validation}")

    def uses(self) -> frozenset[str]:
        """No column but the ids."""
        return frozenset()

    def produces(self) -> Mapping[str, str | None]:
        """The code of the part."""
        return {SPLIT: "int8"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Compare one number for each event with the borders."""
        assert draw is not None
        original = draw.of_originals()
        borders = np.array([self.train, self.train + self.validation])
        return Output({SPLIT: np.searchsorted(borders, original.uniform(0), side="right").astype(np.int8)})
