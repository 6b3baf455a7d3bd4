"""Where the tasks of a run are done: in this process, in processes of this machine, or on a Dask cluster.

A pool yields (item, result or error) as tasks end; tasks are pure, small in what they return, and may be repeated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from dask_augment.dataset.quarantine import classify

Item = TypeVar("Item")
Outcome = Any
ATTEMPTS = 3
"""How often a task is tried whose error may be gone the next time."""
PAUSES = (0.1, 0.5)
"""Seconds before the second and the third attempt."""


class Pool(Protocol):
    """Does tasks; yields them as they end, in any order."""

    workers: int

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


def _attempt(function: Callable[[Item], Outcome], attempt: int) -> Callable[[Item], Outcome]:
    return function if attempt == 1 else _Again(function, attempt)


class Iterative:
    """One task after another, in this process."""

    workers = 1

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result or error) in order."""
        for item in items:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    outcome = _attempt(function, attempt)(item)
                except Exception as error:  # noqa: BLE001  the caller is given it
                    outcome = error
                    if classify(error) == "transient" and attempt < ATTEMPTS:
                        continue
                break
            yield item, outcome


class Futures:
    """Processes of this machine; where one dies, its tasks are done again in new processes."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result or error) as they end."""
        return _windowed(lambda item, attempt: self._submit(_attempt(function, attempt), item), items, 4 * self.workers)

    def _submit(self, function: Callable[[Item], Outcome], item: Item) -> Future[Outcome]:
        for pool in (self._pool, None):
            self._pool = pool or ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))
            with suppress(BrokenExecutor):
                return self._pool.submit(function, item)
        raise RuntimeError("worker processes die as soon as they start; see what they print")

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _windowed(
    submit: Callable[[Item, int], Future[Outcome]], items: Iterable[Item], most: int
) -> Iterator[tuple[Item, Outcome]]:
    """At most ``most`` tasks waiting at a time; those that failed for now, or whose process died, are tried again."""
    waiting: dict[Future[Outcome], tuple[Item, int]] = {}
    rest = iter(items)
    exhausted = False
    while waiting or not exhausted:
        while len(waiting) < most and not exhausted:
            try:
                item = next(rest)
            except StopIteration:
                exhausted = True
            else:
                waiting[submit(item, 1)] = item, 1
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            item, attempt = waiting.pop(future)
            error = future.exception()
            passing = isinstance(error, BrokenExecutor) or (error is not None and classify(error) == "transient")
            if passing and attempt < ATTEMPTS:
                waiting[submit(item, attempt + 1)] = item, attempt + 1
            else:
                yield item, future.result() if error is None else error


class Cluster:
    """The workers of a Dask client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.workers = max(
            1, sum(worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
        )

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result or error) as they end; a task of a lost worker is done again on another."""
        from distributed import as_completed

        rest = iter(items)
        waiting: dict[Any, tuple[Item, int]] = {}
        name = getattr(function, "name", type(function).__name__)
        running = as_completed(with_results=False)

        def submit(item: Item, attempt: int) -> None:
            # Not pure: a task that has side effects must run even where its like ran before.
            future = self._client.submit(_attempt(function, attempt), item, pure=False, key=f"{name}-{uuid4().hex}")
            waiting[future] = item, attempt
            running.add(future)

        for item in islice(rest, max(64, 16 * self.workers)):
            submit(item, 1)
        while waiting:
            future = next(running)
            item, attempt = waiting.pop(future)
            error = future.exception()
            if error is not None and attempt < ATTEMPTS and classify(error) == "transient":
                submit(item, attempt + 1)
                continue
            outcome = future.result() if error is None else error
            future.release()
            for following in rest:
                submit(following, 1)
                break
            yield item, outcome


@contextmanager
def opened(
    executor: str, *, client: Any = None, scheduler: str | None = None, workers: int | None = None
) -> Iterator[Pool]:
    """The pool of this name: "iterative", "futures", or "dask" (a client, a scheduler's address, or two processes here)."""
    if client is not None:
        yield Cluster(client)
    elif executor == "iterative":
        yield Iterative()
    elif executor == "futures":
        with closing(Futures(workers)) as pool:
            yield pool
    elif executor == "dask":
        from dask_augment.cluster import connected

        with connected(scheduler, workers=workers) as connected_client:
            yield Cluster(connected_client)
    else:
        raise ValueError(f"executor must be iterative, futures or dask, got {executor!r}")
