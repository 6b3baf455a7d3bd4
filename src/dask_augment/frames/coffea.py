"""coffea: a processor that augments the chunks of a ``Runner`` and writes them, and learning over such chunks.

With virtual arrays only the columns that steps use, and those that are written, are read. What returns from a chunk is
small: its receipt, or the account of its rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import awkward as ak
from coffea.processor import ProcessorABC

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.ids import IDS, POSITION
from dask_augment.contract.setting import Setting
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import empty_table
from dask_augment.dataset.sink import Sink, StagingGone
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.layouts import SLICE_BYTES
from dask_augment.frames import collision_data, columns_of, put_questions, run_stage
from dask_augment.frames.chunks import Made, only_traced, part_of
from dask_augment.frames.planning import settled
from dask_augment.frames.questions import Questions, Totals, total
from dask_augment.frames.stage import Slices, Stage
from dask_augment.frames.steps import labelled, refuse_unlearned
from dask_augment.frames.writing import Tables


class SinkError(RuntimeError):
    """A part could not be written. Never an OSError, which coffea's ``skipbadfiles`` takes for a bad input file."""


@dataclass(frozen=True)
class _Work:
    """A stage for any chunk, and how its data set, weight and ids come from coffea's metadata."""

    stage: Stage
    weight: str | None = None
    factors: Mapping[str, float] = field(default_factory=dict)

    def at(self, metadata: Mapping[str, Any], columns: Iterable[str]) -> tuple[Stage, Made]:
        """The stage with the chunk's data set and the names that wildcards match, and what makes the columns it adds."""
        setting = self.stage.setting
        position = setting.ids == POSITION
        # Under coffea's tracing there is no file yet, and no column is made.
        if position and "entrystart" in metadata and not metadata.get("fileuuid"):
            raise ValueError(
                f'ids="position" needs the uuid of a file, and {metadata["filename"]!r} has none (Parquet files have '
                "none): name the columns that identify an event"
            )
        dataset = setting.dataset if setting.dataset is not None else str(metadata["dataset"])
        made = Made(dict(metadata), self.weight, float(self.factors.get(dataset, 1.0)), position)
        steps = settled(self.stage.steps, columns)
        return Stage(steps, replace(setting, dataset=dataset)), made

    def refuse_on_data(self, events: ak.Array, metadata: Mapping[str, Any], others: Iterable[str] = ()) -> None:
        """ValueError where collision data would be trained on, or are said to have generator columns."""
        collision_data.refuse(self.stage, events, metadata, others, self.weight)


class AugmentProcessor(ProcessorABC):  # type: ignore[misc]
    """Augment chunks of events in coffea's ``Runner`` and write them as parts of a data set.

    A Runner returns ``{dataset: {part id: receipt}}``, receipts as dictionaries; without a sink, accounts in their
    place. Nothing happens under tracing but that columns are touched. With ``apply_to_fileset`` (dask mode) it
    returns the augmented events themselves, lazy.

    Parameters
    ----------
    augmenters, seed, ids, weights, split
        As in :func:`dask_augment.augment`; ``ids="position"``: the file's uuid and the entry in it.
    purpose
        "training" runs all steps. "analysis" leaves out those for training only.
    sink
        Where parts are written; its schema says which columns.
    weight
        Column that ``weight`` is made from, times the data set's entry in ``factors``; where a file lacks it, 1 takes
        its place. It is 0 on made rows too, where it is kept. None: the events have the weights they need.
    slice_bytes
        Bytes of events, and of what steps make of them, at a time; memory stays bounded where rows multiply.

    Errors: ValueError for training steps or generator columns on collision data (``is_mc: False`` in the fileset's
    metadata, or as other frameworks say it), SinkError where a part cannot be written.
    """

    def __init__(
        self,
        *augmenters: Augmenter | tuple[str, Augmenter],
        purpose: Literal["training", "analysis"],
        seed: int | None = None,
        sink: Sink | None = None,
        weight: str | None = None,
        factors: Mapping[str, float] | None = None,
        ids: Sequence[str] | Literal["position"] = IDS,
        weights: Sequence[str] | Literal["none"] = ("weight",),
        split: str | None = "split",
        slice_bytes: int = SLICE_BYTES,
    ) -> None:
        if purpose not in ("training", "analysis"):
            raise ValueError(f'purpose must be "training" or "analysis", got {purpose!r}')
        generator = weight if sink is None or weight in sink.schema.names else None
        setting = Setting(seed, None, POSITION if ids == "position" else ids, weights, split, generator)
        steps = labelled(augmenters)
        for step in steps:
            refuse_unlearned(step)
        if purpose == "analysis":
            steps = tuple(step for step in steps if step.augmenter.use != "training")
        self._work = _Work(Stage(steps, setting), weight, dict(factors or {}))
        self._sink = sink
        self._most = slice_bytes

    def process(self, events: Any) -> Any:
        """Augment one chunk; see the class for what is returned."""
        metadata = collision_data.metadata_of(events)
        if not isinstance(events, ak.Array):
            return self._lazy(events, metadata)
        names = self._sink.schema.names if self._sink else []
        stage, made = self._work.at(metadata, columns_of(events))
        self._work.refuse_on_data(events, metadata, names)
        if only_traced(events, metadata):
            if ak.backend(events) == "typetracer":
                result = stage.shape_only(made(events))
                forms.touch(result, [name for name in names if cols.has(result, name)])
            return {}
        part = part_of(metadata)
        if self._sink is not None:
            return {part.dataset: {part.id: self._written(self._sink, part, stage, made, events)}}
        account = Account()
        for _ in stage.pieces(made(events), account, Slices(self._most)):
            pass
        return {part.dataset: {part.id: account.to_dict()}}

    def postprocess(self, accumulator: Any) -> None:
        """Nothing is left to do."""

    def _lazy(self, events: Any, metadata: Mapping[str, Any]) -> Any:
        stage, made = self._work.at(metadata, columns_of(events))
        self._work.refuse_on_data(events, metadata)
        if self._sink is not None or made.position:
            raise ValueError(
                "in dask mode a partition does not know its file and entries, so neither sink= nor ids='position' "
                "can be used: use a processor.Runner"
            )
        if made.weight is not None:
            events = events.map_partitions(made, label="weight", output_divisions=1)
        return run_stage(events, stage)

    def _written(self, sink: Sink, part: Part, stage: Stage, made: Made, events: ak.Array) -> dict[str, Any]:
        tables = Tables(stage, sink.schema, map(made, [events]), most=self._most)
        try:
            # Even an empty slice of virtual arrays would read every column that is written.
            pieces = tables if len(events) else [empty_table(sink.schema)]
            receipt = sink.write_part(part, pieces, lambda: tables.account)
        except (OSError, StagingGone) as error:
            if error is tables.error:
                raise
            raise SinkError(
                f"part {part.id} ({part.input['file']}, entries {part.input['start']} to {part.input['stop']}) was not "
                f"written: {type(error).__name__}: {error}"
            ) from None
        written: dict[str, Any] = json.loads(receipt.to_json())
        return written


