"""pandas: flat columns, jagged ones as Arrow lists (``Jet_pt``: ``list<float>``).

Only the columns that steps name are converted, without a copy where pandas has them as NumPy or Arrow arrays. All other
columns, strings and dates among them, pass through with the types and the index they have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
from awkward.contents import Content, IndexedOptionArray, ListOffsetArray, NumpyArray, RecordArray, RegularArray
from awkward.index import Index64

from dask_augment.contract.interpolating import Interpolating
from dask_augment.dataset.arrow import arrow_array
from dask_augment.events.columns import flat, plain
from dask_augment.events.own_columns import KIND
from dask_augment.events.simulation import is_known_weight
from dask_augment.frames.questions import Questions, Totals
from dask_augment.frames.stage import Stage

_ROW = "\x00row"
"""Carries the number of the source row through the steps; no column of a user's has this name."""


def augment_pandas(frame: pd.DataFrame, stage: Stage) -> pd.DataFrame:
    """The augmented frame. Rows have the index labels of their source rows; new jagged columns are Arrow lists."""
    names = _needed(frame, stage.shape_only) | _replaced(frame, stage)
    layout = events_of(frame, sorted(names)).layout
    contents = [*layout.contents, NumpyArray(np.arange(len(frame)))]
    events = ak.Array(RecordArray(contents, [*layout.fields, _ROW], length=len(frame)))
    result = stage.run(events).layout
    carried = names - _replaced(frame, stage) | {_ROW}
    written = [field for field in result.fields if field not in carried]
    if not stage.keeps_rows:
        frame = frame.take(np.asarray(ak.Array(result[_ROW])))
    series = {name: _series(result[name], name, frame) for name in sorted(written)}
    for name in series.keys() & _categories(stage):
        old = frame.dtypes.get(name)
        if isinstance(old, pd.CategoricalDtype) and old != series[name].dtype:
            series[name] = series[name].astype(old)  # a made row has a category that another row has
    return frame[[name for name in frame.columns if stage.leaves(str(name))]].assign(**series)


def _categories(stage: Stage) -> set[str]:
    """Columns whose values the last step that writes them takes from other rows."""
    found: set[str] = set()
    for step in stage.steps:
        taken = {name for name, kind in step.produces.items() if kind is None} - {*step.between}
        found = found - {*step.produces} | (taken if isinstance(step.augmenter, Interpolating) else set())
    return {form for name in found for form in (name, flat(name))}


def made_pandas(frame: pd.DataFrame) -> pd.Series[Any]:
    """Which rows a step made, by ``augment_kind``."""
    made = frame[KIND].to_numpy() > 0 if KIND in frame.columns else False
    return pd.Series(made, index=frame.index, name="is_made", dtype=bool)


def ask_pandas(frame: pd.DataFrame, questions: Questions) -> Totals:
    """The answers of the rows of a frame."""
    return questions.measure(events_of(frame, asked(frame, questions)))


# Which columns -------------------------------------------------------------------------------------------------------


def _needed(frame: pd.DataFrame, walk: Callable[[ak.Array], Any]) -> set[str]:
    """The columns that are touched when ``walk`` is taken over typetracers that stand in for the columns."""
    names = [str(name) for name in frame.columns]
    forms = [_stand_in(dtype, str(number)) for number, dtype in enumerate(frame.dtypes)]
    form = ak.forms.RecordForm(forms, names, form_key="events")
    events, report = ak.typetracer.typetracer_with_report(form, highlevel=True)
    walk(events)
    return {names[int(key.partition("-")[0])] for key in report.data_touched if key != "events"}


def _stand_in(dtype: Any, key: str) -> ak.forms.Form:
    """Lists or numbers of no particular type: all that finding columns by their names asks for."""
    if dtype == object or (isinstance(dtype, pd.ArrowDtype) and pa.types.is_nested(dtype.pyarrow_dtype)):
        return ak.forms.ListOffsetForm("i64", ak.forms.NumpyForm("int64", form_key=f"{key}-items"), form_key=key)
    return ak.forms.NumpyForm("int64", form_key=key)


def _replaced(frame: pd.DataFrame, stage: Stage) -> set[str]:
    """Columns of the frame that the steps write anew."""
    written = {*stage.written}
    if any(step.augmenter.makes for step in stage.steps):
        written |= {name for name in map(str, frame.columns) if _is_weight(frame, name)}
    return {name for name in {*written, *map(flat, written)} if name in frame.columns}


def _is_weight(frame: pd.DataFrame, name: str) -> bool:
    return is_known_weight(name) and getattr(frame.dtypes[name], "kind", "O") in "iuf"


def asked(frame: pd.DataFrame, questions: Questions) -> list[str]:
    """The columns that questions read, sorted."""
    replaced = (_replaced(frame, one.stage) for one in questions.questions)
    return sorted(_needed(frame, questions.touch).union(*replaced))


