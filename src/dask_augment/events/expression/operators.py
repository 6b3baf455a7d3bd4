"""Operators of expressions: arithmetic, bits, conditions and comparisons."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NoReturn

import numpy as np

from dask_augment.events.expression import bits
from dask_augment.events.expression.bits import PARENTHESES, SYMBOLS
from dask_augment.events.expression.nodes import ExpressionError, Node, Read, bits_bound, common, numeric
from dask_augment.events.expression.values import (
    FUNCTIONS,
    REDUCTIONS,
    UnfitError,
    Value,
    aligned,
    any_missing,
    chosen,
    number,
    power,
    truth,
    whole_type,
)

OTHERS = ("col", "first", "isnan", "where")
NAMES = sorted({*FUNCTIONS, *REDUCTIONS, *OTHERS})
"""All functions."""
ALLOWED = (
    'there are numbers, columns (Jet.pt, or col("lead-pt") for a name that Python does not allow), + - * / // % **, '
    "comparisons, and or not, & | ^ ~ << >> of conditions and bits, `a if c else b`, x[0], x[condition] and the functions "
    f"{', '.join(NAMES)}"
)


_ARITHMETIC: dict[type[ast.operator], tuple[Callable[..., Any], Callable[[int, int], int] | None]] = {
    ast.Add: (np.add, lambda a, b: a + b),
    ast.Sub: (np.subtract, lambda a, b: a + b),
    ast.Mult: (np.multiply, lambda a, b: a * b),
    ast.Div: (np.divide, None),
    ast.FloorDiv: (np.floor_divide, None),
    ast.Mod: (np.mod, None),
    ast.Pow: (power, None),
}
"""The function, and how large integers get; None: the result is float64."""
_BITS = (ast.BitAnd, ast.BitOr, ast.BitXor)
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


class Operators(ABC):
    """What the builder of an expression knows of operators; it gathers the columns that are read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: set[str] = set()
        self._depth = 0

    def fail(self, node: ast.AST, message: str) -> NoReturn:
        """Raise :class:`ExpressionError` with the place of this part."""
        place = len(self.text.encode()[: getattr(node, "col_offset", 0)].decode())
        raise ExpressionError(message, self.text, place)

    @abstractmethod
    def build(self, node: ast.expr) -> Node:
        """The node of one part."""

    def guarded(self, node: ast.expr, compute: Callable[[Read], Value]) -> Callable[[Read], Value]:
        """Say where values did not go together."""

        def run(read: Read) -> Value:
            try:
                return compute(read)
            except UnfitError as error:
                self.fail(node, str(error))

        return run

    def each(
        self, node: ast.expr, function: Callable[..., Any], parts: Sequence[Node], convert: Callable[[Value], Any]
    ) -> Callable[[Read], Value]:
        """A function of numbers or conditions, entry by entry; where one of them is missing, so is the result."""

        def compute(read: Read) -> Value:
            values, offsets = aligned([part.run(read) for part in parts])
            return Value(function(*map(convert, values)), offsets, any_missing(values))

        return self.guarded(node, compute)

    def binary(self, node: ast.BinOp) -> Node:
        """a + b and the like, a & b, a << b."""
        left, right = self.build(node.left), self.build(node.right)
        operator = type(node.op)
        if operator in SYMBOLS:
            return self._bits(node, left, right)
        if operator not in _ARITHMETIC:
            self.fail(node, f"the operator {operator.__name__} cannot stand in an expression; {ALLOWED}")
        function, grown = _ARITHMETIC[operator]
        bound = None
        if grown is not None and left.bound is not None and right.bound is not None:
            bound = grown(left.bound, right.bound)
        kind = numeric(bound)
        return Node(kind, self.each(node, function, [left, right], number), bound if kind == "int64" else None)

    def _bits(self, node: ast.BinOp, left: Node, right: Node) -> Node:
        """Of conditions ``a & b`` is a condition, of whole numbers bits; of two columns, the events decide."""
        operator, parts = type(node.op), [left, right]
        for part, built in ((node.left, left), (node.right, right)):
            if built.kind == "float64" and not (built.is_open or built.is_whole):
                hint = " where there is no object x[0] is NaN: write first(x, 0);" if _is_pick(part) else ""
                self.fail(
                    part,
                    f"{SYMBOLS[operator]} stands between conditions or whole numbers, this is float64;{hint} {PARENTHESES}",
                )
        shift = operator in (ast.LShift, ast.RShift)
        condition = any(part.kind == "bool" and not part.is_open for part in parts)
        if shift or any(part.is_whole for part in parts):
            if condition:
                self.fail(
                    node,
                    f"{SYMBOLS[operator]} stands between a condition and a whole number: write x != 0 for a condition; "
                    f"{PARENTHESES}",
                )
            return Node("int64", self._whole(node, parts), _bound(node, left, right))
        function = bits.logical if condition else bits.either

        def compute(read: Read) -> Value:
            values, offsets = aligned([part.run(read) for part in parts])
            return Value(function(operator, *values), offsets, any_missing(values))

        # Of bits, a sum over the objects is int64 as that of conditions is; what is too large for it is refused.
        return Node("bool", self.guarded(node, compute), 1 if condition else 2**33, is_column=not condition)

    def _whole(self, node: ast.BinOp, parts: Sequence[Node]) -> Callable[[Read], Value]:
        def compute(read: Read) -> Value:
            given = [bits.whole((part.turned or part.run)(read), exact=part.is_whole) for part in parts]
            values, offsets = aligned(given)
            return Value(bits.bitwise(type(node.op), *values), offsets, any_missing(values))

        return self.guarded(node, compute)

    def unary(self, node: ast.UnaryOp) -> Node:
        """-a, +a, not a, ~a."""
        part = self.build(node.operand)
        if isinstance(node.op, ast.Not):
            return Node("bool", self.each(node, np.logical_not, [part], truth), 1)
        if isinstance(node.op, ast.Invert):
            return self._inverted(node, part)
        function = np.negative if isinstance(node.op, ast.USub) else np.positive
        return Node(numeric(part.bound), self.each(node, function, [part], number), part.bound)

    def _inverted(self, node: ast.UnaryOp, part: Node) -> Node:
        """The opposite of a condition, the bits of a whole number; of a column, the bits only among other bits."""
        if part.kind == "float64" and not (part.is_open or part.is_whole):
            self.fail(node.operand, f"~ stands before a condition or a whole number, this is float64; {PARENTHESES}")

        def turned(read: Read) -> Value:
            value = bits.whole((part.turned or part.run)(read), exact=part.is_whole)
            return value._replace(data=np.invert(value.data))

        if part.is_whole:
            return Node("int64", self.guarded(node, turned), None if part.bound is None else part.bound + 1)
        run = self.each(node, np.logical_not, [part], truth)
        if part.is_open:
            run = self.each(node, lambda holds: holds, [part], bits.opposite)
        return Node("bool", run, 1, turned=self.guarded(node, turned) if part.is_open else None)

    def logic(self, node: ast.BoolOp) -> Node:
        """a and b and ..., a or b or ..."""
        function = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        parts = [self.build(value) for value in node.values]
        return Node("bool", self.each(node, lambda *values: reduce(function, values), parts, truth), 1)

    def comparison(self, node: ast.Compare) -> Node:
        """a < b, and chains a < b < c."""
        parts = [self.build(value) for value in (node.left, *node.comparators)]
        for operator in node.ops:
            if type(operator) not in _COMPARISONS:
                self.fail(node, f"the comparison {type(operator).__name__} cannot stand in an expression; {ALLOWED}")
        for value in (node.left, *node.comparators):
            if isinstance(value, ast.BinOp) and isinstance(value.op, _BITS) and not self._is_clear(value, node):
                self.fail(value, f"{SYMBOLS[type(value.op)]} comes before the comparison here; {PARENTHESES}")
        alike = len(parts) == 2 and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        for value, part in zip((node.left, *node.comparators), parts, strict=True):
            if part.kind == "bool" and not alike and not part.is_column:
                self.fail(value, f"this is a condition, which cannot be compared with < or >; {PARENTHESES}")
        functions = [_COMPARISONS[type(operator)] for operator in node.ops]

        def compute(read: Read) -> Value:
            values, offsets = aligned([part.exactly(read) for part in parts])
            # Integers of any size are compared as they are.
            whole = (
                all(np.asarray(value.data).dtype.kind in "iu" for value in values) and whole_type(*values) is not None
            )
            data = [np.asarray(value.data) if whole else number(value) for value in values]
            pairs = zip(functions, data, data[1:], strict=False)
            return Value(
                reduce(np.logical_and, [function(a, b) for function, a, b in pairs]), offsets, any_missing(values)
            )

        return Node("bool", self.guarded(node, compute), 1)

    def _is_clear(self, part: ast.BinOp, whole: ast.Compare) -> bool:
        """Whether ``part & of`` a comparison stands in parentheses, or is as ``x & 2 > 0``, which has one sense."""
        text = self.text.encode()
        before, after = text[: part.col_offset].rstrip(), text[part.end_col_offset :].lstrip()
        if before.endswith(b"(") and after.startswith(b")"):
            return True
        literal = part is whole.left and len(whole.comparators) == 1 and _is_literal(whole.comparators[0])
        return literal and (_is_literal(part.left) or _is_literal(part.right))

    def choice(self, node: ast.expr, condition: ast.expr, yes: ast.expr, no: ast.expr) -> Node:
        """``where(condition, yes, no)``."""
        parts = [self.build(condition), self.build(yes), self.build(no)]
        kind, bound = common(parts[1:])
        convert = truth if kind == "bool" else number
        run = self.guarded(node, lambda read: chosen([part.run(read) for part in parts], convert))
        return Node(kind, run, bound, kind == "float64" and may_be_whole(parts[1:]))


def _is_literal(node: ast.expr) -> bool:
    """A number that stands in the text, or several with operators."""
    return not any(isinstance(part, ast.Name | ast.Attribute) for part in ast.walk(node))


def _is_pick(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript)


def may_be_whole(parts: Sequence[Node]) -> bool:
    """Whether all may hold whole numbers, some only the events can tell."""
    return all(part.is_whole or part.is_column for part in parts)


def _bound(node: ast.BinOp, left: Node, right: Node) -> int | None:
    """How large the bits of two parts can be."""
    constants = [part.value for part in (node.left, node.right) if isinstance(part, ast.Constant)]
    whole = [value for value in constants if isinstance(value, int)]
    if isinstance(node.op, ast.BitAnd) and whole:
        return min(whole)  # a constant is not negative: of -1, the sign is an operator
    if isinstance(node.op, ast.RShift):
        return left.bound
    if isinstance(node.op, ast.LShift):
        by = right.bound if isinstance(node.right, ast.Constant) else None
        return None if left.bound is None or by is None or by > 63 else left.bound << by
    return bits_bound([left, right])
