"""The law about references: a matched jet is one of its own event, as the step left it."""

from __future__ import annotations

import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq

from dask_augment import frames
from dask_augment.augmenters.phi_rotate import PhiRotate
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.events import columns as cols
from dask_augment.frames.global_indices import StaleReference
from dask_augment.laws.case import Case
from dask_augment.laws.compare import content_bytes

_REFERENCES = (
    ("Electron", "jetIdx", "Jet", "matched_jet"),
    ("Muon", "jetIdx", "Jet", "matched_jet"),
)
"""Collections of NanoAOD, their numbers of what they refer to, its collection, and coffea's name for it."""
_VECTOR = {"pt", "eta", "phi", "mass"}
_SECOND = {"px", "py", "pz", "x", "y", "z", "rho", "theta", "E", "e", "energy", "t", "tau", "M", "m"}
"""Coordinates that no vector of coffea's has beside those."""


def refers_to_its_own_event(case: Case) -> None:
    """In coffea's NanoEvents, what an object refers to is an object of its event with the values that it has now.

    So are angles between both, after a common rotation too. Of interpolated rows, which lie between two events, it is
    gone.
    """
    if find_spec("coffea") is None:
        return
    there = [entry for entry in _REFERENCES if _fields(case, entry[0]) & _fields(case, entry[2]) >= _VECTOR]
    if not there or _SECOND & {cols.dotted(name).partition(".")[2] for name in case.augmenter.produces()}:
        return
    steps: list[Any] = [(case.label, case.ready)]
    if not case.stage.narrowing:
        names = sorted({name for one, _, other, _ in there for name in (one, other)})
        steps.append(("turned", PhiRotate(columns=tuple(f"{name}.phi" for name in names))))
    setting = case.setting
    with tempfile.TemporaryDirectory() as folder:
        events = _nano_events(case, there, Path(folder) / "events.parquet")
        with warnings.catch_warnings():
            # Angles of other collections are left on purpose.
            warnings.filterwarnings("ignore", message="step .* turns .* and leaves ", category=UserWarning)
            result = frames.augment(
                events, *steps, seed=setting.seed, dataset=setting.dataset, ids=setting.ids, weights=setting.weights,
                split=setting.split,
            )  # fmt: skip
        for entry in there:
            _hold(case, result, *entry)


def _fields(case: Case, name: str) -> set[str]:
    return set(case.events[name].fields) if name in case.events.fields else set()


def _nano_events(case: Case, there: list[tuple[str, str, str, str]], path: Path) -> ak.Array:
    """The events as coffea reads them, with references from each collection to some object of another."""
    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

    events = case.events
    new = {}
    for name, field, target, _ in there:
        counts = np.asarray(ak.num(events[target], axis=1))
        place = ak.local_index(events[name][next(iter(_VECTOR))])
        number = (place + np.arange(len(events))) % (counts + 1) - 1
        new[f"{name}.{field}"] = cols.as_content(ak.values_astype(number, np.int32))
    events = cols.assemble(events, new)
    pq.write_table(to_table(events, schema_of(events)), path)
    with warnings.catch_warnings():
        # The sample has a few of the cross references that NanoAODSchema knows of.
        warnings.filterwarnings("ignore", "Missing cross-reference", RuntimeWarning)
        return NanoEventsFactory.from_parquet(str(path), schemaclass=NanoAODSchema, metadata={"is_mc": True}).events()


def _hold(case: Case, result: ak.Array, name: str, field: str, target: str, accessor: str) -> None:
    if name not in result.fields:
        return
    try:
        found = getattr(result[name], accessor)
        found.phi.to_list()
    except StaleReference:
        if case.augmenter.makes == "interpolated":
            return
        raise
    if case.augmenter.makes == "interpolated":
        raise case.broken(f"{name}.{accessor} of interpolated rows leads to one of their parents")
    made = {*map(cols.dotted, case.ready.produces())} & {f"{target}.{column}" for column in result[target].fields}
    if gone := sorted(made - {f"{target}.{column}" for column in found.fields}):
        raise case.broken(f"{name}.{accessor} does not have {gone[0]}, which the step made")
    number = result[name][field]
    objects = result[target][ak.mask(number, number >= 0)]
    for column in sorted({*result[target].fields} - {"charge"}):
        if "Idx" in column or column not in found.fields:
            continue
        one, other = (ak.to_packed(values[column]).layout for values in (found, objects))
        if content_bytes(cols.plain(one)) != content_bytes(cols.plain(other)):
            raise case.broken(
                f"{name}.{accessor} does not lead to the {target} of its own event: {target}.{column} differs"
            )
