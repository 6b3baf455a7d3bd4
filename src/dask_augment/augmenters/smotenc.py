"""Make events between neighbours, where some columns are categories (SMOTE-NC)."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.options import check_columns, options_of
from dask_augment.sampling.allotment import evenly
from dask_augment.sampling.interpolating import Around, Interpolator


@options_of(Interpolator)
@dataclass(frozen=True, kw_only=True, eq=False)
class Smotenc(Interpolator):
    r"""Make events between neighbouring events of a stratum, with numbers and categories (SMOTE-NC).

    Features are interpolated as in ``smote``. For a category, a made row has the most frequent value among the k
    nearest neighbours of its source; if several are equally frequent, one at random. The squared distance of two events
    is

    .. math:: d^2 = \sum_f (x_f - x'_f)^2 + m^2 \cdot (\text{categories that differ})

    with m the median of the standard deviations of the features in the stratum, all in units of ``scale``. Categories
    are compared directly, without one-hot columns.

    Parameters
    ----------
    categorical
        Columns of categories: one integer, boolean or text for each event, also as a dictionary of Arrow or a category of
        pandas.

    Columns out: those of ``smote``, and the categories. Limit: a million rows of a stratum.

    Source: Chawla et al., J. Artif. Intell. Res. 16 (2002) 321, arXiv:1106.1813, section 6.1.

    Example
    -------
    ::

        - smotenc: {label: signal, features: [HT, MET.pt], categorical: [channel]}
    """

    categorical: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_columns(self, "categorical", needed=True)
        super().__post_init__()
        if twice := sorted({*self.features, *self._classes.uses()} & set(self.categorical)):
            raise ValueError(
                f"categorical names {twice}, which are features, strata or the label already: leave them out"
            )

    @property
    def _categorical(self) -> tuple[str, ...]:
        return tuple(self.categorical)

    def children(self, more: Mapping[str, int], around: Around) -> Generator[Measure[Any], Any, NDArray[np.int64]]:
        """As many of each row; no question is needed."""
        yield from ()
        times = np.zeros(len(around.table), np.int64)
        for stratum, number in more.items():
            rows = around.of(stratum)
            times[rows] = evenly(number, rows, around.table.keys)
        return times
