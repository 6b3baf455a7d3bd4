"""Types of Parquet columns: take records apart, decode dictionaries, mark missing values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list, of either size of offsets."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def leaves_of(field: pa.Field, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], pa.Field, int]]:
    """What is no record in a column: its path, its type as a column of its own, and how many columns of the file it is."""
    kind, lists = field.type, []
    inner, nullable = field, False
    while is_list(inner.type) and _holds_records(inner.type):
        lists.append(inner.nullable)
        inner = inner.type.value_field
    if not pa.types.is_struct(inner.type) or not inner.type.num_fields:
        yield path, pa.field(path[-1], _decoded(kind), field.nullable), _width(kind)
        return
    nullable = inner.nullable
    for index in range(inner.type.num_fields):
        child = inner.type.field(index)
        for below, leaf, width in leaves_of(child, (*path, child.name)):
            made = leaf.with_nullable(leaf.nullable or nullable)
            for outer in reversed(lists):
                made = pa.field(leaf.name, pa.list_(made.with_name("element")), outer)
            yield below, made, width


def _holds_records(kind: pa.DataType) -> bool:
    while is_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_struct(kind))


def _width(kind: pa.DataType) -> int:
    if pa.types.is_dictionary(kind) or not kind.num_fields:
        return 1
    return sum(_width(kind.field(index).type) for index in range(kind.num_fields))


def _decoded(kind: pa.DataType) -> pa.DataType:
    """The type without categories: a file may have the same texts with other codes, or none."""
    if pa.types.is_dictionary(kind):
        return _decoded(kind.value_type)
    if is_list(kind):
        return pa.list_(kind.value_field.with_type(_decoded(kind.value_type)))
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view():
        return pa.binary()
    return kind


def leaf_of(array: Any, path: Sequence[str]) -> Any:
    """A column in a record, or in the records of lists, as a column of its own."""
    if not path:
        return array
    if pa.types.is_struct(array.type):
        # Missing records are missing values of their fields.
        return leaf_of(array.flatten()[array.type.get_field_index(path[0])], path[1:])
    offsets = array.offsets
    inner = array.values[offsets[0].as_py() : offsets[-1].as_py()] if len(offsets) else array.values[:0]
    kind = pa.LargeListArray if pa.types.is_large_list(array.type) else pa.ListArray
    offsets = pc.subtract(offsets, offsets[0]) if len(offsets) else offsets
    mask = array.is_null() if array.null_count else None
    return kind.from_arrays(offsets, leaf_of(inner, path), mask=mask)


def zone_of(kind: pa.DataType) -> str | None:
    """The time zone of times, in lists too."""
    while is_list(kind):
        kind = kind.value_type
    return kind.tz if pa.types.is_timestamp(kind) else None


def has_nulls(values: pa.Array) -> bool:
    """Whether a value is missing, in lists too."""
    return values.null_count > 0 or (is_list(values.type) and has_nulls(values.flatten()))


def not_null(field: pa.Field) -> pa.Field:
    """A field without missing values, in lists neither."""
    kind = field.type
    if is_list(kind):
        kind = pa.list_(not_null(kind.value_field))
    return field.with_type(kind).with_nullable(False)


def as_nullable_as(field: pa.Field, other: pa.Field) -> pa.Field:
    """A field that is nullable where the other is, however deep in lists."""
    kind = field.type
    if is_list(kind) and is_list(other.type):
        kind = pa.list_(as_nullable_as(kind.value_field, other.type.value_field))
    return field.with_type(kind).with_nullable(other.nullable)
