"""Drop events of pairs that are nearest to each other but of different classes (Tomek links)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.neighbours import nearest
from dask_augment.options import options_of
from dask_augment.sampling.cleaning import Cleaner


@options_of(Cleaner)
@dataclass(frozen=True, kw_only=True, eq=False)
class TomekLinks(Cleaner):
    r"""Drop events of the larger classes that form a Tomek link, exactly, over the whole data set.

    Two events of different classes form a link if each is the nearest event of the same stratum to the other. The event
    of a link is dropped if its class is one to clean. The weight of dropped events goes to the rest of their class and
    stratum, separately for each sign, as in ``undersample``: sums of weights stay the same, exactly.

    Parameters
    ----------
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: links are sought within each.

    Columns out: the weights, ``train_weight`` float64. Limit: a million rows of each class of a stratum.

    Source: Tomek, IEEE Trans. Syst. Man Cybern. 6 (1976) 769.

    Example
    -------
    ::

        - tomek_links: {label: signal, features: [HT, MET.pt]}
    """

    def dropped(
        self, points: NDArray[np.float64], classes: NDArray[np.int64], cleaned: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Rows of both ends of links that are of a class to clean.

        One end at least is not of the largest class, so that the nearest row of all is sought for the others alone, and
        for those that are found.
        """
        rest = np.flatnonzero(classes != np.argmax(np.bincount(classes)))
        near = nearest(points, points[rest], 1, own=rest)[1][:, 0]
        mixed = (near >= 0) & (classes[near] != classes[rest])
        first, second = rest[mixed], near[mixed]
        asked, at = np.unique(second, return_inverse=True)
        back = nearest(points, points[asked], 1, own=asked)[1][:, 0][at.reshape(-1)]
        linked = np.zeros(len(points), np.bool_)
        linked[first[back == first]] = True
        linked[second[back == first]] = True
        return linked & np.isin(classes, cleaned)
