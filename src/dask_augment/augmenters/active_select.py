"""Mark the most informative events of each stratum, by the score of a model."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.columns import number
from dask_augment.events.strata import Strata
from dask_augment.options import check_choices, check_count, check_new, options_of
from dask_augment.sampling.census import Groups, RowsOf
from dask_augment.sampling.ranks import Order, ascending, last_keys

_STREAM = 0
_ORDERS = ("uncertain", "highest", "lowest")


@options_of(Groups)
@dataclass(frozen=True, kw_only=True, eq=False)
class ActiveSelect(Learner):
    r"""Mark the ``size`` most informative events of each stratum of the whole data set, by a score.

    Active learning: a model trained on some events gives every event a score, and the next model is trained on the
    events about which the first was least certain. Among events with equal scores a random number decides, so that the
    numbers are exact. A larger size marks the same events and more.

    Rows and weights stay as they are, because the marked events are not a random sample: with the others dropped, no
    histogram of physics weights would be right. Select ``active == 1`` when you read. To drop most of the others at
    random, let ``undersample`` follow, with "active" among its strata.

    Parameters
    ----------
    score
        Column with one number for each event; NaN is refused.
    size
        Events to mark in each stratum, or all if there are fewer; or ``{stratum: events}``, none in strata that are
        left out.
    informative
        ``"uncertain"``: scores are probabilities, and those next to 1/2 come first; ``"highest"``, ``"lowest"``: the
        score itself measures how informative an event is, such as an entropy or the distance from a border.
    column
        The column of marks; one of another name than this may not be there yet.

    Columns out: the mark, int8, 1 or 0; 0 for events that are not for training. Rows are kept. Random numbers: a 64-bit
    key for each row. Learns in three questions as a rule, and at most nine: rows of each stratum, and the score of the
    last one, digit by digit.

    Example
    -------
    ::

        - active_select: {score: margin, size: 1000, strata: [label]}
    """

    keyed = True
    use = "training"

    score: str
    size: int | Mapping[str, int]
    strata: Any = ()
    informative: str = "uncertain"
    column: str = "active"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_choices(self, informative=_ORDERS)
        for size in self.size.values() if isinstance(self.size, Mapping) else [self.size]:
            check_count("size", size, 0)

    def uses(self) -> frozenset[str]:
        """Strata and the score."""
        strata: frozenset[str] = self.strata.uses()
        return strata | {self.score}

    def produces(self) -> Mapping[str, str | None]:
        """The mark."""
        return {self.column: "int8"}

    @property
    def _order(self) -> _ByScore:
        return _ByScore(strata=self.strata, score=self.score, informative=self.informative)

    def matched(self, columns: Collection[str]) -> Augmenter:
        """The step; ValueError where another column would be overwritten."""
        check_new(self, "column", columns)
        return self

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, and find the last event to mark in each stratum."""
        rows = (yield from RowsOf(strata=self.strata).ask()).parts
        if isinstance(self.size, Mapping):
            if unknown := sorted(set(self.size) - set(rows)):
                raise ValueError(f"size names the strata {unknown}, which are not there; there are {sorted(rows)[:8]}")
            size = {stratum: self.size.get(stratum, 0) for stratum in rows}
        else:
            size = dict.fromkeys(rows, self.size)
        ranks = {stratum: min(size[stratum], rows[stratum]) for stratum in sorted(rows)}
        last = yield from last_keys(self._order, {s: rank for s, rank in ranks.items() if rank}, whole=False)
        for stratum, (_, taken) in last.items():
            if taken != ranks[stratum]:
                raise ValueError(
                    f"two rows of stratum {stratum!r} have the same score and 64-bit random key; change the seed"
                )
        words = [divmod(last[stratum][0] if stratum in last else 0, 2**64) for stratum in ranks]
        return Learned({
            "strata": np.array(list(ranks)),
            "size": np.array(list(ranks.values()), np.int64),
            "last": np.array(words, np.uint64).reshape(-1, 2),
        })  # fmt: skip

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Mark the rows up to the last one."""
        assert draw is not None
        assert self.learned is not None
        which = self.strata.index(events, self.learned["strata"])
        high, low = self._order.keys(events, draw)
        last_high, last_low = self.learned["last"][which].T
        within = (high < last_high) | ((high == last_high) & (low <= last_low))
        return Output({self.column: (within & (self.learned["size"][which] > 0)).astype(np.int8)})


@dataclass(frozen=True, kw_only=True, eq=False)
class _ByScore(Order):
    """Rows by their score, the most informative first, and those with equal ones by a random key."""

    words: ClassVar[int] = 2
    score: str
    informative: str

    def uses(self) -> frozenset[str]:
        return frozenset({self.score})

    def keys(self, events: ak.Array, draw: Draw) -> list[NDArray[np.uint64]]:
        values = number(events, self.score, what="score", kinds="iuf").astype(np.float64)
        if broken := int(np.sum(np.isnan(values))):
            raise ValueError(f"score {self.score!r} is NaN in {broken} rows; select those with a score first")
        if self.informative == "uncertain":
            if np.any(out := (values < 0) | (values > 1)):
                raise ValueError(
                    f"score {self.score!r} has {int(out.sum())} values outside [0, 1], the first is {values[out][0]}; "
                    'informative="uncertain" takes probabilities, "highest" and "lowest" any numbers'
                )
            values = np.abs(values - 0.5)
        return [ascending(-values if self.informative == "highest" else values), draw.bits(_STREAM)]
