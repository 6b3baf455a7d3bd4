"""Change the training weights of strata, without dropping or making rows."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import awkward as ak

from dask_augment.contract.augmenter import Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.strata import Strata
from dask_augment.options import is_finite, is_number, options_of
from dask_augment.sampling.carried import exponents_of, total_train
from dask_augment.sampling.census import STREAM, Count, Groups, Key
from dask_augment.sampling.quotas import Quotas, counted, quotas_of
from dask_augment.sampling.strategy import apportion

_MODES = ("balanced", "effective")
_FINE = 2**62
"""Shares are counted in units of this part of the largest."""


@options_of(Groups)
@dataclass(frozen=True, kw_only=True, eq=False)
class ClassWeights(Learner):
    r"""Multiply ``train_weight`` by one factor for each stratum; rows and physics weights stay as they are.

    With :math:`N_h` events and a sum :math:`W_h` of train_weight in stratum h, the factors are in proportion to

    - "balanced": :math:`1 / W_h`, so that all K strata have the same sum: :math:`W / (K W_h)`, as ``class_weight`` of
      scikit-learn;
    - "effective": :math:`(1 - \beta) / (1 - \beta^{N_h})`, one over the effective number of events (Cui, Jia, Lin, Song,
      Belongie, arXiv:1901.05555): 1 for all at :math:`\beta = 0`, nearly :math:`1 / N_h` as :math:`\beta \to 1`;
    - costs: the cost of a wrong decision about an event of the stratum; for a matrix of costs :math:`C(h, j)`, its sum
      over the other strata j.

    and scaled so that the sum over all strata stays the same. Sums are exact integers in units of a power of two.

    Parameters
    ----------
    class_weight
        ``"balanced"``, ``"effective"``, the costs ``{stratum: cost}``, or their matrix
        ``{stratum: {other stratum: cost}}``. Strata that are left out have cost 1; a cost may be 0.
    beta
        For "effective", in [0, 1).

    Columns out: ``train_weight`` float64 (1 before, where there is none yet). Rows are kept. Random numbers: one 64-bit
    key for each row, which decides the rows that get the remainders of rounding down. Learns in two questions.

    Example
    -------
    ::

        - class_weights: {strata: [signal]}
    """

    keyed = True
    use = "training"

    strata: Any = ()
    class_weight: str | Mapping[str, Any] = "balanced"
    beta: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        if isinstance(self.class_weight, Mapping):
            _costs(self.class_weight)
        elif self.class_weight not in _MODES:
            raise ValueError(
                f"class_weight must be one of {list(_MODES)} or a dictionary of costs, got {self.class_weight!r}"
            )
        if (self.beta is not None) != (self.class_weight == "effective"):
            raise ValueError(
                f'beta is for class_weight="effective", which needs one; got beta={self.beta!r}, '
                f"class_weight={self.class_weight!r}"
            )
        if self.beta is not None and not (is_number(self.beta) and 0 <= self.beta < 1):
            raise ValueError(f"beta must lie in [0, 1), got {self.beta!r}")

    def uses(self) -> frozenset[str]:
        """Strata and train_weight."""
        return self._groups.uses()

    def produces(self) -> Mapping[str, str | None]:
        """The weight for training."""
        return {TRAIN_WEIGHT: "float64"}

    @property
    def _groups(self) -> Groups:
        return Groups(self.strata)

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, and divide the sum of all train_weight over the strata."""
        groups = self._groups
        census = yield from counted(groups)
        exponents = exponents_of(census, groups)
        total, power = total_train(census, {stratum: found[-1] for stratum, found in exponents.items()})
        with localcontext(prec=40):
            shares = self._shares(census, {stratum: found[-1] - power for stratum, found in exponents.items()})
        wanted = apportion(total, shares, [0] * len(shares), [total if share else 0 for share in shares])
        sums = {key: ((want,), (count.train,)) for (key, count), want in zip(census.items(), wanted, strict=True)}
        rows = {key: count.rows for key, count in census.items()}
        quotas = quotas_of(groups, census, rows, {}, exponents, sums, dict.fromkeys(exponents, power))
        return (yield from quotas.learned(drops=False))

    def _shares(self, census: Mapping[Key, Count], powers: Mapping[str, int]) -> list[int]:
        """What part of all train_weight each stratum is to have, in proportion, as integers.

        ``powers``: the power of two that a stratum's sum is to be multiplied with.
        """
        have = {key: count.train * Decimal(2) ** powers[key.stratum] for key, count in census.items()}
        if isinstance(self.class_weight, Mapping):
            costs = _costs(self.class_weight)
            known = {key.stratum for key in census}
            if unknown := sorted({*costs, *_others(self.class_weight)} - known):
                raise ValueError(
                    f"class_weight names the strata {unknown}, which are not there; there are {sorted(known)[:8]}"
                )
            factors = {key: Decimal(costs.get(key.stratum, 1.0)) * have[key] for key in census}
        elif self.beta is None:
            factors = {key: Decimal(1 if have[key] else 0) for key in census}
        else:
            factors = {key: have[key] / _effective(self.beta, count.rows) for key, count in census.items()}
        largest = max(factors.values())
        if not largest:
            raise ValueError(
                f"no stratum would have any {TRAIN_WEIGHT}: costs, or the {TRAIN_WEIGHT} of all rows, are 0"
            )
        return [int(factor / largest * _FINE) for factor in factors.values()]

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Rescale train_weight."""
        assert draw is not None
        assert self.learned is not None
        quotas = Quotas(self._groups, self.learned)
        which = quotas.find(events)
        units = quotas.rescaled(events, which, draw.bits(STREAM))
        return Output({TRAIN_WEIGHT: quotas.trained(units[-1], which)})


def _effective(beta: float, rows: int) -> Decimal:
    """(1 - beta**rows) / (1 - beta); decimal numbers are the same on every computer."""
    part = Decimal(beta)
    return (1 - part**rows) / (1 - part)


def _costs(class_weight: Mapping[str, Any]) -> dict[str, float]:
    """The cost of each stratum: given, or the sum of its row of a matrix."""
    costs = {}
    for stratum, given in class_weight.items():
        row = list(given.values()) if isinstance(given, Mapping) else [given]
        for cost in row:
            if not (is_finite(cost) and cost >= 0):
                raise ValueError(f"the cost of stratum {stratum!r} must be a number, 0 or more, got {cost!r}")
        if isinstance(given, Mapping) and stratum in given:
            raise ValueError(f"class_weight gives stratum {stratum!r} a cost against itself; leave that out")
        costs[str(stratum)] = float(sum(row))
    return costs


def _others(class_weight: Mapping[str, Any]) -> set[str]:
    """Strata that a matrix names as what others are taken for."""
    return {other for row in class_weight.values() if isinstance(row, Mapping) for other in row}
