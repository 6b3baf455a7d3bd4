"""The columns common to all input files: their types, and fills for files that lack one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dask_augment.dataset.schema import SchemaError, unify
from dask_augment.events.columns import flat
from dask_augment.files.documents import PlanError
from dask_augment.inputs.columns_of_files import Wanted
from dask_augment.inputs.contents import counters, nearest
from dask_augment.inputs.fills import kind_of, refuse_unread
from dask_augment.inputs.sources import Content, Files, Source
from dask_augment.messages import counted


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
    files: Files, wanted: Wanted, asked: Mapping[str, str], optional: Collection[str], made: Collection[str],
    fill: Mapping[str, Any],
) -> Common:  # fmt: skip
    """The columns of all files, or PlanError for those that the plan says by name and that not all of them have.

    ``asked`` are names that the plan says, with where it says them, ``optional`` those of them that are read only where all files have them,
    ``made`` columns that are made and not read. What only patterns name is left out where it is not in every file, and
    a warning says so.
    """
    derived = frozenset().union(*(counters(c.schema) for c in files.values() if c.schema is not None))
    filled = {flat(name): value for name, value in fill.items()}
    fill_names = {flat(name): name for name in fill}
    who, asked = asked, {flat(name): name for name in asked if flat(name) not in derived}
    names = {name for content in files.values() for name in _of(content, wanted)} - derived - {*made}
    names |= {name for name in filled if name in asked or wanted(name, fill_names[name])}
    refuse_unread(fill, names, {*asked}.union(*(content.columns for content in files.values())))
    lacking = {name: [s for s, c in files.items() if not c.has(name)] for name in names | asked.keys()}
    lacking = {name: sources for name, sources in lacking.items() if sources and name not in filled}
    demanded = {name: sources for name, sources in lacking.items() if name in asked and name not in optional}
    if demanded:
        raise PlanError("\n".join(_refusals(demanded, asked, who, files)))
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


def _some(sources: Sequence[Source], files: Files) -> str:
    return f"{sources[0].path!r} ({len(sources)} of {counted(len(files), 'file')})"


def _refusals(
    demanded: Mapping[str, Sequence[Source]], asked: Mapping[str, str], who: Mapping[str, str], files: Files
) -> Iterator[str]:
    """A sentence for each column that is asked for and that not all files have."""
    for name, sources in sorted(demanded.items()):
        said = asked[name]
        fault = next((files[source].faults[name] for source in sources if name in files[source].faults), None)
        if fault is not None:
            yield f"column {said!r} of input file {sources[0].path!r} cannot be read: {fault}; leave it out"
        elif len(sources) == len(files):
            yield f"{who[said]}: no input file has a column {said!r}; {nearest(said, files)}"
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
            fields.append(unify(kinds).field(name) if kinds else kind_of(filled[name], name))
        except SchemaError as error:
            if name in asked:
                raise PlanError(str(error)) from None
            clashes[name] = str(error)
    return pa.schema(fields), clashes
