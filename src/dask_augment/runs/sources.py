"""Input files: which there are, what is in them, and the parts that they are read in."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import uproot

from dask_augment import words
from dask_augment.columns import dotted, flat
from dask_augment.dataset.layout import decode
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import collection, schema_of
from dask_augment.filesets import NOTHING_SAID, FileSaid, check_file
from dask_augment.plan import Inputs, PlanError


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
    said: FileSaid = NOTHING_SAID
    """What the fileset says of it."""

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
        sources = _in_folder(str(inputs.folder))
        metadata = {source.dataset: dict(inputs.metadata) for source in sources}
    for name, entry in sorted(inputs.described().items()):
        metadata[name] = entry["metadata"]
        for pattern, said in entry["files"].items():
            for path in _matching(pattern, name):
                kind = None if path.endswith((".parquet", ".pq")) else said.tree or inputs.tree
                sources.append(Source(name, path, kind, said._replace(tree=None)))
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
        parts = path.relative_to(root).parts
        if any(part.startswith((".", "_")) for part in parts):
            continue  # where readers of hive folders look for no data
        keys = dict(part.split("=", 1) for part in parts[:-1] if "=" in part)
        name = decode(keys.pop("dataset")) if "dataset" in keys else root.resolve().name
        if keys:
            raise PlanError(
                f"folder {folder!r} has columns that are only names of folders ({', '.join(sorted(keys))}), and these are "
                "not read: publish it with partition_by: [dataset], or read its parts as data sets of a fileset"
            )
        sources.append(Source(name, str(path), None))
    if not sources:
        raise PlanError(f"folder {folder!r} holds no Parquet files")
    return sources


def is_kept(branch: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern, ``Jet.*`` or ``Jet_*``, names this branch."""
    name = dotted(branch)
    return any(fnmatchcase(name, p) or fnmatchcase(branch, p) for p in patterns)


def counters(schema: pa.Schema) -> frozenset[str]:
    """The columns that say how many objects the lists of a schema have: those are derived, never data."""
    lists = {field.name for field in schema if pa.types.is_list(field.type)}
    return frozenset(f"n{name}" for name in lists | set(map(collection, lists)))


