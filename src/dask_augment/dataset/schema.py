"""The one schema of a data set, derived from types alone, and tables that follow it.

Columns are flat and sorted by name. A jagged column is ``list`` (``fixed_size_list`` stops coffea from reading the whole
file), and each variable-length collection has its counter, ``nJet`` for ``Jet_*``, without which NanoEvents cannot put
the collection together. The letters before the first ``_`` name the collection.

coffea reads neither strings nor lists of lists from Parquet, and a file with one such column not at all; all other
readers do. A string that says which sample or stratum a row is of is better a hive key than a column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa

from dask_augment.dataset.arrow import ConversionError, arrow_array, counts, numbers
from dask_augment.dataset.receipt import to_json

_INTEGERS = (pa.types.is_signed_integer, pa.types.is_unsigned_integer)


class SchemaError(ValueError):
    """Columns or types that do not fit the schema of the data set."""


class Leaf(NamedTuple):
    """One flat column of nested events: where it is, and its type."""

    path: tuple[str, ...]
    type: pa.DataType
    nullable: bool
    jagged: bool
    """Whether the outermost level is a list of variable length."""
    problem: str = ""
    """Why no schema can hold the column, if none can; the type is then null."""

    @property
    def name(self) -> str:
        """The flat name: ``("Jet", "pt")`` -> ``Jet_pt``."""
        return "_".join(self.path).replace(".", "_")


def schema_of(events: ak.Array) -> pa.Schema:
    """The schema of events, concrete or typetracer, nested or flat; no data are read.

    SchemaError for a column whose type is unknown (an untyped empty array), a union, a complex number, or whose flat
    name another column has too.
    """
    leaves = _columns(events)
    for leaf in leaves.values():
        if leaf.problem:
            raise SchemaError(f"column {'.'.join(leaf.path)!r} {leaf.problem}")
    fields = [pa.field(leaf.name, leaf.type, nullable=leaf.nullable) for leaf in leaves.values()]
    counters = {"n" + collection(leaf.name) for leaf in leaves.values() if leaf.jagged}
    fields += [pa.field(name, pa.int32(), nullable=False) for name in counters]
    if not fields:
        raise SchemaError("the events have no columns; a data set needs at least one")
    return pa.schema(sorted(fields, key=lambda field: field.name))


def collection(name: str) -> str:
    """The collection of a flat column: ``Jet_pt`` -> ``Jet``; a name without ``_`` is its own."""
    return name.partition("_")[0]


def to_table(events: ak.Array, schema: pa.Schema) -> pa.Table:
    """Events as a table of exactly this schema; buffers are shared where types and layout allow it.

    Integers are cast where every value fits, and float32 to float64. SchemaError, naming the column and both types,
    for a missing column, for any other cast, for a null where the schema has none, and for columns of one collection
    whose counts differ.
    """
    leaves = _columns(events)
    counters = _counters(schema)
    arrays: dict[str, pa.Array] = {}
    number: dict[str, Any] = {}
    for field in schema:
        if field.name in counters:
            continue
        leaf = leaves.get(field.name)
        if leaf is None:
            raise SchemaError(f"column {field.name!r} ({field.type}) of the schema is not among the events' columns")
        try:
            arrays[field.name] = arrow_array(events[leaf.path], field)
        except ConversionError as error:
            raise SchemaError(f"column {field.name!r}: {error}") from error
        # A number beside the lists of its collection (ATLAS: lep_n) is a column as any other.
        if "n" + collection(field.name) in counters and pa.types.is_list(field.type):
            _same_counts(number, field.name, counts(arrays[field.name]))
            first, _ = number[collection(field.name)]
            arrays[field.name] = _with_offsets_of(arrays[first], arrays[field.name])
    for counter in counters:
        arrays[counter] = numbers(number[counter[1:]][1].astype(np.int32))
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _with_offsets_of(first: pa.ListArray, lists: pa.ListArray) -> pa.ListArray:
    """Lists with the offsets of others of their collection, so that a wide table does not hold them once a column."""
    if first.null_count or lists.null_count:
        return lists
    return pa.ListArray.from_arrays(first.offsets, lists.values, type=lists.type)


def fit(piece: pa.Table, schema: pa.Schema) -> pa.Table:
    """The piece with its columns in the schema's order; SchemaError for another set of columns or another type."""
    if piece.schema.equals(schema):
        return piece
    for name in sorted(set(schema.names) ^ set(piece.schema.names)):
        where = "is in the schema but not in the table" if name in schema.names else "is not in the schema"
        raise SchemaError(f"column {name!r} {where}; the columns are settled before anything is written")
    piece = piece.select(schema.names)
    for have, want in zip(piece.schema, schema, strict=True):
        if have.type != want.type and not _same_but_names(have.type, want.type):
            raise SchemaError(f"column {have.name!r} is {have.type}, the schema says {want.type}")
    try:
        return piece.cast(schema)
    except (ValueError, pa.ArrowInvalid) as error:
        raise SchemaError(f"a table does not fit the schema: {error}") from error


def empty_table(schema: pa.Schema) -> pa.Table:
    """The table of no rows."""
    return schema.empty_table()


