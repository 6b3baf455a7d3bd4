"""Open a Dask client, on this machine or at a scheduler's address."""

from __future__ import annotations

import ast
import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
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


PATIENCE = 10.0
"""Seconds that a scheduler has to answer; it may only just have been started."""


def _refuse_silent(address: str) -> None:
    """ConnectionError where no scheduler answers in time: a client would wait for ever for what is no scheduler."""
    from distributed.comm import connect
    from distributed.security import Security

    async def ask() -> None:
        comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
        await comm.close()

    try:
        # In a thread of its own: a notebook's has an event loop that runs.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(asyncio.wait_for(ask(), PATIENCE + 1))).result()
    except Exception as error:  # noqa: BLE001  whatever it is, that is no scheduler
        why = str(error) or f"no answer in {PATIENCE:g} s"
        raise ConnectionError(
            f"no Dask scheduler answers at {address!r} ({why}); start one with `dask scheduler`, or say how many "
            "worker processes of this machine"
        ) from None


@contextmanager
def connected(scheduler: str | None = None, *, workers: int | None = None, dashboard: bool = True) -> Iterator[Any]:
    """A client of the scheduler at this address, or of worker processes on this machine (two unless told).

    ``dashboard`` serves Dask's page on 127.0.0.1; its address is ``client.dashboard_link``.
    """
    from distributed import Client, LocalCluster

    if scheduler is not None:
        _refuse_silent(scheduler)
        with Client(scheduler) as client:
            yield client
        return
    refuse_without_guard()
    count = workers or min(2, os.cpu_count() or 1)
    with dask.config.set({"distributed.scheduler.http.routes": _ROUTES}):
        address = "127.0.0.1:0" if dashboard else None
        with ExitStack() as opened:
            with interrupts_held(), _started_in_time():
                cluster = LocalCluster(
                    n_workers=count, threads_per_worker=1, dashboard_address=address, silence_logs=logging.CRITICAL
                )
                client = opened.enter_context(Client(opened.enter_context(cluster)))
            try:
                yield client
            finally:
                # What is done is done: a busy machine that is slow to end its workers is no error of what they did.
                with suppress(TimeoutError):
                    opened.close()


@contextmanager
def _started_in_time() -> Iterator[None]:
    """ConnectionError, one sentence, where worker processes of this machine do not start."""
    try:
        yield
    except (TimeoutError, RuntimeError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ConnectionError(
            f"worker processes did not start on this machine ({why}), as happens where it is busy: try again, or say "
            'where="synchronous"'
        ) from error


@contextmanager
def of(client: Any) -> Iterator[Any]:
    """The client that was given, or one of the cluster that was given; TypeError or ValueError for one that cannot be used."""
    from distributed import Client

    if getattr(client, "asynchronous", False):
        raise TypeError(
            f"where must be a client that is waited for, got an asynchronous {type(client).__name__}: give a Client that was "
            "made without asynchronous=True"
        )
    if isinstance(client, Client):
        if client.status != "running":
            raise ValueError(
                f"where must be a client that is connected, got one that is {client.status}: make a new Client"
            )
        yield client
    else:  # clusters of distributed, dask-jobqueue, dask-gateway
        try:
            own = client.get_client()
        except RuntimeError as error:
            raise ValueError(f"where must be a cluster that is open, got one that gives no client: {error}") from None
        with own:
            yield own


def refuse_without_guard() -> None:
    """RuntimeError where a script starts processes without a guard: each process imports the script first.

    It would start processes itself, and so on: Python then ends them one after the other, and nothing else happens.
    """
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    frame: Any = sys._getframe()
    while frame is not None and frame.f_globals is not getattr(main, "__dict__", None):
        frame = frame.f_back
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if path is None or frame is None or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        statements = ast.parse(file.read()).body
    done = [statement for statement in statements if statement.lineno <= frame.f_lineno]
    if any(isinstance(one, ast.If) and "__name__" in ast.dump(one.test) for one in done):
        return
    raise RuntimeError(
        f"{path} starts worker processes at line {frame.f_lineno}, and each of them imports this script first: put what "
        'it does below `if __name__ == "__main__":`, or say where="synchronous"'
    )


@contextmanager
def interrupts_held() -> Iterator[None]:
    """The key that stops a program is heard at the end of this only, and by no process that is started meanwhile.

    What is stopped while it starts processes cannot end them in order, and each of them would print a traceback.
    """
    # Started later, it would let interrupts through again.
    resource_tracker.ensure_running()
    pressed: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Other threads of this process may take the signal; Python gives it to the main one all the same.
    handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number)) if in_main else None
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)
