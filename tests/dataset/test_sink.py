from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dask_augment.contract.account import Account
from dask_augment.dataset import parquet
from dask_augment.dataset.arrow import row_bytes
from dask_augment.dataset.commit import open_staging
from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.parquet import Settings, not_finite
from dask_augment.dataset.receipt import Receipt
from dask_augment.dataset.schema import SchemaError
from dask_augment.dataset.sink import MOST_FOLDERS, Sink, StagingGone
from dataset_toys import ROWS, SCHEMA, account, job, part, table, write


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return open_staging(job(tmp_path / "out"))


def attempt_files(sink: Sink) -> list[str]:
    return sorted(path.name for path in sink.attempts.iterdir())


def test_a_sink_is_small_and_pickles(sink: Sink) -> None:
    assert pickle.loads(pickle.dumps(sink)) == sink
    assert len(pickle.dumps(sink)) < 2_000


def test_what_is_written_and_what_the_receipt_says(sink: Sink) -> None:
    receipt = write(sink, part(0))
    (file,) = receipt.files
    path = sink.attempts / file.name
    assert re.fullmatch(rf"{part(0).id}\.[0-9a-f]{{12}}", file.name)
    assert pq.read_table(path, page_checksum_verification=True).equals(table(part(0)))
    assert (file.folder, file.rows, file.bytes) == ("dataset=ttbar", ROWS, path.stat().st_size)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert receipt.logical_hash == logical_hash(table(part(0)), {"dataset": "ttbar"})
    assert receipt.account == account(table(part(0)))
    assert (receipt.part, receipt.input, receipt.rows) == (part(0).id, part(0).input, ROWS)
    assert receipt.pid > 0
    assert receipt.peak_bytes > 10**7
    assert sink.receipt(part(0).id) == receipt == Receipt.from_json(receipt.to_json())
    assert attempt_files(sink) == [file.name], "no draft is left"


def test_row_groups_do_not_depend_on_the_pieces(sink: Sink) -> None:
    rows = table(part(0))
    path = sink.attempts / write(sink, part(0)).files[0].name
    sizes = [pq.ParquetFile(path).metadata.row_group(i).num_rows for i in range(2)]
    assert sizes == [25, 15]
    other = sink.write_part(part(2), [rows.slice(0, 39), rows.slice(39)], lambda: account(rows))
    assert other.files[0].sha256 == write(sink, part(0)).files[0].sha256


def test_memory_is_one_row_group_and_one_piece(tmp_path: Path) -> None:
    schema = pa.schema({"x": pa.float64()})
    piece = 2**15
    settings = Settings(row_group_rows=3 * piece)
    sink = open_staging(job(tmp_path / "out", schema=schema, settings=settings))
    held = []

    def pieces():
        before = pa.total_allocated_bytes()
        for number in range(40):
            yield pa.table({"x": pc.add(np.zeros(piece), float(number))}, schema=schema)
            held.append((pa.total_allocated_bytes() - before) / (piece * 8))

    sink.write_part(part(0), pieces(), lambda: Account(rows_in=40 * piece, rows_out=40 * piece))
    assert max(held) < 12, "in pieces: those of a row group, their copy, the encoder's and the next; never all 40"


def test_encodings_and_checksums(sink: Sink) -> None:
    receipt = write(sink, part(0))
    columns = pq.ParquetFile(sink.attempts / receipt.files[0].name).metadata.row_group(0)
    encodings = {columns.column(i).path_in_schema: columns.column(i) for i in range(columns.num_columns)}
    assert "BYTE_STREAM_SPLIT" in encodings["Jet_pt.list.element"].encodings
    assert "DELTA_BINARY_PACKED" in encodings["event"].encodings
    assert encodings["nJet"].has_dictionary_page
    assert not encodings["HT"].has_dictionary_page
    assert {column.compression for column in encodings.values()} == {"LZ4"}


def test_the_first_receipt_stands(sink: Sink) -> None:
    first = write(sink, part(0))
    late = _second_attempt(sink)
    assert late == first
    assert attempt_files(sink) == [first.files[0].name], "the files of the later attempt are gone"


