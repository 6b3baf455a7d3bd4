"""Make events between neighbours, where some columns are categories (SMOTE-NC)."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract import Measure
from dask_augment.options import check_columns
from dask_augment.sampling.interpolating import Around, Interpolator
from dask_augment.sampling.sharing import evenly


@dataclass(frozen=True, kw_only=True, eq=False)
class Smotenc(Interpolator):
    r"""Make events between neighbouring events of a stratum, with numbers and categories (SMOTE-NC).

    Features are interpolated as in ``smote``. Of a category, a made row has the value that is most frequent among the k
    nearest neighbours of its source; of several, one at random. The squared distance of two events is

    .. math:: d^2 = \sum_f (x_f - x'_f)^2 + m^2 \cdot (\text{categories that differ})

    with m the median of the standard deviations that the features have in the stratum, all in units of ``scale``.
    Categories are compared as they are: no column is made for each of their values.

    Parameters
    ----------
    features
        Columns to interpolate: one float32 or float64 for each event.
    categorical
        Columns of categories: one integer, boolean or text for each event, also as a dictionary of Arrow or a category of
        pandas.
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``.
    label
        Column of the classes that are balanced within each stratum; without it, the strata are the classes.
    sampling_strategy
        As in imbalanced-learn: ``"auto"`` (all classes as large as the largest), ``"minority"``, ``"not minority"``,
        ``"not majority"``, ``"all"``, for two classes the ratio small / large, or ``{stratum: events}``.
    k_neighbors
        Neighbours of each event that are drawn from.
    scale
        Units of the features: ``"std"``, their standard deviations over all training events; None, as they are; or one
        number for each. imbalanced-learn has no units: its neighbours are those of ``scale=None``.
    distinct
        Leave out neighbours at distance 0, between which there are only copies.
    weights
        Columns whose signs both parents share; a sign with k_neighbors events or fewer is no source. ``()``: there are
        no weights.
    train_weight
        ``"conserve"``, ``"balance"`` or ``"unit"``, as in ``smote``.
    carry
        None: the result has features, categories, strata, ids, weights, split and provenance. ``"parent"``: it keeps all
        columns, and made rows have those of their parent.

    Columns out: as of ``smote``, and the categories. At most a million rows of a stratum.

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
