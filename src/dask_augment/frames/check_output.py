"""Check that an augmenter returned what it declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray, NumpyArray
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Output
from dask_augment.contract.flow import Step
from dask_augment.contract.ids import repeats
from dask_augment.events import columns as cols
from dask_augment.messages import counted


class PromiseBroken(TypeError):
    """An augmenter returned something else than it promised."""


def checked(step: Step, output: Any, types: Mapping[str, ak.types.Type], rows: int) -> Output:
    """The output with contiguous columns, or :class:`PromiseBroken` that says which promise and how."""
    label = step.label
    if not isinstance(output, Output):
        raise PromiseBroken(f"step {label!r} must return an Output, it returned {type(output).__name__}")
    promised, given = set(step.produces) - {*step.between}, set(output.columns)
    if promised != given:
        raise PromiseBroken(f"step {label!r} promised the columns {sorted(promised)} and returned {sorted(given)}")
    source, nth = output.source, output.nth
    if step.augmenter.keeps_rows and (source is not None or nth is not None):
        raise PromiseBroken(f"step {label!r} keeps rows, so it may not return source or nth; say keeps_rows = False")
    length = rows if source is None else len(source)
    if source is not None:
        source = _checked_source(label, source, rows)
    if nth is not None:
        _check_children(step, source if source is not None else np.arange(rows), np.asarray(nth))
    elif source is not None and repeats(source):
        raise PromiseBroken(f"step {label!r} gives one row twice without saying which is the child: return nth")
    columns = {}
    for name in sorted(given):
        content = cols.as_content(output.columns[name])
        if content.length != length:
            raise PromiseBroken(
                f"step {label!r} returned {counted(content.length, 'value')} of {name!r} for {counted(length, 'row')}"
            )
        if not _has_type(content, types[name]):
            raise PromiseBroken(f"step {label!r} promised {name!r} as {types[name]} and returned {content.form.type}")
        columns[name] = content
    return Output(columns, source, None if nth is None else np.asarray(nth), output.second)


def _has_type(content: Content, kind: ak.types.Type) -> bool:
    """Whether a column has this type; for numbers and lists of them, without making its form."""
    if isinstance(kind, ak.types.ListType) and isinstance(content, ListOffsetArray) and not kind.parameters:
        return not content.parameters and _has_type(content.content, kind.content)
    if isinstance(kind, ak.types.NumpyType) and isinstance(content, NumpyArray) and not kind.parameters:
        return not content.parameters and content.data.ndim == 1 and bool(content.dtype.name == kind.primitive)
    return bool(content.form.type == kind)


def _checked_source(label: str, source: Any, rows: int) -> NDArray[np.int64]:
    indices = np.asarray(source)
    if indices.dtype.kind not in "iu" or indices.ndim != 1:
        raise PromiseBroken(f"step {label!r} must return source as int64 (n,), it is {indices.dtype} {indices.shape}")
    if len(indices) and (indices.min() < 0 or indices.max() >= rows):
        raise PromiseBroken(
            f"step {label!r} names source rows {indices.min()} to {indices.max()}; there are {rows} rows in"
        )
    return indices.astype(np.int64, copy=False)


def _check_children(step: Step, source: NDArray[np.int64], nth: NDArray[Any]) -> None:
    label = step.label
    if nth.shape != source.shape or nth.dtype.kind not in "iu" or (len(nth) and nth.min() < 0):
        raise PromiseBroken(
            f"step {label!r} must return nth as non-negative integers, one for each of {len(source)} rows"
        )
    if len(nth) and nth.max() > 0 and not step.augmenter.makes:
        raise PromiseBroken(f'step {label!r} made rows but does not say what they are: makes = "copies", ...')
    if repeats(source * (int(nth.max(initial=0)) + 1) + nth):
        raise PromiseBroken(f"step {label!r} returned one child of one row twice: (source, nth) must be unique")
