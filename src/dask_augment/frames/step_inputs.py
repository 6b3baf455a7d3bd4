"""The input of a step: the columns that it names, those with a value known to the frame, and random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import awkward as ak
import numpy as np
from awkward.contents import Content, IndexedArray, NumpyArray, RecordArray
from awkward.forms import Form
from numpy.typing import NDArray

from dask_augment.contract.draw import Draw
from dask_augment.contract.flow import Step
from dask_augment.contract.ids import copy_numbers, dataset_codes, row_ids
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.events.layouts import bare
from dask_augment.events.own_columns import DATASET, TRAIN_WEIGHT, WEIGHT
from dask_augment.events.simulation import is_known_weight, is_whole_weight

_MAY_BE = re.compile("gen|Gen|LHE|weight|event|mc|final")


def given(columns: Iterable[str], events: ak.Array, setting: Setting) -> frozenset[str]:
    """Those of these columns that are not read: the name of the data set, and train_weight where no step made it yet."""
    names = set() if setting.dataset is None else {DATASET}
    asked = set(columns)
    if TRAIN_WEIGHT in asked and not cols.has(events, TRAIN_WEIGHT):
        names.add(TRAIN_WEIGHT)
    return frozenset(names & asked)


def only(events: ak.Array, columns: frozenset[str], setting: Setting) -> ak.Array:
    """The events with these columns and no more, nested and plain, with what the frame gives."""
    for name in sorted(columns & {*setting.weights, WEIGHT}):
        if not cols.has(events, name):
            there = [w for w in setting.weights if cols.has(events, w)] or known_weights(events)
            remedy = (
                f"give the step weights={there}" if there else "name those that they have, or give the step weights=()"
            )
            raise cols.MissingColumn(f"no weight column {name!r} among the events: {remedy}")
    names = given(columns, events, setting)
    if not names:
        return cols.only(events, columns)
    layout = cols.only_layout(events.layout, columns - names)
    contents: dict[str, Content] = dict(zip(layout.fields, layout.contents, strict=True))
    if DATASET in names:
        contents[DATASET] = _repeated(str(setting.dataset), len(events))
    if TRAIN_WEIGHT in names:
        contents[TRAIN_WEIGHT] = NumpyArray(np.ones(len(events)))
    return ak.Array(RecordArray(list(contents.values()), list(contents), length=len(events)))


def refuse_missing_values(events: ak.Array, columns: Iterable[str]) -> None:
    """Raise ValueError where a column has missing values: None of awkward, null of Arrow, <NA> of pandas."""
    for name in sorted(columns):
        if cols.has(events, name) and (number := _missing(cols.column(events, name))):
            fields = events.layout.fields
            shown = cols.flat(name) if name not in fields and cols.flat(name) in fields else name
            head, dot, _ = name.partition(".")
            remedy = (
                f"leave out the objects that are missing, ak.drop_none(events.{head}, axis=1), or fill them, ak.fill_none"
                if dot
                else "fill them before, ak.fill_none, or fillna of a frame, with a text of their own"
                if _has_texts(cols.column(events, name))
                else f"fill them before, define: {{{name}: where(isnan({name}), 0, {name})}}, with what should stand there"
            )
            raise ValueError(f"column {shown!r} has {number} missing values, and a step needs them all: {remedy}")


def _has_texts(content: Content) -> bool:
    while content.is_option or content.is_indexed:
        content = content.content
    return bool(content.parameter("__array__") == "string")


def _missing(content: Content) -> int:
    """How many entries are missing, objects and lists among them."""
    if content.is_option:
        there = np.asarray(content.mask_as_bool(valid_when=True))
        return int((~there).sum()) + (0 if content.content.is_numpy else _missing(content.project()))
    if content.is_indexed:
        return _missing(content.project()) if content.content.is_option else 0
    if content.is_list and content.parameter("__array__") is None:
        inner = content.to_ListOffsetArray64(True)
        return _missing(inner.content[: inner.offsets[-1]]) if _may_miss(inner.content) else 0
    return 0


def _may_miss(content: Content) -> bool:
    """Whether the layout has options at all; nothing is read."""
    return bool(content.is_option) or (
        not content.is_record and hasattr(content, "content") and _may_miss(content.content)
    )


def known_weights(events: ak.Array) -> list[str]:
    """Columns of one number for each event that are physics weights by their names, whatever the setting says."""
    layout = events.layout
    names = [
        f"{field}.{inner}" if inner else field
        for field in _may_be(tuple(layout.fields))
        for inner in layout[field].fields or ("",)
    ]
    return sorted(name for name in names if is_known_weight(name) and _is_number(cols.column(events, name)))


@lru_cache(64)
def _may_be(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Those that may be weights or have some: there may be thousands of others."""
    return tuple(field for field in fields if _MAY_BE.match(field))


