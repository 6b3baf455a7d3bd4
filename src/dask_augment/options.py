"""Options, in a plan or in Python: their descriptions, unknown names, and values of the wrong type."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, cleandoc, signature
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dask_augment.messages import unknown

F = TypeVar("F", bound=Callable[..., Any])
K = TypeVar("K", bound=type)


def refuse_unknown(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """TypeError for options that nobody reads; it says which were meant, and which there are."""
    if strange := set(given) - set(known):
        raise TypeError(f"{what}unknown options {unknown(strange, known)}")


def _refuse_misspelt(name: str, call: Callable[..., Any], options: Mapping[str, Any]) -> None:
    parameters = signature(call).parameters.values()
    if all(one.kind is not Parameter.VAR_KEYWORD for one in parameters):
        refuse_unknown(f"{name}: ", options, [one.name for one in parameters if one.name != "self"])


def named_options(function: F) -> F:
    """The function; an option that it does not know is refused with the name that comes near."""

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        _refuse_misspelt(function.__name__, function, options)
        return function(*args, **options)

    return cast("F", called)


_ENTRY = re.compile(r"(\S.*)\n((?: {4}.*\n|\n(?= {4}))+)")


def parameters(doc: str) -> tuple[str, dict[str, str], str]:
    """What stands before the table of parameters in a docstring, its entries by the names they are about, and the rest."""
    before, found, after = f"{doc}\n".partition("Parameters\n----------\n")
    entries = {}
    while found and (entry := _ENTRY.match(after)):
        entries[entry[1]] = entry[2]
        after = after[entry.end() :]
    return before, entries, after


def options_of(*kinds: type) -> Callable[[K], K]:
    """Put what these classes say of options into the docstring of one that has them and says nothing of them itself."""

    def told(kind: K) -> K:
        before, mine, after = parameters(cleandoc(kind.__doc__ or ""))
        tables = [*(parameters(cleandoc(other.__doc__ or ""))[1] for other in reversed(kinds)), mine]
        said = {name.strip(): entry for table in tables for entry in table.items() for name in entry[0].split(",")}
        entries = dict(said[entry.name] for entry in fields(kind) if entry.name in said)
        table = "".join(f"{names}\n{text}" for names, text in entries.items())
        kind.__doc__ = f"{before}Parameters\n----------\n{table}{after}"
        return kind

    return told


class _OfInit:
    """The signature of a class is that of its ``__init__``, whatever its ``__new__`` takes."""

    def __get__(self, instance: object, owner: type) -> Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        own = signature(owner.__init__)  # type: ignore[misc]  # of the class that is asked about
        return own.replace(parameters=[*own.parameters.values()][1:])


class NamedOptions:
    """What is made with options; one that it does not know is refused with the name that comes near.

    So are those of every subclass: ``__new__`` sees the options before the ``__init__`` that a dataclass writes.
    """

    if not TYPE_CHECKING:  # the types of options are those of __init__

        def __new__(cls, *args: Any, **options: Any) -> Any:  # noqa: ARG004, D102
            _refuse_misspelt(cls.__name__, cls.__init__, options)
            return super().__new__(cls)

        __signature__ = _OfInit()


def is_number(value: Any) -> bool:
    """Whether an option is a number, which true and false are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether an option is a number that float64 can hold, and neither NaN nor infinite."""
    return is_number(value) and abs(value) <= sys.float_info.max


def check_choices(step: Any, **known: Collection[Any]) -> None:
    """ValueError for an option of a step that is none of those there are."""
    for name, choices in known.items():
        if (value := getattr(step, name)) not in choices:
            raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}")


def check_count(name: str, value: Any, least: int = 1, most: float = math.inf) -> None:
    """ValueError for what is no whole number, too small, or larger than ``most``."""
    if not is_number(value) or not isinstance(value, Integral) or not least <= int(value) <= most:
        within = f"of at least {least}" if most == math.inf else f"in [{least}, {most}]"
        raise ValueError(f"{name} must be a whole number {within}, got {value!r}")


def columns_of(name: str, value: Iterable[str]) -> tuple[str, ...]:
    """A list of columns; TypeError for a text, which is a list of letters, and for what is no list."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of columns, got {value!r}; write {name}=[{value!r}]")
    return tuple(value)


def check_columns(step: Any, *names: str, needed: bool = False) -> None:
    """Make lists of columns tuples in a step that is being made.

    ValueError for a column that is named twice, and where one is ``needed``, for none.
    """
    for name in names:
        columns = columns_of(name, getattr(step, name))
        if len(set(columns)) < len(columns):
            raise ValueError(f"{name} names a column twice: {list(columns)}")
        if needed and not columns:
            raise ValueError(f"{name} must name at least one column")
        object.__setattr__(step, name, columns)


def check_new(step: Any, name: str, columns: Collection[str]) -> None:
    """ValueError where the column that a step is to make is there, but for its usual name: that is a result of its own."""
    if (value := getattr(step, name)) in columns and value != getattr(type(step), name):
        raise ValueError(
            f"{name} names {value!r}, which the events have, and it would be overwritten: give the new column another name "
            f"(one named {getattr(type(step), name)!r} is replaced), or leave that one out"
        )


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "None": ("none", lambda value: value is None),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool)),
    "float": ("a number", is_number),
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
