"""Make events between neighbours, in small strata (SMOTE)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.options import check_choices, options_of
from dask_augment.sampling.allotment import at_random, evenly
from dask_augment.sampling.interpolating import Around, Interpolator

_ALLOCATIONS = {"even": evenly, "iid": at_random}
_NEIGHBORS = ("exact", "approximate")


@options_of(Interpolator)
@dataclass(frozen=True, kw_only=True, eq=False)
class Smote(Interpolator):
    r"""Make events between neighbouring events of a stratum: exact numbers and neighbours over the whole data set.

    A made row lies on the line from an event :math:`x` to one of its k nearest neighbours :math:`x'` of the same
    stratum and sign of the weight:

    .. math:: s = x + \lambda \, (x' - x), \quad \lambda \in [0, 1)

    in float64, rounded once to the type of the column. Neighbours are those of all the data, by the Euclidean distance
    of the features in units of ``scale``; of equal distances the one with the smaller ids is nearer.

    Made rows reduce the spread of a stratum: the variance of s is (Var x + Var x' + Cov(x, x')) / 3 + (mean x' - mean
    x)^2 / 12, as a rule some tenths below Var x. They add no information to the originals, and their physics weight is
    0.

    Parameters
    ----------
    neighbors
        ``"exact"``, or ``"approximate"``: an index of faiss (``pip install 'dask-augment[faiss]'``) that misses some of
        them, for strata of up to ten million rows. They then depend on the version of faiss and the CPU, but not on
        partitions, workers or the order of rows. Below 2000 different points the search is exact in any case.
    allocation
        ``"even"``: all events of a stratum are the source of the same number of made rows, or of one more; ``"iid"``:
        the source of each row is drawn at random.

    Columns out: features, ``train_weight`` float64; augment_kind 2 for made rows, and both parents: the row has the ids
    of the first, with ``augment_base_copy``; ``augment_other_run`` and so on are the ids of the second;
    ``augment_share`` is :math:`\lambda`. Each row is followed by the rows made from it. Limit: a million rows of a
    stratum, ten million with ``neighbors="approximate"``.

    Source: Chawla et al., J. Artif. Intell. Res. 16 (2002) 321, arXiv:1106.1813.

    Example
    -------
    ::

        - smote: {label: signal, features: [HT, MET.pt], k_neighbors: 5}
    """

    allocation: str = "even"
    neighbors: str = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, allocation=_ALLOCATIONS, neighbors=_NEIGHBORS)

    @property
    def _approximate(self) -> bool:
        return self.neighbors == "approximate"

    def children(self, more: Mapping[str, int], around: Around) -> Generator[Measure[Any], Any, NDArray[np.int64]]:
        """As many of each row, or of rows at random; no question is needed."""
        yield from ()
        times = np.zeros(len(around.table), np.int64)
        for stratum, number in more.items():
            rows = around.of(stratum)
            times[rows] = _ALLOCATIONS[self.allocation](number, rows, around.table.keys)
        return times
