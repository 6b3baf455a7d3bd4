"""The tasks of a run, what they return, and how their errors are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import awkward as ak

from dask_augment.addresses import untold
from dask_augment.contract import Measure
from dask_augment.dataset.job import Job, RunFailed
from dask_augment.dataset.merge import Group, merge, merge_groups
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.receipt import Part, Receipt, Written
from dask_augment.dataset.schema import to_table
from dask_augment.dataset.sink import Sink
from dask_augment.flow import Step
from dask_augment.frames import total
from dask_augment.frames.stage import Stage
from dask_augment.identity import RepeatedIds
from dask_augment.inputs.reader import Reader
from dask_augment.inputs.sources import BadInput
from dask_augment.meters import Account
from dask_augment.runs.answers import Answers
from dask_augment.runs.checkpoint import CheckpointReader
from dask_augment.runs.pools import Pool
from dask_augment.runs.prepare import for_dataset
from dask_augment.runs.progress import Progress
from dask_augment.words import counted

KEPT = "Nothing was published; what is done is kept: mend the cause and run the plan again with resume (--resume)"


def _pieces(reader: Reader | CheckpointReader, stage: Stage, part: Part, account: Account) -> Iterator[ak.Array]:
    """The events of a part after the stage, a slice at a time: no more is held of them than some slices."""
    stage = for_dataset(stage, part.dataset)
    for events in reader.batches(part):
        yield from stage.pieces(events, account)


@dataclass(frozen=True)
class Write:
    """Augment one part and write it."""

    reader: Reader | CheckpointReader
    stage: Stage
    sink: Sink
    columns: tuple[str, ...]
    name = "augment-write"

    @property
    def resources(self) -> dict[str, float]:
        """What a worker must have free."""
        return self.stage.resources

    def __call__(self, part: Part) -> Receipt:
        """The receipt of a part, written now unless it was before."""
        known = self.sink.receipt(part.id)
        if known is not None:
            return known
        account = Account()
        before = self.reader.account(part)
        pieces = _pieces(self.reader, self.stage, part, account)
        tables = (to_table(piece[list(self.columns)], self.sink.schema) for piece in pieces)
        return self.sink.write_part(part, tables, lambda: account if before is None else before.then(account))


@dataclass(frozen=True)
class Ask:
    """The answer of some parts to one question."""

    reader: Reader | CheckpointReader
    stage: Stage
    measure: Measure[Any]
    label: str
    name = "augment-learn"

    @property
    def resources(self) -> dict[str, float]:
        """What a worker must have free."""
        return self.stage.resources

    def __call__(self, parts: tuple[Part, ...]) -> Answer:
        """The total over these parts, but for those whose events cannot be read for now: these alone are asked again."""
        answers, done, again = [], [], []
        for part in parts:
            try:
                asked = replace(for_dataset(self.stage, part.dataset), steps=())
                pieces = _pieces(self.reader, self.stage, part, Account())
                answers.append(total(asked.measure(piece, self.measure, self.label) for piece in pieces))
            except Exception as error:
                if len(parts) == 1 or classify(error) != "transient":
                    raise
                again.append(part)
            else:
                done.append(part.id)
        return Answer(total(answers), tuple(done), tuple(again))


@dataclass(frozen=True)
class Answer:
    """The answer of some parts."""

    total: Any
    """None where they have no rows to ask."""
    done: tuple[str, ...]
    """Ids of the parts."""
    again: tuple[Part, ...]
    """Parts whose events could not be read for now."""


@dataclass(frozen=True)
class Segment:
    """Parts that are left to read, and the steps that are left to do on them."""

    reader: Reader | CheckpointReader
    parts: tuple[Part, ...]
    stage: Stage
    done: tuple[Step, ...] = ()
    """Steps that were done on what is read."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return self.done + self.stage.steps


