"""Steps run now, on awkward events in memory: every other frame calls this one for each of its partitions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray
from numpy.typing import NDArray

from dask_augment import columns as cols
from dask_augment.contract import KINDS, Augmenter, Learner, Measure, Output
from dask_augment.draw import Draw, composed
from dask_augment.identity import IDS, copy_numbers, dataset_codes, row_ids
from dask_augment.meters import Account

PROVENANCE: Mapping[str, str] = {"augment_kind": "int8", "augment_copy": "int64"}
"""Columns that say what a row is, written where a step makes rows."""
CHANGED = "augment_changed"
"""Bit i is set where step i altered values that the event had."""
TRAIN = 0
"""The value of ``split`` of training rows."""


class PromiseBroken(TypeError):
    """An augmenter returned something else than it promised."""


@dataclass(frozen=True)
class Setting:
    """What all steps of a run share.

    seed: of the random numbers; dataset: name of the data set, None where a column ``dataset`` names it;
    ids: columns that identify an event; weights: physics weights, 0 on made rows; split: the column that is 0 on
    training rows, None for data without one.
    """

    seed: int | None = None
    dataset: str | None = None
    ids: tuple[str, ...] = IDS
    weights: tuple[str, ...] = ("weight",)
    split: str | None = "split"


@dataclass(frozen=True)
class Step:
    """One augmenter under its label, and its position among the steps."""

    label: str
    augmenter: Augmenter
    position: int = 0


def labelled(augmenters: Sequence[Augmenter | tuple[str, Augmenter]]) -> tuple[Step, ...]:
    """Steps with labels: the given one, or the name of the augmenter, numbered from the second of its kind on."""
    from dask_augment.registry import name_of

    steps: list[Step] = []
    taken: set[str] = set()
    for position, entry in enumerate(augmenters):
        given, augmenter = entry if isinstance(entry, tuple) else (None, entry)
        if not isinstance(augmenter, Augmenter):
            raise TypeError(f"step {position} must be an augmenter, got {type(augmenter).__name__}: {augmenter!r}")
        name = given or name_of(augmenter)
        label = name
        for number in range(2, len(augmenters) + 2):
            if label not in taken:
                break
            if given:
                raise ValueError(f"two steps are named {given!r}; random numbers are keyed by the name: give another one")
            label = f"{name}_{number}"
        taken.add(label)
        steps.append(Step(label, augmenter, position))
    return tuple(steps)


@dataclass(frozen=True)
class Stage:
    """Steps in order, with their setting: the function that a frame runs on each partition."""

    steps: tuple[Step, ...]
    setting: Setting

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (*((s.label, s.augmenter.digest) for s in self.steps), repr(self.setting))

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
        account = Account() if account is None else account
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
        """Augment ``rows`` rows at a time: the same rows as :meth:`run`, with bounded memory where rows multiply."""
        for start in range(0, max(len(events), 1), rows):
            yield self.run(events[start : start + rows], account)

    def shape_only(self, events: ak.Array) -> ak.Array:
        """The form of the result for events that are typetracers; marks the columns that will be read."""
        for step in self.steps:
            cols.touch(events, self.reads(step, events))
            columns = self._promised(step, events)
            events = cols.shape_only(events, columns, keeps_rows=step.augmenter.keeps_rows)
        return events

    def reads(self, step: Step, events: ak.Array) -> frozenset[str]:
        """All columns that a step needs of these events: those it uses, ids, provenance, split and weights."""
        augmenter, setting = step.augmenter, self.setting
        needed = set(augmenter.uses()) - ({"dataset"} if setting.dataset is not None else set())
        if augmenter.keyed:
            needed |= set(setting.ids)
            needed |= {"dataset"} if setting.dataset is None else set()
        if augmenter.keyed or augmenter.makes:
            needed |= {name for name in PROVENANCE if cols.has(events, name)}
        if augmenter.use == "training" and self._split_column(step, events):
            needed.add(setting.split or "")
        if augmenter.makes:
            needed |= {name for name in setting.weights if cols.has(events, name)}
        if _alters(step, events) and cols.has(events, CHANGED):
            needed.add(CHANGED)
        return frozenset(needed)

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
            wanted |= {cols.dotted(name) for name in extra}
        return replace(self, steps=tuple(reversed(kept)))

    def measure(self, events: ak.Array, measure: Measure[Any], label: str) -> Any:
        """The answer to one question of the learner ``label`` about these events; None where there are none to ask."""
        events = self.run(events)
        training = _training_rows(events, self.setting.split)
        if training is not None:
            events = events[training]
        if len(events) == 0:
            return None
        draw = self._draw(label, events) if measure.keyed else None
        return measure.measure(self._only(events, measure.uses()), draw)

    # One step ----------------------------------------------------------------------------------------------------

    def _step(self, step: Step, events: ak.Array, account: Account) -> ak.Array:
        augmenter = step.augmenter
        if isinstance(augmenter, Learner) and augmenter.learned is None:
            raise RuntimeError(
                f"step {step.label!r} has not learned yet: it must see all the data first. Use "
                "`step = learn(events, step, ...)` and then `augment`, or `run` a plan, which does both"
            )
        types = self._promised(step, events)
        rows = self._acting_rows(step, events)
        count = len(events) if rows is None else len(rows)
        if count == 0:
            shape = cols.shape_only(cols.typetracer(events), types, keeps_rows=augmenter.keeps_rows)
            if len(events) == 0:
                return cols.empty(shape)
            new = {name: _kept(events, name, kind) for name, kind in types.items()}
            return cols.assemble(events, new)
        acting = events if rows is None else events[rows]
        draw = self._draw(step.label, acting) if augmenter.keyed else None
        output = _checked(step, augmenter.apply(self._only(acting, augmenter.uses()), draw), types, count)
        if augmenter.keeps_rows:
            columns = {name: output.columns[name] for name in augmenter.produces()}
            if CHANGED in types:
                columns[CHANGED] = _changed(acting, step)
            if rows is not None:
                columns = _spread(events, columns, types, rows)
            return cols.assemble(events, columns)
        return self._rows_changed(step, events, rows, output, types, account)

    def _promised(self, step: Step, events: ak.Array) -> dict[str, ak.types.Type]:
        """Types of all columns that the result has anew: the step's own, and those that the frame writes for it."""
        types = cols.promised(events.layout, step.augmenter.produces())
        written = dict(PROVENANCE) if step.augmenter.makes else {}
        if _alters(step, events):
            written[CHANGED] = "int64"
        types |= {name: ak.types.NumpyType(kind) for name, kind in written.items()}
        if step.augmenter.makes:
            weights = {name: None for name in self.setting.weights if cols.has(events, name)}
            types |= {name: kind for name, kind in cols.promised(events.layout, weights).items() if name not in types}
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
            mask = _training_rows(events, self.setting.split)
        if _spares_originals(step) and cols.has(events, "augment_kind"):
            made = np.asarray(cols.plain(cols.column(events, "augment_kind")).data) != 0
            mask = made if mask is None else mask & made
        return None if mask is None or bool(mask.all()) else np.flatnonzero(mask)

    def _draw(self, label: str, events: ak.Array) -> Draw:
        if self.setting.seed is None:
            raise ValueError(f"step {label!r} draws random numbers and needs a seed: pass seed=")
        datasets, codes = dataset_codes(events, self.setting.dataset)
        ids = row_ids(events, self.setting.ids)
        return Draw(self.setting.seed, label, datasets, ids, copy_numbers(events), codes)

    def _only(self, events: ak.Array, columns: frozenset[str]) -> ak.Array:
        if "dataset" not in columns or self.setting.dataset is None:
            return cols.only(events, columns)
        layout = cols.only_layout(events.layout, columns - {"dataset"})
        name = ak.to_layout([self.setting.dataset])
        index = ak.index.Index64(np.zeros(len(events), np.int64))
        constant = ak.contents.IndexedArray(index, name, parameters={"__array__": "categorical"})
        contents = [*layout.contents, constant]
        return ak.Array(ak.contents.RecordArray(contents, [*layout.fields, "dataset"], length=len(events)))

    def _rows_changed(
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
            return cols.assemble(events, columns, source)
        rest = np.setdiff1d(np.arange(len(events)), rows, assume_unique=True)
        order = np.argsort(np.concatenate([rows[source], rest]), kind="stable")
        untouched = events[rest]
        merged = {name: _merged(columns[name], _kept(untouched, name, types[name]), order) for name in columns}
        return cols.assemble(events, merged, np.concatenate([rows[source], rest])[order])

    def _made_columns(
        self, step: Step, events: ak.Array, source: NDArray[np.int64], nth: NDArray[np.int64],
        types: Mapping[str, ak.types.Type], given: Mapping[str, Content],
    ) -> dict[str, Content]:  # fmt: skip
        """What the frame writes about made rows: kind, copy number, and physics weights of 0."""
        made = nth > 0
        kind = np.asarray(_kept(events, "augment_kind", types["augment_kind"]).data)[source]
        copy = composed(copy_numbers(events)[source], step.label, nth)
        kind = np.where(made, np.int8(KINDS[step.augmenter.makes]), kind).astype(np.int8)
        columns: dict[str, Content] = {"augment_kind": cols.as_content(kind), "augment_copy": cols.as_content(copy)}
        for name in self.setting.weights:
            if name in types:
                weight = given[name] if name in given else cols.plain(cols.column(events, name))[source]
                values = np.asarray(weight.data)
                columns[name] = cols.as_content(np.where(made, np.zeros(1, values.dtype), values))
        return columns


def _spares_originals(step: Step) -> bool:
    return step.augmenter.keeps_rows and not getattr(step.augmenter, "originals", True)


def _alters(step: Step, events: ak.Array) -> bool:
    """Whether a training step gives other values to columns that the events have."""
    augmenter = step.augmenter
    return (
        augmenter.use == "training" and augmenter.keeps_rows and any(cols.has(events, c) for c in augmenter.produces())
    )


def _changed(events: ak.Array, step: Step) -> Content:
    before = np.zeros(len(events), np.int64)
    if cols.has(events, CHANGED):
        before = np.asarray(cols.plain(cols.column(events, CHANGED)).data).astype(np.int64)
    return cols.as_content(before | np.int64(1 << min(step.position, 62)))


def _training_rows(events: ak.Array, split: str | None) -> NDArray[np.bool_] | None:
    if split is None or not cols.has(events, split):
        return None
    return np.asarray(cols.plain(cols.column(events, split)).data) == TRAIN


def _kept(events: ak.Array, name: str, kind: ak.types.Type) -> Content:
    """A column of rows that a step did not act on: as it is where there is one, else zeros of its type."""
    if cols.has(events, name):
        return cols.plain(cols.column(events, name))
    head, dot, _ = name.partition(".")
    if dot and isinstance(kind, ak.types.ListType) and cols.has(events, f"n{head}"):
        counts = np.asarray(cols.plain(cols.column(events, f"n{head}")).data).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return ListOffsetArray(ak.index.Index64(offsets), cols.zeros(kind.content, int(offsets[-1])))
    return cols.zeros(kind, len(events))


def _merged(first: Content, second: Content, order: NDArray[np.int64]) -> Content:
    """Rows of both, one after the other, in this order."""
    both = ak.concatenate([ak.Array(first), ak.Array(second)])
    return cols.plain(both[order].layout)


def _spread(
    events: ak.Array, columns: Mapping[str, Content], types: Mapping[str, ak.types.Type], rows: NDArray[np.int64]
) -> dict[str, Content]:
    """Columns of some rows, filled up with what the other rows keep."""
    rest = np.setdiff1d(np.arange(len(events)), rows, assume_unique=True)
    order = np.argsort(np.concatenate([rows, rest]), kind="stable")
    untouched = events[rest]
    return {name: _merged(new, _kept(untouched, name, types[name]), order) for name, new in columns.items()}


def _count(counts: dict[str, int], label: str, number: int) -> None:
    if number:
        counts[label] = counts.get(label, 0) + number


def _add_weights(sums: dict[str, tuple[float, float]], events: ak.Array, names: Sequence[str]) -> None:
    for name in names:
        if cols.has(events, name):
            values = np.asarray(cols.plain(cols.column(events, name)).data, dtype=np.float64)
            w, w2 = sums.get(name, (0.0, 0.0))
            sums[name] = (w + float(values.sum()), w2 + float(np.square(values).sum()))


def _checked(step: Step, output: Any, types: Mapping[str, ak.types.Type], rows: int) -> Output:
    """The output with contiguous columns, or :class:`PromiseBroken` that says which promise and how."""
    label = step.label
    if not isinstance(output, Output):
        raise PromiseBroken(f"step {label!r} must return an Output, it returned {type(output).__name__}")
    promised, given = set(step.augmenter.produces()), set(output.columns)
    if promised != given:
        raise PromiseBroken(f"step {label!r} promised the columns {sorted(promised)} and returned {sorted(given)}")
    source, nth = output.source, output.nth
    if step.augmenter.keeps_rows and (source is not None or nth is not None):
        raise PromiseBroken(f"step {label!r} keeps rows, so it may not return source or nth; say keeps_rows = False")
    length = rows if source is None else len(source)
    if source is not None:
        source = _checked_source(label, source, rows)
    if nth is not None:
        _check_children(step, source if source is not None else np.arange(rows), np.asarray(nth), rows)
    elif source is not None and len(np.unique(source)) != len(source):
        raise PromiseBroken(f"step {label!r} gives one row twice without saying which is the child: return nth")
    columns = {}
    for name in sorted(given):
        content = cols.as_content(output.columns[name])
        if content.length != length:
            raise PromiseBroken(f"step {label!r} returned {content.length} entries of {name!r} for {length} rows")
        if content.form.type != types[name]:
            raise PromiseBroken(
                f"step {label!r} promised {name!r} as {types[name]} and returned {content.form.type}"
            )
        columns[name] = content
    return Output(columns, source, None if nth is None else np.asarray(nth))


def _checked_source(label: str, source: Any, rows: int) -> NDArray[np.int64]:
    indices = np.asarray(source)
    if indices.dtype.kind not in "iu" or indices.ndim != 1:
        raise PromiseBroken(f"step {label!r} must return source as int64 (n,), it is {indices.dtype} {indices.shape}")
    if len(indices) and (indices.min() < 0 or indices.max() >= rows):
        raise PromiseBroken(
            f"step {label!r} names source rows {indices.min()} to {indices.max()}; there are {rows} rows in"
        )
    return indices.astype(np.int64)


def _check_children(step: Step, source: NDArray[np.int64], nth: NDArray[Any], rows: int) -> None:
    label = step.label
    if nth.shape != source.shape or nth.dtype.kind not in "iu" or (len(nth) and nth.min() < 0):
        raise PromiseBroken(f"step {label!r} must return nth as non-negative integers, one for each of {len(source)} rows")
    if len(nth) and nth.max() > 0 and not step.augmenter.makes:
        raise PromiseBroken(f'step {label!r} made rows but does not say what they are: makes = "copies", ...')
    pairs = source * (int(nth.max(initial=0)) + 1) + nth
    if len(np.unique(pairs)) != len(pairs):
        raise PromiseBroken(f"step {label!r} returned one child of one row twice: (source, nth) must be unique")


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
