"""Layouts of awkward arrays: make them plain, and add fields to collections."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import (
    Content,
    IndexedArray,
    IndexedOptionArray,
    ListOffsetArray,
    NumpyArray,
    RecordArray,
    RegularArray,
)
from awkward.forms import Form
from awkward.index import Index, Index64

STRINGS = ("string", "bytestring")

SLICE_BYTES = 64 << 20
"""Bytes that are read, or made of what was read, at once."""


def plain(content: Content) -> Content:
    """The same values without indirection, parameters (but of strings) or unused entries; buffers are shared.

    What is virtual is read.
    """
    if content.is_option:
        if isinstance(content, ak.contents.UnmaskedArray):
            return plain(content.content)  # nullable in Parquet, and nothing is missing
        options = content.to_IndexedOptionArray64()
        return IndexedOptionArray(options.index, plain(options.content))
    if content.is_indexed:
        if content.parameter("__array__") == "categorical":
            return content
        return plain(content.project())
    if content.is_record:
        contents = [plain(content[field]) for field in content.fields]
        return RecordArray(contents, content.fields, length=content.length, backend=content.backend)
    if isinstance(content, RegularArray):
        inner = plain(content.content[: content.size * content.length])
        return RegularArray(inner, content.size, zeros_length=content.length)
    if content.is_list:
        if content.parameter("__array__") in STRINGS:
            return content
        lists = _from_zero(content)
        inner = plain(_used(lists))
        return lists if inner is lists.content and not lists.parameters else ListOffsetArray(lists.offsets, inner)
    if content.is_numpy:
        if content.backend.nplike.known_data and not isinstance(content.data, np.ndarray):
            content = NumpyArray(np.asarray(content.data), parameters=content.parameters)
        if content.is_contiguous and not content.parameters:
            return content
        return NumpyArray(content.to_contiguous().data, backend=content.backend)
    return content


def _from_zero(lists: Content) -> ListOffsetArray:
    """Lists as 64-bit offsets from 0; those that have them already are given as they are, which awkward would copy."""
    if isinstance(lists, ListOffsetArray) and lists.backend.nplike.known_data:
        offsets = lists.offsets.data
        if not isinstance(offsets, np.ndarray):
            # Virtual offsets are read now: kernels know NumPy's arrays alone.
            offsets = np.asarray(offsets)
            lists = ListOffsetArray(Index(offsets), lists.content, parameters=lists.parameters)
        if offsets.dtype == np.int64 and offsets[0] == 0:
            return lists
    return lists.to_ListOffsetArray64(True)


def _used(lists: ListOffsetArray) -> Content:
    """The objects that the lists hold, without those behind the last: a slice of events shares all its objects."""
    if lists.backend.nplike.known_data and (last := int(lists.offsets.data[-1])) != lists.content.length:
        return lists.content[:last]
    return lists.content


def size_of(content: Content) -> int:
    """Bytes of the values that a layout reaches, about: slices share all their objects; what is virtual and not read is 0."""
    if content.is_record:
        numbers = [one.data for one in content.contents if one.is_numpy]
        others = [one for one in content.contents if not one.is_numpy]
        there = [data for data in numbers if isinstance(data, np.ndarray) or _is_read(data)]
        return sum(int(data.nbytes) for data in there) + sum(map(size_of, others))
    if content.is_numpy:
        return int(content.data.nbytes) if _is_read(content.data) else 0
    if content.is_list and not isinstance(content, RegularArray):
        if not _is_read(content.starts.data, content.stops.data):
            return 0
        starts, stops = np.asarray(content.starts.data), np.asarray(content.stops.data)
        inner, items = content.content, int(np.sum(stops - starts))
        if isinstance(content, ListOffsetArray) and len(starts):
            inner = inner[int(starts[0]) : int(stops[-1])]
        return 8 * len(starts) + size_of(inner) * items // max(int(inner.length), 1)
    if content.is_indexed or content.is_option or content.is_list:
        items = int(content.length) * (int(content.size) if content.is_list else 1)
        return size_of(content.content) * items // max(int(content.content.length), 1)
    return 0


def _is_read(*buffers: Any) -> bool:
    return all(isinstance(data, np.ndarray) or getattr(data, "is_materialized", False) for data in buffers)


def same_counts(one: ListOffsetArray, other: ListOffsetArray) -> bool:
    """Whether two plain lists have the same number of entries in every event."""
    if one.offsets is other.offsets or not one.backend.nplike.known_data or not other.backend.nplike.known_data:
        return True
    a, b = np.asarray(one.offsets), np.asarray(other.offsets)
    # One buffer under two names, as flat branches of one collection often are, need not be read.
    same = a.shape == b.shape and a.ctypes.data == b.ctypes.data and a.strides == b.strides
    return same or bool(np.array_equal(a, b))


def with_field(collection: Content, head: str, tail: str, new: Content) -> Content:
    """The collection with one field more, or another one in its place; a missing object stays missing as a whole."""
    if collection.is_option:
        return _with_field_of_those_there(collection, head, tail, new)
    while collection.is_indexed:
        collection = _projected(collection)
    if collection.is_record:
        fields = {field: collection[field] for field in collection.fields} | {tail: new}
        return RecordArray(
            list(fields.values()),
            list(fields),
            length=collection.length,
            parameters=collection.parameters,
            backend=collection.backend,
        )
    if not collection.is_list:
        raise TypeError(
            f"{head} is {collection.form.type}, neither a record nor a list of records: no field can be added"
        )
    lists = _from_zero(collection)
    check_counts(lists, new, f"{head}.{tail}", head)
    record = with_field(_used(lists), head, tail, new.content)
    return ListOffsetArray(lists.offsets, record, parameters=collection.parameters)


def _with_field_of_those_there(collection: Content, head: str, tail: str, new: Content) -> Content:
    """As :func:`with_field` where objects, events' records or lists may be missing."""
    options = collection.to_IndexedOptionArray64()
    known = collection.backend.nplike.known_data
    index = np.asarray(options.index) if known else np.empty(0, np.int64)
    if options.content.is_list:
        if np.any(index < 0):
            check_counts(collection, new, tail, head)
        return with_field(options.project(), head, tail, new)
    fields = options.content.fields
    bare = new.is_option and tail in fields and not options.content[tail].is_option
    if not known:
        content = new.content if bare else new
        return IndexedOptionArray(options.index, with_field(options.content, head, tail, content))
    there = index >= 0
    present = plain(new[np.flatnonzero(there)])
    if bare and present.is_option and np.all(np.asarray(present.index) >= 0):
        present = present.project()
    places = np.where(there, np.cumsum(there) - 1, -1)
    return IndexedOptionArray(Index64(places), with_field(options.project(), head, tail, present))


