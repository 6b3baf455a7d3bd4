"""Open a Dask client: on this machine, or at a scheduler's address."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask

# The proxy to workers' pages reflects its address unescaped in this line of releases (CVE-2026-23528), so it is not
# served; the scheduler's own pages are.
_ROUTES = [
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.health",
    "distributed.http.statics",
]


@contextmanager
def connected(scheduler: str | None = None, *, workers: int | None = None, dashboard: bool = True) -> Iterator[Any]:
    """A client of the scheduler at this address, or of worker processes on this machine (two unless told).

    ``dashboard`` serves Dask's page on 127.0.0.1; its address is ``client.dashboard_link``.
    """
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=30)
        except OSError as error:
            raise ConnectionError(
                f"no Dask scheduler answers at {scheduler!r} ({error}); start one with `dask scheduler`, or leave "
                "--scheduler out to use this machine"
            ) from None
        with client:
            yield client
        return
    count = workers or min(2, os.cpu_count() or 1)
    with dask.config.set({"distributed.scheduler.http.routes": _ROUTES}):
        address = "127.0.0.1:0" if dashboard else None
        with (
            LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=address, silence_logs=logging.CRITICAL
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
