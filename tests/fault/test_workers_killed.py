"""Worker processes die in the middle of a run, in three ways: the published data set is that of a quiet run."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
import pytest

import whole_toys
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.verify import verify
from dask_augment.runs.run import Result, run

CHUNKS = 50
HOW = ("exit", "kill", "abort")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_toys.fileset(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def quiet(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(whole_toys.plan(inputs), tmp_path_factory.mktemp("quiet") / "out")


@pytest.fixture
def own_client() -> Iterator[Any]:
    """Two workers with nannies, which may be killed."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    # A cluster looks a while after a loss whether the worker is back, and gives it up for good if another kill has just
    # taken it again.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        LocalCluster(**options) as cluster,
        Client(cluster) as client,
    ):
        yield client


def same(result: Result, quiet: Result) -> None:
    assert result.manifest.logical_hash == quiet.manifest.logical_hash
    assert result.manifest.account == quiet.manifest.account or close(result, quiet)
    assert verify(result.path, deep=True).ok
    assert whole_toys.nothing_left(result.path)


def close(result: Result, quiet: Result) -> bool:
    """Accounts of other chunks have the same rows; their sums of weights are rounded otherwise."""
    ours, theirs = result.manifest.account, quiet.manifest.account
    rows = [(a.rows_in, a.rows_out, dict(a.dropped), dict(a.made)) for a in (ours, theirs)]
    return rows[0] == rows[1] and ours.weights_out["weight"] == pytest.approx(theirs.weights_out["weight"], rel=1e-12)


def pids(client: Any) -> set[int]:
    return {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}


@pytest.mark.parametrize("how", [pytest.param(how, marks=[] if how == "kill" else [pytest.mark.slow]) for how in HOW])
def test_inside_a_task(tmp_path: Path, inputs: dict[str, Any], quiet: Result, own_client: Any, how: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    before = pids(own_client)
    for number in range(2):
        (tokens / f"{number}").touch()
    plan = whole_toys.plan(inputs, (*whole_toys.STEPS, whole_toys.deadly(tokens, how)))
    result = run(plan, tmp_path / "out", where=own_client, chunksize=CHUNKS)
    own_client.wait_for_workers(2)
    assert not list(tokens.iterdir()), "both deaths happened"
    assert before != pids(own_client), "in worker processes"
    same(result, quiet)


@pytest.mark.parametrize("how", ["kill", pytest.param("abort", marks=pytest.mark.slow)])
def test_processes_of_this_machine(tmp_path: Path, inputs: dict[str, Any], quiet: Result, how: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "one").touch()
    plan = whole_toys.plan(inputs, (*whole_toys.STEPS, whole_toys.deadly(tokens, how)))
    result = run(plan, tmp_path / "out", where="processes", chunksize=CHUNKS)
    assert not list(tokens.iterdir())
    same(result, quiet)


@pytest.mark.slow
def test_a_part_that_always_kills_its_worker(tmp_path: Path, inputs: dict[str, Any], own_client: Any) -> None:
    """The run ends with one clear error, nothing is visible, and what was done is kept."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    plan = whole_toys.plan(inputs, (*whole_toys.STEPS, whole_toys.deadly(tokens, "abort")))
    for number in range(200):
        (tokens / f"{number}").touch()
    with pytest.raises(RunFailed, match=r"KilledWorker.*\nNothing was published"):
        run(plan, tmp_path / "out", where=own_client, chunksize=400)
    assert not (tmp_path / "out").exists()
    assert whole_toys.staging(tmp_path / "out").is_dir()


class Killer(threading.Thread):
    """Kills a random worker of the cluster now and then, until stopped."""

    def __init__(self, client: Any, seed: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._client, self._random, self._seconds = client, random.Random(seed), seconds
        self._stop_it = threading.Event()
        self.killed = 0

    def run(self) -> None:
        while not self._stop_it.wait(self._random.uniform(0.2, 1.8) * self._seconds):
            # One that is still starting is spared: its nanny would give it up, and the cluster would stay smaller.
            processes = [nanny.process for nanny in list(self._client.cluster.workers.values())]
            running = [p.pid for p in processes if p is not None and p.status.name == "running"]
            # A process that ends at this moment has no number any more, whatever its status says.
            pids = [pid for pid in running if pid is not None]
            if not pids or self.killed == 3:
                continue
            # A nanny may not know yet that its worker has died already.
            with suppress(ProcessLookupError):
                how = self._random.choice([signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
                os.kill(self._random.choice(pids), how)
                self.killed += 1

    def stop(self) -> None:
        self._stop_it.set()
        self.join()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_runs(tmp_path: Path, inputs: dict[str, Any], quiet: Result, own_client: Any, monkeypatch: Any) -> None:
    """Workers are killed at any moment; what was done is not done again, but for what was under way."""
    killed, begun = 0, time.monotonic()
    for number in range(30):
        own_client.wait_for_workers(2)
        killer = Killer(own_client, number, 0.3)
        killer.start()
        try:
            result, done = whole_toys.run_watched(
                monkeypatch, whole_toys.plan(inputs), tmp_path / f"out{number}", where=own_client, chunksize=CHUNKS
            )
        finally:
            killer.stop()
        killed += killer.killed
        assert len({receipt.attempt for receipt in done.values()}) == len(done) == result.manifest.parts
        same(result, quiet)
    assert killed >= 15, f"only {killed} workers were killed in {time.monotonic() - begun:.0f} s"