def _second_attempt(sink: Sink) -> Receipt:
    """An attempt that had begun before the first one was done."""
    rows = table(part(0))
    path = sink.receipt_path(part(0).id)
    aside = path.with_suffix(".aside")
    path.rename(aside)

    def pieces():
        yield rows
        aside.rename(path)

    return sink.write_part(part(0), pieces(), lambda: account(rows))


def test_a_receipt_that_cannot_be_read_gives_its_name_up(sink: Sink) -> None:
    """Another attempt's receipt rots before this one is published: what is returned is what stands."""
    rows = table(part(0))

    def rot() -> Account:
        sink.receipt_path(part(0).id).write_text("{")
        return account(rows)

    receipt = sink.write_part(part(0), [rows], rot)
    assert sink.receipt(part(0).id) == receipt
    assert attempt_files(sink) == [receipt.files[0].name]


def test_a_done_part_is_not_computed_again(sink: Sink) -> None:
    first = write(sink, part(0))

    def pieces():
        pytest.fail("computed again")
        yield table(part(0))

    assert sink.write_part(part(0), pieces(), Account) == first


def test_an_empty_part_is_a_fact(sink: Sink) -> None:
    receipt = sink.write_part(part(0, 0), [], Account)
    assert receipt.rows == 0
    read = pq.read_table(sink.attempts / receipt.files[0].name)
    assert read.schema.equals(SCHEMA)
    assert read.num_rows == 0
    assert receipt.files[0].folder == "dataset=ttbar"


def test_several_folders(tmp_path: Path) -> None:
    sink = open_staging(job(tmp_path / "out", partition_by=("dataset", "stratum")))
    receipt = write(sink, part(1))
    assert [file.folder for file in receipt.files] == ["dataset=dy/stratum=low", "dataset=dy/stratum=high"] or [
        file.folder for file in receipt.files
    ] == ["dataset=dy/stratum=high", "dataset=dy/stratum=low"]
    assert sum(file.rows for file in receipt.files) == ROWS
    assert receipt.logical_hash == logical_hash(table(part(1)), {"dataset": "dy"})
    for file in receipt.files:
        read = pq.read_table(sink.attempts / file.name)
        assert "stratum" not in read.schema.names
        wanted = table(part(1)).filter(pc.field("stratum") == file.folder.rpartition("=")[2])
        assert read.equals(wanted.drop_columns(["stratum"])), "rows keep their order"
    assert sink.write_part(part(3, 0), [], Account).files == (), "no rows: no stratum to name a folder by"


def test_folders_by_integers(tmp_path: Path) -> None:
    sink = open_staging(job(tmp_path / "out", partition_by=("stratum", "nJet")))
    folders = {file.folder for file in write(sink, part(0)).files}
    assert folders == {f"stratum={name}/nJet={n}" for n, name in enumerate(("low", "high", "low", "high"))}


def test_too_many_folders(tmp_path: Path) -> None:
    parts = [part(0, MOST_FOLDERS + 1)]
    sink = open_staging(job(tmp_path / "out", parts, partition_by=("event",), settings=Settings()))
    with pytest.raises(SchemaError, match=r"\['event'\] gives more than 1000 folders"):
        sink.write_part(parts[0], [table(parts[0])], Account)
    assert attempt_files(sink) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("nope",), "names 'nope', which is no column"),
        (("HT",), "names 'HT', which is double"),
        (("isGood",), "names 'isGood', which is bool; .* readers would give a flag back as the text 'true'"),
        (("stratum", "Jet_pt"), "names 'Jet_pt', which is list"),
    ],
)
def test_partition_by_is_checked_at_once(tmp_path: Path, keys, message) -> None:
    with pytest.raises(SchemaError, match=message):
        open_staging(job(tmp_path / "out", partition_by=keys))
    with pytest.raises(SchemaError, match="leaves no column"):
        Sink("x", pa.schema({"stratum": pa.string()}), ("stratum",))


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        (pa.string(), "0012", "s '0012' cannot name a folder: readers take it for a number"),
        (pa.string(), "", "s is an empty text"),
        (pa.dictionary(pa.int8(), pa.string()), "true", "readers take it for a flag or a missing value"),
        (pa.int64(), 2**31, "'s' has the value 2147483648, beyond 32 bits"),
        (pa.int64(), -(2**40), "beyond 32 bits"),
    ],
    ids=str,
)
def test_a_value_that_would_come_back_changed(tmp_path: Path, column: pa.DataType, value: Any, why: str) -> None:
    schema = pa.schema({"x": pa.int32(), "s": column})
    sink = open_staging(job(tmp_path / "out", schema=schema, partition_by=("s",)))
    table = pa.table({"x": pa.array([1, 2], pa.int32()), "s": pa.array([value, value]).cast(column)}, schema=schema)
    with pytest.raises(ValueError, match=why):
        sink.write_part(part(0), [table], Account)
    assert attempt_files(sink) == []


