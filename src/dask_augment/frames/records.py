"""Records within objects, such as the varied jets ``Jet.JES_jes.up`` of coffea's jet corrections, kept in step with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, RecordArray
from numpy.typing import NDArray

from dask_augment.columns import dotted
from dask_augment.frames.packed import Packed, later
from dask_augment.frames.planning import Steps
from dask_augment.frames.systematics import FIELD, StaleVariation
from dask_augment.layouts import record_of


def records_along(events: ak.Array, result: ak.Array, steps: Steps) -> ak.Array:
    """The result of steps on events, with the records within objects that follow them; other events as they are."""
    if ak.backend(result) == "typetracer":
        return result  # the fields stay the same
    layout = result.layout
    changed = {dotted(name).partition(".")[0] for step in steps.steps for name in step.augmenter.produces()}
    copies = {name: _Copies(name, events, steps) for name in changed & {*layout.fields} & {*events.fields}}
    beside = [name for name, copy in copies.items() if copy.fields(layout[name])]
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


def _descend(layout: Content, change: Callable[[RecordArray], RecordArray]) -> Content:
    while layout.is_indexed and not layout.is_option:
        layout = layout.project()
    return change(layout) if layout.is_record else layout.copy(content=_descend(layout.content, change))


def _like(like: RecordArray, contents: Mapping[str, Content], named: Content) -> RecordArray:
    """A record of these fields, as long as another one and with the name of a third."""
    return RecordArray(
        list(contents.values()), list(contents), length=like.length, parameters=record_of(named).parameters,
        backend=like.backend,
    )  # fmt: skip


@dataclass(frozen=True)
class _Copies:
    """Makes records within objects, such as ``Jet.JES_jes.up`` of jet corrections, follow the fields that steps made.

    Where such a record had a field as the object had it, it has the object's now; another one is that of other objects,
    and asking for it raises StaleVariation.
    """

    name: str
    events: ak.Array
    steps: Steps

    @property
    def made(self) -> dict[str, str]:
        """Fields of the objects that steps made anew, each with its step."""
        prefix = f"{self.name}."
        return {
            dotted(name).removeprefix(prefix): step.label
            for step in self.steps.steps
            for name in step.augmenter.produces()
            if dotted(name).startswith(prefix)
        }

    def fields(self, layout: Content) -> list[str]:
        """The fields of the objects that are records and were there before the steps."""
        record = record_of(layout)
        if record is None:
            return []
        there = self.events[self.name].fields
        return [field for field in record.fields if field != FIELD and field in there and record_of(record[field])]

    def __call__(self, objects: RecordArray) -> RecordArray:
        contents = {field: objects[field] for field in objects.fields}
        for field in self.fields(objects):
            if not objects[field].is_option:
                contents[field] = self._along(objects, objects[field], (field,))
        return _like(objects, contents, objects)

    def _along(self, objects: RecordArray, inner: Content, path: tuple[str, ...]) -> Content:
        if inner.is_list or inner.is_option or record_of(inner) is None:
            return inner
        contents = {field: inner[field] for field in inner.fields}
        for field, content in contents.items():
            here, label = (*path, field), self.made.get(field)
            if record_of(content) is not None:
                contents[field] = self._along(objects, content, here)
            elif label is not None and ".".join(here) not in self.made and Packed(inner).has_data((field,)):
                column = ".".join((self.name, *here))
                same = self._same(here)
                contents[field] = (
                    objects[field]
                    if same
                    else later("float64", objects.length, partial(_raise_copy, column, field, label))
                )
        return _like(objects, contents, inner)

    def _same(self, path: tuple[str, ...]) -> bool:
        before = self.events[self.name]
        mine, theirs = (ak.flatten(array, axis=None) for array in (before[path], before[path[-1]]))
        return bool(np.array_equal(ak.to_numpy(mine), ak.to_numpy(theirs), equal_nan=True))


def _raise_copy(column: str, field: str, label: str) -> NDArray[Any]:
    raise StaleVariation(
        f"step {label!r} made {field!r} of these objects anew, and {column!r} is another one from before the step: run the "
        "step first and make it then, or run the step on it, too"
    )
