"""Make events between neighbours, only from events near the border of their class (Borderline-SMOTE)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.options import check_count, options_of
from dask_augment.sampling.allotment import evenly
from dask_augment.sampling.interpolating import Around, Interpolator
from dask_augment.sampling.nearest import foreign_neighbours


@options_of(Interpolator)
@dataclass(frozen=True, kw_only=True, eq=False)
class BorderlineSmote(Interpolator):
    r"""Make events of the smaller classes of each stratum, only from events near the border (Borderline-SMOTE 1).

    An event is in danger if, of its m nearest events among all classes of its stratum, at least half but not all are of
    another class: :math:`m / 2 \le m' < m`. An event with all m of another class counts as noise, one with fewer than
    half as safe. Made rows lie between an event in danger and one of its k nearest neighbours of the same class and
    sign of the weight; this and the rest is as in ``smote``.

    Parameters
    ----------
    m_neighbors
        Neighbours of all classes that decide whether an event is in danger.

    Columns out: those of ``smote``. Limit: a million rows of each class that gets more.

    Source: Han, Wang, Mao, ICIC (2005) 878.

    Example
    -------
    ::

        - borderline_smote: {label: signal, features: [HT, MET.pt]}
    """

    label: str | None = "label"
    m_neighbors: int = 10

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("label must name the column of the classes: the step counts neighbours of other classes")
        check_count("m_neighbors", self.m_neighbors)
        super().__post_init__()

    def children(self, more: Mapping[str, int], around: Around) -> Generator[Measure[Any], Any, NDArray[np.int64]]:
        """As many of each event in danger; asks for neighbours beyond the table."""
        foreign = yield from foreign_neighbours(
            self._classes, self.features, around.table, around.points, self.m_neighbors, around.counts, around.scales
        )
        danger = (2 * foreign >= self.m_neighbors) & (foreign < self.m_neighbors)
        times = np.zeros(len(around.table), np.int64)
        for stratum, number in more.items():
            rows = around.of(stratum)
            rows = rows[danger[rows]]
            if not len(rows):
                raise ValueError(
                    f"no event of {stratum!r} is in danger, with half or more, but not all, of its {self.m_neighbors} "
                    "nearest of another class; use smote, or other m_neighbors"
                )
            times[rows] = evenly(number, rows, around.table.keys)
        return times
