"""From a plan to work: open files once, unify types, normalise weights, and check every promise.

Nothing is written here, and no event is augmented: what is wrong with a plan or its inputs is said now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import awkward as ak
import numpy as np
import pyarrow as pa

import dask_augment
from dask_augment.contract.ids import POSITION
from dask_augment.contract.setting import Setting
from dask_augment.dataset.hive import check_keys
from dask_augment.dataset.publication import Job, RunFailed
from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of
from dask_augment.events.columns import flat
from dask_augment.events.forms import typetracer
from dask_augment.events.own_columns import DATASET, OURS, PROVENANCE, WEIGHT
from dask_augment.files.addresses import untold
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.inputs.columns_of_files import Wanted, is_pattern
from dask_augment.inputs.common import Common, common
from dask_augment.inputs.contents import check_contents, filled, inspect, parts_of
from dask_augment.inputs.fills import check_fill
from dask_augment.inputs.find import find
from dask_augment.inputs.losses import bad_files, losses, quarantined_of
from dask_augment.inputs.made import Made, MakerFailed
from dask_augment.inputs.normalisation import Normalisation, check_weights, has_weight, normalised, weightless
from dask_augment.inputs.overlap import refuse_own_output, shared_files
from dask_augment.inputs.reader import Reader
from dask_augment.inputs.sources import BadInput, Content, Source
from dask_augment.inputs.vouching import held_to_manifests
from dask_augment.plans import registry
from dask_augment.plans.plan import Inputs, Plan, PlanError, Target
from dask_augment.runs.pools import Pool
from dask_augment.runs.refusals import check_collision_data, check_folders, check_ids, check_keep, check_names
from dask_augment.runs.remarks import remarks_on, settled
from dask_augment.runs.yields import apart, overwritten, remarks_on_overwritten


class Formed(Protocol):
    """Reads events of one form."""

    def form(self) -> ak.Array:
        """No events, of that form."""


@dataclass(frozen=True)
class Work:
    """What a plan comes to: the parts, how to read them, the steps, and the job that publishes them."""

    reader: Reader
    parts: tuple[Part, ...]
    stage: Stage
    columns: tuple[str, ...]
    """Columns of the result that are written, flat."""
    job: Job
    quarantined: tuple[Quarantined, ...]
    normalisation: Mapping[str, Normalisation]
    warnings: tuple[str, ...] = ()
    overwritten: Mapping[str, list[str]] = field(default_factory=dict)
    """Names of the weights that steps overwrite, by their labels."""
    """What a person should know of the inputs."""


@dataclass(frozen=True)
class _Inspect:
    wanted: Wanted
    weight: str
    base: str
    name = "augment-inspect"

    def __call__(self, source: Source) -> Content:
        return inspect(source, self.wanted, self.weight, self.base)


def prepare(
    plan: Plan,
    path: Path,
    pool: Pool,
    *,
    chunksize: int,
    limit_files: int | None = None,
    bad: Mapping[str, BadInput] | None = None,
    max_bad_files: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Work:
    """Open every input file once and settle what will be done.

    ``bad`` are files that are known not to be readable. Errors: PlanError for what the plan says, RunFailed when more
    than ``max_bad_files`` files cannot be read.
    """
    inputs, target = _sections(plan)
    stage = _stage(plan, inputs)
    # Workers may be elsewhere: what is relative counts from one folder, as the client sees it.
    base = os.path.abspath(plan.folder)
    sources, metadata = find(inputs, limit_files, base)
    check_folders(target, metadata)
    refuse_own_output(inputs, sources, path, target.partition_by, base)
    warnings = held_to_manifests(sources, inputs.folder, base)
    explicit = _explicit(stage, inputs)
    split = {plan.split} if plan.split else set()
    wanted = Wanted.of({*explicit, WEIGHT, *inputs.weights, *split, *OURS}, target.keep or ())
    found, bad = _inspected(sources, _Inspect(wanted, inputs.weight, base), pool, dict(bad or {}), advance)
    if bad and all(source.path in bad and bad[source.path].no_tree for source in sources):
        raise PlanError(f"{next(iter(bad.values()))}; name the tree that the events are in by inputs: {{tree: ...}}")
    if len(bad) > max_bad_files:
        raise RunFailed(bad_files(bad, max_bad_files))
    if not found:
        raise PlanError("there are no input files that can be read")
    check_collision_data(stage, metadata, found, inputs.weight)
    _check_remedies(stage, explicit, found)
    reader, normalisation, shared = _reader(inputs, found, metadata, explicit, wanted)
    reader = replace(reader, base=base, addresses={s.path: s.address for s in sources if s.address})
    reader = replace(reader, makers={s.dataset: s.kind for s in sources if isinstance(s.kind, Made)})
    stage, matches = settled(_weighted(stage, inputs, reader), reader.columns)
    columns, schema = _result(stage, reader, target, shared.kept)
    warnings = [*warnings, *shared.warnings, *matches, *remarks_on(stage, columns)]
    check_names(target, columns, {source.dataset for source in sources})
    check_keep(target.keep or (), columns, filled(found), stage.narrowing, shared.kept)
    parts = [part for source, content in found.items() for part in parts_of(source, content, chunksize)]
    quarantined = quarantined_of(sources, bad)
    warnings += losses(sources, bad, normalisation)
    warnings += shared_files(found)
    warnings += apart(stage.steps, {source.dataset for source in sources})
    changed = overwritten(stage.steps, stage.setting.weights, reader.columns)
    warnings += remarks_on_overwritten(changed)
    identity = _identity(plan, normalisation)
    job = Job(path, identity, (*parts, *(q.part for q in quarantined)), schema, target.partition_by)
    return Work(reader, tuple(parts), stage, columns, job, quarantined, normalisation, tuple(warnings), changed)


def shape_of(stage: Stage, reader: Formed) -> ak.Array:
    """The form of the events that are read, after the stage; no events."""
    # The name of the data set keys random numbers, and there are none to draw.
    return stage.on("*").shape_only(typetracer(reader.form()))


def _sections(plan: Plan) -> tuple[Inputs, Target]:
    assert isinstance(plan.inputs, Inputs)
    assert isinstance(plan.output, Target)
    return plan.inputs, plan.output


def _stage(plan: Plan, inputs: Inputs) -> Stage:
    ids = POSITION if inputs.ids == "position" else tuple(inputs.ids)
    # The data set's name is put in for each part.
    setting = Setting(plan.seed, None, ids, (WEIGHT, *inputs.weights), plan.split)
    return Stage(labelled(plan.steps), setting)


def _weighted(stage: Stage, inputs: Inputs, reader: Reader) -> Stage:
    """The stage that knows of the generator weight where that is kept beside the ``weight`` made from it."""
    generator = inputs.weight if inputs.weight in reader.columns else None
    return replace(stage, setting=replace(stage.setting, generator=generator))


def _explicit(stage: Stage, inputs: Inputs) -> dict[str, str]:
    """Columns that steps name and no earlier step makes, and the ids, with who names them: every file must have them."""
    needed = {} if inputs.ids == "position" else dict.fromkeys(inputs.ids, "inputs: ids")
    needed = {name: f"step {step.label!r}" for name, step in stage.missing().items()} | needed
    optional = {DATASET, WEIGHT, *OURS, *inputs.weights}
    return {name: who for name, who in sorted(needed.items()) if name not in optional}


def _check_remedies(stage: Stage, explicit: Collection[str], found: Mapping[Source, Content]) -> None:
    """Refuse columns that no file has and of which their step knows a remedy; others are refused with all the rest."""
    there: frozenset[str] = frozenset().union(*(content.columns for content in filled(found).values()))
    for step in stage.steps:
        for name in sorted(step.remedies.keys() & {*explicit}):
            if flat(name) not in there and (remedy := step.remedies[name]):
                raise PlanError(f"step {step.label!r} finds no column {name!r} in any input file; {remedy}")


def _inspected(
    sources: Sequence[Source], ask: _Inspect, pool: Pool, bad: dict[str, BadInput], advance: Callable[[int], None]
) -> tuple[dict[Source, Content], dict[str, BadInput]]:
    contents: dict[Source, Content] = {}
    for source, outcome in pool.map(ask, [source for source in sources if source.path not in bad]):
        if isinstance(outcome, BadInput):
            bad[source.path] = outcome
        elif isinstance(outcome, MakerFailed):
            raise outcome
        elif isinstance(outcome, BaseException):
            raise RunFailed(f"input file {source.path!r} could not be opened: {untold(outcome)}") from outcome
        else:
            contents[source] = outcome
        advance(1)
    return {source: contents[source] for source in sources if source in contents}, bad


def _reader(
    inputs: Inputs, found: Mapping[Source, Content], metadata: Mapping[str, Mapping[str, Any]],
    explicit: Mapping[str, str], wanted: Wanted,
) -> tuple[Reader, dict[str, Normalisation], Common]:  # fmt: skip
    """How parts are read, from the columns that the files have, and what these have in common."""
    check_contents(found)
    files = filled(found)
    kinds = {isinstance(source.kind, Made) for source in files}
    inputs = replace(inputs, fill={**(dict.fromkeys(PROVENANCE, 0) if len(kinds) > 1 else {}), **inputs.fill})
    inputs = replace(inputs, weight=flat(inputs.weight), weights=tuple(map(flat, inputs.weights)))
    final = has_weight(inputs.weight, files)
    made = set() if final else {WEIGHT, *inputs.weights}
    without = weightless(inputs.weight, files, metadata)
    check_weights((WEIGHT,) if final else (inputs.weight, *inputs.weights), files)
    there = {flat(name) for name in inputs.fill}.union(*(content.columns for content in files.values()))
    kept = {name for name in wanted.patterns if not is_pattern(name) and flat(name) in there}
    asked = dict.fromkeys(kept, "output: keep") | dict.fromkeys(inputs.weights, "inputs: weights") | {**explicit}
    shared = common(files, wanted, asked, {*OURS, WEIGHT}, made, inputs.fill)
    check_fill(files, shared.schema, shared.fill)
    check_ids(shared.schema, inputs.ids)
    normalisation = normalised(inputs, found, metadata, final, without)
    reader = Reader(
        columns=tuple(shared.schema.names),
        schema=shared.schema,
        weight=None if final else inputs.weight,
        weights=() if final else inputs.weights,
        factors={name: entry.factor for name, entry in normalisation.items()},
        weightless=without,
        position=inputs.ids == "position",
        fill=shared.fill,
    )
    return reader, normalisation, shared


def _result(stage: Stage, reader: Reader, target: Target, kept: Collection[str]) -> tuple[tuple[str, ...], pa.Schema]:
    """The columns of the result and their types, from the form of the events alone."""
    shape = shape_of(stage, reader)
    always = {*map(flat, (*stage.setting.ids, *stage.setting.weights, stage.setting.split or "", *stage.made)), *OURS}
    read = set(reader.columns)
    columns = sorted(
        name for name in shape.fields if target.keep is None or name not in read or name in always or name in kept
    )
    for key in target.partition_by:
        if key != DATASET and key not in columns:
            raise PlanError(f"output: partition_by names {key!r}, which is not among the columns {columns}")
    schema = schema_of(shape[columns])
    check_keys(schema, target.partition_by)
    return tuple(columns), schema


def _identity(plan: Plan, normalisation: Mapping[str, Normalisation]) -> dict[str, Any]:
    """What decides about rows and values, beside the parts and the schema; where it is published does not."""
    values = plan.to_dict()
    values["output"].pop("path", None)
    code = plan.code()
    steps = registry.with_labels(plan.steps)
    learned = {label: one.digest for label, step in steps if (one := step.learned) is not None}
    return {
        **values,
        **({"code": code} if code else {}),
        **({"learned": learned} if learned else {}),  # of steps that are given with it; others learn from the inputs
        "normalisation": {name: entry.to_dict() for name, entry in normalisation.items()},
        "versions": {
            "dask_augment": dask_augment.__version__,
            "awkward": ak.__version__,
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
            **plan.distributions(),
        },
    }
