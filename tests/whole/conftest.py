"""What a quiet run of one plan over real events published, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import awkward as ak
import pytest
import uproot

import truth as real
from dask_augment.generator.nanoaod import write
from dask_augment.models.files import located


@pytest.fixture(scope="session")
def truth(real_events: real.Truth) -> real.Truth:
    """The truth about real events, where a test does not choose between two."""
    return real_events


@pytest.fixture(scope="session")
def real_events(nano: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> real.Truth:
    """See :class:`truth.Truth`."""
    files = {"dy": nano("nano_dy"), "tt": nano("nano_tt_v12")}
    return real.published(files, real.STEPS, tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> real.Truth:
    """The same of the steps of the main job, over some of the events that the package ships."""
    folder = tmp_path_factory.mktemp("main_job")
    files = {}
    for name, events in (("wz", 240), ("qcd", 160)):
        files[name] = str(folder / f"{name}.root")
        with uproot.open(located(f"shipped:{name}.root")) as shipped:
            write(
                Path(files[name]), nested(shipped["Events"].arrays(entry_stop=events)), uuid=uuid5(NAMESPACE_URL, name)
            )
    return real.published(files, real.MAIN_JOB, folder)


def nested(events: ak.Array) -> dict[str, Any]:
    """Flat columns of a NanoAOD file as collections."""
    collections = {field[1:] for field in events.fields if field.startswith("n")}
    alone = [f for f in events.fields if f.partition("_")[0] not in collections and f[1:] not in collections]
    return {field: events[field].to_numpy() for field in alone} | {
        head: ak.zip({f.removeprefix(f"{head}_"): events[f] for f in events.fields if f.startswith(f"{head}_")})
        for head in collections
    }
