"""Read and write columns by name, in nested or flat events, and give the form of the result beforehand.

A column's name is dotted, ``Jet.pt``; the first ``_`` of a flat branch is the dot. A name is looked up as it stands
(some files have real dots), then nested, then flat; ``nJet`` is also the number of entries of ``Jet``. Augmenters always
see one shape: nested, plain layouts without names, behaviours or parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray, NumpyArray, RecordArray
from numpy.typing import NDArray

from dask_augment.events.layouts import STRINGS, check_counts, with_field
from dask_augment.events.layouts import plain as plain  # noqa: PLC0414  re-exported
from dask_augment.events.layouts import same_counts as same_counts  # noqa: PLC0414  re-exported
from dask_augment.events.names import dotted as dotted  # noqa: PLC0414  re-exported
from dask_augment.events.names import flat as flat  # noqa: PLC0414  re-exported
from dask_augment.events.names import shown
from dask_augment.messages import nearest


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
        return layout.content(name) if layout.is_record else layout[name]
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
    return bool(content.is_list) and content.parameter("__array__") not in STRINGS


def _missing(layout: Content, name: str) -> str:
    known = {f"{f}.{g}" if g else shown(f, name) for f in layout.fields for g in layout[f].fields or ("",)}
    # Some files have a counter for each branch, nJet_pt; counters are never data.
    known = {column for column in known if not (column[:1] == "n" and column[1:] in known)}
    odd = sorted(other for other in known if name in re.split(r"\W+", other.replace(".", "_")))
    hint = f'; in an expression it is col("{odd[0]}")' if odd else ""
    return f"no column {name!r} among the events; {nearest(name, known)}{hint}"


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
    return with_contents(taken, contents)


def with_contents(events: ak.Array, contents: Mapping[str, Content]) -> ak.Array:
    """The events with these columns in place of theirs, all as long as the events."""
    layout = events.layout
    # awkward is slow to compare the lengths of many columns with one that it is given; here they are all the same.
    length = None if contents and layout.backend.nplike.known_data else layout.length
    parameters = _record_parameters(layout)
    record = RecordArray(
        list(contents.values()), list(contents), length=length, parameters=parameters, backend=layout.backend
    )
    return ak.Array(record, behavior=events.behavior, attrs=events.attrs)


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
    return with_contents(events, contents)


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
        contents[head] = with_field(contents[head], head, tail, new)
    elif is_flat:
        sibling = flat(name) if name in like and flat(name) in contents else _sibling(contents, head, like)
        if sibling is not None and _is_list(contents[sibling]):
            check_counts(plain(contents[sibling]), new, name, sibling)
        contents[flat(name)] = new
    else:
        contents[head] = _collected(head, {tail: new})


def _sibling(contents: Mapping[str, Content], head: str, like: Collection[str]) -> str | None:
    """A flat branch with lists of this collection."""
    siblings = [field for field in contents if field.startswith((f"{head}_", f"{head}.")) and _is_list(contents[field])]
    # One that was read anyway comes first: reading another only to count its entries is a whole branch more.
    return min(siblings, key=lambda field: dotted(field) not in like, default=None)


def names(events: ak.Array) -> list[str]:
    """The names of columns and of fields of collections; nothing is read."""
    refuse_unlike(events)
    layout = events.layout
    while layout.is_indexed or layout.is_list or layout.is_option:
        layout = layout.content
    if not layout.is_record:
        return []
    names = zip(layout.fields, layout.contents, strict=True)
    return [name for field, inner in names for name in ([f"{field}.{name}" for name in inner.fields] or [field])]


_OF_KINDS = {"biuf": "number", "iuf": "number", "f": "float", "iu": "integer"}


def number(
    events: ak.Array,
    name: str,
    rows: NDArray[np.int64] | slice = slice(None),
    what: str = "column",
    kinds: str = "biuf",
) -> NDArray[Any]:
    """A column with one number for each event, of these rows; TypeError for another one.

    ``kinds`` are NumPy's letters of the types that it may have: boolean, (unsigned) integer, float.
    """
    content = lookup(events.layout, name)
    content = content if content.is_numpy else plain(content)
    if not content.is_numpy or content.data.ndim != 1 or content.data.dtype.kind not in kinds:
        remedy = f"; make it float first, define: {{{name}: {name} * 1.0}}, or leave it out" if kinds == "f" else ""
        raise TypeError(
            f"{what} {name!r} must be one {_OF_KINDS[kinds]} for each event, it is {content.form.type}{remedy}"
        )
    return np.ascontiguousarray(np.asarray(content.data)[rows])


def refuse_unlike(events: ak.Array) -> None:
    """ValueError where arrays with other columns were put together: awkward makes a union of their events."""
    layout = events.layout
    while layout.is_indexed or layout.is_option:
        layout = layout.content
    if layout.is_union:
        raise ValueError(
            f"the events are of {len(layout.contents)} types, as awkward makes them by concatenating arrays with other "
            "columns: ask each array by itself, or choose the columns that all have, array[[name, ...]], before you "
            "concatenate"
        )
