"""The disk is full at some point of a run: the system's own words are shown, nothing is published, and resume works."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import whole_toys
from dask_augment.dataset import posix
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dask_augment.runs.run import Result, run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_toys.fileset(tmp_path_factory.mktemp("inputs"), 800)


@pytest.fixture(scope="module")
def quiet(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(whole_toys.plan(inputs), tmp_path_factory.mktemp("quiet") / "out", chunksize=50)


def check_resumed(inputs: dict[str, Any], out: Path, quiet: Result) -> None:
    assert not out.exists(), "nothing was published"
    result = run(whole_toys.plan(inputs), out, chunksize=50, resume=True)
    assert result.manifest.logical_hash == quiet.manifest.logical_hash
    assert verify(out, deep=True).ok
    assert whole_toys.nothing_left(out)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 0.8, 0.99])
def test_no_room_at_five_places(
    inputs: dict[str, Any], quiet: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """From opening the staging folder to the manifest."""
    disk = whole_toys.FullDisk(1 << 40)
    with monkeypatch.context() as patch:
        patch.setattr(posix, "os", disk)
        run(whole_toys.plan(inputs), tmp_path / "count", chunksize=50)
    written = (1 << 40) - disk.room
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(posix, "os", whole_toys.FullDisk(int(share * written)))
        with pytest.raises(RunFailed, match=r"\[Errno 28\] No space left on device") as caught:
            run(whole_toys.plan(inputs), out, chunksize=50)
    assert "with resume (--resume)" in str(caught.value)
    check_resumed(inputs, out, quiet)


def test_file_size_limit(inputs: dict[str, Any], quiet: Result, tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the kernel itself cuts the write of a part."""
    largest = max(file.bytes for file in quiet.manifest.files)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))
    try:
        with pytest.raises(RunFailed, match=r"File too large.*\nNothing was published") as caught:
            run(whole_toys.plan(inputs), tmp_path / "out", chunksize=50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    check_resumed(inputs, tmp_path / "out", quiet)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_disk_that_fails_while_publishing(
    inputs: dict[str, Any], quiet: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """It says what is kept, and where."""

    def fails(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_tree", fails)
        with pytest.raises(RunFailed) as caught:
            run(whole_toys.plan(inputs), out, chunksize=50)
    assert str(caught.value) == (
        f"{out} could not be published: OSError: [Errno {error}] {os.strerror(error)}\n20 of 20 parts done, and kept in "
        f"{whole_toys.staging(out)}: mend the cause (a full disk needs room) and run the plan again with resume (--resume)"
    )
    check_resumed(inputs, out, quiet)


def test_folder_that_cannot_be_made(inputs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFailed, match=r"file/out could not be made: NotADirectoryError: .*\nNothing is kept: mend"):
        run(whole_toys.plan(inputs), tmp_path / "file" / "out")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB, where one may be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("where", ["synchronous", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_small_disk(inputs: dict[str, Any], quiet: Result, small_disk: Path, where: str) -> None:
    """A real file system fills up; with more room the same call goes on."""
    with pytest.raises(RunFailed, match=r"\[Errno 28\] No space left on device"):
        run(whole_toys.plan(inputs), small_disk / "out", where=where, chunksize=50)
    assert os.statvfs(small_disk).f_bavail > 0, "what was half written is removed"
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    check_resumed(inputs, small_disk / "out", quiet)
