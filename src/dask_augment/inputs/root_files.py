"""Read ROOT files with uproot: trees and RNTuples, by the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import uproot
from awkward.contents import Content, ListOffsetArray
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.events.columns import flat
from dask_augment.inputs.columns_of_files import At, NoTree, Opened, fields_of, one, table_of
from dask_augment.inputs.paths import is_url
from dask_augment.inputs.sums import summed

_TOGETHER = 16
"""Branches of a local file that are read at once: their baskets are held as they come, decompressed and as arrays."""


_MANY = 2**50
"""Bytes of which it is asked how many entries they are."""


@dataclass(frozen=True)
class Root:
    """ROOT files, of which this tree is read."""

    tree: str
    has_uuid = True
    # Reading the table of a thousand branches costs as much as reading ten.
    stays_open = True

    def open(self, location: str) -> RootFile:
        """One of them; NoTree where it has none of this name."""
        return open_root(location, self.tree)


def open_root(location: str, tree: str) -> Tree | Ntuple:
    """A tree or an RNTuple of a ROOT file; :class:`NoTree` where there is none of this name."""
    # What was read is read once: a cache of arrays for each open file would only grow. A colon is part of the name here.
    file = uproot.open({location: None}, array_cache=None)
    # Older cycles of a name are of no use, and directories are looked into.
    kinds = file.classnames(cycle=False)
    kind = kinds.get(tree.partition(";")[0], "")
    if "RNTuple" in kind:
        return Ntuple(file, file[tree])
    if kind in ("TTree", "TNtuple", "TNtupleD", "TChain"):
        return Tree(file, file[tree], afar=is_url(location))
    trees = sorted(key for key, other in kinds.items() if "Tree" in other or "Tuple" in other)
    what = f"; {tree!r} is a {kind}" if kind else ""
    raise NoTree(f"has no tree {tree!r}; it has {trees or 'no trees'}{what}")


_SUMW = re.compile(r"genEventSumw_?")


class RootFile(Opened):
    """A file of which one tree or RNTuple is read."""

    file: Any

    def sum_of_weights(self, weight: str, weighed: bool) -> tuple[float | None, str]:
        """Of ``genWeight`` as the Runs tree says it (``genEventSumw``), else over the events of the file."""
        if "Runs" in self.file and weight == "genWeight":
            runs = self.file["Runs"]
            for name in filter(_SUMW.fullmatch, runs.keys()):
                return summed(runs.arrays([name])[name], f"Runs.{name}")
        return super().sum_of_weights(weight, weighed)


class Tree(RootFile):
    """A TTree. Branches in branches are columns of their own, and so are the leaves of a branch."""

    def __init__(self, file: Any, tree: Any, *, afar: bool) -> None:
        self.file, self._tree, self._afar = file, tree, afar
        self.uuid, self.entries = str(file.file.uuid), int(tree.num_entries)
        self.columns = table_of(_branches(tree, "", ""))

    def at(self, name: str) -> At | None:
        """Where the column of this flat name is, in an object if need be."""
        if name in self.columns:
            return one(self.columns[name])
        for cut in re.finditer("_", name):
            if (whole := self.columns.get(name[: cut.start()])) and name in self._inside(whole[0]):
                return self._inside(whole[0])[name]
        return None

    def leaves(self, name: str) -> list[str]:
        """The flat names of the fields of an object; the name itself for numbers, and for what cannot be read."""
        place = self.at(name)
        if place is None or self._tree[place.key].interpretation is None:
            return [name]
        try:
            return list(self._inside(place)) or [name]
        except Exception:  # noqa: BLE001  what cannot be read is told when its type is asked for
            return [name]

    def _inside(self, place: At) -> dict[str, At]:
        """The fields of an object, none of a number."""
        if place.path != (place.key,):
            return {}
        found = [path for path in fields_of(self._form(place.key)) if path]
        return {flat(at.name): at for at in (At(".".join((place.name, *p)), place.key, (place.key, *p)) for p in found)}

    def _form(self, key: str) -> Any:
        return self._tree[key].interpretation.awkward_form(self._tree.file)

    def reckoned(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By the baskets of the branches, as the file says their sizes; a list is a number more."""
        branches = [self._tree[key] for key in sorted({place.key for place in self._places(names).values()})]
        borders = [np.asarray(branch.entry_offsets, np.float64) for branch in branches]
        entries = np.unique(np.concatenate([[0.0, self.entries], *borders]))
        before = 8.0 * len(branches) * entries
        for branch, ends in zip(branches, borders, strict=True):
            sizes = np.zeros(len(ends))
            packed = branch.member("fBasketBytes")[: len(ends) - 1]
            sizes[1 : len(packed) + 1] = packed
            before += np.interp(entries, ends, np.cumsum(sizes)) * branch.uncompressed_bytes / max(sizes.sum(), 1)
        return entries, before

    def _places(self, names: Sequence[str]) -> dict[str, At]:
        return {name: place for name in names if (place := self.at(name)) is not None}

    def empty(self, names: Sequence[str]) -> ak.Array:
        """No events: of the forms alone, since reading no entries would decompress the first basket of each branch."""
        columns = {}
        for name, place in self._places(names).items():
            whole = ak.Array(self._form(place.key).length_zero_array(highlevel=False))
            columns[name] = _into(whole, place.path[1:])
        contents = [ak.to_layout(column) for column in columns.values()]
        return ak.Array(ak.contents.RecordArray(contents, list(columns), length=0))

    def read(self, names: Sequence[str], start: int, stop: int, schema: pa.Schema | None = None) -> dict[str, ak.Array]:  # noqa: ARG002  nothing is missing
        """The columns of some entries; each list with the offsets of its collection."""
        places = self._places(names)
        columns: dict[str, ak.Array] = {}
        borders: dict[str, Index64] = {}
        # From afar each reading is a journey there and back, which costs more than the memory.
        together = len(names) if self._afar else _TOGETHER
        for first in range(0, len(names), together):
            some = {name: places[name] for name in names[first : first + together]}
            keys = sorted({place.key for place in some.values()})
            events = self._tree.arrays(keys, entry_start=start, entry_stop=stop)
            for name, place in some.items():
                layout = _into(events[place.key], place.path[1:]).layout
                columns[name] = ak.Array(_with_borders(layout, name, borders))
        return columns


