"""The particles of jets: how a file stores them, and their four-momenta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray
from numpy.typing import NDArray

from dask_augment.events.columns import column, plain
from dask_augment.events.domains import refuse_no_angle
from dask_augment.kernels.constituents import linked, momenta
from dask_augment.messages import nearest, unknown

PRESETS: Mapping[str, Mapping[str, str]] = {
    "nano_v15": {"links": "{jets}PFCand", "index": "pfCandIdx", "candidates": "PFCand"},
    "pfnano": {
        "links": "{jets}PFCands",
        "index": "pFCandsIdx",
        "candidates": "PFCands",
        "weight": "puppiWeight",
    },
}
"""Layouts by name; ``{jets}`` stands for the collection of jets, ``FatJet``."""
KINEMATICS = ("pt", "eta", "phi", "mass")


class Particles(NamedTuple):
    """The particles of all jets of some events: offsets[i]:offsets[i + 1] are those of the i-th jet."""

    offsets: NDArray[np.int64]
    """(jets + 1,)"""
    p4: NDArray[np.float64]
    """(n, 4): [px, py, pz, E] [GeV], times the particle's weight; NaN where a number of it is not finite."""
    candidate: NDArray[np.int64]
    """(n,): the particle's number among the candidates of its event."""
    jets: NDArray[np.int64]
    """(events + 1,): jets jets[i]:jets[i + 1] are those of event i."""


