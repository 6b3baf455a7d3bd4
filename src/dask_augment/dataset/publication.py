"""A plan with its parts, and why it is not published: another plan, failed or missing parts, already done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from dask_augment.dataset.layout import staging_folder
from dask_augment.dataset.manifest import Manifest
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.receipt import Part, to_json
from dask_augment.dataset.schema import schema_digest
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.store import files
from dask_augment.files.addresses import told


class OtherPlan(ValueError):
    """The folder holds something else than this plan's data set."""


class RunFailed(RuntimeError):
    """A run that could not be finished; says why, and how to go on."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*map(told, args))


class Incomplete(RuntimeError):
    """Parts have neither a receipt nor a place in the quarantine, or a receipt's files are not as it says."""


@dataclass(frozen=True)
class AlreadyCommitted:
    """This very plan is published already."""

    manifest: Manifest


@dataclass(frozen=True)
class Job:
    """A plan with its parts and its schema, and the folder where it is published.

    ``plan`` is JSON-able and says all that decides about rows and values (steps, seed, versions). The order of
    ``parts`` gives the files their numbers.
    """

    path: Path
    plan: Mapping[str, Any]
    parts: tuple[Part, ...]
    schema: pa.Schema
    partition_by: tuple[str, ...] = ("dataset",)
    settings: Settings = field(default_factory=Settings)
    """How Parquet is written."""

    def __post_init__(self) -> None:
        # A rename cannot take the place of a link, so the data set goes where the link leads.
        object.__setattr__(self, "path", files.real(Path(self.path)))
        seen: dict[str, Part] = {}
        for part in self.parts:
            if part.id in seen:
                raise ValueError(f"the plan has {part.dataset!r} {dict(part.input)} twice; its rows would be doubled")
            seen[part.id] = part
        if not self.parts:
            raise ValueError("the plan has no parts; a data set is made from one at least")

    @cached_property
    def digest(self) -> str:
        """sha256 of the plan, the entries that are read, its schema and its folders; not of how entries are cut."""
        return digest_of(self.plan, self.parts, schema_digest(self.schema), self.partition_by)

    @cached_property
    def staging(self) -> Path:
        """The sibling folder where the parts are gathered: one for each way to cut the entries."""
        cut = to_json([self.digest, [part.id for part in self.parts]])
        return staging_folder(self.path, hashlib.sha256(cut.encode()).hexdigest())

    @cached_property
    def sink(self) -> Sink:
        """What the tasks write to; it needs :func:`open_staging` to have been called."""
        return Sink(str(self.staging), self.schema, self.partition_by, self.settings)


def digest_of(plan: Mapping[str, Any], parts: Iterable[Part], schema: str, partition_by: Sequence[str]) -> str:
    """The digest of a job, from what its manifest says too; ``schema`` is the digest of the schema."""
    values = {"plan": dict(plan), "entries": _entries(parts), "schema": schema, "partition_by": partition_by}
    return hashlib.sha256(to_json(values).encode()).hexdigest()


def _entries(parts: Iterable[Part]) -> list[list[Any]]:
    """Each input file with the ranges of its entries that are read, however many parts they are cut into; no empty one."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for part in parts:
        where = dict(part.input)
        start, stop = where.pop("start", 0), where.pop("stop", None)
        if stop is None:
            ranges[to_json([part.dataset, where])] = []
        elif start != stop:
            ranges.setdefault(to_json([part.dataset, where]), []).append((start, stop))
    return [[name, _joined(found)] for name, found in ranges.items()]


def _joined(ranges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Ranges in order, those that touch as one."""
    result: list[list[int]] = []
    for start, stop in sorted(ranges):
        if result and result[-1][1] == start:
            result[-1][1] = stop
        else:
            result.append([start, stop])
    return result
