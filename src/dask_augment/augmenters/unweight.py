"""Give events equal weights: keep each with a probability in proportion to its weight."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.columns import number
from dask_augment.events.domains import refuse_broken_weights
from dask_augment.events.strata import Strata
from dask_augment.options import check_columns, is_finite, is_number
from dask_augment.sampling.census import RowsOf
from dask_augment.sampling.ranks import Order, ascending, last_keys
from dask_augment.sampling.ranks import number as number_of

_STREAM = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Unweight(Learner):
    r"""Unweight events by hit or miss: keep each event with a probability in proportion to its weight.

    With the largest weight :math:`w_{max}` of its stratum and a uniform number u, an event stays if

    .. math:: u < |w| / w_{max} \quad \text{and then weighs} \quad w' = \operatorname{sign}(w) \max(|w|, w_{max})

    so all kept events have the weight :math:`\pm w_{max}`, except those that were larger (overweight), which keep their
    weight. The expectation of every sum of weights stays the same, in any histogram. The sums themselves change at
    random, by about :math:`w_{max}` times the root of the number of events in each; sums of :math:`w'^2` give this. To
    keep the sum of each stratum exactly, use ``undersample``. A smaller :math:`w_{max}` keeps the same events and more.
    Negative weights stay negative: their cancellation costs the same as before.

    Parameters
    ----------
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: each has its own largest weight.
    quantile
        The largest weight of a stratum is this quantile of \|w\| of its events. With 1.0 it is the largest of all, so
        that none is overweight; with 0.999 one event in a thousand may be overweight, and far more events stay.
    max_weight
        Instead of a quantile, the largest weight itself, the same for all events (then ``strata`` are not needed, and
        there is nothing to learn).
    weights
        Physics weights: the first decides, and the others (its systematic variations) are multiplied by the same factor.

    Columns out: the weights, with the types they have. Rows are dropped, of training events only; rows of weight 0 are
    always dropped, so put steps that make copies after it. ``train_weight`` stays as it is. Random numbers: one for
    each row. Learns in five questions: the number of rows, and the weight at the quantile in four digits of 16 bits.

    Example
    -------
    ::

        - unweight: {strata: [dataset], quantile: 0.99}
    """

    keeps_rows = False
    keyed = True
    use = "training"
    keeps_weight = "on average"

    strata: Any = ()
    quantile: float = 1.0
    max_weight: float | None = None
    weights: Sequence[str] = ("weight",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_columns(self, "weights", needed=True)
        if not is_number(self.quantile) or not 0 < self.quantile <= 1:
            raise ValueError(f"quantile must lie in (0, 1], got {self.quantile!r}")
        if self.max_weight is None:
            return
        if not (is_finite(self.max_weight) and self.max_weight > 0):
            raise ValueError(f"max_weight must be a positive number, got {self.max_weight!r}")
        if self.quantile != 1.0 or self.strata.entries:
            raise ValueError("max_weight is one number for all events: leave quantile and strata out")

    def uses(self) -> frozenset[str]:
        """Strata and weights."""
        strata: frozenset[str] = self.strata.uses()
        return strata | set(self.weights)

    def produces(self) -> Mapping[str, str | None]:
        """The weights."""
        return dict.fromkeys(self.weights)

    def rescales(self) -> tuple[str, ...]:
        """The weights."""
        return tuple(self.weights)

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Find the largest weight of each stratum."""
        if self.max_weight is not None:
            return Learned({"strata": np.array(["all"]), "max_weight": np.array([float(self.max_weight)])})
        rows = (yield from RowsOf(strata=self.strata).ask()).parts
        # The decimal number that was written: 0.999 of 1000 events are 999.
        part = Fraction(str(self.quantile))
        ranks = {stratum: ceil(part * rows[stratum]) for stratum in sorted(rows)}
        last = yield from last_keys(_BySize(strata=self.strata, weight=self.weights[0]), ranks, whole=True)
        largest = [number_of(last[stratum][0]) for stratum in ranks]
        return Learned({"strata": np.array(list(ranks)), "max_weight": np.array(largest)})

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Keep an event with probability \\|w\\| / w_max, and divide its weights by it."""
        assert draw is not None
        assert self.learned is not None
        which = self.strata.index(events, self.learned["strata"])
        largest = self.learned["max_weight"][which]
        sizes = _sizes(events, self.weights[0])
        # The second condition is the rounding's: u w_max never reaches w_max, but it may be rounded to it.
        source = np.flatnonzero((draw.uniform(_STREAM) * largest < sizes) | ((sizes >= largest) & (sizes > 0)))
        factors = np.maximum(largest[source] / sizes[source], 1.0)
        columns = {}
        for name in self.weights:
            values = number(events, name, source, "weight column", "f")
            columns[name] = (values * factors).astype(values.dtype)
        first = columns[self.weights[0]]
        hit = sizes[source] <= largest[source]
        columns[self.weights[0]] = np.where(hit, np.copysign(largest[source], first), first).astype(first.dtype)
        return Output(columns, source)


@dataclass(frozen=True, kw_only=True, eq=False)
class _BySize(Order):
    """Rows in the order of \\|w\\|."""

    weight: str

    def uses(self) -> frozenset[str]:
        return frozenset({self.weight})

    def keys(self, events: ak.Array, draw: Draw) -> list[NDArray[np.uint64]]:  # noqa: ARG002
        return [ascending(_sizes(events, self.weight))]


def _sizes(events: ak.Array, name: str) -> NDArray[np.float64]:
    """The sizes of the weights, which must be finite."""
    sizes: NDArray[np.float64] = np.abs(number(events, name, what="weight column", kinds="f").astype(np.float64))
    refuse_broken_weights(name, sizes)
    return sizes
