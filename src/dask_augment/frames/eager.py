"""awkward events in memory: steps run now."""

from __future__ import annotations

import awkward as ak

from dask_augment.frames.references import referring
from dask_augment.frames.stage import Stage


def augment_eager(events: ak.Array, stage: Stage) -> ak.Array:
    """Run a stage on awkward events now, or give its form for typetracers."""
    tracing = ak.backend(events) == "typetracer"
    result = stage.shape_only(events) if tracing else stage.run(events)
    return referring(events, result, stage)


def dataset_of_eager(events: ak.Array) -> str | None:
    """The data set that coffea's metadata names."""
    metadata = events.layout.purelist_parameter("metadata") or {}
    name = metadata.get("dataset")
    return None if name is None else str(name)