def test_a_row_without_a_folder(tmp_path: Path) -> None:
    schema = pa.schema({"x": pa.int32(), "s": pa.string()})
    sink = open_staging(job(tmp_path / "out", schema=schema, partition_by=("s",)))
    with pytest.raises(SchemaError, match="'s' has 1 missing values"):
        sink.write_part(part(0), [pa.table({"x": [1, 2], "s": ["a", None]}, schema=schema)], Account)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["HT"]), "'HT' is in the schema but not in the table"),
        (lambda t: t.append_column("new", t["HT"]), "'new' is not in the schema"),
        (lambda t: t.set_column(0, "HT", t["HT"].cast(pa.float32())), "'HT' is float, the schema says double"),
        (lambda t: t.set_column(0, "HT", pa.nulls(t.num_rows, pa.float64())), "does not fit the schema"),
    ],
)
def test_drift_is_refused_and_leaves_nothing(sink: Sink, change, message) -> None:
    with pytest.raises(SchemaError, match=message):
        sink.write_part(part(0), [table(part(0)), change(table(part(0)))], Account)
    assert attempt_files(sink) == []
    assert sink.receipt(part(0).id) is None


def test_columns_in_another_order_and_nullable_types_fit(sink: Sink) -> None:
    rows = table(part(0))
    loose = pa.table({name: rows[name].combine_chunks() for name in reversed(rows.schema.names)})
    loose = loose.set_column(
        loose.schema.get_field_index("Jet_pt"), "Jet_pt", pa.array(rows["Jet_pt"].to_pylist(), pa.list_(pa.float32()))
    )
    receipt = sink.write_part(part(0), [loose], lambda: account(rows))
    assert receipt.logical_hash == logical_hash(rows, {"dataset": "ttbar"})


@pytest.mark.parametrize(
    "wrong",
    [
        Account(rows_in=ROWS, rows_out=ROWS - 1, dropped={"cut": 1}),
        Account(rows_in=ROWS, rows_out=ROWS, dropped={"cut": 1}),
        Account(rows_in=ROWS, rows_out=ROWS, made={"copy": 1}),
    ],
)
def test_an_account_that_does_not_add_up(sink: Sink, wrong: Account) -> None:
    with pytest.raises(ValueError, match="does not add up: 40 rows in"):
        sink.write_part(part(0), [table(part(0))], lambda: wrong)
    assert attempt_files(sink) == []


def test_a_weight_that_is_not_a_number(sink: Sink) -> None:
    wrong = Account(rows_in=ROWS, rows_out=ROWS, weights_out={"weight": (float("nan"), 1.0)})
    with pytest.raises(ValueError, match="'weight' of part"):
        sink.write_part(part(0), [table(part(0))], lambda: wrong)


def test_not_finite_values_are_counted(sink: Sink) -> None:
    rows = table(part(0))
    ht = rows["HT"].to_numpy().copy()
    ht[:3] = [float("nan"), float("inf"), float("-inf")]
    receipt = sink.write_part(part(0), [rows.set_column(0, SCHEMA.field(0), pa.array(ht))], lambda: account(rows))
    assert receipt.not_finite == {"HT": 3}
    lists = pa.array([[1.0, None], None, [float("nan")]], pa.list_(pa.float32()))
    assert not_finite(pa.table({"x": lists, "y": [1, 2, 3]})) == {"x": 1}


