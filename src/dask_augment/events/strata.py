"""Strata: disjoint groups of events, by data set, category or bin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.events.columns import lookup, plain
from dask_augment.kernels.grouping import distinct
from dask_augment.options import NamedOptions, check_choices

MOST = 1000
"""Strata that there may be: more are as a rule a column of ids or counts taken for a category."""
_OUTSIDE = ("own", "edge", "error")


class UnknownStratum(ValueError):
    """An event is in a stratum that was not there while learning."""


@dataclass(frozen=True)
class Bins(NamedOptions):
    """A number in bins [edge, next edge): ``Bins("HT", [0, 500, 1000])``.

    Parameters
    ----------
    column
        One number for each event.
    edges
        Borders of the bins, ascending, at least two, in the column's unit; infinite ones are allowed.
    outside
        What becomes of values below the first edge, and of those at or above the last: ``"own"``, a stratum each
        (``HT<0``, ``HT>=1000``); ``"edge"``, they join the first and the last bin; ``"error"``. NaN is a stratum of its
        own (``HT=nan``), unless ``outside="error"``.
    """

    column: str
    edges: tuple[float, ...]
    outside: str = "own"

    def __post_init__(self) -> None:
        try:
            edges = tuple(float(edge) for edge in self.edges)
        except (TypeError, ValueError):
            raise ValueError(f"edges of {self.column!r} must be a list of numbers, got {self.edges!r}") from None
        if len(edges) < 2 or any(not low < high for low, high in pairwise(edges)):
            raise ValueError(f"edges of {self.column!r} must be at least two ascending numbers, got {list(edges)}")
        check_choices(self, outside=_OUTSIDE)
        object.__setattr__(self, "edges", edges)

    def as_plan(self) -> dict[str, Any]:
        """The entry as a plan file has it: ``{column: HT, edges: [0, 500]}``."""
        edges = [str(edge) if math.isinf(edge) else edge for edge in self.edges]
        entry: dict[str, Any] = {"column": self.column, "edges": edges}
        return entry if self.outside == "own" else entry | {"outside": self.outside}

    def names(self) -> list[str]:
        """Labels of all strata there can be: underflow, the bins, overflow, NaN."""
        texts = [f"{edge:.17g}" if f"{edge:g}" != repr(edge).removesuffix(".0") else f"{edge:g}" for edge in self.edges]
        bins = [f"{self.column}=[{low},{high})" for low, high in pairwise(texts)]
        below, above = f"{self.column}<{texts[0]}", f"{self.column}>={texts[-1]}"
        if self.outside == "edge":
            below, above = bins[0], bins[-1]
        return [below, *bins, above, f"{self.column}=nan"]

    def codes(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Which of :meth:`names` each value is in."""
        last = len(self.edges)
        which = np.searchsorted(np.asarray(self.edges), values, side="right").astype(np.int64)
        which[np.isnan(values)] = last + 1
        if self.outside == "error" and np.any(out := (which == 0) | (which >= last)):
            raise ValueError(
                f"column {self.column!r} has {int(out.sum())} values outside the edges [{self.edges[0]:g}, "
                f'{self.edges[-1]:g}), the first is {values[out][0]}; widen the edges, or say outside="own" or "edge"'
            )
        if self.outside == "edge":
            which = np.where(which <= last, np.clip(which, 1, last - 1), which)
        return which


@dataclass(frozen=True)
class Strata:
    """The strata of events: every combination of the entries that occurs.

    An entry is the name of a column of integers or strings, where each value is a category (``"dataset"`` is the data
    set), or :class:`Bins` of any number. Labels are the same everywhere: ``dataset=ttbar|HT=[0,500)``; ``|``, ``%``
    and NUL in a string are percent-encoded. No entries: all events are one stratum, ``all``.
    """

    entries: tuple[str | Bins, ...] = ()

    @classmethod
    def of(cls, value: Strata | str | Bins | Iterable[Any]) -> Strata:
        """Strata from what a user or plan file wrote: one entry or a list of them, bins also as dictionaries."""
        if isinstance(value, Strata):
            return value
        given = [value] if isinstance(value, (str, Bins, Mapping)) else list(value)
        entries = tuple(_entry(entry) for entry in given)
        columns = [entry if isinstance(entry, str) else entry.column for entry in entries]
        if len(set(columns)) < len(columns):
            raise ValueError(f"strata name a column twice: {columns}; give each column one entry")
        return cls(entries)

    def classes(self, label: str | None) -> Strata:
        """The strata, each divided into the classes of this column; ValueError where it is one of the entries."""
        if label in self.uses():
            raise ValueError(
                f"label and strata both name {label!r}: the label is the class already, within each stratum; leave it out of "
                "strata"
            )
        return Strata((*self.entries, label)) if label else self

    def as_plan(self) -> list[Any]:
        """The entries as a plan file has them."""
        return [entry if isinstance(entry, str) else entry.as_plan() for entry in self.entries]

    def uses(self) -> frozenset[str]:
        """The columns that decide."""
        return frozenset(entry if isinstance(entry, str) else entry.column for entry in self.entries)

    def codes(self, events: ak.Array) -> tuple[list[str], NDArray[np.int64]]:
        """Labels of the strata that these events are in, sorted, and which of them each event is in: int64 (n,)."""
        labels, which = ["all"], np.zeros(len(events), np.int64)
        for position, entry in enumerate(self.entries):
            names, codes = _coded(events, entry)
            if not position:
                labels, which = names, codes
                continue
            pairs, which = paired(which, codes)
            if len(pairs) > MOST:
                raise too_many(len(pairs), self)
            labels = [f"{labels[a]}|{names[b]}" for a, b in pairs]
        order = sorted(range(len(labels)), key=labels.__getitem__)
        rank = np.empty(len(labels), np.int64)
        rank[order] = np.arange(len(labels))
        return [labels[i] for i in order], renumbered(rank, which)

    def index(self, events: ak.Array, known: NDArray[np.str_]) -> NDArray[np.int64]:
        """Which of the ``known`` labels each event has; :class:`UnknownStratum` where one has none of them."""
        places = {str(label): place for place, label in enumerate(known)}
        labels, which = self.codes(events)
        for label in labels:
            if label not in places:
                raise unknown_stratum(label, places)
        return renumbered(np.array([places[label] for label in labels], np.int64), which)


