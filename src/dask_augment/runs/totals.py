"""Answers to questions as bytes of plain values: numbers, texts, arrays, and the classes of this package around them.

A file in staging may be another's. So nothing in it is code, and of classes it names only those of this package that are
values and no more; a total of another class has no such bytes, and its question is asked again.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

_TREE = "tree"
_PLAIN = (type(None), bool, int, float, str)
_FAULTS = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, EOFError, BadZipFile)


class NotKept(Exception):
    """These bytes, or this total, are none that can be kept."""


def to_bytes(total: Any) -> bytes:
    """The total as a NumPy archive: its arrays, and as JSON how they belong together; NotKept for one of other classes."""
    arrays: list[NDArray[Any]] = []
    try:
        tree = json.dumps(_described(total, arrays)).encode()
        buffer = io.BytesIO()
        named = {f"a{i}": array for i, array in enumerate(arrays)}
        np.savez(buffer, allow_pickle=False, **named, **{_TREE: np.frombuffer(tree, np.uint8)})
    except (ValueError, RecursionError) as error:  # an array of objects, an integer of thousands of digits
        raise NotKept(str(error)) from error
    return buffer.getvalue()


def from_bytes(data: bytes) -> Any:
    """The total that these bytes are; NotKept where they are none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return _built(json.loads(archive[_TREE].tobytes()), archive)
    except _FAULTS as error:
        raise NotKept(str(error)) from error


def _described(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """The value in terms of JSON: [what it is, ...]; arrays are put aside."""
    kind = type(value)
    if kind in _PLAIN:
        return ["plain", value]
    if kind is np.ndarray or isinstance(value, np.generic):
        arrays.append(np.asarray(value))
        return ["array" if kind is np.ndarray else "scalar", len(arrays) - 1]
    if kind in (list, tuple):
        return [kind.__name__, *(_described(part, arrays) for part in value)]
    if kind is dict:
        return ["dict", *([_described(part, arrays) for part in pair] for pair in value.items())]
    if _class(kind.__module__, kind.__qualname__) is not kind:
        raise NotKept(f"{kind.__module__}.{kind.__qualname__} is no class of totals")
    return [f"{kind.__module__}:{kind.__qualname__}", *(_described(getattr(value, n), arrays) for n in _names(kind))]


def _built(tree: Any, archive: Any) -> Any:
    """The value that was described."""
    kind, *parts = tree
    if kind == "plain":
        if type(parts[0]) not in _PLAIN:
            raise NotKept(f"{parts[0]!r} is no plain value")
        return parts[0]
    if kind in ("array", "scalar"):
        array = archive[f"a{int(parts[0])}"]
        return array if kind == "array" else array[()]
    if kind == "dict":
        return {_built(key, archive): _built(value, archive) for key, value in parts}
    values = [_built(part, archive) for part in parts]
    if kind in ("list", "tuple"):
        return values if kind == "list" else tuple(values)
    found = _class(*kind.split(":"))
    if found is None:
        raise NotKept(f"{kind} is no class of totals")
    return found(**dict(zip(_names(found), values, strict=True)))


@cache
def _names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)] if is_dataclass(kind) else list(kind._fields)


def _class(module: str, name: str) -> Any:
    """The class of this name, if making one runs nobody's code: a data class that adds up, or a named tuple, of ours.

    Nothing is imported: the module of a question has been, and with it that of its answer.
    """
    if module.partition(".")[0] != __name__.partition(".")[0]:
        return None
    kind = getattr(sys.modules.get(module), name, None)
    if not isinstance(kind, type) or kind.__module__ != module:
        return None
    values = is_dataclass(kind) and hasattr(kind, "__add__") and not hasattr(kind, "__post_init__")
    return kind if values or (issubclass(kind, tuple) and hasattr(kind, "_fields")) else None
