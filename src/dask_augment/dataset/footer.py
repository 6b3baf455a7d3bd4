"""Read and write footers of Parquet files, as far as needed to merge the row groups of several files.

A footer is one Thrift struct in the compact protocol (https://github.com/apache/thrift, thrift-compact-protocol.md),
with the fields of parquet.thrift (https://github.com/apache/parquet-format). It is read into plain values, of which
only the places of the column chunks are changed, and written again.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)

# Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData by their numbers in parquet.thrift.
_ROWS, _GROUPS = 3, 4
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
_META = 3
_CHUNK_OFFSET, _PAGE_INDEX = 2, (4, 5, 6, 7)
_META_OFFSETS = (9, 10, 11, 14)
"""Data, index and dictionary page, Bloom filter; 0 stands for a page that is not there."""

Struct = dict[int, tuple[int, Any]]
"""Type and value by field number."""


def joined(footers: Sequence[bytes], offsets: Sequence[int]) -> bytes:
    """The footer of one file that holds the row groups of several files with one schema.

    ``footers`` are theirs and ``offsets`` say how many bytes each one's pages were moved. Row groups without rows are
    left out.
    """
    files = [_Reader(footer).struct() for footer in footers]
    groups: list[Struct] = []
    for file, offset in zip(files, offsets, strict=True):
        for group in file[_GROUPS][1][1]:
            if group[_GROUP_ROWS][1]:
                _move(group, offset)
                group[_ORDINAL] = (_I16, len(groups))
                groups.append(group)
    whole = files[0]
    whole[_ROWS] = (_I64, sum(group[_GROUP_ROWS][1] for group in groups))
    whole[_GROUPS] = (_LIST, (_STRUCT, groups))
    output = bytearray()
    _write_struct(output, whole)
    return bytes(output)


def _move(group: Struct, offset: int) -> None:
    """The places of a row group's column chunks, ``offset`` bytes further on."""
    _shift(group, (_GROUP_OFFSET,), offset)
    for chunk in group[_COLUMNS][1][1]:
        # The place of the chunk itself is deprecated, and 0 in files of newer writers.
        _shift(chunk, (_CHUNK_OFFSET,), offset)
        # An index of pages, which is optional, has places of its own that would have to be moved.
        for number in _PAGE_INDEX:
            chunk.pop(number, None)
        _shift(chunk[_META][1], _META_OFFSETS, offset)


def _shift(fields: Struct, numbers: Sequence[int], offset: int) -> None:
    for number in numbers:
        if number in fields and fields[number][1]:
            kind, place = fields[number]
            fields[number] = kind, place + offset


class _Reader:
    """Values of the compact protocol from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while header := self._take(1)[0]:
            number = number + (header >> 4) if header >> 4 else self._signed()
            kind = header & 15
            fields[number] = kind, kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind == _STRUCT:
            return self.struct()
        if kind == _BINARY:
            return self._take(self._unsigned())
        if kind in (_LIST, _SET):
            header = self._take(1)[0]
            count = header >> 4 if header >> 4 < 15 else self._unsigned()
            return header & 15, [self._value(header & 15) for _ in range(count)]
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._take(1)[0]
        raise ValueError(f"not a Parquet footer: field of type {kind}")


def _write_unsigned(output: bytearray, value: int) -> None:
    while value > 127:
        output.append(value & 127 | 128)
        value >>= 7
    output.append(value)


def _write_signed(output: bytearray, value: int) -> None:
    _write_unsigned(output, value * 2 if value >= 0 else -value * 2 - 1)


def _write_struct(output: bytearray, fields: Struct) -> None:
    last = 0
    for number in sorted(fields):
        kind, value = fields[number]
        if kind in (_TRUE, _FALSE):
            kind = _TRUE if value else _FALSE
        if number - last < 16:
            output.append((number - last) << 4 | kind)
        else:
            output.append(kind)
            _write_signed(output, number)
        last = number
        if kind not in (_TRUE, _FALSE):
            _write_value(output, kind, value)
    output.append(0)


def _write_value(output: bytearray, kind: int, value: Any) -> None:
    if kind in (_I16, _I32, _I64):
        _write_signed(output, value)
    elif kind == _STRUCT:
        _write_struct(output, value)
    elif kind == _BINARY:
        _write_unsigned(output, len(value))
        output += value
    elif kind in (_LIST, _SET):
        element, values = value
        if len(values) < 15:
            output.append(len(values) << 4 | element)
        else:
            output.append(15 << 4 | element)
            _write_unsigned(output, len(values))
        for each in values:
            _write_value(output, element, each)
    elif kind == _DOUBLE:
        output += struct.pack("<d", value)
    else:
        output.append(value)
