"""A fixed number of four-vectors for each event: its first jets and leptons, missing momentum, or columns by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.events.columns import column, dotted, plain
from dask_augment.events.domains import refuse_below, refuse_no_angle
from dask_augment.kernels.four_vectors import add_four_vectors, first_spacelike
from dask_augment.options import is_finite

_POLAR, _CARTESIAN = ("pt", "eta", "phi"), ("px", "py", "pz")
_LAST = ("mass", "E")
_KEYS = {"objects", *_POLAR, *_CARTESIAN, *_LAST}
_SOME = re.compile(r"(\w+)\[(?:(\d+)|(\d*):(\d+))\]")
_HOW = "write 'Jet[:6]', 'Electron[0]', 'MET', or {pt: ..., eta: ..., phi: ..., mass: ...} with columns or numbers"


@dataclass(frozen=True)
class _Entry:
    """Objects ``first`` to ``stop`` of each event, or with ``collection`` "" one whose columns have a value each event."""

    given: Any
    collection: str
    first: int
    stop: int
    sources: tuple[str | float, ...]
    """Column or number of the three momenta, and of mass or energy."""
    polar: bool
    energy: bool

    @property
    def names(self) -> list[str]:
        if self.collection:
            return [f"{self.collection}[{i}]" for i in range(self.first, self.stop)]
        return [self.given if isinstance(self.given, str) else f"{self.sources[0]}, ..."]


@dataclass(frozen=True)
class Objects:
    """Which objects of an event are N four-vectors, each in its place; what an event lacks is zeros.

    An entry is ``"Jet[:6]"``, the first six jets as they stand in the event (``"Jet[2:6]"``, ``"Jet[0]"``), by their
    ``pt``, ``eta``, ``phi``, ``mass``; ``"MET"``, one for each event by ``pt`` and ``phi``, with pz and mass 0; or a
    dictionary. That of objects names other fields of theirs, or numbers: ``{objects: "Photon[:2]", mass: 0}``. One
    without ``objects`` names a column with one value for each event, or a number, for each of ``pt``, ``eta``, ``phi``
    (or ``px``, ``py``, ``pz``) and ``mass`` (or ``E``). GeV and radians.
    """

    entries: tuple[_Entry, ...]

    @classmethod
    def of(cls, value: Objects | str | Mapping[str, Any] | Iterable[Any], argument: str = "inputs") -> Objects:
        """Objects from what a user or plan file wrote: one entry or a list of them; ``argument`` is what errors call it."""
        if isinstance(value, Objects):
            return value
        if not isinstance(value, Iterable):
            raise TypeError(f"{argument} is {value!r}, which names no objects; {_HOW}")
        given = [value] if isinstance(value, (str, Mapping)) else list(value)
        if not given:
            raise ValueError(f"{argument} names no objects; {_HOW}")
        return cls(tuple(_entry(entry, argument) for entry in given))

    def __len__(self) -> int:
        return sum(len(entry.names) for entry in self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """What is in each place: ``("Jet[0]", "Jet[1]", "MET")``."""
        return tuple(name for entry in self.entries for name in entry.names)

    def as_plan(self) -> list[Any]:
        """The entries as a plan file has them."""
        return [entry.given for entry in self.entries]

    def uses(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset(source for entry in self.entries for source in entry.sources if isinstance(source, str))

    def remedy(self, name: str) -> str:
        """What to do where the column is missing."""
        for entry in self.entries:
            if name in entry.sources and entry.collection and name == f"{entry.collection}.mass":
                spec = entry.given if isinstance(entry.given, str) else entry.given["objects"]
                return (
                    f"give these objects a mass [GeV], {{objects: {spec!r}, mass: 0}}, or name the field that holds it; "
                    f"events that have no {entry.collection} at all need other inputs"
                )
        return ""

    def four_vectors(self, events: ak.Array) -> NDArray[np.float64]:
        """(E, px, py, pz) [GeV] of all places: float64 (n, N, 4).

        Energies are sqrt(p**2 + m |m|): a negative mass stands for a negative square. TypeError for a column that does
        not have one number for each object, or each event. NaN in a column that is read makes its vector NaN. ValueError
        for a negative pt, for angles beyond a full turn, as degrees are, and where p is beyond the energy by more than 1 %,
        or beyond a negative mass.
        """
        out = np.empty((len(events), len(self), 4))
        every = np.arange(len(events) + 1)
        slot = 0
        for entry in self.entries:
            offsets, values = _read(events, entry, every)
            for index in range(entry.first, entry.stop):
                add_four_vectors(offsets, index, *values, entry.polar, entry.energy, slot, out)
                _refuse_spacelike(entry, index, out, slot)
                slot += 1
        return out


def _entry(given: Any, argument: str) -> _Entry:
    if isinstance(given, str):
        if given.isidentifier():
            return _Entry(given, "", 0, 1, (f"{given}.pt", 0.0, f"{given}.phi", 0.0), polar=True, energy=False)
        given_keys: Mapping[str, Any] = {}
        objects: Any = given
    elif isinstance(given, Mapping) and set(given) <= _KEYS:
        given_keys = {key: value for key, value in given.items() if key != "objects"}
        objects = given.get("objects")
        given = dict(given)
    else:
        raise ValueError(f"{argument} has {given!r}, which names no objects; {_HOW}")
    momentum = _CARTESIAN if set(given_keys) & set(_CARTESIAN) else _POLAR
    last = "E" if "E" in given_keys or (momentum is _CARTESIAN and "mass" not in given_keys) else "mass"
    needed = (*momentum, last)
    if strange := sorted(set(given_keys) - set(needed)):
        raise ValueError(
            f"{argument}: {given!r} gives {strange} beside {sorted(set(given_keys) & set(needed))}; {_HOW}"
        )
    if objects is None and (lacking := [key for key in needed if key not in given_keys]):
        raise ValueError(f"{argument}: {given!r} lacks {lacking}, each a column or a number; {_HOW}")
    collection, first, stop = ("", 0, 1) if objects is None else _slice(objects, argument)
    sources = tuple(_source(given_keys.get(key, key), collection, f"{argument}: {key}") for key in needed)
    if not any(isinstance(source, str) for source in sources):
        raise ValueError(f"{argument}: {given!r} names no column; {_HOW}")
    return _Entry(given, collection, first, stop, sources, polar=momentum is _POLAR, energy=last == "E")


def _slice(objects: Any, argument: str) -> tuple[str, int, int]:
    found = _SOME.fullmatch(objects) if isinstance(objects, str) else None
    if found is None:
        raise ValueError(f"{argument} has {objects!r}, which names no objects; {_HOW}")
    collection, one, first, stop = found.groups()
    bounds = (int(one), int(one) + 1) if one else (int(first or 0), int(stop))
    if bounds[0] >= bounds[1]:
        raise ValueError(f"{argument} has {objects!r}, which is no object; the second number must be above the first")
    return collection, *bounds


def _source(value: Any, collection: str, what: str) -> str | float:
    if isinstance(value, str) and value:
        return dotted(f"{collection}.{value}") if collection else value
    if is_finite(value):
        return float(value)
    raise ValueError(f"{what} must be a {'field' if collection else 'column'} or a finite number, got {value!r}")


def _read(events: ak.Array, entry: _Entry, every: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """Offsets of the objects of each event, and their four numbers, all of one floating type."""
    offsets = every
    found: dict[str, NDArray[Any]] = {}
    for name in (source for source in entry.sources if isinstance(source, str)):
        content: Any = plain(column(events, name))
        if entry.collection and content.is_list:
            offsets, content = content.offsets.data, content.content
        elif entry.collection:
            raise TypeError(
                f"column {name!r} has one value for each event, so there is no {entry.names[0]}; "
                f"write {entry.collection!r} for missing momentum, or {{pt: {name}, ...}}"
            )
        if not content.is_numpy or content.data.ndim != 1 or content.data.dtype.kind not in "iuf":
            each = "object" if entry.collection else "event"
            raise TypeError(
                f"column {name!r} must hold one number for each {each} to be {entry.names[0]!r}, it has type "
                f"{content.form.type}; the first objects of a collection are 'Jet[:4]', and ak.fill_none mends options"
            )
        found[name] = content.data
    if entry.polar:
        pt, phi = entry.sources[0], entry.sources[2]
        if isinstance(pt, str):
            refuse_below(found[pt], 0.0, pt, "a transverse momentum is 0 or more")
        if isinstance(phi, str):
            refuse_no_angle(found[phi], phi)
    kinds = {values.dtype for values in found.values()}
    dtype = kinds.pop() if kinds in ({np.dtype("f4")}, {np.dtype("f8")}) else np.dtype("f8")
    length = len(next(iter(found.values())))
    values = [
        found[source].astype(dtype, copy=False) if isinstance(source, str) else np.full(length, source, dtype)
        for source in entry.sources
    ]
    return offsets, values


def _refuse_spacelike(entry: _Entry, index: int, vectors: NDArray[np.float64], slot: int) -> None:
    """ValueError where a vector has less energy than momentum; of a mass, where its negative square leaves no energy."""
    if (bad := first_spacelike(vectors, slot, 0.99 if entry.energy else 1e-6)) < 0:
        return
    of = f"{entry.collection}[{index}]" if entry.collection else entry.names[0]
    energy, *momentum = vectors[bad, slot].tolist()
    has = (
        f"the energy {energy:.7g}" if entry.energy else f"a negative mass, {entry.sources[3]!r}, that leaves no energy,"
    )
    raise ValueError(
        f"{of} has {has} and the momentum {math.hypot(*momentum):.7g} in event {bad} of these, and no object has less energy "
        "than momentum: give both in GeV and of one calibration, and leave out what stands for missing objects"
    )
