"""Refuse inputs that a plan would read twice, or write itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from dask_augment.dataset.layout import encode
from dask_augment.files.documents import PlanError
from dask_augment.inputs.paths import is_url, located, path_of
from dask_augment.inputs.section import Inputs
from dask_augment.inputs.sources import Content, Source
from dask_augment.messages import counted


def refuse_own_output(
    inputs: Inputs, sources: Iterable[Source], path: Path, partition_by: Sequence[str], base: str
) -> None:
    """Refuse a plan that would read, the next time, what it writes now; to replace the data set that is read is allowed."""
    output = os.path.realpath(path)
    if inputs.folder is not None:
        folder = path_of(str(inputs.folder))
        if not is_url(folder) and _inside(output, os.path.realpath(located(folder, base))):
            raise _twice(path, f"inside the folder {str(inputs.folder)!r} that it reads")
    local = [path_of(source.location) for source in sources]
    own = [file for file in local if not is_url(file) and _inside(os.path.realpath(located(file, base)), output)]
    if own and len(own) < len(local):
        raise _twice(path, f"where some of its inputs are, {own[0]!r} is one")
    for name, entry in inputs.described(base).items():
        folders = [f"{key}={encode(name) if key == 'dataset' else 'x'}" for key in partition_by]
        written = Path(output, *folders, "part-000000.parquet").parts
        for pattern in map(path_of, entry["files"]):
            if (
                "*" in pattern
                and not is_url(pattern)
                and _names(Path(os.path.abspath(located(pattern, base))).parts, written)
            ):
                raise _twice(path, f"where the pattern {pattern!r} of data set {name!r} would find it")


def _twice(path: Path, where: str) -> PlanError:
    return PlanError(
        f"the output {str(path)!r} is {where}, so that another run would read the result as an input: write it elsewhere"
    )


def _inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _names(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a pattern names a path, part by part; ``**`` is any number of parts."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_names(pattern[1:], parts[i:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _names(pattern[1:], parts[1:])


def shared_files(found: Mapping[Source, Content]) -> list[str]:
    """What is to be known of files that two data sets have: sums over both count their events twice."""
    first: dict[str, Source] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for source, content in found.items():
        other = first.setdefault(content.uuid, source)
        if other.dataset != source.dataset and content.entries:
            shared.setdefault((other.dataset, source.dataset), []).append(source.path)
    return [
        f"data sets {one!r} and {two!r} share {counted(len(paths), 'file')} ({paths[0]!r} is one): sums over both count its "
        "events twice, and an event may be for training in one and for testing in the other"
        for (one, two), paths in shared.items()
    ]
