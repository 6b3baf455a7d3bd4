"""Convert awkward columns to Arrow arrays of a given type, without copies where the layout allows it."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dask_augment.dataset.hashing import primitive
from dask_augment.events.columns import plain

_MOST = np.iinfo(np.int32).max


class ConversionError(ValueError):
    """A column whose values do not fit the type asked for."""


def arrow_array(column: ak.Array, field: pa.Field) -> pa.Array:
    """One column as an Arrow array of exactly ``field.type``; ConversionError says both types."""
    return _convert(plain(ak.materialize(column).layout), field)


def numbers(values: NDArray[Any]) -> pa.Array:
    """A NumPy array as an Arrow array that shares its buffer.

    ``pa.array`` imports pandas, to see whether it got a series: 30 MB for each worker that has it installed.
    """
    if values.dtype.kind not in "biuf" or not values.dtype.isnative:
        return pa.array(values)
    data = np.packbits(values, bitorder="little") if values.dtype.kind == "b" else np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(data)])


def counts(lists: pa.Array) -> NDArray[np.int64]:
    """The length of each list; null counts as 0."""
    offsets = primitive(lists.offsets).astype(np.int64)
    return offsets[1:] - offsets[:-1]


def row_bytes(table: pa.Table) -> NDArray[np.int64]:
    """Bytes that each row of a table takes: its values, and where its lists and texts end; masks are left out."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        start = 0
        for chunk in column.chunks:
            ends = _bytes_before(chunk, np.arange(len(chunk) + 1))
            total[start : start + len(chunk)] += ends[1:] - ends[:-1]
            start += len(chunk)
    return total


def _bytes_before(array: pa.Array, borders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of the values before each of these borders between values."""
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return _bytes_before(array.indices, borders)
    if types.is_list(kind):
        return 4 * borders + _bytes_before(array.values, primitive(array.offsets).astype(np.int64)[borders])
    if types.is_string(kind) or types.is_binary(kind):
        ends = (
            np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, 4 * array.offset) if len(array) else np.zeros(1)
        )
        return 4 * borders + ends.astype(np.int64)[borders]
    return borders * max(int(kind.bit_width) // 8, 1)


def _convert(layout: Any, field: pa.Field) -> pa.Array:
    if layout.is_unknown:
        # An array of no items has no type of its own, and fits every type.
        return pa.array([], field.type)
    if layout.is_option:
        return _option(layout, field)
    if layout.is_indexed:
        return _convert(layout.project(), field)
    if layout.parameter("__array__") in ("string", "bytestring"):
        return _text(layout, field)
    if layout.is_list:
        return _list(layout, field)
    if not layout.is_numpy:
        raise ConversionError(f"is {layout.form.type}, the schema says {field.type}")
    if layout.data.ndim > 1:
        return _list(layout.to_RegularArray(), field)
    return _cast(numbers(np.asarray(layout.data)), field)


def _option(layout: Any, field: pa.Field) -> pa.Array:
    layout = layout.to_IndexedOptionArray64()
    index = np.asarray(layout.index.data)
    missing = index < 0
    if missing.any() and not field.nullable:
        raise ConversionError(f"has {int(missing.sum())} missing values, the schema says {field.type} without any")
    content = _convert(ak.to_packed(layout.content, highlevel=False), field.with_nullable(False))
    if not missing.any() and len(index) == len(content) and (index == np.arange(len(index))).all():
        return content
    return content.take(pa.array(index, mask=missing))


def _text(layout: Any, field: pa.Field) -> pa.Array:
    kind = pa.string() if layout.parameter("__array__") == "string" else pa.binary()
    layout = layout.to_ListOffsetArray64(True)
    offsets = _offsets(layout)
    data = np.ascontiguousarray(np.asarray(layout.content.data))
    array = pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return _cast(array, field)


def _list(layout: Any, field: pa.Field) -> pa.Array:
    if not pa.types.is_list(field.type):
        raise ConversionError(f"is {layout.form.type}, the schema says {field.type}")
    layout = layout.to_ListOffsetArray64(True)
    offsets = _offsets(layout)
    items = _convert(layout.content[: int(offsets[-1])], field.type.value_field)
    return pa.ListArray.from_arrays(numbers(offsets), items, type=field.type)


def _offsets(layout: Any) -> NDArray[np.int32]:
    offsets = np.asarray(layout.offsets.data)
    if offsets[-1] > _MOST:
        raise ConversionError(f"has {offsets[-1]} items in one table, the limit is {_MOST}; write it in smaller pieces")
    return offsets.astype(np.int32)


def _cast(array: pa.Array, field: pa.Field) -> pa.Array:
    kind, wanted = array.type, field.type
    if kind == wanted:
        return array
    types = pa.types
    integers = types.is_integer(kind) and types.is_integer(wanted)
    wider = types.is_floating(kind) and types.is_floating(wanted) and kind.bit_width < wanted.bit_width
    if not (integers or wider):
        raise ConversionError(f"is {kind}, the schema says {wanted}, and a cast would lose information")
    try:
        return pc.cast(array, wanted, safe=True)
    except pa.ArrowInvalid as error:
        raise ConversionError(f"is {kind}, the schema says {wanted}: {error}") from error
