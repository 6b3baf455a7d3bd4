"""Which columns a plan needs from the files, and where each column is in a file."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Protocol

import awkward as ak
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dask_augment.dataset.schema import schema_of
from dask_augment.events.columns import dotted, flat
from dask_augment.inputs.sums import UNSELECTED, summed
from dask_augment.messages import one_line


@dataclass(frozen=True)
class At:
    """Where a column is in a file."""

    name: str
    """As the file has it, ``Jet.pt``; its flat name is ``Jet_pt``."""
    key: str
    """What is read of the file."""
    path: tuple[str, ...]
    """Where the column is in what was read."""


class NoTree(Exception):
    """A ROOT file without the tree that is asked for."""


class Kind(Protocol):
    """What a file is: how it is opened, and how it is told from others."""

    def __hash__(self) -> int: ...

    @property
    def tree(self) -> str | None:
        """The tree in the file that is read; None for what has none."""

    @property
    def has_uuid(self) -> bool:
        """Whether a fileset that says a uuid means the one that the file has."""

    @property
    def stays_open(self) -> bool:
        """Whether a process keeps it open for the next part."""

    def open(self, location: str) -> Opened:
        """One file of this kind."""


class Opened(ABC):
    """An open file, whatever its kind."""

    uuid: str
    entries: int
    columns: dict[str, list[At]]
    """All columns by their flat names; a name with two places is that of neither."""

    def at(self, name: str) -> At | None:
        """Where the column of this flat name is."""
        return one(self.columns.get(name, ()))

    def leaves(self, name: str) -> list[str]:
        """The flat names of the numbers that a column holds: its own, or those of the fields of an object."""
        return [name]

    def vouch(self) -> None:  # noqa: B027  most have nothing to say
        """Raises where what is read would depend on how it is cut into parts."""

    @abstractmethod
    def empty(self, names: Sequence[str]) -> ak.Array:
        """No events of these columns, of the types that the file has; raises for one that cannot be read."""

    def sum_of_weights(self, weight: str, weighed: bool) -> tuple[float | None, str]:
        """Sum over all events that were processed, and of what: here over those of the file, where they have the weight."""
        if weighed:
            return summed(self.read([flat(weight)], 0, self.entries)[flat(weight)], weight, UNSELECTED)
        return None, ""

    @abstractmethod
    def read(self, names: Sequence[str], start: int, stop: int, schema: pa.Schema | None = None) -> dict[str, ak.Array]:
        """The columns of some entries; without missing values where the schema says so, if writers allow for some anyway."""

    @abstractmethod
    def reckoned(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Entries, from the first to behind the last, and about the bytes in memory of these columns before each of them."""

    def batches(
        self, names: Sequence[str], start: int, stop: int, most: int, schema: pa.Schema | None = None
    ) -> Iterator[tuple[int, int, dict[str, ak.Array]]]:
        """First and last entry, and the columns of :meth:`read`, as many at a time as are about ``most`` bytes; one at least."""
        entries, before = self.reckoned(names)
        first, last = np.interp((start, stop), entries, before)
        ends = np.linspace(first, last, max(math.ceil((last - first) / most), 1) + 1)[1:-1]
        inside = np.interp(ends, before, entries).astype(int).tolist()
        for a, b in pairwise(sorted({start, *inside, stop})):
            yield a, b, self.read(names, a, b, schema)


@dataclass(frozen=True)
class Wanted:
    """The columns that a plan asks for: by name, and by the patterns of what it keeps."""

    names: frozenset[str]
    """Flat names."""
    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str], keep: Sequence[str]) -> Wanted:
        """``names`` as the plan says them, and ``output: keep``."""
        return cls(frozenset(map(flat, names)), tuple(keep))

    def __call__(self, name: str, own: str | None = None) -> bool:
        """Whether a column is asked for, by its flat name, or as the file calls it."""
        return name in self.names or is_kept(name, self.patterns, own)


def is_pattern(text: str) -> bool:
    """Whether an entry of ``keep`` may name several columns, or leaves some out."""
    return text.startswith("!") or any(letter in text for letter in "*?[")


def is_kept(branch: str, patterns: Iterable[str], own: str | None = None) -> bool:
    """Whether patterns keep this branch: the last one that names it decides, and ``!Jet.x*`` leaves out."""
    kept = False
    for pattern in patterns:
        leaves_out = pattern.startswith("!")
        if kept is leaves_out and names(pattern.removeprefix("!"), branch, own):
            kept = not leaves_out
    return kept


def names(pattern: str, branch: str, own: str | None = None) -> bool:
    """Whether a pattern, ``Jet.*`` or ``Jet_*``, names this branch."""
    known = {branch, dotted(branch), own or branch}
    return flat(pattern) == branch or any(fnmatchcase(name, pattern) for name in known)


def table_of(places: Iterable[At]) -> dict[str, list[At]]:
    """The columns of a file by their flat names."""
    table: dict[str, list[At]] = {}
    for place in places:
        table.setdefault(flat(place.name), []).append(place)
    return table


def one(places: Sequence[At]) -> At | None:
    """The place of a name that is not ambiguous."""
    return places[0] if len(places) == 1 else None


def fields_of(form: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all that is no record in an awkward form."""
    inner = form
    while inner.is_option or inner.is_indexed or (inner.is_list and inner.parameter("__array__") is None):
        inner = inner.content
    if not inner.is_record or not inner.fields:
        yield path
        return
    for name in inner.fields:
        yield from fields_of(inner.content(name), (*path, name))


def types_of(file: Opened, asked: Sequence[str]) -> tuple[pa.Schema | None, dict[str, str]]:
    """The types of columns of a file, with counters of its collections; and why some of them cannot be read."""
    faults = {
        name: f"{' and '.join(repr(place.name) for place in places)} would both be named {name!r}"
        for name in asked
        if len(places := file.columns.get(name, ())) > 1
    }
    left = [name for name in asked if name not in faults]
    schema = _or_none(lambda: schema_of(file.empty(left))) if left else None
    if schema is None:
        good = []
        for name in left:
            try:
                schema_of(file.empty([name]))
                good.append(name)
            except Exception as error:  # noqa: BLE001  other libraries raise all kinds for types they cannot read
                faults[name] = f"{type(error).__name__}: {one_line(error)}"
        schema = schema_of(file.empty(good)) if good else None
    return schema, faults


def _or_none(ask: Callable[[], pa.Schema]) -> pa.Schema | None:
    try:
        return ask()
    except Exception:  # noqa: BLE001  as above; each column is then tried by itself
        return None
