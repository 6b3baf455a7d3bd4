"""The workers of a Dask client as a pool: tasks of lost workers run again, and missing workers are waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from dask_augment.dataset.quarantine import classify
from dask_augment.runs.pools import ATTEMPTS, Item, Outcome, attempt_of

PATIENCE = 5.0
"""Seconds without a task that ends, after which it is asked whether there are workers."""

_LOG = logging.getLogger(__name__)


def untold(text: str) -> None:
    """Nobody is told but the log."""


class Cluster:
    """The workers of a Dask client. Where there are none it says so, and waits: batch systems take hours.

    A task with ``resources`` goes to workers that offer them; ``alike``: all workers are processes of this machine, and
    have what it has.
    """

    def __init__(self, client: Any, tell: Callable[[str], None] = untold, alike: bool = False) -> None:
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
                attempt_of(function, attempt),
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
                    gone = f"the Dask scheduler at {self._address} is gone, and its tasks with it"
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
