"""Columns by name, whatever the shape of the events: take them out, put new ones back, and say the form beforehand.

A column's name is dotted, ``Jet.pt``; the first ``_`` of a flat branch is the dot. A name is looked up as it stands
(some files have real dots), then nested, then flat; ``nJet`` is also the number of entries of ``Jet``. Augmenters always
see one shape: nested, plain layouts without names, behaviours or parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, IndexedOptionArray, ListOffsetArray, NumpyArray, RecordArray, RegularArray
from awkward.index import Index
from numpy.typing import NDArray

from dask_augment.names import dotted as dotted  # noqa: PLC0414  re-exported
from dask_augment.names import flat as flat  # noqa: PLC0414  re-exported
from dask_augment.words import nearest

_STRINGS = ("string", "bytestring")


class MissingColumn(KeyError):
    """A column that a step needs is not among the events."""

    def __str__(self) -> str:
        return str(self.args[0])


def column(events: ak.Array, name: str) -> Content:
    """The layout of one column, or :class:`MissingColumn` with the names that come near."""
    return lookup(events.layout, name)


def has(events: ak.Array, name: str) -> bool:
    """Whether the events have this column."""
    return name in events.layout.fields or _found(events.layout, name) is not None


def lookup(layout: Content, name: str) -> Content:
    """As :func:`column`, on a layout."""
    found = _found(layout, name)
    if found is None:
        raise MissingColumn(_missing(layout, name))
    return found


def _found(layout: Content, name: str) -> Content | None:
    fields = layout.fields
    if name in fields:
        return _field(layout, name)
    head, _, tail = dotted(name).partition(".")
    if head in fields and (inner := _inside(_field(layout, head), tail)) is not None:
        return inner
    if (other := flat(name) if flat(name) in fields else dotted(name)) in fields:
        return _field(layout, other)
    if name[:1] == "n" and "." not in name:
        counted = collection_of(layout, name[1:])
        if counted is not None:
            counts = ak.num(ak.Array(counted), axis=1)
            return counts.layout
    return None


def _inside(collection: Content, name: str) -> Content | None:
    """A field of a collection, or one of a record in it."""
    if name in collection.fields:
        return _field(collection, name)
    head, dot, tail = name.partition(".")
    return _inside(_field(collection, head), tail) if dot and head in collection.fields else None


def _field(layout: Content, name: str) -> Content:
    """As ``layout[name]``, with fewer calls for a record."""
    return layout.content(name) if layout.is_record else layout[name]


def collection_of(layout: Content, name: str) -> Content | None:
    """A list per event that belongs to this collection."""
    if name in layout.fields:
        return layout[name] if _is_list(layout[name]) else None
    for field in layout.fields:
        if field.startswith((f"{name}_", f"{name}.")) and _is_list(layout[field]):
            return layout[field]
    return None


def _is_list(content: Content) -> bool:
    while content.is_indexed or content.is_option:
        content = content.content
    return bool(content.is_list) and content.parameter("__array__") not in _STRINGS


def _missing(layout: Content, name: str) -> str:
    # Names as the events have them: a flat branch with its ``_``, a field of a collection with its dot.
    known = {f"{f}.{g}" if g else f for f in layout.fields for g in layout[f].fields or ("",)}
    # Some files have a counter for each branch, nJet_pt; counters are never data.
    known = {column for column in known if not (column[:1] == "n" and column[1:] in known)}
    return f"no column {name!r} among the events; {nearest(name, known)}"


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
        if content.parameter("__array__") in _STRINGS:
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


def only(events: ak.Array, columns: Iterable[str]) -> ak.Array:
    """The events with these columns and no more, nested and plain; one cheap step, buffers are shared."""
    return ak.Array(only_layout(events.layout, columns))


def only_layout(layout: Content, columns: Iterable[str]) -> RecordArray:
    """As :func:`only`, on layouts."""
    top: dict[str, Content] = {}
    nested: dict[str, dict[str, Content]] = {}
    for name in sorted(columns):
        head, dot, tail = name.partition(".")
        content = plain(lookup(layout, name))
        if dot:
            nested.setdefault(head, {})[tail] = content
        else:
            top[name] = content
    top.update({head: _collected(head, contents) for head, contents in nested.items()})
    return RecordArray(list(top.values()), list(top), length=layout.length, backend=layout.backend)


def _collected(head: str, contents: Mapping[str, Content]) -> Content:
    """One collection of its fields: a list of records where the fields are lists, else a record."""
    first = next(iter(contents.values()))
    if not all(isinstance(content, ListOffsetArray) for content in contents.values()):
        return RecordArray(list(contents.values()), list(contents), length=first.length, backend=first.backend)
    for name, content in contents.items():
        if not same_counts(first, content):
            raise ValueError(
                f"the columns of {head} have different numbers of entries: {head}.{name} against "
                f"{head}.{next(iter(contents))}; they are not fields of one collection"
            )
    inner = [content.content for content in contents.values()]
    record = RecordArray(inner, list(contents), length=inner[0].length, backend=first.backend)
    return ListOffsetArray(first.offsets, record)


def same_counts(one: ListOffsetArray, other: ListOffsetArray) -> bool:
    """Whether two plain lists have the same number of entries in every event."""
    if one.offsets is other.offsets or not one.backend.nplike.known_data or not other.backend.nplike.known_data:
        return True
    a, b = np.asarray(one.offsets), np.asarray(other.offsets)
    # One buffer under two names, as flat branches of one collection often are, need not be read.
    same = a.shape == b.shape and a.ctypes.data == b.ctypes.data and a.strides == b.strides
    return same or bool(np.array_equal(a, b))


def jagged(like: ak.Array, values: NDArray[Any]) -> ak.Array:
    """Flat values as lists with the counts of the collection or jagged column ``like``; no copy of the values."""
    lists = plain(like.layout)
    if not isinstance(lists, ListOffsetArray):
        raise TypeError(f"jagged needs a collection with one list for each event, got {like.type}")
    return ak.Array(ListOffsetArray(lists.offsets, ak.to_layout(np.ascontiguousarray(values))))


def flatten(lists: ak.Array) -> NDArray[Any]:
    """The values of a jagged column, flat, in order; no copy where the layout is plain."""
    content: Any = plain(lists.layout)
    return np.asarray(content.content.data)


def as_content(values: Any) -> Content:
    """What ``apply`` may return for a column (awkward or NumPy, one or more dimensions) as a plain, contiguous layout."""
    if isinstance(values, Content):
        return plain(values)
    if type(values) is np.ndarray and values.ndim == 1 and values.dtype.kind in "biuf":
        return NumpyArray(np.ascontiguousarray(values))
    if isinstance(values, np.ndarray):
        return ak.to_layout(np.ascontiguousarray(values), regulararray=True)
    return plain(ak.to_layout(values))


def assemble(
    events: ak.Array, columns: Mapping[str, Content], source: Any = None, like: Collection[str] = ()
) -> ak.Array:
    """The events with new columns, their rows taken by ``source`` first, in the style of the events.

    A field of a collection goes into that collection (``FatJet.zoom``, or ``FatJet_zoom`` among flat branches) and
    must have its counts; among flat branches they are compared with one of ``like``, columns that were read anyway.
    Behaviours, attributes and what is virtual stay as they are.
    """
    taken = events if source is None else events[source]
    layout = taken.layout
    contents = _contents(layout)
    is_flat = not any(content.fields for content in contents.values())
    for name in sorted(columns):
        _place(contents, name, columns[name], like, is_flat)
    parameters = _record_parameters(events.layout)
    # awkward is slow to compare the lengths of many columns with one that it is given; here they are all the same.
    length = None if contents and layout.backend.nplike.known_data else layout.length
    record = RecordArray(
        list(contents.values()), list(contents), length=length, parameters=parameters, backend=layout.backend
    )
    return ak.Array(record, behavior=taken.behavior, attrs=taken.attrs)


def narrowed(events: ak.Array, left: Callable[[str], bool]) -> ak.Array:
    """The events with those columns alone that ``left`` says to by their names; of collections, those fields."""
    layout = events.layout
    contents: dict[str, Content] = {}
    for field in layout.fields:
        content = _field(layout, field)
        kept = [name for name in content.fields if left(f"{field}.{name}")]
        if left(field):
            contents[field] = content
        elif kept:
            contents[field] = content[kept]
    parameters = _record_parameters(layout)
    record = RecordArray(
        list(contents.values()), list(contents), length=layout.length, parameters=parameters, backend=layout.backend
    )
    return ak.Array(record, behavior=events.behavior, attrs=events.attrs)


def _contents(layout: Content) -> dict[str, Content]:
    """The columns by name; those of a record as long as itself are taken all at once, without a look at each."""
    if layout.is_record and layout.backend.nplike.known_data:
        length = layout.length
        if all(content.length == length for content in layout.contents):
            return dict(zip(layout.fields, layout.contents, strict=True))
    return {field: layout[field] for field in layout.fields}


def _record_parameters(layout: Content) -> dict[str, Any] | None:
    while layout.is_indexed:
        layout = layout.content
    return dict(layout.parameters)


def _place(contents: dict[str, Content], name: str, new: Content, like: Collection[str], is_flat: bool) -> None:
    """Put one column among the contents of the events, which are flat branches or not, where its name says."""
    head, dot, tail = name.partition(".")
    if not dot and name not in contents:
        # NanoAODSchema reads ``train_weight`` back as the field ``weight`` of ``train``.
        before, _, after = dotted(name).partition(".")
        if before in contents and after in contents[before].fields:
            head, dot, tail = before, ".", after
    if name in contents or not dot:
        contents[name] = new
    elif head in contents and (contents[head].fields or not is_flat):
        contents[head] = _with_field(contents[head], head, tail, new)
    elif is_flat:
        sibling = flat(name) if name in like and flat(name) in contents else _sibling(contents, head, like)
        if sibling is not None and _is_list(contents[sibling]):
            _check_counts(plain(contents[sibling]), new, name, sibling)
        contents[flat(name)] = new
    else:
        contents[head] = _collected(head, {tail: new})


def _sibling(contents: Mapping[str, Content], head: str, like: Collection[str]) -> str | None:
    """A flat branch with lists of this collection."""
    siblings = [field for field in contents if field.startswith((f"{head}_", f"{head}.")) and _is_list(contents[field])]
    # One that was read anyway comes first: reading another only to count its entries is a whole branch more.
    return min(siblings, key=lambda field: dotted(field) not in like, default=None)


def _with_field(collection: Content, head: str, tail: str, new: Content) -> Content:
    """The collection with one field more, or another one in its place."""
    while collection.is_indexed:
        collection = collection.project()
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
    _check_counts(lists, new, f"{head}.{tail}", head)
    record = _with_field(_used(lists), head, tail, new.content)
    return ListOffsetArray(lists.offsets, record, parameters=collection.parameters)


def _check_counts(lists: Content, new: Content, name: str, like: str) -> None:
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
