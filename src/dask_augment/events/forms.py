"""Types that steps promise, and the form of a result before there are any events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

import awkward as ak
import numpy as np
from awkward.contents import Content, IndexedOptionArray, ListOffsetArray, NumpyArray, RegularArray
from awkward.index import Index64

from dask_augment.events.columns import assemble, collection_of, lookup, plain


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ak.types.Type:
    try:
        return ak.types.from_datashape(text, highlevel=False)
    except Exception as error:
        raise ValueError(
            f"{text!r} is not an awkward type of one entry, such as 'float32' or 'var * float32'"
        ) from error


def promised(layout: Content, produces: Mapping[str, str | None]) -> dict[str, ak.types.Type]:
    """The awkward type for each event of every column that is promised, given the columns that there are."""
    types = {}
    for name, text in produces.items():
        if text is None:
            content = lookup(layout, name)
            bare = content.is_numpy and not content.parameters
            types[name] = content.form.type if bare else plain(content).form.type
            continue
        kind = _parsed(text)
        head, dot, _ = name.partition(".")
        if dot and not isinstance(kind, ak.types.ListType) and collection_of(layout, head) is not None:
            kind = ak.types.ListType(kind)
        types[name] = kind
    return types


def zeros(kind: ak.types.Type, length: int) -> Content:
    """A column of this type for rows that a step did not act on: zeros, empty lists, or null where the type allows."""
    if isinstance(kind, ak.types.NumpyType):
        return NumpyArray(np.zeros(length, kind.primitive))
    if isinstance(kind, ak.types.ListType):
        return ListOffsetArray(Index64(np.zeros(length + 1, np.int64)), zeros(kind.content, 0))
    if isinstance(kind, ak.types.RegularType):
        return RegularArray(zeros(kind.content, length * kind.size), kind.size, zeros_length=length)
    if isinstance(kind, ak.types.OptionType):
        return IndexedOptionArray(Index64(np.full(length, -1, np.int64)), zeros(kind.content, 0))
    raise TypeError(f"columns hold numbers, booleans and lists of them, not {kind}")


def touch(events: ak.Array, columns: Iterable[str]) -> None:
    """Tell the reader of typetracer events that these columns will be read."""
    for name in columns:
        ak.typetracer.touch_data(ak.Array(lookup(events.layout, name)))


def shape_only(
    events: ak.Array, columns: Mapping[str, ak.types.Type], *, keeps_rows: bool, like: Collection[str] = ()
) -> ak.Array:
    """The form of :func:`assemble` for typetracer events, from the promised types alone."""
    new = {name: _unknown(kind) for name, kind in columns.items()}
    source = None if keeps_rows else ak.Array(_unknown(ak.types.NumpyType("int64")))
    return assemble(events, new, source, like)


def _unknown(kind: ak.types.Type) -> Content:
    form = ak.forms.from_type(kind)
    return form.length_zero_array(highlevel=False).to_typetracer(forget_length=True)


def typetracer(events: ak.Array) -> ak.Array:
    """The form of the events without their data or length."""
    return ak.Array(events.layout.to_typetracer(forget_length=True), behavior=events.behavior, attrs=events.attrs)


def empty(events: ak.Array) -> ak.Array:
    """No events of this form."""
    layout = events.layout.form.length_zero_array(highlevel=False)
    return ak.Array(layout, behavior=events.behavior, attrs=events.attrs)
