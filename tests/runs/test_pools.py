"""Pools: the same outcomes wherever tasks are done; what may pass is tried again, what will not is reported."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dask_augment.runs import cluster_pool
from dask_augment.runs.cluster import connected
from dask_augment.runs.cluster_pool import Cluster
from dask_augment.runs.pools import ATTEMPTS, PAUSES, Futures, Iterative, processes


class Task:
    """Fails as its item says, and counts its attempts in a folder, since it may run in any process."""

    name = "augment-test"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: tuple[int, str]) -> int:
        number, kind = item
        attempt = len(list(self.folder.glob(f"{number}.*"))) + 1
        (self.folder / f"{number}.{attempt}").touch()
        if kind == "once" and attempt == 1:
            raise TimeoutError("too slow")
        if kind == "always":
            raise OSError(errno.EIO, "a bad disk")
        if kind == "never":
            raise ValueError(f"no such thing as {number}")
        return number * number

    def attempts(self, number: int) -> int:
        return len(list(self.folder.glob(f"{number}.*")))


ITEMS = [(0, ""), (1, "once"), (2, "always"), (3, "never"), *((n, "") for n in range(4, 90))]


def check(pool: Any, folder: Path) -> None:
    task = Task(folder)
    outcomes = dict(pool.map(task, ITEMS))
    assert set(outcomes) == set(ITEMS)
    for number, kind in ITEMS:
        outcome = outcomes[number, kind]
        if kind in ("always", "never"):
            assert isinstance(outcome, OSError if kind == "always" else ValueError)
        else:
            assert outcome == number * number
    assert [task.attempts(number) for number in range(5)] == [1, 2, ATTEMPTS, 1, 1]
    assert list(pool.map(task, [])) == []


def test_in_this_process(tmp_path: Path) -> None:
    check(Iterative(), tmp_path)
    assert [item for item, _ in Iterative().map(Task(tmp_path), ITEMS[4:])] == ITEMS[4:]


def test_in_processes(tmp_path: Path) -> None:
    with closing(Futures(processes, 1)) as pool:
        check(pool, tmp_path)


def test_on_a_cluster(client: Any, tmp_path: Path) -> None:
    pool = Cluster(client)
    assert pool.workers == 2
    check(pool, tmp_path)


class Broken(ThreadPoolExecutor):
    """As executors are of which a process died."""

    def submit(self, *given: Any, **options: Any) -> Any:
        raise BrokenProcessPool("a process died")


def test_an_executor_that_is_broken_is_not_ours_to_mend(tmp_path: Path) -> None:
    with Broken(1) as executor:
        ((_, outcome),) = Futures.given(executor).map(Task(tmp_path), ITEMS[:1])
    assert isinstance(outcome, RuntimeError)
    assert str(outcome).startswith("the executor that where= gives is shut down or broken")


def test_an_executor_that_is_shut_down_is_told() -> None:
    with ThreadPoolExecutor(1) as executor:
        pass
    ((_, outcome),) = Futures.given(executor).map(abs, [-1])
    assert str(outcome).startswith("the executor that where= gives is shut down or broken")


def test_tasks_that_are_cancelled_elsewhere_are_told() -> None:
    executor = ThreadPoolExecutor(1)
    outcomes = Futures.given(executor).map(slow, range(4))
    next(outcomes)
    executor.shutdown(cancel_futures=True)
    assert any("shut down or broken" in str(outcome) for _, outcome in outcomes)


def test_an_executor_that_lives_on_is_not_left_with_the_rest(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        outcomes = Futures.given(executor).map(slow, range(1000))
        next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
        assert executor.submit(abs, -1).result(5) == 1


def test_the_next_attempt_waits_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for now is asked again when it has had time, not three times within a millisecond."""
    pauses: list[float] = []
    monkeypatch.setattr("dask_augment.runs.pools.time.sleep", pauses.append)
    list(Iterative().map(Task(tmp_path), [(2, "always")]))
    assert pauses == list(PAUSES)
    assert 0 < PAUSES[0] < PAUSES[1]


