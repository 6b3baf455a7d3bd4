"""Input files: which there are, what is in them, and the parts that they are read in."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from dask_augment import words
from dask_augment.addresses import confused, told
from dask_augment.columns import flat
from dask_augment.dataset.layout import decode
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import collection
from dask_augment.filesets import NOTHING_SAID, FileSaid, check_file
from dask_augment.inputs import DEFAULT_TREE
from dask_augment.names import shown
from dask_augment.plan import Inputs, PlanError
from dask_augment.runs import parquet_files, root_files
from dask_augment.runs.columns_of_files import Opened, Wanted, types_of
from dask_augment.runs.parquet_files import ParquetFile
from dask_augment.runs.paths import PARQUET, below, is_url, located, matching, with_tree
from dask_augment.runs.root_files import NoTree, open_root


class BadInput(RuntimeError):
    """An input file that cannot be read, now or ever; says which, and how many entries are lost."""

    def __init__(self, message: str, path: str, entries: int | None, no_tree: bool = False) -> None:
        super().__init__(told(message), told(path), entries, no_tree)
        self.path, self.entries, self.no_tree = told(path), entries, no_tree

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
    address: str = field(default="", repr=False)
    """Where it is read, if that is not its path: with what may not be told."""

    @property
    def location(self) -> str:
        """Where it is read."""
        return self.address or self.path

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
    own: Mapping[str, str] = field(default_factory=dict)
    """What the file itself calls columns whose flat name is another one."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Why columns that are asked for cannot be read."""
    carriers: frozenset[str] = frozenset()
    """Columns that are read only since they say how many objects there are."""

    def called(self, name: str) -> str:
        """The name that the file has for a column, or for the one of this flat name."""
        return self.own.get(name, name)

    def has(self, name: str) -> bool:
        """Whether it has a column of this flat name that can be read."""
        return name in self.columns and name not in self.faults


Files = Mapping[Source, Content]


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
        for named, said in entry["files"].items():
            pattern, after = with_tree(named, base)
            for path in matching(pattern, base, name):
                tree = _tree(inputs, told(path), said.tree, after)
                address = path if told(path) != path else ""
                sources.append(Source(name, told(path), tree, said._replace(tree=None), address))
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
        sources.append(Source(name, told(path), None, address=path if told(path) != path else ""))
    if not sources:
        raise PlanError(f"folder {folder!r} holds no Parquet files")
    return sources


def _tree(inputs: Inputs, path: str, said: str | None, after: str | None) -> str | None:
    """The tree of a file, from what the fileset says of it, what follows its path, and the inputs; None for Parquet."""
    if path.endswith(PARQUET):
        if after is not None:
            raise PlanError(
                f"{path!r} is followed by {after!r}, but a Parquet file has no trees: leave {':' + after!r} out"
            )
        return None
    for other in (said, inputs.tree):
        if after is not None and other is not None and other != after:
            raise PlanError(
                f"{path + ':' + after!r} names the tree {after!r}, and the plan says {other!r} of the same file: leave one out"
            )
    return after or said or inputs.tree or DEFAULT_TREE


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
        path = told(path)
        why = words.one_line(error).removesuffix(f" in file {path}").removesuffix(f" for file path {path}")
        text = f"input file {path!r} cannot be read: {type(error).__name__}: {why}"
        raise BadInput(text, path, entries) from None


def open_source(source: Source, base: str) -> Opened:
    """An input file, opened; :class:`BadInput` where it cannot be, or has no such tree."""
    location = located(source.location, base)
    with reading(source.path, None):
        try:
            return open_root(location, source.tree) if source.tree else ParquetFile(location)
        except NoTree as error:
            raise BadInput(f"input file {source.path!r} {error}", source.path, None, no_tree=True) from None


def inspect(source: Source, wanted: Wanted, weight: str, base: str = ".") -> Content:
    """Open a file: its uuid, entries, the types of the columns that are wanted, and its sum of weights.

    The type of the weight is told too; what is not one number for each event has no sum. ``base`` is the folder that
    relative paths count from.
    """
    file = open_source(source, base)
    names = {name for name, places in file.columns.items() if any(wanted(name, place.name) for place in places)}
    names |= {name for name in {*wanted.names, flat(weight)} if name not in file.columns and file.at(name) is not None}
    names |= {flat(weight)} & file.columns.keys()
    names = {leaf for name in names for leaf in file.leaves(name)}
    carriers = _carriers(file, wanted.names - names, names)
    with reading(source.path, file.entries):
        schema, faults = types_of(file, sorted(names | carriers))
        weighed = schema is not None and is_weight(schema, flat(weight))
        sums = root_files if source.tree else parquet_files
        sumw, sumw_from = sums.sum_of_weights(file, weight, weighed)
    return Content(
        file.uuid, file.entries, schema, frozenset(file.columns) | names, sumw, sumw_from,
        own={name: places[0].name for name, places in file.columns.items() if places[0].name != name},
        faults=faults, carriers=frozenset(carriers),
    )  # fmt: skip


def _carriers(file: Opened, counts: Iterable[str], names: Collection[str]) -> set[str]:
    """Lists of the collections of which only ``counts`` are asked for, where the file has no such numbers.

    None is needed of a collection of which a list is among the ``names`` that are read.
    """
    carriers = set()
    for count in counts:
        if count[:1] == "n" and file.at(count) is None:
            there = [name for name in sorted(file.columns) if collection(name) == count[1:]]
            for name in sorted(there, key=lambda name: (name not in names, name != f"{count[1:]}_pt")):
                schema, _ = types_of(file, [name])
                if schema is not None and count in schema.names:
                    carriers.add(name)
                    break
    return carriers - {*names}


def is_weight(schema: pa.Schema, name: str) -> bool:
    """Whether there is such a column, and it is one number for each event."""
    if name not in schema.names:
        return False
    column = schema.field(name)
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return bool(number and not column.nullable)


def parts_of(source: Source, content: Content, chunksize: int) -> list[Part]:
    """Ranges of at most ``chunksize`` entries, of about equal size."""
    if content.entries == 0:
        return [source.part(content, 0, 0)]
    count = math.ceil(content.entries / chunksize)
    borders = [content.entries * i // count for i in range(count + 1)]
    return [source.part(content, a, b) for a, b in pairwise(borders)]


def check_contents(found: Mapping[Source, Content]) -> None:
    """Refuse a file that is not what the fileset says of it, or that is listed twice under two names."""
    seen: dict[tuple[str, str], Source] = {}
    for source, content in found.items():
        check_file(source.dataset, source.path, source.said, content.entries, content.uuid if source.tree else None)
        first = seen.setdefault((source.dataset, content.uuid), source)
        if first is not source and content.entries:
            raise PlanError(
                f"data set {source.dataset!r} lists {first.path!r} and {source.path!r}, which are one file (uuid "
                f"{content.uuid}); its events would be doubled"
            )


def filled(found: Mapping[Source, Content]) -> dict[Source, Content]:
    """The files that have events, all where none has: what is not in a file without events is missed by no event."""
    return {source: content for source, content in found.items() if content.entries} or dict(found)


def nearest(name: str, found: Mapping[Source, Content]) -> str:
    """The columns of the files whose names come near, as the files call them, as the end of a sentence."""
    there = {shown(content.called(column), name) for content in found.values() for column in content.columns}
    # Some files have a counter for each branch, nJet_pt; counters are never data.
    there = {column for column in there if not (column[:1] == "n" and column[1:] in there)}
    return words.nearest(name, there - {name})
