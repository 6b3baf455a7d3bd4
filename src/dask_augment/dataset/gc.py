"""Remove abandoned staging folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dask_augment.dataset.alive import living
from dask_augment.dataset.layout import is_staging
from dask_augment.dataset.staging import asides_in, last_change, left_aside, take_away
from dask_augment.dataset.store import files
from dask_augment.files.folders import NoLocalFolder, local_folder


def collect(
    parent: Path | str,
    older_than_days: float = 7.0,
    told: Callable[[Path], None] = lambda _: None,
    spared: Callable[[Path, str], None] = lambda *_: None,
) -> list[Path]:
    """Remove the staging folders in ``parent`` in which nothing was written for so many days; returns their paths.

    Every attempt and every receipt changes a folder's time, and clients that are alive give a sign; what counts is the
    clock of the file system. Published data sets are never touched, nor one that a crash left in staging while it
    was being replaced, nor a folder in which a client is at work or that changes while it is looked at: ``spared`` is
    called with each of those and why. ``told`` is called with each before it goes. ValueError for a negative number of
    days, NoLocalFolder for a folder that is not there.
    """
    if older_than_days < 0:
        raise ValueError(f"older_than_days is 0 or more, got {older_than_days}")
    parent = local_folder(parent, "the folder to clean")
    if not files.is_folder(parent):
        raise NoLocalFolder(f"the folder to clean, {str(parent)!r}, is not there")
    limit = files.now(parent) - older_than_days * 86_400
    removed = []
    for staging in (parent / name for name in files.names(parent) if is_staging(name)):
        if not files.is_folder(staging) or files.real(staging) != files.real(parent) / staging.name:
            continue  # a file, or a link
        seen = last_change(staging)
        why = _needed(staging)
        if not why and seen <= limit:
            told(staging)
            if take_away(staging, seen):
                removed.append(staging)
                continue
            why = "somebody works in it"
        if why:
            spared(staging, why)
    return removed


def _needed(staging: Path) -> str:
    """Why a staging folder is left alone, however old; empty where nothing is against its removal."""
    for client in living(staging):
        return f"{client} is at work in it"
    for aside in asides_in(staging):
        path = staging.with_name(staging.name[1:].rpartition(".staging-")[0])
        if aside in left_aside(path):
            return f"it holds {path}, which was being replaced when a run was cut off: the next run brings it back"
        return f"{aside} is a data set that was being replaced when a run was cut off: see whether you need it"
    return ""