def encoded(text: object) -> str:
    """A value of a category as labels have it: ``%``, ``|`` and NUL, which arrays of texts lose, percent-encoded."""
    return str(text).replace("%", "%25").replace("|", "%7C").replace("\0", "%00")


def unknown_stratum(label: str, known: Iterable[str], detail: str = "") -> UnknownStratum:
    """The error that says that events are in a stratum (``detail``: in which part of it) that was not there before."""
    names = sorted(known)
    return UnknownStratum(
        f"there are events in stratum {label!r}{detail}, and there were none while learning; there were {len(names)} "
        f"strata: {', '.join(names[:8])}. Learn from all the data again"
    )


def paired(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """The pairs of two codes that occur, sorted, and which of them each row has."""
    width = int(second.max(initial=0)) + 1
    found, which = distinct(first * width + second)
    return [(int(code) // width, int(code) % width) for code in found], which


def renumbered(numbers: NDArray[np.int64], which: NDArray[np.int64]) -> NDArray[np.int64]:
    """``numbers[which]``; without work where the numbers are 0, 1, 2, ..., as they often are."""
    return which if np.array_equal(numbers, np.arange(len(numbers))) else numbers[which]


def too_many(number: int, strata: Strata) -> ValueError:
    """The error that says that there are more strata than :data:`MOST`."""
    return ValueError(
        f"strata {strata.as_plan()} divide the events into at least {number} groups; the limit is {MOST}. Put numbers "
        "into fewer bins, with Bins(column, edges)"
    )


def _entry(value: Any) -> str | Bins:
    if isinstance(value, (str, Bins)):
        return value
    if isinstance(value, Mapping):
        if not {"column", "edges"} <= set(value) <= {"column", "edges", "outside"}:
            raise ValueError(f"a stratum in bins has column, edges and perhaps outside, got {dict(value)!r}")
        return Bins(**value)
    raise TypeError(f"strata are columns, Bins(column, edges) or {{column: ..., edges: [...]}}, got {value!r}")


def _coded(events: ak.Array, entry: str | Bins) -> tuple[list[str], NDArray[np.int64]]:
    """Labels of one entry that occur, and which of them each event has."""
    column = entry if isinstance(entry, str) else entry.column
    content = plain(lookup(events.layout, column))
    if isinstance(entry, str) and _is_text(content):
        coded = content if content.is_indexed else ak.str.to_categorical(ak.Array(content)).layout
        texts = [encoded(text) for text in ak.to_list(coded.content)]
        names = sorted(set(texts))
        place = np.array([names.index(text) for text in texts], np.int64)
        found, which = distinct(place[np.asarray(coded.index.data)])
        return [f"{column}={names[code]}" for code in found], which
    if not content.is_numpy or content.data.ndim != 1:
        raise TypeError(
            f"column {column!r} cannot divide events into strata: it has type {content.form.type}, not one "
            f"{'number' if isinstance(entry, Bins) else 'integer or string'} for each event"
        )
    values = np.asarray(content.data)
    if isinstance(entry, Bins):
        names = entry.names()
        found, which = distinct(entry.codes(values))
        return [names[code] for code in found], which
    if values.dtype.kind not in "iub":
        raise TypeError(
            f"column {column!r} has type {content.form.type}, whose values are no categories; put it into bins: "
            f"Bins({column!r}, [0, 100, 200])"
        )
    found, which = distinct(values)
    if len(found) > MOST:
        raise too_many(len(found), Strata((entry,)))
    return [f"{column}={value}" for value in found.tolist()], which


def _is_text(content: Any) -> bool:
    inner = content.content if content.is_indexed and not content.is_option else content
    return inner.is_list and inner.parameter("__array__") in ("string", "bytestring")


def strata_of(step: Any) -> Strata:
    """The strata that a step treats by themselves: its options ``strata`` and ``label``, where it has any."""
    options = {entry.name: getattr(step, entry.name) for entry in fields(step)}
    entries = [*given.entries] if isinstance(given := options.get("strata"), Strata) else []
    return Strata.of([*entries, *([options["label"]] if isinstance(options.get("label"), str) else [])])
