"""Global indices of NanoEvents (``Electron.jetIdxG``), recomputed after steps that change rows.

A place lies within the row of the object that has it, so it says which row that was: the place within the row stays, and
the row's objects now are those of the object that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache, partial
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray, NumpyArray
from numpy.typing import NDArray

from dask_augment.events.columns import plain, with_contents
from dask_augment.events.layouts import bare, objects_of, record_of
from dask_augment.frames.packed import Packed
from dask_augment.frames.stamps import PLACE, bears

GONE = np.iinfo(np.int64).min
"""The place of an object that can no longer be told."""
_KNOWN_BY = ("eta", "phi", "pt")


class StaleReference(RuntimeError):
    """What an object refers to is no longer known."""


@lru_cache(maxsize=1)
def targets() -> Mapping[str, str]:
    """The collection that each column of flat places is about, as coffea's schemas for NanoAOD have them."""
    from coffea.nanoevents import PFNanoAODSchema as Schema

    found = {f"{name}G": target for name, target in Schema.all_cross_references.items()}
    found |= {name: found[parts[0]] for name, parts in Schema.nested_items.items()}
    found |= {name: target for name, (_, target) in Schema.nested_index_items.items()}
    return found | {name: name.partition("_")[0] for name in Schema.special_items}


def places_in(events: ak.Array) -> Iterator[tuple[str, str]]:
    """Collections and fields of theirs that are flat places."""
    layout = events.layout
    for name in layout.fields:
        for field in _fields_of(layout, name):
            if PLACE.fullmatch(field):
                yield name, field


def _fields_of(layout: Content, name: str) -> list[str]:
    """The fields of a collection, without a look at its data."""
    record = objects_of(layout, name)
    return [] if record is None else list(record.fields)


def refers(events: ak.Array) -> bool:
    """Whether objects of these events have flat places."""
    return any(True for _ in places_in(events))


def targets_in(events: ak.Array) -> set[str]:
    """Collections of these events that refer to others or are referred to."""
    known = targets()
    found = {known[f"{name}_{field}"] for name, field in places_in(events) if f"{name}_{field}" in known}
    return found | {name for name, _ in places_in(events)}


def is_collection(layout: Content) -> bool:
    """Whether this is a list of objects for each event."""
    while layout.is_indexed and not layout.is_option:
        layout = layout.content
    return bool(layout.is_list) and record_of(layout) is not None


