"""Mark several balanced draws from the events at once, for an ensemble of classifiers."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.strata import Strata
from dask_augment.options import check_count, check_new, options_of
from dask_augment.sampling.census import Groups, RowsOf
from dask_augment.sampling.ensemble import last_members
from dask_augment.sampling.strategy import Strategy, check_strategy, targets

_MOST = 64
"""The bits of a mask."""


@options_of(Groups)
@dataclass(frozen=True, kw_only=True, eq=False)
class BalancedEnsemble(Learner):
    r"""Mark several balanced draws from the events at once, each for one classifier of an ensemble.

    Each draw takes from every stratum exactly as many events as ``sampling_strategy`` says, without replacement, all
    equally likely. The draws are independent of each other. An event is in draw t if bit t of the mask is set:

    ``events[events.ensemble >> np.uint64(t) & np.uint64(1) == 1]``

    With "auto" every draw has all events of the smallest stratum and as many of each other one. A single under-sampled
    set would lose most of a large stratum; the draws together see much of it. These are the training sets of
    EasyEnsemble (Liu, Wu, Zhou, IEEE Trans. SMC B 39 (2009) 539) and of balanced bagging without replacement. All rows
    stay, with the weights they have. An additional draw does not change the earlier ones; a higher quota keeps the
    events of each draw and adds some.

    Parameters
    ----------
    sampling_strategy
        Of each draw, as in imbalanced-learn's under-sampling: ``"auto"`` (all strata as small as the smallest),
        ``"majority"``, ``"not minority"``, ``"not majority"``, ``"all"``, for two strata the ratio small / large, or
        ``{stratum: events}``.
    draws
        How many, at most 64.
    column
        The column of masks; one of another name than this may not be there yet.

    Columns out: the mask, uint64; 0 for events that are not for training. Rows are kept. Random numbers: a 64-bit key
    for each row and draw. Learns in two questions as a rule: rows of each stratum; keys next to the quota.

    Example
    -------
    ::

        - balanced_ensemble: {strata: [signal], draws: 10}
    """

    keyed = True
    use = "training"

    strata: Any = ()
    sampling_strategy: Strategy = "auto"
    draws: int = 10
    column: str = "ensemble"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_strategy(self.sampling_strategy, "under")
        check_count("draws", self.draws, most=_MOST)

    def uses(self) -> frozenset[str]:
        """Strata."""
        strata: frozenset[str] = self.strata.uses()
        return strata

    def produces(self) -> Mapping[str, str | None]:
        """The mask."""
        return {self.column: "uint64"}

    def matched(self, columns: Collection[str]) -> Augmenter:
        """The step; ValueError where another column would be overwritten."""
        check_new(self, "column", columns)
        return self

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, and find the last key of each stratum in each draw."""
        rows = (yield from RowsOf(strata=self.strata).ask()).parts
        quotas = targets(rows, self.sampling_strategy, "under")
        last = yield from last_members(self.strata, self.draws, rows, quotas)
        strata = sorted(rows)
        return Learned({
            "strata": np.array(strata),
            "quota": np.array([quotas[stratum] for stratum in strata], np.int64),
            "last": np.array([last[stratum] for stratum in strata], np.uint64).reshape(len(strata), self.draws),
        })  # fmt: skip

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Set the bit of each draw whose last key is not below the row's."""
        assert draw is not None
        assert self.learned is not None
        which = self.strata.index(events, self.learned["strata"])
        mask = np.zeros(len(events), np.uint64)
        some = self.learned["quota"][which] > 0
        for number in range(self.draws):
            taken = (draw.bits(number) <= self.learned["last"][which, number]) & some
            mask |= taken.astype(np.uint64) << np.uint64(number)
        return Output({self.column: mask})
