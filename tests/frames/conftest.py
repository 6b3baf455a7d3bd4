"""A cluster whose workers differ, and no cluster where a test does not ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import dask.threaded
import pytest


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    """A cluster of which worker 1 has a GPU and worker 0 has none."""
    from distributed import Client, Scheduler, SpecCluster, Worker

    workers = {
        0: {"cls": Worker, "options": {"nthreads": 1, "dashboard": False}},
        1: {"cls": Worker, "options": {"nthreads": 1, "dashboard": False, "resources": {"GPU": 1}}},
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": ":0"}}
    with SpecCluster(workers=workers, scheduler=scheduler, silence_logs=False) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture(autouse=True)
def in_this_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """A client of an earlier test is still connected, and would take the work to processes that no test can look into."""
    if {"client", "two_workers"} & set(request.fixturenames):
        yield
    else:
        with dask.config.set(scheduler=dask.threaded.get):
            yield
