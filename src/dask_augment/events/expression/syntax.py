"""From the text of an expression to its nodes, through Python's own syntax tree; nothing is ever executed."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from dask_augment.events.expression.nodes import Node, Read, common, numeric
from dask_augment.events.expression.operators import ALLOWED, NAMES, Operators, may_be_whole
from dask_augment.events.expression.text import word_of_python
from dask_augment.events.expression.values import (
    FUNCTIONS,
    REDUCTIONS,
    UnfitError,
    Value,
    kept,
    number,
    picked,
    unknown,
)

_MOST_OBJECTS = 2**20
"""Of one event, for the size that a sum of integers can have."""
_DEEPEST = 100
"""Far below where Python's own stack ends, on a worker too."""


class Builder(Operators):
    """Builds the nodes of one expression."""

    def build(self, node: ast.expr) -> Node:
        """The node of one part."""
        make = _MAKERS.get(type(node))
        if make is None:
            hint = word_of_python(self.text)
            self.fail(node, f"{type(node).__name__} cannot stand in an expression; {hint or ALLOWED}")
        if self._depth == _DEEPEST:
            self.fail(node, f"this is nested more than {_DEEPEST} deep: use a Define step for a part of it")
        self._depth += 1
        made = make(self, node)
        self._depth -= 1
        return made

    def constant(self, node: ast.Constant) -> Node:
        """A number, True or False."""
        value = node.value
        if isinstance(value, bool):
            return Node("bool", lambda _: Value(np.bool_(value)), 1)
        if not isinstance(value, (int, float)):
            hint = word_of_python(str(value)) if value is None else ""
            self.fail(node, f"{value!r} is neither a number nor True or False; {hint or ALLOWED}")
        bound = abs(value) if isinstance(value, int) else None
        try:
            data = np.float64(value)
        except OverflowError:
            self.fail(node, "this number is too large for float64")
        whole = np.asarray(value) if bound is not None and bound < 2**64 else data
        exact = Value(whole if numeric(bound) == "int64" else data)
        return Node(numeric(bound), lambda _: exact, bound, turned=None if whole is data else lambda _: Value(whole))

    def column(self, node: ast.Name | ast.Attribute) -> Node:
        """A column, by its dotted name."""
        parts: list[str] = []
        part: ast.expr = node
        while isinstance(part, ast.Attribute):
            parts.append(part.attr)
            part = part.value
        if not isinstance(part, ast.Name):
            self.fail(node, f"only a name can come before .{parts[-1]}: write Jet.pt[0], not Jet[0].pt; {ALLOWED}")
        return self._named(node, ".".join([part.id, *reversed(parts)]))

    def _named(self, node: ast.expr, name: str) -> Node:
        self.columns.add(name)
        return Node("float64", self.guarded(node, lambda read: read(name)), is_column=True)

    def item(self, node: ast.Subscript) -> Node:
        """x[0], x[-1], x[condition]."""
        part = self.build(node.value)
        try:
            index = ast.literal_eval(node.slice)
        except (ValueError, SyntaxError):
            index = None
        if isinstance(index, int) and not isinstance(index, bool):
            if abs(index) >= 2**63:
                self.fail(node.slice, "no event has so many objects")
            missing = Value(np.bool_(False) if part.kind == "bool" else np.float64(np.nan))
            run = self.guarded(node, lambda read: picked(part.run(read), index, missing))
            return Node("bool" if part.kind == "bool" else "float64", run, 1 if part.kind == "bool" else None)
        if isinstance(node.slice, ast.Slice | ast.Tuple):
            self.fail(
                node.slice,
                "slices cannot stand in an expression; x[0] and x[condition] can, and a function of your own takes slices",
            )
        condition = self.build(node.slice)
        if not condition.may_hold:
            self.fail(node.slice, "an index is a whole number, Jet.pt[0], or a condition, Jet.pt[Jet.pt > 30]")
        run = self.guarded(node, lambda read: kept(part.run(read), condition.run(read)))
        return Node(part.kind, run, part.bound, part.is_column)

    def call(self, node: ast.Call) -> Node:
        """A function of the table."""
        if not isinstance(node.func, ast.Name):
            self.fail(node, f"only functions by name can be called: {_by_name(node.func)}")
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
        if name == "col":
            return self._col(node, node.args[0])
        parts = [self.build(arg) for arg in node.args]
        if several:
            pair = np.minimum if name == "min" else np.maximum
            return Node("float64", self.each(node, lambda *values: reduce(pair, values), parts, number))
        if name == "first":
            return self._first(node, parts)
        if name in REDUCTIONS:
            return self._reduction(node, name, parts[0])
        if name == "isnan":
            return Node("bool", self.guarded(node, lambda read: unknown(parts[0].run(read))), 1)
        bound = parts[0].bound if name == "abs" else None
        return Node(numeric(bound), self.each(node, FUNCTIONS[name][1], parts, number), bound)

    def _col(self, node: ast.Call, given: ast.expr) -> Node:
        if not (isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value):
            self.fail(given, 'col takes the name of a column in quotes: col("lead-pt")')
        return self._named(node, given.value)

    def _first(self, node: ast.Call, parts: Sequence[Node]) -> Node:
        def compute(read: Read) -> Value:
            default = parts[1].run(read)
            if default.offsets is not None:
                raise UnfitError("the default of first must have one value for each event, it has one for each object")
            return picked(parts[0].run(read), 0, default)

        kind, bound = common(parts)
        return Node(kind, self.guarded(node, compute), bound, kind == "float64" and may_be_whole(parts))

    def _reduction(self, node: ast.Call, name: str, part: Node) -> Node:
        if name == "count" and part.kind == "bool":
            self.fail(
                node,
                "count gives the number of objects whatever their values; the number of those for which a condition "
                "holds is sum(condition)",
            )
        run = self.guarded(node, lambda read: Value(REDUCTIONS[name](part.run(read))))
        if name in ("any", "all"):
            return Node("bool", run, 1)
        bound = _MOST_OBJECTS if name == "count" else None
        if name == "sum" and part.bound is not None:
            bound = part.bound * _MOST_OBJECTS
        return Node(numeric(bound), run, bound if numeric(bound) == "int64" else None)


def _by_name(called: ast.expr) -> str:
    """How to write a call of a module's function, or of a method."""
    if isinstance(called, ast.Attribute) and called.attr in NAMES:
        before = ast.unparse(called.value)
        if before in ("np", "numpy", "ak", "math", "da"):
            return f"write {called.attr}(...), without {before}."
        return f"write {called.attr}({before}), not {before}.{called.attr}()"
    return f"there are {', '.join(NAMES)}"


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
