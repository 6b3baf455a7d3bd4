"""Expressions: formulas on events in one line, ``sum(Jet.pt[Jet.pt > 30]) > 500 and nJet >= 4``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray
from awkward.index import Index64

from dask_augment.events.expression.nodes import ExpressionError, Kind, Node
from dask_augment.events.expression.operators import ALLOWED
from dask_augment.events.expression.syntax import Builder
from dask_augment.events.expression.text import tree_of
from dask_augment.events.expression.values import UnfitError, Value, beyond, number, read, truth
from dask_augment.messages import counted

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

    A name that Python does not allow is written ``col("lead-pt")``, ``col("class")``.

    ``& | ^ ~ << >>`` take bits of whole numbers, int64: ``(Jet.jetId & 2) > 0``. Between conditions they are logical;
    of two columns, the types of the columns say which. They bind tighter than comparisons, as in Python, so
    ``a > 1 & b > 2`` is refused, and so is what could be read in two ways, such as ``~`` of a whole number alone.

    What is missing: a missing object (masked or padded) counts in no sum, count, min, max, mean, any or all, as in
    awkward, keeps its place in ``x[0]``, which is then NaN, and makes NaN or a condition that does not hold;
    ``isnan(x)`` is True of it. A missing number of an event is NaN. A missing list is an error, as is a whole number
    that is missing.

    Bits on other machines: arithmetic, sqrt, ``** 2``, sums and delta_r are the same on every CPU; exp, log, other powers, hypot and the
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
            value = self._root.run(cache(lambda name: read(events, name)))
            try:
                data = _final(value, self.kind)
            except UnfitError as error:
                raise ExpressionError(str(error), self.text, 0) from None
        if value.offsets is None:
            return np.ascontiguousarray(np.broadcast_to(data, len(events)))
        return ak.Array(ListOffsetArray(Index64(value.offsets), NumpyArray(np.ascontiguousarray(data))))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expression:
    line = " ".join(text.split())
    if not 0 < len(line) <= _LONGEST:
        raise ExpressionError(f"an expression has 1 to {_LONGEST} characters, this has {len(line)}", line[:80], 0)
    builder = Builder(line)
    root = builder.build(tree_of(line, ALLOWED))
    return Expression(text, frozenset(builder.columns), root.kind, root)


def _final(value: Value, kind: Kind) -> Any:
    """The values in the type that was said beforehand; UnfitError where they do not fit it."""
    data = np.asarray(value.data)
    if kind == "float64":
        return number(value)
    if kind == "bool":
        if data.dtype.kind in "iu" and data.size and (int(data.min()) < 0 or int(data.max()) > 1):
            raise UnfitError(
                "these are bits of whole numbers: write (a & b) != 0 for a condition, or a & b | 0 for the number"
            )
        return truth(value)
    if value.missing is not None:
        raise UnfitError(
            f"there is no whole number for {counted(int(value.missing.sum()), 'missing object')}: leave them out "
            "first, x[condition], or fill them, where(isnan(x), 0, x)"
        )
    if (data.dtype == np.uint64 and int(data.max(initial=0)) >= 2**63) or (data.dtype.kind == "f" and beyond(data)):
        raise UnfitError(f"these are whole numbers up to {data.max()}, which int64 does not hold exactly")
    return data.astype(np.int64, copy=False)
