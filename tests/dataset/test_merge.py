from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dask_augment.dataset import merge as merging
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.merge import FEW, LEAST_BYTES, SMALL_BYTES, merge, merge_groups
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.publication import Incomplete, Job
from dask_augment.dataset.receipt import Written
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dataset_toys import ROWS, files_of, job, part, receipts, snapshot, write

PARTS = [*(part(n) for n in range(7)), part(8, 0)]


@pytest.fixture(params=["written anew", "copied"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test with row groups that are merged into larger ones, and with row groups that are copied as they are."""
    monkeypatch.setattr(merging, "_FULL_ROWS", 0 if request.param == "copied" else 1 << 60)
    return request.param


def written(path: Path, **options) -> Job:
    work = job(path, PARTS, **options)
    sink = open_staging(work)
    for each in PARTS:
        write(sink, each)
    return work


def merged(work: Job, target: int) -> list:
    return [merge(work.sink, group) for group in merge_groups(work, files_of(receipts(work)), target)]


@pytest.mark.parametrize("keys", [(), ("dataset",), ("dataset", "stratum"), ("stratum", "nJet")])
def test_the_same_rows_in_fewer_files(tmp_path: Path, keys: tuple[str, ...]) -> None:
    plain = publish(written(tmp_path / "plain", partition_by=keys))
    work = written(tmp_path / "merged", partition_by=keys)
    manifest = publish(work, merged=merged(work, 1 << 20))
    assert manifest.logical_hash == plain.logical_hash
    assert manifest.account == plain.account
    folders = {Path(file.path).parent for file in plain.files}
    assert len(manifest.files) == len(folders) < len(plain.files)
    assert verify(work.path, deep=True).ok
    read = [pq.read_table(tmp_path / name) for name in ("plain", "merged")]
    order = [("event", "ascending")]
    assert logical_hash(read[0].sort_by(order)) == logical_hash(read[1].sort_by(order))


def test_rows_keep_the_order_of_the_plan_and_row_groups_are_full(tmp_path: Path, way: str) -> None:
    work = written(tmp_path / "out", partition_by=(), settings=Settings(row_group_rows=100))
    (file,) = publish(work, merged=merged(work, 1 << 20)).files
    assert file.path == "part-000000.parquet"
    read = pq.ParquetFile(work.path / file.path)
    assert read.read()["event"].to_pylist() == list(range(7 * ROWS))
    assert [read.metadata.row_group(i).num_rows for i in range(read.num_row_groups)] == (
        [ROWS] * 7 if way == "copied" else [100, 100, 80]
    )


def test_groups(tmp_path: Path) -> None:
    work = written(tmp_path / "out")
    done = receipts(work)
    size = max(file.bytes for receipt in done.values() for file in receipt.files)
    groups = merge_groups(work, files_of(done), 2 * size + 2_000)
    assert [(group.folder, [file.rows for file in group.files]) for group in groups] == [
        ("dataset=ttbar", [ROWS, ROWS]),
        ("dataset=dy", [ROWS, ROWS]),
        ("dataset=ttbar", [ROWS, ROWS, 0]),
    ]
    assert merge_groups(work, files_of(done), 2 * size + 2_000) == groups
    assert merge_groups(work, files_of(done), 1) == []
    assert merge_groups(work, {}, size) == []
    with pytest.raises(ValueError, match="1 or more, got 0"):
        merge_groups(work, files_of(done), 0)
    names = [file.path for file in publish(work, merged=merged(work, 2 * size + 2_000)).files]
    assert names == [f"dataset={name}/part-00000{n}.parquet" for name, n in
                     [("dy", 1), ("dy", 5), ("ttbar", 0), ("ttbar", 4)]]  # fmt: skip


def test_the_same_files_on_every_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        work = written(tmp_path / name)
        publish(work, merged=merged(work, 10_000))
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_a_merge_is_done_once_and_a_damaged_one_again(tmp_path: Path) -> None:
    work = written(tmp_path / "out")
    first = merged(work, 1 << 20)
    assert merged(work, 1 << 20) == first
    (work.sink.attempts / first[0].files[0].name).write_bytes(b"")
    again = merged(work, 1 << 20)
    assert again[0].attempt != first[0].attempt
    assert again[1] == first[1]
    assert publish(work, merged=again).rows == 7 * ROWS


def test_rot_between_writing_and_merging(tmp_path: Path) -> None:
    work = written(tmp_path / "out")
    group = merge_groups(work, files_of(receipts(work)))[0]
    path = work.sink.attempts / group.files[0].name
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"CRC|reads? back with other values"):
        merge(work.sink, group)
    assert work.sink.receipt(group.part.id) is None


def test_a_merge_of_other_files_is_refused(tmp_path: Path) -> None:
    work = written(tmp_path / "out")
    found = merged(work, 1 << 20)
    done = receipts(work)
    receipt = done[part(0).id]
    other = dataclasses.replace(receipt.files[0], sha256="0" * 64)
    done[part(0).id] = dataclasses.replace(receipt, files=(other,))
    with pytest.raises(Incomplete, match=r"merged-\w+ holds 1 file that no receipt names"):
        publish(work, done, merged=found)
    assert not work.path.exists()


def test_attempts_with_the_same_content_are_the_same_to_a_merge(tmp_path: Path) -> None:
    work = written(tmp_path / "out")
    found = merged(work, 1 << 20)
    files.remove(work.sink.receipt_path(part(0).id))
    write(work.sink, part(0))
    assert publish(work, merged=found).rows == 7 * ROWS
    assert verify(work.path, deep=True).ok


@pytest.mark.parametrize("size", [1 << 20, 100 << 20, LEAST_BYTES - 1])
def test_merged_files_are_of_a_useful_size(tmp_path: Path, size: int) -> None:
    """All but the last of a folder have 128 to 512 MB, however near to the limit the small ones are."""
    work = job(tmp_path / "out", [part(2 * n) for n in range(300)])
    small = {each.id: (Written(each.id, "dataset=ttbar", ROWS, size, "", LogicalHash()),) for each in work.parts}
    sizes = [sum(file.bytes for file in group.files) for group in merge_groups(work, small)]
    assert sum(sizes) == 300 * size
    assert all(128 << 20 <= merged <= 512 << 20 for merged in sizes[:-1])


@pytest.mark.parametrize(
    ("number", "size", "groups"),
    [(100, LEAST_BYTES, 0), (FEW, SMALL_BYTES, 0), (FEW, SMALL_BYTES - 1, 1), (FEW + 1, SMALL_BYTES, 1)],
)
def test_what_is_not_worth_a_merge(tmp_path: Path, number: int, size: int, groups: int) -> None:
    work = job(tmp_path / "out", [part(2 * n) for n in range(number)])
    written = {each.id: (Written(each.id, "dataset=ttbar", ROWS, size, "", LogicalHash()),) for each in work.parts}
    assert len(merge_groups(work, written)) == groups
