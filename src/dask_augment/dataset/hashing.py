"""A hash of the contents of a table that does not depend on the order of rows or on the files.

Definition. All arithmetic is on unsigned 64-bit integers, modulo 2**64; ``b64(x)`` is the 8-byte BLAKE2b digest of
the bytes ``x`` read as a little-endian integer; ``mix`` is the finisher of SplitMix64: ``x ^= x >> 30``,
``x *= 0xBF58476D1CE4E5B9``, ``x ^= x >> 27``, ``x *= 0x94D049BB133111EB``, ``x ^= x >> 31``. A value ``v`` has the word
``w(v)``: an integer, a boolean, a date or a time is its two's complement in 64 bits; a float is its IEEE 754 bit
pattern (16, 32 or 64 bits, zero-extended), every NaN being 0x7E00, 0x7FC00000 or 0x7FF8000000000000; a string or
bytes are ``b64`` of their (UTF-8) bytes; null is 0xA0761D6478BD642F; a list ``v[0] ... v[n-1]`` is
``mix(mix(n + 0xE7037ED1A0B428DB) + sum of mix(w(v[i]) + (i + 1) * 0x9E3779B97F4A7C15))``. A column has the key
``b64(name + NUL + type)`` in UTF-8, where the type is the name that Arrow gives it, except that every list type is
``list<type of its items>``, large and view types are named like plain ones (``string``, ``binary``), and a dictionary
has the type of its values. A row has the word ``r``: the sum over its columns of ``mix(w(v) + key)``; a hive key counts
as a string column. The logical hash is the number of rows, the sum over rows of ``mix(r + 0x8EBC6AF09C88C6E3)``, and
the sum over rows of ``mix(mix(r) + 0x589965CC75374CC3)``.

So it is blind to the order of rows and columns, to partitions, chunks, row groups and encodings, and sees every
value, null, list border and type. It finds accidents; it is not made to withstand an attacker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numba as nb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_WORD = (1 << 64) - 1
_NULL = np.uint64(0xA0761D6478BD642F)
_LIST = np.uint64(0xE7037ED1A0B428DB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_LANE0 = np.uint64(0x8EBC6AF09C88C6E3)
_LANE1 = np.uint64(0x589965CC75374CC3)
_ROWS = 1024

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class LogicalHash:
    """Number of rows and two sums of row words; the hash of two tables together is the sum of their hashes."""

    rows: int = 0
    lane0: int = 0
    lane1: int = 0

    def __add__(self, other: LogicalHash) -> LogicalHash:
        return LogicalHash(
            self.rows + other.rows, (self.lane0 + other.lane0) & _WORD, (self.lane1 + other.lane1) & _WORD
        )

    def hex(self) -> str:
        """The three numbers as 48 hexadecimal digits."""
        return f"{self.rows:016x}{self.lane0:016x}{self.lane1:016x}"

    @classmethod
    def from_hex(cls, text: str) -> LogicalHash:
        """The hash whose :meth:`hex` is ``text``; ValueError if it is not 48 hexadecimal digits."""
        if len(text) != 48:
            raise ValueError(f"a logical hash has 48 hexadecimal digits, got {text!r}")
        return cls(*(int(text[start : start + 16], 16) for start in (0, 16, 32)))


def logical_hash(table: pa.Table | pa.RecordBatch, extra: Mapping[str, str] | None = None) -> LogicalHash:
    """The logical hash of a table (see the module's definition).

    ``extra`` are hive keys: string columns with one value, which the folder's name holds instead of the file.
    TypeError for a column of a type that the definition does not cover (a struct, a map, a decimal).
    """
    rows = row_words(table, extra)
    lane0, lane1 = _fold(rows)
    return LogicalHash(len(rows), int(lane0), int(lane1))


def row_words(table: pa.Table | pa.RecordBatch, extra: Mapping[str, str] | None = None) -> Words:
    """The word of each row: equal for rows with equal values in columns of equal names and types."""
    constant = 0
    for name, value in (extra or {}).items():
        if name in table.schema.names:
            raise ValueError(f"column {name!r} is in the table and in the hive keys; it must be in one of them")
        constant += _mix_int((_b64(value.encode()) + _key(name, pa.string())) & _WORD)
    rows = np.full(table.num_rows, constant & _WORD, np.uint64)
    lists = _Lists()
    for field, column in zip(table.schema, table.columns, strict=True):
        key = np.uint64(_key(field.name, field.type))
        start = 0
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else (column,):
            _add_column(rows[start : start + len(chunk)], _words(chunk, field.name, lists), key)
            start += len(chunk)
    return rows


def _b64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


@lru_cache(maxsize=4096)
def _key(name: str, kind: pa.DataType) -> int:
    return _b64(f"{name}\0{_type_name(kind)}".encode())


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return _type_name(kind.value_type)
    if _is_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    name = str(kind)
    return name.removeprefix("large_").removesuffix("_view") if _is_text(kind) else name


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    plain = types.is_string(kind) or types.is_binary(kind)
    large = types.is_large_string(kind) or types.is_large_binary(kind)
    return bool(plain or large or types.is_string_view(kind) or types.is_binary_view(kind))


class _Lists:
    """Borders of the lists met last, and what they add to the words: the columns of a collection share them."""

    def __init__(self) -> None:
        self._borders: NDArray[Any] = np.zeros(0, np.int32)
        self._offsets = self._lengths = self._places = np.zeros(0, np.uint64)

    def words(self, array: pa.Array, name: str) -> Words:
        """The word of each list of an array."""
        borders, items = _list_parts(array)
        if not _same(borders, self._borders):
            self._borders, self._offsets = borders, (borders - borders[:1]).astype(np.uint64)
            self._lengths, self._places = _length_words(self._offsets), _places(self._offsets)
        nested = _is_list(items.type) or _is_text(items.type) or pa.types.is_dictionary(items.type) or items.null_count
        bits = (_words(items, name, _Lists()), *_NO_FLOAT) if nested else _bits(items, name)
        words: Words = _list_words(self._offsets, self._lengths, self._places, *bits)
        return words


def _words(array: pa.Array, name: str, lists: _Lists) -> Words:
    """w(v) of each value of one array."""
    kind = array.type
    words: Words
    if pa.types.is_null(kind):
        return np.full(len(array), _NULL, np.uint64)
    if pa.types.is_dictionary(kind):
        indices = array.indices.fill_null(0) if array.indices.null_count else array.indices
        values = _words(array.dictionary, name, lists)
        words = values[primitive(indices).astype(np.int64)] if len(values) else np.zeros(len(array), np.uint64)
    elif _is_list(kind):
        words = lists.words(array, name)
    elif _is_text(kind):
        # A view array cannot be dictionary encoded by every version of Arrow; the plain types can.
        plain = array.cast(pa.large_string()) if pa.types.is_string_view(kind) else array
        coded = (plain.cast(pa.large_binary()) if pa.types.is_binary_view(kind) else plain).dictionary_encode()
        unique = (value if isinstance(value, bytes) else value.encode() for value in coded.dictionary.to_pylist())
        table = np.array([_b64(value) for value in unique] or [0], np.uint64)
        words = table[primitive(coded.indices.fill_null(0)).astype(np.int64)]
    else:
        words = _plain_words(*_bits(array, name))
    if array.null_count:
        words[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return words


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    shared = one.ctypes.data == other.ctypes.data and one.shape == other.shape and one.dtype == other.dtype
    return shared or bool(np.array_equal(one, other))


def _bits(array: pa.Array, name: str) -> tuple[NDArray[Any], np.uint64, np.uint64, np.uint64]:
    """The values of a primitive array as integers, and which of them are NaN (see ``_FLOATS``)."""
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif pa.types.is_temporal(kind) and kind.bit_width in (32, 64):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(f"column {name!r} has the type {kind}, which has no logical hash; write it as plain columns")
    values = primitive(array)
    if values.dtype.kind == "f":
        return values.view(f"u{values.dtype.itemsize}"), *_FLOATS[values.dtype.itemsize]
    return values, *_NO_FLOAT


# Bytes of a float -> (all bits but the sign, the bits of infinity, the canonical NaN).
_FLOATS = {
    2: (np.uint64(0x7FFF), np.uint64(0x7C00), np.uint64(0x7E00)),
    4: (np.uint64(0x7FFFFFFF), np.uint64(0x7F800000), np.uint64(0x7FC00000)),
    8: (np.uint64(0x7FFFFFFFFFFFFFFF), np.uint64(0x7FF0000000000000), np.uint64(0x7FF8000000000000)),
}
# Of integers, none of which is NaN.
_NO_FLOAT = (np.uint64(0), np.uint64(0), np.uint64(0))


def primitive(array: pa.Array) -> NDArray[Any]:
    """The values of a primitive array, without a copy; what stands at a null is undefined.

    Arrow's own way to NumPy imports pandas, which is 30 MB for each worker that has it installed.
    """
    dtype = np.dtype(array.type.to_pandas_dtype())
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), dtype)
    return np.frombuffer(buffer, dtype, count=len(array), offset=array.offset * dtype.itemsize)


def _list_parts(array: pa.Array) -> tuple[NDArray[Any], pa.Array]:
    """Offsets, and the items from the first of them to the last."""
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        offsets = np.arange(len(array) + 1, dtype=np.int64) * size
        return offsets, array.values.slice(array.offset * size, len(array) * size)
    borders = primitive(array.offsets)
    first, last = (int(borders[0]), int(borders[-1])) if len(borders) else (0, 0)
    return borders, array.values.slice(first, last - first)


def _mix_int(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)


@nb.njit(nogil=True, cache=True)
def _mix(word: Any) -> Any:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@nb.njit(nogil=True, cache=True)
def _word(value: Any, mask: Any, infinity: Any, nan: Any) -> Any:
    word = np.uint64(value)
    return nan if (word & mask) > infinity else word


@nb.njit(nogil=True, cache=True)
def _plain_words(bits: Any, mask: Any, infinity: Any, nan: Any) -> Any:
    words = np.empty(len(bits), np.uint64)
    for i in range(len(bits)):
        words[i] = _word(bits[i], mask, infinity, nan)
    return words


@nb.njit(nogil=True, cache=True)
def _length_words(offsets: Any) -> Any:
    words = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(words)):
        words[i] = _mix(offsets[i + 1] - offsets[i] + _LIST)
    return words


def _places(offsets: Words) -> NDArray[Any]:
    """Each item's place in its list, from 1, in the fewest bytes: columns of one collection read it again and again."""
    longest = int(np.max(offsets[1:] - offsets[:-1], initial=0))
    places = np.ones(int(offsets[-1]) + 1, np.min_scalar_type(longest + 1))
    _count_places(offsets, places)
    return places


@nb.njit(nogil=True, cache=True)
def _count_places(offsets: Any, places: Any) -> None:
    # Ones are added up, and what a list has come to is taken away where the next begins: no loop over its few items.
    # Numbers wrap around, so that those of empty lists, which all begin at one item, add up as well.
    for i in range(len(offsets) - 1):
        places[offsets[i + 1]] -= offsets[i + 1] - offsets[i]
    place = np.uint64(0)
    for j in range(len(places)):
        place += places[j]
        places[j] = place


@nb.njit(nogil=True, cache=True)
def _list_words(offsets: Any, lengths: Any, places: Any, items: Any, mask: Any, infinity: Any, nan: Any) -> Any:
    # A list's sum is the difference of two running sums, so that no loop is over the few items of one list: the
    # compiler makes the first and the last of the loops wide. Unsigned numbers wrap around, and so do their sums.
    # Some rows at a time: their sums stay in the processor's cache.
    words = np.empty(len(lengths), np.uint64)
    sums = np.empty(1, np.uint64)
    for row in range(0, len(words), _ROWS):
        end = min(row + _ROWS, len(words))
        first, last = offsets[row], offsets[end]
        if last - first >= len(sums):
            sums = np.empty(last - first + np.uint64(1), np.uint64)
        here, at = items[first:last], places[first:last]
        for j in range(len(here)):
            sums[j] = _mix(_word(here[j], mask, infinity, nan) + np.uint64(at[j]) * _STEP)
        total = np.uint64(0)
        for j in range(len(here)):
            sums[j], total = total, total + sums[j]
        sums[len(here)] = total
        start = np.uint64(0)
        for i in range(row, end):
            stop = sums[offsets[i + 1] - first]
            words[i] = lengths[i] + stop - start
            start = stop
    for i in range(len(words)):
        words[i] = _mix(words[i])
    return words


@nb.njit(nogil=True, cache=True)
def _add_column(rows: Any, words: Any, key: Any) -> None:
    for i in range(len(rows)):
        rows[i] += _mix(words[i] + key)


@nb.njit(nogil=True, cache=True)
def _fold(rows: Any) -> Any:
    lane0, lane1 = np.uint64(0), np.uint64(0)
    for i in range(len(rows)):
        lane0 += _mix(rows[i] + _LANE0)
        lane1 += _mix(_mix(rows[i]) + _LANE1)
    return lane0, lane1
