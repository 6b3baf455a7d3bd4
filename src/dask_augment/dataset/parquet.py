"""Write one Parquet file of one attempt, row group by row group, and hash it on the way."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dask_augment.dataset.arrow import row_bytes
from dask_augment.dataset.footer import joined
from dask_augment.dataset.hashing import LogicalHash, logical_hash, primitive
from dask_augment.dataset.layout import hive_keys
from dask_augment.dataset.receipt import Written
from dask_augment.dataset.store import files

ROW_GROUP_BYTES = 128 << 20
"""Most bytes in memory of a row group, of one row at least."""
_HASHED_BYTES = 16 << 20
_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Settings:
    """How Parquet is written. The defaults were the smallest and fastest pairing measured on collider columns.

    Floats are split by byte and not put into a dictionary, 64-bit integers are stored as differences, and all else
    has a dictionary, which suits small integers and names.
    """

    compression: str = "lz4"
    row_group_rows: int = 200_000
    row_group_bytes: int = ROW_GROUP_BYTES
    """A row group ends before the row with which it would have more rows or bytes, so every attempt cuts alike."""

    def __post_init__(self) -> None:
        for name in ("row_group_rows", "row_group_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}")

    def writer(self, target: Any, schema: pa.Schema) -> pq.ParquetWriter:
        """A writer with these settings and a checksum on each page."""
        leaves = dict(_leaves(schema))
        return pq.ParquetWriter(
            target,
            schema,
            compression=self.compression,
            use_dictionary=[path for path, encoding in leaves.items() if encoding == "DICTIONARY"],
            column_encoding={path: encoding for path, encoding in leaves.items() if encoding != "DICTIONARY"},
            write_page_checksum=True,
            # Arrow's own allocator takes 40 MB from the system for the few that a writer needs, and keeps them.
            memory_pool=pa.system_memory_pool(),
        )


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Path and encoding of each leaf column."""
    types = pa.types
    for field in schema:
        path, kind = field.name, field.type
        while types.is_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        if types.is_floating(kind):
            yield path, "BYTE_STREAM_SPLIT"
        elif types.is_int64(kind) or types.is_uint64(kind):
            yield path, "DELTA_BINARY_PACKED"
        elif types.is_boolean(kind):
            yield path, "PLAIN"
        else:
            yield path, "DICTIONARY"


class _NewParquet:
    """A Parquet file that is being written, and what its receipt will say."""

    def __init__(self, path: Path, folder: str, schema: pa.Schema) -> None:
        self.path = path
        self.not_finite: dict[str, int] = {}
        """Number of NaN and infinite values by column, where they were counted and there are any."""
        self._folder = folder
        self._schema = schema
        self._rows = 0
        self._hash = LogicalHash()
        self._raw = files.create(path)

    def written(self) -> Written:
        """What the receipt says about the file."""
        return Written(
            name=self.path.name,
            folder=self._folder,
            rows=self._rows,
            bytes=self._raw.size,
            sha256=self._raw.sha256.hexdigest(),
            logical_hash=self._hash,
        )


