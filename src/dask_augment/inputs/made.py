"""Events from nothing: a function of the user's own makes them, each from its number alone.

An event is told by (what makes it, its number): run and luminosityBlock are words of the digest of the function, its seed
and its data set, and event is the number. Random numbers are keyed by seed, data set and number, so that any part of the
events can be made anywhere; more events, or a changed function, leave the numbers of the others as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
from awkward.contents import Content, ListOffsetArray, RecordArray
from numpy.typing import NDArray

from dask_augment import messages
from dask_augment.augmenters.function import Function
from dask_augment.contract.draw import Draw
from dask_augment.contract.ids import IDS
from dask_augment.dataset.schema import collection
from dask_augment.events import forms
from dask_augment.events.columns import as_content, flat
from dask_augment.events.layouts import size_of
from dask_augment.events.own_columns import COPY, GENERATED, KIND, PROVENANCE
from dask_augment.files.documents import PlanError
from dask_augment.inputs.columns_of_files import At, Opened, table_of
from dask_augment.inputs.sums import UNSELECTED, summed

_FEW = 8
"""Events that are made to see whether one depends on the others, and how large they are."""
_SOME = 256
"""Events that are made in other parts to see the same."""
_MANY = 100_000
"""Events that are made at once for their sum of weights."""
_OWN = {**dict(zip(IDS, ("uint32", "uint32", "uint64"), strict=True)), **PROVENANCE}
"""What every event has that is made, and the function does not make."""


class MakerFailed(PlanError):
    """A function that makes events raised an error, or made something else than it promised: no file is to blame."""


@dataclass(frozen=True)
class Made:
    """So many events of a function; its name in the plan, ``toys.py:jets``, stands for a file."""

    function: Function
    events: int
    seed: int
    dataset: str
    tree = None
    has_uuid = False
    stays_open = False

    def open(self, location: str) -> MadeEvents:  # noqa: ARG002  there is none
        """The events, none of which is made yet."""
        return MadeEvents(self)


class MadeEvents(Opened):
    """Events that a function makes when they are read."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._function = made.function.as_it_is()
        self.entries = made.events
        told = json.dumps([made.dataset, made.seed, self._function.digest]).encode()
        self.uuid = hashlib.sha256(told).hexdigest()
        form = ak.Array(RecordArray([], [], length=0)).layout
        self._types = forms.promised(form, {**dict(self._function.produces()), **_OWN})
        self.columns = table_of(At(name, name, (name,)) for name in self._types)

    def vouch(self) -> None:
        """MakerFailed where an event depends on which others are made with it, or comes out otherwise the second time.

        That is tried: a few events are made alone, and some hundreds, in the middle and at the end, in parts.
        """
        few, last = len(self._few["event"]), self.entries
        self._compare(self._few, [(number, number + 1) for number in range(few)])
        for start in {max(0, last // 2 - _SOME), max(0, last - _SOME)} if few else ():
            stop = min(start + _SOME, last)
            alone = max(start, stop - _FEW)
            edges = sorted({start, (start + alone) // 2, *range(alone, stop + 1)})
            self._compare(self.read(sorted(self.columns), start, stop), list(pairwise(edges)))

    def _compare(self, whole: Mapping[str, ak.Array], parts: Sequence[tuple[int, int]]) -> None:
        made = [self.read(sorted(whole), *part) for part in parts]
        for name, values in whole.items() if made else ():
            if not ak.array_equal(values, ak.concatenate([one[name] for one in made]), equal_nan=True):
                raise MakerFailed(
                    f"{name!r} of an event is another when other events are made with it: make each event of the numbers in "
                    "events.event and of draw, and of nothing else"
                )

    @cached_property
    def _few(self) -> dict[str, ak.Array]:
        return self.read(sorted(self.columns), 0, min(_FEW, self.entries))

    def empty(self, names: Sequence[str]) -> ak.Array:
        """No events, of the promised types."""
        contents = [forms.zeros(self._types[self.columns[name][0].name], 0) for name in names]
        return ak.Array(RecordArray(contents, list(names), length=0))

    def reckoned(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # noqa: ARG002  all are made
        """By the size of the first few events."""
        size = sum(size_of(column.layout) for column in self._few.values())
        width = size / max(len(self._few["event"]), 1)
        return np.array([0.0, self.entries]), np.array([0.0, self.entries * width])

    def sum_of_weights(self, weight: str, weighed: bool) -> tuple[float | None, str]:
        """Over all the events, so many at a time."""
        if not weighed:
            return None, ""
        parts = [
            self.read([flat(weight)], start, min(start + _MANY, self.entries))[flat(weight)]
            for start in range(0, self.entries, _MANY)
        ]
        return summed(np.concatenate([np.asarray(part) for part in parts] or [np.zeros(0)]), weight, UNSELECTED)

    def read(self, names: Sequence[str], start: int, stop: int, schema: pa.Schema | None = None) -> dict[str, ak.Array]:  # noqa: ARG002  nothing is missing
        """The columns of these events, which are made now."""
        number = np.arange(start, stop, dtype=np.uint64)
        word = int(self.uuid[:16], 16)
        ids = (np.full(len(number), word >> 32, np.uint32), np.full(len(number), word & (2**32 - 1), np.uint32), number)
        own = {**dict(zip(IDS, ids, strict=True)), KIND: np.full(len(number), GENERATED, np.int8)}
        own[COPY] = np.zeros(len(number), np.int64)
        columns = {name: as_content(values) for name, values in own.items()}
        if len(number):
            try:
                columns |= self._called({name: own[name] for name in IDS}, number)
                _check_counts(columns)
            except Exception as error:
                why = f"{type(error).__name__}: {messages.one_line(error)}"
                raise MakerFailed(
                    f"{self._function.name!r}, which makes data set {self._made.dataset!r}, failed for events {start} to "
                    f"{stop - 1}: {why}"
                ) from error
        else:
            columns |= {name: forms.zeros(kind, 0) for name, kind in self._types.items() if name not in own}
        return {name: ak.Array(columns[self.columns[name][0].name]) for name in names}

    def _called(self, ids: Mapping[str, Any], number: NDArray[np.uint64]) -> dict[str, Content]:
        """What the function makes, as it promised."""
        made, function = self._made, self._function
        copies = np.zeros(len(number), np.int64)
        draw = Draw(made.seed, "make", [made.dataset], {"event": number}, copies) if function.keyed else None
        output = function.apply(ak.Array(RecordArray([as_content(values) for values in ids.values()], list(ids))), draw)
        promised = {name: kind for name, kind in self._types.items() if name not in _OWN}
        if output.source is not None or output.columns.keys() != promised.keys():
            raise TypeError(f"{function.name!r} promised {sorted(promised)} and returned {sorted(output.columns)}")
        columns = {name: as_content(values) for name, values in output.columns.items()}
        for name, content in columns.items():
            if content.length != len(number):
                raise TypeError(f"{function.name!r} made {content.length} of {name!r} for {len(number)} events")
            if content.form.type != promised[name]:
                raise TypeError(f"{function.name!r} promised {name!r} as {promised[name]} and made {content.form.type}")
        return columns


def _check_counts(columns: Mapping[str, Content]) -> None:
    """ValueError where two columns of a collection have other numbers of objects."""
    first: dict[str, tuple[str, NDArray[Any]]] = {}
    for name, content in columns.items():
        if isinstance(content, ListOffsetArray):
            counts = np.diff(np.asarray(content.to_ListOffsetArray64(True).offsets))
            other, known = first.setdefault(collection(flat(name)), (name, counts))
            if not np.array_equal(known, counts):
                raise ValueError(f"{other!r} and {name!r} are of one collection, and have other numbers of objects")


def check_maker(what: str, function: Any) -> Function:
    """The function, where events can be made with it; TypeError or ValueError, which begin with ``what``."""
    if not isinstance(function, Function):
        raise TypeError(
            f"{what} must be a function of your own with the decorator augmenter, or my_file.py:function, got {function!r}"
        )
    strange = sorted(function.uses() - {*IDS})
    if strange or not function.keeps_rows or function.makes or None in function.produces().values():
        why = f"it uses {strange[0]!r}" if strange else "it does not, or does not say the type of a column"
        raise ValueError(
            f"{what} must make each column of the ids {', '.join(IDS)} and of draw alone, for each event that there is: {why}"
        )
    if own := sorted({flat(name) for name in function.produces()} & _OWN.keys()):
        raise ValueError(f"{what} makes {own[0]!r}, which tells an event by what makes it: leave it out")
    return function
