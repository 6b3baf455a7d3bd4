"""From the text of an expression to what computes it, by way of Python's own syntax tree; nothing is ever executed."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NoReturn

import numpy as np

from dask_augment.expression.nodes import ExpressionError, Node, Read, common, numeric
from dask_augment.expression.values import (
    FUNCTIONS,
    REDUCTIONS,
    UnfitError,
    Value,
    aligned,
    kept,
    number,
    picked,
    power,
    truth,
)

OTHERS = ("first", "isnan", "where")
NAMES = sorted({*FUNCTIONS, *REDUCTIONS, *OTHERS})
"""All functions."""
ALLOWED = (
    "there are numbers, columns (Jet.pt), + - * / // % **, comparisons, and or not & | ~, `a if c else b`, x[0], "
    f"x[condition] and the functions {', '.join(NAMES)}"
)
_MOST_OBJECTS = 2**20
"""Of one event, for the size that a sum of integers can have."""
_DEEPEST = 100
"""Far below where Python's own stack ends, on a worker too."""


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
_LOGIC: dict[type[ast.operator | ast.boolop], Callable[..., Any]] = {
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
}
_SYMBOLS: dict[type[ast.AST], str] = {ast.BitAnd: "&", ast.BitOr: "|", ast.Invert: "~"}
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_PARENTHESES = "& | ~ bind tighter than comparisons: write (a > 1) & (b > 2), or `a > 1 and b > 2`"


