"""Opening a client: workers of this machine, or a scheduler that is running."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dask_augment.runs import cluster
from dask_augment.runs.cluster import connected, interrupts_held, of


def test_scheduler_that_runs(client: Any) -> None:
    with connected(client.scheduler.address) as other:
        assert other.submit(os.getpid).result() != os.getpid()
    assert client.status == "running"


@pytest.mark.parametrize(
    ("listening", "why"), [(False, "Timed out trying to connect to .* after 0.5 s"), (True, "no answer in 0.5 s")]
)
def test_scheduler_that_does_not_answer(listening: bool, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there, or something else: the port of a page, which would let a client wait for ever."""
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listening:
            other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with (
            pytest.raises(ConnectionError, match=rf"no Dask scheduler answers at '{address}' \({why}\); start one"),
            connected(address),
        ):
            pass


@pytest.mark.parametrize(
    ("address", "why"), [("nonsense", "missing port number"), ("foo://a:1", "unknown address scheme 'foo'")]
)
def test_address_that_is_none(address: str, why: str) -> None:
    with pytest.raises(ConnectionError, match=f"no Dask scheduler answers at '{address}' .{why}"), connected(address):
        pass


def test_interrupts_wait_for_what_starts() -> None:
    """And processes that are started meanwhile never hear of the key."""
    reached = []
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"

    def start() -> None:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            reached.append(child.stdout)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert reached == ["True\n"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with interrupts_held():
        pass


def test_interrupts_elsewhere_than_in_the_main_thread() -> None:
    """Only the main thread may set handlers."""

    def held() -> bool:
        with interrupts_held():
            return True

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(held).result()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_workers_of_this_machine() -> None:
    with connected(workers=1) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        assert [worker["nthreads"] for worker in workers.values()] == [1]
        assert client.submit(os.environ.get, "OMP_NUM_THREADS").result() == "1"
        # Without this the allocator keeps what arrays no longer need.
        assert client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_").result() == "65536"
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        port = int(client.dashboard_link.split(":")[2].split("/")[0])
        routes = {
            rule for app in client.cluster.scheduler.http_application.applications for rule in app.wildcard_router.rules
        }
        assert port
        assert not any("proxy" in str(rule.matcher.__dict__) for rule in routes)


GUARDED = 'if __name__ == "__main__":\n    main()\n'


@pytest.mark.parametrize("where", ["processes", 1])
@pytest.mark.parametrize(("last", "guarded"), [("main()\n", False), ("if True:\n    main()\n", False), (GUARDED, True)])
def test_script_without_a_guard(where: Any, last: str, guarded: bool, tmp_path: Path) -> None:
    """It is told before a process starts: without a word, processes would be started for ever."""
    script = tmp_path / "analysis.py"
    script.write_text(
        f"def main():\n    from dask_augment.runs.where import opened\n"
        f"    with opened({where!r}) as pool:\n        print('rows', list(pool.map(abs, [-3])))\n\n{last}"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=200)
    if guarded:
        assert "rows [(-3, 3)]" in done.stdout, done.stderr
    else:
        said = done.stderr.strip().splitlines()[-1]
        assert f"RuntimeError: {script} starts worker processes at line" in said
        assert 'if __name__ == "__main__":' in said


def test_a_cluster_is_as_good_as_a_client(client: Any) -> None:
    with of(client) as same:
        assert same is client
    with of(client.cluster) as own:
        assert own.submit(os.getpid).result() != os.getpid()
    assert client.status == "running"


def test_clients_of_another_kind(client: Any) -> None:
    from distributed import Client, LocalCluster

    with LocalCluster(processes=False, n_workers=1, dashboard_address=":0") as here:
        closed = Client(here, set_as_default=False)
        closed.close()
        with (
            pytest.raises(
                ValueError, match="where must be a client that is connected, got one that is closed: make a new Client"
            ),
            of(closed),
        ):
            pass
    with (
        pytest.raises(ValueError, match="where must be a cluster that is open, got one that gives no client"),
        of(here),
    ):
        pass

    async def ask() -> None:
        async with Client(client.scheduler.address, asynchronous=True, set_as_default=False) as waiting:
            with pytest.raises(TypeError, match="got an asynchronous Client: give a Client that"), of(waiting):
                pass

    asyncio.run(ask())


@pytest.mark.parametrize(
    "error", [TimeoutError(), RuntimeError("Cluster failed to start: timed out\nlong story")], ids=repr
)
def test_workers_that_do_not_start(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**options: Any) -> Any:
        raise error

    monkeypatch.setattr("distributed.LocalCluster", late)
    monkeypatch.setattr(cluster, "refuse_without_guard", lambda: None)
    with pytest.raises(
        ConnectionError, match=r"^worker processes did not start on this machine \(.*\), as happens where"
    ):
        cluster.connected().__enter__()
