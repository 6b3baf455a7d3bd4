"""Find the input files, and the kind of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from dask_augment.dataset.layout import decode
from dask_augment.files.addresses import confused, told
from dask_augment.files.documents import PlanError
from dask_augment.inputs.columns_of_files import Kind
from dask_augment.inputs.made import Made, check_maker
from dask_augment.inputs.parquet_files import Parquet
from dask_augment.inputs.paths import PARQUET, below, is_url, located, matching, with_tree
from dask_augment.inputs.root_files import Root
from dask_augment.inputs.section import DEFAULT_TREE, Inputs
from dask_augment.inputs.sources import Source


def find(
    inputs: Inputs, limit_files: int | None = None, base: str = "."
) -> tuple[list[Source], dict[str, dict[str, Any]]]:
    """The input files in order, and the metadata of each data set; patterns are resolved here, seen from ``base``."""
    sources: list[Source] = []
    metadata: dict[str, dict[str, Any]] = {}
    if inputs.folder is not None:
        sources = _in_folder(str(inputs.folder), base)
        metadata = {source.dataset: dict(inputs.metadata) for source in sources}
    for name, entry in sorted(inputs.described(base).items()):
        metadata[name] = entry["metadata"]
        if "make" in entry:
            sources.append(_made(name, entry))
        for named, said in entry["files"].items():
            pattern, after = with_tree(named, base)
            for path in matching(pattern, base, name):
                kind = _kind(inputs, told(path), said.tree, after)
                address = path if told(path) != path else ""
                sources.append(Source(name, told(path), kind, said._replace(tree=None), address))
    if (shared := confused(source.location for source in sources)) is not None:
        raise PlanError(
            f"two input files are named {shared!r} and differ in the user or the query of their URLs, which open files and "
            "are no part of their names: give each file a path of its own"
        )
    for name in metadata:
        mine = [source.path for source in sources if source.dataset == name]
        if len(set(mine)) != len(mine):
            raise PlanError(f"data set {name!r} lists a file twice; its events would be doubled")
    if limit_files is not None:
        sources = [s for name in metadata for s in [s for s in sources if s.dataset == name][:limit_files]]
    return sources, metadata


def _in_folder(folder: str, base: str) -> list[Source]:
    """Parquet files below a folder, the data set of each from its hive folder or the folder's own name."""
    sources = []
    for path, parts in below(folder, base):
        keys = dict(part.split("=", 1) for part in parts[:-1] if "=" in part)
        own = PurePosixPath(told(folder) if is_url(folder) else os.path.realpath(located(folder, base))).name
        if "dataset" not in keys and own.startswith("dataset="):
            keys["dataset"] = own.partition("=")[2]
        name = decode(keys.pop("dataset")) if "dataset" in keys else own
        if keys:
            raise PlanError(
                f"folder {folder!r} has columns that are only names of folders ({', '.join(sorted(keys))}), and these are "
                "not read: publish it with partition_by: [dataset], or read its parts as data sets of a fileset"
            )
        sources.append(Source(name, told(path), Parquet(), address=path if told(path) != path else ""))
    if not sources:
        raise PlanError(f"folder {folder!r} holds no Parquet files")
    return sources


def _kind(inputs: Inputs, path: str, said: str | None, after: str | None) -> Kind:
    """What a file is, from its name, what the fileset says of it, what follows its path, and the inputs."""
    if path.endswith(PARQUET):
        if after is not None:
            raise PlanError(
                f"{path!r} is followed by {after!r}, but a Parquet file has no trees: leave {':' + after!r} out"
            )
        return Parquet()
    for other in (said, inputs.tree):
        if after is not None and other is not None and other != after:
            raise PlanError(
                f"{path + ':' + after!r} names the tree {after!r}, and the plan says {other!r} of the same file: leave one out"
            )
    return Root(after or said or inputs.tree or DEFAULT_TREE)


def _made(name: str, entry: Mapping[str, Any]) -> Source:
    """The events of a data set that no files hold."""
    if isinstance(entry["make"], (str, Mapping)):
        # A plan puts in the functions that its own fileset names, and hashes their code.
        raise PlanError(
            f"data set {name!r} is made by {entry['make']!r}, which a fileset in a file of its own says: write this data set "
            "into the plan, whose digest has the code of its functions"
        )
    try:
        function = check_maker(f"data set {name!r}: make", entry["make"])
    except (TypeError, ValueError) as error:
        raise PlanError(str(error)) from None
    return Source(name, function.address, Made(function, entry["events"], entry["seed"], name))


def kind_of(part: Mapping[str, Any]) -> Kind:
    """What the file of a part is, from what the part says of it."""
    return Parquet() if part["file"].endswith(PARQUET) else Root(part["tree"])
