"""Input files: what is in them, which parts they are read in, and the events of one part.

ROOT files are read with uproot and Parquet files with pyarrow, only the columns that are needed, always flat.
"""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

from dask_augment.columns import dotted, flat
from dask_augment.dataset.layout import decode
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of
from dask_augment.plan import Inputs, PlanError

POSITION = ("position_file", "position_entry")
"""Id columns of ``ids="position"``: a 64-bit word of the file's uuid, and the entry in it."""


class BadInput(RuntimeError):
    """An input file that cannot be read, now or ever; says which, and how many entries are lost."""

    def __init__(self, message: str, path: str, entries: int | None) -> None:
        super().__init__(message, path, entries)
        self.path, self.entries = path, entries

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Source:
    """One input file of a data set."""

    dataset: str
    path: str
    tree: str | None
    """None: a Parquet file."""

    def part(self, content: Content, start: int, stop: int) -> Part:
        """One range of its entries."""
        where = {"file": self.path, "uuid": content.uuid, "tree": self.tree, "start": start, "stop": stop}
        return Part.of(self.dataset, where)


@dataclass(frozen=True)
class Content:
    """What one input file holds."""

    uuid: str
    entries: int
    schema: pa.Schema | None
    """Types of the columns asked for that it has; None for a file without any entries or tree of its own."""
    columns: frozenset[str]
    """Names of all its columns, flat."""
    sumw: float | None = None
    """Sum of generator weights of ALL events that were processed to make it; None where it has no such weight."""
    sumw_from: str = ""


def find(inputs: Inputs, limit_files: int | None = None) -> tuple[list[Source], dict[str, dict[str, Any]]]:
    """The input files in order, and the metadata of each data set; globs are resolved here."""
    sources: list[Source] = []
    metadata: dict[str, dict[str, Any]] = {}
    if inputs.folder is not None:
        sources = _in_folder(inputs.folder)
        metadata = {source.dataset: dict(inputs.metadata) for source in sources}
    for name, entry in sorted(inputs.datasets().items()):
        metadata[name] = entry["metadata"]
        for pattern, tree in entry["files"].items():
            for path in _matching(pattern, name):
                kind = None if path.endswith((".parquet", ".pq")) else tree or inputs.tree
                sources.append(Source(name, path, kind))
    for name in metadata:
        mine = [source.path for source in sources if source.dataset == name]
        if len(set(mine)) != len(mine):
            raise PlanError(f"data set {name!r} lists a file twice; its events would be doubled")
    if limit_files is not None:
        sources = [s for name in metadata for s in [s for s in sources if s.dataset == name][:limit_files]]
    return sources, metadata


def _matching(pattern: str, dataset: str) -> list[str]:
    if "://" in pattern or not glob.has_magic(pattern):
        return [pattern]
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise PlanError(f"data set {dataset!r}: no file matches {pattern!r} (seen from {os.getcwd()})")
    return found


def _in_folder(folder: str) -> list[Source]:
    """Parquet files below a folder, the data set of each from its hive folder or the folder's own name."""
    root = Path(folder)
    if not root.is_dir():
        raise PlanError(f"folder {folder!r} is not there (seen from {os.getcwd()})")
    sources = []
    for path in sorted(root.rglob("*.parquet")):
        keys = dict(part.split("=", 1) for part in path.relative_to(root).parts if "=" in part)
        name = decode(keys["dataset"]) if "dataset" in keys else root.resolve().name
        sources.append(Source(name, str(path), None))
    if not sources:
        raise PlanError(f"folder {folder!r} holds no Parquet files")
    return sources


