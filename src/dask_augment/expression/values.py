"""What an expression computes with: numbers (float64) and conditions, one for each event or for each of its objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from awkward.contents import Content
from numpy.typing import NDArray

from dask_augment.columns import column, plain
from dask_augment.kernels.reductions import maxima, sums

EXACT = 2**53
"""float64 holds all integers up to this size."""


class UnfitError(ValueError):
    """Values that do not go together; the expression says where."""


class Value(NamedTuple):
    """One entry for each event (``offsets`` None), for each object (flat, with offsets), or one for all (a scalar)."""

    data: Any
    offsets: NDArray[np.int64] | None = None


def read(events: ak.Array, name: str) -> Value:
    """A column; missing values are NaN."""
    content = plain(column(events, name))
    content = content.to_RegularArray() if content.is_numpy else content
    if content.is_list and content.parameter("__array__") is None:
        lists = content.to_ListOffsetArray64(True)
        return Value(_entries(plain(lists.content), name, content), np.asarray(lists.offsets))
    return Value(_entries(content, name, content))


def _entries(content: Content, name: str, whole: Content) -> NDArray[Any]:
    """The numbers or conditions of a flat layout."""
    if content.is_unknown:
        return np.empty(0)
    if content.is_option:
        index = np.asarray(content.index)
        values = np.full(len(index), np.nan)
        values[index >= 0] = _entries(content.content, name, whole)[index[index >= 0]]
        return values
    data = np.asarray(content.data) if content.is_numpy else np.empty(0, object)
    if data.ndim != 1 or data.dtype.kind not in "biuf":
        raise UnfitError(
            f"column {name!r} has type {whole.form.type} for each event; expressions take numbers and conditions, one "
            "for each event or for each object"
        )
    if data.dtype.kind in "iu" and data.itemsize == 8 and len(data) and max(-int(data.min()), int(data.max())) > EXACT:
        raise UnfitError(f"column {name!r} has integers beyond 2**53, which expressions cannot hold exactly")
    return data


def truth(data: Any) -> Any:
    """Numbers as conditions: what is neither 0 nor NaN holds."""
    data = np.asarray(data)
    return data if data.dtype == bool else (data != 0) & ~np.isnan(data)


def number(data: Any) -> Any:
    """Conditions as numbers, 1 and 0; all numbers as float64."""
    return np.asarray(data).astype(np.float64, copy=False)


def aligned(values: Sequence[Value]) -> tuple[list[Any], NDArray[np.int64] | None]:
    """Values that go together entry by entry; those of an event are repeated for its objects where others have these."""
    offsets = next((value.offsets for value in values if value.offsets is not None), None)
    if offsets is None:
        return [value.data for value in values], None
    data = []
    for value in values:
        if value.offsets is not None:
            if value.offsets is not offsets and not np.array_equal(value.offsets, offsets):
                raise UnfitError("these have different numbers of objects in an event, they are not of one collection")
            data.append(value.data)
        else:
            data.append(value.data if np.ndim(value.data) == 0 else np.repeat(value.data, np.diff(offsets)))
    return data, offsets


def _objects(value: Value) -> tuple[Any, NDArray[np.int64]]:
    if value.offsets is None:
        raise UnfitError("this needs one value for each object, it has one for each event")
    return value.data, value.offsets


def kept(value: Value, condition: Value) -> Value:
    """The objects for which a condition holds."""
    _objects(value)
    (data, mask), offsets = aligned([value, condition])
    assert offsets is not None
    chosen = np.broadcast_to(truth(mask), data.shape)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(chosen)])
    return Value(data[chosen], before[offsets])


def picked(value: Value, index: int, default: Any) -> Value:
    """The object at ``index`` of each event (negative: from the end); ``default`` where there is none."""
    data, offsets = _objects(value)
    at = (offsets[:-1] if index >= 0 else offsets[1:]) + index
    there = (at >= offsets[:-1]) & (at < offsets[1:])
    default = np.broadcast_to(default, there.shape)
    if data.dtype != bool or default.dtype != bool:
        data, default = number(data), number(default)
    out = np.array(default)
    out[there] = data[at[there]]
    return Value(out)


def _count(value: Value) -> Any:
    return number(np.diff(_objects(value)[1]))


def _sum(value: Value) -> Any:
    data, offsets = _objects(value)
    return sums(number(data), offsets)


def _mean(value: Value) -> Any:
    return _sum(value) / _count(value)


def _max(value: Value) -> Any:
    data, offsets = _objects(value)
    return maxima(number(data), offsets)


def _min(value: Value) -> Any:
    data, offsets = _objects(value)
    return -maxima(-number(data), offsets)


def _any(value: Value) -> Any:
    return _sum(Value(truth(value.data), value.offsets)) > 0


def _all(value: Value) -> Any:
    return _sum(Value(~truth(value.data), value.offsets)) == 0


REDUCTIONS: dict[str, Callable[[Value], Any]] = {
    "all": _all, "any": _any, "count": _count, "max": _max, "mean": _mean, "min": _min, "sum": _sum,
}  # fmt: skip
"""Objects of an event -> one value for the event."""


def power(base: Any, exponent: Any) -> Any:
    """base ** exponent; squares are products, which have the same bits on every CPU."""
    return base * base if np.ndim(exponent) == 0 and exponent == 2 else np.power(base, exponent)


def delta_phi(a: Any, b: Any) -> Any:
    """a - b, as an angle in [-pi, pi)."""
    difference = a - b
    wrapped = difference - 2 * np.pi * np.round(difference / (2 * np.pi))
    return np.where(wrapped >= np.pi, -np.pi, wrapped)


def delta_r(eta1: Any, phi1: Any, eta2: Any, phi2: Any) -> Any:
    """sqrt((eta1 - eta2)^2 + delta_phi(phi1, phi2)^2)."""
    eta, phi = eta1 - eta2, delta_phi(phi1, phi2)
    return np.sqrt(eta * eta + phi * phi)


FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "arctan2": (2, np.arctan2),
    "cos": (1, np.cos),
    "cosh": (1, np.cosh),
    "delta_phi": (2, delta_phi),
    "delta_r": (4, delta_r),
    "exp": (1, np.exp),
    "hypot": (2, np.hypot),
    "log": (1, np.log),
    "sin": (1, np.sin),
    "sinh": (1, np.sinh),
    "sqrt": (1, np.sqrt),
    "tan": (1, np.tan),
    "tanh": (1, np.tanh),
}
"""Entry by entry: number of arguments, and the function of numbers."""
