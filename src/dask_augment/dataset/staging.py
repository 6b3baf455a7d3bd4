"""Staging folders beside a data set: check that they can be made, and bring back what a crash left aside."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

from dask_augment.dataset.alive import living, signs
from dask_augment.dataset.layout import ASIDE, is_staging
from dask_augment.dataset.publication import Job, RunFailed
from dask_augment.dataset.store import files
from dask_augment.files.folders import refuse_mount_point

_GONE = ".gone-"


def try_place(job: Job) -> None:
    """Make and remove a folder where the staging folder of a job would be made.

    OSError as the system gives it: a file system that is read-only, a folder of somebody else, a name that is too long.
    NoLocalFolder for a mount point.
    """
    refuse_mount_point(job.path)
    probe = _gone(_standing_above(job.path) / job.staging.name)
    files.make_folder(probe)
    try:
        files.write_new(probe / "probe", [b"?"])
    finally:
        files.remove_folder(probe)


def _standing_above(path: Path) -> Path:
    """The nearest folder above a path that is there."""
    return next(folder for folder in path.parents if files.exists(folder))


def is_free(path: Path) -> bool:
    """Whether a data set can take this name: nothing is there, or an empty folder."""
    return not files.exists(path) or (files.is_folder(path) and not files.names(path))


def left_aside(path: Path) -> list[Path]:
    """Where the data set of this path is, when a crash took it away while any plan was replacing it; none if it stands.

    It happens on systems that cannot swap two names: between the two renames neither data set has the name.
    """
    if not is_free(path):
        return []
    mine = f".{path.name}.staging-"
    folders = [name for name in files.names(path.parent) if name.startswith(mine) and is_staging(name)]
    return [aside for name in folders if _GONE not in name for aside in asides_in(path.parent / name)]


def asides_in(staging: Path) -> list[Path]:
    """The data sets that wait in a staging folder until another has taken their place."""
    return [staging / name for name in files.names(staging) if name.startswith(ASIDE)]


def bring_back(path: Path) -> None:
    """Give a data set its name back that a crash took away while it was being replaced.

    RunFailed where a client is alive that is replacing it now, or there are several and nobody knows which it was.
    """
    asides = left_aside(path)
    for aside in asides:
        for client in living(aside.parent):
            raise RunFailed(f"{client} is replacing {path} at this moment: run the plan again when it is done")
    if len(asides) > 1:
        raise RunFailed(
            f"{path} was being replaced when runs were cut off, and {' and '.join(map(str, asides))} are data sets that had "
            f"its name: move the one that you want to {path}, and the others out of these folders"
        )
    for aside in asides:
        files.rename(aside, path)
        files.sync_folder(path.parent)


def take_away(staging: Path, seen: float | None = None) -> bool:
    """Remove a staging folder; first under another name, so that whoever works in it finds it gone and not half gone.

    ``seen`` is when it had changed last as :func:`last_change` said: if that is no longer true, or a data set waits in
    it, it gets its name back, and the answer is False; likewise if it has gone meanwhile.
    """
    gone = staging if _GONE in staging.name else _gone(staging)
    try:
        if gone != staging:
            files.rename(staging, gone)
    except FileNotFoundError:
        return False
    if seen is not None and (last_change(gone) != seen or asides_in(gone)):
        # Where a client has begun anew meanwhile, this is what an earlier one left, and goes the next time.
        with suppress(OSError):
            files.rename(gone, staging)
        return False
    files.remove_folder(gone)
    return True


def discard_staging(job: Job) -> None:
    """Remove the staging folder of a job, and what earlier removals left of it."""
    # The data set is published, or begun anew; what cannot be removed now is left for `collect`.
    with suppress(OSError):
        if files.exists(job.staging):
            take_away(job.staging)
        for name in files.names(job.path.parent):
            if name.startswith(job.staging.name + _GONE):
                files.remove_folder(job.path.parent / name)


def last_change(staging: Path) -> float:
    """When something was last written in a staging folder, or a client gave a sign of life, by the file system's clock.

    Every attempt and every receipt changes the time of a folder. Infinite where it is changing now.
    """
    try:
        # Stages between two passes have folders of attempts and receipts of their own.
        return max([files.last_change(staging), *map(files.changed, signs(staging))])
    except FileNotFoundError:
        return float("inf")


def _gone(staging: Path) -> Path:
    return staging.with_name(f"{staging.name}{_GONE}{uuid.uuid4().hex[:12]}")
