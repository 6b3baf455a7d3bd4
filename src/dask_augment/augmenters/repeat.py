"""Copy every event, so that later random steps can vary the copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.options import check_count


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeat(Augmenter):
    """Make ``n`` copies of every training event, for later random steps to vary.

    Copies have physics weight 0, so sums of w and of w squared of any histogram stay as they are. In later random steps
    copies draw their own random numbers; these steps do not change original rows, unless they say ``originals=True``.
    Copies add no information to the originals.

    Parameters
    ----------
    n
        Copies of each event, at least 1.
    keep_original
        False: the original row is dropped, and its physics weight with it; the account says so.

    Columns: none but provenance (augment_kind 1, augment_copy). Rows in x (n + 1) = rows out, or n with
    ``keep_original=False``.

    Example
    -------
    ::

        - repeat: {n: 2}
    """

    keeps_rows = False
    makes = "copies"
    use = "training"

    n: int
    keep_original: bool = True

    def __post_init__(self) -> None:
        check_count("n", self.n)

    def uses(self) -> frozenset[str]:
        """No column: rows are copied whole."""
        return frozenset()

    def produces(self) -> Mapping[str, str | None]:
        """No column of its own."""
        return {}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Each row, then its copies."""
        children = np.arange(0 if self.keep_original else 1, self.n + 1, dtype=np.int32)
        source = np.repeat(np.arange(len(events)), len(children))
        return Output({}, source, np.tile(children, len(events)))
