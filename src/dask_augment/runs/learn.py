"""Teach the learners of a plan, each in its turn, by tasks over all parts; with a checkpoint where that pays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from dataclasses import replace as changed
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

from dask_augment.contract.augmenter import Augmenter, Learner
from dask_augment.contract.flow import Step
from dask_augment.contract.learned import Learned, load
from dask_augment.contract.nesting import inner_steps, whole
from dask_augment.dataset.layout import encode
from dask_augment.dataset.publication import Job
from dask_augment.dataset.schema import schema_of
from dask_augment.dataset.store import files
from dask_augment.frames.learning import Data, teach
from dask_augment.frames.questions import Questions, Totals, Work
from dask_augment.frames.stage import Stage
from dask_augment.inputs.reader import Reader
from dask_augment.models.bundle import copied
from dask_augment.plans.registry import with_labels
from dask_augment.runs.answers import Answers
from dask_augment.runs.checkpoint import CheckpointReader, checkpoint_sink
from dask_augment.runs.prepare import shape_of
from dask_augment.runs.tasks import Finished, Segment, Tasks

_UNIQUE = "unique.json"
"""The note that no event stands twice: of all rows, test rows too."""


@dataclass(frozen=True)
class Lessons(Data):
    """The parts of a run and the steps that are left to do on them; what is learned is kept in staging."""

    segment: Segment
    job: Job
    tasks: Tasks
    answers: Answers

    @property
    def notes(self) -> Path:
        """Where it is noted what was learned."""
        return self.job.staging / "learned"

    def left(self) -> Stage:
        """The steps that are left to do."""
        return self.segment.stage

    def folder(self) -> str:
        """Where what is learned is kept."""
        return str(self.notes)

    def having(self, step: Step) -> Lessons:
        """The same with this step in place of the one of its label."""
        return changed(self, segment=changed(self.segment, stage=self.segment.stage.with_step(step)))

    def put(self, questions: Questions) -> Totals:
        """The totals over all parts."""
        return self.tasks.ask(self.segment, self.answers, questions)

    def work(self, work: Work, total: Any) -> Learned:
        """Have it done by one worker."""
        return self.tasks.work(work, total)

    def stores(self, before: Stage) -> bool:
        """Where doing the steps for every question would cost.

        Dropping rows and making columns costs little more than reading, and products that nobody asks for are pruned.
        """
        return any(s.augmenter.makes or s.augmenter.resources() for s in before.steps)

    def stored(self, before: Stage) -> Lessons:
        """The same with the steps done and their result stored."""
        segment = self.segment
        shape = shape_of(before, segment.reader)
        columns = tuple(shape.fields)
        stored = self.job.staging / "stages" / f"{len(segment.done) + len(before.steps):03d}"
        files.make_below(self.job.staging, stored.parent)
        sink = checkpoint_sink(stored, schema_of(shape))
        self.tasks.write(changed(segment, stage=before), sink, columns, Finished())
        reader = CheckpointReader(sink, columns)
        left = Segment(reader, segment.parts, segment.stage.after(before), segment.done + before.steps)
        return changed(self, segment=left)

    def known(self, step: Step) -> Learned | None:
        """What the step learned in a run that goes on."""
        return _kept(self.notes, _noted(self._note_of(step)).get("digest"))

    def learned(self, step: Step) -> Lessons:
        """The same with the step that has learned now, of which a note is made."""
        learned = step.augmenter.learned
        assert isinstance(learned, Learned)
        if _kept(self.notes, learned.digest) is None:
            # A file of its name was there, cut short.
            learned.put(self.folder())
        _note(self.job, self._note_of(step), {"digest": learned.digest})
        self.answers.forget(step.label)
        return self.having(step)

    def unique(self) -> None:
        """No event stands twice, of which a note is made."""
        _note(self.job, self.notes / _UNIQUE, {"unique": True})
        self.answers.forget("")

    def _note_of(self, step: Step) -> Path:
        return self.notes / "steps" / f"{encode(step.label)}.json"


def taught(segment: Segment, job: Job, tasks: Tasks) -> Segment:
    """The segment with every learner taught; what was learned is kept in staging, for a run that goes on.

    It is made sure that no event stands twice, which would be wrong whatever the steps are.
    """
    lessons = Lessons(segment, job, tasks, Answers(job.staging))
    # Ids of the reader's own making, of a file and an entry, cannot stand twice.
    made = isinstance(segment.reader, Reader) and segment.reader.position
    checked = made or bool(_noted(lessons.notes / _UNIQUE))
    return teach(lessons, check=None if checked else "").segment


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


def files_of(steps: Iterable[Step]) -> dict[str, dict[str, bytes]]:
    """The files that steps name with their sha256, models and weights, as they are now: for the data set."""
    found = {}
    for step in (inner for entry in steps for inner in whole(entry.augmenter)):
        values = step.configuration()
        for option in fields(step):
            name = values[option.name] if option.metadata.get("file") else None
            if isinstance(name, str) and name and values.get("sha256"):
                found[name] = copied(name, values["sha256"])
    return found


def learned_before(steps: Iterable[Step]) -> list[str]:
    """The labels of steps that came with what they had learned: their reports are of the events that they learned from."""
    return [s.label for s in steps if isinstance(s.augmenter, Learner) and s.augmenter.learned is not None]
