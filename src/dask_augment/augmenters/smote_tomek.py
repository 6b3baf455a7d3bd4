"""Make events between neighbours, then drop those that are nearest to one of another class (SMOTE-Tomek)."""

from __future__ import annotations

from dataclasses import dataclass

from dask_augment.augmenters.smote import Smote
from dask_augment.augmenters.tomek_links import TomekLinks
from dask_augment.contract import Augmenter
from dask_augment.sampling.compounds import AfterSmote


@dataclass(frozen=True, kw_only=True, eq=False)
class SmoteTomek(AfterSmote):
    r"""Make events between neighbours in small classes, then drop both ends of all Tomek links.

    ``smote``, then ``tomek_links`` of all classes: where two rows of different classes are each the nearest row of the
    stratum to the other, both are dropped, made rows as well as others. It drops far less than ``smote_enn``. Numbers,
    neighbours and sums of weights are exact, those of the whole data set.

    Parameters
    ----------
    features
        Columns to interpolate and to take distances between: one float32 or float64 for each event.
    label
        Column of the classes: integers or strings.
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: classes are balanced, and
        neighbours are sought, within each.
    sampling_strategy
        Rows that classes have before any is dropped, as in ``smote``: ``"auto"`` (as many as the largest),
        ``"minority"``, ``"not minority"``, ``"not majority"``, ``"all"``, a ratio, or ``{stratum: events}``.
    k_neighbors
        Neighbours of each event that rows are made with.
    neighbors
        ``"exact"``, or ``"approximate"`` for the neighbours that rows are made with, as in ``smote``; links are exact.
    scale
        Units of the features: ``"std"``, their standard deviations over all training events (for the second step, with
        the rows that were made); None, as they are; or one number for each. imbalanced-learn has no
        units: its neighbours are those of ``scale=None``.
    distinct
        Leave out neighbours at distance 0, between which there are only copies.
    allocation
        ``"even"`` or ``"iid"``: who the sources of made rows are, as in ``smote``.
    weights
        Physics weights (float64): both parents have the same signs, made rows have 0, and what is dropped weighs on the
        rest of its class. ``()``: none, as in ``undersample``.
    train_weight
        ``"conserve"``, ``"balance"`` or ``"unit"``, as in ``smote``, in both steps.
    carry
        None: the result has features, strata, ids, weights, split and provenance. ``"parent"``: all columns, of made
        rows those of their parent.

    Columns out: features, the weights, ``train_weight`` float64, and those that ``smote`` writes about made rows. At
    most a million rows of a class of a stratum, made ones too. In accounts it is two steps, ``smote_tomek.smote`` and
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
