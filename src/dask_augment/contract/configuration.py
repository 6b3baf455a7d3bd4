"""The identity of an object with options: its class, its options as plain values, and what it learned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from dask_augment.options import NamedOptions


class Configured(NamedOptions):
    """Base of dataclasses whose fields are their whole configuration.

    They are equal, and tokenised alike, where class, configuration and what was learned are.
    """

    learned: Any = None
    """What was learned, of those that learn a field."""

    def configuration(self) -> dict[str, Any]:
        """The fields as JSON would hold them, without what was learned."""
        return {name: plain(value) for name, value in _options(self).items()}

    @property
    def digest(self) -> str:
        """sha256 of class, configuration and learned arrays: the identity of this object."""
        return self._digest(self.learned.digest if self.learned else None)

    def _digest(self, learned: Any) -> str:
        kind = type(self)
        identity = [kind.__module__, kind.__qualname__, self.configuration(), learned]
        if values := [name for value in _fields(self).values() for name in _classes(value)]:
            identity.append(values)
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Configured) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __dask_tokenize__(self) -> str:
        return self.digest


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _options(value: Any) -> dict[str, Any]:
    return {name: option for name, option in _fields(value).items() if name != "learned"}


def plain(value: Any) -> Any:
    """A configuration value as JSON would hold it: lists, dictionaries with sorted keys, numbers, strings, None.

    A step is told by its class and digest: by its fields alone it would equal others that have the same fields.
    """
    if isinstance(value, Configured):
        return {"step": f"{type(value).__module__}:{type(value).__qualname__}", "digest": value.digest}
    if is_dataclass(value) and not isinstance(value, type):
        as_plan = getattr(value, "as_plan", None)
        return plain(as_plan() if as_plan else _fields(value))
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (set, frozenset)):
        if any(isinstance(entry, Configured) for entry in value):
            raise TypeError(f"a step holds steps in a tuple, which has an order, not in a set: {value!r}")
        return sorted(plain(entry) for entry in value)
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a configuration holds numbers, strings, lists and dictionaries, not {type(value).__name__}: {value!r}"
    )


def _classes(value: Any) -> list[str]:
    """The classes of values that are told by their fields: others may have the same fields."""
    if isinstance(value, Mapping):
        return [name for key in sorted(value, key=str) for name in _classes(value[key])]
    if isinstance(value, (list, tuple)):
        return [name for entry in value for name in _classes(entry)]
    if not is_dataclass(value) or isinstance(value, (type, Configured)) or hasattr(value, "as_plan"):
        return []
    own = f"{type(value).__module__}:{type(value).__qualname__}"
    return [own, *(name for entry in _fields(value).values() for name in _classes(entry))]
