"""Collision data in frames: what their metadata and columns say, and which steps are refused on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import awkward as ak

from dask_augment.frames.planning import Steps
from dask_augment.simulation import is_generator, refuse_on_data


def metadata_of(events: ak.Array) -> dict[str, Any]:
    """coffea's metadata, which NanoEvents carry."""
    return dict(events.layout.purelist_parameter("metadata") or {})


def refuse(steps: Steps, events: ak.Array, metadata: Mapping[str, Any], others: Iterable[str] = ()) -> None:
    """ValueError where steps would train on collision data, or these have or are asked for generator columns.

    NanoAOD without any generator column is collision data where nothing is said.
    """
    training = [step.label for step in steps.steps if step.augmenter.use == "training"]
    named = {name for step in steps.steps for name in step.augmenter.uses()} | {*others}
    is_nano = events.layout.purelist_parameter("__record__") == "NanoEvents"
    looks_like_data = is_nano and not any(map(is_generator, events.fields))
    dataset = metadata.get("dataset", steps.setting.dataset)
    refuse_on_data(dataset, metadata, training, named, there=events.fields, looks_like_data=looks_like_data)