@dataclass
class Total:
    """The answers of chunks: coffea adds them up, with the ``+`` of what was measured."""

    value: Any

    def __add__(self, other: Total) -> Total:
        return Total(total([self.value, other.value]))


class MeasureProcessor(ProcessorABC):  # type: ignore[misc]
    """Put questions of learners to the chunks of a Runner; the accumulated output is a :class:`Total` of their answers.

    See :class:`AugmentProcessor` for the options.
    """

    def __init__(
        self, questions: Questions, *, weight: str | None = None, factors: Mapping[str, float] | None = None
    ) -> None:
        self._questions = questions
        self._work = tuple(_Work(one.stage, weight, dict(factors or {})) for one in questions.questions)

    def process(self, events: ak.Array) -> Total:
        """The answers of one chunk."""
        metadata = collision_data.metadata_of(events)
        columns, asked = columns_of(events), []
        for work, one in zip(self._work, self._questions.questions, strict=True):
            stage, made = work.at(metadata, columns)
            work.refuse_on_data(events, metadata, one.measure.uses())
            asked.append(replace(one, stage=stage))
        questions = Questions(tuple(asked))
        if only_traced(events, metadata):
            if ak.backend(events) == "typetracer":
                questions.touch(made(events))
            return Total(None)
        return Total(None if len(events) == 0 else questions.measure(made(events)))

    def postprocess(self, accumulator: Any) -> None:
        """Nothing is left to do."""


class Chunks:
    """The chunks of a fileset, for ``learn(Chunks(runner, fileset), learner, ...)``; files are opened once to find them.

    ``weight`` and ``factors`` as in :class:`AugmentProcessor`; ``ids="position"`` can be used.
    """

    knows_position = True

    def __init__(
        self, runner: Any, fileset: Any, treename: str = "Events", *, weight: str | None = None,
        factors: Mapping[str, float] | None = None, uproot_options: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.runner = runner
        self.uproot_options = dict(uproot_options or {})
        self.items = list(runner.preprocess(fileset, treename=treename, uproot_options=self.uproot_options))
        self.weight, self.factors = weight, dict(factors or {})

    def ask(self, questions: Questions) -> Totals:
        """The totals over all chunks."""
        processor = MeasureProcessor(questions, weight=self.weight, factors=self.factors)
        # Skipped files would be missing, and a checkpoint would bring the answer to another question.
        runner = replace(self.runner, use_result_type=False, savemetrics=False, skipbadfiles=False, checkpointer=None)
        output = runner.run(self.items, processor, uproot_options=self.uproot_options)
        if output["exception"]:
            raise output["exception"]
        return questions.total([output["out"].value])


put_questions.register(Chunks, Chunks.ask)
