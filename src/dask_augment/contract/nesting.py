"""Steps inside steps: find them in the fields of a step, and the fields declared to hold steps."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin

from dask_augment.contract.augmenter import Augmenter


def steps_in(value: Any) -> Iterator[Augmenter]:
    """The steps in a value, in order: the value itself, or those in lists, dictionaries and dataclasses in it."""
    if isinstance(value, Augmenter):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from steps_in(value[key])
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from steps_in(entry)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from steps_in(getattr(value, field.name))


def inner_steps(step: Augmenter) -> Iterator[Augmenter]:
    """The steps that a step holds in its fields, those in them not counted."""
    for field in fields(step):
        if field.name != "learned":
            yield from steps_in(getattr(step, field.name))


def whole(step: Augmenter) -> Iterator[Augmenter]:
    """The step, and all steps inside it at any depth."""
    yield step
    for inner in inner_steps(step):
        yield from whole(inner)


@cache
def types_of(kind: type) -> dict[str, Any]:
    """The types of the fields of a dataclass; one that cannot be told, such as a local class, is left out."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        module = vars(sys.modules.get(base.__module__, inspect))
        for name, said in inspect.get_annotations(base).items():
            try:
                found[name] = eval(said, dict(module)) if isinstance(said, str) else said  # the source of the class
            except Exception:  # noqa: BLE001  whatever the text of a type may raise
                found.pop(name, None)
    return found


def holds_steps(said: Any, seen: frozenset[type] = frozenset()) -> bool:
    """Whether a type says that its values are steps, or have steps in them."""
    if arguments := get_args(said):
        return any(holds_steps(argument, seen) for argument in arguments)
    if not isinstance(said, type) or get_origin(said) is not None:
        return False
    if issubclass(said, Augmenter):
        return True
    if not is_dataclass(said) or hasattr(said, "as_plan") or said in seen:
        return False
    return any(holds_steps(types_of(said).get(field.name), seen | {said}) for field in fields(said))
