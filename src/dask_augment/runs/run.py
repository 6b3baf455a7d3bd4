"""Carry out a plan: learn, augment, write, and publish the data set whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from dask_augment.contract.augmenter import Learner
from dask_augment.dataset.alive import SignOfLife
from dask_augment.dataset.artefacts import read_learned, read_named
from dask_augment.dataset.commit import each_receipt, open_staging, publish, published
from dask_augment.dataset.manifest import Manifest
from dask_augment.dataset.publication import AlreadyCommitted, Incomplete, Job, RunFailed
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.sink import Sink, StagingGone
from dask_augment.dataset.staging import discard_staging
from dask_augment.dataset.store import files
from dask_augment.frames.steps import labelled
from dask_augment.inputs.sources import BadInput
from dask_augment.messages import counted, one_line
from dask_augment.options import named_options
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.runs.dry_run import place_tried, tried, what_stands
from dask_augment.runs.learn import files_of, learned_before, learned_of, reports_of, taught
from dask_augment.runs.pools import Pool
from dask_augment.runs.prepare import Work, prepare
from dask_augment.runs.progress import Progress, for_a_person
from dask_augment.runs.refusals import output_folder
from dask_augment.runs.result import Result
from dask_augment.runs.tasks import Finished, Segment, Tasks, Unreadable, merged
from dask_augment.runs.where import by_former_names, chunk_at, opened


@by_former_names
@named_options
def run(
    plan: Plan | str | Path,
    output: str | Path | None = None,
    *,
    where: Any = None,
    chunksize: int | None = None,
    limit_files: int | None = None,
    resume: bool = False,
    replace: bool = False,
    max_bad_files: int = 0,
    progress: Progress | None = None,
    quiet: bool = False,
) -> Result:
    """Carry out a plan and publish the result as partitioned Parquet, whole or not at all.

    Parameters
    ----------
    plan
        Inputs, steps, seed, output; or the path of its YAML file.
    output
        Folder of the data set, instead of the plan's; as all that is not said by the plan, it counts from the working
        directory.
    where
        A Dask client or cluster, or the address of a scheduler; a number of worker processes here; "threads", "processes" or
        "synchronous"; an executor of ``concurrent.futures``; an executor or ``Runner`` of coffea, whose options are heeded or
        refused. None: this process. The result does not depend on it.
    chunksize
        Most events that a task reads at once: 100,000 unless given, or as a Runner says. The result does not depend on it
        either.
    limit_files
        Read only the first files of each data set: a trial, and a plan of its own.
    resume
        Go on with what an earlier run of this plan left; without it, such a run is refused.
    replace
        Replace a data set of another plan in this folder, once this one is complete.
    max_bad_files
        Files that may be unreadable; they are left out of rows and normalisation alike and listed in the manifest.
    progress
        Is told how far the run has come; None: bars show it in a terminal and in a notebook.
    quiet
        Show no bars.

    Errors: PlanError, RunFailed, and those of the steps. Nothing is visible in ``output`` unless all is well.
    """
    if not isinstance(plan, (Plan, str, Path)):
        raise PlanError(f"run takes a Plan or the path of its file, got {type(plan).__name__}: {plan!r}")
    plan = plan if isinstance(plan, Plan) else Plan.read(plan)
    path = output_folder(plan, output)
    how: dict[str, Any] = {
        "chunksize": chunk_at(where, chunksize),
        "limit_files": limit_files,
        "max_bad_files": max_bad_files,
    }
    with for_a_person(progress, quiet=quiet) as show, opened(where, tell=show.tell) as pool:
        return _without_bad_files(plan, path, pool, resume, replace, show, **how)


def _without_bad_files(
    plan: Plan, path: Path, pool: Pool, resume: bool, replace: bool, show: Progress, *, max_bad_files: int, **how: Any
) -> Result:
    """Carry out the plan; where a file turns out to be unreadable and may be, begin again without it."""
    bad: dict[str, BadInput] = {}
    while True:
        show.start("opening files", None)
        work = prepare(plan, path, pool, bad=bad, max_bad_files=max_bad_files, advance=show.advance, **how)
        try:
            return _carried_out(work, Tasks(pool, show), resume or bool(bad), replace, show)
        except Unreadable as found:
            # Quotas and the normalisation would be those of events that are lost.
            bad |= {error.path: _whole(error, work.parts) for error in found.errors}
            if len(bad) <= max_bad_files:
                discard_staging(work.job)


@by_former_names
@named_options
def dry_run(
    plan: Plan,
    output: str | Path | None = None,
    *,
    where: Any = None,
    chunksize: int | None = None,
    limit_files: int | None = None,
    max_bad_files: int = 0,
    progress: Progress | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """What a run would read and write: every file is opened, and some events of each data set are tried.

    Nothing is written, but that a folder is made beside the output, and removed. Errors are those of :func:`run`, found now.
    """
    path = output_folder(plan, output)
    how: dict[str, Any] = {
        "chunksize": chunk_at(where, chunksize),
        "limit_files": limit_files,
        "max_bad_files": max_bad_files,
    }
    with for_a_person(progress, quiet=quiet) as show, opened(where, tell=show.tell) as pool:
        show.start("opening files", None)
        work = prepare(plan, path, pool, **how, advance=show.advance)
    standing = what_stands(work.job)
    place_tried(work.job)
    doubts = tried(work)
    datasets = {}
    for name, normalisation in work.normalisation.items():
        mine = [part.input for part in work.parts if part.dataset == name]
        files, entries = {part["file"] for part in mine}, sum(part["stop"] - part["start"] for part in mine)
        datasets[name] = {"files": len(files), "entries": entries, "parts": len(mine), **normalisation.to_dict()}
    return {
        "path": str(path),
        "standing": standing,
        "digest": work.job.digest,
        "datasets": datasets,
        "steps": [step.label for step in work.stage.steps],
        "columns": list(work.columns),
        "quarantined": [lost.to_dict() for lost in work.quarantined],
        "warnings": [*work.warnings, *doubts],
    }


def _whole(error: BadInput, parts: Sequence[Part]) -> BadInput:
    """The error of one part as that of its file, all of whose entries are lost."""
    mine = [part.input for part in parts if part.input["file"] == error.path]
    return BadInput(str(error), error.path, sum(where["stop"] - where["start"] for where in mine))


def _carried_out(work: Work, tasks: Tasks, resume: bool, replace: bool, show: Progress) -> Result:
    """The published data set; RunFailed where the disk fails, with what is kept and where.

    Where another client published this plan meanwhile, its staging folder goes, and whatever this one does fails: then
    that data set is the result.
    """
    job = work.job
    try:
        return _published(work, tasks, resume, replace, show)
    except Exception as error:
        if not files.is_folder(job.sink.attempts):
            standing = published(job)
            if standing is not None:
                discard_staging(job)
                return Result(job.path, standing, {}, already=True)
            gone = (StagingGone, FileNotFoundError, Incomplete)
            if isinstance(error, gone) or isinstance(error.__cause__, gone):
                raise RunFailed(
                    f"{job.path} could not be made: its staging folder {job.staging} was removed while the run was at work; "
                    "nothing of it is kept: run the plan again, and let nobody clean the folder with --older-than 0 meanwhile"
                ) from error
        if isinstance(error, OSError):
            raise _failed_on_disk(job, error) from error
        raise


def _failed_on_disk(job: Job, error: OSError) -> RunFailed:
    what = f"{type(error).__name__}: {one_line(error)}"
    # Nothing here may raise on a disk that fails.
    if not files.is_folder(job.staging):
        return RunFailed(
            f"{job.path} could not be made: {what}\nNothing is kept: mend the cause and run the plan again"
        )
    cause = "mend the cause (a full disk needs room)" if error.errno is not None else "mend the cause"
    done = sum(files.exists(job.sink.receipt_path(part.id)) for part in job.parts)
    return RunFailed(
        f"{job.path} could not be published: {what}\n{done} of {counted(len(job.parts), 'part')} done, and kept in "
        f"{job.staging}: {cause} and run the plan again with resume (--resume)"
    )


def _published(work: Work, tasks: Tasks, resume: bool, replace: bool, show: Progress) -> Result:
    job = work.job
    sink = open_staging(job, resume=resume, replace=replace)
    if isinstance(sink, AlreadyCommitted):
        return Result(job.path, sink.manifest, {}, already=True)
    with SignOfLife(job.staging):
        return _done(work, tasks, sink, replace, show)


def _done(work: Work, tasks: Tasks, sink: Sink, replace: bool, show: Progress) -> Result:
    job, clock = work.job, _Clock()
    named = files_of(work.stage.steps)  # those that there are when the data set is published may be others
    segment = taught(Segment(work.reader, work.parts, work.stage), job, tasks)
    clock.lap("learn")
    done = Finished()
    for receipt in each_receipt(job):
        done.add(receipt)
    tasks.write(segment, sink, work.columns, done)
    clock.lap("write")
    joined = merged(job, done, tasks.pool, show)
    clock.lap("merge")
    show.start("publishing", None)
    extra = {
        "normalisation": {name: entry.to_dict() for name, entry in work.normalisation.items()},
        "resampled": reports_of(segment.steps),
        "learned_before": learned_before(work.stage.steps),
        "changed_bits": work.stage.changed_bits,
        # Checked before anything was learned; the positions of events differ by themselves.
        "ids": {"columns": list(work.stage.setting.ids), "checked": True},
        "warnings": list(work.warnings),
        "overwritten": work.overwritten,
        "doubts": {step.label: text for step in segment.steps if (text := step.augmenter.doubt())},
    }
    learned = learned_of(segment.steps)
    manifest = publish(
        job, merged=joined, quarantined=work.quarantined, replace=replace, extra=extra, learned=learned, named=named
    )
    clock.lap("publish")
    seconds = clock.laps | {f"step {label}": value for label, value in done.seconds.items()}
    return Result(job.path, manifest, seconds, already=not manifest.new, peak_bytes=done.peak_bytes)


class _Clock:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


@named_options
def published_plan(path: str | Path, *, folder: str | Path = ".") -> Plan:
    """The plan of a published data set, its learners with what they learned: ready for ``augment`` or ``for_analysis``.

    Files of functions of your own are looked for in ``folder`` and must be as they were, with the local modules that they
    import: a data set carries no code, and none is run before its sha256 was compared. Errors: NotADataset for a folder
    without a manifest; PlanError where such a file or the code of a step that is not ours is missing or has changed. What
    was learned is read when a step uses it, and raises then where it is gone or has changed. Models and weights are those of
    the data set, unless the files that the plan names are there as they were.
    """
    manifest = Manifest.read(path)
    kept = read_learned(Path(path), manifest)
    learned = {one.digest: one for one in kept.values()}
    plan = Plan.published(manifest.plan, folder=folder, learned=learned, files=read_named(Path(path), manifest))
    steps = []
    for step in labelled(plan.steps):
        augmenter = step.augmenter
        if isinstance(augmenter, Learner):
            if step.label not in kept:
                raise PlanError(f"what step {step.label!r} learned is not in the manifest of {path}; learn it again")
            augmenter = changed(augmenter, learned=kept[step.label])
        steps.append((step.label, augmenter))
    return changed(plan, steps=steps)
