from __future__ import annotations

import awkward as ak
import numpy as np
import pyarrow as pa
import pytest

from dask_augment.dataset.schema import SchemaError, empty_table, schema_digest, schema_of, to_table, unify


def nested() -> ak.Array:
    jets = ak.zip(
        {"pt": ak.Array([[1.0, 2.0], [], [3.0]]), "id": ak.values_astype(ak.Array([[1, 2], [], [3]]), np.uint8)}
    )
    met = ak.zip({"pt": np.array([1.0, 2.0, 3.0], np.float32)})
    return ak.Array({"event": np.arange(3, dtype=np.uint64), "Jet": jets, "MET": met, "good": [True, False, True],
                     "dataset": ["tt", "tt", "dy"]})  # fmt: skip


def flat() -> ak.Array:
    events = nested()
    return ak.Array({"Jet_id": events.Jet.id, "dataset": events.dataset, "MET_pt": events.MET.pt, "good": events.good,
                     "Jet_pt": events.Jet.pt, "event": events.event, "nJet": np.array([9, 9, 9], np.uint32)})  # fmt: skip


def described(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type).replace(" not null", "") for field in schema}


EXPECTED = {
    "Jet_id": "list<element: uint8>",
    "Jet_pt": "list<element: double>",
    "MET_pt": "float",
    "dataset": "string",
    "event": "uint64",
    "good": "bool",
    "nJet": "int32",
}


@pytest.mark.parametrize("style", [nested, flat])
def test_both_styles_give_one_schema(style) -> None:
    events = style()
    schema = schema_of(events)
    assert described(schema) == EXPECTED
    assert schema.names == sorted(schema.names)
    assert schema_of(ak.to_backend(events, "typetracer")).equals(schema)
    assert schema_digest(schema) == schema_digest(schema_of(nested()))


@pytest.mark.parametrize("style", [nested, flat])
def test_both_styles_give_one_table(style) -> None:
    table = to_table(style(), schema_of(nested()))
    table.validate(full=True)
    assert table.to_pylist()[0] == {"Jet_id": [1, 2], "Jet_pt": [1.0, 2.0], "MET_pt": 1.0, "dataset": "tt", "event": 0,
                                    "good": True, "nJet": 2}  # fmt: skip
    assert table["nJet"].to_pylist() == [2, 0, 1], "the counter in the input is not believed"


def test_an_input_counter_of_one_branch_is_no_data() -> None:
    events = ak.with_field(flat(), np.array([2, 0, 1], np.int32), "nJet_pt")
    assert described(schema_of(events)) == EXPECTED
    alone = flat()[["nJet", "event"]]
    assert described(schema_of(alone)) == {"nJet": "uint32", "event": "uint64"}, "without its collection it is a number"


def test_a_collection_without_underscore() -> None:
    events = ak.Array({"LHEPdfWeight": [[1.0], [2.0, 3.0]]})
    assert described(schema_of(events)) == {"LHEPdfWeight": "list<element: double>", "nLHEPdfWeight": "int32"}
    assert to_table(events, schema_of(events))["nLHEPdfWeight"].to_pylist() == [1, 2]


def test_fixed_size_becomes_a_list_without_counter() -> None:
    events = ak.Array(
        {"lbn": np.arange(6, dtype=np.float32).reshape(2, 3), "id": ak.to_regular(ak.Array([[1, 2], [3, 4]]))}
    )
    schema = schema_of(events)
    assert described(schema) == {"id": "list<element: int64>", "lbn": "list<element: float>"}
    assert to_table(events, schema).to_pydict() == {"id": [[1, 2], [3, 4]], "lbn": [[0, 1, 2], [3, 4, 5]]}


def test_nested_lists_records_in_lists_and_options() -> None:
    events = ak.Array(
        [
            {"Jet": [{"pf": [{"pt": 1.0}], "img": [[1, 2], [3, 4]]}], "x": None, "tag": "a", "y": [1, None]},
            {"Jet": [], "x": 2, "tag": None, "y": None},
        ]
    )
    schema = schema_of(events)
    assert described(schema) == {
        "Jet_img": "list<element: list<element: list<element: int64>>>",
        "Jet_pf_pt": "list<element: list<element: double>>",
        "nJet": "int32",
        "ny": "int32",
        "tag": "string",
        "x": "int64",
        "y": "list<element: int64>",
    }
    assert {field.name for field in schema if field.nullable} == {"x", "tag", "y"}
    table = to_table(events, schema)
    table.validate(full=True)
    assert table.to_pydict() == {
        "Jet_img": [[[[1, 2], [3, 4]]], []],
        "Jet_pf_pt": [[[1.0]], []],
        "nJet": [1, 0],
        "ny": [2, 0],
        "tag": ["a", None],
        "x": [None, 2],
        "y": [[1, None], None],
    }


def test_taken_rows_and_behaviours() -> None:
    events = nested()
    taken = ak.with_parameter(ak.with_name(events[np.array([2, 0, 0])], "NanoEvents"), "__doc__", "Events")
    schema = schema_of(events)
    assert schema_of(taken).equals(schema)
    assert schema.metadata is None
    assert to_table(taken, schema)["Jet_pt"].to_pylist() == [[3.0], [1.0, 2.0], [1.0, 2.0]]
    with pytest.raises(SchemaError, match="none of them missing"):
        schema_of(ak.mask(events, [True, True, False]))
    assert to_table(events[0:0], schema).equals(empty_table(schema))


