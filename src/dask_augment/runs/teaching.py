"""Learners of a plan: each is taught in its turn by tasks over all parts, behind a checkpoint where that pays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

from dask_augment.contract import Augmenter, Learner
from dask_augment.dataset.job import Job
from dask_augment.dataset.layout import encode
from dask_augment.dataset.schema import schema_of
from dask_augment.dataset.store import files
from dask_augment.flow import Step
from dask_augment.frames import learned as learned_by
from dask_augment.frames import refuse_repeats
from dask_augment.identity import POSITION
from dask_augment.learned import Learned, load
from dask_augment.nesting import inner_steps
from dask_augment.registry import with_labels
from dask_augment.runs.answers import Answers
from dask_augment.runs.checkpoint import CheckpointReader, checkpoint_sink
from dask_augment.runs.prepare import shape_of
from dask_augment.runs.tasks import Finished, Segment, Tasks


def taught(segment: Segment, job: Job, tasks: Tasks) -> Segment:
    """The segment with every learner taught; what was learned is kept in staging, for a run that goes on.

    First it is made sure that no event stands twice, which would be wrong whatever the steps are.
    """
    folder = job.staging / "learned"
    ids = folder / "ids.json"
    # A step may have the label "ids".
    asked, answers = (Answers(job.staging, f"answers/{name}") for name in ("ids", "steps"))
    if segment.stage.setting.ids != POSITION and not _noted(ids):
        refuse_repeats(changed(segment.stage, steps=()), partial(tasks.ask, segment, asked), "ids")
        _note(job, ids, {"unique": True})
        asked.forget("ids")
    for step in segment.stage.steps:
        if not isinstance(step.augmenter, Learner) or step.augmenter.learned is not None:
            continue
        note = folder / "steps" / f"{encode(step.label)}.json"
        learned = _kept(folder, _noted(note).get("digest"))
        if learned is not None:
            learner: Any = changed(step.augmenter, learned=learned)
        else:
            segment = _checkpointed(segment, step, job, tasks)
            before = segment.stage.before(step.label)
            learner = learned_by(step, before, partial(tasks.ask, segment, answers), str(folder), check_ids=False)
            if _kept(folder, learner.learned.digest) is None:
                # A file of its name was there, cut short.
                learner.learned.put(str(folder))
            _note(job, note, {"digest": learner.learned.digest})
            answers.forget(step.label)
        segment = changed(segment, stage=segment.stage.with_step(changed(step, augmenter=learner)))
    return segment


def _note(job: Job, path: Path, values: Mapping[str, Any]) -> None:
    """Write a note; a run that is killed now leaves all of it or nothing. FileNotFoundError where staging is gone."""
    files.make_below(job.staging, path.parent)
    draft = path.with_name(f"{path.name}.{uuid4().hex[:12]}")
    files.write_new(draft, [json.dumps(values).encode()])
    files.rename(draft, path)
    files.sync_folder(path.parent)


def _noted(path: Path) -> dict[str, Any]:
    """What a note says; nothing where there is none that can be read."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _kept(folder: Path, digest: str | None) -> Learned | None:
    """The arrays that were put here; None, and they are out of the way, where they cannot be read."""
    if digest is None:
        return None
    try:
        return load(str(folder), digest)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        files.remove(folder / f"{digest}.npz")
        return None


def _checkpointed(segment: Segment, step: Step, job: Job, tasks: Tasks) -> Segment:
    """The segment with the steps before ``step`` done and stored, where doing them for every question would cost.

    Dropping rows and making columns costs little more than reading, and products that nobody asks for are pruned.
    """
    before = segment.stage.before(step.label)
    if not any(s.augmenter.makes or s.augmenter.resources() for s in before.steps):
        return segment
    shape = shape_of(before, segment.reader)
    columns = tuple(shape.fields)
    stored = job.staging / "stages" / encode(step.label)
    files.make_below(job.staging, stored.parent)
    sink = checkpoint_sink(stored, schema_of(shape))
    tasks.write(changed(segment, stage=before), sink, columns, Finished())
    reader = CheckpointReader(sink, columns)
    return Segment(reader, segment.parts, segment.stage.after(before), segment.done + before.steps)


def reports_of(steps: Iterable[Step]) -> dict[str, list[dict[str, Any]]]:
    """What steps say of the rows that they made or left, by label: for the manifest."""
    return {s.label: report for s in steps if isinstance(s.augmenter, Learner) and (report := s.augmenter.report())}


def _learned_inside(label: str, step: Augmenter) -> Iterator[tuple[str, Learned]]:
    """What a step and the steps inside it learned, under the label and the names of these."""
    learned: Learned | None = step.learned
    if learned is not None:
        yield label, learned
    for name, inner in with_labels([*inner_steps(step)]):
        yield from _learned_inside(f"{label}.{name}", inner)


def learned_of(steps: Iterable[Step]) -> dict[str, Learned]:
    """What the learners learned, by label: for the data set."""
    return dict(pair for step in steps for pair in _learned_inside(step.label, step.augmenter))


def learned_before(steps: Iterable[Step]) -> list[str]:
    """The labels of steps that came with what they had learned: their reports are of the events that they learned from."""
    return [s.label for s in steps if isinstance(s.augmenter, Learner) and s.augmenter.learned is not None]
