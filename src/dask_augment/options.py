"""The options that a plan gives to a step, held against the types of its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "None": ("none", lambda value: value is None),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool)),
    "float": ("a number", _is_number),
    "str": ("a text", lambda value: isinstance(value, str)),
    "Sequence[str]": (
        "a list of names",
        lambda value: isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value),
    ),
}


def check_options(kind: type, values: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
    """TypeError for a value that is not of its field's type, where that is a plain one: nothing would heed it.

    ValueError for a NaN or an infinity in the configuration that they come to: no manifest could hold it.
    """
    for entry in fields(kind):
        types = str(entry.type).split(" | ")
        if entry.name not in values or not set(types) <= _KINDS.keys():
            continue
        if not any(_KINDS[name][1](values[entry.name]) for name in types):
            words = " or ".join(_KINDS[name][0] for name in types)
            raise TypeError(f"{entry.name} must be {words}, got {values[entry.name]!r}")
    try:
        json.dumps(configuration, allow_nan=False)
    except ValueError:
        raise ValueError(f"an option is NaN or infinite, which no manifest can hold: {dict(values)!r}") from None
