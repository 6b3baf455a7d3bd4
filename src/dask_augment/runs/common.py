"""What the input files have in common: the columns that are read of all, their types, and what fills those that lack."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from dask_augment.columns import flat
from dask_augment.dataset.schema import SchemaError, collection, unify
from dask_augment.plan import PlanError
from dask_augment.runs.columns_of_files import Wanted, is_pattern
from dask_augment.runs.columns_of_files import names as named
from dask_augment.runs.sources import Content, Source, counters, nearest
from dask_augment.words import counted

Files = Mapping[Source, Content]


@dataclass(frozen=True)
class Common:
    """The columns that are read of every file."""

    schema: pa.Schema
    """Their types over all files."""
    fill: Mapping[str, Any] = field(default_factory=dict)
    """What files that lack a column are given for it, by flat name."""
    kept: frozenset[str] = frozenset()
    """Those that ``output: keep`` names."""
    warnings: tuple[str, ...] = ()


def common(
    files: Files, wanted: Wanted, asked: Iterable[str], optional: Collection[str], made: Collection[str],
    fill: Mapping[str, Any],
) -> Common:  # fmt: skip
    """The columns of all files, or PlanError for those that the plan says by name and that not all of them have.

    ``asked`` are names that the plan says, ``optional`` those of them that are read only where all files have them,
    ``made`` columns that are made and not read. What only patterns name is left out where it is not in every file, and
    a warning says so.
    """
    derived = frozenset().union(*(counters(c.schema) for c in files.values() if c.schema is not None))
    filled = {flat(name): value for name, value in fill.items()}
    fill_names = {flat(name): name for name in fill}
    asked = {flat(name): name for name in asked if flat(name) not in derived}
    names = {name for content in files.values() for name in _of(content, wanted)} - derived - {*made}
    names |= {name for name in filled if name in asked or wanted(name, fill_names[name])}
    _refuse_unread(fill, names, {*asked}.union(*(content.columns for content in files.values())))
    lacking = {name: [s for s, c in files.items() if not _has(c, name)] for name in names | asked.keys()}
    lacking = {name: sources for name, sources in lacking.items() if sources and name not in filled}
    demanded = {name: sources for name, sources in lacking.items() if name in asked and name not in optional}
    if demanded:
        raise PlanError("\n".join(_refusals(demanded, asked, files)))
    schema, clashes = _types(files, sorted(names - lacking.keys()), asked, filled)
    told = {name: f"not in {_some(sources, files)}" for name, sources in lacking.items() if name not in optional}
    told |= {name: why for content in files.values() for name, why in content.faults.items() if name in told}
    warning = _left_out(told | clashes, files)
    patterns = Wanted(frozenset(), wanted.patterns)
    kept = {name for content in files.values() for name in _of(content, patterns) if name not in content.carriers}
    kept |= {name for name in filled if patterns(name, fill_names[name])}
    fills = {name: value for name, value in filled.items() if name in schema.names}
    return Common(schema, fills, frozenset(kept), warning)


def _of(content: Content, wanted: Wanted) -> Iterator[str]:
    """The columns of a file that are asked for, also those that cannot be read."""
    for name in (*(content.schema.names if content.schema is not None else ()), *content.faults):
        if name in content.carriers or wanted(name, content.called(name)) or _part_of(name, content, wanted):
            yield name


def _part_of(name: str, content: Content, wanted: Wanted) -> bool:
    """Whether a column is a field of an object that is asked for as a whole."""
    return name not in content.own and any(
        name.startswith(f"{whole}_") and wanted(whole, content.called(whole))
        for whole in _prefixes(name) & content.columns
    )


def _prefixes(name: str) -> set[str]:
    parts = name.split("_")
    return {"_".join(parts[:count]) for count in range(1, len(parts))}


def _has(content: Content, name: str) -> bool:
    return name in content.columns and name not in content.faults


def _some(sources: Sequence[Source], files: Files) -> str:
    return f"{sources[0].path!r} ({len(sources)} of {counted(len(files), 'file')})"


def _refusals(demanded: Mapping[str, Sequence[Source]], asked: Mapping[str, str], files: Files) -> Iterator[str]:
    """A sentence for each column that is asked for and that not all files have."""
    for name, sources in sorted(demanded.items()):
        said = asked[name]
        fault = next((files[source].faults[name] for source in sources if name in files[source].faults), None)
        if fault is not None:
            yield f"column {said!r} of input file {sources[0].path!r} cannot be read: {fault}; leave it out"
        elif len(sources) == len(files):
            yield f"no input file has a column {said!r}; {nearest(said, files)}"
        else:
            yield (
                f"column {said!r} is not in every input file: {sources[0].path!r} has none ({len(sources)} of {len(files)} "
                f"files); leave it out, take these files out, or say what fills it: inputs: {{fill: {{{said}: ...}}}}"
            )


def _left_out(told: Mapping[str, str], files: Files) -> tuple[str, ...]:
    if not told:
        return ()
    own = {name: next((c.called(name) for c in files.values() if name in c.own), name) for name in told}
    reasons: dict[str, list[str]] = {}
    for name, why in sorted(told.items()):
        reasons.setdefault(why, []).append(own[name])
    listed = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    text = (
        f"output: keep has patterns that name {counted(len(told), 'column')} that cannot be read of every input file and "
        f"are left out ({listed}); say what fills them by inputs: fill, or leave them out by '!name' in keep"
    )
    return (text,)


def _types(
    files: Files, names: Sequence[str], asked: Collection[str], filled: Mapping[str, Any]
) -> tuple[pa.Schema, dict[str, str]]:
    """The types that hold what all files hold, and why columns that only patterns name have none."""
    fields, clashes = [], {}
    for name in names:
        kinds = {
            source.path: pa.schema([content.schema.field(name)])
            for source, content in files.items()
            if content.schema is not None and name in content.schema.names
        }
        try:
            fields.append(unify(kinds).field(name) if kinds else _kind_of(filled[name], name))
        except SchemaError as error:
            if name in asked:
                raise PlanError(str(error)) from None
            clashes[name] = str(error)
    return pa.schema(fields), clashes


# What is asked for ---------------------------------------------------------------------------------------------------


def check_keep(
    patterns: Sequence[str], columns: Sequence[str], files: Files, narrowing: Sequence[str], kept: Collection[str]
) -> None:
    """Refuse entries of ``output: keep`` that name nothing, or leave out what is always written.

    ``columns`` are those of the result, ``narrowing`` steps that leave few columns, ``kept`` what the patterns keep.
    """
    there = dict.fromkeys(columns) | {name: c.called(name) for c in files.values() for name in c.columns}
    if patterns and patterns[0].startswith("!"):
        raise PlanError(
            f"output: keep begins with {patterns[0]!r}, and nothing is kept before it: name first what is kept"
        )
    for entry in patterns:
        pattern = entry.removeprefix("!")
        if not any(named(pattern, name, own) for name, own in there.items()):
            raise PlanError(f"output: keep names {pattern!r}, which is no column; {nearest(pattern, files)}")
        if entry == pattern and narrowing and not any(named(pattern, name) for name in columns):
            raise PlanError(
                f"output: keep names {pattern!r}, and no such column is left after step {narrowing[0]!r}, which leaves what "
                "is true of the rows it makes: take it out of keep, or say carry: parent to the step"
            )
        if entry != pattern and not is_pattern(pattern) and flat(pattern) in {*columns} - {*kept}:
            raise PlanError(
                f"output: keep leaves out {pattern!r}, which is always written, as all are that steps make, ids and weights: "
                f"take {entry!r} out of keep"
            )


def check_ids(schema: pa.Schema, ids: Sequence[str] | str) -> None:
    """Refuse ids that are not one whole number for each event, before anything is read."""
    for name in ids if ids != "position" else ():
        kind = schema.field(flat(name)) if flat(name) in schema.names else None
        if kind is not None and (kind.nullable or not pa.types.is_integer(kind.type)):
            missing = " with missing values" if kind.nullable else ""
            raise PlanError(
                f"inputs: ids names {name!r}, which is {kind.type}{missing}; an id is one whole number for each event: name "
                "other columns, or say ids: position"
            )


# What fills ----------------------------------------------------------------------------------------------------------


def _refuse_unread(fill: Mapping[str, Any], names: Collection[str], known: Collection[str]) -> None:
    for name, value in fill.items():
        if flat(name) not in names:
            raise PlanError(
                f"inputs: fill names {name!r}, which no step uses and output: keep does not name: take it out, or keep it"
            )
        if flat(name) not in known:
            raise PlanError(
                f"inputs: fill names {name!r}, which no input file has: name it in output: keep without a pattern to make it"
            )
        if not (value == [] or isinstance(value, (bool, int, float, str))) or (
            type(value) is float and not math.isfinite(value)
        ):
            raise PlanError(
                f"inputs: fill must give {name!r} one number, true, false or text, or [] for no objects, got {value!r}"
            )


def _kind_of(value: Any, name: str) -> pa.Field:
    """The type of a column that no file has, from what fills it."""
    if value == []:
        raise PlanError(
            f"inputs: fill gives {name!r} no objects, but no input file has it, so that nobody knows its type"
        )
    return pa.field(name, pa.scalar(value).type, nullable=False)


def check_fill(files: Files, schema: pa.Schema, fill: Mapping[str, Any]) -> None:
    """Refuse what does not fit the type of its column, and lists of objects whose number nobody knows."""
    for name, value in fill.items():
        kind = schema.field(name).type
        is_list = pa.types.is_list(kind)
        if value == [] and not is_list:
            raise PlanError(
                f"inputs: fill gives {name!r} no objects, but it is {kind} for each event: give it one value"
            )
        if value != []:
            _as(value, kind, name)
        for source, content in files.items():
            if _has(content, name) or not content.entries:
                continue
            others = siblings(name, schema, content.columns - content.faults.keys())
            if value == [] and others:
                raise PlanError(
                    f"inputs: fill gives {name!r} no objects, but {source.path!r} has {others[0]!r}: give one value for "
                    "each of these objects"
                )
            if value != [] and is_list and not others:
                raise PlanError(
                    f"inputs: fill gives {name!r} {value!r}, but of {source.path!r} no column of {collection(name)!r} is "
                    "read that says how many objects there are: keep another one, or write [] for no objects"
                )


def siblings(name: str, schema: pa.Schema, there: Collection[str]) -> list[str]:
    """The other list columns of a collection that are read of a file that has the columns ``there``."""
    return [
        other.name
        for other in schema
        if pa.types.is_list(other.type) and collection(other.name) == collection(name) and other.name in there
    ]


def _as(value: Any, kind: pa.DataType, name: str) -> Any:
    while pa.types.is_list(kind):
        kind = kind.value_type
    fits = {bool: pa.types.is_boolean, int: pa.types.is_integer, str: pa.types.is_string, float: pa.types.is_floating}
    right = fits[type(value)](kind) or (type(value) is int and pa.types.is_floating(kind))
    if right and not isinstance(value, (bool, str)):
        made = np.dtype(kind.to_pandas_dtype())
        right = made.kind == "f" or np.iinfo(made).min <= value <= np.iinfo(made).max
    if not right:
        raise PlanError(
            f"inputs: fill gives {name!r} {value!r}, but the column is {kind}: give it a value of that type"
        )
