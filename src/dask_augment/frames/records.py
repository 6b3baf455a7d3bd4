"""Nested records of objects, such as the varied jets ``Jet.JES_jes.up`` of coffea, kept consistent with the objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, RecordArray
from numpy.typing import NDArray

from dask_augment.contract.flow import Flow
from dask_augment.events.layouts import objects_of
from dask_augment.frames.packed import Packed, later
from dask_augment.frames.systematics import FIELD, StaleVariation


def records_along(events: ak.Array, result: ak.Array, steps: Flow) -> ak.Array:
    """The result of steps on events, with the records within objects that follow them; other events as they are."""
    if ak.backend(result) == "typetracer":
        return result  # the fields stay the same
    layout = result.layout
    made = _made(steps)
    copies = {name: _Copies(name, events, made) for name in layout.fields if name in events.fields and name != FIELD}
    beside = [name for name, copy in copies.items() if copy.fields(layout)]
    if not beside:
        return result
    contents = {name: layout[name] for name in layout.fields}
    for name in beside:
        contents[name] = _descend(contents[name], copies[name])
    while layout.is_indexed:
        layout = layout.content
    record = RecordArray(
        list(contents.values()), list(contents), length=result.layout.length, parameters=layout.parameters,
        backend=result.layout.backend,
    )  # fmt: skip
    return ak.Array(record, behavior=result.behavior, attrs=result.attrs)


def _made(steps: Flow) -> dict[str, dict[str, str]]:
    """Fields of objects that steps made anew, each with its step, by collections."""
    made: dict[str, dict[str, str]] = {}
    for step in steps.steps:
        for name in step.products:
            head, _, field = name.partition(".")
            made.setdefault(head, {})[field] = step.label
    return made


def _descend(layout: Content, change: Callable[[RecordArray], RecordArray]) -> Content:
    while layout.is_indexed and not layout.is_option:
        layout = layout.project()
    return change(layout) if layout.is_record else layout.copy(content=_descend(layout.content, change))


def _record_in(layout: Content) -> Any:
    """The record within lists and options; None where there is none."""
    while layout.is_list or layout.is_indexed or layout.is_option:
        layout = layout.content
    return layout if layout.is_record else None


def _with(record: RecordArray, contents: Mapping[str, Content]) -> RecordArray:
    """The record with these contents for its fields."""
    return record.copy(contents=[contents[field] for field in record.fields])


@dataclass(frozen=True)
class _Copies:
    """Makes records within objects, such as ``Jet.JES_jes.up`` of jet corrections, follow the fields that steps made.

    Where such a record had a field as the object had it, it has the object's now; another one is that of other objects,
    and asking for it raises StaleVariation.
    """

    name: str
    events: ak.Array
    made: Mapping[str, Mapping[str, str]]

    def fields(self, events: Content) -> list[str]:
        """The fields of the objects that hold records, were there before the steps, and of which steps made some anew."""
        record, before = (objects_of(layout, self.name) for layout in (events, self.events.layout))
        return [] if record is None else [field for field in self._records(record) if field in before.fields]

    def _records(self, record: RecordArray) -> list[str]:
        inner = {field: _record_in(inner) for field, inner in zip(record.fields, record.contents, strict=True)}
        return [
            field for field, found in inner.items() if found is not None and field != FIELD and self._concerns(found)
        ]

    def _concerns(self, record: RecordArray) -> bool:
        return bool({*self._made(record)} & {*record.fields}) or bool(self._records(record))

    def _made(self, record: RecordArray) -> Mapping[str, str]:
        """What steps made anew of such objects: coffea says of which collection they were taken, ours unless it does."""
        return self.made.get(record.parameters.get("collection_name") or self.name, {})

    def __call__(self, objects: RecordArray) -> RecordArray:
        contents = {field: objects[field] for field in objects.fields}
        before = objects_of(self.events.layout, self.name).fields
        for field in self._records(objects):
            if field in before:
                contents[field] = self._along(objects, objects[field], (field,))
        return _with(objects, contents)

    def _along(self, objects: RecordArray | None, inner: Content, path: tuple[str, ...]) -> Content:
        """The records; ``objects`` are those that they lie in, None where there is no record for each of them."""
        while objects is not None and inner.is_indexed and not inner.is_option:
            inner = inner.project()
        if not inner.is_record:
            return inner.copy(content=self._along(None, inner.content, path))
        made, contents = self._made(inner), {field: inner[field] for field in inner.fields}
        for field, content in contents.items():
            here, label = (*path, field), made.get(field)
            if field == FIELD:
                continue
            if _record_in(content) is not None:
                contents[field] = self._along(objects, content, here)
            elif (
                label is None or ".".join(here) in self.made.get(self.name, ()) or not Packed(inner).has_data((field,))
            ):
                continue
            elif objects is not None and field in objects.fields and self._same(here):
                contents[field] = objects[field]
            else:
                column = ".".join((self.name, *here))
                contents[field] = later("float64", inner.length, partial(_raise_copy, column, field, label))
        return _with(inner, contents)

    def _same(self, path: tuple[str, ...]) -> bool:
        before = self.events[self.name]
        mine, theirs = (ak.flatten(array, axis=None) for array in (before[path], before[path[-1]]))
        return bool(np.array_equal(ak.to_numpy(mine), ak.to_numpy(theirs), equal_nan=True))


def _raise_copy(column: str, field: str, label: str) -> NDArray[Any]:
    raise StaleVariation(
        f"step {label!r} made {field!r} of these objects anew, and {column!r} is another one from before the step: run the "
        "step first and make it then, or run the step on it, too"
    )
