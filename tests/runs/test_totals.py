"""Totals as bytes that hold values only: every question of the package has them, and nothing else is made of them."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dask_augment import Learner
from dask_augment.contract.flow import Step
from dask_augment.contract.ids import IdTable, Spans
from dask_augment.frames.learning import Events, teach
from dask_augment.frames.questions import Questions, Totals
from dask_augment.frames.stage import Stage
from dask_augment.laws.case import Case
from dask_augment.plans import registry
from dask_augment.runs.totals import NotKept, from_bytes, to_bytes
from dask_augment.sampling.census import ByGroup, Count, Ints, Key
from laws.examples import EXAMPLES


def same(one: Any, other: Any) -> bool:
    """Equal in value and in class, down to each number."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())
    if isinstance(one, dict):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one.items(), other.items(), strict=True))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, n), getattr(other, n)) for n in one.__dataclass_fields__)
    return repr(one) == repr(other)


@pytest.mark.parametrize(
    "total",
    [
        None, True, -(2**900), 0.1, float("nan"), "µ\ud800", (1, [2, ()], {}), np.float32(0.1), np.str_("a"),
        {("wz", 1): [(2, 3)], None: np.uint64(2**64 - 1)}, np.zeros((0, 3), np.uint64), np.array(["a", "bc"]),
        ByGroup({Key("a", "+"): Count(1, 2**64 - 1, 1, Ints((2**1500,)), Ints((0,)), 3)}),
        Spans({("wz", 1): [(0, 2**64 - 1)]}), IdTable({("wz",): [np.ones((2, 2), np.uint64)]}),
    ],
)  # fmt: skip
def test_what_comes_back(total: Any) -> None:
    assert same(from_bytes(to_bytes(total)), total)


LEARNERS = [
    (name, options)
    for name in registry.names()
    for options in EXAMPLES[name]
    if issubclass(registry.get(name), Learner)
]


@pytest.mark.parametrize(("name", "options"), LEARNERS)
def test_every_answer_of_a_learner_comes_back(name: str, options: dict[str, Any]) -> None:
    """A question whose answers cannot be kept would be asked again after each kill, and nobody would see it."""
    case, seen = Case(registry.get(name)(**options)), []

    def put(questions: Questions) -> Totals:
        totals = questions.measure(case.events)
        seen.extend(totals.answers)
        return totals

    teach(Events(Stage((Step(case.label, case.untaught),), case.setting), put), check=case.label)
    assert seen
    for answer in seen:
        assert same(from_bytes(to_bytes(answer)), answer), answer


@dataclass(frozen=True)
class Mine:
    """A total of a user's."""

    n: int

    def __add__(self, other: Mine) -> Mine:
        return Mine(self.n + other.n)


@pytest.mark.parametrize(
    "total",
    [Mine(1), Counter("a"), {1}, np.array([None]), ByGroup({"a": Mine(1)}), 10**5000],
    ids=lambda total: type(total).__name__,
)
def test_other_classes_are_not_kept(total: Any) -> None:
    with pytest.raises(NotKept):
        to_bytes(total)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def archive(tree: Any, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def test_what_is_planted_is_not_executed(tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    bad = [
        pickle.dumps(Evil(evil)),
        archive(["array", 0], a0=np.array([Evil(evil)], object)),
        archive(["os:mkdir", ["plain", str(evil)]]),
        archive(["pathlib:Path", ["plain", "x"]]),
        archive(["dask_augment.runs.totals:os", ["plain", "x"]]),
        archive(["dask_augment.sampling.census:np.load", ["plain", "x"]]),
        archive(["dask_augment.sampling.census:Ints"]),
        archive(["dask_augment.augmenters.select:Select", ["plain", "x"]]),
        archive(["dict", [["list"], ["plain", 1]]]),
        archive({"a": 1}), archive(["plain", [1]]), archive(["a"]), archive([]), archive(5), archive(["array", 7]),
        b"", b"PK", archive(["plain", 1])[:-30],
    ]  # fmt: skip
    for data in bad:
        with pytest.raises(NotKept):
            from_bytes(data)
    assert not evil.exists()
