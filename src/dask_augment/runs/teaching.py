"""Learners of a plan: each is taught in its turn by tasks over all parts, behind a checkpoint where that pays."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from dask_augment.contract import Learner, Measure
from dask_augment.dataset.job import Job
from dask_augment.dataset.layout import encode
from dask_augment.dataset.schema import schema_of
from dask_augment.forms import typetracer
from dask_augment.frames import learned as learned_by
from dask_augment.frames import refuse_repeats, total
from dask_augment.frames.eager import Stage, Step
from dask_augment.identity import POSITION, RepeatedIds
from dask_augment.learned import load
from dask_augment.runs.checkpoint import CheckpointReader, checkpoint_sink
from dask_augment.runs.pools import Pool
from dask_augment.runs.sources import BadInput
from dask_augment.runs.tasks import Ask, Finished, Progress, Segment, Unreadable, Write, failed, written

_IN_MANIFEST = 2**20


def taught(segment: Segment, job: Job, pool: Pool, show: Progress) -> Segment:
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
            learner = learned_by(step, before, _put(segment, pool, show), str(folder), check_ids=False)
            _note(note, {"digest": learner.learned.digest})
        segment = changed(segment, stage=segment.stage.with_step(changed(step, augmenter=learner)))
    return segment


def _note(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(values))
    draft.rename(path)


def _put(segment: Segment, pool: Pool, show: Progress) -> Callable[[Stage, Measure[Any], str], Any]:
    """Puts one question to all parts of the segment."""

    def put(stage: Stage, measure: Measure[Any], label: str) -> Any:
        needed = stage.needs(measure.uses(), keyed=measure.keyed)
        ask = Ask(segment.reader.narrowed(needed), stage, measure, label)
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
                raise failed(f"learning {label} from", batch[0], outcome) from outcome
            answers.append(outcome)
            show.advance(1)
        if unreadable:
            raise Unreadable(unreadable)
        return total(answers)

    return put


def _checkpointed(segment: Segment, step: Step, job: Job, pool: Pool, show: Progress) -> Segment:
    """The segment with the steps before ``step`` done and stored, where doing them for every question would cost.

    Dropping rows and making columns costs little more than reading, and products that nobody asks for are pruned.
    """
    before = segment.stage.before(step.label)
    if not any(s.augmenter.makes or s.augmenter.resources() for s in before.steps):
        return segment
    shape = before.shape_only(typetracer(segment.reader.form()))
    sink = checkpoint_sink(job.staging / "stages" / encode(step.label), schema_of(shape))
    write = Write(segment.reader, before, sink, tuple(shape.fields))
    written(write, segment.parts, Finished(), pool, show)
    reader = CheckpointReader(sink, tuple(shape.fields))
    return Segment(reader, segment.parts, segment.stage.after(before), segment.done + before.steps)


def learned_of(steps: Iterable[Step]) -> dict[str, Any]:
    """What the learners learned, by label, whole where it is small: for the manifest."""
    described = {}
    for step in steps:
        learned = getattr(step.augmenter, "learned", None)
        if learned is None:
            continue
        described[step.label] = {"digest": learned.digest, "bytes": learned.nbytes}
        if learned.nbytes <= _IN_MANIFEST:
            described[step.label]["npz"] = base64.b64encode(learned.to_bytes()).decode()
    return described
