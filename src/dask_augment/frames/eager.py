"""awkward events in memory: steps run at once."""

from __future__ import annotations

import awkward as ak

from dask_augment.events import columns as cols
from dask_augment.events.own_columns import KIND
from dask_augment.frames.collision_data import metadata_of
from dask_augment.frames.references import referring
from dask_augment.frames.stage import Stage


def augment_eager(events: ak.Array, stage: Stage) -> ak.Array:
    """Run a stage on awkward events now, or give its form for typetracers."""
    tracing = ak.backend(events) == "typetracer"
    result = stage.shape_only(events) if tracing else stage.run(events)
    return referring(events, result, stage)


def made_eager(events: ak.Array) -> ak.Array:
    """Which rows a step made, by ``augment_kind``."""
    cols.refuse_unlike(events)
    if cols.has(events, KIND):
        return ak.Array(cols.plain(cols.column(events, KIND))) > 0
    names = [name for name in ("event", "run") if name in events.fields] or sorted(events.fields)
    first = events[names[0]] if names else events
    while first.fields:
        first = first[min(first.fields)]
    return ak.num(first, axis=1) < 0 if first.ndim > 1 else ak.zeros_like(first, dtype=bool)


def dataset_of_eager(events: ak.Array) -> str | None:
    """The data set that coffea's metadata names."""
    name = metadata_of(events).get("dataset")
    return None if name is None else str(name)