def check_counts(lists: Content, new: Content, name: str, like: str) -> None:
    """Raise where a field has other numbers of entries than its collection."""
    if not isinstance(lists, ListOffsetArray):
        raise TypeError(
            f"{like} has type {lists.form.type} for each event: fill missing lists, ak.fill_none(..., [], axis=0)"
        )
    if not isinstance(new, ListOffsetArray):
        raise ValueError(  # noqa: TRY004  it is the shape that is wrong
            f"{name} has type {new.form.type} for each event; a field of {like} has one entry for each object"
        )
    if not same_counts(lists, new):
        raise ValueError(f"{name} has other numbers of entries in an event than {like}: they must have the same counts")


def _projected(content: Content) -> Content:
    """Indexed content without its index, which the fields of a record take over.

    To project them would read all fields of virtual arrays, and in a partition of dask-awkward those that nobody asked
    for are not there.
    """
    record = content.content
    if not isinstance(content, IndexedArray) or not record.is_record:
        return content.project()
    fields = [IndexedArray.simplified(content.index, record[field]) for field in record.fields]
    return RecordArray(
        fields, record.fields, length=content.length, parameters=record.parameters, backend=content.backend
    )


def record_of(layout: Content) -> Any:
    """The record that the objects of a collection are; None where they are none."""
    while layout.is_list or (layout.is_indexed and not layout.is_option):
        layout = layout.content
    return layout if layout.is_record else None


def objects_of(events: Content, name: str) -> Any:
    """The record that the objects of a collection of events are; None where they are none. Nothing is read."""
    while events.is_indexed:
        events = events.content
    return record_of(events.content(name))


def bare(form: Form) -> Form:
    """The form without indices."""
    while form.is_indexed and not form.is_option:
        form = form.content
    return form
