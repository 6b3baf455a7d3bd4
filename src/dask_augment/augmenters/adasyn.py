"""Make events between neighbours, most of them where other classes are near (ADASYN)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.options import options_of
from dask_augment.sampling.allotment import in_proportion
from dask_augment.sampling.interpolating import Around, Interpolator
from dask_augment.sampling.nearest import foreign_neighbours


@options_of(Interpolator)
@dataclass(frozen=True, kw_only=True, eq=False)
class Adasyn(Interpolator):
    r"""Make events of the smaller classes of each stratum, most where events of other classes are near.

    A class gets G made rows. The share of each event i depends on how many of its k nearest events, among all classes
    of its stratum, are of another class:

    .. math:: r_i = \frac{\text{neighbours of another class}}{k}, \quad g_i = G \, \frac{r_i}{\sum_j r_j}

    rounded by largest remainders, so that there are exactly G. Each made row lies between the event and one of its k
    nearest neighbours of the same class and sign of the weight; this and the rest is as in ``smote``. Neighbours are
    those of all the data; of equal distances the one with the smaller ids is nearer.

    Parameters
    ----------
    k_neighbors
        Neighbours of each event, of all classes for the share, of its own to draw from.

    Columns out: those of ``smote``. Limit: a million rows of each class that gets more.

    Source: He et al., IEEE IJCNN (2008) 1322.

    Example
    -------
    ::

        - adasyn: {label: signal, features: [HT, MET.pt]}
    """

    label: str | None = "label"

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("label must name the column of the classes: the step counts neighbours of other classes")
        super().__post_init__()

    def children(self, more: Mapping[str, int], around: Around) -> Generator[Measure[Any], Any, NDArray[np.int64]]:
        """In proportion to the neighbours of other classes; asks for those beyond the table."""
        foreign = yield from foreign_neighbours(
            self._classes, self.features, around.table, around.points, self.k_neighbors, around.counts, around.scales
        )
        times = np.zeros(len(around.table), np.int64)
        for stratum, number in more.items():
            rows = around.of(stratum)
            if not foreign[rows].any():
                raise ValueError(
                    f"no event of {stratum!r} has one of another class among its {self.k_neighbors} nearest: adasyn "
                    "finds no border between classes; use smote"
                )
            times[rows] = in_proportion(number, foreign[rows])
        return times