# To awkward and back -------------------------------------------------------------------------------------------------


def events_of(frame: pd.DataFrame, names: Sequence[str]) -> ak.Array:
    """These columns as awkward events."""
    return ak.Array(RecordArray([_content(frame[name], name) for name in names], list(names), length=len(frame)))


def _content(series: pd.Series[Any], name: str) -> Content:
    """One column; TypeError for one without a type of its own. Missing values stay missing."""
    if isinstance(series.dtype, pd.SparseDtype):
        series = series.astype(series.dtype.subtype)
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return NumpyArray(series.to_numpy())
    if dtype == object and len(series) == 0 and name != "dataset":
        raise TypeError(
            f"column {name!r} holds Python objects, so without rows its type is unknown: read with "
            f"dtype_backend='pyarrow', or .astype({{{name!r}: pd.ArrowDtype(pa.list_(pa.float32()))}}) with its type"
        )
    try:
        array = pa.array(series, type=pa.string() if dtype == object and len(series) == 0 else None, from_pandas=True)
    except pa.ArrowException as error:
        raise TypeError(
            f"column {name!r} has values of several types, or of one that no column of Arrow has, as a step reads it: convert "
            f"it first, for instance .astype(str) ({error})"
        ) from error
    if pa.types.is_decimal(array.type):
        raise TypeError(f"column {name!r} has type {array.type}, which no step reads: convert it first, .astype(float)")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if _sliced(array):
        # awkward takes the missing values of a slice from the wrong rows.
        array = pa.concat_arrays([array, array[:0]])
    return _bare(ak.from_arrow(array, highlevel=False))


def _sliced(array: pa.Array) -> bool:
    """Whether it is a part of an array, or holds one."""
    return bool(array.offset) or (pa.types.is_nested(array.type) and hasattr(array, "values") and _sliced(array.values))


def _bare(layout: Content) -> Content:
    """Arrow says of every column that it may have missing values; here it says so where there are some."""
    if layout.is_option:
        there = np.asarray(layout.mask_as_bool(valid_when=True))
        present = _bare(layout.project())
        return (
            present if there.all() else IndexedOptionArray(Index64(np.where(there, np.cumsum(there) - 1, -1)), present)
        )
    if layout.is_list and layout.parameter("__array__") is None:
        if isinstance(layout, RegularArray):
            return RegularArray(_bare(layout.content), layout.size, layout.length)
        lists = layout.to_ListOffsetArray64(True)
        return ListOffsetArray(lists.offsets, _bare(lists.content))
    return layout


def _series(content: Content, name: str, frame: pd.DataFrame) -> pd.Series[Any]:
    """A column of a result: numbers as NumPy has them, or as Arrow where the frame had the column so; lists as Arrow."""
    content, old = plain(content), frame.dtypes.get(name)
    if content.is_numpy and not isinstance(old, pd.ArrowDtype):
        return pd.Series(_as_before(np.asarray(content.data), old), index=frame.index, name=name)
    if content.parameter("__array__") == "string":
        return _texts(arrow_array(ak.Array(content), pa.field(name, pa.string())), name, frame, old)
    kind = _arrow_type(content.form.type)
    array = arrow_array(ak.Array(content), pa.field(name, kind))
    if isinstance(old, pd.ArrowDtype) and _items(old.pyarrow_dtype) == _items(kind):
        # The type it had, down to the name of the items and whether they may be missing.
        array = array.cast(old.pyarrow_dtype)
    return pd.Series(pd.arrays.ArrowExtensionArray(array), index=frame.index, name=name)


def _texts(array: pa.Array, name: str, frame: pd.DataFrame, old: Any) -> pd.Series[Any]:
    """Texts in the type that the column had: of Arrow, a category, or one for texts."""
    if isinstance(old, pd.ArrowDtype):
        return pd.Series(pd.arrays.ArrowExtensionArray(array.cast(old.pyarrow_dtype)), index=frame.index, name=name)
    found: pd.Series[Any] = pd.Series(array.to_pylist(), index=frame.index, name=name, dtype=old)
    return found


def _as_before(values: Any, old: Any) -> Any:
    """Numbers in the nullable or sparse type that the column had, where that is one for numbers of their type."""
    kind = getattr(old, "numpy_dtype", getattr(old, "subtype", None))
    return pd.array(values, dtype=old) if kind is not None and kind == values.dtype else values


def _arrow_type(kind: ak.types.Type) -> pa.DataType:
    if isinstance(kind, (ak.types.ListType, ak.types.RegularType)):
        return pa.list_(_arrow_type(kind.content))
    if isinstance(kind, ak.types.OptionType):
        return _arrow_type(kind.content)
    return pa.from_numpy_dtype(np.dtype(kind.primitive))


def _items(kind: pa.DataType) -> tuple[int, pa.DataType]:
    """The depth of lists, and the type of what is in them."""
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth, kind
