"""Systematic variations from coffea's ``add_systematic``, kept consistent with the nominal values.

A variation is a copy of all fields of its objects, taken when it was added, in which a few were varied. After a step the
others are those of the nominal objects as they are now; what the step made of a varied one cannot be had anew.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, RecordArray
from numpy.typing import NDArray

from dask_augment.contract.flow import Flow
from dask_augment.events.columns import dotted, plain, with_contents
from dask_augment.events.layouts import record_of
from dask_augment.events.own_columns import KIND
from dask_augment.events.simulation import is_whole_weight
from dask_augment.frames.packed import later
from dask_augment.frames.step_inputs import zero_where, zeroed

FIELD = "__systematics__"


class StaleVariation(RuntimeError):
    """A step changed what a systematic varies, or what depends on it."""


def varied_along(result: ak.Array, steps: Flow, *, raises: bool) -> ak.Array:
    """The result of steps with variations of what they left and made; other events as they are.

    What a varied column decides about is gone from its variations; with ``raises`` it is there, and StaleVariation says
    so where it is asked for.
    """
    layout = result.layout
    changed = {name.partition(".")[0] for name in steps.made}
    having = [name for name in sorted(changed & {*layout.fields}) if FIELD in layout[name].fields]
    if not having and FIELD not in layout.fields:
        return result
    contents = {name: layout[name] for name in layout.fields}
    for name in having:
        contents[name] = _descend(contents[name], _Follower(f"{name}.", steps, raises))
    followed = with_contents(result, contents)
    if FIELD not in contents:
        return followed
    record = _Follower("", steps, raises)(followed.layout)
    return ak.Array(record, behavior=result.behavior, attrs=result.attrs)


def _descend(layout: Content, change: Callable[[RecordArray], RecordArray]) -> Content:
    """The layout with its record changed."""
    return change(layout) if layout.is_record else layout.copy(content=_descend(layout.content, change))


@dataclass(frozen=True)
class _Follower:
    """Makes the variations of a record follow its fields."""

    prefix: str
    """What stands before the names of its fields: ``Jet.``."""
    steps: Flow
    raises: bool

    def __call__(self, nominal: RecordArray) -> RecordArray:
        systematics = nominal[FIELD]
        groups = {name: systematics[name] for name in systematics.fields}
        for name, group in groups.items():
            if group.fields and not name.startswith("__"):
                groups[name] = _record(nominal, {v: self._varied(nominal, group[v], name) for v in group.fields}, group)
        contents = {name: nominal[name] for name in nominal.fields}
        return _record(nominal, contents | {FIELD: _record(nominal, groups, systematics)}, nominal)

    def _varied(self, nominal: RecordArray, variation: Content, name: str) -> RecordArray:
        varied = _varied_fields(variation, name)
        stale = self._stale({self.prefix + field for field in varied})
        contents: dict[str, Content] = {}
        for field in dict.fromkeys([*variation.fields, *nominal.fields]):
            column = self.prefix + field
            by = next((by for gone, by in stale.items() if gone == column or gone.startswith(f"{column}.")), None)
            if field == FIELD:
                continue
            if by is not None:
                if self.raises:
                    contents[field] = later("float64", nominal.length, partial(_raise, name, column, by))
            elif column in self._zeroed(nominal):
                contents[field] = zero_where(_made(nominal), plain(variation[field]))
            elif field in varied or field not in nominal.fields:
                contents[field] = variation[field]
            else:
                contents[field] = nominal[field]
        return _record(nominal, contents, variation)

    def _zeroed(self, nominal: RecordArray) -> frozenset[str]:
        """Weights of events that are 0 on made rows, in variations too."""
        makes = any(step.augmenter.makes for step in self.steps.steps)
        if self.prefix or not makes or not nominal.backend.nplike.known_data:
            return frozenset()
        return frozenset(zeroed(ak.Array(nominal), self.steps.setting))

    def _stale(self, varied: set[str]) -> dict[str, str]:
        """Columns that steps made anew from what is varied, or in its place, each with the step."""
        stale: dict[str, str] = {}
        decides = set(varied)
        for step in self.steps.steps:
            depends = any(_among(dotted(name), decides) for name in step.uses)
            follow = [
                name for name in varied if step.augmenter.rescales() and not self.prefix and is_whole_weight(name)
            ]
            for name in (*sorted(step.products), *follow):
                if depends or _among(name, decides):
                    stale[name] = step.label
                    decides.add(name)
        return stale


def _made(events: RecordArray) -> NDArray[np.bool_]:
    """Which rows of events were made."""
    made: NDArray[np.bool_] = np.asarray(plain(events[KIND]).data) > 0
    return made


def _among(name: str, columns: set[str]) -> bool:
    return name in columns or name.partition(".")[0] in columns


def _record(like: RecordArray, contents: Mapping[str, Content], named: Content) -> RecordArray:
    """A record of these fields, as long as another one and with the name of a third."""
    return RecordArray(
        list(contents.values()), list(contents), length=like.length, parameters=record_of(named).parameters,
        backend=like.backend,
    )  # fmt: skip


def _varied_fields(variation: Content, name: str) -> frozenset[str]:
    """The fields that a variation varies, which coffea writes as ``JES-pt-up`` or ``JES-['pt', 'mass']-up``."""
    said = str(record_of(variation).parameters.get("variation", ""))
    what = said.removeprefix(f"{name}-").rpartition("-")[0]
    if what[:1] in ("[", "("):
        return frozenset(map(str, ast.literal_eval(what)))
    return frozenset({what})


def _raise(name: str, column: str, label: str) -> NDArray[Any]:
    raise StaleVariation(
        f"step {label!r} made {column!r} from nominal values, and the systematic {name!r} varies its inputs: augment "
        f"the events before add_systematic({name!r}, ...), or run the step on the varied objects themselves"
    )