def test_buffers_are_shared() -> None:
    values = np.arange(6, dtype=np.float32)
    events = ak.Array({"Jet_pt": ak.unflatten(values, [2, 4]), "w": values[:2]})
    table = to_table(events, schema_of(events))
    assert table["w"].chunk(0).buffers()[1].address == values.ctypes.data
    assert table["Jet_pt"].chunk(0).values.buffers()[1].address == values.ctypes.data


def test_casts() -> None:
    schema = pa.schema([pa.field("x", pa.int32(), nullable=False)])
    assert to_table(ak.Array({"x": np.array([1, 2], np.uint8)}), schema)["x"].to_pylist() == [1, 2]
    wide = pa.schema([pa.field("x", pa.float64(), nullable=False)])
    assert to_table(ak.Array({"x": np.array([0.5], np.float32)}), wide)["x"].to_pylist() == [0.5]
    assert to_table(ak.Array({"x": [], "other": []}), schema).num_rows == 0, "an untyped column of no rows fits"


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({"x": np.array([2**40])}, "'x': is int64, the schema says int32: Integer value"),
        ({"x": np.array([0.5])}, "'x': is double, the schema says int32"),
        ({"x": [[1]]}, r"'x': is var \* int64, the schema says int32"),
        ({"x": [None, 1]}, "'x': has 1 missing values"),
        ({"y": [1]}, r"'x' \(int32\) of the schema is not among"),
        ({"x": ["a"]}, "'x': is string, the schema says int32"),
        ({"x": [True]}, "'x': is bool, the schema says int32"),
    ],
)
def test_unsafe_casts_name_the_column_and_both_types(events, message) -> None:
    schema = pa.schema([pa.field("x", pa.int32(), nullable=False)])
    with pytest.raises(SchemaError, match=message):
        to_table(ak.Array(events), schema)


def test_float64_is_not_narrowed() -> None:
    schema = pa.schema([pa.field("Jet_pt", pa.list_(pa.float32())), pa.field("nJet", pa.int32())])
    with pytest.raises(SchemaError, match="'Jet_pt': is double, the schema says float"):
        to_table(ak.Array({"Jet_pt": [[1.5]]}), schema)


def test_counts_of_one_collection() -> None:
    events = ak.Array({"Jet_pt": [[1.0], [2.0]], "Jet_eta": [[1.0, 2.0], []]})
    with pytest.raises(SchemaError, match="'Jet_eta' and 'Jet_pt' have different counts"):
        to_table(events, schema_of(events))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (ak.Array({"x": []}), "'x' has no type"),
        (ak.Array({"x": [1, "a"]}), "'x' is a union"),
        (ak.Array({"x": np.array([1j])}), "'x' is complex128"),
        (ak.Array([1, 2]), "events are records"),
        (ak.Array({"a_b": [1], "a": [{"b": 2}]}), "would both be named 'a_b'"),
        (ak.Array([{}]), "no columns"),
    ],
)
def test_refused_types(events, message) -> None:
    with pytest.raises(SchemaError, match=message):
        schema_of(events)


def fields(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def test_unify() -> None:
    one = fields(a=pa.uint8(), b=pa.float32(), c=pa.list_(pa.int16()))
    other = fields(c=pa.list_(pa.int32()), b=pa.float64(), a=pa.int32())
    assert described(unify({"f": one, "g": other})) == {"a": "int32", "b": "double", "c": "list<element: int32>"}
    assert unify({"f": one}).equals(one)
    assert unify({"f": fields(a=pa.uint32()), "g": fields(a=pa.int32())}).field("a").type == pa.int64()
    assert unify({"f": fields(a=pa.int8()), "g": pa.schema({"a": pa.int8()})}).field("a").nullable


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (fields(a=pa.int8()), fields(a=pa.float32()), "'a' is float in 'g.root' and int8 before"),
        (fields(a=pa.int64()), fields(a=pa.uint64()), "'a' is uint64 in 'g.root'"),
        (fields(a=pa.int8()), fields(a=pa.list_(pa.int8())), "'a' is list"),
        (fields(a=pa.int8(), b=pa.int8()), fields(a=pa.int8()), "'b' is in 'f.root' but not in 'g.root'"),
        (fields(a=pa.int8()), fields(a=pa.int8(), b=pa.int8()), "'b' is in 'g.root' but not in 'f.root'"),
    ],
)
def test_what_does_not_unify_names_file_and_column(one, other, message) -> None:
    with pytest.raises(SchemaError, match=message):
        unify({"f.root": one, "g.root": other})
    with pytest.raises(SchemaError, match="no schemas"):
        unify({})


def test_virtual_columns_are_read_only_where_needed() -> None:
    read = []

    def generate() -> np.ndarray:
        read.append("b")
        return np.arange(3)

    layout = ak.contents.RecordArray(
        [
            ak.contents.NumpyArray(np.arange(3)),
            ak.contents.NumpyArray(
                ak._nplikes.virtual.VirtualNDArray(
                    ak._nplikes.numpy.Numpy.instance(), shape=(3,), dtype=np.dtype(np.int64), generator=generate
                )
            ),
        ],
        ["a", "b"],
    )
    events = ak.Array(layout)
    assert described(schema_of(events)) == {"a": "int64", "b": "int64"}
    to_table(events, fields(a=pa.int64()))
    assert read == []
    assert to_table(events, fields(b=pa.int64()))["b"].to_pylist() == [0, 1, 2]
