"""The values of expressions: numbers (float64) and conditions, one for each event or for each of its objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from awkward.contents import Content
from numpy.typing import NDArray

from dask_augment.events.columns import column, plain
from dask_augment.kernels.reductions import maxima, sums
from dask_augment.messages import counted

EXACT = 2**53
"""float64 holds all integers up to this size."""


class UnfitError(ValueError):
    """Values that do not go together; the expression says where."""


class Value(NamedTuple):
    """One entry for each event (``offsets`` None), for each object (flat, with offsets), or one for all (a scalar)."""

    data: Any
    offsets: NDArray[np.int64] | None = None
    missing: NDArray[np.bool_] | None = None
    """Which entries are missing, None for none; what ``data`` holds there does not count."""


def read(events: ak.Array, name: str) -> Value:
    """A column, with what is missing in it; a missing list is refused."""
    content = plain(column(events, name))
    content = content.to_RegularArray() if content.is_numpy else content
    if content.is_option and content.content.is_list and content.content.parameter("__array__") is None:
        content = _all_lists(content, name)
    if content.is_list and content.parameter("__array__") is None:
        lists = content.to_ListOffsetArray64(True)
        data, missing = _entries(plain(lists.content), name, content)
        return Value(data, np.asarray(lists.offsets), missing)
    data, missing = _entries(content, name, content)
    return Value(data, None, missing)


def _all_lists(content: Content, name: str) -> Content:
    """Lists of which none is missing."""
    absent = np.flatnonzero(np.asarray(content.index) < 0)
    if len(absent):
        raise UnfitError(
            f"column {name!r} has no list in {counted(len(absent), 'event')}, the first is event {absent[0]} of these: "
            "a missing list is not an empty one; fill them, ak.fill_none(events[...], [], axis=0)"
        )
    return plain(content.project())


def _entries(content: Content, name: str, whole: Content) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """The numbers or conditions of a flat layout, and which are missing."""
    if content.is_unknown:
        return np.empty(0), None
    if content.is_option:
        index = np.asarray(content.index)
        there = index >= 0
        inner, _ = _entries(content.content, name, whole)
        values = np.zeros(len(index), inner.dtype)
        values[there] = inner[index[there]]
        return values, None if there.all() else ~there
    data = np.asarray(content.data) if content.is_numpy else np.empty(0, object)
    if data.ndim != 1 or data.dtype.kind not in "biuf":
        raise UnfitError(
            f"column {name!r} has type {whole.form.type} for each event; expressions take numbers and conditions, one "
            "for each event or for each object"
        )
    return data, None


def truth(value: Value) -> Any:
    """As a condition: what is neither 0, NaN nor missing holds."""
    data = np.asarray(value.data)
    if data.dtype != bool:
        data = (data != 0) & ~np.isnan(data)
    return data if value.missing is None else data & ~value.missing


def number(value: Value) -> Any:
    """As a number, float64: a condition is 1 or 0, what is missing NaN."""
    data = np.asarray(value.data)
    if data.ndim and data.dtype.kind in "iu" and data.itemsize == 8 and beyond(data):
        raise UnfitError(
            "these are integers beyond 2**53, with which float64 cannot compute exactly; their bits can be taken, "
            "x & 255, and they can be compared with integers"
        )
    data = data.astype(np.float64, copy=False)
    return data if value.missing is None else np.where(value.missing, np.nan, data)


def beyond(data: NDArray[Any]) -> bool:
    """Whether any of these numbers has a size that float64 does not hold exactly."""
    return data.size > 0 and max(-int(data.min()), int(data.max())) > EXACT


def whole_type(*values: Value) -> np.dtype[Any] | None:
    """The type of integers that holds these, a single number among many as small as it can be; None if there is none."""
    if any(value.missing is not None and value.offsets is None for value in values):
        return None
    arrays = [np.asarray(value.data) for value in values]
    kind = np.result_type(*(array.dtype for array in arrays if array.ndim), np.bool_)
    for array in (array for array in arrays if not array.ndim):
        if array.dtype.kind not in "biu":
            return None
        single = int(array)
        if kind.kind not in "iu" or not np.iinfo(kind).min <= single <= np.iinfo(kind).max:
            least = np.min_scalar_type(single)
            kind = np.result_type(kind, np.int64 if least == np.uint64 and single < 2**63 else least)
    return kind if kind.kind in "iu" else None


def aligned(values: Sequence[Value]) -> tuple[list[Value], NDArray[np.int64] | None]:
    """Values that go together entry by entry; those of an event are repeated for its objects where others have these."""
    offsets = next((value.offsets for value in values if value.offsets is not None), None)
    if offsets is None:
        return list(values), None
    together = []
    for value in values:
        if value.offsets is not None:
            if value.offsets is not offsets and not np.array_equal(value.offsets, offsets):
                raise UnfitError("these have different numbers of objects in an event, they are not of one collection")
            together.append(value)
        elif np.ndim(value.data) == 0:
            together.append(value)
        else:
            counts = np.diff(offsets)
            missing = None if value.missing is None else np.repeat(value.missing, counts)
            together.append(Value(np.repeat(value.data, counts), None, missing))
    return together, offsets


def any_missing(values: Sequence[Value]) -> NDArray[np.bool_] | None:
    """Which objects are missing in any of these. A missing number of an event is NaN for its objects, which are there."""
    masks = [value.missing for value in values if value.offsets is not None and value.missing is not None]
    return np.logical_or.reduce(masks) if masks else None


def chosen(parts: Sequence[Value], convert: Callable[[Value], Any]) -> Value:
    """Of (condition, yes, no) ``yes`` where the condition holds, else ``no``; missing where that is, or the condition.

    Integers stay integers.
    """
    (condition, yes, no), offsets = aligned(parts)
    holds = truth(condition)
    # A missing number of an event is NaN for its objects, which are there.
    yes, no = (
        part if part.missing is None or part.offsets is not None or offsets is None else Value(convert(part))
        for part in (yes, no)
    )
    whole = convert is number and all(np.asarray(part.data).dtype.kind in "iu" for part in (yes, no))
    kind = whole_type(*(part._replace(missing=None) for part in (yes, no))) if whole else None
    if kind is not None:
        data = np.where(holds, *(np.asarray(part.data).astype(kind) for part in (yes, no)))
    else:
        data = np.where(holds, convert(yes), convert(no))
    missing = any_missing([condition])
    if yes.missing is not None or no.missing is not None:
        absent = [np.bool_(False) if part.missing is None else part.missing for part in (yes, no)]
        either = np.where(holds, *absent)
        missing = either if missing is None else missing | either
    return Value(data, offsets, missing if missing is not None and missing.any() else None)


def unknown(value: Value) -> Value:
    """Whether it is NaN or missing."""
    return Value(np.isnan(number(value)), value.offsets)


def _objects(value: Value) -> tuple[Any, NDArray[np.int64]]:
    if value.offsets is None:
        raise UnfitError("this needs one value for each object, it has one for each event")
    return value.data, value.offsets


def kept(value: Value, condition: Value) -> Value:
    """The objects for which a condition holds; where it is missing, a missing object stays in the place."""
    _objects(value)
    (value, condition), offsets = aligned([value, condition])
    assert offsets is not None
    missing = any_missing([value, condition])
    stays = np.broadcast_to(truth(condition), value.data.shape)
    if condition.offsets is not None and condition.missing is not None:
        stays = stays | condition.missing
    return _those(value._replace(missing=missing), stays)


def _those(value: Value, stays: NDArray[np.bool_]) -> Value:
    data, offsets = _objects(value)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(stays)])
    return Value(data[stays], before[offsets], None if value.missing is None else value.missing[stays])


def picked(value: Value, index: int, default: Value) -> Value:
    """The object at ``index`` of each event (negative: from the end); ``default`` where there is none, or none there."""
    data, offsets = _objects(value)
    at = (offsets[:-1] if index >= 0 else offsets[1:]) + index
    there = (at >= offsets[:-1]) & (at < offsets[1:])
    if value.missing is not None:
        there[there] = ~value.missing[at[there]]
    kind = whole_type(Value(data), default) if data.dtype.kind in "iu" else None
    if data.dtype == bool and np.asarray(default.data).dtype == bool:
        fallback = truth(default)
    elif kind is not None:
        data, fallback = data.astype(kind, copy=False), np.asarray(default.data).astype(kind)
    else:
        data, fallback = number(Value(data)), number(default)
    out = np.array(np.broadcast_to(fallback, there.shape))
    out[there] = data[at[there]]
    return Value(out)


def _present(value: Value) -> tuple[Any, NDArray[np.int64]]:
    """The objects that are not missing."""
    return _objects(value if value.missing is None else _those(value, ~value.missing))


def _count(value: Value) -> Any:
    return np.diff(_present(value)[1]).astype(np.float64)


def _sum(value: Value) -> Any:
    data, offsets = _present(value)
    return sums(number(Value(data)), offsets)


def _mean(value: Value) -> Any:
    return _sum(value) / _count(value)


def _max(value: Value) -> Any:
    data, offsets = _present(value)
    return maxima(number(Value(data)), offsets)


def _min(value: Value) -> Any:
    data, offsets = _present(value)
    return -maxima(-number(Value(data)), offsets)


def _any(value: Value) -> Any:
    return _sum(value._replace(data=truth(value))) > 0


def _all(value: Value) -> Any:
    return _sum(value._replace(data=~truth(value))) == 0


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
