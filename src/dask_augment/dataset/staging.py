"""The place of a data set and of its staging folder: can it be written, and what stands there."""

from __future__ import annotations

import uuid
from pathlib import Path

from dask_augment.dataset import files
from dask_augment.dataset.job import Job
from dask_augment.places import refuse_mount_point


def try_place(job: Job) -> None:
    """Make and remove a folder where the staging folder of a job would be made.

    OSError as the system gives it: a file system that is read-only, a folder of somebody else, a name that is too long.
    NoLocalFolder for a mount point.
    """
    refuse_mount_point(job.path)
    probe = _standing_above(job.path) / f"{job.staging.name}.gone-{uuid.uuid4().hex[:12]}"
    files.make_folder(probe)
    try:
        files.write_new(probe / "probe", [b"?"])
    finally:
        files.remove_folder(probe)


def _standing_above(path: Path) -> Path:
    """The nearest folder above a path that is there."""
    return next(folder for folder in path.parents if folder.exists())
