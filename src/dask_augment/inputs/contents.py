"""Contents of the input files (entries, columns, types, sums of weights), and the parts in which they are read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

import pyarrow as pa

from dask_augment import messages
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import collection
from dask_augment.events.columns import flat
from dask_augment.events.names import shown
from dask_augment.files.documents import PlanError
from dask_augment.inputs.columns_of_files import Opened, Wanted, types_of
from dask_augment.inputs.filesets import check_file
from dask_augment.inputs.sources import Content, Source, open_source, reading


def counters(schema: pa.Schema) -> frozenset[str]:
    """The columns that say how many objects the lists of a schema have: those are derived, never data."""
    lists = {field.name for field in schema if pa.types.is_list(field.type)}
    return frozenset(f"n{name}" for name in lists | set(map(collection, lists)))


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
        file.vouch()
        schema, faults = types_of(file, sorted(names | carriers))
        weighed = schema is not None and is_weight(schema, flat(weight))
        sumw, sumw_from = file.sum_of_weights(weight, weighed)
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
        check_file(
            source.dataset, source.path, source.said, content.entries, content.uuid if source.kind.has_uuid else None
        )
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
    return messages.nearest(name, there - {name})
