"""From a plan to work: files are opened once, types unified, weights normalised, and every promise checked.

Nothing is written here, and no event is augmented: what is wrong with a plan or its inputs is said now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa

import dask_augment
from dask_augment.columns import dotted, flat, typetracer
from dask_augment.dataset.job import Job
from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of, unify
from dask_augment.frames.eager import CHANGED, PROVENANCE, Setting, Stage, labelled
from dask_augment.plan import Inputs, Plan, PlanError, Target
from dask_augment.pools import Pool
from dask_augment.sources import (
    POSITION,
    BadInput,
    Content,
    Reader,
    Source,
    check_contents,
    find,
    inspect,
    is_kept,
    parts_of,
)

OURS = ("split", "train_weight", *PROVENANCE, CHANGED)
"""Columns that earlier runs of this package wrote; they are read where a file has them."""


class RunFailed(RuntimeError):
    """A run that could not be finished; says why, and how to go on."""


@dataclass(frozen=True)
class Normalisation:
    """How the weights of one data set were made."""

    sumw: float | None
    sumw_from: str
    xsec: float | None
    lumi: float | None
    factor: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Work:
    """What a plan comes to: the parts, how to read them, the steps, and the job that publishes them."""

    plan: Plan
    reader: Reader
    parts: tuple[Part, ...]
    stage: Stage
    columns: tuple[str, ...]
    """Columns of the result that are written, flat."""
    job: Job
    quarantined: tuple[Quarantined, ...]
    normalisation: Mapping[str, Normalisation]

    @property
    def entries(self) -> int:
        """Events that will be read."""
        return sum(part.input["stop"] - part.input["start"] for part in self.parts)


@dataclass(frozen=True)
class _Inspect:
    wanted: tuple[str, ...]
    weight: str
    name = "augment-inspect"

    def __call__(self, source: Source) -> Content:
        return inspect(source, self.wanted, self.weight)


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
    sources, metadata = find(inputs, limit_files)
    _check_collision_data(stage, metadata)
    explicit = _explicit(stage, inputs)
    wanted = tuple(sorted({*(target.keep or ()), *explicit, "weight", *OURS}))
    found, bad = _inspected(sources, _Inspect(wanted, inputs.weight), pool, dict(bad or {}), advance)
    if len(bad) > max_bad_files:
        raise RunFailed(_bad_files(bad, max_bad_files))
    if not found:
        raise PlanError("there are no input files that can be read")
    reader, normalisation = _reader(inputs, found, metadata, explicit, wanted)
    columns, schema = _result(stage, reader, target)
    parts = [part for source, content in found.items() for part in parts_of(source, content, chunksize)]
    quarantined = tuple(
        Quarantined.of(Part.of(s.dataset, {"file": s.path, "tree": s.tree}), bad[s.path], 1, bad[s.path].entries)
        for s in sources
        if s.path in bad
    )
    identity = _identity(plan, normalisation)
    job = Job(path, identity, (*parts, *(q.part for q in quarantined)), schema, target.partition_by)
    return Work(plan, reader, tuple(parts), stage, columns, job, quarantined, normalisation)


def refuse_unfinished(job: Job, resume: bool) -> None:
    """RunFailed where an earlier run of this plan was cut off, and it was not said that this one goes on with it."""
    if job.staging.exists() and not resume:
        done = len(list((job.staging / "receipts").glob("*.json")))
        raise RunFailed(
            f"an earlier run of this plan was not finished ({done} of {len(job.parts)} parts are done): go on with it "
            f"with resume (--resume), or remove {job.staging}"
        )


def _sections(plan: Plan) -> tuple[Inputs, Target]:
    assert isinstance(plan.inputs, Inputs)
    assert isinstance(plan.output, Target)
    return plan.inputs, plan.output


def _stage(plan: Plan, inputs: Inputs) -> Stage:
    ids = POSITION if inputs.ids == "position" else tuple(inputs.ids)
    # The data set's name is put in for each part; for the form of the result any name will do.
    setting = Setting(plan.seed, "*", ids, ("weight", *inputs.weights), plan.split)
    return Stage(labelled(plan.steps), setting)


def _check_collision_data(stage: Stage, metadata: Mapping[str, Mapping[str, Any]]) -> None:
    data = sorted(name for name, values in metadata.items() if values.get("is_mc", True) is False)
    training = [step.label for step in stage.steps if step.augmenter.use == "training"]
    if data and training:
        raise PlanError(
            f"data set {data[0]!r} is collision data (is_mc: false) and {training[0]!r} is a training step, which would "
            "falsify it: give collision data a plan of its own, with the steps of plan.for_analysis()"
        )


def _explicit(stage: Stage, inputs: Inputs) -> tuple[str, ...]:
    """Columns that steps name and no earlier step makes, and the ids: every file must have them."""
    made: set[str] = set()
    needed: set[str] = set() if inputs.ids == "position" else set(inputs.ids)
    for step in stage.steps:
        needed |= {name for name in step.augmenter.uses() if dotted(name) not in made}
        made |= {dotted(name) for name in step.augmenter.produces()}
    optional = {"dataset", "weight", *OURS, *inputs.weights}
    return tuple(sorted(needed - optional))


def _inspected(
    sources: Sequence[Source], ask: _Inspect, pool: Pool, bad: dict[str, BadInput], advance: Callable[[int], None]
) -> tuple[dict[Source, Content], dict[str, BadInput]]:
    contents: dict[Source, Content] = {}
    for source, outcome in pool.map(ask, [source for source in sources if source.path not in bad]):
        if isinstance(outcome, BadInput):
            bad[source.path] = outcome
        elif isinstance(outcome, BaseException):
            raise RunFailed(f"input file {source.path!r} could not be opened: {outcome}") from outcome
        else:
            contents[source] = outcome
        advance(1)
    return {source: contents[source] for source in sources if source in contents}, bad


def _bad_files(bad: Mapping[str, BadInput], most: int) -> str:
    lines = [f"  {error}" for _, error in sorted(bad.items())[:10]]
    more = [f"  and {len(bad) - 10} more"] if len(bad) > 10 else []
    allowed = f"{most} may be" if most else "none may be"
    return "\n".join(
        [f"{len(bad)} input files cannot be read ({allowed}: max_bad_files); nothing was published:", *lines, *more]
    )


def _reader(
    inputs: Inputs, found: Mapping[Source, Content], metadata: Mapping[str, Mapping[str, Any]],
    explicit: Sequence[str], wanted: Sequence[str],
) -> tuple[Reader, dict[str, Normalisation]]:  # fmt: skip
    """How parts are read, from the columns that the files have."""
    _check_generator_columns(found, metadata)
    has_weight = all("weight" in content.columns for content in found.values())
    weightless = _weightless(inputs.weight, found)
    schemas = {source.path: content.schema for source, content in found.items() if content.schema is not None}
    names = {name for schema in schemas.values() for name in schema.names if is_kept(name, wanted)}
    asked = {flat(name) for name in (*explicit, *inputs.weights)}
    check_contents(found, sorted((names | asked) - {*OURS, "weight"}))
    common = sorted(name for name in names if all(name in schema.names for schema in schemas.values()))
    common = [name for name in common if name not in inputs.weights]
    if not common:
        raise PlanError("the input files have none of the columns that the plan needs")
    normalisation = _normalisation(inputs, found, metadata, has_weight, weightless)
    reader = Reader(
        columns=tuple(common),
        schema=unify({path: pa.schema([kind.field(name) for name in common]) for path, kind in schemas.items()}),
        weight=None if has_weight else inputs.weight,
        weights=() if has_weight else inputs.weights,
        factors={name: entry.factor for name, entry in normalisation.items()},
        weightless=weightless,
        position=inputs.ids == "position",
    )
    return reader, normalisation


def _weightless(weight: str, found: Mapping[Source, Content]) -> frozenset[str]:
    """Data sets none of whose files has the weight column."""
    lacking = [source for source, content in found.items() if weight not in content.columns]
    names = frozenset(source.dataset for source in lacking)
    for source, content in found.items():
        if source.dataset in names and weight in content.columns:
            raise PlanError(
                f"column {weight!r} is not in every input file of {source.dataset!r}: {source.path!r} has it, "
                f"{lacking[0].path!r} does not; take one of them out"
            )
    return names


def _check_generator_columns(found: Mapping[Source, Content], metadata: Mapping[str, Mapping[str, Any]]) -> None:
    for source, content in found.items():
        is_data = metadata.get(source.dataset, {}).get("is_mc", True) is False
        if is_data and "genWeight" in content.columns:
            raise PlanError(
                f"data set {source.dataset!r} is said to be collision data (is_mc: false), but {source.path!r} has the "
                "generator column genWeight; take is_mc: false away, or the file"
            )


def _normalisation(
    inputs: Inputs, found: Mapping[Source, Content], metadata: Mapping[str, Mapping[str, Any]], has_weight: bool,
    weightless: frozenset[str],
) -> dict[str, Normalisation]:  # fmt: skip
    result = {}
    for name in sorted({source.dataset for source in found}):
        contents = [content for source, content in found.items() if source.dataset == name]
        values = metadata.get(name, {})
        xsec, lumi = _number(name, values, "xsec"), _number(name, values, "lumi")
        lumi = inputs.lumi if lumi is None else lumi
        if has_weight or name in weightless:
            said = "column weight, as it is" if has_weight else f"no {inputs.weight}: every event has weight 1"
            result[name] = Normalisation(None, said, None, None, 1.0)
            continue
        sums = [content.sumw for content in contents if content.sumw is not None]
        sumw = math.fsum(sums)
        origins = ", ".join(sorted({content.sumw_from for content in contents if content.sumw_from}))
        if xsec is not None and sumw == 0:
            raise PlanError(f"data set {name!r} has an xsec, but its generator weights sum to 0 ({origins or 'no events'})")
        factor = 1.0 if xsec is None else xsec * (1.0 if lumi is None else lumi) / sumw
        result[name] = Normalisation(sumw, origins, xsec, lumi, factor)
    return result


def _number(dataset: str, metadata: Mapping[str, Any], key: str) -> float | None:
    value = metadata.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PlanError(f"data set {dataset!r}: {key} must be a number, got {value!r}")
    return float(value)


def _result(stage: Stage, reader: Reader, target: Target) -> tuple[tuple[str, ...], pa.Schema]:
    """The columns of the result and their types, from the form of the events alone."""
    shape = stage.shape_only(typetracer(reader.form()))
    always = {*stage.setting.ids, *stage.setting.weights, *OURS}
    read = set(reader.columns)
    columns = sorted(
        name
        for name in shape.fields
        if target.keep is None or name not in read or name in always or is_kept(name, target.keep)
    )
    for key in target.partition_by:
        if key != "dataset" and key not in columns:
            raise PlanError(f"output: partition_by names {key!r}, which is not among the columns {columns}")
    return tuple(columns), schema_of(shape[columns])


def _identity(plan: Plan, normalisation: Mapping[str, Normalisation]) -> dict[str, Any]:
    """What decides about rows and values, beside the parts and the schema; where it is published does not."""
    values = plan.to_dict()
    values["output"].pop("path", None)
    return {
        **values,
        "normalisation": {name: entry.to_dict() for name, entry in normalisation.items()},
        "versions": {
            "dask_augment": dask_augment.__version__,
            "awkward": ak.__version__,
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
    }
