"""The second parents of interpolated rows: their ids, and how near each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class SecondParents(NamedTuple):
    """What tells m rows apart, which of them is the second parent of each row, and how near that lies."""

    ids: Mapping[str, NDArray[np.uint64]]
    """Their ids (m,), under the names and in the order that ``draw.ids`` has."""
    dataset: NDArray[np.uint64]
    """The words of their data sets (m,), :func:`dask_augment.contract.ids.file_word` of the name."""
    copy: NDArray[np.int64]
    """Their copy numbers (m,)."""
    row: NDArray[np.integer[Any]]
    """Which of the m each output row has (n_out,); what stands at rows that are not made does not count."""
    share: NDArray[np.float64]
    """How far the row lies on the way from the source row to it (n_out,): 0 at the source row, 1 there."""
    columns: Mapping[str, NDArray[Any]]
    """Their values (m,) of the columns ``between``."""