class PartFile(_NewParquet):
    """A new Parquet file for the rows of one hive folder; rows wait until :meth:`flush` makes them a row group."""

    def __init__(self, path: Path, folder: str, schema: pa.Schema, settings: Settings) -> None:
        super().__init__(path, folder, schema)
        self.pending = 0
        """Bytes that wait."""
        self._settings = settings
        self._waiting: list[pa.Table] = []
        self._sizes: list[NDArray[np.int64]] = []
        """Of each row that waits."""
        self._file = self._raw.buffered()
        self._writer = settings.writer(self._file, schema)

    def add(self, table: pa.Table) -> None:
        """Take rows; nothing is written yet."""
        self._waiting.append(table)
        self._sizes.append(row_bytes(table))
        self.pending += int(self._sizes[-1].sum())

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return sum(table.num_rows for table in self._waiting)

    def flush(self) -> None:
        """Write one row group of the first rows that wait, as many as the settings allow."""
        waiting, sizes = pa.concat_tables(self._waiting), np.concatenate(self._sizes)
        fit = int(np.searchsorted(np.cumsum(sizes), self._settings.row_group_bytes, side="right"))
        rows = min(max(fit, 1), self._settings.row_group_rows)
        group = waiting.slice(0, rows).combine_chunks()
        rest = waiting.slice(rows)
        self._waiting, self._sizes = ([rest], [sizes[rows:]]) if rest.num_rows else ([], [])
        self.pending = int(sizes[rows:].sum())
        self._hash += hash_of(group, hive_keys(self._folder))
        for name, count in not_finite(group).items():
            self.not_finite[name] = self.not_finite.get(name, 0) + count
        self._rows += group.num_rows
        self._writer.write_table(group, row_group_size=max(group.num_rows, 1))

    def finish(self) -> None:
        """Write what waits, close, wait for the disk, and read the footer back; OSError if it differs."""
        while self.rows:
            self.flush()
        self._writer.close()
        self._file.flush()
        self._raw.sync()
        self._file.close()
        check_footer(self.path, self._rows, self._schema)

    def abandon(self) -> None:
        """Close after an error, without writing anything more."""
        self._raw.discard()
        for close in (self._writer.close, self._file.close):
            # The file is thrown away; what its writer says now would hide the error that matters.
            with suppress(Exception):
                close()


class JoinedFile(_NewParquet):
    """A new Parquet file with the row groups of finished ones, copied as they are: nothing is decoded."""

    def __init__(self, path: Path, folder: str, schema: pa.Schema, sources: Sequence[tuple[Path, Written]]) -> None:
        super().__init__(path, folder, schema)
        self._sources = sources
        self._rows = sum(source.rows for _, source in sources)
        self._hash = sum((source.logical_hash for _, source in sources), LogicalHash())

    def finish(self) -> None:
        """Copy, wait for the disk, and read the footer back; OSError if a source is not what was written."""
        self._raw.write(_MAGIC)
        footers, offsets = [], []
        for path, source in self._sources:
            content = files.read(path)
            if sha256(content).hexdigest() != source.sha256:
                raise OSError(errno.EIO, "reads back with other values than were written", str(path))
            start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
            offsets.append(self._raw.size - len(_MAGIC))
            self._raw.write(memoryview(content)[len(_MAGIC) : start])
            footers.append(content[start:-8])
        footer = joined(footers, offsets)
        self._raw.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
        self._raw.sync()
        self._raw.close()
        check_footer(self.path, self._rows, self._schema)

    def abandon(self) -> None:
        """Close after an error."""
        self._raw.close()


def check_footer(path: Path, rows: int, schema: pa.Schema) -> None:
    """OSError unless a finished file has these rows and columns."""
    with pq.ParquetFile(files.source(path)) as file:
        found, columns = file.metadata.num_rows, file.schema_arrow
    if found != rows or not columns.equals(schema):
        raise OSError(
            errno.EIO,
            f"wrote {rows} rows and read back {found}, or other columns: the disk or the network lost them",
            str(path),
        )


def hash_of(table: pa.Table, keys: Mapping[str, str]) -> LogicalHash:
    """The logical hash of a table, some rows at a time: of an event with a million objects it takes several times its bytes."""
    ends = np.cumsum(row_bytes(table))
    cuts = np.searchsorted(ends, np.arange(_HASHED_BYTES, ends[-1] if len(ends) else 0, _HASHED_BYTES)).tolist()
    pieces = (table.slice(a, b - a) for a, b in pairwise(sorted({0, *cuts, table.num_rows})))
    return sum((logical_hash(piece, keys) for piece in pieces), LogicalHash())


def not_finite(table: pa.Table) -> dict[str, int]:
    """Number of NaN and infinite values of each column that has any, also inside lists; null is neither."""
    found = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        kind = column.type
        while pa.types.is_list(kind):
            kind = kind.value_type
        if not pa.types.is_floating(kind):
            continue
        count = sum(_not_finite(chunk) for chunk in column.chunks)
        if count:
            found[name] = count
    return found


def _not_finite(array: pa.Array) -> int:
    while pa.types.is_list(array.type):
        array = array.flatten()
    if array.null_count:
        array = array.drop_null()
    return len(array) - int(np.count_nonzero(np.isfinite(primitive(array))))
