"""References between objects of NanoEvents (matched jets, parents), kept right by every step.

coffea finds a matched jet or a parent by its flat place (``Electron.jetIdxG``) among the events as they were read, which
it looks for at ``attrs["@original_array"]``. After a step that is the augmented events, and where rows changed the places
are told anew: from the row in which an object lay, which its place says, to that row's objects now.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import awkward as ak
from awkward.contents import Content, ListOffsetArray, RecordArray

from dask_augment.contract.flow import Flow
from dask_augment.events.columns import with_contents
from dask_augment.frames.global_indices import (
    StaleReference,
    alone,
    gone,
    is_collection,
    joined,
    refers,
    refuse_others,
    retold,
    targets_in,
)
from dask_augment.frames.packed import Packed
from dask_augment.frames.records import records_along
from dask_augment.frames.stamps import PLACE, bears, stamped
from dask_augment.frames.systematics import varied_along

ORIGINAL = "@original_array"
"""Where coffea looks for the events that objects refer to."""


class References:
    """The collections that objects of augmented events refer to, in one piece; or why there are none."""

    def __init__(
        self, events: Any, base: Any = None, *, refusal: str = "", before: str | None = None, moved: bool = False
    ) -> None:
        self.stamp = uuid4().hex
        self._given, self._behavior, self._attrs = events.layout, events.behavior, dict(events.attrs)
        self._layout = stamped(events, self.stamp, before, moved=moved).layout
        self._events: Callable[[], Any] = lambda: None
        self._base, self.refusal = base, refusal

    def referring(self) -> ak.Array:
        """The events with these references; what is later assigned to them is referred to."""
        result = self.told
        self._events = weakref.ref(result)  # held by its own attributes, it would wait for the garbage collector
        return result

    @property
    def events(self) -> ak.Array:
        """The events that are referred to."""
        events = self._events()
        if events is None:
            return ak.Array(self._layout, behavior=self._behavior, attrs={**self._attrs, ORIGINAL: self})
        return events

    @property
    def told(self) -> ak.Array:
        """The events that places were told for, without what was assigned to them since."""
        events = self._events()
        if events is not None and events.layout is self._layout:
            return events
        return ak.Array(self._layout, behavior=self._behavior, attrs={**self._attrs, ORIGINAL: self})

    @property
    def fields(self) -> list[str]:
        """Names of what can be referred to."""
        return [] if self.refusal else list(self._layout.fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        """A collection; StaleReference where it is gone, or is not the one that the places were told for."""
        if self.refusal:
            raise StaleReference(self.refusal)
        events = self.events
        if name not in events.fields:
            raise StaleReference(gone(name))
        layout = events.layout[name]
        if ak.backend(events) == "typetracer" or not is_collection(layout) or not refers(events):
            return events[name]
        packed = Packed(layout)
        if name in self._layout.fields and layout is not self._layout.content(name):
            refuse_others(name, Packed(self._layout[name]), packed)
        given = self._given.content(name) if layout is self._layout.content(name) else layout
        if self._base is not None and name in self._base.fields and given is not self._base.layout.content(name):
            refuse_others(name, Packed(self._base.layout[name]), packed)
        return _Target(ak.Array(packed.rebuilt({}), behavior=events.behavior, attrs=events.attrs), name, self.stamp)


class _Target:
    """A collection as coffea takes from it by flat places, if they count among its objects."""

    def __init__(self, collection: ak.Array, name: str, stamp: str) -> None:
        self._collection, self._name, self._stamp = collection, name, stamp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def __getitem__(self, where: Any) -> Any:
        return self._collection[where]

    def __len__(self) -> int:
        return len(self._collection)

    def _apply_global_index(self, index: Any) -> ak.Array:
        if not isinstance(index, ak.Array):
            raise StaleReference(alone(self._name))
        if not bears(index.layout, self._stamp):
            raise StaleReference(joined(self._name))
        return self._collection._apply_global_index(index)


def alters(steps: Flow, events: ak.Array) -> bool:
    """Whether steps give objects of these events new values."""
    heads = {name.partition(".")[0] for name in steps.made}
    return any(is_collection(events.layout[head]) for head in heads & {*events.fields})


def referring(events: ak.Array, result: ak.Array, steps: Flow) -> ak.Array:
    """The result of steps on NanoEvents, whose objects refer to those of the result; other events as they are."""
    base = _base_of(events)
    tracing = ak.backend(result) == "typetracer"
    result = varied_along(result, steps, raises=base is not None and not tracing)
    result = records_along(events, result, steps)
    if base is None:
        return result
    if isinstance(base, str) or steps.interpolates:
        why = base if isinstance(base, str) else INTERPOLATED
        return References(without_places(result), refusal=why).referring()
    before = getattr(events.attrs.get(ORIGINAL), "stamp", None)
    moved = not steps.keeps_rows or not _aligned(events, base)
    if moved and not tracing:
        if refers(result):
            result = retold(result, base, before, later=True)
        elif alters(steps, events):
            return References(result, refusal=UNKNOWN).referring()
        else:
            return result
    return References(result, None if moved or base is events else base, before=before, moved=moved).referring()


INTERPOLATED = (
    "rows that were interpolated lie between two events, so their objects refer to none: take what is referred to before "
    "the step, or leave the interpolated rows to a step of their own"
)
UNKNOWN = (
    "what objects refer to cannot be followed after a step that changed rows and values in a schema other than coffea's "
    "NanoAODSchema and PFNanoAODSchema: take what is referred to before the step"
)


def retold_now(result: ak.Array, base: ak.Array) -> ak.Array:
    """The result with places among its own objects, now; for partitions, where what was not read stays so."""
    if ak.backend(result) == "typetracer":
        for events in (result, base):
            for name in targets_in(result):
                if name in events.fields and is_collection(events.layout[name]):
                    ak.typetracer.touch_data(ak.num(events[name], axis=1))
        return result
    return retold(result, base, None, later=False)


def collection_in_one_piece(collection: ak.Array) -> ak.Array:
    """A collection of a partition as coffea takes from it by flat places."""
    if ak.backend(collection) == "typetracer":
        ak.typetracer.touch_data(ak.num(collection, axis=1))
        return collection
    layout = Packed(collection.layout).rebuilt({})
    return ak.Array(layout, behavior=collection.behavior, attrs=collection.attrs)


def without_places(events: ak.Array) -> ak.Array:
    """The events without flat places, which say nothing any more."""
    layout = events.layout
    contents = {name: layout[name] for name in layout.fields}
    for name, content in contents.items():
        if any(_says_nothing(field) for field in content.fields):
            contents[name] = _without_places(content)
    return with_contents(events, contents)


def _without_places(layout: Content) -> Content:
    if not layout.is_record:
        return layout.copy(content=_without_places(layout.content))
    fields = [field for field in layout.fields if not _says_nothing(field)]
    contents = [layout.content(field) for field in fields]
    return RecordArray(contents, fields, length=layout.length, parameters=layout.parameters, backend=layout.backend)


def _says_nothing(field: str) -> bool:
    return field == "__systematics__" or bool(PLACE.fullmatch(field))


def _base_of(events: ak.Array) -> Any:
    """The events that places are told for; a sentence where they are told for none, None where there are no places."""
    found = events.attrs.get(ORIGINAL)
    if isinstance(found, References):
        return found.refusal or found.told
    if found is not None:
        return found if isinstance(found, ak.Array) else None
    factory = events.attrs.get("@events_factory")
    return None if factory is None else _as_read(factory)


def _as_read(factory: Any) -> ak.Array:
    """The events of a factory as they are in the file: coffea gives those that collections were assigned to."""
    events = factory.events()
    lists = [events.layout[name] for name in sorted(targets_in(events)) if is_collection(events.layout[name])]
    as_read = [isinstance(one, ListOffsetArray) and one.content.is_record for one in lists]
    if all(as_read) and len({type(one.offsets.data) for one in lists}) < 2:
        return events
    return copy.copy(factory).events()


def _aligned(events: ak.Array, base: ak.Array) -> bool:
    """Whether the rows of both are the same ones: they share a column as it is."""
    if events is base:
        return True
    mine, theirs = events.layout, base.layout
    if not (mine.is_record and theirs.is_record) or not mine.backend.nplike.known_data or mine.length != theirs.length:
        return False
    there = {id(content) for content in theirs.contents}
    return any(id(content) in there for content in mine.contents)
