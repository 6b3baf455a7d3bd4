"""Steps run now, on awkward events in memory: every other frame calls this one for each of its partitions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content
from numpy.typing import NDArray

from dask_augment import columns as cols
from dask_augment import forms
from dask_augment.contract import KINDS, Measure, Output
from dask_augment.draw import Draw, composed
from dask_augment.frames.given import given, only
from dask_augment.frames.promise import PromiseBroken, checked
from dask_augment.frames.rows import (
    CHANGED,
    PROVENANCE,
    TRAIN,
    alters,
    changed,
    kept,
    merged,
    spares_originals,
    spread,
    training_rows,
)
from dask_augment.frames.steps import Setting, Step, labelled, refuse_unlearned
from dask_augment.identity import copy_numbers, dataset_codes, refuse_keyless, row_ids
from dask_augment.meters import Account

__all__ = ["CHANGED", "PROVENANCE", "TRAIN", "PromiseBroken", "Setting", "Stage", "Step", "labelled"]


@dataclass(frozen=True)
class Stage:
    """Steps in order, with their setting: the function that a frame runs on each partition."""

    steps: tuple[Step, ...]
    setting: Setting

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (*((s.label, s.position, s.augmenter.digest) for s in self.steps), repr(self.setting))

    @property
    def keyed(self) -> bool:
        """Whether any step reads ids."""
        return any(step.augmenter.keyed for step in self.steps)

    @property
    def keeps_rows(self) -> bool:
        """Whether rows stay as they are."""
        return all(step.augmenter.keeps_rows for step in self.steps)

    def run(self, events: ak.Array, account: Account | None = None) -> ak.Array:
        """Augment one slice of events; ``account`` is told what became of the rows."""
        if account is None:
            # Nobody asked for sums of weights, and a lazy reader may not have read the weights.
            for step in self.steps:
                events = self._step(step, events, Account())
            return events
        account.rows_in += len(events)
        _add_weights(account.weights_in, events, self.setting.weights)
        for step in self.steps:
            began = time.perf_counter()
            events = self._step(step, events, account)
            account.seconds[step.label] = account.seconds.get(step.label, 0.0) + time.perf_counter() - began
        account.rows_out += len(events)
        _add_weights(account.weights_out, events, self.setting.weights)
        return events

    def pieces(self, events: ak.Array, rows: int, account: Account | None = None) -> Iterator[ak.Array]:
        """Augment a slice at a time, so that about ``rows`` rows come out at once: the same rows as :meth:`run`.

        How far rows multiply is seen from slice to slice.
        """
        size = rows if self.keeps_rows else max(rows // 16, 1)
        start = 0
        while start < max(len(events), 1):
            piece = self.run(events[start : start + size], account)
            yield piece
            start += size
            size = max(1, min(4 * size, rows, size * rows // max(len(piece), 1)))

    def shape_only(self, events: ak.Array) -> ak.Array:
        """The form of the result for events that are typetracers; marks the columns that will be read."""
        for step in self.steps:
            if step.augmenter.keyed:
                self._seed(step.label)
                refuse_keyless(events, self.setting.ids, self.setting.dataset)
            forms.touch(events, self.reads(step, events))
            columns = self._promised(step, events)
            events = _shape(step, events, columns)
        return events

    def reads(self, step: Step, events: ak.Array) -> frozenset[str]:
        """All columns that a step needs of these events: those it uses, ids, provenance, split and weights."""
        augmenter, setting = step.augmenter, self.setting
        needed = set(augmenter.uses() - given(augmenter.uses(), events, setting))
        if augmenter.keyed:
            needed |= set(setting.ids)
            needed |= {"dataset"} if setting.dataset is None else set()
        if augmenter.keyed or augmenter.makes:
            needed |= {name for name in PROVENANCE if cols.has(events, name)}
        if augmenter.use == "training":
            needed |= self._spared(step, events)
        if augmenter.makes:
            needed |= {name for name in setting.weights if cols.has(events, name)}
        if alters(step, events) and cols.has(events, CHANGED):
            needed.add(CHANGED)
        return frozenset(needed)

    def _spared(self, step: Step, events: ak.Array) -> set[str]:
        """What a training step needs to tell the rows that it leaves alone, and to fill up its columns for those."""
        tell = {self.setting.split or ""} if self._split_column(step, events) else set()
        if spares_originals(step) and cols.has(events, "augment_kind"):
            tell.add("augment_kind")
        if not tell:
            return set()
        produced = step.augmenter.produces()
        counters = {f"n{name.partition('.')[0]}" for name in produced if "." in name and not cols.has(events, name)}
        return (
            tell
            | {name for name in produced if cols.has(events, name)}
            | {name for name in counters if cols.has(events, name)}
        )

    def before(self, label: str) -> Stage:
        """The steps before this one."""
        at = next(i for i, step in enumerate(self.steps) if step.label == label)
        return replace(self, steps=self.steps[:at])

    def pruned(self, needed: frozenset[str]) -> Stage:
        """Without row-keeping steps whose products nobody needs; ``needed`` are the columns asked for at the end."""
        wanted = {cols.dotted(name) for name in needed}
        kept: list[Step] = []
        for step in reversed(self.steps):
            products = {cols.dotted(name) for name in step.augmenter.produces()}
            if step.augmenter.keeps_rows and not products & wanted:
                continue
            kept.append(step)
            extra = set(step.augmenter.uses()) | (set(self.setting.ids) if step.augmenter.keyed else set())
            if step.augmenter.use == "training" and self.setting.split is not None:
                extra.add(self.setting.split)
            wanted |= {cols.dotted(name) for name in extra}
        return replace(self, steps=tuple(reversed(kept)))

    def needs(self, final: Iterable[str], *, keyed: bool) -> frozenset[str]:
        """Every column that the steps and a question about ``final`` may read, whether there is one or not."""
        setting = self.setting
        needed = {*final, *PROVENANCE, CHANGED, setting.split or "split", "dataset"}
        for step in self.steps:
            needed |= step.augmenter.uses()
        if keyed or self.keyed:
            needed |= {*setting.ids}
        if not self.keeps_rows:
            needed |= {*setting.weights}
        return frozenset(needed)

    def after(self, done: Stage) -> Stage:
        """The steps that are left when those of ``done``, the first ones, are done."""
        return replace(self, steps=self.steps[len(done.steps) :])

    def with_step(self, step: Step) -> Stage:
        """The stage with this step in place of the one of its label."""
        return replace(self, steps=tuple(step if old.label == step.label else old for old in self.steps))

    def touch(self, events: ak.Array, measure: Measure[Any], label: str) -> None:
        """Mark the columns that :meth:`measure` reads of events that are typetracers."""
        events = self.shape_only(events)
        setting = self.setting
        needed = set(measure.uses() - given(measure.uses(), events, setting))
        if measure.keyed:
            self._seed(label)
            refuse_keyless(events, setting.ids, setting.dataset)
            needed |= {*setting.ids} | ({"dataset"} if setting.dataset is None else set())
            needed |= {name for name in PROVENANCE if cols.has(events, name)}
        if setting.split is not None and cols.has(events, setting.split):
            needed.add(setting.split)
        forms.touch(events, needed)

    def measure(self, events: ak.Array, measure: Measure[Any], label: str) -> Any:
        """The answer to one question of the learner ``label`` about these events; None where there are none to ask."""
        events = self.run(events)
        training = training_rows(events, self.setting.split)
        if training is not None:
            events = events[training]
        if len(events) == 0:
            return None
        draw = self._draw(label, events) if measure.keyed else None
        return measure.measure(self._only(events, measure.uses()), draw)

    # One step ----------------------------------------------------------------------------------------------------

    def _step(self, step: Step, events: ak.Array, account: Account) -> ak.Array:
        augmenter = step.augmenter
        refuse_unlearned(step)
        types = self._promised(step, events)
        rows = self._acting_rows(step, events)
        count = len(events) if rows is None else len(rows)
        if count == 0:
            if len(events) == 0:
                return forms.empty(_shape(step, forms.typetracer(events), types))
            new = {name: kept(events, name, kind) for name, kind in types.items()}
            return cols.assemble(events, new, like=augmenter.uses())
        acting = events if rows is None else events[rows]
        draw = self._draw(step.label, acting) if augmenter.keyed else None
        output = checked(step, augmenter.apply(self._only(acting, augmenter.uses()), draw), types, count)
        if augmenter.keeps_rows:
            columns = {name: output.columns[name] for name in augmenter.produces()}
            if CHANGED in types:
                columns[CHANGED] = changed(acting, step)
            if rows is not None:
                columns = spread(events, columns, types, rows)
            return cols.assemble(events, columns, like=augmenter.uses())
        return self._rowschanged(step, events, rows, output, types, account)

    def _promised(self, step: Step, events: ak.Array) -> dict[str, ak.types.Type]:
        """Types of all columns that the result has anew: the step's own, and those that the frame writes for it."""
        types = forms.promised(events.layout, step.augmenter.produces())
        written = dict(PROVENANCE) if step.augmenter.makes else {}
        if alters(step, events):
            written[CHANGED] = "int64"
        types |= {name: ak.types.NumpyType(kind) for name, kind in written.items()}
        if step.augmenter.makes:
            weights = {name: None for name in self.setting.weights if cols.has(events, name)}
            types |= {name: kind for name, kind in forms.promised(events.layout, weights).items() if name not in types}
        return types

    def _split_column(self, step: Step, events: ak.Array) -> bool:
        split = self.setting.split
        if split is None:
            return False
        if cols.has(events, split):
            return True
        if not step.augmenter.keeps_rows:
            raise cols.MissingColumn(
                f"step {step.label!r} changes the rows of training events, but there is no column {split!r} that tells "
                "them from test events: put Split(train=0.8) before it, or say split=None to change all rows"
            )
        return False

    def _acting_rows(self, step: Step, events: ak.Array) -> NDArray[np.int64] | None:
        """Rows that a step acts on; None for all. Training steps leave test rows alone, and alterations the originals."""
        if step.augmenter.use != "training":
            return None
        mask: NDArray[np.bool_] | None = None
        if self._split_column(step, events):
            mask = training_rows(events, self.setting.split)
        if spares_originals(step) and cols.has(events, "augment_kind"):
            made = np.asarray(cols.plain(cols.column(events, "augment_kind")).data) != 0
            mask = made if mask is None else mask & made
        return None if mask is None or bool(mask.all()) else np.flatnonzero(mask)

    def _seed(self, label: str) -> int:
        if self.setting.seed is None:
            raise ValueError(f"step {label!r} draws random numbers and needs a seed: pass seed=")
        return self.setting.seed

    def _draw(self, label: str, events: ak.Array) -> Draw:
        seed = self._seed(label)
        datasets, codes = dataset_codes(events, self.setting.dataset)
        ids = row_ids(events, self.setting.ids)
        return Draw(seed, label, datasets, ids, copy_numbers(events), codes)

    def _only(self, events: ak.Array, columns: frozenset[str]) -> ak.Array:
        return only(events, columns, self.setting)

    def _rowschanged(
        self, step: Step, events: ak.Array, rows: NDArray[np.int64] | None, output: Output,
        types: Mapping[str, ak.types.Type], account: Account,
    ) -> ak.Array:  # fmt: skip
        """The rows of the result: sources in order, each followed by its children; test rows stay as they are."""
        acted = len(events) if rows is None else len(rows)
        source = np.arange(acted) if output.source is None else output.source
        nth = np.zeros(len(source), np.int64) if output.nth is None else output.nth.astype(np.int64)
        made = int(np.count_nonzero(nth))
        _count(account.made, step.label, made)
        _count(account.dropped, step.label, acted - (len(source) - made))
        columns = dict(output.columns)
        if step.augmenter.makes:
            columns |= self._made_columns(step, events if rows is None else events[rows], source, nth, types, columns)
        if rows is None:
            return cols.assemble(events, columns, source, step.augmenter.uses())
        rest = np.setdiff1d(np.arange(len(events)), rows, assume_unique=True)
        order = np.argsort(np.concatenate([rows[source], rest]), kind="stable")
        untouched = events[rest]
        both = {name: merged(columns[name], kept(untouched, name, types[name]), order) for name in columns}
        return cols.assemble(events, both, np.concatenate([rows[source], rest])[order], step.augmenter.uses())

    def _made_columns(
        self, step: Step, events: ak.Array, source: NDArray[np.int64], nth: NDArray[np.int64],
        types: Mapping[str, ak.types.Type], given: Mapping[str, Content],
    ) -> dict[str, Content]:  # fmt: skip
        """What the frame writes about made rows: kind, copy number, and physics weights of 0."""
        made = nth > 0
        kind = np.asarray(kept(events, "augment_kind", types["augment_kind"]).data)[source]
        copy = composed(copy_numbers(events)[source], step.label, nth)
        kind = np.where(made, np.int8(KINDS[step.augmenter.makes]), kind).astype(np.int8)
        columns: dict[str, Content] = {"augment_kind": cols.as_content(kind), "augment_copy": cols.as_content(copy)}
        for name in self.setting.weights:
            if name in types:
                weight = given[name] if name in given else cols.plain(cols.column(events, name))[source]
                values = np.asarray(weight.data)
                columns[name] = cols.as_content(np.where(made, np.zeros(1, values.dtype), values))
        return columns


