"""Files of what a plan learned, named by the sha256 of their contents, in a folder that Parquet readers skip."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dask_augment.dataset.layout import LEARNED
from dask_augment.dataset.manifest import Artefact, Manifest
from dask_augment.dataset.store import files
from dask_augment.learned import Learned

_NAME = re.compile(rf"{LEARNED}/[0-9a-f]{{64}}\.npz")


def write_learned(data: Path, learned: Mapping[str, Learned]) -> tuple[tuple[Artefact, ...], dict[str, Any]]:
    """Write what was learned, by label, below the folder that will be published; the files, and what each label has.

    Steps that learned the same share a file. OSError as the system gives it.
    """
    written: dict[str, Artefact] = {}
    said = {}
    for label, one in learned.items():
        archive = one.to_bytes()
        sha256 = hashlib.sha256(archive).hexdigest()
        name = f"{LEARNED}/{sha256}.npz"
        if name not in written:
            files.make_folder(data / LEARNED)
            files.write_new(data / name, [archive])
            written[name] = Artefact(name, len(archive), sha256)
        said[label] = {"digest": one.digest, "bytes": one.nbytes, "file": name}
    return tuple(sorted(written.values())), said


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
            yield f"{file.path} is no name of a file of what was learned"
        elif files.size(path / file.path) is not None and files.sha256(path / file.path) != file.sha256:
            yield f"{file.path} has another sha256 than the manifest"
    listed = {file.path for file in manifest.artefacts}
    for label, said in sorted(manifest.extra.get("learned", {}).items()):
        if "file" in said and said["file"] not in listed:
            yield f"what step {label!r} learned, {said['file']}, is not among the files of the manifest"
