"""Collision data in frames: what their metadata and columns say, and which steps are refused on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import awkward as ak

from dask_augment import columns as cols
from dask_augment.frames.planning import Steps
from dask_augment.simulation import refuse_on_data


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


def asked(steps: Steps) -> dict[str, str]:
    """Columns that steps use and no earlier step makes, each with the label of the first that does."""
    made: set[str] = set()
    found: dict[str, str] = {}
    for step in steps.steps:
        for name in step.uses:
            if cols.dotted(name) not in made:
                found.setdefault(name, step.label)
        made |= step.products | {f"n{name.partition('.')[0]}" for name in step.products if "." in name}
    return found


def refuse(
    steps: Steps, events: ak.Array, metadata: Mapping[str, Any], others: Iterable[str] = (), weight: str | None = None
) -> None:
    """ValueError where steps would train on collision data, or these have or are asked for generator columns.

    ``others`` are read after the steps; ``weight``: see :func:`dask_augment.simulation.refuse_on_data`.
    """
    made = {cols.dotted(name) for step in steps.steps for name in step.augmenter.produces()}
    refuse_on_data(
        metadata.get("dataset", steps.setting.dataset),
        metadata,
        [step.label for step in steps.steps if step.augmenter.use == "training"],
        dict.fromkeys([*cols.names(events), *_form(events).get("fields", ())], ""),
        asked=[*asked(steps), *(name for name in others if cols.dotted(name) not in made)],
        nano=events.layout.purelist_parameter("__record__") == "NanoEvents" or bool(_form(events)),
        weight=weight,
    )
