from __future__ import annotations

import datetime as dt
import math
import struct
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_augment.dataset.hashing import LogicalHash, logical_hash, row_words

M = 2**64


def b64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def mix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % M
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % M
    return x ^ (x >> 31)


def word(value: Any, kind: pa.DataType) -> int:
    """w(v) of the definition, in plain Python."""
    if value is None:
        return 0xA0761D6478BD642F
    if isinstance(value, list):
        items = (mix((word(item, kind.value_type) + (i + 1) * 0x9E3779B97F4A7C15) % M) for i, item in enumerate(value))
        return mix((mix((len(value) + 0xE7037ED1A0B428DB) % M) + sum(items)) % M)
    if isinstance(value, str):
        return b64(value.encode())
    if isinstance(value, bytes):
        return b64(value)
    if pa.types.is_floating(kind):
        code, nan = {16: ("<e", 0x7E00), 32: ("<f", 0x7FC00000), 64: ("<d", 0x7FF8000000000000)}[kind.bit_width]
        return nan if math.isnan(value) else int.from_bytes(struct.pack(code, value), "little")
    if isinstance(value, dt.datetime):
        return int(value.replace(tzinfo=dt.UTC).timestamp()) * 10**6 % M
    return int(value) % M


def type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if hasattr(kind, "value_type"):
        return f"list<{type_name(kind.value_type)}>"
    return {"large_string": "string", "string_view": "string", "large_binary": "binary"}.get(str(kind), str(kind))


def reference(table: pa.Table, extra: dict[str, str] | None = None) -> str:
    columns = [(f.name, f.type, table[f.name].to_pylist()) for f in table.schema]
    columns += [(name, pa.string(), [value] * table.num_rows) for name, value in (extra or {}).items()]
    lanes = [0, 0]
    for row in range(table.num_rows):
        r = sum(mix((word(values[row], kind) + b64(f"{name}\0{type_name(kind)}".encode())) % M)
                for name, kind, values in columns) % M  # fmt: skip
        lanes[0] += mix((r + 0x8EBC6AF09C88C6E3) % M)
        lanes[1] += mix((mix(r) + 0x589965CC75374CC3) % M)
    return f"{table.num_rows:016x}{lanes[0] % M:016x}{lanes[1] % M:016x}"


def everything(rows: int = 7) -> pa.Table:
    rng = np.random.default_rng(3)
    columns: dict[str, pa.Array] = {}
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        info = np.iinfo(name)
        columns[name] = pa.array(rng.integers(info.min, info.max, rows, name, endpoint=True))
    for name in ("float16", "float32", "float64"):
        values = rng.normal(size=rows).astype(name)
        values[:4] = [np.nan, -0.0, np.inf, 0.0]
        columns[name] = pa.array(values)
    columns["bool"] = pa.array([True, None, False, True, False, True, None][:rows])
    columns["text"] = pa.array(["", "tt\u0304", None, "a", "a", "b", "\u00fc"][:rows])
    columns["bytes"] = pa.array([b"", b"\xff", None, b"a", b"a", b"b", b"\0"][:rows])
    columns["time"] = pa.array([dt.datetime(2026, 1, 1 + i) for i in range(rows)], pa.timestamp("us"))
    columns["jet"] = pa.array([[1.5, None], [], None, [0.0], [-0.0], [math.nan, 2], [3]][:rows], pa.list_(pa.float32()))
    columns["deep"] = pa.array([[["a"], []], [], None, [None], [[None]], [["a", "b"]], [[], ["a"]]][:rows],
                               pa.list_(pa.list_(pa.string())))  # fmt: skip
    columns["flags"] = pa.array([[True], [], [None], [False], [True, False], [], None][:rows], pa.list_(pa.bool_()))
    columns["none"] = pa.nulls(rows)
    return pa.table(columns)


def test_the_definition_recomputed_in_plain_python() -> None:
    table = everything()
    assert logical_hash(table).hex() == reference(table)
    assert logical_hash(table, {"dataset": "tt"}).hex() == reference(table, {"dataset": "tt"})


def test_pinned() -> None:
    table = pa.table({"a": pa.array([1, 2], pa.int32()), "b": pa.array([[1.0], []], pa.list_(pa.float32()))})
    assert logical_hash(table).hex() == PINNED == reference(table)


PINNED = "000000000000000287ad8d9db9c31dc394142765c3bf3855"


def test_hive_keys_are_string_columns() -> None:
    table = pa.table({"a": [1, 2]})
    with_column = table.append_column("dataset", pa.array(["tt", "tt"]))
    assert logical_hash(table, {"dataset": "tt"}) == logical_hash(with_column)
    assert logical_hash(table, {"dataset": "tt"}) != logical_hash(table, {"dataset": "dy"}) != logical_hash(table)
    with pytest.raises(ValueError, match="'a' is in the table and in the hive keys"):
        logical_hash(table, {"a": "1"})


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_blind_to_order_and_cuts(data: st.DataObject) -> None:
    table = everything()
    columns = data.draw(st.permutations(table.schema.names))
    rows = data.draw(st.permutations(range(table.num_rows)))
    cut = data.draw(st.integers(0, table.num_rows))
    whole = table.select(columns).take(pa.array(rows))
    assert logical_hash(whole) == logical_hash(table)
    assert logical_hash(whole.slice(0, cut)) + logical_hash(whole.slice(cut)) == logical_hash(table)
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    assert logical_hash(chunked) == logical_hash(table)
    assert logical_hash(whole.slice(cut).to_batches()[0] if cut < 7 else whole.slice(cut)) == logical_hash(
        table.take(pa.array(rows[cut:], pa.int64())).select(columns)
    )


