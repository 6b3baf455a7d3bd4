"""Row groups of several Parquet files in one, against what pyarrow and DuckDB read of it."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_augment.dataset.footer import _Reader, _write_struct, joined
from dask_augment.dataset.parquet import Settings


def table(rows: int, start: int = 0, columns: int = 1) -> pa.Table:
    numbers = np.arange(start, start + rows)
    return pa.table(
        {
            "event": pa.array(numbers, pa.uint64()),
            "isGood": pa.array(numbers % 2 == 0),
            "name": pa.array([f"e{n % 5}" for n in numbers], pa.string()),
            "Jet_pt": pa.array([[float(n)] * (n % 3) for n in numbers], pa.list_(pa.float32())),
            "maybe": pa.array([None if n % 4 else n for n in numbers], pa.int32()),
            **{f"x{k}": pa.array(numbers * 0.5 + k) for k in range(columns)},
        }
    )


def stored(content: pa.Table, **options) -> bytes:
    file = io.BytesIO()
    with pq.ParquetWriter(file, content.schema, **options) as writer:
        writer.write_table(content, row_group_size=300)
    return file.getvalue()


def footer(file: bytes) -> bytes:
    return file[-8 - int.from_bytes(file[-8:-4], "little") : -8]


def together(stored_files: list[bytes]) -> bytes:
    output, offsets = b"PAR1", []
    for file in stored_files:
        offsets.append(len(output) - 4)
        output += file[4 : -8 - len(footer(file))]
    end = joined([footer(file) for file in stored_files], offsets)
    return output + end + len(end).to_bytes(4, "little") + b"PAR1"


OPTIONS = [
    {},
    {"compression": "lz4", "write_page_checksum": True, "use_dictionary": False},
    {"compression": "zstd", "write_page_index": True, "data_page_size": 500, "store_decimal_as_integer": True},
    {"version": "1.0", "data_page_version": "2.0"},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("columns", [1, 40])
def test_a_footer_is_written_as_it_was_read(options: dict, columns: int) -> None:
    original = footer(stored(table(1000, columns=columns), **options))
    output = bytearray()
    _write_struct(output, _Reader(original).struct())
    assert bytes(output) == original


@pytest.mark.parametrize("options", OPTIONS)
def test_readers_find_the_rows_of_all_files(tmp_path: Path, options: dict) -> None:
    tables = [table(1000), table(0), table(50, 1000), table(700, 1050)]
    path = tmp_path / "joined.parquet"
    path.write_bytes(together([stored(each, **options) for each in tables]))
    whole = pa.concat_tables(tables)
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        assert file.read().equals(whole)
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
        assert [group.num_rows for group in groups] == [300, 300, 300, 100, 50, 300, 300, 100]
        assert groups[5].column(0).statistics.min == 1050
        # The places in an index of pages would be those of the old files.
        assert not any(group.column(0).has_offset_index or group.column(0).has_column_index for group in groups)
    assert duckdb.sql(f"select * from '{path}' order by event").to_arrow_table().cast(whole.schema).equals(whole)
    picked = duckdb.sql(f"select count(*), sum(x0) from '{path}' where event >= 1040").fetchall()
    assert picked == [(710, sum(n * 0.5 for n in range(1040, 1750)))]
    assert pq.read_table(path, filters=[("event", ">=", 1740)]).num_rows == 10


def test_files_of_our_own_settings() -> None:
    tables = [table(1000), table(400, 1000)]
    files = []
    for each in tables:
        buffer = io.BytesIO()
        with Settings().writer(buffer, each.schema) as writer:
            writer.write_table(each)
        files.append(buffer.getvalue())
    assert pq.read_table(io.BytesIO(together(files))).equals(pa.concat_tables(tables))


def test_what_is_no_footer() -> None:
    with pytest.raises((ValueError, IndexError)):
        joined([b"\x1f\x1f\x1f"], [0])
