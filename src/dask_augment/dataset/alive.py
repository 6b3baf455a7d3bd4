"""Which clients work on a plan: each leaves a sign of life in the staging folder, by the file system's clock."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from dask_augment.dataset.store import files

EVERY = 15.0
"""Seconds between two signs of life."""
SILENT = 180.0
"""Seconds without one, after which a client of another machine is taken for dead."""
_NAME = "client-"


@dataclass(frozen=True)
class Client:
    """A client that is alive."""

    host: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class SignOfLife:
    """Says that this process works in a staging folder, as long as the block lasts and the folder is there."""

    def __init__(self, staging: Path) -> None:
        self._path = staging / f"{_NAME}{uuid4().hex[:12]}.json"
        self._over = threading.Event()

    def __enter__(self) -> None:
        # A sign that cannot be left is no reason to stop a run.
        with suppress(OSError):
            files.write_new(self._path, [json.dumps(_self()).encode()])
            threading.Thread(target=self._go_on, daemon=True, name="dask-augment-alive").start()

    def _go_on(self) -> None:
        while not self._over.wait(EVERY):
            try:
                files.touch(self._path)
            except FileNotFoundError:
                return
            except OSError:
                continue

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            files.remove(self._path)


def signs(staging: Path) -> list[Path]:
    """The signs of life in a staging folder, of clients alive or dead."""
    names = (name for name in files.names(staging) if name.startswith(_NAME) and name.endswith(".json"))
    return [staging / name for name in names]


def living(staging: Path) -> list[Client]:
    """The clients that work in a staging folder now.

    One of this machine is alive if its process is; of another machine one that gave a sign within ``SILENT`` seconds.
    """
    found = []
    for path in signs(staging):
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(files.read(path))
            client = Client(str(said["host"]), int(said["pid"]))
            here = said["machine"] == _machine()
            if _started(client.pid) == said["started"] if here else files.now(staging) - files.changed(path) < SILENT:
                found.append(client)
    return found


def _self() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "machine": _machine(), "started": _started(pid)}


def _machine() -> str:
    """Where numbers of processes mean the same: a container has its own."""
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did: numbers of processes are used again. None for no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    with suppress(OSError):
        os.kill(pid, 0)
        return ""
    return None
