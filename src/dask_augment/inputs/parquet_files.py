"""Read Parquet files with pyarrow; fields of records and of lists of records become columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dask_augment.events.layouts import SLICE_BYTES
from dask_augment.inputs.columns_of_files import At, Opened, table_of
from dask_augment.inputs.parquet_types import as_nullable_as, has_nulls, is_list, leaf_of, leaves_of, not_null, zone_of
from dask_augment.inputs.paths import is_url, opened, path_of
from dask_augment.inputs.sums import PRESELECTED

_AHEAD = 1 << 16
"""Bytes of a column of a local file that are read at once."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}


@dataclass(frozen=True)
class Parquet:
    """Parquet files, by path or by URL."""

    tree = None
    has_uuid = False
    stays_open = False

    def open(self, location: str) -> ParquetFile:
        """One of them."""
        return ParquetFile(location)


class ParquetFile(Opened):
    """A Parquet file, by path or by URL."""

    def __init__(self, location: str) -> None:
        location = path_of(location)
        self.uuid = parquet_uuid(location)
        source = opened(location) if is_url(location) else location
        # From afar columns are read in few journeys, and wait whole; here none of their bytes need wait.
        how = {"pre_buffer": True} if is_url(location) else {"pre_buffer": False, "buffer_size": _AHEAD}
        self._file = pq.ParquetFile(source, page_checksum_verification=True, **how)
        self.entries = int(self._file.metadata.num_rows)
        fields = [leaf for field in self._file.schema_arrow for leaf in leaves_of(field, (field.name,))]
        keys = [self._file.metadata.schema.column(index).path for index in range(len(self._file.metadata.schema))]
        at, places = 0, []
        self._types: dict[str, pa.Field] = {}
        self._index: dict[str, int] = {}
        self._lacking: dict[str, bool] = {}
        for path, field, width in fields:
            # A map has two columns; what has not one is not read.
            key = keys[at] if width == 1 else ""
            places.append(At(".".join(path), key, path))
            self._types[".".join(path)], self._index[key] = field, at
            at += width
        self.columns = table_of(places)

    def sum_of_weights(self, weight: str, weighed: bool) -> tuple[float | None, str]:
        """As the metadata of the schema say it, else over the events of the file."""
        with suppress(KeyError, ValueError):
            return float((self._file.schema_arrow.metadata or {})[PRESELECTED.encode()]), PRESELECTED
        return super().sum_of_weights(weight, weighed)

    def empty(self, names: Sequence[str]) -> ak.Array:
        """No events, where columns without a missing value are not nullable: most writers say that all may have some."""
        columns = {}
        for name in names:
            place = self._place(name)
            field = self._types[place.name]
            exact = field if self._has_nulls(place, field) else not_null(field)
            columns[name] = ak.from_arrow(pa.schema([exact.with_name("x")]).empty_table())["x"]
        return ak.zip(columns, depth_limit=1)

    def read(self, names: Sequence[str], start: int, stop: int, schema: pa.Schema | None = None) -> dict[str, ak.Array]:
        """The columns of some entries; without missing values as the schema says, whatever the writer allowed for."""
        groups, first, at = [], None, 0
        for index in range(self._file.metadata.num_row_groups):
            end = at + self._file.metadata.row_group(index).num_rows
            if at < stop and end > start:
                groups.append(index)
                first = at if first is None else first
            at = end
        table = self._file.read_row_groups(groups, columns=self._keys(names))
        return self._made(table, names, start - (first or 0), stop - (first or 0), schema)

    def reckoned(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By the numbers of values in each row group."""
        keys = {place.key: is_list(self._types[place.name].type) for place in map(self._place, names)}
        entries, before = [0], [0]
        for number in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(number)
            columns = [(group.column(self._index[key]), jagged) for key, jagged in keys.items()]
            size = sum(_bytes_of(column) + 8 * jagged * group.num_rows for column, jagged in columns)
            entries.append(entries[-1] + group.num_rows)
            before.append(before[-1] + size)
        return np.array(entries, np.float64), np.array(before, np.float64)

    def batches(
        self, names: Sequence[str], start: int, stop: int, most: int, schema: pa.Schema | None = None
    ) -> Iterator[tuple[int, int, dict[str, ak.Array]]]:
        """In one go, so that no row group is decoded again for each of its batches."""
        entries, before = self.reckoned(names)
        first = int(np.searchsorted(entries, start, side="right")) - 1
        groups = range(first, int(np.searchsorted(entries, stop, side="left")))
        widest = np.max(np.diff(before) / np.maximum(np.diff(entries), 1), initial=1.0)
        size = max(1, min(int(most // widest), stop - start))
        at = int(entries[first])
        for batch in self._file.iter_batches(size, row_groups=groups, columns=self._keys(names)):
            a, b = max(start, at), min(stop, at + batch.num_rows)
            if a < b:
                yield a, b, self._made(pa.Table.from_batches([batch]), names, a - at, b - at, schema)
            at += batch.num_rows

    def _keys(self, names: Sequence[str]) -> list[str]:
        return sorted({self._place(name).key for name in names})

    def _made(
        self, table: pa.Table, names: Sequence[str], start: int, stop: int, schema: pa.Schema | None
    ) -> dict[str, ak.Array]:
        """Columns of the rows of a table that was read."""
        columns = {}
        for name in names:
            place = self._place(name)
            field = self._types[place.name]
            if schema is not None and name in schema.names and not schema.field(name).nullable:
                field = not_null(field)
            elif schema is not None and name in schema.names:
                field = as_nullable_as(field, schema.field(name))
            chunks = [leaf_of(chunk, place.path[1:]) for chunk in table.column(place.path[0]).chunks]
            whole = pa.chunked_array(chunks, chunks[0].type if chunks else field.type)
            # Sliced as awkward: its conversion takes the missing values of a sliced table from the wrong rows.
            made = pa.table([whole.cast(field.type)], pa.schema([field.with_name("x")]))
            columns[name] = ak.from_arrow(made)["x"][start:stop]
        return columns

    def _place(self, name: str) -> At:
        place = self.at(name)
        assert place is not None
        if not place.key:
            raise TypeError(f"is {self._types[place.name].type}, which is not read")
        if zone := zone_of(self._types[place.name].type):
            raise TypeError(f"times have the zone {zone!r}, which would be lost: write them as times without one")
        return place

    def _has_nulls(self, place: At, field: pa.Field) -> bool:
        """Whether any value of a column is missing; the data are read where the statistics do not say."""
        if place.key not in self._lacking:
            self._lacking[place.key] = field != not_null(field) and self._lacks(place, field)
        return self._lacking[place.key]

    def _lacks(self, place: At, field: pa.Field) -> bool:
        flat_column = len(place.path) == 1 and not pa.types.is_nested(field.type)
        groups = [self._file.metadata.row_group(index) for index in range(self._file.metadata.num_row_groups)]
        for number, group in enumerate(groups):
            statistics = group.column(self._index[place.key]).statistics
            if statistics is not None and statistics.has_null_count:
                if statistics.null_count == 0:
                    continue
                if flat_column:
                    return True
            # In lists the statistics count an empty list as null too, and some writers leave them out.
            most = max(1, SLICE_BYTES * group.num_rows // max(_bytes_of(group.column(self._index[place.key])), 1))
            for batch in self._file.iter_batches(most, row_groups=[number], columns=[place.key]):
                if has_nulls(leaf_of(batch.column(place.path[0]), place.path[1:])):
                    return True
        return False


def _bytes_of(column: Any) -> int:
    """Bytes in memory of the values of a column in a row group; of texts, as they are stored."""
    width = _WIDTHS.get(column.physical_type)
    return int(column.num_values * width if width else column.total_uncompressed_size + 8 * column.num_values)


def parquet_uuid(location: str) -> str:
    """What tells one Parquet file from another, and not from a copy: the sha256 of its size and its footer.

    The footer says where each column of each row group lies and, from most writers, its least and greatest value.
    """
    with opened(location) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 8))
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, size - 8 - length))
        return sha256(size.to_bytes(8, "little") + stream.read()).hexdigest()
