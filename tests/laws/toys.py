"""Honest augmenters of few lines: one of each kind, which the laws must let pass, and which mutants spoil."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from dask_augment import Augmenter, Learned, Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import flatten, jagged


def met_pt(events: ak.Array) -> np.ndarray[Any, Any]:
    return np.asarray(events.MET.pt)


@dataclass(frozen=True, kw_only=True, eq=False)
class Feature(Augmenter):
    """One number for each event."""

    factor: float = 2.0

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"feature": "float64"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": met_pt(events).astype(np.float64) * self.factor})


@dataclass(frozen=True, kw_only=True, eq=False)
class JetField(Augmenter):
    """One number for each jet, and one and three for each event, strided."""

    def uses(self) -> frozenset[str]:
        return frozenset({"Jet.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"Jet.half": "float32", "first": "float32", "triple": "3 * float32"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        table = np.zeros((len(events), 6), np.float32)[:, ::2]
        return Output({"Jet.half": self.halves(events), "first": table[:, 0], "triple": table})

    def halves(self, events: ak.Array) -> Any:
        return jagged(events.Jet.pt, (flatten(events.Jet.pt) / 2).astype(np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class Smear(Augmenter):
    """Another missing momentum for each training row."""

    keyed = True
    use = "training"

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"MET.pt": None}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert draw is not None
        pt = met_pt(events)
        return Output({"MET.pt": (pt * np.exp(0.1 * self.normal(draw))).astype(pt.dtype)})

    def normal(self, draw: Draw) -> np.ndarray[Any, Any]:
        return draw.normal(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Generate(Augmenter):
    """Two rows from each training row, with a missing momentum of their own."""

    keeps_rows = False
    makes = "generated"
    keyed = True
    use = "training"

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"MET.pt": None}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert draw is not None
        source = np.repeat(np.arange(len(events)), 3)
        nth = np.tile(np.arange(3, dtype=np.int32), len(events))
        pt = met_pt(events)[source]
        made = pt + self.exponential(draw, source, nth)
        return Output({"MET.pt": np.where(nth == 0, pt, made).astype(pt.dtype)}, source, nth)

    def exponential(self, draw: Draw, source: Any, nth: Any) -> np.ndarray[Any, Any]:
        return -np.log1p(-draw.at(source, nth).uniform(0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Thin(Augmenter):
    """Drop training rows of weight 0, with which no weight is lost."""

    keeps_rows = False
    use = "training"

    def uses(self) -> frozenset[str]:
        return frozenset({"weight"})

    def produces(self) -> Mapping[str, str | None]:
        return {}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({}, np.flatnonzero(np.asarray(events.weight) != 0))


SCALE = 2**20


@dataclass
class Sums:
    """Whole numbers, so that any order of the sum gives the same bits."""

    rows: int
    total: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.rows + other.rows, self.total + other.total)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean(Measure[Sums]):
    exact: bool = True

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def measure(self, events: ak.Array, draw: Draw | None) -> Sums:
        pt = met_pt(events)
        return Sums(
            len(pt), int(np.round(pt * SCALE).astype(np.int64).sum()) if self.exact else float(pt.sum() * SCALE)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Centre(Learner):
    """Missing momentum less its mean."""

    keyed = True

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"centred": "float64"}

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        sums: Sums = yield from self.question().ask()
        return Learned({"mean": np.float64(sums.total / sums.rows / SCALE)})

    def question(self) -> Measure[Sums]:
        return Mean()

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert self.learned is not None
        return Output({"centred": met_pt(events).astype(np.float64) - self.learned["mean"]})


HONEST = (Feature(), JetField(), Smear(), Generate(), Thin(), Centre())
