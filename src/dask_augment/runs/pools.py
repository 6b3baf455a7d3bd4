"""Where the tasks of a run are done: in this process, in processes of this machine, or on a Dask cluster.

A pool yields (item, result or error) as tasks end; tasks are pure, small in what they return, and may be repeated.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from dask_augment.cluster import connected, interrupts_held, of, refuse_without_guard
from dask_augment.dataset.quarantine import classify

Item = TypeVar("Item")
Outcome = Any
ATTEMPTS = 3
"""How often a task is tried whose error may be gone the next time."""
PAUSES = (0.1, 0.5)
"""Seconds before the second and the third attempt."""
PATIENCE = 5.0
"""Seconds without a task that ends, after which it is asked whether there are workers."""

_LOG = logging.getLogger(__name__)


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


def _ends_silently() -> None:
    """In a new process: the key that stops the run ends it, and only the run says so, without a traceback from each."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


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
            self._pool = pool or ProcessPoolExecutor(self.workers, get_context("spawn"), _ends_silently)
            with suppress(BrokenExecutor), interrupts_held():
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


def _untold(text: str) -> None:
    """Nobody is told but the log."""


class Cluster:
    """The workers of a Dask client. Where there are none it says so, and waits: batch systems take hours.

    A task with ``resources`` goes to workers that offer them; ``alike``: all workers are processes of this machine, and
    have what it has.
    """

    def __init__(self, client: Any, tell: Callable[[str], None] = _untold, alike: bool = False) -> None:
        self._client = client
        self._tell = tell
        self._alike = alike
        self._address = client.scheduler.address
        self._threads: int | None = None
        self._count()

    @property
    def workers(self) -> int:
        """Threads of all workers when they were last counted, 1 where there were none."""
        return self._threads or 1

    def _count(self) -> None:
        # A scheduler that is gone is the client's to find again, or to give up with all that it was asked for.
        with suppress(OSError):
            self._threads = sum(self._client.nthreads().values())

    def _lacking(self, resources: Mapping[str, float]) -> str:
        """What no worker offers, as ``GPU=1``; empty where one offers all."""
        with suppress(OSError):
            offers = [worker["resources"] for worker in self._client.scheduler_info(n_workers=-1)["workers"].values()]
            if not any(all(offer.get(name, 0) >= resources[name] for name in resources) for offer in offers):
                return " ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))
        return ""

    def _next(self, ended: SimpleQueue[Any], resources: Mapping[str, float]) -> Any:
        """The next task that ends; that there is nobody left to do any is told once."""
        told = False
        while True:
            with suppress(Empty):
                return ended.get(timeout=PATIENCE)
            had = self._threads
            self._count()
            lacking = self._lacking(resources) if self._threads and resources else ""
            if self._threads and not lacking:
                told = False
            elif not told:
                why = "all that there were are lost" if had else "there are none"
                if lacking:
                    why = f'none of them offers {lacking}; start one with dask worker --resources "{lacking}"'
                text = f"waiting for workers of {self._address}: {why}"
                _LOG.warning(text)
                self._tell(text)
                told = True

    def map(self, function: Callable[[Item], Outcome], items: Iterable[Item]) -> Iterator[tuple[Item, Outcome]]:
        """(item, result or error) as they end; a task of a lost worker is done again on another."""
        self._count()
        rest = iter(items)
        waiting: dict[Any, tuple[Item, int]] = {}
        name = getattr(function, "name", type(function).__name__)
        resources = {} if self._alike else getattr(function, "resources", {})
        ended: SimpleQueue[Any] = SimpleQueue()

        def submit(item: Item, attempt: int) -> None:
            # Not pure: a task that has side effects must run even where its like ran before.
            future = self._client.submit(
                _attempt(function, attempt),
                item,
                pure=False,
                key=f"{name}-{uuid4().hex}",
                resources=resources or None,
            )
            waiting[future] = item, attempt
            future.add_done_callback(ended.put)

        def fill() -> None:
            for item in islice(rest, max(0, max(64, 16 * self.workers) - len(waiting))):
                submit(item, 1)

        try:
            fill()
            while waiting:
                future = self._next(ended, resources)
                item, attempt = waiting.pop(future)
                if future.cancelled():
                    # There is nobody to ask again.
                    gone = f"the Dask scheduler at {self._address} is gone, with what it was to do"
                    yield item, ConnectionError(gone)
                    continue
                error = future.exception()
                if error is not None and attempt < ATTEMPTS and classify(error) == "transient":
                    submit(item, attempt + 1)
                    continue
                outcome = future.result() if error is None else error
                future.release()
                fill()
                yield item, outcome
        except TimeoutError as error:
            # Those of tasks are outcomes: this is the client's own.
            raise ConnectionError(
                f"the Dask scheduler at {self._address} did not answer in time, as happens where it is overloaded"
            ) from error
        finally:
            # Nobody asks any more: the workers of a client that lives on need not do the rest.
            for future in waiting:
                future.release()


@contextmanager
def opened(
    executor: str,
    *,
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
    tell: Callable[[str], None] = _untold,
) -> Iterator[Pool]:
    """The pool of this name: "iterative", "futures", or "dask" (a scheduler's address, or two processes here).

    ``client``, a Dask client or cluster, comes first.

    ``tell`` is given what a person should know meanwhile.
    """
    if scheduler is not None and executor != "dask":
        raise ValueError(
            f"the scheduler {scheduler!r} is asked for, and executor {executor!r}, which has no use for one: say executor "
            "dask, or leave the scheduler out"
        )
    if client is not None:
        with of(client) as connected_client:
            yield Cluster(connected_client, tell)
    elif executor == "iterative":
        yield Iterative()
    elif executor == "futures":
        refuse_without_guard()
        with closing(Futures(workers)) as pool:
            yield pool
    elif executor == "dask":
        with connected(scheduler, workers=workers) as connected_client:
            yield Cluster(connected_client, tell, alike=scheduler is None)
    else:
        raise ValueError(f"executor must be iterative, futures or dask, got {executor!r}")