def is_kept(branch: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern, ``Jet.*`` or ``Jet_*``, names this branch."""
    name = dotted(branch)
    return any(fnmatchcase(name, p) or fnmatchcase(branch, p) for p in patterns)


@contextmanager
def _reading(path: str, entries: int | None) -> Any:
    """Errors of the file become :class:`BadInput`, unless trying again may help."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        if classify(error) == "transient" or isinstance(error, MemoryError):
            raise
        text = str(error).strip().splitlines()
        raise BadInput(
            f"input file {path!r} cannot be read: {type(error).__name__}: {text[0] if text else ''}", path, entries
        ) from None


def inspect(source: Source, wanted: Sequence[str], weight: str) -> Content:
    """Open a file: its uuid, entries, the types of the columns that the patterns name, and its sum of weights."""
    with _reading(source.path, None):
        return _inspect_parquet(source, wanted) if source.tree is None else _inspect_root(source, wanted, weight)


def _inspect_parquet(source: Source, wanted: Sequence[str]) -> Content:
    file = pq.ParquetFile(source.path)
    schema = file.schema_arrow
    names = [name for name in schema.names if is_kept(name, wanted)]
    events = ak.from_arrow(schema.empty_table().select(names))
    with open(source.path, "rb") as stream:
        stream.seek(max(0, os.path.getsize(source.path) - 65536))
        uuid = blake2b(stream.read(), digest_size=16).hexdigest()
    kept = schema_of(_without_counters(events)) if names else None
    return Content(uuid, file.metadata.num_rows, kept, frozenset(schema.names))


def _inspect_root(source: Source, wanted: Sequence[str], weight: str) -> Content:
    with uproot.open(source.path) as file:
        tree = _tree(file, source)
        branches = frozenset(str(name) for name in tree.keys() if "/" not in name)
        names = sorted(name for name in branches if is_kept(name, wanted) and not _is_counter(name, branches))
        schema = schema_of(tree.arrays(names, entry_stop=0)) if names else None
        entries = int(tree.num_entries)
        sumw, sumw_from = _sum_of_weights(file, tree, branches, weight)
        return Content(str(file.file.uuid), entries, schema, branches, sumw, sumw_from)


def _tree(file: Any, source: Source) -> Any:
    if source.tree not in file:
        trees = [key for key, kind in file.classnames(recursive=False, cycle=False).items() if "Tree" in kind]
        raise BadInput(
            f"input file {source.path!r} has no tree {source.tree!r}; it has {trees or 'no trees'}", source.path, None
        )
    return file[source.tree]


def _is_counter(name: str, branches: frozenset[str]) -> bool:
    """Whether a branch says how many entries others have: those are derived, never data."""
    counted = name[1:]
    return name[:1] == "n" and (counted in branches or any(other.startswith(f"{counted}_") for other in branches))


def _without_counters(events: ak.Array) -> ak.Array:
    names = frozenset(events.fields)
    return events[[name for name in events.fields if not _is_counter(name, names)]]


_SUMW = re.compile(r"genEventSumw_?")


def _sum_of_weights(file: Any, tree: Any, branches: frozenset[str], weight: str) -> tuple[float | None, str]:
    """Sum over all events that were processed: from the Runs tree, else over the events of the file."""
    if "Runs" in file:
        runs = file["Runs"]
        for name in runs.keys():
            if _SUMW.fullmatch(name):
                return math.fsum(runs[name].array(library="np").tolist()), f"Runs.{name}"
    if weight in branches:
        values = tree[weight].array(library="np").astype(np.float64)
        return math.fsum(values.tolist()), f"unselected sum of {weight}"
    return None, ""


@dataclass(frozen=True)
class Reader:
    """Reads the events of a part: flat columns in the types of the whole run, with weights and ids made."""

    columns: tuple[str, ...]
    """Flat names of the columns to read."""
    schema: pa.Schema
    """Types over all files; a file with narrower integers is cast."""
    weight: str | None = None
    """Column that ``weight`` is made from; None: none is made, the file's own is among the columns."""
    weights: tuple[str, ...] = ()
    """Further columns that are scaled with it."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """What the weights of each data set are multiplied with."""
    weightless: frozenset[str] = frozenset()
    """Data sets without the weight column; their events have weight 1."""
    position: bool = False

    def __call__(self, part: Part) -> ak.Array:
        """The events of one part; BadInput where the file cannot be read."""
        where = part.input
        with _reading(where["file"], where["stop"] - where["start"]):
            names = sorted({*self.columns, *self._weight_columns(part)})
            read = _read_parquet if where["tree"] is None else _read_root
            events = read(where, names) if names else ak.Array({})
            columns = {name: _cast(events[name], self.schema.field(name).type) for name in self.columns}
            columns |= self._made_weights(part, events, where["stop"] - where["start"])
        if self.position:
            word = int.from_bytes(blake2b(where["uuid"].encode(), digest_size=8).digest(), "little")
            columns[POSITION[0]] = np.full(len(events), word, np.uint64)
            columns[POSITION[1]] = np.arange(where["start"], where["stop"], dtype=np.uint64)
        return ak.Array(_record(columns, where["stop"] - where["start"]))

    def _weight_columns(self, part: Part) -> tuple[str, ...]:
        if self.weight is None or part.dataset in self.weightless:
            return self.weights
        return (self.weight, *self.weights)

    def _made_weights(self, part: Part, events: ak.Array, rows: int) -> dict[str, Any]:
        factor = self.factors.get(part.dataset, 1.0)
        made = {name: _scaled(events[name], factor) for name in self.weights}
        if self.weight is not None:
            known = self.weight in self._weight_columns(part)
            made["weight"] = _scaled(events[self.weight], factor) if known else np.ones(rows)
        return made

    def account(self, part: Part) -> None:  # noqa: ARG002
        """What became of the rows before they were read: nothing, they come from the input files."""
        return

    def narrowed(self, needed: Iterable[str]) -> Reader:
        """The reader with no more columns than these need; a counter is had from any list of its collection."""
        names = {flat(name) for name in needed}
        kept = [name for name in self.columns if name in names]
        for counter in sorted(name for name in names if name[:1] == "n" and name not in self.columns):
            kept += [name for name in self.columns if name.partition("_")[0] == counter[1:]][:1]
        weight = self.weight if "weight" in names else None
        weights = tuple(name for name in self.weights if name in names)
        return replace(self, columns=tuple(dict.fromkeys(kept)), weight=weight, weights=weights)

    def form(self) -> ak.Array:
        """No events, of the form that parts have."""
        table = self.schema.empty_table().select(list(self.columns))
        columns = {name: _cast(ak.from_arrow(table[name].combine_chunks()), table[name].type) for name in table.column_names}
        if self.weight is not None:
            columns |= {name: np.zeros(0) for name in ("weight", *self.weights)}
        if self.position:
            columns |= {name: np.zeros(0, np.uint64) for name in POSITION}
        return ak.Array(_record(columns, 0))


def _scaled(values: ak.Array, factor: float) -> Any:
    return np.asarray(values).astype(np.float64) * factor


def _record(columns: Mapping[str, Any], rows: int) -> Any:
    contents = [ak.to_layout(value) for value in columns.values()]
    return ak.contents.RecordArray(contents, list(columns), length=rows)


def _read_root(where: Mapping[str, Any], names: Sequence[str]) -> ak.Array:
    tree = _opened(where["file"], where["tree"], where["uuid"])
    return tree.arrays(names, entry_start=where["start"], entry_stop=where["stop"])


@lru_cache(maxsize=8)
def _opened(path: str, tree: str, uuid: str) -> Any:
    """A tree that stays open in this process: reading the table of a thousand branches costs as much as reading ten."""
    file = uproot.open(path)
    if str(file.file.uuid) != uuid:
        raise BadInput(
            f"input file {path!r} has changed since the plan was made: its uuid is {file.file.uuid}, it was {uuid}",
            path,
            None,
        )
    return file[tree]


def _read_parquet(where: Mapping[str, Any], names: Sequence[str]) -> ak.Array:
    file = pq.ParquetFile(where["file"], page_checksum_verification=True)
    groups, first, at = [], None, 0
    for index in range(file.metadata.num_row_groups):
        stop = at + file.metadata.row_group(index).num_rows
        if at < where["stop"] and stop > where["start"]:
            groups.append(index)
            first = at if first is None else first
        at = stop
    table = file.read_row_groups(groups, columns=list(names))
    return ak.from_arrow(table.slice(where["start"] - (first or 0), where["stop"] - where["start"]))


_NUMPY = {"float": "float32", "double": "float64", "halffloat": "float16"}


def _cast(values: ak.Array, kind: pa.DataType) -> ak.Array:
    """Values in the numeric type that the schema says, however deep they are in lists."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    name = _NUMPY.get(str(kind), str(kind))
    values = ak.without_parameters(values)
    if values.layout.form.type != ak.values_astype(values[:0], name).layout.form.type:
        return ak.values_astype(values, name)
    return values


def parts_of(source: Source, content: Content, chunksize: int) -> list[Part]:
    """Ranges of at most ``chunksize`` entries, of about equal size."""
    if content.entries == 0:
        return [source.part(content, 0, 0)]
    count = math.ceil(content.entries / chunksize)
    borders = [content.entries * i // count for i in range(count + 1)]
    return [source.part(content, a, b) for a, b in zip(borders, borders[1:], strict=False)]


def check_contents(found: Mapping[Source, Content], needed: Iterable[str]) -> None:
    """Refuse a file that is listed twice under two names, and columns that only some files have."""
    seen: dict[tuple[str, str], Source] = {}
    for source, content in found.items():
        first = seen.setdefault((source.dataset, content.uuid), source)
        if first is not source and content.entries:
            raise PlanError(
                f"data set {source.dataset!r} lists {first.path!r} and {source.path!r}, which are one file (uuid "
                f"{content.uuid}); its events would be doubled"
            )
    for name in needed:
        lacking = [source.path for source, content in found.items() if flat(name) not in content.columns]
        if lacking and len(lacking) < len(found):
            raise PlanError(
                f"column {name!r} is not in every input file: {lacking[0]!r} has none ({len(lacking)} of {len(found)} "
                "files); leave it out, or take these files out"
            )
