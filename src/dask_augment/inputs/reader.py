"""Read the events of one part of an input file, in the columns and types common to the whole run.

ROOT files are read with uproot and Parquet files with pyarrow, only the columns that are needed, always flat.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
from awkward.contents import ListOffsetArray
from awkward.index import Index64

from dask_augment.contract.flow import read_for
from dask_augment.dataset.receipt import Part
from dask_augment.events.columns import flat
from dask_augment.events.layouts import SLICE_BYTES
from dask_augment.events.own_columns import WEIGHT
from dask_augment.inputs.columns_of_files import Kind, Opened
from dask_augment.inputs.fills import siblings
from dask_augment.inputs.find import kind_of
from dask_augment.inputs.origin_columns import made_columns
from dask_augment.inputs.paths import located
from dask_augment.inputs.sources import BadInput, reading


@dataclass(frozen=True)
class Reader:
    """Reads the events of a part: flat columns in the types of the whole run, with weights and ids made."""

    columns: tuple[str, ...]
    """Flat names of the columns to read."""
    schema: pa.Schema
    """Types over all files; a file with narrower integers is cast."""
    weight: str | None = None
    """Column that ``weight`` is made from; None: none is made, the file's own is among the columns."""
    weights: tuple[str, ...] = ()
    """Further columns that are scaled with it."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """What the weights of each data set are multiplied with."""
    weightless: frozenset[str] = frozenset()
    """Data sets without the weight column; their events have weight 1."""
    position: bool = False
    fill: Mapping[str, Any] = field(default_factory=dict)
    """What files that lack a column are given for it."""
    base: str = "."
    """Folder that relative paths count from: that of the session, wherever this is read."""
    addresses: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where files are read whose addresses hold what may not be told."""
    makers: Mapping[str, Kind] = field(default_factory=dict)
    """What makes the events of data sets that no files hold."""

    def __call__(self, part: Part) -> ak.Array:
        """All events of a part of few; BadInput where the file cannot be read."""
        (events,) = self.batches(part, sys.maxsize)
        return events

    def batches(self, part: Part, most: int = SLICE_BYTES) -> Iterator[ak.Array]:
        """The events of a part, as many at a time as are about ``most`` bytes; BadInput where the file cannot be read."""
        where = part.input
        names = sorted({*self.columns, *self._weight_columns(part)})
        if where["start"] == where["stop"]:
            yield self.form()
            return
        found = self._read(part, names, most) if names else iter([(where["start"], where["stop"], {})])
        for start, stop, events in found:
            weights = {name: events[name] for name in self.weights}
            if self.weight is not None:
                weights[WEIGHT] = events[self.weight] if self.weight in self._weight_columns(part) else None
            position = (where["uuid"], start) if self.position else None
            made = made_columns(stop - start, weights, self.factors.get(part.dataset, 1.0), position, self.weight)
            yield as_events(events, self.columns, self.schema, stop - start, made)

    def _read(self, part: Part, names: Sequence[str], most: int) -> Iterator[tuple[int, int, dict[str, ak.Array]]]:
        where = part.input
        path, span = where["file"], (where["start"], where["stop"])
        rows = where["stop"] - where["start"]
        with reading(path, rows):
            location, kind = located(self.addresses.get(path, path), self.base), self.makers.get(part.dataset)
            kind = kind or kind_of(where)
            file = _kept_open(kind, location, where["uuid"]) if kind.stays_open else kind.open(location)
            if file.uuid != where["uuid"]:
                text = f"input file {path!r} has changed since the plan was made: its uuid is {file.uuid}, it was {where['uuid']}"
                raise BadInput(text, path, None)
            lacking = [name for name in names if name in self.fill and file.at(name) is None]
            others = {name: siblings(name, self.schema, file.columns)[:1] for name in lacking}
            asked = sorted({*names, *(other for found in others.values() for other in found)} - {*lacking})
            batches = file.batches(asked, *span, most, self.schema) if asked else iter([(*span, {})])
        while True:
            with reading(path, rows):
                batch = next(batches, None)
            if batch is None:
                return
            start, stop, events = batch
            for name, found in others.items():
                like = events[found[0]] if found else None
                events[name] = filled_with(self.fill[name], self.schema.field(name), stop - start, like)
            yield start, stop, events

    def _weight_columns(self, part: Part) -> tuple[str, ...]:
        if self.weight is None or part.dataset in self.weightless:
            return self.weights
        return (self.weight, *self.weights)

    def account(self, part: Part) -> None:  # noqa: ARG002
        """What became of the rows before they were read: nothing, they come from the input files."""
        return

    def narrowed(self, needed: Iterable[str]) -> Reader:
        """The reader with no more columns than these need; a counter is had from any list of its collection."""
        needed = [*needed]
        names = set(map(flat, needed))
        columns = read_for(needed, self.columns, self._is_list)
        weight = self.weight if WEIGHT in names else None
        weights = tuple(name for name in self.weights if name in names)
        return replace(self, columns=columns, weight=weight, weights=weights)

    def _is_list(self, name: str) -> bool:
        return bool(pa.types.is_list(self.schema.field(name).type))

    def form(self) -> ak.Array:
        """No events, of the form that parts have."""
        events = {name: _none_of(self.schema.field(name)) for name in self.columns}
        weights = (*self.weights, *(() if self.weight is None else (WEIGHT,)))
        made = made_columns(0, dict.fromkeys(weights), 1.0, ("", 0) if self.position else None)
        return as_events(events, self.columns, self.schema, 0, made)


