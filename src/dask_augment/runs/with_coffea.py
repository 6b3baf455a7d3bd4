"""Carry out a plan with coffea's ``Runner``: its schema, its executor and its chunks, published by the same protocol."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dask_augment.contract import Measure
from dask_augment.dataset.sink import Sink
from dask_augment.frames.coffea import AugmentProcessor, Chunks
from dask_augment.frames.stage import Stage
from dask_augment.identity import POSITION
from dask_augment.inputs import DEFAULT_TREE
from dask_augment.plan import Inputs, Plan, PlanError
from dask_augment.runs.answers import Answers
from dask_augment.runs.paths import located
from dask_augment.runs.pools import Iterative
from dask_augment.runs.prepare import Work, prepare
from dask_augment.runs.sources import find
from dask_augment.runs.tasks import Finished, Segment

# NanoAODSchema gives photons a mass and a charge of its own, whatever the file says.
_OVERWRITTEN = ("Photon_mass", "Photon_charge")


def on_runner(plan: Plan, path: Path, runner: Any) -> tuple[Work, OnRunner]:
    """The work of a plan in the chunks of this ``processor.Runner``, and what asks and writes them.

    The rows and values are those of every other way to run the plan. Errors: PlanError for what only our own readers
    can do; else as :func:`dask_augment.run`.
    """
    inputs = plan.inputs
    assert isinstance(inputs, Inputs)
    if runner.maxchunks is not None:
        raise PlanError(
            f"the Runner has maxchunks={runner.maxchunks}, which reads a part of the events only: leave it out, or run "
            "the plan without runner=, with limit_files for a trial"
        )
    work = prepare(plan, path, Iterative(), chunksize=runner.chunksize)
    _refuse(work, inputs, runner)
    reader = work.reader
    base = os.path.abspath(plan.folder)
    files = [(part.dataset, part.input["file"]) for part in work.parts]
    # What is hashed is the name that the plan says; the Runner's workers may be elsewhere, and are given whole paths.
    told = base if not any(os.path.isabs(file) for _, file in files) else ""
    chunks = Chunks(
        runner,
        _fileset(inputs, base),
        inputs.tree or DEFAULT_TREE,
        weight=reader.weight,
        factors=reader.factors,
        base=told,
    )
    order = {(dataset, file if told else located(file, base)): at for at, (dataset, file) in enumerate(files)}
    found = sorted(
        chunks.parts, key=lambda chunk: (order[chunk[0].dataset, chunk[0].input["file"]], chunk[0].input["start"])
    )
    parts = tuple(part for part, _ in found)
    items = {part.id: item for part, item in found}
    return replace(work, parts=parts, job=replace(work.job, parts=parts)), OnRunner(chunks, items)


@dataclass(frozen=True)
class OnRunner:
    """Asks and writes the chunks of a Runner. Events are not stored between two passes: chunks come from files."""

    chunks: Chunks
    items: Mapping[str, Any]
    """The chunk of each part, by the part's id."""
    pool = Iterative()
    stores = False

    def ask(self, segment: Segment, answers: Answers, stage: Stage, measure: Measure[Any], label: str) -> Any:  # noqa: ARG002  all chunks are asked
        """The total over all chunks."""
        return self.chunks.ask(stage, measure, label)

    def write(self, segment: Segment, sink: Sink, columns: tuple[str, ...], done: Finished) -> None:  # noqa: ARG002  the sink's
        """Write the chunks that are not done."""
        left = [part for part in segment.parts if part.id not in done.files]
        if not left:
            return
        setting = segment.stage.setting
        processor = AugmentProcessor(
            *((step.label, step.augmenter) for step in segment.steps),
            purpose="training",
            seed=setting.seed,
            sink=sink,
            weight=self.chunks.weight,
            factors=self.chunks.factors,
            ids="position" if setting.ids == POSITION else setting.ids,
            weights=setting.weights,
            split=setting.split,
            base=self.chunks.base,
        )
        # A skipped file would be missing, and coffea's checkpoints know nothing of what was written.
        runner = replace(self.chunks.runner, skipbadfiles=False, use_result_type=False, checkpointer=None)
        runner.run([self.items[part.id] for part in left], processor)
        for part in left:
            receipt = sink.receipt(part.id)
            # Publishing names the parts that have none.
            if receipt is not None:
                done.add(receipt)


def _refuse(work: Work, inputs: Inputs, runner: Any) -> None:
    overwritten = [name for name in _OVERWRITTEN if name in work.columns]
    if overwritten and any(kind.__name__ == "NanoAODSchema" for kind in runner.schema.__mro__):
        raise PlanError(
            f"NanoAODSchema overwrites {overwritten[0]!r} with values of its own: leave it out of keep, or give the "
            "Runner schema=BaseSchema"
        )
    if inputs.folder is not None or inputs.weights or inputs.fill:
        what = "folder" if inputs.folder is not None else "weights" if inputs.weights else "fill"
        raise PlanError(f"inputs: {what} cannot be used with a coffea Runner; leave runner= out to read them")


def _fileset(inputs: Inputs, base: str) -> Mapping[str, Any]:
    sources, metadata = find(inputs, base=base)
    return {
        name: {
            "files": {located(source.location, base): source.tree for source in sources if source.dataset == name},
            "metadata": metadata[name],
        }
        for name in metadata
    }
