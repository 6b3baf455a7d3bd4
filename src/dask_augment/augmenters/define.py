"""Define columns by expressions of other columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import dotted, has
from dask_augment.events.expression import Expression

_NAME = re.compile(r"[^\W\d]\w*(\.\w+)?")


@dataclass(frozen=True, kw_only=True, eq=False, init=False, repr=False)
class Define(Augmenter):
    """Define columns by expressions: ``Define(HT="sum(Jet.pt)")``, ``Define({"Jet.pt2": "Jet.pt ** 2"})``.

    A dotted name of a collection, ``Jet.pt2``, has one value for each object; any other has one for each event. An
    existing column of that name is replaced, and gets the type of the expression. Definitions of one step do not see
    each other; to use one in another, write a second step.

    Parameters
    ----------
    columns, **named
        Name of each new column, and its :class:`~dask_augment.events.expression.Expression`.

    Columns in: those of the expressions. Columns out: those defined, float64, int64 or bool as the expressions are.
    Rows are kept.

    Example
    -------
    ::

        - define: {HT: sum(Jet.pt), Jet.px: Jet.pt * cos(Jet.phi)}
    """

    takes_missing = True

    columns: Mapping[str, str] = field(metadata={"shorthand": True})

    def __init__(self, columns: Mapping[str, str] | None = None, **named: str) -> None:
        columns = {} if columns is None else columns
        if not isinstance(columns, Mapping):
            raise TypeError(f"columns must be a dictionary of names and expressions, got {columns!r}")
        given = {**columns, **named}
        if len(given) < len(columns) + len(named):
            raise ValueError(f"Define is given {sorted(set(columns) & set(named))} twice; give each name once")
        if not given:
            raise ValueError('Define defines no column: write Define(HT="sum(Jet.pt)")')
        object.__setattr__(self, "columns", dict(sorted(given.items())))
        defined = {dotted(name) for name in given}
        for name, text in self.columns.items():
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"Define cannot name a column {name!r}: a name is HT, or Jet.x for a value of each jet"
                )
            others = defined - {dotted(name)}
            for column in sorted(Expression.parse(text).columns):
                if dotted(column) in others:
                    raise ValueError(
                        f"Define makes {name!r} of {column!r}, which it defines as well: put {name!r} into a second "
                        "Define step after this one"
                    )

    def __repr__(self) -> str:
        return f"Define({self.columns!r})"

    def uses(self) -> frozenset[str]:
        """The columns of the expressions."""
        return frozenset().union(*(Expression.parse(text).columns for text in self.columns.values()))

    def produces(self) -> Mapping[str, str | None]:
        """The columns that are defined."""
        return {name: Expression.parse(text).kind for name, text in self.columns.items()}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Evaluate the expressions."""
        columns = {name: Expression.parse(text).evaluate(events) for name, text in self.columns.items()}
        for name, values in columns.items():
            head, dot, _ = name.partition(".")
            if not isinstance(values, np.ndarray) and not dot:
                raise TypeError(
                    f"Define makes {name!r} with one value for each object; name it as a field of their collection, "
                    f"Jet.{name}, or reduce it to one value for each event with sum(...), max(...), ..."
                )
            if isinstance(values, np.ndarray) and dot and has(events, f"n{head}"):
                raise TypeError(
                    f"Define makes {name!r} with one value for each event, but {head} has several objects in an event; "
                    f"name it without a dot, {head}_{name.partition('.')[2]}"
                )
        return Output(columns)
