"""Merge the files of small parts before publishing, so that readers find files of a useful size.

A merge is one more part of the work: it is written by the same sink as any other, into an attempt-unique file with a
receipt of its own, so whatever holds for parts (retries, late attempts, crashes, resume) holds for it.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq

from dask_augment.contract.account import Account
from dask_augment.dataset.hashing import LogicalHash
from dask_augment.dataset.layout import hive_keys
from dask_augment.dataset.publication import Incomplete, Job
from dask_augment.dataset.receipt import Part, Receipt, Written, to_json
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.store import files
from dask_augment.messages import counted

TARGET_BYTES = 256 << 20
"""No file is merged to more; all but the last of a folder come near."""
LEAST_BYTES = 128 << 20
"""A file of this size is not merged."""
SMALL_BYTES = 16 << 20
FEW = 8
"""Files of one folder that a reader opens gladly, if none is smaller than that: merging them is not worth its time."""
_FULL_ROWS, _FULL_BYTES = 50_000, 8 << 20
"""Row groups with this many rows or bytes on average stay as they are; smaller ones are written anew, in larger ones."""


@dataclass(frozen=True)
class Group:
    """Files of consecutive parts in one hive folder that become one file."""

    folder: str
    files: tuple[Written, ...]

    @property
    def part(self) -> Part:
        """The merge as a part; its id says which contents of which parts are merged, not which attempts wrote them."""
        members = [list(_member(file)) for file in self.files]
        digest = blake2b(to_json([self.folder, members]).encode(), digest_size=16).hexdigest()
        return Part(f"merged-{digest}", hive_keys(self.folder).get("dataset", ""), {"members": members})

    @property
    def full(self) -> bool:
        """Whether the row groups are large enough for readers as they are."""
        count = len(self.files)
        return sum(file.rows for file in self.files) >= count * _FULL_ROWS or (
            sum(file.bytes for file in self.files) >= count * _FULL_BYTES
        )


def merge_groups(job: Job, written: Mapping[str, Sequence[Written]], target: int = TARGET_BYTES) -> list[Group]:
    """Which files to merge: those under ``LEAST_BYTES``, as many of one folder as stay within ``target`` bytes together.

    In a folder of no more than ``FEW`` files it is those under ``SMALL_BYTES``.
    ``written`` are the files of the receipts, by the part's id; they are merged in the order of the plan.
    Depends on the sizes of the files alone, so it is the same on every run. A file that stays alone is in no group.
    ValueError for a target under 1 byte.
    """
    if target < 1:
        raise ValueError(f"target is a number of bytes, 1 or more, got {target}")
    number = Counter(file.folder for part in job.parts for file in written.get(part.id, ()))
    open_groups: dict[str, list[Written]] = {}
    groups: list[Group] = []

    def close(folder: str) -> None:
        members = open_groups.pop(folder)
        if len(members) > 1:
            groups.append(Group(folder, tuple(members)))

    for part in job.parts:
        for file in written.get(part.id, ()):
            if file.bytes >= (LEAST_BYTES if number[file.folder] > FEW else SMALL_BYTES):
                continue
            if file.folder in open_groups and sum(m.bytes for m in open_groups[file.folder]) + file.bytes > target:
                close(file.folder)
            open_groups.setdefault(file.folder, []).append(file)
    for folder in list(open_groups):
        close(folder)
    return groups


def merge(sink: Sink, group: Group) -> Receipt:
    """Write the one file of a group and return its receipt, for :func:`~dask_augment.dataset.commit.publish`.

    Row groups that are large enough are copied, not decoded. Whatever is read is checked, and OSError is raised if it is
    not what the parts wrote. A merge that is done already is not done again.
    """
    known = sink.receipt(group.part.id)
    if known is not None and not all(files.size(sink.attempts / file.name) == file.bytes for file in known.files):
        files.remove(sink.receipt_path(group.part.id))
    rows = sum(file.rows for file in group.files)

    def account() -> Account:
        return Account(rows_in=rows, rows_out=rows)

    if group.full:
        return sink.join_part(group.part, group.folder, group.files, account)
    receipt = sink.write_part(group.part, _pieces(sink, group), account)
    if receipt.logical_hash != sum((file.logical_hash for file in group.files), LogicalHash()):
        files.remove(sink.receipt_path(group.part.id))
        raise OSError(errno.EIO, f"the files of {group.folder} read back with other values than were written")
    return receipt


class Merged:
    """Merged files in the place of those that they were made from."""

    def __init__(self, merged: Sequence[Receipt]) -> None:
        self._receipts = {receipt.part: receipt for receipt in merged}
        self._of = {tuple(member): receipt.part for receipt in merged for member in receipt.input["members"]}
        self._first: dict[str, int] = {}
        self._left = {receipt.part: len(receipt.input["members"]) for receipt in merged}

    def holds(self, file: Written, index: int) -> bool:
        """Whether a file of the part at ``index`` of the plan is in a merged file."""
        name = self._of.get(_member(file))
        if name is None:
            return False
        self._first.setdefault(name, index)
        self._left[name] -= 1
        return True

    def entries(self) -> Iterator[tuple[Receipt, int]]:
        """Each merged file's receipt with the position of its first part; Incomplete if it holds other files too."""
        for name, receipt in self._receipts.items():
            if self._left[name]:
                raise Incomplete(
                    f"{name} holds {counted(self._left[name], 'file')} that no receipt names; merge them anew"
                )
            yield receipt, self._first[name]


def _member(file: Written) -> tuple[str, str, str]:
    """Folder, part and content of a file: the same for every attempt that wrote the same."""
    return file.folder, file.name.partition(".")[0], file.sha256


def _pieces(sink: Sink, group: Group) -> Iterator[pa.Table]:
    """Row groups of all files, with the columns that the folder holds."""
    keys = {name: value for name, value in hive_keys(group.folder).items() if name in sink.schema.names}
    for file in group.files:
        with pq.ParquetFile(files.source(sink.attempts / file.name), page_checksum_verification=True) as parquet:
            for number in range(max(parquet.num_row_groups, 1)):
                table = parquet.read_row_group(number) if parquet.num_row_groups else parquet.read()
                for name, value in keys.items():
                    column = pa.array([value]).cast(sink.schema.field(name).type)
                    table = table.append_column(name, pa.repeat(column[0], table.num_rows))
                yield table