def _shape(step: Step, events: ak.Array, columns: Mapping[str, ak.types.Type]) -> ak.Array:
    augmenter = step.augmenter
    return forms.shape_only(events, columns, keeps_rows=augmenter.keeps_rows, like=augmenter.uses())


def _count(counts: dict[str, int], label: str, number: int) -> None:
    if number:
        counts[label] = counts.get(label, 0) + number


def _add_weights(sums: dict[str, tuple[float, float]], events: ak.Array, names: Sequence[str]) -> None:
    for name in names:
        if cols.has(events, name):
            values = np.asarray(cols.plain(cols.column(events, name)).data, dtype=np.float64)
            w, w2 = sums.get(name, (0.0, 0.0))
            sums[name] = (w + float(values.sum()), w2 + float(np.square(values).sum()))


def augment_eager(events: ak.Array, stage: Stage) -> ak.Array:
    """Run a stage on awkward events now, or give its form for typetracers."""
    if ak.backend(events) == "typetracer":
        return stage.shape_only(events)
    return stage.run(events)


def dataset_of_eager(events: ak.Array) -> str | None:
    """The data set that coffea's metadata names."""
    metadata = events.layout.purelist_parameter("metadata") or {}
    name = metadata.get("dataset")
    return None if name is None else str(name)