@dataclass(frozen=True, kw_only=True)
class Constituents:
    """Where the particles of jets are found: by links, or in a collection whose entries name their jet themselves.

    Numbers of jets and candidates count within the event from 0, in any order; -1 stands for none.

    Parameters
    ----------
    candidates
        The collection of particles, with ``pt`` [GeV], ``eta``, ``phi`` and ``mass`` [GeV].
    links
        The collection that links jets to candidates; None where each candidate names its jet.
    index
        The field of the links that is the candidate's number.
    jet
        The field of the links, or without links of the candidates, that is the jet's number.
    weight
        The field of the candidates that their momenta are multiplied by, as ``puppiWeight``; those of weight 0 are left
        out. None: 1.
    """

    candidates: str
    links: str | None = None
    index: str | None = None
    jet: str = "jetIdx"
    weight: str | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            needed = entry.name in ("candidates", "jet")
            if not (isinstance(value, str) and value) and (needed or value is not None):
                raise ValueError(f"constituents: {entry.name} must be a name, got {value!r}")
        if (self.links is None) != (self.index is None):
            given, other = ("links", "index") if self.index is None else ("index", "links")
            raise ValueError(
                f"constituents: {given} is {getattr(self, given)!r} and {other} is not given; links need both, the "
                "collection of links and its field with the candidate's number"
            )

    @classmethod
    def of(cls, value: Any, jets: str) -> Constituents:
        """From what a user or plan file wrote: the name of a preset, or a dictionary of the fields."""
        if isinstance(value, Constituents):
            return value
        if isinstance(value, str):
            if value not in PRESETS:
                raise ValueError(
                    f"constituents: no layout is named {value!r}; {nearest(value, PRESETS, 'layouts')}. A collection whose entries "
                    f"have a jetIdx is {{candidates: {value}}}"
                )
            return cls(**{key: text.format(jets=jets) for key, text in PRESETS[value].items()})
        if not isinstance(value, Mapping):
            raise TypeError(f"constituents must be the name of a layout or a dictionary, got {value!r}")
        known = [entry.name for entry in fields(cls)]
        if not set(value) <= set(known):
            raise ValueError(f"constituents have unknown keys {unknown(set(value) - set(known), known)}")
        if "candidates" not in value:
            raise ValueError(f"constituents do not say their candidates, the collection of particles: {dict(value)!r}")
        return cls(**value)

    def as_plan(self) -> dict[str, str]:
        """The entry as a plan file has it: what differs from the defaults."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            entry.name: values[entry.name] for entry in fields(self) if values[entry.name] not in (None, entry.default)
        }

    def columns(self) -> frozenset[str]:
        """The columns that :meth:`of_jets` reads, but for the one of the jets."""
        names = {f"{self.candidates}.{name}" for name in (*KINEMATICS, *([self.weight] if self.weight else []))}
        return frozenset(names | {f"{self.links or self.candidates}.{self.jet}"} | self._index())

    def _index(self) -> set[str]:
        return set() if self.links is None else {f"{self.links}.{self.index}"}

    def of_jets(self, events: ak.Array, jets: str) -> Particles:
        """The particles of all jets; ``jets`` is any column of them, which is read for their number."""
        jet_offsets = _lists(column(events, jets), jets).offsets.data
        values = {name: numbers(events, f"{self.candidates}.{name}") for name in KINEMATICS}
        refuse_no_angle(values["phi"], f"{self.candidates}.phi")
        offsets = _lists(column(events, f"{self.candidates}.pt"), self.candidates).offsets.data
        weights = numbers(events, f"{self.candidates}.{self.weight}") if self.weight else np.empty(0)
        of_link = f"{self.links or self.candidates}.{self.jet}"
        which = _indices(events, of_link)
        link_offsets = _lists(column(events, of_link), of_link).offsets.data
        if self.links is None:
            chosen = np.arange(len(which)) - np.repeat(offsets[:-1], np.diff(offsets))
        else:
            chosen = _indices(events, f"{self.links}.{self.index}")
        _check_lengths({**values, **({self.weight: weights} if self.weight else {})}, int(offsets[-1]), self.candidates)
        _check_lengths({self.jet: which, str(self.index): chosen}, int(link_offsets[-1]), self.links or self.candidates)
        ends, places, bad = linked(which, chosen, link_offsets, jet_offsets, offsets, weights)
        if bad >= 0:
            raise self._beyond(bad, which, chosen, link_offsets, jet_offsets, offsets, of_link, jets)
        p4 = momenta(*(values[name] for name in KINEMATICS), weights, places)
        starts = np.repeat(offsets[:-1], np.diff(ends[jet_offsets]))
        return Particles(ends, p4, places - starts, jet_offsets)

    def _beyond(
        self, bad: int, which: Any, chosen: Any, offsets: Any, jet_offsets: Any, candidate_offsets: Any,
        of_link: str, jets: str,
    ) -> ValueError:  # fmt: skip
        event = int(np.searchsorted(offsets, bad, side="right")) - 1
        many = np.diff(jet_offsets)[event], np.diff(candidate_offsets)[event]
        jets = jets.partition(".")[0]
        if not -1 <= which[bad] < many[0]:
            name, value, of, count = of_link, which[bad], jets, many[0]
        else:
            name, value, of, count = f"{self.links}.{self.index}", chosen[bad], self.candidates, many[1]
        return ValueError(
            f"{name} is {value} in event {event} of these, which has {count} entries in {of}: the number of an entry "
            f"must lie in [0, {count}), or be -1 for none. Were {of} filtered or sorted after the file was made? Then "
            "zoom before"
        )


def hint(value: Any, jets: str) -> str:
    """What constituents need, for an error about a column of theirs that is not there."""
    layouts = "; ".join(
        f"{name} needs {', '.join(sorted(Constituents.of(name, jets).columns()))}" for name in sorted(PRESETS)
    )
    chosen = value if isinstance(value, str) else value.as_plan()
    return (
        f"constituents are {chosen!r}: {layouts}; or give {{candidates: COLLECTION}}, particles with a jetIdx, or links "
        "and index of your own. Plain NanoAOD before v15 has no constituents of jets"
    )


def _lists(content: Content, name: str) -> ListOffsetArray:
    """A column of plain lists; an event without a list has an empty one."""
    if content.is_option:
        content = plain(ak.fill_none(ak.Array(content), [], axis=0).layout)
    if not isinstance(content, ListOffsetArray):
        raise TypeError(f"{name} must be a list for each event, got {content.form.type} for each")
    return content


def _check_lengths(values: Mapping[str, NDArray[Any]], length: int, collection: str) -> None:
    """Fields of one collection have its counts; where lists are missing from some of them, they may not."""
    for name, found in values.items():
        if len(found) != length:
            raise ValueError(f"{collection}.{name} has {len(found)} entries, others of {collection} have {length}")


def _values(events: ak.Array, name: str, missing: float) -> NDArray[Any]:
    content = _lists(column(events, name), name).content
    if content.is_option:
        content = plain(ak.fill_none(ak.Array(content), missing).layout)
    if not content.is_numpy or content.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number for each entry, got {content.form.type}")
    return np.asarray(content.data)


def numbers(events: ak.Array, name: str) -> NDArray[np.float64]:
    """Flat values as float64; NaN where one is missing."""
    return _values(events, name, np.nan).astype(np.float64, copy=False)


def _indices(events: ak.Array, name: str) -> NDArray[np.int64]:
    """Flat indices; -1 where one is missing."""
    values = _values(events, name, -1)
    if values.dtype.kind == "f":
        raise TypeError(f"{name} must be whole numbers, got {values.dtype}")
    return values.astype(np.int64, copy=False)
