"""Pools run the tasks of a run: in this process, or with an executor of ``concurrent.futures``.

A pool yields (item, result or error) as tasks end; tasks are pure, small in what they return, and may be repeated.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any, Generic, Protocol, TypeVar

from dask_augment.dataset.quarantine import classify
from dask_augment.runs.cluster import interrupts_held

Item = TypeVar("Item")
Outcome = Any
ATTEMPTS = 3
"""How often a task is tried whose error may be gone the next time."""
PAUSES = (0.1, 0.5)
"""Seconds before the second and the third attempt."""
CORES = os.cpu_count() or 1


class Pool(Protocol):
    """Does tasks; yields them as they end, in any order."""

    @property
    def workers(self) -> int:
        """How many tasks are done at a time."""

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result) or (item, error) of each; errors that may pass were tried again."""
        ...


@dataclass(frozen=True)
class _Again(Generic[Item]):
    """A task tried again, after a pause."""

    function: Callable[[Item], Outcome]
    attempt: int

    def __call__(self, item: Item) -> Outcome:
        time.sleep(PAUSES[self.attempt - 2])
        return self.function(item)


def attempt_of(function: Callable[[Item], Outcome], attempt: int) -> Callable[[Item], Outcome]:
    """The task of this attempt; not the first waits a moment."""
    return function if attempt == 1 else _Again(function, attempt)


class Iterative:
    """One task after another, in this process."""

    workers = 1

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result or error) in order."""
        for item in items:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    outcome = attempt_of(function, attempt)(item)
                except Exception as error:  # noqa: BLE001  the caller is given it
                    outcome = error
                    if classify(error) == "transient" and attempt < ATTEMPTS:
                        continue
                break
            yield item, outcome


def _ends_silently() -> None:
    """In a new process: the key that stops the run ends it, and only the run says so, without a traceback from each."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def processes() -> Executor:
    """As many new processes as this machine has cores."""
    return ProcessPoolExecutor(CORES, get_context("spawn"), _ends_silently)


_GONE = "the executor that where= gives is shut down or broken, as it is when a process of it dies: give a new one"


class Futures:
    """An executor of ``concurrent.futures``; one of our own is made anew where a process of it dies."""

    def __init__(self, make: Callable[[], Executor], workers: int, *, own: bool = True) -> None:
        self._make, self._own = make, own
        self._executor: Executor | None = None
        self.workers = workers

    @classmethod
    def given(cls, executor: Executor) -> Futures:
        """On the user's own, which is not ended here."""
        return cls(lambda: executor, int(getattr(executor, "_max_workers", None) or CORES), own=False)

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result or error) as they end."""
        return _windowed(
            lambda item, attempt: self._submit(attempt_of(function, attempt), item), items, 4 * self.workers
        )

    def _submit(self, function: Callable[[Item], Outcome], item: Item) -> Future[Outcome]:
        for executor in (self._executor, None):
            self._executor = executor or self._make()
            # RuntimeError: of an executor that was shut down, and BrokenExecutor is one.
            with suppress(BrokenExecutor if self._own else RuntimeError), interrupts_held():
                return self._executor.submit(function, item)
        failed: Future[Outcome] = Future()
        why = "worker processes die as soon as they start; see what they print"
        failed.set_exception(RuntimeError(why if self._own else _GONE))
        return failed

    def close(self) -> None:
        """End the processes, if they are our own."""
        if self._own and self._executor is not None:
            self._executor.shutdown()  # what waited was cancelled, see _windowed


def _cancelled(waiting: Iterable[Future[Any]]) -> set[Future[Any]]:
    return {future for future in waiting if future.cancelled()}


def _windowed(
    submit: Callable[[Item, int], Future[Outcome]], items: Iterable[Item], most: int
) -> Iterator[tuple[Item, Outcome]]:
    """At most ``most`` tasks waiting at a time; those that failed for now, or whose process died, are tried again."""
    waiting: dict[Future[Outcome], tuple[Item, int]] = {}
    rest = iter(items)
    try:
        while True:
            waiting |= {submit(item, 1): (item, 1) for item in islice(rest, max(0, most - len(waiting)))}
            if not waiting:
                return
            # Nobody is woken by those that an executor cancelled as it was shut down.
            for future in _cancelled(waiting) or wait(waiting, return_when=FIRST_COMPLETED).done:
                item, attempt = waiting.pop(future)
                error = RuntimeError(_GONE) if future.cancelled() else future.exception()
                passing = isinstance(error, BrokenExecutor) or (error is not None and classify(error) == "transient")
                if passing and attempt < ATTEMPTS:
                    waiting[submit(item, attempt + 1)] = item, attempt + 1
                else:
                    yield item, future.result() if error is None else error
    finally:
        # Nobody asks any more: an executor that lives on need not do the rest.
        for future in waiting:
            future.cancel()
