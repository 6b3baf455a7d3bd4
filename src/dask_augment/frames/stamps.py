"""Stamps on global indices of NanoEvents (``Electron.jetIdxG``): they say which events an index counts.

A stamp is a parameter of the column. Slices, masks and flattened lists keep it; awkward drops it where arrays are
concatenated whose stamps differ.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import awkward as ak
from awkward.contents import Content

from dask_augment.events.columns import with_contents

PLACE = re.compile(r".*Idx\w*G")
"""Names of fields that are flat places."""
_STAMP = "places_among"


def bears(places: Content, stamp: str | None) -> bool:
    """Whether all these places bear this stamp; None is that of the events of a file."""
    if places.is_union:
        return all(bears(content, stamp) for content in places.contents)
    if not places.is_numpy:
        return bears(places.content, stamp) if hasattr(places, "content") else True
    return bool(places.parameter(_STAMP) == stamp)


def stamped(events: ak.Array, stamp: str, before: str | None, *, moved: bool) -> ak.Array:
    """The events with this stamp on the places that bear the one from before.

    Where rows ``moved``, places in records within objects were told anew if the objects have them, too; those in others
    within them, such as a matched object that was stored, were not.
    """
    layout = events.layout
    contents = {name: layout[name] for name in layout.fields}
    for name, content in contents.items():
        fields = content.fields
        if fields:
            told = {field for field in fields if PLACE.fullmatch(field)} if moved else None
            contents[name] = _stamped(content, stamp, before, told)
    if all(contents[name] is layout[name] for name in contents):
        return events
    return with_contents(events, contents)


def _stamped(layout: Content, stamp: str, before: str | None, told: Collection[str] | None) -> Content:
    """The layout with stamped places; itself where there are none."""
    if layout.is_record:
        contents = list(layout.contents)
        for nth, field in enumerate(layout.fields):
            if not PLACE.fullmatch(field):
                inside = told if told is None or contents[nth].is_record else ()
                contents[nth] = _stamped(contents[nth], stamp, before, inside)
            elif (told is None or field in told) and bears(contents[nth], before):
                contents[nth] = _leaves(contents[nth], stamp)
        if all(new is old for new, old in zip(contents, layout.contents, strict=True)):
            return layout
        return layout.copy(contents=contents)
    if layout.is_union or not hasattr(layout, "content") or not layout.fields:
        return layout
    inner = _stamped(layout.content, stamp, before, told)
    return layout if inner is layout.content else layout.copy(content=inner)


def _leaves(layout: Content, stamp: str) -> Content:
    if layout.is_numpy:
        return layout.copy(parameters={**layout.parameters, _STAMP: stamp})
    if layout.is_union:
        return layout.copy(contents=[_leaves(content, stamp) for content in layout.contents])
    return layout.copy(content=_leaves(layout.content, stamp)) if hasattr(layout, "content") else layout
