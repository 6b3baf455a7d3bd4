"""Expressions: what a plan says of events in one line, ``sum(Jet.pt[Jet.pt > 30]) > 500 and nJet >= 4``."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray
from awkward.index import Index64

from dask_augment.expression.nodes import ExpressionError, Kind, Node
from dask_augment.expression.syntax import ALLOWED, Builder
from dask_augment.expression.values import number, read, truth

__all__ = ["Expression", "ExpressionError"]

_LONGEST = 10_000


@dataclass(frozen=True)
class Expression:
    """A formula of columns in Python's syntax; it is read, never executed as code.

    Columns go by their names, ``Jet.pt``, ``nJet``, ``HT``. A value has one entry for each event or one for each
    object; where both meet, the event's value counts for all its objects, and objects only meet their like.
    With ``x`` one entry for each object, an event's value comes from

    - ``sum(x)``, ``count(x)``, ``any(x)``, ``all(x)``: 0, 0, False and True without objects;
    - ``min(x)``, ``max(x)``, ``mean(x)``: NaN without objects, and where an object is NaN;
    - ``x[0]``, ``x[-1]``: NaN (a condition: False) where there is no such object; ``first(x, default)``.

    ``x[condition]`` keeps the objects for which the condition holds. Entry by entry there are ``+ - * / // % **``,
    comparisons and chains of them, ``and or not`` (``& | ~`` between conditions), ``where(c, a, b)`` or
    ``a if c else b``, ``min(a, b)``, ``max(a, b)``, ``abs``, ``sqrt``, ``exp``, ``log``, ``sin``, ``cos``, ``tan``,
    ``sinh``, ``cosh``, ``tanh``, ``arctan2(y, x)``, ``hypot``, ``isnan``, ``delta_phi(a, b)`` in [-pi, pi) and
    ``delta_r(eta1, phi1, eta2, phi2)``; angles in radians.

    Numbers are float64, whatever the column holds, and follow IEEE 754: 1/0 is inf, 0/0 is NaN, comparisons with NaN
    are False (``!=`` is True). As a condition, a number holds unless it is 0 or NaN; in arithmetic a condition is 1 or
    0. Counts, whole numbers, sums of conditions and their sums and products are int64 while they must lie below 2**53.

    Bits: arithmetic, sqrt, ``** 2``, sums and delta_r are the same on every CPU; exp, log, other powers, hypot and the
    trigonometric and hyperbolic functions are those of NumPy, which differ by a few units in the last place between
    CPU classes and versions of NumPy.
    """

    text: str
    columns: frozenset[str] = field(compare=False)
    """Names of the columns that it reads, as they are written."""
    kind: Kind = field(compare=False)
    """Type of the values: "bool", "int64" or "float64"."""
    _root: Node = field(compare=False, repr=False)

    @staticmethod
    def parse(text: str) -> Expression:
        """Read an expression; :class:`ExpressionError` shows the place where it cannot be read."""
        if not isinstance(text, str):
            raise TypeError(f"an expression is a text such as 'nJet >= 4', got {type(text).__name__}: {text!r}")
        return _parsed(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression.parse, (self.text,)

    def evaluate(self, events: ak.Array) -> Any:
        """Its values of ``kind``: a NumPy array with one entry for each event, or lists with one for each object."""
        with np.errstate(all="ignore"):
            data, offsets = self._root.run(cache(lambda name: read(events, name)))
            data = truth(data) if self.kind == "bool" else number(data).astype(self.kind, copy=False)
        if offsets is None:
            return np.ascontiguousarray(np.broadcast_to(data, len(events)))
        return ak.Array(ListOffsetArray(Index64(offsets), NumpyArray(np.ascontiguousarray(data))))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expression:
    line = " ".join(text.split())
    if not 0 < len(line) <= _LONGEST:
        raise ExpressionError(f"an expression has 1 to {_LONGEST} characters, this has {len(line)}", line[:80], 0)
    try:
        tree = ast.parse(line, mode="eval")
    except SyntaxError as error:
        place = error.offset - 1 if error.offset else len(line)
        raise ExpressionError(f"{error.msg}: this is no expression; {ALLOWED}", line, place) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"this is no expression: {error}", line[:80], 0) from None
    builder = Builder(line)
    root = builder.build(tree.body)
    return Expression(text, frozenset(builder.columns), root.kind, root)
