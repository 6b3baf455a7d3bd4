"""A stage: the steps that a frame runs on each partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.account import Account
from dask_augment.contract.flow import Flow
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.domains import refuse_broken_weights
from dask_augment.events.layouts import SLICE_BYTES, size_of
from dask_augment.frames.apply_step import act
from dask_augment.frames.assumptions import inside, tell
from dask_augment.frames.planning import promised, reads, refuse, shape

_WIDEST, _FASTER = 1000, 32
"""How many times larger than its row the first slice takes all that is made of it to be, and how slices may grow."""


class Slices:
    """Events a slice at a time, so that what is made of one is no more than about ``most`` bytes.

    How much is made of a row is seen from slice to slice, also from one array of events to the next; a slice is not less
    than one event.
    """

    def __init__(self, most: int = SLICE_BYTES) -> None:
        self._most, self._size, self._rows, self._largest = most, 0, 0, 0

    def of(self, events: ak.Array) -> Iterator[ak.Array]:
        """The slices of some events, one at least."""
        start, row = 0, max(size_of(events.layout) // max(len(events), 1), 8)
        while start < max(len(events), 1):
            most = self._most // (_WIDEST * row)
            if self._rows:
                most = min(_FASTER * self._size, self._rows * self._most // max(self._largest, 1))
            self._size = max(1, most)
            some = events[start : start + self._size]
            self._rows, self._largest = len(some), 0
            yield some
            start += self._size

    def saw(self, made: ak.Array) -> None:
        """This was made of the slice."""
        self._largest = max(self._largest, size_of(made.layout))


@dataclass(frozen=True)
class Stage(Flow):
    """Steps in order, run on awkward events in memory: every frame calls this for each of its partitions."""

    def run(self, events: ak.Array, account: Account | None = None) -> ak.Array:
        """Augment one slice of events; ``account`` is told what became of the rows."""
        if account is None:
            # Nobody asked for sums of weights, and a lazy reader may not have read the weights.
            account = Account()
            for step in self.steps:
                events = act(step, events, self.setting, account)
            tell(self.steps, account.doubted)
            return events
        *_, events = self._after_each(events, account)
        return events

    def _after_each(self, events: ak.Array, account: Account) -> Iterator[ak.Array]:
        """The events as they are, and after each step."""
        account.rows_in += len(events)
        _add_weights(account.weights_in, events, self.setting.weights)
        yield events
        for step in self.steps:
            began = time.perf_counter()
            before, events = events, act(step, events, self.setting, account)
            if step.augmenter.use == "always" and not step.augmenter.keeps_rows:
                account.cut += len(before) - len(events)
                _add_weights(account.weights_cut, before, self.setting.weights)
                _add_weights(account.weights_cut, events, self.setting.weights, -1)
            account.seconds[step.label] = account.seconds.get(step.label, 0.0) + time.perf_counter() - began
            yield events
        account.rows_out += len(events)
        _add_weights(account.weights_out, events, self.setting.weights)

    def pieces(self, events: ak.Array, account: Account, slices: Slices) -> Iterator[ak.Array]:
        """Augment a slice at a time, so that no step makes more than about so many bytes: the same rows as :meth:`run`."""
        if not self.steps:
            yield self.run(events, account)
            return
        for some in slices.of(events):
            for piece in self._after_each(some, account):
                slices.saw(piece)
            yield piece
            slices.saw(piece)  # What was virtual has been read now.

    @property
    def resources(self) -> dict[str, float]:
        """What a worker must have free to run all steps."""
        needed: dict[str, float] = {}
        for step in self.steps:
            for name, amount in step.augmenter.resources().items():
                needed[name] = max(amount, needed.get(name, 0))
        return needed

    def shape_only(self, events: ak.Array) -> ak.Array:
        """The form of the result for events that are typetracers; marks the columns that will be read."""
        for step in self.steps:
            refuse(step, events, self.setting)
            forms.touch(events, reads(step, events, self.setting))
            events = shape(step, events, promised(step, events, self.setting), self.setting)
        return events


@dataclass(frozen=True)
class Run:
    """A stage as the function of a layer of a graph, named after its steps."""

    function: Callable[[Any, Stage], Any]
    stage: Stage
    layer: str = field(default_factory=lambda: uuid4().hex, compare=False)
    """Of this one run in all processes; no result depends on it."""

    @property
    def __name__(self) -> str:
        return f"augment-{'-'.join(step.label for step in self.stage.steps)}".replace("_", "-")

    def __call__(self, events: Any) -> Any:
        """What the frame's function makes of one partition."""
        with inside(self.layer):
            return self.function(events, self.stage)

    def __dask_tokenize__(self) -> Any:
        return ("dask_augment", self.stage.__dask_tokenize__())


def _add_weights(sums: dict[str, tuple[float, float]], events: ak.Array, names: Sequence[str], times: int = 1) -> None:
    """Add the sums of w and of w squared of each weight column; ValueError where float64 cannot hold them."""
    for name in names:
        if not cols.has(events, name):
            continue
        column = cols.plain(cols.column(events, name))
        values = np.asarray((cols.plain(column.project()) if column.is_option else column).data, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            found = float(values.sum()), float(np.square(values).sum())
        if not np.isfinite(found).all():
            raise _broken(name, values)
        w, w2 = sums.get(name, (0.0, 0.0))
        sums[name] = (w + times * found[0], w2 + times * found[1])


def _broken(name: str, values: NDArray[np.float64]) -> ValueError:
    """Why the sums of a weight are no numbers; raised here, where weights are none."""
    refuse_broken_weights(name, values)
    return ValueError(
        f"weight column {name!r} has values up to {np.abs(values).max():.3g}, and float64 cannot hold the sum of their "
        "squares, 1.8e308 at most; divide all weights by one number"
    )
