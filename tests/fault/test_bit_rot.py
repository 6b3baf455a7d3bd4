"""One bit of a published file turns: `verify --deep` finds it, whatever the codec."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_augment.dataset import parquet, verify
from dask_augment.dataset.parquet import Settings
from dataset_toys import finish, job, part

CODECS = ["none", "snappy", "zstd", "lz4", "gzip"]
FLIPS = 300


def flips(path: Path, number: int):
    """The file with one bit turned, again and again."""
    good = path.read_bytes()
    rng = random.Random(7)
    for _ in range(number):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        yield
    path.write_bytes(good)


def published(tmp_path: Path, codec: str) -> Path:
    finish(job(tmp_path / "out", [part(0)], settings=Settings(compression=codec, row_group_rows=40)))
    return tmp_path / "out" / "dataset=ttbar" / "part-000000.parquet"


@pytest.mark.parametrize("codec", CODECS)
def test_every_flip_is_found(tmp_path: Path, codec: str) -> None:
    path = published(tmp_path, codec)
    found = [not verify.verify(tmp_path / "out", deep=True).ok for _ in flips(path, FLIPS)]
    assert found.count(True) == FLIPS
    assert verify.verify(tmp_path / "out", deep=True).ok


def wrong_values(path: Path, good: pa.Table, checked: bool) -> bool:
    """Whether reading gives other values without an error."""
    try:
        read = pq.read_table(path, page_checksum_verification=checked, partitioning=None)
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return False
    return not read.equals(good)


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_checksums_of_pages(tmp_path: Path, monkeypatch, codec: str) -> None:
    """They are what protects readers that know nothing of the manifest; without them most flips go unseen."""
    path = published(tmp_path, codec)
    good = pq.read_table(path, partitioning=None)
    data_end = int.from_bytes(path.read_bytes()[-8:-4], "little")
    silent = sum(wrong_values(path, good, checked=False) for _ in flips(path, 100))
    guarded = sum(wrong_values(path, good, checked=True) for _ in flips(path, 100))
    assert data_end > 0
    assert guarded < silent / 2

    real = pq.ParquetWriter
    monkeypatch.setattr(parquet.pq, "ParquetWriter", lambda *a, **o: real(*a, **{**o, "write_page_checksum": False}))
    path = published(tmp_path / "bare", codec)
    assert sum(wrong_values(path, good, checked=True) for _ in flips(path, 100)) > guarded


def test_found_without_the_sha256_too(tmp_path: Path, monkeypatch) -> None:
    """Page checksums and the logical hash alone find every flip that changes a value."""
    path = published(tmp_path, "lz4")
    good = pq.read_table(path, partitioning=None)
    sha = verify.files.sha256(path)
    monkeypatch.setattr(verify.files, "sha256", lambda path: sha)
    for _ in flips(path, 100):
        if wrong_values(path, good, checked=False):
            assert not verify.verify(tmp_path / "out", deep=True).ok
