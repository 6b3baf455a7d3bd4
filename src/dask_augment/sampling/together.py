"""Two questions in one pass over the data."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import awkward as ak

from dask_augment.contract import Measure
from dask_augment.draw import Draw
from dask_augment.learned import Learned

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Pair:
    """The answers to two questions."""

    first: Any
    second: Any

    def __add__(self, other: Pair) -> Pair:
        return Pair(self.first + other.first, self.second + other.second)


@dataclass(frozen=True, kw_only=True, eq=False)
class Both(Measure[Pair]):
    """Two questions at once."""

    keyed = True
    first: Measure[Any]
    second: Measure[Any]
    learned: Learned | None = None
    """What the second one asks about: stored before it is asked, like that of any question."""

    def uses(self) -> frozenset[str]:
        """The columns of both."""
        return self.first.uses() | self.second.uses()

    def measure(self, events: ak.Array, draw: Draw | None) -> Pair:
        """Both answers of one slice."""
        return Pair(self.first.measure(events, draw), self.second.measure(events, draw))


def beside(
    questions: Generator[Measure[Any], Any, T], rider: Measure[U]
) -> Generator[Measure[Any], Any, tuple[T, U]]:  # fmt: skip
    """What comes of these questions, and the answer to one more: in the pass of the first, or its own if there is none."""
    try:
        question = next(questions)
    except StopIteration as stop:
        return stop.value, (yield from rider.ask())
    both: Pair = yield from Both(first=question, second=rider, learned=getattr(rider, "learned", None)).ask()
    try:
        question = questions.send(both.first)
        while True:
            question = questions.send((yield question))
    except StopIteration as stop:
        return stop.value, both.second
