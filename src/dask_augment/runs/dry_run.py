"""A trial before a long run: some events of each data set through the steps, and a test of the output folder."""

from __future__ import annotations

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Learner
from dask_augment.contract.questions import Asking
from dask_augment.dataset.manifest import Manifest, NotADataset
from dask_augment.dataset.publication import Job, RunFailed
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import to_table
from dask_augment.dataset.staging import is_free, left_aside, try_place
from dask_augment.frames.assumptions import count, sentence
from dask_augment.frames.questions import Question, Questions
from dask_augment.inputs.sources import BadInput
from dask_augment.messages import one_line
from dask_augment.runs.prepare import Work
from dask_augment.runs.tasks import failed
from dask_augment.runs.yields import moved

TRIED = 200
"""Events of each data set that a dry run puts through the steps."""


def tried(work: Work) -> list[str]:
    """Put the first events of each data set through the steps up to the first learner, and ask it its first question.

    What steps break of their promises shows here and not after hours; RunFailed names the file and the step. Returns what
    is to be known of steps that were not made for these events.
    """
    seen: set[str] = set()
    doubts: list[str] = []
    for part in work.parts:
        start, stop = part.input["start"], part.input["stop"]
        if part.dataset in seen or start == stop:
            continue
        seen.add(part.dataset)
        few = Part.of(part.dataset, {**part.input, "stop": min(stop, start + TRIED)})
        try:
            doubts += _try(work, few)
        except BadInput as error:
            raise RunFailed(str(error)) from error
        except Exception as error:
            raise failed("trying", few, error, after="Nothing was written") from error
    return doubts


def _try(work: Work, part: Part) -> list[str]:
    stage = work.stage.on(part.dataset)
    events = work.reader(part)
    # By the ids of the events as they are read, so that also steps after a learner are asked.
    counts: dict[str, int] = {}
    for step in stage.steps:
        count(counts, step, events, stage.setting)
    doubts = [
        f"data set {part.dataset!r}, {sentence(step.label, step.augmenter.doubt())}"
        for step in stage.steps
        if counts.get(step.label)
    ]
    for step in stage.untaught[:1]:
        assert isinstance(step.augmenter, Learner)
        first = Asking(step.augmenter.learning()).open
        Questions(tuple(Question.of(m, stage.before(step.label), step.label) for m in first)).measure(events)
        return doubts
    account = Account()
    to_table(stage.run(events, account)[list(work.columns)], work.job.schema)
    few = f"of the first {len(events)} events, " if (sums := moved(part.dataset, account, work.overwritten)) else ""
    return [*doubts, *(few + text for text in sums)]


def place_tried(job: Job) -> None:
    """RunFailed where the data set could not be written, as a folder that is made beside it and removed shows."""
    try:
        try_place(job)
    except OSError as error:
        raise RunFailed(f"{job.path} could not be made: {type(error).__name__}: {one_line(error)}") from error


def what_stands(job: Job) -> str:
    """What is in the place where the data set would be published."""
    if is_free(job.path):
        asides = left_aside(job.path)
        # A run brings it back first, and then finds the place taken.
        return (
            f"taken by a data set that a crash left in {asides[0]}, while it was being replaced" if asides else "free"
        )
    try:
        same = Manifest.read(job.path).digest == job.digest
    except NotADataset:
        return "taken by something that is not a data set of ours"
    return "published already" if same else "taken by the data set of another plan"
