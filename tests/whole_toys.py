"""Runs of plans in tests: small generated inputs, steps that fail on demand, and what was published as one table."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

import dask_augment as da
from benchmarks._toys import write_sample
from dask_augment.dataset.commit import each_receipt
from dask_augment.dataset.receipt import Receipt
from dask_augment.plans.plan import Plan
from dask_augment.runs import run as running
from dask_augment.runs.run import Result, run

STEPS: tuple[Any, ...] = (
    da.Split(train=0.7),
    da.Select("nJet >= 2"),
    da.Define(HT="sum(Jet.pt)"),
    da.Repeat(n=2),
    da.PhiRotate(columns=("Jet.phi", "MET.phi")),
)
KEEP = ("Jet.*", "MET.*")


def fileset(folder: Path, events: int = 1600) -> dict[str, Any]:
    """Eight NanoAOD-like ROOT files of two data sets."""
    folder.mkdir(exist_ok=True)
    return write_sample(folder, events)


def plan(inputs: Mapping[str, Any], steps: Sequence[Any] = STEPS, **output: Any) -> Plan:
    """A plan with seed 7."""
    return Plan(inputs={"fileset": dict(inputs)}, steps=steps, seed=7, output={"keep": KEEP, **output})


def table(path: Path, *columns: str) -> pa.Table:
    """A published data set with the data set's name as a column, which has the logical hash of the folder."""
    found = ds.dataset(path, partitioning=ds.partitioning(flavor="hive"), exclude_invalid_files=True)
    names = list(columns) or sorted(found.schema.names)
    result = found.to_table(columns=names)
    if "dataset" not in names:
        return result
    return result.set_column(names.index("dataset"), "dataset", result["dataset"].cast(pa.string()))


def staging(path: Path) -> Path:
    """The one folder in which an unfinished run gathers its parts."""
    (folder,) = path.parent.glob(f".{path.name}.staging-*")
    return folder


def nothing_left(path: Path) -> bool:
    """Whether the published folder is all that the run left beside its inputs."""
    return not list(path.parent.glob(f".{path.name}.*"))


def attempts_at(path: Path) -> dict[str, str]:
    """The attempt that each receipt so far is of, by part."""
    found = [Receipt.from_json(file.read_bytes()) for file in (staging(path) / "receipts").glob("*.json")]
    return {receipt.part: receipt.attempt for receipt in found}


def wait_for_receipts(path: Path, count: int, child: Any, seconds: float = 120) -> None:
    """Until an unfinished run of the process ``child`` has so many receipts."""
    end = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end:
        if len(list(path.parent.glob(f".{path.name}.staging-*/receipts/*.json"))) >= count:
            return
        time.sleep(0.002)
    raise AssertionError(f"the run ended ({child.poll()}) or stood still before it had {count} receipts")


def run_watched(monkeypatch: Any, *args: Any, **options: Any) -> tuple[Result, dict[str, Any]]:
    """A run, and the receipts that it published, by part."""
    seen: dict[str, Any] = {}
    real = running.publish

    def publish(job: Any, *arguments: Any, **more: Any) -> Any:
        seen.update({receipt.part: receipt for receipt in each_receipt(job)})
        return real(job, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(running, "publish", publish)
        return run(*args, **options), seen


def deadly(tokens: Path, how: str) -> Any:
    """A step that keeps every row; while there are files in ``tokens``, it takes one and ends its process.

    "exit" and "abort" end it at once, "kill" by SIGKILL as soon as the process has a part open for writing.
    """
    folder = str(tokens)

    @da.augmenter(uses=["event"], produces={}, keeps_rows=False, name="deadly")
    def step(events):
        import os
        import signal
        import sys
        import threading
        import time

        import numpy as np

        def writing() -> bool:
            links = []
            for entry in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink(f"/proc/self/fd/{entry}"))
                except OSError:
                    continue
            return any("/attempts/" in link for link in links)

        def kill_when_writing() -> None:
            while not writing():
                time.sleep(0)
            os.kill(os.getpid(), signal.SIGKILL)

        for name in sorted(os.listdir(folder)):
            try:
                os.unlink(f"{folder}/{name}")
            except FileNotFoundError:
                continue
            if how == "exit":
                sys.exit(1)
            elif how == "abort":
                os.abort()
            threading.Thread(target=kill_when_writing, daemon=True).start()
            break
        return np.ones(len(events), bool)

    return step


def transient(counts: Path, failures: int = 2, share: float = 0.3) -> Any:
    """A step that keeps every row; in ``share`` of the parts it fails at the first ``failures`` attempts."""
    folder = str(counts)

    @da.augmenter(uses=["event", "MET.pt"], produces={}, keeps_rows=False, name="transient")
    def step(events):
        import errno
        import hashlib
        import os

        import numpy as np

        first = f"{events.event[0]}-{events.MET.pt[0]}"
        if hashlib.sha256(f"a{first}".encode()).digest()[0] < 256 * share:
            for attempt in range(failures):
                try:
                    os.close(os.open(f"{folder}/{first}.{attempt}", os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    continue
                raise OSError(errno.EIO, "Input/output error")
        return np.ones(len(events), bool)

    return step


class FullDisk:
    """Stands in for `os` in the module `files` of dask_augment.dataset: no room beyond ``room`` bytes in all."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: Any) -> int:
        """What fits is written, as by a disk."""
        if self.room == 0 and len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(descriptor, data[: self.room])
        self.room -= written
        return written