class Ntuple(RootFile):
    """An RNTuple. Fields of records, and of lists of them, are columns of their own."""

    def __init__(self, file: Any, ntuple: Any) -> None:
        self.file, self._ntuple = file, ntuple
        self.uuid, self.entries = str(file.file.uuid), int(ntuple.num_entries)
        paths = [path for name in ntuple.keys(recursive=False) for path in self._paths(name)]
        self.columns = table_of(At(".".join(path), ".".join(path), path) for path in paths)

    def _paths(self, name: str) -> list[tuple[str, ...]]:
        try:
            return list(fields_of(self._form(name).content(name), (name,)))
        except Exception:  # noqa: BLE001  what cannot be read is told when its type is asked for
            return [(name,)]

    def _form(self, key: str) -> Any:
        return self._ntuple.to_akform(filter_name=[key])[0]

    def reckoned(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By the numbers of elements of its columns: those of all entries."""
        keys = sorted({place.key for name in names if (place := self.at(name)) is not None})
        width = _MANY / (self._ntuple.num_entries_for(_MANY, filter_name=keys) or _MANY) if self.entries else 1.0
        return np.array([0.0, self.entries]), np.array([0.0, self.entries * width])

    def empty(self, names: Sequence[str]) -> ak.Array:
        """No events, of the forms."""
        columns = {}
        for name in names:
            place = self.at(name)
            assert place is not None
            columns[name] = _into(ak.Array(self._form(place.key).length_zero_array(highlevel=False)), place.path)
        contents = [ak.to_layout(column) for column in columns.values()]
        return ak.Array(ak.contents.RecordArray(contents, list(columns), length=0))

    def read(self, names: Sequence[str], start: int, stop: int, schema: pa.Schema | None = None) -> dict[str, ak.Array]:  # noqa: ARG002  nothing is missing
        """The columns of some entries."""
        places = {name: place for name in names if (place := self.at(name)) is not None}
        events = self._ntuple.arrays(sorted({p.key for p in places.values()}), entry_start=start, entry_stop=stop)
        borders: dict[str, Index64] = {}
        return {
            name: ak.Array(_with_borders(_into(events, place.path).layout, name, borders))
            for name, place in places.items()
        }


def _into(values: ak.Array, path: Sequence[str]) -> ak.Array:
    """A field of a record in a record."""
    for name in path:
        values = values[name]
    return values


def _branches(parent: Any, key: str, name: str) -> Iterator[At]:
    """All branches that hold values: those that only hold other branches are not among them."""
    for branch in parent.branches:
        own, at = str(branch.name), f"{key}{branch.name}"
        # Most branches in an object have its name already, EventInfoAux.runNumber in EventInfoAux.
        full = own if not name or own.startswith(f"{name.rstrip('.')}.") else f"{name.rstrip('.')}.{own}"
        leaves = branch.member("fLeaves")
        if branch.branches:
            yield from _branches(branch, f"{at}/", full)
        elif len(leaves) > 1:
            yield from (At(f"{full}.{leaf.member('fName')}", at, (at, leaf.member("fName"))) for leaf in leaves)
        else:
            yield At(full, at, (at,))


def _with_borders(layout: Content, name: str, borders: dict[str, Index64]) -> Content:
    """A list column with the offsets of those of its collection that came before: each branch brings a copy of them."""
    if not isinstance(layout, ListOffsetArray):
        return layout
    known = borders.setdefault(name.partition("_")[0], layout.offsets)
    same = np.array_equal(known.data, layout.offsets.data)
    return ListOffsetArray(known, layout.content, parameters=layout.parameters) if same else layout