def _none_of(field: pa.Field) -> ak.Array:
    """No values of a column, as awkward reads it; awkward's own way imports pandas, 30 MB where it is installed."""
    kind = field.type
    if not field.nullable and pa.types.is_list(kind):
        return ak.Array(ListOffsetArray(Index64(np.zeros(1, np.int64)), _none_of(kind.value_field).layout))
    if not field.nullable and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return ak.Array(np.zeros(0, kind.to_pandas_dtype()))
    return ak.from_arrow(pa.schema([field]).empty_table())[field.name]


def as_events(
    read: Any, names: Sequence[str], schema: pa.Schema, rows: int, made: Mapping[str, Any] | None = None
) -> ak.Array:
    """Columns that were read, in the types of the schema, and those that were ``made`` as they are."""
    columns = {name: _cast(read[name], schema.field(name).type) for name in names} | dict(made or {})
    contents = [ak.to_layout(value) for value in columns.values()]
    return ak.Array(ak.contents.RecordArray(contents, list(columns), length=rows))


@lru_cache(maxsize=8)
def _kept_open(kind: Kind, location: str, uuid: str) -> Opened:  # noqa: ARG001  a file that has changed is opened again
    """A file that stays open in this process."""
    return kind.open(location)


def filled_with(value: Any, kind: pa.Field, rows: int, like: ak.Array | None) -> ak.Array:
    """A column that a file lacks: ``value`` for each event, or for each object of ``like``; [] for no objects."""
    if pa.types.is_list(kind.type):
        offsets = np.zeros(rows + 1, np.int64)
        if like is not None:
            offsets = np.asarray(like.layout.to_ListOffsetArray64(True).offsets)
        objects = filled_with(value, kind.type.value_field, int(offsets[-1]), None)
        return ak.Array(ListOffsetArray(Index64(offsets), objects.layout))
    if isinstance(value, str):
        return ak.from_arrow(pa.table({"x": pa.repeat(value, rows)}))["x"]
    return ak.Array(np.full(rows, 0 if value == [] else value, kind.type.to_pandas_dtype()))


_NUMPY = {"float": "float32", "double": "float64", "halffloat": "float16"}


def _cast(values: ak.Array, kind: pa.DataType) -> ak.Array:
    """Values in the numeric type that the schema says, however deep they are in lists."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return values
    name = _NUMPY.get(str(kind), str(kind))
    values = ak.without_parameters(values)
    leaf = values.layout
    while leaf.is_list or leaf.is_option or leaf.is_indexed:
        leaf = leaf.content
    return values if leaf.is_numpy and leaf.dtype == name else ak.values_astype(values, name)