class Unreadable(Exception):
    """Input files turned out unreadable while the run was under way."""

    def __init__(self, errors: Sequence[BadInput]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass
class Finished:
    """What the parts that are done left: their files, the seconds of each step over all workers, the most memory of one."""

    files: dict[str, tuple[Written, ...]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0

    def add(self, receipt: Receipt) -> None:
        """One part more; no more of a receipt is kept than is needed, there may be a hundred thousand."""
        self.files[receipt.part] = receipt.files
        self.peak_bytes = max(self.peak_bytes, receipt.peak_bytes)
        for label, seconds in receipt.account.seconds.items():
            self.seconds[label] = self.seconds.get(label, 0.0) + seconds


@dataclass(frozen=True)
class Tasks:
    """Puts questions to the parts of a run and writes them, in a pool."""

    pool: Pool
    show: Progress

    def ask(self, segment: Segment, answers: Answers, stage: Stage, measure: Measure[Any], label: str) -> Any:
        """The total over all parts; Unreadable where files of theirs cannot be read."""
        needed = stage.needed(measure.uses(), keyed=measure.keyed)
        question = Ask(segment.reader.narrowed(needed), stage, measure, label)
        kept = answers.to(measure, label)
        known = list(kept.known({part.id for part in segment.parts}))
        found = [answer for _, answer in known]
        done = frozenset[str]().union(*(parts for parts, _ in known))
        left = tuple(part for part in segment.parts if part.id not in done)
        size = max(1, min(32, len(left) // (4 * self.pool.workers)))
        batches = [left[i : i + size] for i in range(0, len(left), size)]
        self.show.start(f"learning {label}", len(segment.parts))
        self.show.advance(len(done))
        again: list[Part] = []
        unreadable: list[BadInput] = []
        # What could not be read for now is asked again part by part: a batch would hold up all for one.
        for several in (batches, ((part,) for part in again)):
            for batch, outcome in self.pool.map(question, several):
                if isinstance(outcome, BadInput):
                    unreadable.append(outcome)
                elif isinstance(outcome, RepeatedIds):
                    raise outcome
                elif isinstance(outcome, BaseException):
                    raise failed(f"learning {label} from", batch[0], outcome) from outcome
                else:
                    kept.keep(outcome.done, outcome.total)
                    found.append(outcome.total)
                    again += outcome.again
                    self.show.advance(len(outcome.done))
        if unreadable:
            raise Unreadable(unreadable)
        return total(found)

    def write(self, segment: Segment, sink: Sink, columns: tuple[str, ...], done: Finished) -> None:
        """Write the parts that are not done; Unreadable where files of theirs cannot be read."""
        left = [part for part in segment.parts if part.id not in done.files]
        self.show.start("augmenting", len(segment.parts))
        self.show.advance(len(segment.parts) - len(left))
        unreadable = []
        for part, outcome in self.pool.map(Write(segment.reader, segment.stage, sink, columns), left):
            if isinstance(outcome, BadInput):
                unreadable.append(outcome)
            elif isinstance(outcome, BaseException):
                raise failed("augmenting", part, outcome) from outcome
            else:
                done.add(outcome)
            self.show.advance(1)
        if unreadable:
            raise Unreadable(unreadable)


@dataclass(frozen=True)
class _Merge:
    """Merge the files of small parts."""

    sink: Sink
    name = "augment-merge"

    def __call__(self, group: Group) -> Receipt:
        return merge(self.sink, group)


def merged(job: Job, done: Finished, pool: Pool, show: Progress) -> list[Receipt]:
    """Merge small files into files of a useful size; returns the receipts of the merged ones."""
    groups = merge_groups(job, done.files)
    show.start("merging small files", len(groups))
    receipts = []
    for group, outcome in pool.map(_Merge(job.sink), groups):
        if isinstance(outcome, BaseException):
            raise RunFailed(
                f"merging {counted(len(group.files), 'file')} of {group.folder!r} failed: {type(outcome).__name__}: "
                f"{outcome}\n{KEPT}"
            ) from outcome
        receipts.append(outcome)
        show.advance(1)
    return receipts


def failed(what: str, part: Part, error: BaseException, after: str = KEPT) -> RunFailed:
    """The error of a task, with where it happened and how to go on; no text of either tells what opens a file."""
    untold(error)
    where = part.input
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return RunFailed(
        f"{what} {where['file']!r}, entries {where['start']} to {where['stop']}, failed: {type(error).__name__}: "
        f"{error}{notes}\n{after}"
    )
