"""Questions of a learner: several in one pass, questions with work on their answer, and chains of questions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import awkward as ak

from dask_augment.contract.augmenter import Learner, Measure
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned

T = TypeVar("T")
U = TypeVar("U")
L = TypeVar("L", bound=Learner)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit(Measure[Any]):
    """A question whose total is worked on once, on one worker: it trains a model, and the answer is what that learned.

    The total must be small enough for one worker, and ``fit`` gives its rows an order of their own: they come in that of
    the partitions.
    """

    def resources(self) -> Mapping[str, float]:
        """What that worker must have free: ``{"GPU": 1}``."""
        return {}

    @abstractmethod
    def fit(self, total: Any) -> Learned:
        """What is learned from the total, the same for any order of what was added up."""

    def ask(self) -> Generator[Measure[Any], Any, Learned]:
        """Yield the question and return what was learned from its total."""
        learned: Learned = yield self
        return learned


@dataclass(frozen=True, kw_only=True, eq=False)
class Together(Measure[Any]):
    """Several questions in one pass, each about its own rows and after its own steps; the answer is a tuple of theirs."""

    questions: tuple[Measure[Any], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.questions:
            raise ValueError("Together takes at least one question, got none")

    def uses(self) -> frozenset[str]:
        """The columns of all."""
        return frozenset().union(*(question.uses() for question in self.questions))

    def measure(self, events: ak.Array, draw: Draw | None) -> Any:  # noqa: ARG002
        """Its questions are asked, each of the rows that it is about."""
        raise TypeError("several questions are asked one by one, and not of the same rows")


def beside(
    questions: Generator[Measure[Any], Any, T], rider: Measure[U]
) -> Generator[Measure[Any], Any, tuple[T, U]]:  # fmt: skip
    """What comes of these questions, and the answer to one more: in the pass of the first, or its own if there is none."""
    try:
        question = next(questions)
    except StopIteration as stop:
        return stop.value, (yield from rider.ask())
    answer, ridden = yield from Together(questions=(question, rider)).ask()
    try:
        question = questions.send(answer)
        while True:
            question = questions.send((yield question))
    except StopIteration as stop:
        return stop.value, ridden


class Asking(Generic[T]):
    """Questions that lead to a result, at the one that is asked now."""

    def __init__(self, questions: Generator[Measure[Any], Any, T]) -> None:
        self._questions = questions
        self._asked: Measure[Any] | None = None
        self._go_on(None)

    def _go_on(self, answer: Any) -> None:
        try:
            self._asked = self._questions.send(answer)
        except StopIteration as stop:
            self._asked, self.result = None, stop.value

    @property
    def open(self) -> tuple[Measure[Any], ...]:
        """The questions that are asked now; none once there is a ``result``."""
        return () if self._asked is None else tuple(_apart(self._asked))

    def answer(self, answers: Sequence[Any]) -> None:
        """Answer the open questions, in their order."""
        assert self._asked is not None
        self._go_on(_joined(self._asked, iter(answers)))


def _apart(question: Measure[Any]) -> Iterator[Measure[Any]]:
    if isinstance(question, Together):
        for one in question.questions:
            yield from _apart(one)
    else:
        yield question


def _joined(question: Measure[Any], answers: Iterator[Any]) -> Any:
    if isinstance(question, Together):
        return tuple(_joined(one, answers) for one in question.questions)
    return next(answers)


def taught(learner: L, ask: Callable[[Measure[Any]], Any]) -> L:
    """The learner with what it learned; ``ask`` puts one question to all the data and returns the total."""
    asking = Asking(learner.learning())
    while asking.open:
        answers = [(question, ask(question)) for question in asking.open]
        asking.answer([one.fit(total) if isinstance(one, Fit) else total for one, total in answers])
    return replace(learner, learned=asking.result)
