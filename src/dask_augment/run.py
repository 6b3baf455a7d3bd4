"""Carry out a plan: learn, augment, write, and publish the data set whole or not at all."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, Protocol

from dask_augment.columns import typetracer
from dask_augment.contract import Learner, Measure
from dask_augment.dataset.commit import open_staging, publish, receipts
from dask_augment.dataset.job import AlreadyCommitted, Job
from dask_augment.dataset.layout import encode
from dask_augment.dataset.manifest import Manifest, account_dict
from dask_augment.dataset.receipt import Part, Receipt
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.dataset.sink import Sink
from dask_augment.frames import learned as taught_step
from dask_augment.frames import refuse_repeats, total
from dask_augment.frames.eager import Stage, Step, labelled
from dask_augment.identity import RepeatedIds
from dask_augment.learned import Learned, load
from dask_augment.meters import Account
from dask_augment.plan import Plan, PlanError, Target
from dask_augment.pools import Pool, opened
from dask_augment.prepare import RunFailed, Work, prepare
from dask_augment.sources import POSITION, BadInput, Reader
from dask_augment.stages import StageReader, stage_sink

SLICE = 100_000
"""Rows that a step may make before they are handed to the writer."""
_IN_MANIFEST = 2**20


class Progress(Protocol):
    """Is told how far a run has come."""

    def start(self, title: str, total: int | None) -> None:
        """A phase begins, of this many units."""

    def advance(self, units: int) -> None:
        """So many units are done."""


class Silent:
    """No progress is shown."""

    def start(self, title: str, total: int | None) -> None:
        """Nothing."""

    def advance(self, units: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Result:
    """A published data set."""

    path: Path
    manifest: Manifest
    seconds: Mapping[str, float]
    """Wall seconds of each phase of this run, and of each step summed over workers."""
    already: bool
    """Whether this very plan had been published before."""

    @property
    def rows(self) -> int:
        """Rows of the data set."""
        return self.manifest.rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        manifest = self.manifest
        return {
            "path": str(self.path),
            "already": self.already,
            "digest": manifest.digest,
            "rows": manifest.rows,
            "logical_hash": manifest.logical_hash.hex(),
            "datasets": {name: account_dict(account) for name, account in manifest.datasets.items()},
            "quarantined": [lost.to_dict() for lost in manifest.quarantined],
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True)
class _Write:
    """Augment one part and write it."""

    reader: Reader | StageReader
    stage: Stage
    sink: Sink
    columns: tuple[str, ...]
    name = "augment-write"

    def __call__(self, part: Part) -> Receipt:
        known = self.sink.receipt(part.id)
        if known is not None:
            return known
        events = self.reader(part)
        account = Account()
        before = self.reader.account(part)
        pieces = _for_dataset(self.stage, part.dataset).pieces(events, SLICE, account)
        tables = (to_table(piece[list(self.columns)], self.sink.schema) for piece in pieces)
        return self.sink.write_part(part, tables, lambda: account if before is None else before.then(account))


@dataclass(frozen=True)
class _Ask:
    """The answer of some parts to one question."""

    reader: Reader | StageReader
    stage: Stage
    measure: Measure[Any]
    label: str
    name = "augment-learn"

    def __call__(self, parts: tuple[Part, ...]) -> Any:
        return total(
            _for_dataset(self.stage, part.dataset).measure(self.reader(part), self.measure, self.label)
            for part in parts
        )


def _for_dataset(stage: Stage, dataset: str) -> Stage:
    return changed(stage, setting=changed(stage.setting, dataset=dataset))


@dataclass(frozen=True)
class _Segment:
    """Parts that are left to read, and the steps that are left to do on them."""

    reader: Reader | StageReader
    parts: tuple[Part, ...]
    stage: Stage


def run(
    plan: Plan,
    output: str | Path | None = None,
    *,
    client: Any = None,
    executor: str = "iterative",
    scheduler: str | None = None,
    workers: int | None = None,
    chunksize: int = 100_000,
    limit_files: int | None = None,
    resume: bool = False,
    replace: bool = False,
    max_bad_files: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Carry out a plan and publish the result as partitioned Parquet, whole or not at all.

    Parameters
    ----------
    plan
        Inputs, steps, seed, output.
    output
        Folder of the data set, instead of the plan's.
    client, executor, scheduler, workers
        Where: a Dask client, else "iterative" (this process), "futures" (processes of this machine) or "dask" (the
        scheduler at this address, or ``workers`` processes here). The result does not depend on it.
    chunksize
        Most events that a task reads at once. The result does not depend on it either.
    limit_files
        Read only the first files of each data set: a trial, and a plan of its own.
    resume
        Go on with what an earlier run of this plan left; without it, such a run is refused.
    replace
        Replace a data set of another plan in this folder, once this one is complete.
    max_bad_files
        Files that may be unreadable; they are left out of rows and normalisation alike and listed in the manifest.
    progress
        Is told how far the run has come.

    Errors: PlanError, RunFailed, and those of the steps. Nothing is visible in ``output`` unless all is well.
    """
    path = _path(plan, output)
    show = progress or Silent()
    with opened(executor, client=client, scheduler=scheduler, workers=workers) as pool:
        bad: dict[str, BadInput] = {}
        while True:
            show.start("opening files", None)
            work = prepare(
                plan, path, pool, chunksize=chunksize, limit_files=limit_files, bad=bad, max_bad_files=max_bad_files,
                advance=show.advance,
            )  # fmt: skip
            try:
                return _carried_out(work, pool, resume or bool(bad), replace, show)
            except _Unreadable as found:
                # Quotas and the normalisation would be those of events that are lost: begin again without the files.
                bad |= {error.path: error for error in found.errors}


