"""Resample a matrix in memory, a slice of rows at a time; whole rows are copied, and only used columns are read.

The steps are those that every frame runs. What a frame adds for a data set, weights of physics and the lineage of made
rows, has no place in a matrix and is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, IndexedArray, NumpyArray, RecordArray
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.compound import Compound
from dask_augment.contract.flow import Step
from dask_augment.contract.setting import Setting
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.fit_resample.features import ROW
from dask_augment.fit_resample.strategies import CLASS
from dask_augment.frames.apply_step import made_columns, output_of, rows_of
from dask_augment.frames.learning import Data, teach
from dask_augment.frames.planning import promised, refuse
from dask_augment.frames.questions import Question, Questions, Totals
from dask_augment.frames.stage import Stage
from dask_augment.frames.step_inputs import draw_of
from dask_augment.frames.steps import anew, labelled
from dask_augment.kernels.matrices import columns_of, interpolated_rows

_VALUES = ""
"""Stands for the matrix where columns are told apart by their names."""
ASKED, ACTED_ON = 2**17, 3 * 2**14
"""Rows that are asked, and acted on, together: fewer where more is computed of each, which stays in the cache so."""


@dataclass(frozen=True)
class Matrix:
    """Rows of numbers, and what is known of each beside them."""

    values: NDArray[Any]
    """(n, d)."""
    columns: Sequence[str]
    """Names of the d columns."""
    beside: Mapping[str, NDArray[Any]]
    """Other columns by name (n,); without ``row``, rows are counted from 0."""
    texts: Mapping[str, Sequence[str]]
    """The texts that codes in a column stand for, where it holds texts."""

    @classmethod
    def of(cls, values: NDArray[Any], found: NDArray[Any], sample_weight: NDArray[np.float64] | None) -> Matrix:
        """The rows of X, with their classes and positions."""
        texts = {}
        if found.dtype == object:
            names, found = np.unique(found, return_inverse=True)
            texts[CLASS] = names.tolist()
        weight = np.broadcast_to(1.0, len(values)) if sample_weight is None else sample_weight
        beside = {CLASS: found, TRAIN_WEIGHT: weight}
        return cls(values, [f"x{number}" for number in range(values.shape[1])], beside, texts)

    def slices(self, size: int) -> list[slice]:
        """All rows, so many at a time; one slice at least."""
        return [slice(start, start + size) for start in range(0, max(len(self.values), 1), size)]

    def events(self, rows: slice, names: Collection[str] = (), strided: Collection[str] = ()) -> ak.Array:
        """These rows with the columns of these names, and all that stands beside; ``strided`` ones as they stand."""
        wanted = [number for number, name in enumerate(self.columns) if name in names]
        columns = columns_of(self.values[rows], np.array(wanted, np.int64))
        contents: dict[str, Content] = {
            self.columns[number]: NumpyArray(column) for number, column in zip(wanted, columns, strict=True)
        }
        for name in set(self.columns) & set(strided):
            contents[name] = NumpyArray(self.values[rows, self.columns.index(name)])
        for name in {**self.beside, ROW: None}:
            contents[name] = self._content(name, self.column(name, rows))
        return ak.Array(RecordArray(list(contents.values()), list(contents), length=len(self.values[rows])))

    def column(self, name: str, rows: slice) -> NDArray[Any]:
        """Of these rows, a column that stands beside, or which rows they are."""
        if name not in self.beside and name == ROW:
            return np.arange(*rows.indices(len(self.values)))
        return self.beside[name][rows]

    def _content(self, name: str, values: NDArray[Any]) -> Content:
        if name not in self.texts:
            return NumpyArray(values)
        texts = ak.to_layout(list(self.texts[name]))
        return IndexedArray(ak.index.Index64(values), texts, parameters={"__array__": "categorical"})

    def resampled(self, augmenter: Augmenter, setting: Setting) -> tuple[Augmenter, Matrix]:
        """The augmenter with what it learned, and the rows that it leaves or makes."""
        stage = Stage(tuple(map(anew, labelled([augmenter]))), setting)
        # The position of a row stands once.
        keyed = [step.label for step in stage.untaught if step.augmenter.keyed and setting.ids != (ROW,)]
        data = teach(_Kept(self, stage), check=keyed[0] if keyed else None)
        rows = data.rows
        for step in data.stage.steps:
            rows = rows._after(step, setting, last=step is data.stage.steps[-1])
        taught = [step.augmenter for step in (*data.done, *data.stage.steps)]
        if isinstance(augmenter, Compound):
            return augmenter.taught_by(part.learned for part in taught), rows
        return taught[0], rows

    def answers(self, questions: Questions) -> Totals:
        """The totals of all rows."""
        return questions.total(self._asked(questions, rows) for rows in self.slices(ASKED))

    def _asked(self, questions: Questions, rows: slice) -> Totals:
        return Totals(tuple(self._answer(question, rows) for question in questions.questions))

    def _answer(self, question: Question, rows: slice) -> Any:
        # Columns are handed over as they stand: a question may be about few of the rows.
        measure, setting = question.measure, question.stage.setting
        if question.stage.steps or measure.rows == "test":
            raise TypeError(
                f"step {question.label!r} asks about events behind a step, or about test rows: a table of X and y has neither, "
                "so use learn and augment"
            )
        events = self.events(rows, strided=measure.uses() | set(setting.ids))
        if not len(events):
            return None
        return measure.measure(events, draw_of(question.label, events, setting) if measure.keyed else None)

    def _after(self, step: Step, setting: Setting, *, last: bool) -> Matrix:
        """The rows after a step; ``last``: no other one needs copies to be told apart."""
        room: dict[str, _Room] = {}
        some = self.events(slice(0, 1), strided=step.uses | set(setting.ids))
        refuse(step, some, setting)
        types = promised(step, some, setting)
        for rows in self.slices(ACTED_ON):
            events = self.events(rows, step.gets | set(setting.ids))
            output = output_of(step, events, types, setting)
            source, nth = rows_of(output, len(events))
            beside = self._beside(rows, source, output, last)
            if step.augmenter.makes and not last:
                about = made_columns(step, events, (), source, nth, types, {})
                beside |= {name: np.asarray(content.data) for name, content in about.items()}
            if not room:
                share = len(source) / max(len(events), 1)
                room = {name: _Room(values, share * len(self.values)) for name, values in beside.items()}
                room[_VALUES] = _Room(self.values, share * len(self.values))
            self._fill(room[_VALUES].next(len(source)), rows, source, output)
            for name, values in beside.items():
                room[name].put(values)
        filled = {name: found.filled() for name, found in room.items()}
        return replace(self, values=filled.pop(_VALUES), beside=filled)

    def _fill(self, taken: NDArray[Any], rows: slice, source: NDArray[np.int64], output: Output) -> None:
        """The rows of X that a step leaves or makes of a slice."""
        values, other = self.values[rows], output.second
        if other is None:
            np.take(values, source, axis=0, out=taken, mode="clip")  # "raise" would take them to another place first
        else:
            table = np.zeros((len(other.dataset), len(self.columns)), self.values.dtype)
            for name, column in other.columns.items():
                table[:, self.columns.index(name)] = column
            interpolated_rows(values, table, source, other.row, other.share, taken)
            for name in set(self.columns) - set(other.columns):
                taken[:, self.columns.index(name)] = values[source, self.columns.index(name)]
        for name in set(self.columns) & set(output.columns):
            taken[:, self.columns.index(name)] = np.asarray(output.columns[name].data)

    def _beside(self, rows: slice, source: NDArray[np.int64], output: Output, last: bool) -> dict[str, NDArray[Any]]:
        """What stands beside these rows; of the last step, which rows they are and what they weigh."""
        names = {TRAIN_WEIGHT, ROW} & self.beside.keys() if last else self.beside.keys()
        names -= output.columns.keys()
        beside = {name: self.column(name, rows)[source] for name in names}
        if ROW not in beside:
            beside[ROW] = rows.start + source
        beside |= {n: np.asarray(content.data) for n, content in output.columns.items() if n not in self.columns}
        return beside


@dataclass(frozen=True)
class _Kept(Data):
    """Rows in memory, and the steps that are left to do on them; each step is done once."""

    rows: Matrix
    stage: Stage
    done: tuple[Step, ...] = ()

    def left(self) -> Stage:
        """The steps that are left to do."""
        return self.stage

    def having(self, step: Step) -> _Kept:
        """The same with this step in place of the one of its label."""
        return replace(self, stage=self.stage.with_step(step))

    def put(self, questions: Questions) -> Totals:
        """The totals of all rows."""
        return self.rows.answers(questions)

    def stores(self, before: Stage) -> bool:
        """Always."""
        return bool(before.steps)

    def stored(self, before: Stage) -> _Kept:
        """The rows after these steps."""
        rows = self.rows
        for step in before.steps:
            rows = rows._after(step, before.setting, last=False)
        return _Kept(rows, self.stage.after(before), self.done + before.steps)


class _Room:
    """Where rows are put, one slice after the other, that never stand twice in memory."""

    def __init__(self, like: NDArray[Any], rows: float) -> None:
        """For about so many rows: memory that is not written to takes no room."""
        self._values = np.empty((int(rows * 9 / 8), *like.shape[1:]), like.dtype)
        self._end = 0
        self._one: NDArray[Any] | None = None

    def next(self, rows: int) -> NDArray[Any]:
        """The next so many rows."""
        start, self._end = self._end, self._end + rows
        if self._end > len(self._values):
            self._resize()
        return self._values[start : self._end]

    def put(self, values: NDArray[Any]) -> None:
        """The next rows; while all have one value, as weights often do, they take no room."""
        if self._one is None and not self._end and len(values):
            self._one = values[:1].copy()
        if self._one is not None and np.all(values == self._one):
            self._end += len(values)
            return
        if self._one is not None:
            before, self._end = self._end, 0
            self.next(before)[:] = self._one
            self._one = None
        self.next(len(values))[:] = values

    def filled(self) -> NDArray[Any]:
        """All of them."""
        if self._one is not None:
            return np.broadcast_to(self._one, self._end)
        self._resize()
        return self._values

    def _resize(self) -> None:
        self._values.resize((self._end, *self._values.shape[1:]), refcheck=False)
