"""The nodes of an expression's tree, and the errors for nodes that do not fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from dask_augment.events.expression.values import EXACT, Value

Kind = Literal["bool", "int64", "float64"]
Read = Callable[[str], Value]
"""Gives a column by its name."""


class ExpressionError(ValueError):
    """An expression that cannot be read or does not fit the events; shows the place."""

    def __init__(self, message: str, text: str, place: int) -> None:
        super().__init__(message, text, place)

    def __str__(self) -> str:
        message, text, place = self.args
        return f"{message}\n  {text}\n  {' ' * place}^"


@dataclass(frozen=True)
class Node:
    """A part of an expression: the kind of its values, and how they are computed from columns."""

    kind: Kind
    run: Callable[[Read], Value]
    bound: int | None = None
    """Largest size of integers and conditions, which are computed as float64 exactly."""
    is_column: bool = False
    """Whether it holds numbers or conditions is known with the events only."""
    turned: Callable[[Read], Value] | None = None
    """Where it is computed in another way among bits: ``~x`` of a column, and integers that float64 does not hold."""

    @property
    def may_hold(self) -> bool:
        """Whether it can be a condition."""
        return self.kind == "bool" or self.is_column

    @property
    def is_open(self) -> bool:
        """Whether among bits it may be a condition or whole numbers."""
        return self.is_column or (self.kind == "bool" and self.turned is not None)

    @property
    def is_whole(self) -> bool:
        """Whether it is whole numbers for sure."""
        return self.kind == "int64" or (self.kind == "float64" and self.turned is not None)

    def exactly(self, read: Read) -> Value:
        """Its values, whole numbers as integers where there are any."""
        return self.turned(read) if self.is_whole and self.turned is not None else self.run(read)


def numeric(bound: int | None) -> Kind:
    """The kind of whole numbers up to this size, or of any numbers (None)."""
    return "int64" if bound is not None and bound <= EXACT else "float64"


def bits_bound(nodes: Sequence[Node]) -> int | None:
    """How large bits of these can be."""
    bounds = [node.bound for node in nodes if node.bound is not None]
    return 1 << max(bounds).bit_length() if len(bounds) == len(nodes) else None


def common(nodes: Sequence[Node]) -> tuple[Kind, int | None]:
    """The kind that holds the values of all."""
    if all(node.kind == "bool" for node in nodes):
        return "bool", 1
    bounds = [node.bound for node in nodes if node.bound is not None]
    bound = max(bounds) if len(bounds) == len(nodes) else None
    return numeric(bound), bound
