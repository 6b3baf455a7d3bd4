"""Make events between neighbours, then drop those that lie among another class (SMOTE-ENN)."""

from __future__ import annotations

from dataclasses import dataclass

from dask_augment.augmenters.edited_nearest_neighbours import EditedNearestNeighbours
from dask_augment.augmenters.smote import Smote
from dask_augment.contract.augmenter import Augmenter
from dask_augment.options import options_of
from dask_augment.sampling.compounds import AfterSmote


@options_of(AfterSmote, Smote, EditedNearestNeighbours)
@dataclass(frozen=True, kw_only=True, eq=False)
class SmoteEnn(AfterSmote):
    r"""Make events between neighbours in small classes, then drop events of any class that lie among another class.

    This is ``smote``, then ``edited_nearest_neighbours`` on all classes, in which made rows count as neighbours like
    the others: a row stays if all of its n nearest rows of the stratum are of its own class (``kind_sel="all"``), or if
    its class is the most frequent among them (``"mode"``). Afterwards classes are farther apart, and no longer of equal
    size. Distributions change, so use it only for training. Numbers, neighbours and sums of weights are exact, over the
    whole data set.

    Parameters
    ----------
    neighbors
        ``"exact"``, or ``"approximate"`` for the neighbours that rows are made with, as in ``smote``; those that decide
        which rows stay are exact.

    Columns out: features, the weights, ``train_weight`` float64, and those that ``smote`` writes about made rows.
    Limit: a million rows of a class of a stratum, made ones too. Accounts list its two steps, ``smote_enn.smote`` and
    ``smote_enn.edited_nearest_neighbours``.

    Source: Batista, Prati and Monard, SIGKDD Explorations 6 (2004) 20.

    Example
    -------
    ::

        - smote_enn: {label: signal, features: [HT, MET.pt]}
    """

    n_neighbors: int = 3
    kind_sel: str = "all"

    def steps(self) -> tuple[Augmenter, ...]:
        """SMOTE, and edited nearest neighbours of all classes."""
        return self.of(Smote), self.of(EditedNearestNeighbours, sampling_strategy="all")
