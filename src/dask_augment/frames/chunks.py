"""A chunk of coffea: its metadata, its part, and the columns made from its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak

from dask_augment.contract.ids import POSITION
from dask_augment.dataset.receipt import Part
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.own_columns import WEIGHT
from dask_augment.inputs.origin_columns import made_columns


@dataclass(frozen=True)
class Made:
    """Columns made from where a chunk comes from: ``weight`` from the generator weight, ids from file and entry."""

    metadata: Mapping[str, Any]
    weight: str | None
    factor: float
    position: bool

    def __call__(self, events: ak.Array) -> ak.Array:
        """The events with these columns, or their form for typetracers."""
        types = {WEIGHT: "float64"} if self.weight is not None else {}
        types |= dict.fromkeys(POSITION, "uint64") if self.position else {}
        if ak.backend(events) == "typetracer":
            forms.touch(events, [name for name in [self.weight] if name is not None and cols.has(events, name)])
            return forms.shape_only(events, {n: ak.types.NumpyType(kind) for n, kind in types.items()}, keeps_rows=True)
        weights: dict[str, Any] = {}
        if self.weight is not None:
            known = cols.has(events, self.weight)
            weights[WEIGHT] = cols.plain(cols.column(events, self.weight)).data if known else None
        position = (self.metadata["fileuuid"], self.metadata["entrystart"]) if self.position else None
        made = made_columns(len(events), weights, self.factor, position, self.weight)
        return cols.assemble(events, {name: cols.as_content(values) for name, values in made.items()})


def only_traced(events: ak.Array, metadata: Mapping[str, Any]) -> bool:
    """Whether coffea only wants to know which columns are read: then nothing is computed or written."""
    return ak.backend(events) == "typetracer" or "entrystart" not in metadata


def part_of(metadata: Mapping[str, Any]) -> Part:
    """The part that a chunk is."""
    names = {"file": "filename", "uuid": "fileuuid", "tree": "treename", "start": "entrystart", "stop": "entrystop"}
    return Part.of(str(metadata["dataset"]), {name: metadata[theirs] for name, theirs in names.items()})
