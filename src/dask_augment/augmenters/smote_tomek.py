"""Make events between neighbours, then drop pairs of nearest events of different classes (SMOTE-Tomek)."""

from __future__ import annotations

from dataclasses import dataclass

from dask_augment.augmenters.smote import Smote
from dask_augment.augmenters.tomek_links import TomekLinks
from dask_augment.contract.augmenter import Augmenter
from dask_augment.options import options_of
from dask_augment.sampling.compounds import AfterSmote


@options_of(AfterSmote, Smote, TomekLinks)
@dataclass(frozen=True, kw_only=True, eq=False)
class SmoteTomek(AfterSmote):
    r"""Make events between neighbours in small classes, then drop both ends of all Tomek links.

    This is ``smote``, then ``tomek_links`` on all classes: if two rows of different classes are each the nearest row of
    the stratum to the other, both are dropped, made rows as well as others. It drops far fewer rows than ``smote_enn``.
    Numbers, neighbours and sums of weights are exact, over the whole data set.

    Parameters
    ----------
    neighbors
        ``"exact"``, or ``"approximate"`` for the neighbours that rows are made with, as in ``smote``; links are exact.

    Columns out: features, the weights, ``train_weight`` float64, and those that ``smote`` writes about made rows.
    Limit: a million rows of a class of a stratum, made ones too. Accounts list its two steps, ``smote_tomek.smote`` and
    ``smote_tomek.tomek_links``.

    Source: Batista, Prati and Monard, SIGKDD Explorations 6 (2004) 20.

    Example
    -------
    ::

        - smote_tomek: {label: signal, features: [HT, MET.pt]}
    """

    def steps(self) -> tuple[Augmenter, ...]:
        """SMOTE, and Tomek links of all classes."""
        return self.of(Smote), self.of(TomekLinks, sampling_strategy="all")
