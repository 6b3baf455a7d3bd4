"""Make events between neighbours, of those events alone that are near the border of their class (Borderline-SMOTE)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract import Measure
from dask_augment.options import check_count
from dask_augment.sampling.interpolating import Around, Interpolator
from dask_augment.sampling.nearest import foreign_neighbours
from dask_augment.sampling.sharing import evenly


@dataclass(frozen=True, kw_only=True, eq=False)
class BorderlineSmote(Interpolator):
    r"""Make events of the smaller classes of each stratum, from events in danger alone (Borderline-SMOTE 1).

    Of the m events next to it, of all classes of its stratum, an event in danger has at least half, but not all, of
    another class: :math:`m / 2 \le m' < m`. Those with all are taken for noise, those with fewer for safe. Made rows lie
    between an event in danger and one of its k nearest neighbours of its own class and sign of the weight, as in
    ``smote``, which the rest is as in, too.

    Parameters
    ----------
    label
        Column of the classes: integers or strings.
    features
        Columns to interpolate: one float32 or float64 for each event. Distances are taken between these.
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: classes are balanced in each, and
        neighbours sought within it.
    sampling_strategy
        As in imbalanced-learn: ``"auto"`` (all classes as large as the largest), ``"minority"``, ``"not minority"``,
        ``"not majority"``, ``"all"``, for two classes the ratio small / large, or ``{stratum: events}``.
    k_neighbors
        Neighbours of its own class that are drawn from.
    m_neighbors
        Neighbours of all classes that tell whether an event is in danger.
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
        None: the result has features, strata, ids, weights, split and provenance. ``"parent"``: it keeps all columns,
        and made rows have those of their parent.

    Columns out: as of ``smote``. At most a million rows of each class that gets more.

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
            raise ValueError("label must name the column of the classes: which neighbours are of another one decides")
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
                    f"no event of {stratum!r} is in danger: of the {self.m_neighbors} nearest of none are half or more, "
                    "but not all, of another class; use smote, or other m_neighbors"
                )
            times[rows] = evenly(number, rows, around.table.keys)
        return times
