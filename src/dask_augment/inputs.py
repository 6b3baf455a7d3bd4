"""The inputs of a plan: a fileset, files or a folder, in one form."""

from __future__ import annotations

import difflib
import gzip
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dask_augment.identity import IDS


class PlanError(ValueError):
    """A plan that cannot be carried out; says where in it and what to write."""


_ONE_OF = ("fileset", "files", "folder")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where the events come from; exactly one of ``fileset``, ``files`` and ``folder`` is given.

    Parameters
    ----------
    fileset
        coffea's: ``{name: {"files": {path: tree}, "metadata": {...}}}``, or the path of such a JSON file (gzip too).
        ``metadata`` may hold ``is_mc`` (false for collision data), ``xsec`` [pb] and ``lumi`` [1/pb]. What coffea's
        ``preprocess`` returns will do, except for files of which it kept only some steps.
    files
        Path or glob of ROOT or Parquet files, or a list of them, all of the data set ``dataset``.
    folder
        A folder of Parquet files, as published by this package: the hive folders name the data sets.
    dataset, metadata
        Name and metadata of the data set that ``files`` are; metadata of all data sets of a ``folder``.
    tree
        Name of the tree in ROOT files.
    ids
        Columns that identify an event, or "position": the file's uuid and the entry in it.
    weight
        Generator weight; the column ``weight`` is made from it, times xsec x lumi / its sum over all events of all
        files where the fileset says xsec. A file that has no such column is given weight 1, which the manifest says.
    weights
        Further weight columns that scale together with ``weight``, under their own names.
    lumi
        Integrated luminosity [1/pb] of data sets that do not say their own.
    """

    fileset: Any = None
    files: str | Path | Sequence[str | Path] | None = None
    folder: str | Path | None = None
    dataset: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tree: str = "Events"
    ids: tuple[str, ...] | str = IDS
    weight: str = "genWeight"
    weights: tuple[str, ...] = ()
    lumi: float | None = None

    def __post_init__(self) -> None:
        for name in _ONE_OF:
            object.__setattr__(self, name, _as_text(getattr(self, name)))
        given = [name for name in _ONE_OF if getattr(self, name) is not None]
        if len(given) != 1:
            raise PlanError(f"inputs need exactly one of {', '.join(_ONE_OF)}; got {given or 'none of them'}")
        if self.files is not None and not self.dataset:
            raise PlanError("inputs of files need the name of their data set: inputs: {files: ..., dataset: ttbar}")
        if isinstance(self.ids, str) and self.ids != "position":
            raise PlanError(f'ids must be a list of columns or "position", got {self.ids!r}')
        if not self.ids:
            raise PlanError('ids must name one column at least, or be "position", got none')
        for name in ("ids", "weights"):
            object.__setattr__(self, name, names(f"inputs: {name}", getattr(self, name)))
        if self.lumi is not None:
            _check_number("inputs: lumi", self.lumi)
        if self.fileset is not None and (self.metadata or self.dataset):
            raise PlanError("a fileset names its data sets and says their metadata itself: put them there")
        if self.folder is not None and self.dataset:
            raise PlanError("the names of a folder's data sets are those of its hive folders: leave dataset out")
        _check_metadata(self.dataset or str(self.folder or ""), self.metadata)

    def datasets(self) -> dict[str, dict[str, Any]]:
        """The fileset in one form: ``{name: {"files": {path: tree or None}, "metadata": {...}}}``."""
        if self.folder is not None:
            return {}
        if self.files is not None:
            return {str(self.dataset): _dataset(str(self.dataset), {"files": self.files, "metadata": self.metadata})}
        fileset = read_fileset(self.fileset) if isinstance(self.fileset, str) else self.fileset
        if not isinstance(fileset, Mapping) or not fileset:
            raise PlanError(f"a fileset maps names of data sets to their files, got {fileset!r}")
        return {str(name): _dataset(str(name), fileset[name]) for name in fileset}


def _as_text(value: Any) -> Any:
    """Paths as text, wherever they are: a plan is the same however its files are named."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {_as_text(key): _as_text(entry) for key, entry in value.items()}
    return [_as_text(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def refuse_misspelt(fileset: Mapping[Any, Any], known: Collection[str]) -> None:
    """Refuse the names of data sets, given without ``fileset:``, that are more likely keys of the inputs misspelt."""
    for name in map(str, fileset):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if near:
            raise PlanError(
                f"inputs has the key {name!r}; did you mean {near[0]!r}? A data set of that name is written as "
                f"inputs: {{fileset: {{{name}: ...}}}}"
            )


def read_fileset(path: str | Path) -> Any:
    """A fileset from JSON, gzip too."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise PlanError(f"fileset {str(path)!r} is not there (read from {Path.cwd()})") from None
    try:
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except ValueError as error:
        raise PlanError(f"fileset {str(path)!r} is not JSON: {error}") from None


def names(what: str, value: Any) -> Any:
    """A list of names as a tuple; "position" stays. PlanError, naming ``what``, for anything else."""
    if value == "position":
        return value
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value):
        raise PlanError(f"{what} must be a list of names, got {value!r}")
    return tuple(value)


_COFFEA = {"form", "compressed_form", "format", "did"}
"""What coffea's preprocess() says of a data set beside files and metadata; we look for ourselves."""


def _dataset(name: str, entry: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if isinstance(entry, Mapping) and "files" in entry:
        unknown = set(entry) - {"files", "metadata"} - _COFFEA
        if unknown:
            raise PlanError(f"data set {name!r} has unknown keys {sorted(unknown)}; there are files and metadata")
        metadata = dict(entry.get("metadata") or {})
        entry = entry["files"]
    _check_metadata(name, metadata)
    if isinstance(entry, str):
        entry = [entry]
    if isinstance(entry, Mapping):
        files = {str(path): _tree_of(name, str(path), value) for path, value in entry.items()}
    elif isinstance(entry, Sequence):
        files = dict.fromkeys(map(str, entry))
        if len(files) != len(entry):
            raise PlanError(f"data set {name!r} lists a file twice; its events would be doubled")
    else:
        raise PlanError(f"data set {name!r} must list its files, got {entry!r}")
    if not files:
        raise PlanError(f"data set {name!r} has no files; name some, or take it out")
    return {"files": files, "metadata": metadata}


_METADATA = ("is_mc", "xsec", "lumi")


def _check_metadata(dataset: str, metadata: Mapping[str, Any]) -> None:
    for key in metadata:
        meant = difflib.get_close_matches(str(key).lower(), _METADATA, n=1, cutoff=0.75)
        if key not in _METADATA and meant:
            raise PlanError(f"data set {dataset!r} has metadata {key!r}, which says nothing here; write {meant[0]!r}")
    if not isinstance(metadata.get("is_mc", True), bool):
        raise PlanError(f"data set {dataset!r}: is_mc must be true or false, got {metadata['is_mc']!r}")
    for key in ("xsec", "lumi"):
        if metadata.get(key) is not None:
            _check_number(f"data set {dataset!r}: {key}", metadata[key])


def _check_number(what: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PlanError(f"{what} must be a number, got {value!r}")


def _tree_of(dataset: str, path: str, value: Any) -> str | None:
    """The tree's name, from what a fileset says of one file: the name itself, or what coffea's preprocess() wrote."""
    if isinstance(value, Mapping):
        entries = value.get("num_entries")
        steps = value.get("steps")
        if steps is not None and entries is not None and sum(stop - start for start, stop in steps) != entries:
            raise PlanError(
                f"data set {dataset!r}: the fileset has only some steps of {path!r}; whole files are read, since weights "
                "are normalised to all their events: leave the steps out, or take limit_files for a trial"
            )
        value = value.get("object_path")
    if value is not None and not isinstance(value, str):
        raise PlanError(f"data set {dataset!r}: {path!r} needs the name of its tree, got {value!r}")
    return value
