"""Carry out a plan with coffea's ``Runner``: its schema, its executor and its chunks, published by the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed
from pathlib import Path
from typing import Any
from uuid import UUID

from dask_augment.contract import Learner
from dask_augment.dataset.commit import each_receipt, open_staging, publish
from dask_augment.dataset.job import AlreadyCommitted
from dask_augment.dataset.receipt import Part
from dask_augment.frames import learned, refuse_repeats
from dask_augment.frames.coffea import AugmentProcessor, Chunks
from dask_augment.frames.eager import Stage
from dask_augment.plan import Inputs, Plan, PlanError
from dask_augment.runs.pools import Iterative
from dask_augment.runs.prepare import Work, prepare, refuse_unfinished
from dask_augment.runs.result import Result
from dask_augment.runs.sources import find
from dask_augment.runs.tasks import Finished, Silent, merged
from dask_augment.runs.teaching import learned_of

# NanoAODSchema gives photons a mass and a charge of its own, whatever the file says.
_OVERWRITTEN = ("Photon_mass", "Photon_charge")


def publish_with(plan: Plan, path: Path, runner: Any, *, resume: bool = False, replace: bool = False) -> Result:
    """Learn, augment and write in the chunks of this ``processor.Runner``, and publish.

    The rows and values are those of every other way to run the plan. Errors: PlanError for what only our own readers
    can do; else as :func:`dask_augment.run`.
    """
    inputs = plan.inputs
    assert isinstance(inputs, Inputs)
    work = prepare(plan, path, Iterative(), chunksize=runner.chunksize)
    _refuse(work, inputs, runner)
    chunks = Chunks(runner, _fileset(inputs), inputs.tree, weight=work.reader.weight, factors=work.reader.factors)
    items = {_part(item).id: item for item in chunks.items}
    job = changed(work.job, parts=tuple(map(_part, chunks.items)))
    refuse_unfinished(job, resume)
    sink = open_staging(job, replace=replace)
    if isinstance(sink, AlreadyCommitted):
        return Result(path, sink.manifest, {}, already=True)
    stage = _taught(work.stage, chunks, str(job.staging / "learned"))
    setting = stage.setting
    processor = AugmentProcessor(
        *((step.label, step.augmenter) for step in stage.steps),
        purpose="training",
        seed=setting.seed,
        sink=sink,
        weight=work.reader.weight,
        factors=work.reader.factors,
        ids="position" if inputs.ids == "position" else setting.ids,
        weights=setting.weights,
        split=setting.split,
    )
    done = {receipt.part for receipt in each_receipt(job)}
    left = [item for part, item in items.items() if part not in done]
    if left:
        # A skipped file would be missing, and coffea's checkpoints know nothing of what was written.
        changed(runner, skipbadfiles=False, use_result_type=False, checkpointer=None).run(left, processor)
    normalisation = {name: entry.to_dict() for name, entry in work.normalisation.items()}
    extra = {"normalisation": normalisation, "learned": learned_of(stage.steps)}
    finished = Finished()
    for receipt in each_receipt(job):
        finished.add(receipt)
    manifest = publish(job, merged=merged(job, finished, Iterative(), Silent()), replace=replace, extra=extra)
    return Result(path, manifest, {}, already=False)


def _refuse(work: Work, inputs: Inputs, runner: Any) -> None:
    overwritten = [name for name in _OVERWRITTEN if name in work.columns]
    if overwritten and any(kind.__name__ == "NanoAODSchema" for kind in runner.schema.__mro__):
        raise PlanError(
            f"NanoAODSchema overwrites {overwritten[0]!r} with values of its own: leave it out of keep, or give the "
            "Runner schema=BaseSchema"
        )
    if inputs.folder is not None or inputs.weights:
        what = "folder" if inputs.folder is not None else "weights"
        raise PlanError(f"inputs: {what} cannot be used with a coffea Runner; leave runner= out to read them")


def _fileset(inputs: Inputs) -> Mapping[str, Any]:
    sources, metadata = find(inputs)
    return {
        name: {
            "files": {source.path: source.tree for source in sources if source.dataset == name},
            "metadata": metadata[name],
        }
        for name in metadata
    }


def _part(item: Any) -> Part:
    """The part that a chunk is, as the processor will see it."""
    where = {
        "file": item.filename,
        "uuid": str(UUID(bytes=item.fileuuid)),
        "tree": item.treename,
        "start": item.entrystart,
        "stop": item.entrystop,
    }
    return Part.of(item.dataset, where)


def _taught(stage: Stage, chunks: Chunks, artefacts: str) -> Stage:
    if stage.keyed:
        refuse_repeats(changed(stage, steps=()), chunks.ask, "ids")
    for step in stage.steps:
        if isinstance(step.augmenter, Learner) and step.augmenter.learned is None:
            learner = learned(step, stage.before(step.label), chunks.ask, artefacts, check_ids=False)
            stage = stage.with_step(changed(step, augmenter=learner))
    return stage
