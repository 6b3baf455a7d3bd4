"""Collision data in frames: what their metadata and columns say, and which steps are refused on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import awkward as ak

from dask_augment.frames.planning import Steps
from dask_augment.simulation import is_generator, is_named_data, refuse_on_data


def metadata_of(events: Any) -> dict[str, Any]:
    """coffea's metadata, which NanoEvents carry, lazy ones too; a choice of their columns has those of all of them."""
    events = events if isinstance(events, ak.Array) else events._meta
    return dict(
        events.layout.purelist_parameter("metadata") or _form(events).get("parameters", {}).get("metadata") or {}
    )


def _form(events: ak.Array) -> Mapping[str, Any]:
    """The form of the events as coffea read them; empty where that is not known."""
    found = events.attrs.get("@form")
    return found if isinstance(found, Mapping) else {}


def refuse(steps: Steps, events: ak.Array, metadata: Mapping[str, Any], others: Iterable[str] = ()) -> None:
    """ValueError where steps would train on collision data, or these have or are asked for generator columns.

    NanoAOD, or a data set by the name of data, without any generator column is collision data where nothing is said.
    """
    training = [step.label for step in steps.steps if step.augmenter.use == "training"]
    named = {name for step in steps.steps for name in step.augmenter.uses()} | {*others}
    columns = {*events.fields, *_form(events).get("fields", ())}
    is_nano = events.layout.purelist_parameter("__record__") == "NanoEvents" or bool(_form(events))
    dataset = metadata.get("dataset", steps.setting.dataset)
    looks_like_data = (is_nano or is_named_data(dataset)) and not any(map(is_generator, columns))
    refuse_on_data(dataset, metadata, training, named, there=events.fields, looks_like_data=looks_like_data)
