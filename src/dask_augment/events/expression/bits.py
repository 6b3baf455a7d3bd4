"""Bit operations on whole numbers, ``& | ^ ~ << >>``, as in NumPy; between conditions they are logical."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.events.expression.values import EXACT, UnfitError, Value, whole_type

SYMBOLS: dict[type[ast.AST], str] = {
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Invert: "~", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
PARENTHESES = "& | ^ bind tighter than comparisons: write (a > 1) & (b > 2), or `a > 1 and b > 2`; a bit is asked for by (x & 2) > 0"
_LOGIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.BitXor: np.logical_xor,
}
_BITWISE: dict[type[ast.AST], Callable[..., Any]] = {
    ast.BitAnd: np.bitwise_and,
    ast.BitOr: np.bitwise_or,
    ast.BitXor: np.bitwise_xor,
}


def whole(value: Value, *, exact: bool) -> Value:
    """Whole numbers, or conditions as 0 and 1; ``exact``: they may be held as float64, as sums of conditions are."""
    data = np.asarray(value.data)
    if value.offsets is None and value.missing is not None:
        raise UnfitError(
            "a number is missing here, and a missing number has no bits: fill it first, where(isnan(x), 0, x)"
        )
    if data.dtype.kind == "f" and exact and np.all(np.abs(data) <= EXACT):
        data = data.astype(np.int64)
    if data.dtype.kind not in "biu":
        raise UnfitError(
            f"this has the type {data.dtype}: bits are those of whole numbers; compare it to make a condition, x > 0"
        )
    return value._replace(data=data)


def bitwise(operator: type[ast.operator], left: Value, right: Value) -> Any:
    """The bits of two whole numbers; a single number has the type of the others, or the one that holds both."""
    if operator in (ast.LShift, ast.RShift):
        return _shifted(operator is ast.LShift, np.asarray(left.data), np.asarray(right.data))
    a, b = np.asarray(left.data), np.asarray(right.data)
    if a.dtype == bool and b.dtype == bool:
        return _BITWISE[operator](a, b)
    kind = whole_type(Value(a), Value(b))
    if kind is None and min(int(part.min(initial=0)) for part in (a, b)) >= 0:
        kind = np.dtype(np.uint64)
    if kind is None:
        raise UnfitError(
            "numbers below 0 and unsigned ones of 64 bits have no bits in common: NumPy has no type for both"
        )
    return _BITWISE[operator](a.astype(kind), b.astype(kind))


def _shifted(left: bool, data: NDArray[Any], by: NDArray[Any]) -> Any:
    """In 64 bits, of which none may be lost."""
    kind = np.uint64 if data.dtype == np.uint64 else np.int64
    data = data.astype(kind)
    if by.size and (int(by.min()) < 0 or (left and int(by.max()) > 63)):
        raise UnfitError(f"a shift is by 0 to 63 bits, not by {int(by.min()) if int(by.min()) < 0 else int(by.max())}")
    by = np.minimum(by, 63).astype(kind)
    if not left:
        return np.right_shift(data, by)
    result = np.left_shift(data, by)
    if np.any(np.right_shift(result, by) != data):
        raise UnfitError("this shift loses bits: the result does not fit into 64 of them")
    return result


def logical(operator: type[ast.operator], left: Value, right: Value) -> Any:
    """Two conditions; 0 and 1 of a column of integers are False and True."""
    return _LOGIC[operator](flag(left, operator), flag(right, operator))


def flag(value: Value, operator: type[ast.AST]) -> Any:
    """A condition. Other integers than 0 and 1 are refused: NumPy would take their bits."""
    data, symbol = np.asarray(value.data), SYMBOLS[operator]
    if data.dtype.kind == "f":
        raise UnfitError(
            f"{symbol} stands between conditions or whole numbers, this has the type {data.dtype}: compare it, x > 0"
        )
    if data.dtype != bool and data.size and (int(data.min()) < 0 or int(data.max()) > 1):
        raise UnfitError(
            f"{symbol} stands between a condition and whole numbers such as {int(data.max())} here, which would be read "
            "in two ways: write x != 0 for a condition, or x & 2 for a bit"
        )
    holds = data.astype(bool)
    return holds if value.missing is None else holds & ~value.missing


def either(operator: type[ast.operator], left: Value, right: Value) -> Any:
    """Of two columns, bits if both are of integers, else conditions."""
    kinds = {np.asarray(part.data).dtype.kind for part in (left, right)}
    if kinds <= {"i", "u"}:
        return bitwise(operator, whole(left, exact=False), whole(right, exact=False))
    return logical(operator, left, right)


def opposite(value: Value) -> Any:
    """``~`` of a condition; of whole numbers it is refused, as it would turn their bits."""
    if np.asarray(value.data).dtype.kind in "iu":
        raise UnfitError(
            "~ turns all bits of whole numbers: write `not x` for a condition, or say which bits count, ~x & 7"
        )
    return ~flag(value, ast.Invert)