def test_blind_to_encodings() -> None:
    lists = pa.array([[1.0, 2.0], [3.0, None], [5.0, 6.0]], pa.list_(pa.float64()))
    forms = [lists, lists.cast(pa.large_list(pa.float64())), lists.cast(pa.list_(pa.float64(), 2))]
    assert len({logical_hash(pa.table({"x": form})) for form in forms}) == 1
    assert len({logical_hash(pa.table({"x": form}).slice(1, 2)) for form in forms}) == 1
    text = pa.array(["a", None, "b", "a"])
    kinds = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
    assert len({logical_hash(pa.table({"x": text.cast(kind)})) for kind in kinds}) == 1
    nested = pa.DictionaryArray.from_arrays(pa.array([1, None, 0]), pa.array(["a", None]))
    assert logical_hash(pa.table({"x": nested})) == logical_hash(pa.table({"x": pa.array([None, None, "a"])}))


def test_blind_to_parquet(tmp_path: Any) -> None:
    table = everything().drop_columns(["none"])
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    assert logical_hash(pq.read_table(tmp_path / "x.parquet")) == logical_hash(table)


def test_a_null_hides_what_lies_under_it() -> None:
    valid = pa.py_buffer(b"\x01")
    first, second = (
        pa.Array.from_buffers(pa.int64(), 2, [valid, pa.py_buffer(np.array([4, under], np.int64))]) for under in (5, 6)
    )
    assert logical_hash(pa.table({"x": first})) == logical_hash(pa.table({"x": second}))


def test_every_nan_is_one_nan() -> None:
    quiet = np.array([0x7FC00000, 0xFFC00001, 0x7F800001], np.uint32).view(np.float32)
    assert len(set(row_words(pa.table({"x": quiet})).tolist())) == 1


BASE = {
    "jet": pa.array([[1.0, 2.0], [3.0], []], pa.list_(pa.float32())),
    "deep": pa.array([[[1], [2]], [[3]], [[]]], pa.list_(pa.list_(pa.int32()))),
    "eta": pa.array([0.5, 1.5, 2.5]),
    "phi": pa.array([0.25, 1.25, 2.25]),
    "good": pa.array([True, False, True]),
    "name": pa.array(["a", "b", "c"]),
}
MUTANTS: dict[str, dict[str, pa.Array]] = {
    "nested value changed": {"jet": pa.array([[1.0, 2.5], [3.0], []], pa.list_(pa.float32()))},
    "list border moved": {"jet": pa.array([[1.0], [2.0, 3.0], []], pa.list_(pa.float32()))},
    "inner border moved": {"deep": pa.array([[[1, 2], []], [[3]], [[]]], pa.list_(pa.list_(pa.int32())))},
    "empty inner list gone": {"deep": pa.array([[[1], [2]], [[3]], []], pa.list_(pa.list_(pa.int32())))},
    "order in a list": {"jet": pa.array([[2.0, 1.0], [3.0], []], pa.list_(pa.float32()))},
    "empty list for null": {"jet": pa.array([[1.0, 2.0], [3.0], None], pa.list_(pa.float32()))},
    "one unit in the last place": {"eta": pa.array([0.5, 1.5, np.nextafter(2.5, 3)])},
    "sign of zero": {"eta": pa.array([0.5, 1.5, -2.5])},
    "two rows of one column swapped": {"eta": pa.array([1.5, 0.5, 2.5])},
    "two columns swapped in one row": {"eta": pa.array([0.25, 1.5, 2.5]), "phi": pa.array([0.5, 1.25, 2.25])},
    "a flag": {"good": pa.array([True, True, True])},
    "a letter": {"name": pa.array(["a", "b", "C"])},
    "integer width": {"deep": pa.array([[[1], [2]], [[3]], [[]]], pa.list_(pa.list_(pa.int64())))},
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants(mutant: str) -> None:
    assert logical_hash(pa.table(BASE | MUTANTS[mutant])) != logical_hash(pa.table(BASE))


def test_mutants_of_rows_and_names() -> None:
    table = pa.table(BASE)
    found = logical_hash(table)
    assert logical_hash(pa.concat_tables([table, table.slice(0, 1)])) != found
    assert logical_hash(table.slice(1)) != found
    assert logical_hash(pa.concat_tables([table.slice(1), table.slice(1, 1)])) != found
    assert logical_hash(table.rename_columns(["jet", "deep", "phi", "eta", "good", "name"])) != found
    zero, null = (pa.table({"x": pa.array([[item]], pa.list_(pa.int64()))}) for item in (0, None))
    assert logical_hash(zero) != logical_hash(null)


def test_refused_types() -> None:
    with pytest.raises(TypeError, match=r"column 'x' has the type struct.*no logical hash"):
        logical_hash(pa.table({"x": [{"a": 1}]}))


def test_hex_round_trip() -> None:
    found = logical_hash(pa.table(BASE))
    assert LogicalHash.from_hex(found.hex()) == found
    with pytest.raises(ValueError, match="48 hexadecimal digits"):
        LogicalHash.from_hex("12")
