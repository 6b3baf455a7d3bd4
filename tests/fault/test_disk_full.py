"""The disk is full at some point of writing: the system's own error is shown, nothing is published, and later it works."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.publication import Incomplete
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.verify import verify
from dataset_toys import account, finish, job, part, table

BIG = part(0, 40_000)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.99])
def test_no_room_beyond(tmp_path: Path, share: float) -> None:
    """RLIMIT_FSIZE: the kernel itself cuts the write, at five places of the file."""
    whole = finish(job(tmp_path / "whole", [BIG], settings=Settings(row_group_rows=10_000)))
    limit = int(share * whole.files[0].bytes)
    work = job(tmp_path / "out", [BIG], settings=Settings(row_group_rows=10_000))
    sink = open_staging(work)
    rows = table(BIG)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            sink.write_part(BIG, (rows.slice(start, 7_000) for start in range(0, 40_000, 7_000)), lambda: account(rows))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(sink.attempts.iterdir()) == [], "what was written is removed, to make room"
    with pytest.raises(Incomplete):
        publish(work)
    assert not work.path.exists()
    finish(work)
    assert verify(work.path, deep=True).ok


def test_a_full_disk_is_worth_another_try() -> None:
    assert classify(OSError(errno.ENOSPC, "No space left on device")) == "transient"
