"""The identity of rows: event ids, data set, and the check that no id appears twice.

Ids are (run, luminosityBlock, event) unless named otherwise; a made row has its source's ids and a copy number of its
own. Two rows with the same ids, copy and data set would share all random numbers and break every quota in silence.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import MissingColumn, has, lookup, number, plain
from dask_augment.events.own_columns import COPY, KIND

IDS = ("run", "luminosityBlock", "event")
"""The ids of an event, unless ``ids=`` names others."""
POSITION = ("position_file", "position_entry")
"""Id columns of ``ids="position"``: a 64-bit word of the file's uuid, and the entry in it."""


def file_word(uuid: str) -> int:
    """The 64-bit word that stands for a file in ``position_file``."""
    return int.from_bytes(blake2b(uuid.encode(), digest_size=8).digest(), "little")


class RepeatedIds(ValueError):
    """Two events have the same ids."""


def refuse_keyless(events: ak.Array, names: Sequence[str], dataset: str | None) -> None:
    """Raise :class:`MissingColumn` where random numbers could not be keyed: without id columns or data set."""
    for name in names:
        if not has(events, name):
            raise MissingColumn(
                f"no column {name!r} among the events. Random and resampling steps need the ids of events: name the "
                f"columns that identify an event as ids (now {list(names)}), or say ids: position in a plan"
            )
    if dataset is None and not has(events, "dataset"):
        raise MissingColumn(
            "no data set name: random numbers are keyed by it. Pass dataset=, or have a column 'dataset'"
        )


def row_ids(events: ak.Array, names: Sequence[str]) -> dict[str, NDArray[np.uint64]]:
    """The id columns as 64-bit words."""
    refuse_keyless(events, names, "")
    ids = {}
    for name in names:
        ids[name] = number(events, name, what="id column", kinds="iu").astype(np.uint64, copy=False)
    return ids


def whole_numbers(events: ak.Array, name: str) -> NDArray[np.int64]:
    """A column that the package writes itself; TypeError where one of that name holds anything but whole numbers."""
    content = plain(lookup(events.layout, name))
    values = np.asarray(content.data) if content.is_numpy else np.empty(0, object)
    if values.dtype.kind == "f" and np.all(values == np.rint(values)):
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"column {name!r} has type {content.form.type}, but steps use that name for whole numbers "
            "(docs/conventions.md): rename yours, or leave it out"
        )
    return values.astype(np.int64, copy=False)


def copy_numbers(events: ak.Array) -> NDArray[np.int64]:
    """The copy number of each row; 0 for all where no step made rows."""
    if has(events, COPY):
        return whole_numbers(events, COPY)
    if has(events, KIND):
        raise MissingColumn(
            "the events have augment_kind but no augment_copy: copies of one event could not be told apart and would "
            "get the same random numbers; keep both columns"
        )
    return np.zeros(len(events), np.int64)


def dataset_codes(events: ak.Array, dataset: str | None) -> tuple[list[str], NDArray[np.int64] | None]:
    """Names of the data sets of these rows, and which of them each row belongs to (None: all to the one)."""
    if dataset is not None:
        return [dataset], None
    refuse_keyless(events, (), None)
    strings = ak.str.to_categorical(ak.Array(plain(lookup(events.layout, "dataset"))))
    names = [str(name) for name in ak.categories(strings)]
    return names, np.asarray(strings.layout.index.data).astype(np.int64)


def repeats(values: NDArray[Any]) -> bool:
    """Whether a value stands twice; sorting tells it ten times as fast as ``np.unique``, which hashes integers."""
    if np.all(values[1:] > values[:-1]):  # as those of sources and of events in a file often are
        return False
    ordered = np.sort(values)
    return bool(np.any(ordered[1:] == ordered[:-1]))


@dataclass
class Spans:
    """For each (data set, leading ids), the spans [first, last] of the last id, one from each slice, and its rows."""

    spans: dict[tuple[Any, ...], list[tuple[int, int]]] = field(default_factory=dict)

    def __add__(self, other: Spans) -> Spans:
        merged = dict(self.spans)
        for key, spans in other.spans.items():
            merged[key] = merged.get(key, []) + spans
        return Spans(merged)

    def overlapping(self) -> frozenset[tuple[Any, ...]]:
        """The keys with two spans that overlap: only there can an id stand in two slices."""
        found = set()
        for key, spans in self.spans.items():
            ordered = sorted(spans)
            if any(later[0] <= earlier[1] for earlier, later in itertools.pairwise(ordered)):
                found.add(key)
        return frozenset(found)