def test_a_late_attempt_finds_staging_gone(sink: Sink) -> None:
    rows = table(part(0))

    def pieces():
        yield rows
        for path in sorted(Path(sink.staging).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        Path(sink.staging).rmdir()

    for attempt in (pieces(), [rows]):
        with pytest.raises(StagingGone, match="is gone, so its plan was published or given up"):
            sink.write_part(part(0), attempt, lambda: account(rows))
    assert not isinstance(StagingGone(), OSError), "coffea's skipbadfiles would swallow an OSError"
    assert not Path(sink.staging).exists()


def test_a_missing_input_is_not_a_missing_staging_folder(sink: Sink) -> None:
    def pieces():
        yield table(part(0))
        Path("/nowhere/events.root").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"events\.root"):
        sink.write_part(part(0), pieces(), Account)
    assert attempt_files(sink) == []


def images(rows: int, side: int = 40) -> pa.Table:
    """An image of 32-bit floats for each row."""
    counts = np.arange(side * rows + 1, dtype=np.int32)
    inner = pa.ListArray.from_arrays(counts * side, pa.array(np.zeros(rows * side * side, np.float32)))
    return pa.table({"image": pa.ListArray.from_arrays(counts[: rows + 1] * side, inner)})


@pytest.mark.parametrize(
    ("table", "bytes_of_a_row"),
    [
        (images(7), 4 * 40 * 40 + 4 * 40 + 4),
        (images(9).slice(3, 5), 4 * 40 * 40 + 4 * 40 + 4),
        (pa.table({"x": np.zeros(5), "flag": np.zeros(5, bool)}), 9),
        (pa.table({"name": ["abc", "xyz"], "code": pa.array(["a", "a"]).dictionary_encode()}), 4 + 3 + 4),
        (pa.table({"Jet_pt": pa.array([[], []], pa.list_(pa.float64()))}), 4),
    ],
    ids=["images", "a slice", "numbers", "texts", "no objects"],
)
def test_bytes_of_rows(table: pa.Table, bytes_of_a_row: int) -> None:
    assert row_bytes(table).tolist() == [bytes_of_a_row] * table.num_rows


def test_bytes_of_rows_that_differ() -> None:
    lists = pa.chunked_array([pa.array([[1.0], []]), pa.array([[1.0] * 10**6, [2.0, 3.0]]).slice(0, 1)])
    assert row_bytes(pa.table({"Jet_pt": lists})).tolist() == [12, 4, 8 * 10**6 + 4]


def test_the_hash_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = images(40)
    whole = logical_hash(rows, {"dataset": "a"})
    for most in (1, 50_000, 10**9):
        monkeypatch.setattr(parquet, "_HASHED_BYTES", most)
        assert parquet.hash_of(rows, {"dataset": "a"}) == whole
        assert parquet.hash_of(rows.slice(0, 0), {}) == LogicalHash()


@pytest.mark.parametrize("cuts", [[40], [1, 38, 1], [17, 17, 6]])
def test_row_groups_end_by_bytes(cuts: list[int], tmp_path: Path) -> None:
    """An image is not the 40 bytes of a few jets, and where pieces end decides about nothing."""
    rows, largest = images(40), int(row_bytes(images(12)).sum())
    settings = Settings(row_group_bytes=largest + 1)
    schema = pa.schema([pa.field("image", rows.schema.field("image").type)])
    sink = open_staging(job(tmp_path / "out", schema=schema, settings=settings))
    starts = np.cumsum([0, *cuts])[:-1].tolist()
    pieces = [rows.slice(start, count) for start, count in zip(starts, cuts, strict=True)]
    receipt = sink.write_part(part(0), pieces, lambda: Account(rows_in=40, rows_out=40))
    footer = pq.ParquetFile(sink.attempts / receipt.files[0].name).metadata
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [12, 12, 12, 4]


def test_an_event_that_is_larger_than_a_row_group_is_one(tmp_path: Path) -> None:
    rows = pa.table({"hits": pa.array([np.zeros(1000), [], np.zeros(1000), [1.0]])})
    sink = open_staging(job(tmp_path / "out", schema=rows.schema, settings=Settings(row_group_bytes=100)))
    receipt = sink.write_part(part(0), [rows], lambda: Account(rows_in=4, rows_out=4))
    footer = pq.ParquetFile(sink.attempts / receipt.files[0].name).metadata
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [1, 1, 1, 1]


@pytest.mark.parametrize("name", ["row_group_rows", "row_group_bytes"])
def test_a_row_group_has_a_row(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is at least 1, got 0"):
        Settings(**{name: 0})
