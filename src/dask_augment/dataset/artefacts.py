"""Files of what a plan learned and of what its steps name, by their sha256, in a folder that Parquet readers skip."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dask_augment.contract.learned import Learned
from dask_augment.dataset.layout import LEARNED
from dask_augment.dataset.manifest import Artefact, Manifest
from dask_augment.dataset.store import files

_NAME = re.compile(rf"({LEARNED}/[0-9a-f]{{64}}(?:\.\w+)?)(?:/\w+\.\w+)?")
"""A file named by the sha256 of its contents, or in a folder that is named by that of its manifest."""
Named = Mapping[str, Mapping[str, bytes]]
"""Files that steps name: by the name that the plan has for them, their bytes by the names that they are kept under."""


def write_artefacts(
    data: Path, learned: Mapping[str, Learned], named: Named
) -> tuple[tuple[Artefact, ...], dict[str, Any]]:
    """Write what was learned, by label, and files that steps name, below the folder that will be published.

    Returns the files, and what the manifest says of each label and name. Those that are the same are one file. OSError
    as the system gives it.
    """
    written: dict[str, Artefact] = {}

    def write(name: str, content: bytes) -> None:
        if name not in written:
            files.make_folder((data / name).parent)
            files.write_new(data / name, [content])
            written[name] = Artefact(name, len(content), hashlib.sha256(content).hexdigest())

    said: dict[str, Any] = {"learned": {}}
    for label, one in learned.items():
        archive = one.to_bytes()
        name = f"{LEARNED}/{hashlib.sha256(archive).hexdigest()}.npz"
        write(name, archive)
        said["learned"][label] = {"digest": one.digest, "bytes": one.nbytes, "file": name}
    for called, parts in named.items():
        for name, content in parts.items():
            write(f"{LEARNED}/{name}", content)
            said.setdefault("files", {})[called] = f"{LEARNED}/{name.partition('/')[0]}"
    return tuple(sorted(written.values())), said


def read_named(path: Path, manifest: Manifest) -> dict[str, str]:
    """Where a published data set has the files that its steps name, by the names that its plan has for them."""
    there = {found[1] for file in manifest.artefacts if (found := _NAME.fullmatch(file.path))}
    said = manifest.extra.get("files", {})
    return {called: str(path.absolute() / name) for called, name in said.items() if name in there}


def read_learned(path: Path, manifest: Manifest) -> dict[str, Learned]:
    """What each label of a published data set learned; a file is read, and held against its sha256, when it is used."""
    listed = {file.path: file for file in manifest.artefacts if _NAME.fullmatch(file.path)}
    found = {}
    for label, said in manifest.extra.get("learned", {}).items():
        if "npz" in said:  # in the manifest itself: a data set from before there were files
            found[label] = Learned.from_bytes(base64.b64decode(said["npz"]))
        else:
            # Where no file is listed, as for what was once too large to keep, this says so when it is used.
            file = listed.get(said.get("file", ""), Artefact(f"{LEARNED}/{said['digest']}.npz", 0, ""))
            found[label] = Learned.in_file(str(path.absolute() / file.path), file.sha256, said["digest"], said["bytes"])
    return found


def learned_faults(path: Path, manifest: Manifest) -> Iterator[str]:
    """Files of what was learned that are not what the manifest says, or that it does not list; their bytes are read."""
    for file in manifest.artefacts:
        if not _NAME.fullmatch(file.path):
            yield f"{file.path} is not the name of a file of learned arrays, or of a file that a step names"
        elif files.size(path / file.path) is not None and files.sha256(path / file.path) != file.sha256:
            yield f"{file.path} has another sha256 than the manifest"
    listed = {file.path for file in manifest.artefacts}
    for label, said in sorted(manifest.extra.get("learned", {}).items()):
        if "file" in said and said["file"] not in listed:
            yield f"what step {label!r} learned, {said['file']}, is not among the files of the manifest"
    for called, name in sorted(manifest.extra.get("files", {}).items()):
        if not any(file == name or file.startswith(f"{name}/") for file in listed):
            yield f"the file of {called!r}, {name}, is not among the files of the manifest"