class _Retelling:
    """Flat places among the objects of ``base``, told for those of ``result``."""

    def __init__(self, result: ak.Array, base: ak.Array, stamp: str | None, *, later: bool) -> None:
        self.result, self.base, self.stamp, self.later = result.layout, base.layout, stamp, later
        self.packed = cache(self._packed)

    def _packed(self, name: str, new: bool) -> Packed:
        layout = self.result if new else self.base
        if name not in layout.fields or not is_collection(layout[name]):
            raise StaleReference(gone(name))
        return Packed(layout[name])

    def values(self, name: str, field: str) -> Content:
        """The places of a field anew, one or a list of them for each object.

        Where they cannot be told, asking for them raises StaleReference; of a partition, which is computed before it is
        known who asks, they are :data:`GONE`.
        """
        try:
            return self._values(name, field)
        except StaleReference:
            if self.later:
                raise
            content = self.packed(name, True).field((field,))
            return ak.to_layout(ak.where(ak.Array(content) >= 0, GONE, ak.Array(content)))

    def _values(self, name: str, field: str) -> Content:
        target = targets().get(f"{name}_{field}")
        if target is None:
            raise StaleReference(f"{name}.{field} is not known to coffea's schemas, so it cannot be told anew")
        collection = self.packed(name, True)
        if not bears(collection.record.content(field), self.stamp):
            raise StaleReference(joined(target))
        rows, content = collection.rows, collection.field((field,))
        if content.is_numpy:
            places = np.asarray(content.data)
            self._refuse_moved(collection, field, places, target)
            return NumpyArray(self._told(places, rows, target))
        lists = content.to_ListOffsetArray64(True)
        inner = plain(lists)
        rows = np.repeat(rows, np.diff(np.asarray(inner.offsets.data)))
        return ListOffsetArray(inner.offsets, NumpyArray(self._told(np.asarray(inner.content.data), rows, target)))

    def _told(self, places: NDArray[Any], rows: NDArray[np.int64], target: str) -> NDArray[np.int64]:
        old, new = self.packed(target, False), self.packed(target, True)
        told = places.astype(np.int64)
        there = np.flatnonzero(told >= 0)
        if len(there) == 0:
            return told
        source, place = self._in_row(told[there], target)
        counts = np.diff(new.offsets)[rows[there]]
        if not np.array_equal(counts, np.diff(old.offsets)[source]):
            raise StaleReference(others(target))
        told[there] = new.offsets[rows[there]] + place
        refuse_others(target, old, new, old.offsets[source] + place, told[there])
        return told

    def _in_row(self, places: NDArray[np.int64], target: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The row of ``base`` that each place is in, and the place among the objects of the row."""
        offsets = self.packed(target, False).offsets
        source = np.searchsorted(offsets, places, side="right") - 1
        if source.max() >= len(offsets) - 1:
            raise StaleReference(others(target))
        return source, places - offsets[source]

    def _refuse_moved(self, packed: Packed, field: str, places: NDArray[Any], target: str) -> None:
        """Hold places against the numbers within an event that the file has: a collection cut in place shifts them."""
        local = (field.removesuffix("G"),)
        if local[0] not in packed.record.fields or not packed.has_data(local):
            return
        said = np.asarray(packed.field(local).data)
        there = np.flatnonzero(places >= 0)
        if len(there) and not np.array_equal(self._in_row(places[there], target)[1], said[there]):
            raise StaleReference(others(target))


def retold(result: ak.Array, base: ak.Array, stamp: str | None, *, later: bool) -> ak.Array:
    """The result with places among its own objects, from those among the objects of ``base``, which bear its stamp.

    ``later``: nothing is read before it is asked for; else what was read is told now, and the rest stays unread.
    """
    retelling = _Retelling(result, base, stamp, later=later)
    layout = result.layout
    contents = {name: layout[name] for name in layout.fields}
    fields: dict[str, list[str]] = {}
    for name, field in places_in(result):
        fields.setdefault(name, []).append(field)
    for name, places in fields.items():
        if not is_collection(contents[name]):
            continue
        packed = Packed(contents[name])
        known = places if later else [field for field in places if packed.has_data((field,))]
        given = {field: cache(partial(retelling.values, name, field)) for field in known}
        contents[name] = packed.rebuilt_later(given) if later else packed.rebuilt(given)
    return with_contents(result, contents)


def refuse_others(
    name: str, old: Packed, new: Packed, before: NDArray[np.int64] | None = None, after: NDArray[np.int64] | None = None
) -> None:
    """Raise StaleReference where the objects that are referred to are others now: some were left out, or they were sorted.

    Steps alter values, so one column that is the same tells that the objects are.
    """
    if before is None and not np.array_equal(old.offsets, new.offsets):
        raise StaleReference(others(name))
    common = {*new.record.fields} & {*old.record.fields}
    compared = False
    for field in sorted(common, key=lambda field: (_KNOWN_BY.index(field) if field in _KNOWN_BY else 9, field)):
        if not (_is_number(old, field) and _is_number(new, field)):
            continue
        one, other = (np.asarray(packed.field((field,)).data) for packed in (old, new))
        if before is not None:
            one, other = one[before], other[after]
        if not _tells_apart(field, one):
            continue
        if np.array_equal(one, other, equal_nan=True):
            return
        compared = True
    if compared:
        raise StaleReference(others(name))


def _tells_apart(field: str, values: NDArray[Any]) -> bool:
    """Whether values of a column tell objects apart: the masses of muons do not."""
    return field in _KNOWN_BY or 2 * len(np.unique(values)) > len(values) > 1


def _is_number(packed: Packed, field: str) -> bool:
    form = bare(packed.record.content(field).form)
    return form.is_numpy and form.primitive.startswith("float") and packed.has_data((field,))


def gone(name: str) -> str:
    """What is said where a collection that is referred to is not there."""
    return (
        f"what refers to {name} cannot be followed: the events had no {name} when they were augmented; keep it among them, "
        "or take what it says before the step"
    )


def others(name: str) -> str:
    """What is said where a collection holds other objects than it did."""
    return (
        f"what refers to {name} cannot be followed: objects of {name} were left out or put in another order before the "
        f"step, or all their values changed. Augment the events first, or give the chosen {name} a name of their own"
    )


def joined(name: str) -> str:
    """What is said where objects that refer are not, or not all, of the events that are referred to."""
    return (
        f"what refers to {name} cannot be followed: the objects that refer to it are not all of the events among which {name} "
        "is looked for, as after concatenating arrays, or they lie in other objects since before a step that changed rows; "
        "take what is referred to from each array before that"
    )


def alone(name: str) -> str:
    """What is said to a single object, whose places bear no stamp."""
    return (
        f"what refers to {name} cannot be followed from a single object, which does not say of which events it is: ask a "
        "list of objects, events.Electron[:, :1].matched_gen in place of events.Electron[0, 0].matched_gen"
    )
