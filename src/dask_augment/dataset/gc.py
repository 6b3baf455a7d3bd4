"""Remove staging folders that nobody works in any more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from dask_augment.dataset import files
from dask_augment.dataset.layout import ASIDE, is_staging
from dask_augment.places import NoLocalFolder, local_folder


def collect(
    parent: Path | str, older_than_days: float = 7.0, told: Callable[[Path], None] = lambda _: None
) -> list[Path]:
    """Remove the staging folders in ``parent`` in which nothing was written for so many days; returns their paths.

    Every attempt and every receipt changes a folder's time, so the times of the folders are the sign of life, and
    no lock can be left behind. Published data sets are never touched, nor one that a crash left in staging while it
    was being replaced. ``told`` is called with each before it goes. ValueError for a negative number of days.
    """
    if older_than_days < 0:
        raise ValueError(f"older_than_days is 0 or more, got {older_than_days}")
    parent = local_folder(parent, "the folder to clean")
    if not parent.is_dir():
        raise NoLocalFolder(f"the folder to clean, {str(parent)!r}, is not there")
    limit = time.time() - older_than_days * 86_400
    removed = []
    for entry in sorted(os.scandir(parent), key=lambda entry: entry.name):
        staging = Path(entry.path)
        if not (entry.is_dir(follow_symlinks=False) and is_staging(entry.name)) or any(staging.glob(f"{ASIDE}*")):
            continue
        if _last_change(staging) <= limit:
            told(staging)
            files.remove_folder(staging)
            removed.append(staging)
    return removed


def _last_change(staging: Path) -> float:
    # Stages between two passes have folders of attempts and receipts of their own.
    return max(os.stat(folder).st_mtime for folder, _, _ in os.walk(staging))