def zeroed(events: ak.Array, setting: Setting) -> tuple[str, ...]:
    """Columns of the events that are 0 on made rows: the weights of the setting, and those known by their names."""
    if setting.unweighted:
        return ()
    named = [name for name in setting.zeroed if cols.has(events, name)]
    there = {cols.dotted(name) for name in named}
    return (*named, *(name for name in known_weights(events) if cols.dotted(name) not in there))


def adjusted(step: Step, events: ak.Array, setting: Setting) -> tuple[str, ...]:
    """Weights that the frame writes for a step: 0 on the rows it makes, or by the factor of its first weight."""
    return zeroed(events, setting) if step.augmenter.makes else _following(step, events, setting)


def _following(step: Step, events: ak.Array, setting: Setting) -> tuple[str, ...]:
    """Weights of whole events, known by their names, that a step leaves out which drops rows and rescales others.

    They get the factor of its first weight, so that a yield of theirs stays too.
    """
    augmenter = step.augmenter
    drops = augmenter.use == "training" and not augmenter.keeps_rows and not augmenter.makes
    if not drops or setting.unweighted or not augmenter.rescales():
        return ()
    known = (name for name in known_weights(events) if is_whole_weight(name))
    return tuple(name for name in known if cols.dotted(name) not in step.products)


def followed(
    step: Step, events: ak.Array, weights: Iterable[str], source: NDArray[np.int64], new: Mapping[str, Content]
) -> dict[str, Content]:
    """The weights that follow the first weight of a step, for the rows that it takes; ``new`` are the columns it made."""
    found: dict[str, Content] = {}
    for name in weights:
        first = step.augmenter.rescales()[0]
        before = np.asarray(cols.plain(cols.column(events, first)).data)[source]
        factor = np.divide(np.asarray(new[first].data), before, out=np.ones(len(source)), where=before != 0)
        weight = cols.plain(cols.column(events, name))[source]
        kind = _number(weight).primitive
        if not kind.startswith("float"):
            raise ValueError(
                f"weight {name!r} has the type {kind}, and a step that drops rows would give it fractions: make it float64"
            )
        found[name] = cols.plain(ak.values_astype(ak.Array(weight) * factor, kind).layout)
    return found


def zero_where(made: NDArray[np.bool_], weight: Content) -> Content:
    """The weight, 0 on the rows that were made; of the type that it had."""
    if weight.is_option:
        kind = _number(weight).primitive
        return cols.plain(ak.where(made, np.zeros(len(made), kind), ak.Array(weight)).layout)
    values = np.asarray(weight.data)
    return cols.as_content(np.where(made, np.zeros(1, values.dtype), values))


def _is_number(content: Content) -> bool:
    kind = _number(content)
    return bool(kind.is_numpy) and not kind.inner_shape and kind.primitive != "bool"


def _number(content: Content) -> Form:
    """The form of the numbers of a column, of those that are there where some may miss."""
    form = bare(content.form)
    return bare(form.content) if form.is_option else form


def seed_of(label: str, setting: Setting) -> int:
    """The seed of a step that draws random numbers; it must be given."""
    if setting.seed is None:
        raise ValueError(f"step {label!r} draws random numbers and needs a seed: pass seed=")
    return setting.seed


def draw_of(label: str, events: ak.Array, setting: Setting) -> Draw:
    """The random numbers of these rows in the step of this label."""
    seed = seed_of(label, setting)
    datasets, codes = dataset_codes(events, setting.dataset)
    return Draw(seed, label, datasets, row_ids(events, setting.ids), copy_numbers(events), codes)


def _repeated(text: str, length: int) -> Content:
    index = ak.index.Index64(np.zeros(length, np.int64))
    return IndexedArray(index, ak.to_layout([text]), parameters={"__array__": "categorical"})
