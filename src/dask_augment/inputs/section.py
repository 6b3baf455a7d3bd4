"""The inputs of a plan: a fileset, files or a folder, in one form."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dask_augment.contract.ids import IDS
from dask_augment.files.addresses import told
from dask_augment.files.documents import PlanError, read_json
from dask_augment.inputs import filesets
from dask_augment.inputs.metadata import metadata_of, positive

__all__ = ["Inputs", "PlanError", "names", "refuse_misspelt"]


DEFAULT_TREE = "Events"
"""The tree of files of which nobody says one."""
_ONE_OF = ("fileset", "files", "folder")


@dataclass(frozen=True, kw_only=True, repr=False)
class Inputs:
    """Where the events come from; exactly one of ``fileset``, ``files`` and ``folder`` is given.

    Parameters
    ----------
    fileset
        coffea's: ``{name: {"files": {path: tree}, "metadata": {...}}}``, or the path of such a JSON file (gzip too).
        ``metadata`` may hold ``is_mc`` (false for collision data), ``xsec`` [pb] and ``lumi`` [1/pb]. What coffea's
        ``preprocess`` returns will do, except for files of which it kept only some steps. What other frameworks call
        the cross section, its corrections or sums of weights is refused: nothing that weights depend on goes unread.
        ``{name: {"make": "toys.py:jets", "events": 10_000, "seed": 1}}`` is a data set of no files: a function of your own
        makes its events, each of its number alone (see :mod:`dask_augment.inputs.made`).
    files
        Path or glob of ROOT or Parquet files, or a list of them, all of the data set ``dataset``.
    folder
        A folder of Parquet files, as published by this package: the hive folders name the data sets.
    dataset, metadata
        Name and metadata of the data set that ``files`` are; metadata of all data sets of a ``folder``.
    tree
        Name of the tree in ROOT files that do not say their own (``file.root:Tree``); ``Events`` unless given.
    ids
        Columns that identify an event, or "position": the file's uuid and the entry in it.
    weight
        Generator weight; the column ``weight`` is made from it, times xsec x lumi / its sum over all events of all
        files where the fileset says xsec. A file that has no such column is given weight 1, which the manifest says.
    weights
        Further weight columns that scale together with ``weight``, under their own names.
    lumi
        Integrated luminosity [1/pb] of data sets that do not say their own.
    fill
        What files are given for a column that they lack, for each event or each object: ``{HLT.New: false}``; ``[]`` is
        no objects in any event.
    """

    fileset: Any = None
    files: str | Path | Sequence[str | Path] | None = None
    folder: str | Path | None = None
    dataset: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tree: str | None = None
    ids: tuple[str, ...] | str = IDS
    weight: str = "genWeight"
    weights: tuple[str, ...] = ()
    lumi: float | None = None
    fill: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _ONE_OF:
            object.__setattr__(self, name, filesets.as_plain(getattr(self, name)))
        given = [name for name in _ONE_OF if getattr(self, name) is not None]
        if len(given) != 1:
            raise PlanError(f"inputs need exactly one of {', '.join(_ONE_OF)}; got {given or 'none of them'}")
        if self.files is not None and self.dataset is None:
            raise PlanError("inputs of files need the name of their data set: inputs: {files: ..., dataset: ttbar}")
        if self.dataset is not None:
            filesets.dataset_name(self.dataset)
        self._check_names()
        if isinstance(self.ids, str) and self.ids != "position":
            raise PlanError(f'ids must be a list of columns or "position", got {self.ids!r}')
        if not self.ids:
            raise PlanError('ids must name one column at least, or be "position", got none')
        for name in ("ids", "weights"):
            object.__setattr__(self, name, names(f"inputs: {name}", getattr(self, name)))
        if not isinstance(self.fill, Mapping) or not all(isinstance(name, str) for name in self.fill):
            raise PlanError(f"inputs: fill must say what fills each column, {{HLT.New: false}}, got {self.fill!r}")
        if self.lumi is not None:
            positive("inputs: lumi", self.lumi)
        if self.fileset is not None and (self.metadata or self.dataset):
            raise PlanError("a fileset names its data sets and says their metadata itself: put them there")
        if self.folder is not None and self.dataset:
            raise PlanError("the names of a folder's data sets are those of its hive folders: leave dataset out")
        metadata = metadata_of(self.dataset or str(self.folder or ""), self.metadata)
        object.__setattr__(self, "metadata", metadata)

    def __repr__(self) -> str:
        given = ", ".join(f"{entry.name}={told(getattr(self, entry.name))!r}" for entry in fields(self))
        return f"Inputs({given})"

    def _check_names(self) -> None:
        for name in ("tree", "weight", "folder"):
            value = getattr(self, name)
            if (value is not None or name == "weight") and not (isinstance(value, str) and value and "\0" not in value):
                raise PlanError(f"inputs: {name} must be a name, got {value!r}")

    @property
    def makers(self) -> list[Any]:
        """The functions that make the events of data sets that no files hold."""
        entries = self.fileset.values() if isinstance(self.fileset, Mapping) else ()
        return [entry["make"] for entry in entries if _is_made(entry)]

    def made_by(self, made: Callable[[str, Any], Any]) -> Inputs:
        """The inputs with ``made(data set, entry)`` in place of what makes each data set that no files hold."""
        return replace(self, fileset=with_makers(self.fileset, made)) if self.makers else self

    def described(self, base: str = ".") -> dict[str, dict[str, Any]]:
        """The fileset in one form: ``{name: {"files": {path: FileSaid}, "metadata": {...}}}``.

        ``base`` is the folder that the path of a fileset counts from.
        """
        if self.folder is not None:
            return {}
        if self.files is not None:
            name = str(self.dataset)
            return {name: filesets.dataset(name, {"files": self.files, "metadata": self.metadata})}
        fileset = self.fileset
        if isinstance(fileset, str):
            fileset = read_json(os.path.join(base, fileset))
        if not isinstance(fileset, Mapping) or not fileset:
            raise PlanError(f"a fileset maps names of data sets to their files, got {fileset!r}")
        return {filesets.dataset_name(name): filesets.dataset(name, fileset[name]) for name in fileset}

    def datasets(self) -> dict[str, dict[str, Any]]:
        """The data sets with no more than the tree of each file: ``{name: {"files": {path: tree or None}, ...}}``."""
        return {
            name: {**entry, "files": {path: said.tree for path, said in entry["files"].items()}}
            for name, entry in self.described().items()
        }


def _is_made(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "make" in entry


def with_makers(fileset: Any, made: Callable[[str, Any], Any]) -> Any:
    """A fileset with ``made(data set, entry)`` in place of what makes each data set that no files hold."""
    if not isinstance(fileset, Mapping):
        return fileset
    found = {name: made(str(name), entry["make"]) for name, entry in fileset.items() if _is_made(entry)}
    return {name: {**entry, "make": found[name]} if name in found else entry for name, entry in fileset.items()}


def refuse_misspelt(fileset: Mapping[Any, Any], known: Collection[str]) -> None:
    """Refuse the names of data sets, given without ``fileset:``, that are more likely keys of the inputs misspelt."""
    for name in map(str, fileset):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if near:
            raise PlanError(
                f"inputs has the key {name!r}; did you mean {near[0]!r}? A data set of that name is written as "
                f"inputs: {{fileset: {{{name}: ...}}}}"
            )


def names(what: str, value: Any) -> Any:
    """A list of names as a tuple; "position" stays. PlanError, naming ``what``, for anything else."""
    if value == "position":
        return value
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value):
        raise PlanError(f"{what} must be a list of names, got {value!r}")
    return tuple(value)
