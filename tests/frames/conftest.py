"""A cluster whose workers differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