@contextmanager
def reading(path: str, entries: int | None) -> Iterator[None]:
    """Errors of the file become :class:`BadInput`, unless trying again may help."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        if classify(error) == "transient" or isinstance(error, MemoryError):
            raise
        why = words.one_line(error).removesuffix(f" in file {path}").removesuffix(f" for file path {path}")
        text = f"input file {path!r} cannot be read: {type(error).__name__}: {why}"
        raise BadInput(text, path, entries) from None


def inspect(source: Source, wanted: Sequence[str], weight: str) -> Content:
    """Open a file: its uuid, entries, the types of the columns that the patterns name, and its sum of weights.

    The type of the weight is told too; what is not one number for each event has no sum.
    """
    wanted = (*wanted, weight)
    with reading(source.path, None):
        return _inspect_root(source, wanted, weight) if source.tree else _inspect_parquet(source, wanted, weight)


def _inspect_parquet(source: Source, wanted: Sequence[str], weight: str) -> Content:
    file = pq.ParquetFile(source.path)
    schema = file.schema_arrow
    names = [name for name in schema.names if is_kept(name, wanted)]
    tight = _tightened(file, [schema.field(name) for name in names])
    events = ak.from_arrow(tight.empty_table())
    kept = schema_of(events) if names else None
    sumw, sumw_from = None, ""
    if kept is not None and is_weight(kept, weight):
        values = pc.cast(file.read([weight]).column(0), pa.float64())
        sumw, sumw_from = math.fsum(values.to_pylist()), f"unselected sum of {weight}"
    return Content(parquet_uuid(source.path), file.metadata.num_rows, kept, frozenset(schema.names), sumw, sumw_from)


def parquet_uuid(path: str) -> str:
    """What tells one Parquet file from another, and not from a copy: the sha256 of its size and its footer.

    The footer says where each column of each row group lies and, from most writers, its least and greatest value.
    """
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 8))
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, size - 8 - length))
        return sha256(size.to_bytes(8, "little") + stream.read()).hexdigest()


def _tightened(file: pq.ParquetFile, fields: Sequence[pa.Field]) -> pa.Schema:
    """The fields as not nullable where no value is missing: most writers say of all columns that values may be."""
    nullable = {field.name: field.type for field in fields if field != _not_null(field)}
    sure, unsure = _nulls(file.metadata) if nullable else (set(), set())
    lacking = {name for name, kind in nullable.items() if name in sure and not pa.types.is_nested(kind)}
    left = {name for name in nullable if name in unsure} - lacking
    for group in range(file.metadata.num_row_groups):
        for batch in file.iter_batches(row_groups=[group], columns=sorted(left)) if left else ():
            lacking |= {name for name in left if _has_nulls(batch.column(name))}
        left -= lacking
    return pa.schema([field if field.name in lacking else _not_null(field) for field in fields])


def _nulls(metadata: Any) -> tuple[set[str], set[str]]:
    """Leaves with nulls by the statistics of row groups; and all columns that may have some.

    In lists the statistics count an empty list as null too, and some writers leave them out.
    """
    sure: set[str] = set()
    unsure: set[str] = set()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            statistics = column.statistics
            known = statistics is not None and statistics.has_null_count
            if known and statistics.null_count == 0:
                continue
            sure |= {column.path_in_schema} if known else set()
            unsure.update(accumulate(column.path_in_schema.split("."), "{}.{}".format))
    return sure, unsure


def is_weight(schema: pa.Schema, name: str) -> bool:
    """Whether there is such a column, and it is one number for each event."""
    if name not in schema.names:
        return False
    column = schema.field(name)
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return bool(number and not column.nullable)


def _not_null(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_list(kind):
        kind = pa.list_(_not_null(kind.value_field))
    return field.with_type(kind).with_nullable(False)


def _has_nulls(values: pa.Array) -> bool:
    return values.null_count > 0 or (pa.types.is_list(values.type) and _has_nulls(values.flatten()))


def _inspect_root(source: Source, wanted: Sequence[str], weight: str) -> Content:
    with uproot.open(source.path) as file:
        tree = _tree(file, source)
        branches = frozenset(map(str, tree.keys(recursive=False)))
        names = sorted(name for name in branches if is_kept(name, wanted))
        entries = int(tree.num_entries)
        with reading(source.path, entries):
            schema = schema_of(_no_entries(tree, names)) if names else None
            weighed = schema is not None and is_weight(schema, weight)
            sumw, sumw_from = _sum_of_weights(file, tree, weight, weighed)
        return Content(str(file.file.uuid), entries, schema, branches, sumw, sumw_from)


def _no_entries(tree: Any, names: Sequence[str]) -> ak.Array:
    """The form of the branches, without data: reading no entries would decompress the first basket of each."""
    forms = [tree[name].interpretation.awkward_form(tree.file) for name in names]
    return ak.Array(ak.forms.RecordForm(forms, list(names)).length_zero_array(highlevel=False))


def _tree(file: Any, source: Source) -> Any:
    if source.tree not in file:
        trees = [key for key, kind in file.classnames(recursive=False, cycle=False).items() if "Tree" in kind]
        raise BadInput(
            f"input file {source.path!r} has no tree {source.tree!r}; it has {trees or 'no trees'}", source.path, None
        )
    if "RNTuple" in file.classname_of(source.tree):
        raise BadInput(
            f"{source.tree!r} of input file {source.path!r} is an RNTuple, which is not read yet; write it as a "
            "TTree or as Parquet",
            source.path,
            None,
        )
    return file[source.tree]


_SUMW = re.compile(r"genEventSumw_?")


def _sum_of_weights(file: Any, tree: Any, weight: str, weighed: bool) -> tuple[float | None, str]:
    """Sum over all events that were processed: from the Runs tree, else over the events of the file, if it has weights.

    The Runs tree has the sum of ``genWeight`` alone (``genEventSumw``, or ``genEventSumw_`` in some productions).
    """
    if "Runs" in file and weight == "genWeight":
        runs = file["Runs"]
        for name in filter(_SUMW.fullmatch, runs.keys()):
            return math.fsum(runs[name].array(library="np").tolist()), f"Runs.{name}"
    if weighed:
        values = tree[weight].array(library="np").astype(np.float64)
        return math.fsum(values.tolist()), f"unselected sum of {weight}"
    return None, ""


def parts_of(source: Source, content: Content, chunksize: int) -> list[Part]:
    """Ranges of at most ``chunksize`` entries, of about equal size."""
    if content.entries == 0:
        return [source.part(content, 0, 0)]
    count = math.ceil(content.entries / chunksize)
    borders = [content.entries * i // count for i in range(count + 1)]
    return [source.part(content, a, b) for a, b in pairwise(borders)]


def check_contents(found: Mapping[Source, Content], needed: Iterable[str], asked: Iterable[str]) -> None:
    """Refuse a file that is not what the fileset says of it, or is listed twice, and columns that not all files have.

    ``asked`` are names that the plan says, ``needed`` those that its patterns found. A file without events may lack
    columns.
    """
    seen: dict[tuple[str, str], Source] = {}
    for source, content in found.items():
        check_file(source.dataset, source.path, source.said, content.entries, content.uuid if source.tree else None)
        first = seen.setdefault((source.dataset, content.uuid), source)
        if first is not source and content.entries:
            raise PlanError(
                f"data set {source.dataset!r} lists {first.path!r} and {source.path!r}, which are one file (uuid "
                f"{content.uuid}); its events would be doubled"
            )
    files = filled(found)
    for name in sorted({*needed, *asked}):
        lacking = [source.path for source, content in files.items() if flat(name) not in content.columns]
        if len(lacking) == len(files):
            raise PlanError(f"no input file has a column {name!r}; {nearest(name, files)}")
        if lacking:
            raise PlanError(
                f"column {name!r} is not in every input file: {lacking[0]!r} has none ({len(lacking)} of {len(files)} "
                "files); leave it out, or take these files out"
            )


def filled(found: Mapping[Source, Content]) -> dict[Source, Content]:
    """The files that have events, all where none has: what is not in a file without events is missed by no event."""
    return {source: content for source, content in found.items() if content.entries} or dict(found)


def nearest(name: str, found: Mapping[Source, Content]) -> str:
    """The columns of the files whose names come near, as the end of a sentence."""
    return words.nearest(dotted(name), {dotted(column) for content in found.values() for column in content.columns})