def dry_run(
    plan: Plan,
    output: str | Path | None = None,
    *,
    executor: str = "iterative",
    scheduler: str | None = None,
    workers: int | None = None,
    chunksize: int = 100_000,
    limit_files: int | None = None,
    max_bad_files: int = 0,
) -> dict[str, Any]:
    """What a run would read and write: every file is opened and every promise checked, and nothing is written."""
    path = _path(plan, output)
    how: dict[str, Any] = {"chunksize": chunksize, "limit_files": limit_files, "max_bad_files": max_bad_files}
    with opened(executor, scheduler=scheduler, workers=workers) as pool:
        work = prepare(plan, path, pool, **how)
    datasets = {}
    for name, normalisation in work.normalisation.items():
        mine = [part.input for part in work.parts if part.dataset == name]
        files, entries = {part["file"] for part in mine}, sum(part["stop"] - part["start"] for part in mine)
        datasets[name] = {"files": len(files), "entries": entries, "parts": len(mine), **normalisation.to_dict()}
    return {
        "path": str(path),
        "digest": work.job.digest,
        "datasets": datasets,
        "steps": [step.label for step in work.stage.steps],
        "columns": list(work.columns),
        "quarantined": [lost.to_dict() for lost in work.quarantined],
    }


def _path(plan: Plan, output: str | Path | None) -> Path:
    assert isinstance(plan.output, Target)
    path = output if output is not None else plan.output.path
    if path is None:
        raise PlanError("the plan does not say where its output goes; write output: {path: out/}")
    return Path(path)


class _Unreadable(Exception):  # noqa: N818
    def __init__(self, errors: Sequence[BadInput]) -> None:
        super().__init__(errors)
        self.errors = errors


def _carried_out(work: Work, pool: Pool, resume: bool, replace: bool, show: Progress) -> Result:
    job, clock = work.job, _Clock()
    if job.staging.exists() and not resume:
        done = len(list((job.staging / "receipts").glob("*.json")))
        raise RunFailed(
            f"an earlier run of this plan was not finished ({done} of {len(job.parts)} parts are done): go on with it "
            f"with resume (--resume), or remove {job.staging}"
        )
    sink = open_staging(job, replace=replace)
    if isinstance(sink, AlreadyCommitted):
        return Result(job.path, sink.manifest, {}, already=True)
    segment = _taught(_Segment(work.reader, work.parts, work.stage), job, pool, show)
    clock.lap("learn")
    write = _Write(segment.reader, segment.stage, sink, work.columns)
    done = _written(write, work.parts, receipts(job), pool, show)
    clock.lap("write")
    show.start("publishing", None)
    extra = {
        "normalisation": {name: entry.to_dict() for name, entry in work.normalisation.items()},
        "learned": _learned_of(segment.stage),
    }
    manifest = publish(job, done, quarantined=work.quarantined, replace=replace, extra=extra)
    clock.lap("publish")
    steps = Account.total(receipt.account for receipt in done.values()).seconds
    seconds = clock.laps | {f"step {label}": value for label, value in steps.items()}
    return Result(job.path, manifest, seconds, already=False)


class _Clock:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def _written(
    write: _Write, parts: Sequence[Part], done: Mapping[str, Receipt], pool: Pool, show: Progress
) -> dict[str, Receipt]:
    """The receipts of all parts; those that are done are not done again."""
    finished = dict(done)
    left = [part for part in parts if part.id not in finished]
    show.start("augmenting", len(parts))
    show.advance(len(parts) - len(left))
    unreadable = []
    for part, outcome in pool.map(write, left):
        if isinstance(outcome, BadInput):
            unreadable.append(outcome)
        elif isinstance(outcome, BaseException):
            raise _failed("augmenting", part, outcome) from outcome
        else:
            finished[part.id] = outcome
        show.advance(1)
    if unreadable:
        raise _Unreadable(unreadable)
    return finished


