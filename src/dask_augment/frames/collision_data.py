"""Recognise collision data in frames, by metadata and columns, and refuse training steps on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import awkward as ak

from dask_augment.contract.flow import Flow
from dask_augment.events import columns as cols
from dask_augment.events.simulation import refuse_on_data


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


def refuse(
    steps: Flow, events: ak.Array, metadata: Mapping[str, Any], others: Iterable[str] = (), weight: str | None = None
) -> None:
    """ValueError where steps would train on collision data, or these have or are asked for generator columns.

    ``others`` are read after the steps; ``weight``: see :func:`dask_augment.events.simulation.refuse_on_data`.
    """
    refuse_on_data(
        metadata.get("dataset", steps.setting.dataset),
        metadata,
        [step.label for step in steps.steps if step.augmenter.use == "training"],
        dict.fromkeys([*cols.names(events), *_form(events).get("fields", ())], ""),
        asked=[*steps.missing(), *(name for name in others if cols.dotted(name) not in steps.made)],
        nano=events.layout.purelist_parameter("__record__") == "NanoEvents" or bool(_form(events)),
        weight=weight,
    )
