"""Make events between neighbours, then drop those that lie among another class (SMOTE-ENN)."""

from __future__ import annotations

from dataclasses import dataclass

from dask_augment.augmenters.edited_nearest_neighbours import EditedNearestNeighbours
from dask_augment.augmenters.smote import Smote
from dask_augment.contract import Augmenter
from dask_augment.options import options_of
from dask_augment.sampling.compounds import AfterSmote


@options_of(AfterSmote, Smote, EditedNearestNeighbours)
@dataclass(frozen=True, kw_only=True, eq=False)
class SmoteEnn(AfterSmote):
    r"""Make events between neighbours in small classes, then drop those of any class that lie among another one.

    ``smote``, then ``edited_nearest_neighbours`` of all classes, for which rows that were made are neighbours as good as
    the others: a row stays if all of its n nearest rows of the stratum are of its own class (``kind_sel="all"``), or if
    its class is the most frequent among them (``"mode"``). Classes are far apart then, and no longer of one size. That
    is not what was there: it is for training alone. Numbers, neighbours and sums of weights are exact, those of the
    whole data set.

    Parameters
    ----------
    neighbors
        ``"exact"``, or ``"approximate"`` for the neighbours that rows are made with, as in ``smote``; those that decide
        which rows stay are exact.

    Columns out: features, the weights, ``train_weight`` float64, and those that ``smote`` writes about made rows. At
    most a million rows of a class of a stratum, made ones too. In accounts it is two steps, ``smote_enn.smote`` and
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
