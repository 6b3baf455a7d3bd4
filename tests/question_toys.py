"""Learners whose questions are about other rows, after other steps, or train something: small, with numbers by hand."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.contract.questions import Fit, Together

SCALE = 2**20


def fixed(events: ak.Array, name: str) -> NDArray[np.int64]:
    return np.rint(np.asarray(events[tuple(name.split("."))]).astype(np.float64) * SCALE).astype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sum(Measure[NDArray[np.int64]]):
    """Rows and the sum of a column in fixed point."""

    column: str = "MET.pt"

    def uses(self) -> frozenset[str]:
        return frozenset({self.column})

    def measure(self, events: ak.Array, draw: Draw | None) -> NDArray[np.int64]:
        return np.array([len(events), fixed(events, self.column).sum()])


@dataclass(frozen=True, kw_only=True, eq=False)
class Column(Learner):
    """Base: one column from MET.pt and what was learned, ``value``."""

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"found": "float64"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert self.learned is not None
        return Output({"found": np.asarray(events.MET.pt).astype(np.float64) - self.learned["value"].sum()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Overtrained(Column):
    """The mean of the rows that are for training, of the others and of all, in one pass."""

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        kinds = ("train", "test", "all")
        sums = yield from Together(questions=tuple(Sum(rows=rows) for rows in kinds)).ask()
        return Learned({"value": np.array([total / SCALE / rows for rows, total in sums])})


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds(Column):
    """Half of the mean residual is learned in each round: of what is left after the rounds before it."""

    rounds: int = 3

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        values: list[float] = []
        for _ in range(self.rounds):
            far: Augmenter = replace(self, learned=Learned({"value": np.array([0.0, *values])}))
            rows, residual = yield from Sum(column="found", after=(far,)).ask()
            values.append(residual / SCALE / rows / 2)
        return Learned({"value": np.array(values)})


@dataclass(frozen=True)
class Points:
    """Values in pieces, in the order of the partitions."""

    pieces: tuple[NDArray[Any], ...]

    def __add__(self, other: Points) -> Points:
        return Points(self.pieces + other.pieces)


@dataclass(frozen=True, kw_only=True, eq=False)
class Median(Fit):
    """What a training stands for: all values on one worker, which says who it is."""

    needs: Mapping[str, float] | None = None

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def resources(self) -> Mapping[str, float]:
        return self.needs or {}

    def measure(self, events: ak.Array, draw: Draw | None) -> Points:
        return Points((np.asarray(events.MET.pt).astype(np.float64),))

    def fit(self, total: Any) -> Learned:
        sides = total if isinstance(total, tuple) else (total,)
        values = [float(np.median(np.concatenate(side.pieces))) for side in sides]
        return Learned({"value": np.array(values), "worker": np.array(_worker())})


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained(Column):
    """The median, that one worker finds."""

    needs: Mapping[str, float] | None = None

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        return (yield from Median(needs=self.needs).ask())


def moved() -> Generator[Measure[Any], Any, float]:
    """How far the mean of one data set is from that of another, in widths of the first: two rounds of questions."""
    (rows, first), (others, second) = yield from Sum().ask()
    mean, other = first / SCALE / rows, second / SCALE / others
    (_, squares), _ = yield from Squares(mean=mean).ask()
    return float(other - mean) / float(np.sqrt(squares / SCALE / rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class Squares(Measure[NDArray[np.int64]]):
    """Rows and the sum of squared distances from a mean."""

    mean: float

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def measure(self, events: ak.Array, draw: Draw | None) -> NDArray[np.int64]:
        far = (np.asarray(events.MET.pt).astype(np.float64) - self.mean) ** 2
        return np.array([len(events), np.rint(far * SCALE).astype(np.int64).sum()])


def _worker() -> str:
    try:
        from distributed import get_worker

        return str(get_worker().name)
    except (ImportError, ValueError):
        return "none"
