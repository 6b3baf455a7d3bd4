"""The events of the main job: the shipped ones, some of them, or as many as wanted from the generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid5

import awkward as ak
import numpy as np
import uproot

from dask_augment.generator import nanoaod
from dask_augment.generator.generate import RATE, generate
from dask_augment.generator.jobs import Made
from dask_augment.models.files import located
from dask_augment.runs.progress import Progress

PROCESSES = ("wz", "qcd")


def shipped() -> dict[str, Made]:
    """The files of the package."""
    files = {name: Made.of(located(f"shipped:{name}.root")) for name in PROCESSES}
    if None in files.values():
        raise FileNotFoundError("the events that are shipped with the package are not there: install it anew")
    return {name: made for name, made in files.items() if made is not None}


def source(wanted: int | None, folder: Path) -> str:
    """Where the events come from, in a sentence."""
    there = sum(made.events for made in shipped().values())
    if wanted is None or wanted == there:
        return f"Reading the {there:,} generated events that are shipped with the package."
    if wanted < there:
        return f"Reading {wanted:,} of the {there:,} generated events that are shipped with the package, from {folder}."
    return (
        f"The package ships {there:,} events: {(wanted + 1) // 2:,} of each process are generated with Pythia 8 into "
        f"{folder}, where the next run finds them (about {RATE} a second and core)."
    )


def fileset(wanted: int | None, folder: Path, progress: Progress | None = None) -> dict[str, Any]:
    """The fileset of so many events (None: all that are shipped); files that are made go into the folder.

    Errors: ImportError where events must be generated, and pythia8mc is not installed.
    """
    files = shipped()
    there = sum(made.events for made in files.values())
    if wanted is not None and wanted > there:
        try:
            return generate(PROCESSES, folder, events=(wanted + 1) // 2, progress=progress)
        except ImportError as error:
            raise ImportError(f"{there:,} events are shipped with the package, and {error}") from None
    if wanted is not None and wanted < there:
        folder.mkdir(parents=True, exist_ok=True)
        files = {name: _some(made, round(made.events * wanted / there), folder) for name, made in files.items()}
    return {
        name: {
            "files": {str(files[name].path): "Events"},
            # That of all events that are shipped: the mean weight of a few is another number.
            "metadata": {"is_mc": True, "xsec": made.sumw / made.events},
        }
        for name, made in shipped().items()
    }


def _some(made: Made, count: int, folder: Path) -> Made:
    """A file of so many events of another one, evenly spaced: the masses of W' come one after the other."""
    path = folder / f"{made.path.stem}_{count}.root"
    uuid = uuid5(made.uuid, str(count))
    known = Made.of(path)
    if known is None or known.uuid != uuid:
        with uproot.open(made.path) as file:
            events = file["Events"].arrays()
        chosen = events[np.linspace(0, made.events - 1, count).round().astype(np.int64)]
        nanoaod.write(path, _grouped(chosen), uuid=uuid)
        known = Made.of(path)
    assert known is not None
    return known


def _grouped(events: ak.Array) -> dict[str, Any]:
    """Flat branches as one array of records for each collection, and one of numbers for all others."""
    groups: dict[str, dict[str, ak.Array]] = {}
    columns: dict[str, Any] = {}
    counters = {f"n{name.partition('_')[0]}" for name in events.fields}
    for name in events.fields:
        collection, _, field = name.partition("_")
        if f"n{collection}" in events.fields:
            groups.setdefault(collection, {})[field] = events[name]
        elif name not in counters:
            columns[name] = events[name].to_numpy()
    return columns | {name: ak.zip(fields) for name, fields in groups.items()}