class Builder:
    """Builds the nodes of one expression and gathers the columns that it reads."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: set[str] = set()
        self._depth = 0

    def fail(self, node: ast.AST, message: str) -> NoReturn:
        """Raise :class:`ExpressionError` with the place of this part."""
        place = len(self.text.encode()[: getattr(node, "col_offset", 0)].decode())
        raise ExpressionError(message, self.text, place)

    def build(self, node: ast.expr) -> Node:
        """The node of one part."""
        make = _MAKERS.get(type(node))
        if make is None:
            self.fail(node, f"{type(node).__name__} cannot stand in an expression; {ALLOWED}")
        if self._depth == _DEEPEST:
            self.fail(node, f"this is nested more than {_DEEPEST} deep: use a Define step for a part of it")
        self._depth += 1
        made = make(self, node)
        self._depth -= 1
        return made

    def _guarded(self, node: ast.expr, compute: Callable[[Read], Value]) -> Callable[[Read], Value]:
        """Say where values did not go together."""

        def run(read: Read) -> Value:
            try:
                return compute(read)
            except UnfitError as error:
                self.fail(node, str(error))

        return run

    def _each(
        self, node: ast.expr, function: Callable[..., Any], parts: Sequence[Node], convert: Callable[[Any], Any]
    ) -> Callable[[Read], Value]:
        """A function of numbers or conditions, entry by entry."""

        def compute(read: Read) -> Value:
            data, offsets = aligned([part.run(read) for part in parts])
            return Value(function(*map(convert, data)), offsets)

        return self._guarded(node, compute)

    def constant(self, node: ast.Constant) -> Node:
        """A number, True or False."""
        value = node.value
        if isinstance(value, bool):
            return Node("bool", lambda _: Value(np.bool_(value)), 1)
        if not isinstance(value, (int, float)):
            self.fail(node, f"{value!r} is neither a number nor True or False; {ALLOWED}")
        bound = abs(value) if isinstance(value, int) else None
        try:
            data = np.float64(value)
        except OverflowError:
            self.fail(node, "this number is too large for float64")
        return Node(numeric(bound), lambda _: Value(data), bound)

    def column(self, node: ast.Name | ast.Attribute) -> Node:
        """A column, by its dotted name."""
        parts: list[str] = []
        part: ast.expr = node
        while isinstance(part, ast.Attribute):
            parts.append(part.attr)
            part = part.value
        if not isinstance(part, ast.Name):
            self.fail(node, f"only a name can come before .{parts[-1]}: write Jet.pt[0], not Jet[0].pt; {ALLOWED}")
        name = ".".join([part.id, *reversed(parts)])
        self.columns.add(name)
        return Node("float64", self._guarded(node, lambda read: read(name)), is_column=True)

    def binary(self, node: ast.BinOp) -> Node:
        """a + b and the like, a & b, a | b."""
        left, right = self.build(node.left), self.build(node.right)
        operator = type(node.op)
        if operator in _LOGIC:
            for part, built in ((node.left, left), (node.right, right)):
                if not built.may_hold:
                    self.fail(part, f"{_SYMBOLS[operator]} stands between conditions, this is a number; {_PARENTHESES}")
            return Node("bool", self._each(node, _LOGIC[operator], [left, right], truth), 1)
        if operator not in _ARITHMETIC:
            self.fail(node, f"the operator {operator.__name__} cannot stand in an expression; {ALLOWED}")
        function, grown = _ARITHMETIC[operator]
        bound = None
        if grown is not None and left.bound is not None and right.bound is not None:
            bound = grown(left.bound, right.bound)
        kind = numeric(bound)
        return Node(kind, self._each(node, function, [left, right], number), bound if kind == "int64" else None)

    def unary(self, node: ast.UnaryOp) -> Node:
        """-a, +a, not a, ~a."""
        part = self.build(node.operand)
        if isinstance(node.op, ast.Not | ast.Invert):
            if isinstance(node.op, ast.Invert) and not part.may_hold:
                self.fail(node.operand, f"~ stands before a condition, this is a number; {_PARENTHESES}")
            return Node("bool", self._each(node, np.logical_not, [part], truth), 1)
        function = np.negative if isinstance(node.op, ast.USub) else np.positive
        return Node(numeric(part.bound), self._each(node, function, [part], number), part.bound)

    def logic(self, node: ast.BoolOp) -> Node:
        """a and b and ..., a or b or ..."""
        function = _LOGIC[type(node.op)]
        parts = [self.build(value) for value in node.values]
        return Node("bool", self._each(node, lambda *values: reduce(function, values), parts, truth), 1)

    def comparison(self, node: ast.Compare) -> Node:
        """a < b, and chains a < b < c."""
        parts = [self.build(value) for value in (node.left, *node.comparators)]
        for operator in node.ops:
            if type(operator) not in _COMPARISONS:
                self.fail(node, f"the comparison {type(operator).__name__} cannot stand in an expression; {ALLOWED}")
        alike = len(parts) == 2 and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        for value, part in zip((node.left, *node.comparators), parts, strict=True):
            if part.kind == "bool" and not alike:
                self.fail(value, f"this is a condition, which is neither more nor less than something; {_PARENTHESES}")
        functions = [_COMPARISONS[type(operator)] for operator in node.ops]

        def compare(*values: Any) -> Any:
            pairs = zip(functions, values, values[1:], strict=False)
            return reduce(np.logical_and, [function(a, b) for function, a, b in pairs])

        return Node("bool", self._each(node, compare, parts, number), 1)

    def choice(self, node: ast.expr, condition: ast.expr, yes: ast.expr, no: ast.expr) -> Node:
        """``where(condition, yes, no)``."""
        parts = [self.build(condition), self.build(yes), self.build(no)]
        kind, bound = common(parts[1:])
        convert = truth if kind == "bool" else number
        run = self._each(node, lambda c, a, b: np.where(truth(c), convert(a), convert(b)), parts, np.asarray)
        return Node(kind, run, bound)

    def item(self, node: ast.Subscript) -> Node:
        """x[0], x[-1], x[condition]."""
        part = self.build(node.value)
        try:
            index = ast.literal_eval(node.slice)
        except (ValueError, SyntaxError):
            index = None
        if isinstance(index, int) and not isinstance(index, bool):
            missing = np.bool_(False) if part.kind == "bool" else np.float64(np.nan)
            run = self._guarded(node, lambda read: picked(part.run(read), index, missing))
            return Node("bool" if part.kind == "bool" else "float64", run, 1 if part.kind == "bool" else None)
        if isinstance(node.slice, ast.Slice | ast.Tuple):
            self.fail(node.slice, "slices cannot stand in an expression; x[0] and x[condition] can")
        condition = self.build(node.slice)
        if not condition.may_hold:
            self.fail(node.slice, "an index is a whole number, Jet.pt[0], or a condition, Jet.pt[Jet.pt > 30]")
        run = self._guarded(node, lambda read: kept(part.run(read), condition.run(read)))
        return Node(part.kind, run, part.bound, part.is_column)

    def call(self, node: ast.Call) -> Node:
        """A function of the table."""
        if not isinstance(node.func, ast.Name):
            self.fail(node, f"only functions by name can be called, sum(Jet.pt), not Jet.pt.sum(); {ALLOWED}")
        name, count = node.func.id, len(node.args)
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? There are" if near else "there are"
            self.fail(node, f"no function is named {name!r}; {hint} {', '.join(NAMES)}")
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            self.fail(node, f"{name} takes its arguments by position, without names or stars")
        several = name in ("min", "max") and count > 1
        wanted = FUNCTIONS[name][0] if name in FUNCTIONS else {"where": 3, "first": 2}.get(name, 1)
        if count != wanted and not several:
            self.fail(node, f"{name} takes {wanted} argument{'s' if wanted > 1 else ''}, it is given {count}")
        if name == "where":
            return self.choice(node, *node.args)
        parts = [self.build(arg) for arg in node.args]
        if several:
            pair = np.minimum if name == "min" else np.maximum
            return Node("float64", self._each(node, lambda *values: reduce(pair, values), parts, number))
        if name == "first":
            return self._first(node, parts)
        if name in REDUCTIONS:
            return self._reduction(node, name, parts[0])
        if name == "isnan":
            return Node("bool", self._each(node, np.isnan, parts, number), 1)
        bound = parts[0].bound if name == "abs" else None
        return Node(numeric(bound), self._each(node, FUNCTIONS[name][1], parts, number), bound)

    def _first(self, node: ast.Call, parts: Sequence[Node]) -> Node:
        def compute(read: Read) -> Value:
            default = parts[1].run(read)
            if default.offsets is not None:
                raise UnfitError("the default of first must have one value for each event, it has one for each object")
            return picked(parts[0].run(read), 0, default.data)

        kind, bound = common(parts)
        return Node(kind, self._guarded(node, compute), bound)

    def _reduction(self, node: ast.Call, name: str, part: Node) -> Node:
        if name == "count" and part.kind == "bool":
            self.fail(
                node,
                "count gives the number of objects whatever their values; the number of those for which a condition "
                "holds is sum(condition)",
            )
        run = self._guarded(node, lambda read: Value(REDUCTIONS[name](part.run(read))))
        if name in ("any", "all"):
            return Node("bool", run, 1)
        bound = _MOST_OBJECTS if name == "count" else None
        if name == "sum" and part.bound is not None:
            bound = part.bound * _MOST_OBJECTS
        return Node(numeric(bound), run, bound if numeric(bound) == "int64" else None)


_MAKERS: dict[type[ast.expr], Callable[[Builder, Any], Node]] = {
    ast.Constant: Builder.constant,
    ast.Name: Builder.column,
    ast.Attribute: Builder.column,
    ast.BinOp: Builder.binary,
    ast.UnaryOp: Builder.unary,
    ast.BoolOp: Builder.logic,
    ast.Compare: Builder.comparison,
    ast.IfExp: lambda builder, node: builder.choice(node, node.test, node.body, node.orelse),
    ast.Subscript: Builder.item,
    ast.Call: Builder.call,
}
