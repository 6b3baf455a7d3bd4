"""Make the weights of a stratum positive, with the sum that they had."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract import Measure, Output
from dask_augment.draw import Draw
from dask_augment.learned import Learned
from dask_augment.sampling.census import STREAM, TRAIN_WEIGHT, Count, Groups, Ints, Key
from dask_augment.sampling.moments import Moments
from dask_augment.sampling.quotas import Quotas, cuts, exponents_of, quotas_of, train_weights
from dask_augment.sampling.report import Likeness, Resampling, counted_alike, reported
from dask_augment.sampling.strategy import apportion
from dask_augment.strata import Strata

_FORMS = ("sum", "uncertainty")


@dataclass(frozen=True, kw_only=True, eq=False)
class PositiveResample(Resampling):
    r"""Give the events of each stratum positive weights with the sum that they had: for models that take no others.

    With N events, :math:`W = \sum w`, :math:`A = \sum |w|` and :math:`Q = \sum w^2` of a stratum, ``keep`` is

    - "sum": all events stay, with :math:`w' = |w|\, W / A` (Andersen, Gütschow, Maier, Prestel, arXiv:2005.09375, in
      bins). The sum of :math:`w'^2` is :math:`Q (W / A)^2`: it understates the statistical uncertainty.
    - "uncertainty": :math:`n = W^2 / Q` events, to the nearest, drawn without replacement, stay, all with
      :math:`w' = W / n`, so that the sum of :math:`w'^2` is Q as before: as many events as tell as much (Nachman,
      Thaler, arXiv:2007.11586, in bins). ``train_weight`` keeps its sum in each stratum.

    Sums of weights of strata stay exactly, as integers in units of a power of two. Inside a stratum weights are averaged:
    how the share of negative weights varies there is lost, so take strata as fine as there are events for. A stratum
    whose sum is not positive is refused. One without negative weights stays as it is with "sum".

    Parameters
    ----------
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``.
    keep
        ``"sum"`` or ``"uncertainty"``.
    weights
        Physics weights (float64), each made positive by itself; n is that of the first.

    Columns out: the weights and, with "uncertainty", ``train_weight`` float64. Rows are kept, or with "uncertainty"
    dropped, of training events only. Random numbers: one 64-bit key for each row. Learns in three questions, or four
    with "uncertainty".
    """

    strata: Any = ()
    keep: str = "sum"
    weights: Sequence[str] = ("weight",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        if isinstance(self.weights, str) or not self.weights:
            raise TypeError(f'weights must be a list of columns, such as ["weight"], got {self.weights!r}')
        object.__setattr__(self, "weights", tuple(self.weights))
        if self.keep not in _FORMS:
            raise ValueError(f"keep must be one of {list(_FORMS)}, got {self.keep!r}")

    def uses(self) -> frozenset[str]:
        """Strata, weights, and train_weight where rows are dropped."""
        return self._signed.uses() | self._whole.uses()

    def produces(self) -> Mapping[str, str | None]:
        """The weights."""
        return {**dict.fromkeys(self.weights), **({TRAIN_WEIGHT: "float64"} if self._whole.train else {})}

    @property
    def _signed(self) -> Groups:
        """Groups of one stratum and one sign of each weight."""
        return Groups(self.strata, tuple(self.weights), train=False)

    @property
    def _whole(self) -> Groups:
        """Groups of one stratum."""
        return Groups(self.strata, (), self.keep == "uncertainty")

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Count, add up weights and squares, and divide."""
        groups = Groups(self.strata, tuple(self.weights), self._whole.train)
        census, likeness = yield from counted_alike(groups)
        exponents = exponents_of(census, len(self.weights))
        sums: Mapping[Key, Ints] = (yield from Moments(groups=self._signed, exponents=exponents).ask()).parts
        totals = {stratum: [_net(i, stratum, sums) for i in range(len(self.weights))] for stratum in exponents}
        for stratum, nets in totals.items():
            for name, net, exponent in zip(self.weights, nets, exponents[stratum], strict=True):
                if net <= 0:
                    raise ValueError(
                        f"the sum of {name!r} in stratum {stratum!r} is {np.ldexp(float(net), exponent):.6g}, which no "
                        "positive weights have; merge it with another stratum, for instance by wider bins"
                    )
        if self.keep == "sum":
            return (yield from self._rescaled(census, sums, totals, exponents))
        return (yield from self._drawn(census, sums, totals, exponents, likeness))

    def _rescaled(
        self, census: Mapping[Key, Count], sums: Mapping[Key, Ints], totals: Mapping[str, list[int]],
        exponents: Mapping[str, tuple[int, ...]],
    ) -> Generator[Measure[Any], Any, Learned]:  # fmt: skip
        """The sum of a stratum, divided between its signs as the sizes of their weights are."""
        wanted: dict[Key, list[int]] = {key: [] for key in census}
        for i in range(len(self.weights)):
            for stratum, nets in totals.items():
                keys = [key for key in census if key.stratum == stratum]
                sizes = [sums[key].values[2 * i] for key in keys]
                for key, want in zip(keys, apportion(nets[i], sizes, [0] * len(keys), sizes), strict=True):
                    wanted[key].append(want)
        both = {key: (tuple(wanted[key]), sums[key].values[::2]) for key in census}
        rows = {key: count.rows for key, count in census.items()}
        return (yield from quotas_of(self._signed, census, rows, {}, exponents, both).learned(drops=False))

    def _drawn(
        self, census: Mapping[Key, Count], sums: Mapping[Key, Ints], totals: Mapping[str, list[int]],
        exponents: Mapping[str, tuple[int, ...]], likeness: Likeness,
    ) -> Generator[Measure[Any], Any, Learned]:  # fmt: skip
        """As many rows of each stratum as have its sum of squares, each with the same weight."""
        strata: dict[Key, Count] = {}
        for key, count in census.items():
            stratum, bare = Key(key.stratum, ""), replace(count, bounds=Ints(()))
            strata[stratum] = strata[stratum] + bare if stratum in strata else bare
        quotas = {}
        for key, count in strata.items():
            net = totals[key.stratum][0]
            squares = sum(found.values[1] for signed, found in sums.items() if signed.stratum == key.stratum)
            quotas[key] = min(max((2 * net**2 + squares) // (2 * squares), 1), count.rows)
        none = exponents_of(strata, 0)
        found = yield from cuts(self._whole, strata, quotas, none)
        train = {
            key: ((count.train,), (found[key].taken[-1] if key in found else count.train,))
            for key, count in strata.items()
        }
        shares = [[divmod(net, quotas[key]) for net in totals[key.stratum]] for key in strata]
        arrays = {
            "share": np.array(shares, np.int64),
            "powers": np.array([exponents[key.stratum] for key in strata], np.int64),
        }
        rules = quotas_of(self._whole, strata, quotas, found, none, train)
        times = {key: {1: quota} for key, quota in quotas.items()}
        return (yield from reported(self, rules, strata, times, likeness, drops=True, more=arrays))

    def quotas_from(self, learned: Mapping[str, NDArray[Any]]) -> Quotas:
        """The quotas: of strata and signs, where all rows stay, or of strata."""
        return Quotas(self._signed if self.keep == "sum" else self._whole, learned)

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Rescale, or draw."""
        assert draw is not None
        assert self.learned is not None
        bits = draw.bits(STREAM)
        quotas = self.quotas_from(self.learned)
        if self.keep == "sum":
            which = quotas.find(events)
            units = quotas.rescaled(events, which, bits)
            columns: dict[str, Any] = {}
            for i, name in enumerate(self.weights):
                columns[name] = np.abs(quotas.weight(i, quotas.groups.weight(events, name), units[i], which))
            return Output(columns, np.arange(len(events)))
        which = quotas.find(events)
        source = np.flatnonzero(quotas.taken(bits, which))
        events, which, bits = events[source], which[source], bits[source]
        columns = {name: self._equal(i, which, bits) for i, name in enumerate(self.weights)}
        columns[TRAIN_WEIGHT] = train_weights(quotas.rescaled(events, which, bits)[-1])
        return Output(columns, source)

    def _equal(self, i: int, which: NDArray[np.int64], bits: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Weight i of rows that all have the same, but for the units that are left over."""
        assert self.learned is not None
        share, left = self.learned["share"][which, i].T
        units = share + np.where(bits == self.learned["first"][which], left, 0)
        weight: NDArray[np.float64] = np.ldexp(units.astype(np.float64), self.learned["powers"][which, i])
        return weight


def _net(i: int, stratum: str, sums: Mapping[Key, Ints]) -> int:
    """The sum of weight i in a stratum: of the positive ones less that of the negative ones."""
    signs = {"-": -1, "0": 0, "+": 1}
    return sum(signs[key.signs[i]] * found.values[2 * i] for key, found in sums.items() if key.stratum == stratum)
