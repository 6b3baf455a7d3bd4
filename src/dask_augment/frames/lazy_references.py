"""References between objects of NanoEvents in dask mode; see :mod:`dask_augment.frames.references`."""

from __future__ import annotations

from functools import partial
from typing import Any

import awkward as ak
import dask_awkward as dak
import numpy as np

from dask_augment.frames.global_indices import GONE, StaleReference, gone, others, refers
from dask_augment.frames.references import (
    INTERPOLATED,
    ORIGINAL,
    UNKNOWN,
    alters,
    collection_in_one_piece,
    retold_now,
    without_places,
)
from dask_augment.frames.stage import Stage


class LazyReferences:
    """The collections that objects of augmented events refer to, lazy; or why there are none."""

    def __init__(self, events: dak.Array, refusal: str = "") -> None:
        self.events, self.refusal = events, refusal

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        """A collection; StaleReference where it is gone."""
        if self.refusal:
            raise StaleReference(self.refusal)
        if name not in self.events.fields:
            raise StaleReference(gone(name))
        if self.events._meta[name].ndim < 2 or not refers(self.events._meta):
            return self.events[name]  # other schemas of coffea take from a collection as it is
        return LazyTarget(self.events[name].map_partitions(collection_in_one_piece, label="in-one-piece"), name)


class LazyTarget:
    """A collection as coffea takes from it by flat places."""

    def __init__(self, collection: dak.Array, name: str) -> None:
        self._collection, self._name = collection, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def _apply_global_index(self, index: dak.Array) -> dak.Array:
        if index.npartitions != self._collection.npartitions:
            raise StaleReference(
                f"what refers to {self._name} cannot be followed: it is asked for by {index.npartitions} partitions, and "
                f"{self._name} lies in {self._collection.npartitions}; take what is referred to before you concatenate, "
                "choose partitions or repartition"
            )
        take = partial(_taken, name=self._name)
        return self._collection.map_partitions(take, index, label="apply_global_index")


def _taken(collection: ak.Array, index: ak.Array, *, name: str) -> Any:
    if ak.backend(index) != "typetracer" and bool(ak.any(index == np.int64(GONE), axis=None)):
        raise StaleReference(others(name))
    return collection._apply_global_index(index)


def referring_lazily(events: dak.Array, result: dak.Array, stage: Stage) -> dak.Array:
    """The result of steps on NanoEvents, whose objects refer to those of the result; other events as they are."""
    found = events._meta.attrs.get(ORIGINAL)
    if not isinstance(found, (LazyReferences, dak.Array)):
        return result
    base = found.events if isinstance(found, LazyReferences) else found
    refusal = found.refusal if isinstance(found, LazyReferences) else ""
    if refusal or stage.interpolates:
        result = result.map_partitions(without_places, label="without-references")
        return _with_references(result, LazyReferences(result, refusal or INTERPOLATED))
    if stage.keeps_rows and base.name == events.name:
        return _with_references(result, LazyReferences(result))
    if not alters(stage, events._meta):
        return result  # what is referred to has the values that it had
    if not refers(result._meta):
        return _with_references(result, LazyReferences(result, UNKNOWN))
    result = result.map_partitions(retold_now, base, label="references")
    return _with_references(result, LazyReferences(result))


def _with_references(result: dak.Array, references: LazyReferences) -> dak.Array:
    meta = result._meta
    result._meta = ak.Array(meta.layout, behavior=meta.behavior, attrs={**meta.attrs, ORIGINAL: references})
    references.events = result
    return result
