"""The workers of a Dask client as a pool: tasks of lost workers run again, and missing workers are waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Generic
from uuid import uuid4

from dask_augment.dataset.quarantine import classify
from dask_augment.runs.pools import ATTEMPTS, Item, Outcome, attempt_of

PATIENCE = 5.0
"""Seconds without a task that ends, after which it is asked whether there are workers."""

_FETCHED = 16
"""Results that are fetched in one journey: they may be large."""

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

    def _next(self, ended: Any, resources: Mapping[str, float]) -> list[Any]:
        """The tasks that have ended, one at least; that there is nobody left to do any is told once."""
        told = False
        while True:
            if _any_within(ended, PATIENCE):
                return list(ended.next_batch(block=False))
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
        from distributed import as_completed

        self._count()
        rest = iter(items)
        waiting: dict[Any, tuple[Item, int]] = {}
        name = getattr(function, "name", type(function).__name__)
        resources = {} if self._alike else getattr(function, "resources", {})
        ended = as_completed(loop=self._client.loop)
        packed = Packed.of(function)

        def submit(some: Sequence[Item], attempt: int) -> None:
            # Not pure: a task that has side effects must run even where its like ran before.
            keys = [f"{name}-{uuid4().hex}" for _ in some]
            task = attempt_of(packed, attempt)
            futures = self._client.map(task, some, pure=False, key=keys, resources=resources or None)
            waiting.update((future, (item, attempt)) for future, item in zip(futures, some, strict=True))
            ended.update(futures)

        def fill() -> None:
            most = max(64, 16 * self.workers)
            # Many at a time: what a task costs the client and the scheduler is mostly its message.
            if len(waiting) <= most // 2 and (some := [*islice(rest, most - len(waiting))]):
                submit(some, 1)

        try:
            fill()
            while waiting:
                futures = self._next(ended, resources)
                for some in (futures[i : i + _FETCHED] for i in range(0, len(futures), _FETCHED)):
                    for future, outcome in zip(some, self._outcomes(some), strict=True):
                        item, attempt = waiting.pop(future)
                        again = attempt < ATTEMPTS and isinstance(outcome, BaseException) and not future.cancelled()
                        if again and classify(outcome) == "transient":
                            submit([item], attempt + 1)
                            continue
                        if not future.cancelled():
                            fill()
                        future.release()
                        yield item, outcome
        except TimeoutError as error:
            # Those of tasks are outcomes: this is the client's own.
            raise ConnectionError(
                f"the Dask scheduler at {self._address} did not answer in time, as happens where it is overloaded"
            ) from error
        finally:
            # Nobody asks any more: the workers of a client that lives on need not do the rest.
            ended.clear()
            for future in waiting:
                future.release()

    def _outcomes(self, futures: Sequence[Any]) -> list[Outcome]:
        """The results of tasks that have ended, fetched in one journey, or what they failed with."""
        done = [future for future in futures if future.status == "finished"]
        try:
            results = dict(zip(done, self._client.gather(done), strict=True))
        except Exception:  # noqa: BLE001  that of one of them, which it says itself
            results = {}
        return [results[future] if future in results else self._outcome(future) for future in futures]

    def _outcome(self, future: Any) -> Outcome:
        if future.cancelled():
            # There is nobody to ask again.
            return ConnectionError(f"the Dask scheduler at {self._address} is gone, and its tasks with it")
        error = future.exception()
        return future.result() if error is None else error


@dataclass(frozen=True)
class Packed(Generic[Item]):
    """A function as bytes: made into bytes once for all its tasks, and loaded once by each process that does some.

    The scheduler passes them on without a look into them. They are in each task, where no loss of a worker can lose them.
    """

    data: bytes

    @classmethod
    def of(cls, function: Callable[[Item], Outcome]) -> Packed[Item]:
        """The function, as the messages of Dask carry it."""
        from distributed.protocol.pickle import dumps

        return cls(dumps(function))

    def __call__(self, item: Item) -> Outcome:
        """What the function returns."""
        return _loaded(self.data)(item)


@lru_cache(maxsize=4)
def _loaded(data: bytes) -> Callable[[Any], Outcome]:
    from distributed.protocol.pickle import loads

    return loads(data)  # type: ignore[no-any-return]


def _any_within(ended: Any, seconds: float) -> bool:
    """Whether a task has ended, or does in so many seconds."""
    end = time.monotonic() + seconds
    with ended.thread_condition:
        while not ended.has_ready() and (left := end - time.monotonic()) > 0:
            ended.thread_condition.wait(left)
    return bool(ended.has_ready())
