"""Settings shared by all steps of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_augment.contract.ids import IDS
from dask_augment.events.own_columns import DATASET, SPLIT, TRAIN_WEIGHT, WEIGHT
from dask_augment.options import columns_of


@dataclass(frozen=True)
class Setting:
    """What all steps of a run share.

    seed: of the random numbers; dataset: name of the data set, None where a column ``dataset`` names it;
    ids: columns that identify an event; weights: physics weights, 0 on made rows, "none" where made rows may count in
    yields; split: the column that is 0 on
    training rows, None for data without one; generator: the weight that ``weight`` was made from, 0 on made rows too.
    """

    seed: int | None = None
    dataset: str | None = None
    ids: Sequence[str] = IDS
    weights: Sequence[str] = (WEIGHT,)
    split: str | None = SPLIT
    generator: str | None = None
    unweighted: bool = False

    @property
    def zeroed(self) -> tuple[str, ...]:
        """Columns that are 0 on made rows, where the events have them."""
        return tuple(dict.fromkeys([*self.weights, *([self.generator] if self.generator else [])]))

    @property
    def always_left(self) -> tuple[str, ...]:
        """Columns that are true of all rows, whatever a step leaves."""
        return (*self.ids, *self.zeroed, *([self.split] if self.split else []), DATASET, TRAIN_WEIGHT)

    def __post_init__(self) -> None:
        if self.weights == "none":
            object.__setattr__(self, "weights", ())
            object.__setattr__(self, "unweighted", True)
        if self.split is not None and not (isinstance(self.split, str) and self.split):
            raise ValueError(f"split must name the column that is 0 on training rows, or be None, got {self.split!r}")
        for name in ("ids", "weights"):
            object.__setattr__(self, name, columns_of(name, getattr(self, name)))
