"""The events of one part of an input file, in the columns and types that a whole run has in common.

ROOT files are read with uproot and Parquet files with pyarrow, only the columns that are needed, always flat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot
from awkward.contents import Content, ListOffsetArray
from awkward.index import Index64

from dask_augment.columns import flat
from dask_augment.dataset.receipt import Part
from dask_augment.frames.made import made_columns
from dask_augment.runs.sources import BadInput, parquet_uuid, reading

_TOGETHER = 16
"""Branches of a local file that are read at once: their baskets are held as they come, decompressed and as arrays."""


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

    def __call__(self, part: Part) -> ak.Array:
        """The events of one part; BadInput where the file cannot be read."""
        where = part.input
        rows = where["stop"] - where["start"]
        if rows == 0:
            return self.form()
        with reading(where["file"], rows):
            names = sorted({*self.columns, *self._weight_columns(part)})
            read = _read_root if where["tree"] else self._read_parquet
            events = read(where, names) if names else ak.Array({})
        weights = {name: events[name] for name in self.weights}
        if self.weight is not None:
            weights["weight"] = events[self.weight] if self.weight in self._weight_columns(part) else None
        position = (where["uuid"], where["start"]) if self.position else None
        made = made_columns(rows, weights, self.factors.get(part.dataset, 1.0), position)
        return as_events(events, self.columns, self.schema, rows, made)

    def _read_parquet(self, where: Mapping[str, Any], names: Sequence[str]) -> ak.Array:
        _refuse_changed(where["file"], parquet_uuid(where["file"]), where["uuid"])
        file = pq.ParquetFile(where["file"], page_checksum_verification=True)
        groups, first, at = [], None, 0
        for index in range(file.metadata.num_row_groups):
            stop = at + file.metadata.row_group(index).num_rows
            if at < where["stop"] and stop > where["start"]:
                groups.append(index)
                first = at if first is None else first
            at = stop
        table = file.read_row_groups(groups, columns=list(names))
        # What no file has missing values in is read as such, whatever its writer allowed for.
        fields = [self.schema.field(n) if n in self.columns else table.schema.field(n) for n in table.column_names]
        # Sliced as awkward: its conversion takes the missing values of a sliced table from the wrong rows.
        events = ak.from_arrow(table.cast(pa.schema(fields)))
        return events[where["start"] - (first or 0) : where["stop"] - (first or 0)]

    def _weight_columns(self, part: Part) -> tuple[str, ...]:
        if self.weight is None or part.dataset in self.weightless:
            return self.weights
        return (self.weight, *self.weights)

    def account(self, part: Part) -> None:  # noqa: ARG002
        """What became of the rows before they were read: nothing, they come from the input files."""
        return

    def narrowed(self, needed: Iterable[str]) -> Reader:
        """The reader with no more columns than these need; a counter is had from any list of its collection."""
        names = {flat(name) for name in needed}
        kept = [name for name in self.columns if name in names]
        for counter in sorted(name for name in names if name[:1] == "n" and name not in self.columns):
            kept += [name for name in self.columns if name.partition("_")[0] == counter[1:]][:1]
        weight = self.weight if "weight" in names else None
        weights = tuple(name for name in self.weights if name in names)
        return replace(self, columns=tuple(dict.fromkeys(kept)), weight=weight, weights=weights)

    def form(self) -> ak.Array:
        """No events, of the form that parts have."""
        events = {name: _none_of(self.schema.field(name)) for name in self.columns}
        weights = (*self.weights, *(() if self.weight is None else ("weight",)))
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


def _read_root(where: Mapping[str, Any], names: Sequence[str]) -> dict[str, ak.Array]:
    tree = _opened(where["file"], where["tree"], where["uuid"])
    columns: dict[str, ak.Array] = {}
    borders: dict[str, Index64] = {}
    # From afar each reading is a journey there and back, which costs more than the memory.
    together = len(names) if "://" in where["file"] else _TOGETHER
    for start in range(0, len(names), together):
        some = names[start : start + together]
        events = tree.arrays(some, entry_start=where["start"], entry_stop=where["stop"])
        columns |= {name: ak.Array(_with_borders(events[name].layout, name, borders)) for name in some}
    return columns


def _with_borders(layout: Content, name: str, borders: dict[str, Index64]) -> Content:
    """A list column with the offsets of those of its collection that came before: each branch brings a copy of them."""
    if not isinstance(layout, ListOffsetArray):
        return layout
    known = borders.setdefault(name.partition("_")[0], layout.offsets)
    same = np.array_equal(known.data, layout.offsets.data)
    return ListOffsetArray(known, layout.content, parameters=layout.parameters) if same else layout


@lru_cache(maxsize=8)
def _opened(path: str, tree: str, uuid: str) -> Any:
    """A tree that stays open in this process: reading the table of a thousand branches costs as much as reading ten."""
    # What was read is read once: a cache of arrays for each open file would only grow.
    file = uproot.open(path, array_cache=None)
    _refuse_changed(path, str(file.file.uuid), uuid)
    return file[tree]


def _refuse_changed(path: str, found: str, uuid: str) -> None:
    if found != uuid:
        text = f"input file {path!r} has changed since the plan was made: its uuid is {found}, it was {uuid}"
        raise BadInput(text, path, None)


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