def _failed(what: str, part: Part, error: BaseException) -> RunFailed:
    where = part.input
    return RunFailed(
        f"{what} {where['file']!r}, entries {where['start']} to {where['stop']}, failed: {type(error).__name__}: "
        f"{error}\nNothing was published; what is done is kept: mend the cause and run the plan again with resume "
        "(--resume)"
    )


# Learning ------------------------------------------------------------------------------------------------------------


def _taught(segment: _Segment, job: Job, pool: Pool, show: Progress) -> _Segment:
    """The segment with every learner taught; what was learned is kept in staging, for a run that goes on."""
    folder = job.staging / "learned"
    if segment.stage.keyed and segment.stage.setting.ids != POSITION and not (folder / "ids.json").exists():
        refuse_repeats(changed(segment.stage, steps=()), _put(segment, pool, show), "ids")
        _note(folder / "ids.json", {"unique": True})
    for step in segment.stage.steps:
        if not isinstance(step.augmenter, Learner) or step.augmenter.learned is not None:
            continue
        note = folder / f"{encode(step.label)}.json"
        if note.exists():
            learned = load(str(folder), json.loads(note.read_text())["digest"])
            learner: Any = changed(step.augmenter, learned=learned)
        else:
            segment = _checkpointed(segment, step, job, pool, show)
            before = segment.stage.before(step.label)
            learner = taught_step(step, before, _put(segment, pool, show), str(folder), check_ids=False)
            _note(note, {"digest": learner.learned.digest})
        segment = changed(segment, stage=segment.stage.with_step(changed(step, augmenter=learner)))
    return segment


def _note(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(values))
    draft.rename(path)


def _put(segment: _Segment, pool: Pool, show: Progress) -> Callable[[Stage, Measure[Any], str], Any]:
    """Puts one question to all parts of the segment."""

    def put(stage: Stage, measure: Measure[Any], label: str) -> Any:
        needed = stage.needs(measure.uses(), keyed=measure.keyed)
        ask = _Ask(segment.reader.narrowed(needed), stage, measure, label)
        size = max(1, min(32, len(segment.parts) // (4 * pool.workers)))
        batches = [segment.parts[i : i + size] for i in range(0, len(segment.parts), size)]
        show.start(f"learning {label}", len(batches))
        answers, unreadable = [], []
        for batch, outcome in pool.map(ask, batches):
            if isinstance(outcome, BadInput):
                unreadable.append(outcome)
            elif isinstance(outcome, RepeatedIds):
                raise outcome
            elif isinstance(outcome, BaseException):
                raise _failed(f"learning {label} from", batch[0], outcome) from outcome
            answers.append(outcome)
            show.advance(1)
        if unreadable:
            raise _Unreadable(unreadable)
        return total(answers)

    return put


def _checkpointed(segment: _Segment, step: Step, job: Job, pool: Pool, show: Progress) -> _Segment:
    """The segment with the steps before ``step`` done and stored, where doing them for every question would cost.

    Dropping rows and making columns costs little more than reading, and products that nobody asks for are pruned.
    """
    before = segment.stage.before(step.label)
    if not any(s.augmenter.makes or s.augmenter.resources() for s in before.steps):
        return segment
    shape = before.shape_only(typetracer(segment.reader.form()))
    sink = stage_sink(job.staging / "stages" / encode(step.label), schema_of(shape))
    write = _Write(segment.reader, before, sink, tuple(shape.fields))
    _written(write, segment.parts, {}, pool, show)
    return _Segment(StageReader(sink, tuple(shape.fields)), segment.parts, segment.stage.after(before))


def _learned_of(stage: Stage) -> dict[str, Any]:
    """What the learners learned, in the manifest where it is small."""
    described = {}
    for step in stage.steps:
        learned = getattr(step.augmenter, "learned", None)
        if learned is None:
            continue
        described[step.label] = {"digest": learned.digest, "bytes": learned.nbytes}
        if learned.nbytes <= _IN_MANIFEST:
            described[step.label]["npz"] = base64.b64encode(learned.to_bytes()).decode()
    return described


def published_plan(path: str | Path) -> Plan:
    """The plan of a published data set, its learners with what they learned: ready for ``augment`` or ``for_analysis``.

    Errors: NotADataset for a folder without a manifest; PlanError where what was learned was too large to keep.
    """
    manifest = Manifest.read(Path(path))
    plan = Plan.from_dict({key: value for key, value in manifest.plan.items() if key not in ("normalisation", "versions")})
    steps = []
    for step in labelled(plan.steps):
        augmenter = step.augmenter
        if isinstance(augmenter, Learner):
            kept = manifest.extra["learned"].get(step.label, {})
            if "npz" not in kept:
                raise PlanError(f"what step {step.label!r} learned is not in the manifest of {path}; learn it again")
            augmenter = changed(augmenter, learned=Learned.from_bytes(base64.b64decode(kept["npz"])))
        steps.append((step.label, augmenter))
    return changed(plan, steps=steps)
