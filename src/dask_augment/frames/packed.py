"""Pack collections of events: lists one after the other from the first object on, whatever slices they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, IndexedArray, ListOffsetArray, RecordArray, RegularArray
from awkward.forms import Form
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.events.columns import plain
from dask_augment.events.layouts import bare, record_of

Path = tuple[str, ...]
Given = Mapping[str, Callable[[], Content]]
"""Fields whose values are given: what makes them, plain, one for each object."""
Make = Callable[[Path], Content]
"""What makes the values of a field, or of one within it, where it holds records."""


class Packed:
    """One collection of events, a list of records for each event; nothing is read before it is asked for."""

    def __init__(self, layout: Content) -> None:
        self.layout = layout

    @cached_property
    def lists(self) -> Content:
        """The lists, each with where it starts and stops among the objects."""
        lists = self.layout
        while lists.is_indexed and not lists.is_option:
            lists = lists.project()
        if not lists.is_list:
            raise TypeError(f"no list of objects for each event, but {lists.form.type}")
        return lists.to_ListOffsetArray64(False) if isinstance(lists, RegularArray) else lists

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where the objects of each event start, (n + 1,), from 0 on."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self._stops - self._starts)])

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """The place that each object has among those that the lists share."""
        counts = self._stops - self._starts
        return np.arange(self.offsets[-1]) + np.repeat(self._starts - self.offsets[:-1], counts)

    @property
    def _starts(self) -> NDArray[np.int64]:
        return np.asarray(self.lists.starts.data).astype(np.int64, copy=False)

    @property
    def _stops(self) -> NDArray[np.int64]:
        return np.asarray(self.lists.stops.data).astype(np.int64, copy=False)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The event of each object."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def record(self) -> RecordArray:
        """The record of the objects, for its fields and parameters."""
        return record_of(self.layout)

    def field(self, path: Path) -> Content:
        """The values of a field, plain, one for each object; ``path`` leads into records, which come without fields."""
        content = self.lists.content
        for name in path:
            content = content[name]
        if content.fields:
            content = _without_fields(content)
        return plain(content[self.index])

    def has_data(self, path: Path) -> bool:
        """Whether a field was read where it lies: dask-awkward leaves out what nobody asked for."""
        content = self.record
        for name in path:
            content = content.content(name)
            while content.is_indexed:
                content = content.content
        while content.is_list or content.is_indexed or content.is_option:
            content = content.content
        return not content.is_numpy or type(content.data).__name__ != "PlaceholderArray"

    def rebuilt(self, given: Given) -> ListOffsetArray:
        """The collection in one piece, with these fields in place of its own; others stay where they are."""
        index = Index64(self.index)

        def carried(content: Content) -> Content:
            return IndexedArray.simplified(index, content)

        def record(layout: Content) -> RecordArray:
            source = record_of(layout)
            contents = []
            for name in source.fields:
                inner = layout[name]
                if name in given:
                    contents.append(given[name]())
                elif _is_record(inner):
                    contents.append(record(inner))
                else:
                    contents.append(carried(inner))
            return RecordArray(contents, source.fields, length=len(self.index), parameters=source.parameters)

        parameters = self.lists.parameters
        return ListOffsetArray(Index64(self.offsets), record(self.lists.content), parameters=parameters)

    def rebuilt_later(self, given: Given) -> Content:
        """As :meth:`rebuilt`, and each field is only read when it is asked for; TypeError where it cannot wait."""
        container: dict[str, Callable[[], Any]] = {"lists-offsets": lambda: self.offsets}
        inner = self._record_form(self.record.form, (), given, container)
        form = ak.forms.ListOffsetForm("i64", inner, parameters=_parameters(self.layout), form_key="lists")
        layout: Content = ak.from_buffers(
            form, self.layout.length, container, buffer_key="{form_key}-{attribute}", highlevel=False
        )
        return layout

    def _record_form(self, form: Form, path: Path, given: Given, container: dict[str, Callable[[], Any]]) -> Form:
        contents = []
        for name in form.fields:
            inner = bare(form.content(name))
            here = (*path, name)
            if inner.is_record:
                contents.append(self._record_form(inner, here, given, container))
                continue
            contents.append(_virtual(inner, self._making(here, given.get(name)), "/".join(here), container))
        return ak.forms.RecordForm(contents, form.fields, parameters=form.parameters)

    def _making(self, path: Path, given: Callable[[], Content] | None) -> Make:
        def make(inner: Path) -> Content:
            return given() if given else self.field((*path, *inner))

        return make


def later(kind: str, length: int, make: Callable[[], NDArray[Any]]) -> Content:
    """Numbers that are made when they are asked for."""
    form = ak.forms.NumpyForm(kind, form_key="later")
    layout: Content = ak.from_buffers(
        form, length, {"later-data": make}, buffer_key="{form_key}-{attribute}", highlevel=False
    )
    return layout


def _virtual(form: Form, make: Make, key: str, container: dict[str, Callable[[], Any]]) -> Form:
    """The form of what ``make`` gives, whose buffers are asked for one by one."""
    form = bare(form)
    if isinstance(form, ak.forms.UnmaskedForm):
        return _virtual(form.content, make, key, container)
    if form.is_option:
        container[f"{key}-index"] = lambda: np.asarray(make(()).index.data)
        inner = _virtual(form.content, lambda path: make(path).content, f"{key}?", container)
        return ak.forms.IndexedOptionForm("i64", inner, parameters=form.parameters, form_key=key)
    if form.is_record:
        fields = [_virtual(form.content(name), _inside(make, name), f"{key}/{name}", container) for name in form.fields]
        return ak.forms.RecordForm(fields, form.fields, parameters=form.parameters)
    if form.is_numpy:
        container[f"{key}-data"] = lambda: np.asarray(make(()).data)
        return form.copy(form_key=key)
    if form.is_list and form.parameter("__array__") is None:
        container[f"{key}-offsets"] = lambda: np.asarray(_lists(make(())).offsets.data)
        inner = _virtual(form.content, lambda path: _lists(make(path)).content, f"{key}/", container)
        return ak.forms.ListOffsetForm("i64", inner, parameters=form.parameters, form_key=key)
    raise TypeError(f"no numbers, nor records or lists of them: {form.type}")


def _inside(make: Make, name: str) -> Make:
    return lambda path: make((name, *path))


def _without_fields(layout: Content) -> Content:
    """Which records there are and which miss, in which lists; nothing of what they say is read."""
    if layout.is_record:
        return RecordArray([], [], length=layout.length, backend=layout.backend)
    return layout.copy(content=_without_fields(layout.content))


def _is_record(content: Content) -> bool:
    """Whether this is a record for each object, and none that may miss, nor a list of them."""
    while content.is_indexed and not content.is_option:
        content = content.content
    return bool(content.is_record)


def _lists(content: Content) -> ListOffsetArray:
    return content.to_ListOffsetArray64(True)


def _parameters(layout: Content) -> Any:
    while not layout.is_list:
        layout = layout.content
    return layout.parameters