def unify(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """The narrowest schema that holds what all files hold; ``schemas`` is by file name.

    Integers are promoted to wider integers and floats to wider floats. SchemaError, naming the file and the column,
    for a column that some file lacks and for types that have no common one.
    """
    if not schemas:
        raise SchemaError("there are no schemas to unify; name at least one file")
    (first, common), *rest = schemas.items()
    fields = {field.name: field for field in common}
    for file, schema in rest:
        for name in sorted(fields.keys() ^ set(schema.names)):
            lacking, having = (file, first) if name in fields else (first, file)
            raise SchemaError(f"column {name!r} is in {having!r} but not in {lacking!r}; keep only what all files have")
        for field in schema:
            known = fields[field.name]
            wide = _promote(known.type, field.type)
            if wide is None:
                raise SchemaError(f"column {field.name!r} is {field.type} in {file!r} and {known.type} before it; no "
                                  "type holds both")  # fmt: skip
            fields[field.name] = pa.field(field.name, wide, nullable=known.nullable or field.nullable)
    return pa.schema([fields[name] for name in sorted(fields)])


def without(schema: pa.Schema, names: tuple[str, ...]) -> pa.Schema:
    """The schema without some columns: what a file holds when they are folders."""
    return pa.schema([field for field in schema if field.name not in names])


def schema_digest(schema: pa.Schema) -> str:
    """The sha256 of names, types and nullability."""
    return hashlib.sha256(to_json(schema_list(schema)).encode()).hexdigest()


def schema_list(schema: pa.Schema) -> list[list[Any]]:
    """The schema as JSON-able values: ``[name, type, nullable]`` of each column."""
    return [[field.name, _describe(field.type), field.nullable] for field in schema]


def _describe(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        # The name of the items ("item", "element") depends on who made the type, and says nothing.
        return f"list<{_describe(kind.value_type)}{'' if kind.value_field.nullable else ' not null'}>"
    return str(kind)


def _same_but_names(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two list types differ only in the name or the nullability of their items."""
    while pa.types.is_list(one) and pa.types.is_list(other):
        one, other = one.value_type, other.value_type
    return bool(one == other)


def _promote(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if _describe(one) == _describe(other):
        return one
    if pa.types.is_list(one) and pa.types.is_list(other):
        item = _promote(one.value_type, other.value_type)
        nullable = one.value_field.nullable or other.value_field.nullable
        return None if item is None else pa.list_(pa.field("element", item, nullable=nullable))
    for kinds in (_INTEGERS, (pa.types.is_floating,)):
        if all(any(kind(t) for kind in kinds) for t in (one, other)):
            wide = np.promote_types(one.to_pandas_dtype(), other.to_pandas_dtype())
            # NumPy's answer for int64 with uint64 is a float, which does not hold every value of either.
            return pa.from_numpy_dtype(wide) if (wide.kind == "f") == pa.types.is_floating(one) else None
    return None


def _columns(events: ak.Array) -> dict[str, Leaf]:
    """The flat columns of events by name; counters of collections that are there are left out."""
    leaves: dict[str, Leaf] = {}
    form = events.layout.form
    if not _plain(form).is_record:
        raise SchemaError(f"events are records with columns, none of them missing, got {ak.type(events)}")
    for leaf in _leaves(form, ()):
        name = leaf.name
        if name in leaves:
            raise SchemaError(f"columns {leaves[name].path} and {leaf.path} would both be named {name!r}; rename one")
        leaves[name] = leaf
    jagged = [name for name, leaf in leaves.items() if leaf.jagged]
    # Some files have a counter for each branch (nJet_pt); counters are derived, never data.
    counters = {"n" + name for name in jagged} | {"n" + collection(name) for name in jagged}
    return {name: leaf for name, leaf in leaves.items() if name not in counters or leaf.jagged}


def _plain(form: Any) -> Any:
    while form.is_indexed:
        form = form.content
    return form


def _leaves(form: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
    if form.is_record:
        for name in form.fields:
            yield from _leaves(form.content(name), (*path, name))
    elif form.is_option:
        for leaf in _leaves(form.content, path):
            yield leaf._replace(nullable=True)
    elif form.is_indexed:
        yield from _leaves(form.content, path)
    elif form.parameter("__array__") in ("string", "bytestring"):
        yield Leaf(path, pa.string() if form.parameter("__array__") == "string" else pa.binary(), False, False)
    elif form.is_list:
        for leaf in _leaves(form.content, path):
            item = pa.field("element", leaf.type, nullable=leaf.nullable)
            yield leaf._replace(type=pa.list_(item), nullable=False, jagged=not form.is_regular)
    else:
        yield _scalar(form, path)


def _scalar(form: Any, path: tuple[str, ...]) -> Leaf:
    if not form.is_numpy:
        what = "has no type (an untyped empty array)" if form.is_unknown else "is a union of types"
        problem = f"{what}; give it one type, for example with ak.enforce_type"
        return Leaf(path, pa.null(), True, False, problem)
    try:
        kind = pa.from_numpy_dtype(np.dtype(form.primitive))
    except pa.ArrowNotImplementedError:
        return Leaf(path, pa.null(), True, False, f"is {form.primitive}, which Parquet cannot hold; split it up")
    for _ in form.inner_shape:
        kind = pa.list_(pa.field("element", kind, nullable=False))
    return Leaf(path, kind, False, False)


def _counters(schema: pa.Schema) -> set[str]:
    """The counters in a schema: int32 columns named ``n`` and a collection that has list columns."""
    lists = {"n" + collection(field.name) for field in schema if pa.types.is_list(field.type)}
    return {field.name for field in schema if field.name in lists and field.type == pa.int32()}


def _same_counts(number: dict[str, Any], name: str, found: Any) -> None:
    head = collection(name)
    first, known = number.setdefault(head, (name, found))
    if known is not found and not np.array_equal(known, found):
        raise SchemaError(f"columns {first!r} and {name!r} have different counts in the same event; columns of one "
                          f"collection ({head}) have one entry each per object; leave one "
                          "out ('!name' in output: keep)")  # fmt: skip
