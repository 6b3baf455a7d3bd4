"""Base of the compounds that make events by SMOTE and then drop some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from dask_augment.contract.compound import Compound
from dask_augment.options import options_of
from dask_augment.sampling.report import Resampling
from dask_augment.sampling.strategy import Strategy


@options_of(Resampling)
@dataclass(frozen=True, kw_only=True, eq=False)
class AfterSmote(Compound):
    """Base of compounds whose first step is SMOTE; options that its steps share stand here.

    Parameters
    ----------
    weights
        Physics weights (float64): both parents have the same signs, made rows have 0, and what is dropped weighs on the
        rest of its class. ``()``: none, as in ``undersample``.
    """

    keeps_rows = False
    makes = "interpolated"
    keyed = True
    use = "training"

    strata: Any = ()
    label: str = "label"
    features: Sequence[str] = ()
    sampling_strategy: Strategy = "auto"
    k_neighbors: int = 5
    scale: Any = "std"
    distinct: bool = False
    allocation: str = "even"
    neighbors: str = "exact"
    weights: Sequence[str] = ("weight",)
    train_weight: str = "conserve"
    carry: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        first = self.steps()[0]
        for field in fields(first):
            # As the step writes them: lists and tuples, names and strata are one configuration.
            if field.name != "learned":
                object.__setattr__(self, field.name, getattr(first, field.name))
