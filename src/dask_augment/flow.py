"""Steps under their labels, and the columns that they say they use and produce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dask_augment.contract import Augmenter, Learner
from dask_augment.interpolating import Interpolating
from dask_augment.names import dotted


@dataclass(frozen=True)
class Step:
    """One augmenter under its label, and its position among the steps; what it says of its columns is asked once."""

    label: str
    augmenter: Augmenter
    position: int = 0

    @cached_property
    def uses(self) -> frozenset[str]:
        """The columns that it needs, also to learn."""
        return frozenset(self.augmenter.uses())

    @cached_property
    def remedies(self) -> Mapping[str, str]:
        """What to do where a column of these is missing."""
        used = self.augmenter.uses()
        return used if isinstance(used, Mapping) else {}

    @cached_property
    def gets(self) -> frozenset[str]:
        """The columns that ``apply`` gets."""
        return self.augmenter.reads_to_apply() if isinstance(self.augmenter, Learner) else self.uses

    @cached_property
    def between(self) -> tuple[str, ...]:
        """The columns among its products that lie between those of two rows, and that the frame computes."""
        return self.augmenter.between() if isinstance(self.augmenter, Interpolating) else ()

    @cached_property
    def produces(self) -> Mapping[str, str | None]:
        """The columns that it produces, with their types."""
        return self.augmenter.produces()

    @cached_property
    def products(self) -> frozenset[str]:
        """The columns that it produces, dotted."""
        return frozenset(map(dotted, self.produces))
