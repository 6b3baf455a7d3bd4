from __future__ import annotations

import pickle
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from dask.tokenize import tokenize

from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.configuration import plain
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.contract.questions import taught


@dataclass(frozen=True, kw_only=True, eq=False)
class Shift(Augmenter):
    by: float = 1.0
    columns: tuple[str, ...] = ("x",)

    def uses(self) -> frozenset[str]:
        return frozenset(self.columns)

    def produces(self) -> Mapping[str, str | None]:
        return dict.fromkeys(self.columns)

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({name: events[name] + self.by for name in self.columns})


@dataclass(frozen=True, kw_only=True, eq=False)
class Other(Shift):
    pass


@dataclass(frozen=True, kw_only=True, eq=False)
class Total(Measure[int]):
    below: int

    def uses(self) -> frozenset[str]:
        return frozenset({"x"})

    def measure(self, events: ak.Array, draw: Draw | None) -> int:
        return int(ak.sum(events.x[events.x < self.below]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds(Learner):
    """Asks until it knows: each question rests on the answer to the one before."""

    makes = ""
    rounds: int = 2

    def uses(self) -> frozenset[str]:
        return frozenset({"x"})

    def produces(self) -> Mapping[str, str | None]:
        return {}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({})

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        total = 100
        for _ in range(self.rounds):
            total = yield from Total(below=total).ask()
        return Learned({"total": np.array(total)})


def test_equality_is_that_of_class_and_configuration() -> None:
    assert Shift(by=2.0) == Shift(by=2.0)
    assert hash(Shift(by=2.0)) == hash(Shift(by=2.0))
    assert tokenize(Shift(by=2.0)) == tokenize(Shift(by=2.0))
    assert Shift(by=2.0) == pickle.loads(pickle.dumps(Shift(by=2.0)))
    different = [Shift(), Shift(by=2.0), Shift(columns=("y",)), Other()]
    assert len({step.digest for step in different}) == len(different)
    assert len({tokenize(step) for step in different}) == len(different)
    assert Shift() != "text"


def test_a_list_from_a_plan_is_the_tuple_of_python() -> None:
    assert Shift(columns=["x"]) == Shift(columns=("x",))  # type: ignore[arg-type]


def test_learned_arrays_are_part_of_it() -> None:
    step = Rounds()
    one, two = (replace(step, learned=Learned({"total": np.array(value)})) for value in (1, 2))
    assert len({step.digest, one.digest, two.digest}) == 3
    assert one == replace(step, learned=Learned({"total": np.array(1)}))
    assert "learned" not in one.configuration()


def test_frozen_and_keyword_only() -> None:
    with pytest.raises(AttributeError):
        Shift().by = 3.0
    with pytest.raises(TypeError, match="positional"):
        Shift(3.0)


@dataclass(frozen=True)
class Part:
    x: int


@dataclass(frozen=True)
class Planned:
    x: int

    def as_plan(self) -> dict[str, int]:
        return {"y": self.x}


def test_plain() -> None:
    value = {"b": (1, np.float32(0.5)), "a": frozenset({"y", "x"}), 3: None, "p": Part(1), "q": [Planned(2)]}
    assert plain(value) == {"3": None, "a": ["x", "y"], "b": [1, 0.5], "p": {"x": 1}, "q": [{"y": 2}]}
    assert list(plain(value)) == ["3", "a", "b", "p", "q"]
    with pytest.raises(TypeError, match="not ndarray"):
        plain({"a": np.zeros(3)})


def test_taught() -> None:
    events = ak.Array({"x": [1, 2, 3, 50, 200]})
    asked: list[int] = []

    def ask(measure: Measure[Any]) -> Any:
        asked.append(measure.below)
        return sum(measure.measure(part, None) for part in (events[:2], events[2:]))

    step = Rounds(rounds=3)
    learner = taught(step, ask)
    assert asked == [100, 56, 56]
    assert learner.learned["total"] == 56
    assert step.learned is None
    assert taught(Rounds(rounds=0), ask).learned["total"] == 100


def test_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Augmenter()
    assert Shift().resources() == {}
