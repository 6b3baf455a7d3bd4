"""Make events between neighbours in small classes, then drop events of large ones."""

from __future__ import annotations

from dataclasses import dataclass

from dask_augment.augmenters.smote import Smote
from dask_augment.augmenters.undersample import Undersample
from dask_augment.contract.augmenter import Augmenter
from dask_augment.events.strata import Strata
from dask_augment.options import options_of
from dask_augment.sampling.compounds import AfterSmote
from dask_augment.sampling.strategy import Strategy


@options_of(AfterSmote, Smote, Undersample)
@dataclass(frozen=True, kw_only=True, eq=False)
class SmoteUndersample(AfterSmote):
    r"""Make events between neighbours in small classes, then drop events of large ones, with exact numbers in both.

    This is ``smote`` with ``sampling_strategy``, then ``undersample`` with ``undersampling_strategy``. With 1000 and 50
    events of two classes, ``sampling_strategy: 0.2`` makes 150 events of the small one, and ``"auto"`` then takes 200
    of the large one. With ``sampling_strategy="auto"`` all classes become as large as the largest, and the second step
    drops nothing.

    Parameters
    ----------
    sampling_strategy
        Rows that small classes get, as in ``smote``: a ratio small / large, ``{stratum: events}``, ``"minority"``, ...
    undersampling_strategy
        Rows that large classes keep, as in ``undersample`` with the label as the last of its strata: ``"auto"`` (all
        classes of all strata as small as the smallest is now), for two classes the ratio small / large,
        ``{stratum: events}``, ...

    Columns out: features, the weights, ``train_weight`` float64, and those that ``smote`` writes about made rows.
    Accounts list its two steps, ``smote_undersample.smote`` and ``smote_undersample.undersample``.

    Source: Chawla et al., J. Artif. Intell. Res. 16 (2002) 321, arXiv:1106.1813.

    Example
    -------
    ::

        - smote_undersample: {label: signal, features: [HT, MET.pt]}
    """

    undersampling_strategy: Strategy = "auto"

    def steps(self) -> tuple[Augmenter, ...]:
        """SMOTE of small classes, and a draw of large ones."""
        classes = [*Strata.of(self.strata).entries, self.label]
        strategy = self.undersampling_strategy
        # The allocation of the compound is that of SMOTE, who the sources of made rows are.
        fewer = self.of(Undersample, strata=classes, sampling_strategy=strategy, allocation=None)
        return self.of(Smote), fewer
