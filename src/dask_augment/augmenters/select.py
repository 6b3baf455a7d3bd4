"""Keep the events for which a condition holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.expression import Expression


@dataclass(frozen=True, kw_only=True, eq=False)
class Select(Augmenter):
    """Keep the events for which ``condition`` holds; the others are dropped, and counted as dropped.

    The selection is the same for training, test and analysis events. An event whose condition is NaN is dropped.

    Parameters
    ----------
    condition
        An :class:`~dask_augment.events.expression.Expression` with one value for each event: ``nJet >= 4``,
        ``any(Jet.pt > 100)``. A number counts as true unless it is 0 or NaN.

    Columns in: those of the condition. Columns out: none. Rows out: at most rows in.

    Example
    -------
    ::

        - select: nJet >= 4 and MET.pt > 30
    """

    keeps_rows = False
    takes_missing = True

    condition: str = field(kw_only=False, metadata={"shorthand": True})

    def __post_init__(self) -> None:
        Expression.parse(self.condition)

    def uses(self) -> frozenset[str]:
        """The columns of the condition."""
        return Expression.parse(self.condition).columns

    def produces(self) -> Mapping[str, str | None]:
        """No column."""
        return {}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """The rows where it holds."""
        holds = Expression.parse(self.condition).evaluate(events)
        if not isinstance(holds, np.ndarray):
            raise TypeError(
                f"the condition of Select must have one value for each event, {self.condition!r} has one for each "
                "object: say which objects count with any(...), all(...) or sum(...) >= 1"
            )
        return Output({}, np.flatnonzero((holds != 0) & ~np.isnan(holds)))