def _grouped(draw: Draw) -> tuple[list[tuple[Any, ...]], NDArray[np.int64]]:
    """Keys (data set, leading ids) of these rows, and which each row has."""
    codes = np.zeros(len(draw), np.int64) if draw.codes is None else draw.codes
    columns = [codes, *list(draw.ids.values())[:-1]]
    which, first = np.zeros(len(draw), np.int64), np.zeros(1, np.int64)
    # Sorting rows of a table would cost ten times as much, and most columns have one value.
    for column in columns:
        if column.min() != column.max():
            values, inverse = np.unique(column, return_inverse=True)
            _, first, which = np.unique(which * len(values) + inverse, return_index=True, return_inverse=True)
    return [(draw.datasets[int(codes[row])], *(int(column[row]) for column in columns[1:])) for row in first], which


def _refuse_repeats(rows: NDArray[np.uint64], key: tuple[Any, ...], names: Sequence[str]) -> None:
    """Raise when two rows of (last id, copy) are equal."""
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    if len(unique) != len(rows):
        at = int(np.argmax(counts))
        ids = dict(zip(names, [*key[1:], int(unique[at][0])], strict=True))
        raise RepeatedIds(
            f"data set {key[0]!r} has {int(counts[at])} events with {ids}: events are told apart by these ids, and random "
            "numbers and quotas would go wrong. Remove the file that is listed twice, name columns that do identify an "
            "event as ids, or say ids: position in a plan"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class IdSpans(Measure[Spans]):
    """Refuses ids that stand twice in one slice, and says which span of ids each slice has."""

    keyed = True

    def uses(self) -> frozenset[str]:
        """Nothing but the ids, which every keyed measure has."""
        return frozenset()

    def measure(self, events: ak.Array, draw: Draw | None) -> Spans:  # noqa: ARG002
        """The spans of one slice."""
        assert draw is not None
        keys, which = _grouped(draw)
        last = list(draw.ids.values())[-1]
        order = np.argsort(which, kind="stable")
        borders = np.searchsorted(which[order], np.arange(len(keys) + 1))
        spans: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for key, start, stop in zip(keys, borders, borders[1:], strict=False):
            rows = order[start:stop]
            events_here = last[rows]
            if repeats(events_here):
                _refuse_repeats(np.stack([events_here, draw.copies[rows].astype(np.uint64)], 1), key, list(draw.ids))
            spans[key] = [(int(events_here.min()), int(events_here.max()))]
        return Spans(spans)


@dataclass
class IdTable:
    """(last id, copy) of the rows of some keys, in pieces."""

    pieces: dict[tuple[Any, ...], list[NDArray[np.uint64]]] = field(default_factory=dict)

    def __add__(self, other: IdTable) -> IdTable:
        merged = dict(self.pieces)
        for key, pieces in other.pieces.items():
            merged[key] = merged.get(key, []) + pieces
        return IdTable(merged)


@dataclass(frozen=True, kw_only=True, eq=False)
class IdsOf(Measure[IdTable]):
    """The ids themselves, where spans of two slices overlap."""

    keyed = True
    keys: frozenset[tuple[Any, ...]]

    def uses(self) -> frozenset[str]:
        """Nothing but the ids, which every keyed measure has."""
        return frozenset()

    def measure(self, events: ak.Array, draw: Draw | None) -> IdTable:  # noqa: ARG002
        """The ids of one slice."""
        assert draw is not None
        keys, which = _grouped(draw)
        rows = np.stack([list(draw.ids.values())[-1], draw.copies.astype(np.uint64)], axis=1)
        return IdTable({key: [rows[which == i]] for i, key in enumerate(keys) if key in self.keys})


def refuse_repeated_ids(names: Sequence[str]) -> Generator[Measure[Any], Any, None]:
    """Two questions to all the data that raise :class:`RepeatedIds` when any id stands twice, in any slices."""
    spans: Spans = yield from IdSpans().ask()
    overlapping = spans.overlapping()
    if not overlapping:
        return
    table: Mapping[tuple[Any, ...], list[NDArray[np.uint64]]] = (yield from IdsOf(keys=overlapping).ask()).pieces
    for key in sorted(table, key=str):
        _refuse_repeats(np.concatenate(table[key]), key, names)
