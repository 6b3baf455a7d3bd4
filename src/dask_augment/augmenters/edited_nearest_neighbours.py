"""Drop events whose neighbours are of other classes (edited nearest neighbours)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.neighbours import crowded, nearest
from dask_augment.options import check_choices, check_count, options_of
from dask_augment.sampling.cleaning import Cleaner

_KINDS = ("all", "mode")


@options_of(Cleaner)
@dataclass(frozen=True, kw_only=True, eq=False)
class EditedNearestNeighbours(Cleaner):
    r"""Drop events of the larger classes that lie among another class, exactly, over the whole data set.

    An event stays if all of its k nearest events of the same stratum are of its own class (``kind_sel="all"``), or if
    its class is the most frequent among them (``"mode"``; of equally frequent ones the first counts). The weight of
    dropped events goes to the rest of their class and stratum, separately for each sign, as in ``undersample``: sums of
    weights stay the same, exactly.

    Distributions change: where classes overlap, the larger one is thinned out. So use it only for training.

    Parameters
    ----------
    n_neighbors
        Neighbours that are looked at.
    kind_sel
        ``"all"`` or ``"mode"``.

    Columns out: the weights, ``train_weight`` float64. Limit: a million rows of each class of a stratum.

    Source: Wilson, IEEE Trans. Syst. Man Cybern. 2 (1972) 408.

    Example
    -------
    ::

        - edited_nearest_neighbours: {label: signal, features: [HT, MET.pt]}
    """

    n_neighbors: int = 3
    kind_sel: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("n_neighbors", self.n_neighbors)
        check_choices(self, kind_sel=_KINDS)

    def dropped(
        self, points: NDArray[np.float64], classes: NDArray[np.int64], cleaned: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Rows with an event of another class among their nearest, or with most of them of another."""
        if len(points) <= self.n_neighbors:
            raise ValueError(
                f"a stratum has {len(points)} rows; n_neighbors={self.n_neighbors} needs {self.n_neighbors + 1}: lower it, or "
                "make coarser strata"
            )
        drop = np.zeros(len(points), np.bool_)
        for number in cleaned:
            rows = np.flatnonzero(classes == number)
            if self.kind_sel == "all":
                drop[rows] = ~self._surrounded(points, classes, rows, number)
            else:
                _, near = nearest(points, points[rows], self.n_neighbors, own=rows)
                drop[rows] = _modes(classes[near], int(classes.max()) + 1) != number
        return drop

    def _surrounded(
        self, points: NDArray[np.float64], classes: NDArray[np.int64], rows: NDArray[np.int64], number: int
    ) -> NDArray[np.bool_]:
        """Whether the k nearest rows of each row are of its class: whether k of its class are nearer than all others."""
        others = np.flatnonzero(classes != number)
        mine = points[rows]
        distances, near = nearest(points[others], mine, 1)
        before = np.searchsorted(rows, others[near[:, 0]])
        return crowded(mine, mine, self.n_neighbors, distances[:, 0], before, own=np.arange(len(rows)))


def _modes(classes: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """The most frequent class of each row of neighbours, the first of equals."""
    counts = np.stack([(classes == c).sum(axis=1) for c in range(number)], axis=1)
    first: NDArray[np.int64] = counts.argmax(axis=1)
    return first
