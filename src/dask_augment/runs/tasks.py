"""The tasks of a run, their results, and the report of their errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask_augment.contract.flow import Step
from dask_augment.contract.ids import RepeatedIds
from dask_augment.contract.learned import Learned
from dask_augment.dataset.merge import Group, merge, merge_groups
from dask_augment.dataset.publication import Job, RunFailed
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.receipt import Part, Receipt, Written
from dask_augment.dataset.sink import Sink
from dask_augment.files.addresses import untold
from dask_augment.frames.questions import Fold, Questions, Totals, Work
from dask_augment.frames.stage import Stage
from dask_augment.frames.writing import Tables
from dask_augment.inputs.reader import Reader
from dask_augment.inputs.sources import BadInput
from dask_augment.messages import counted
from dask_augment.runs.answers import Answers
from dask_augment.runs.checkpoint import CheckpointReader
from dask_augment.runs.pools import Pool
from dask_augment.runs.progress import Progress

KEPT = "Nothing was published; what is done is kept: mend the cause and run the plan again with resume (--resume)"


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
        before = self.reader.account(part)
        tables = Tables(self.stage.on(part.dataset), self.sink.schema, self.reader.batches(part), self.columns)
        return self.sink.write_part(part, tables, lambda: before.then(tables.account) if before else tables.account)


@dataclass(frozen=True)
class Ask:
    """The answers of some parts to questions."""

    reader: Reader | CheckpointReader
    questions: Questions
    name = "augment-learn"

    @property
    def resources(self) -> dict[str, float]:
        """What a worker must have free."""
        return self.questions.resources

    def __call__(self, parts: tuple[Part, ...]) -> Answer:
        """The totals over these parts, but for those whose events cannot be read for now: these alone are asked again."""
        done: list[str] = []
        again: list[Part] = []
        totals = self.questions.total(self._each(parts, done, again))
        return Answer(totals, tuple(done), tuple(again))

    def _each(self, parts: Sequence[Part], done: list[str], again: list[Part]) -> Iterator[Totals]:
        for part in parts:
            try:
                answer = self.questions.on(part.dataset).over(self.reader.batches(part))
            except Exception as error:
                if len(parts) == 1 or classify(error) != "transient":
                    raise
                again.append(part)
            else:
                done.append(part.id)
                yield answer


@dataclass(frozen=True)
class Answer:
    """The answers of some parts."""

    totals: Totals
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

    def ask(self, segment: Segment, answers: Answers, questions: Questions) -> Totals:
        """The totals over all parts, each read once; Unreadable where files of theirs cannot be read."""
        kept = [answers.to(one.measure, one.label) for one in questions.questions]
        folds = [Fold() for _ in kept]
        left: dict[tuple[int, ...], list[Part]] = {}
        known = [frozenset[str]() for _ in kept]
        for number, one in enumerate(kept):
            for ids, answer in one.known({part.id for part in segment.parts}):
                folds[number].add(answer)
                known[number] |= ids
        for part in segment.parts:
            # A run that was cut off may have kept the answer to one question and not to another.
            left.setdefault(tuple(n for n, ids in enumerate(known) if part.id not in ids), []).append(part)
        self.show.start(f"learning {questions.told}", len(segment.parts))
        self.show.advance(len(left.pop((), ())))
        for numbers, parts in left.items():
            some = Questions(tuple(questions.questions[n] for n in numbers))
            for outcome in self._asked(Ask(segment.reader.narrowed(some.needs()), some), parts):
                for number, answer in zip(numbers, outcome.totals.answers, strict=True):
                    kept[number].keep(outcome.done, answer)
                    folds[number].add(answer)
                self.show.advance(len(outcome.done))
        return Totals(tuple(fold.total for fold in folds))

    def _asked(self, ask: Ask, parts: Sequence[Part]) -> Iterator[Answer]:
        size = max(1, min(32, len(parts) // (4 * self.pool.workers)))
        batches = [tuple(parts[i : i + size]) for i in range(0, len(parts), size)]
        again: list[Part] = []
        unreadable: list[BadInput] = []
        # What could not be read for now is asked again part by part: a batch would hold up all for one.
        for several in (batches, ((part,) for part in again)):
            for batch, outcome in self.pool.map(ask, several):
                if isinstance(outcome, BadInput):
                    unreadable.append(outcome)
                elif isinstance(outcome, RepeatedIds):
                    raise outcome
                elif isinstance(outcome, BaseException):
                    raise failed(f"learning {ask.questions.told} from", batch[0], outcome) from outcome
                else:
                    again += outcome.again
                    yield outcome
        if unreadable:
            raise Unreadable(unreadable)

    def work(self, work: Work, total: Any) -> Learned:
        """What comes of the total of a question, done by one worker."""
        ((_, outcome),) = self.pool.map(work, [total])
        if isinstance(outcome, BaseException):
            untold(outcome)
            raise RunFailed(
                f"{type(work.fit).__name__} failed: {type(outcome).__name__}: {outcome}\n{KEPT}"
            ) from outcome
        return outcome  # type: ignore[no-any-return]

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