def test_tasks_can_be_given_up(client: Any, tmp_path: Path) -> None:
    for pool in (Iterative(), Cluster(client)):
        outcomes = pool.map(Task(tmp_path), [(n, "") for n in range(1000)])
        next(iter(outcomes))
        outcomes.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) < 1000


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a cluster without workers."""
    from distributed import Client, LocalCluster

    monkeypatch.setattr(cluster_pool, "PATIENCE", 0.2)
    options = {"n_workers": 0, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


def test_no_workers_yet(empty: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, and goes on when there are some."""
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        # So that it waits some more, and has nothing new to say.
        threading.Timer(0.6, empty.cluster.scale, [1]).start()

    pool = Cluster(empty, tell)
    assert pool.workers == 1
    assert len(list(pool.map(Task(tmp_path), ITEMS[4:9]))) == 5
    assert told == [f"waiting for workers of {empty.scheduler.address}: there are none"]
    assert [record.message for record in caplog.records if record.name == cluster_pool.__name__] == told


def test_all_workers_lost(empty: Any, tmp_path: Path) -> None:
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        empty.cluster.scale(1)

    empty.cluster.scale(1)
    empty.wait_for_workers(1)
    outcomes = Cluster(empty, tell).map(slow, range(20))
    done = [next(outcomes)]
    empty.cluster.scale(0)
    done += outcomes
    assert sorted(done) == [(n, n) for n in range(20)]
    assert told == [f"waiting for workers of {empty.scheduler.address}: all that there were are lost"]


def test_scheduler_lost(empty: Any) -> None:
    """Every task ends with an error that says so."""
    address = empty.scheduler.address
    empty.cluster.scale(1)
    outcomes = Cluster(empty).map(slow, range(20))
    next(outcomes)
    empty.cluster.close()
    lost = [outcome for _, outcome in outcomes if isinstance(outcome, ConnectionError)]
    assert lost
    assert {str(error) for error in lost} == {f"the Dask scheduler at {address} is gone, and its tasks with it"}


def test_a_client_that_is_not_answered_in_time(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*given: Any, **options: Any) -> Any:
        raise TimeoutError

    pool = Cluster(client)
    monkeypatch.setattr(client, "map", late)
    with pytest.raises(ConnectionError, match=r"the Dask scheduler at tcp://.* did not answer in time, .* overloaded"):
        list(pool.map(Task(tmp_path), ITEMS))


def slow(item: int) -> int:
    time.sleep(0.1)
    return item


def test_the_rest_is_given_up(client: Any, tmp_path: Path) -> None:
    """A client lives on after a run that failed; its workers need not do what nobody waits for."""
    outcomes = Cluster(client).map(slow, range(1000))
    next(outcomes)
    assert client.futures
    outcomes.close()  # type: ignore[attr-defined]
    end = time.monotonic() + 30
    while client.futures and time.monotonic() < end:
        time.sleep(0.02)
    assert not client.futures


class Placed:
    """Says in which process it was done; needs a GPU, by its label."""

    name = "augment-placed"
    resources: ClassVar[dict[str, float]] = {"GPU": 1}

    def __call__(self, item: int) -> int:
        return os.getpid()


def test_tasks_with_resources(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are done where what they need is; that it is nowhere is told."""
    from distributed import Worker

    monkeypatch.setattr(cluster_pool, "PATIENCE", 0.2)
    told: list[str] = []
    pool = Cluster(empty, told.append)

    async def start(**resources: float) -> Worker:
        return await Worker(empty.scheduler.address, resources=resources, name=str(resources), nthreads=1)

    plain = empty.sync(start)
    empty.wait_for_workers(1)
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.extend(pool.map(Placed(), range(20))))
    thread.start()
    end = time.monotonic() + 20
    while not told and time.monotonic() < end:
        time.sleep(0.05)
    start_one = 'start one with dask worker --resources "GPU=1"'
    assert told == [f"waiting for workers of {empty.scheduler.address}: none of them offers GPU=1; {start_one}"]
    labelled = empty.sync(start, GPU=1)
    thread.join(30)
    assert len(outcomes) == 20
    assert len(told) == 1
    done = {worker.name: worker.state.executed_count for worker in (plain, labelled)}
    assert done["{}"] == 0
    for worker in (plain, labelled):
        empty.sync(worker.close)


def test_workers_that_are_alike_need_no_label() -> None:
    with connected(workers=1) as client:
        assert len(list(Cluster(client, alike=True).map(Placed(), range(3)))) == 3
