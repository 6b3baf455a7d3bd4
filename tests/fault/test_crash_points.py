"""A crash, and an I/O error, at every operation of the file system; then the same call again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dask_augment.contract.learned import Learned
from dask_augment.dataset import posix
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.gc import collect
from dask_augment.dataset.merge import merge, merge_groups
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.store import files
from dataset_toys import files_of, finish, job, part, receipts, snapshot, write
from faults import Crash, FaultyOs

PARTS = [part(0), part(1), part(2, 0)]
OLD = {"plan": {"seed": 1}, "parts": [part(8)]}


def first(path: Path) -> None:
    finish(job(path, PARTS))


def replacing(path: Path) -> None:
    finish(job(path, PARTS), replace=True)


def aside(path: Path) -> None:
    """Replace where there is no atomic swap."""
    real, files.exchange = files.exchange, lambda one, other: False
    try:
        finish(job(path, PARTS), replace=True)
    finally:
        files.exchange = real


def learning(path: Path) -> None:
    """What was learned is published beside the rows."""
    learned = Learned({"x": np.arange(1000.0)})
    finish(job(path, PARTS), learned={"one": learned, "other": learned, "more": Learned({"y": np.arange(3)})})


def merging(path: Path) -> None:
    """The files of each data set become one before they are published."""
    work = job(path, PARTS)
    sink = open_staging(work)
    if isinstance(sink, Sink):
        for each in PARTS:
            write(sink, each)
        publish(work, merged=[merge(sink, group) for group in merge_groups(work, files_of(receipts(work)))])
    publish(work)


def prepare(path: Path, run: Callable[[Path], None]) -> None:
    if run in (replacing, aside):
        finish(job(path, **OLD))


def operations(tmp_path: Path, run: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    prepare(tmp_path / "count", run)
    system = FaultyOs()
    with monkeypatch.context() as patch:
        patch.setattr(posix, "os", system)
        run(tmp_path / "count")
    return system.log


def attempt(path: Path, run: Callable[[Path], None], system: FaultyOs, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the run came to its end."""
    with monkeypatch.context() as patch:
        patch.setattr(posix, "os", system)
        try:
            run(path)
        except (Crash, OSError):
            return False
    return True


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (first, "crash"),
        (first, errno.EIO),
        (merging, "crash"),
        (learning, "crash"),
        (learning, errno.ENOSPC),
        (replacing, "crash"),
        (aside, "crash"),
        (aside, errno.EIO),
    ],
)
def test_every_operation(tmp_path: Path, monkeypatch, run: Callable[[Path], None], what: str | int) -> None:
    log = operations(tmp_path, run, monkeypatch)
    reference = snapshot(tmp_path / "count")
    finish(job(tmp_path / "old", **OLD))
    old = snapshot(tmp_path / "old")
    assert {"open", "write", "fsync", "link", "rename", "mkdir", "unlink", "rmdir"} <= set(log)
    for point in range(len(log)):
        home = tmp_path / f"{point}"
        home.mkdir()
        if run in (replacing, aside):
            shutil.copytree(tmp_path / "old", home / "out")
        attempt(home / "out", run, FaultyOs(point, what), monkeypatch)
        where = f"operation {point}, {log[point]}"
        if (home / "out").exists():
            assert snapshot(home / "out") in (reference, old), f"partly visible after {where}"
        else:
            assert run is not replacing, f"nothing visible after {where}, though the swap is atomic"
        run(home / "out")
        assert snapshot(home) == {f"out/{name}": data for name, data in reference.items()}, f"after {where}"


def test_a_crash_between_the_two_renames_loses_neither(tmp_path: Path, monkeypatch) -> None:
    """Whoever comes back finds the old data set where it was, and nobody sweeps it away meanwhile."""
    finish(job(tmp_path / "out", **OLD))
    old = snapshot(tmp_path / "out")
    log = operations(tmp_path, aside, monkeypatch)
    for point in range(len(log)):
        attempt(tmp_path / "out", aside, FaultyOs(point), monkeypatch)
        if not (tmp_path / "out").exists():
            break
    assert not (tmp_path / "out").exists()
    assert collect(tmp_path, 0) == []
    open_staging(job(tmp_path / "out", PARTS), replace=True)
    assert snapshot(tmp_path / "out") == old


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch) -> None:
    """Each crash costs the part it hit, and no other."""
    log = operations(tmp_path, first, monkeypatch)
    work = job(tmp_path / "out", PARTS)
    before = 0
    for point in range(0, len(log), 7):
        attempt(work.path, first, FaultyOs(point), monkeypatch)
        if work.path.exists():
            break
        done = len(receipts(work))
        assert done >= before
        before = done
    assert before == len(PARTS)


def test_two_clients_at_every_operation_of_publishing(tmp_path: Path, monkeypatch) -> None:
    """The other client publishes, all of it, just before each operation of ours."""
    work = job(tmp_path / "count", PARTS)
    finish(work)
    reference = snapshot(tmp_path / "count")
    point, met = 0, True
    while met:
        work = job(tmp_path / f"{point}" / "out", PARTS)
        sink = open_staging(work)
        assert isinstance(sink, Sink)
        for each in work.parts:
            write(sink, each)
        others = []

        def other(work=work, others=others) -> None:
            with monkeypatch.context() as inner:
                inner.setattr(posix, "os", os)
                others.append(publish(work))

        system = FaultyOs(point, other)
        with monkeypatch.context() as patch:
            patch.setattr(posix, "os", system)
            ours = publish(work)
        met = bool(others)
        assert not others or others == [ours]
        assert snapshot(tmp_path / f"{point}") == {f"out/{name}": data for name, data in reference.items()}
        point += 1
    assert point > 20


def test_a_copy_in_place_of_the_rename_is_found(tmp_path: Path, monkeypatch) -> None:
    """The test above must see a final folder that fills up file by file."""
    real = files.rename

    def rename(source: Path, target: Path) -> None:
        if not source.name.startswith("data."):
            real(source, target)
            return
        for name in snapshot(source):
            files.make_folder((target / name).parent)
            files.link_or_copy(source / name, target / name)

    monkeypatch.setattr(files, "rename", rename)
    with pytest.raises(AssertionError, match="partly visible after operation"):
        test_every_operation(tmp_path, monkeypatch, first, "crash")
