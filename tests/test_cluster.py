"""Opening a client: workers of this machine, or a scheduler that is running."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dask_augment.cluster import connected


def test_scheduler_that_runs(client: Any) -> None:
    with connected(client.scheduler.address) as other:
        assert other.submit(os.getpid).result() != os.getpid()
    assert client.status == "running"


def test_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def refused(address: str, timeout: float) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", refused)
    with (
        pytest.raises(
            ConnectionError, match=r"no Dask scheduler answers at 'tcp://nowhere:1' \(timed out\); start one"
        ),
        connected("tcp://nowhere:1"),
    ):
        pass


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
