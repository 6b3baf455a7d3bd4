"""Steps that hold steps: a policy, a compound of compounds, and operations with the same fields."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import awkward as ak
import numpy as np

from dask_augment import Augmenter, Learned, Learner, Measure, Output
from dask_augment.contract.compound import Compound
from dask_augment.contract.draw import Draw
from run_toys import SCALE, Total


@dataclass(frozen=True, kw_only=True, eq=False)
class Up(Augmenter):
    """Adds to the missing momentum."""

    sign: ClassVar[float] = 1.0
    by: float = 1.0

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"MET.pt": None}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        pt = np.asarray(events.MET.pt)
        return Output({"MET.pt": (pt + self.sign * self.by).astype(pt.dtype)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Down(Up):
    """The same fields, and the opposite."""

    sign: ClassVar[float] = -1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Centre(Learner):
    """Missing momentum less the sum of all, under a name."""

    to: str = "centred"
    size: int = 1

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {self.to: "float64"}

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        total = yield from Total().ask()
        return Learned({"sum": np.full(self.size, total / SCALE)})

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert self.learned is not None
        return Output({self.to: np.asarray(events.MET.pt).astype(np.float64) - self.learned["sum"][0]})


@dataclass(frozen=True)
class Choice:
    """An operation and how often."""

    step: Augmenter
    p: float = 0.5


@dataclass(frozen=True)
class Uniform:
    low: float = 0.0


@dataclass(frozen=True)
class LogUniform:
    low: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy(Augmenter):
    """All its operations, one after the other."""

    ops: tuple[Augmenter | tuple[str, Augmenter], ...] = field(default=(), metadata={"shorthand": True})
    first: Augmenter | None = None
    named: Mapping[str, Augmenter] | None = None
    choices: tuple[Choice, ...] = ()
    hidden: Any = None
    spread: Any = None

    @property
    def all(self) -> list[Augmenter]:
        ops = [op[1] if isinstance(op, tuple) else op for op in self.ops]
        first = [] if self.first is None else [self.first]
        return [*first, *ops, *dict(self.named or {}).values(), *(choice.step for choice in self.choices)]

    def uses(self) -> frozenset[str]:
        return frozenset().union(*(op.uses() for op in self.all))

    def produces(self) -> Mapping[str, str | None]:
        return {name: kind for op in self.all for name, kind in op.produces().items()}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        made: dict[str, Any] = {}
        for op in self.all:
            made |= op.apply(events, draw).columns
            for name, values in made.items():
                events = ak.with_field(events, values, name.split("."))
        return Output(made)


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain(Compound):
    """Its steps, one after the other."""

    ops: tuple[Augmenter, ...]

    def steps(self) -> tuple[Augmenter, ...]:
        return self.ops
