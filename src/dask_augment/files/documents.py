"""Read YAML and JSON strictly: refuse keys that appear twice and words that versions of YAML read differently.

A parser's default keeps the last of two equal keys, reads ``010`` as 8 and ``12:30:00`` as 45000, and says nothing.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dask_augment.files.addresses import told

_MOST_VALUES = 2_000_000
_DEEPEST = 100


class PlanError(ValueError):
    """A plan that cannot be carried out; says where in it and what to write."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*map(told, args))


def read_yaml(path: str | Path) -> Any:
    """The values of a YAML file. PlanError, naming file and line, for what would be read otherwise than it was meant."""
    text = _text(f"plan {str(path)!r}", path)
    try:
        return yaml.load(text, _Strict)
    except yaml.YAMLError as error:
        raise PlanError(f"plan {str(path)!r} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise PlanError(f"plan {str(path)!r} is nested too deep: {_DEEPEST} levels are enough") from None
    except (ValueError, OverflowError) as error:
        raise PlanError(f"plan {str(path)!r}: {error}") from None


def read_json(path: str | Path) -> Any:
    """The values of a JSON file, gzip too. PlanError, naming file and line, for a key that stands twice."""
    what = f"fileset {str(path)!r}"
    text = _text(what, path)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _Twice:
        key, lines = _repeated(text)
        raise PlanError(
            f"{what}: the key {key!r} stands twice in one place, in lines {lines[0]} and {lines[1]}, and the first would be "
            "lost: take one of them out"
        ) from None
    except RecursionError:
        raise PlanError(f"{what} is nested too deep: {_DEEPEST} levels are enough") from None
    except ValueError as error:
        raise PlanError(f"{what} is not JSON: {error}") from None


def _text(what: str, path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except FileNotFoundError:
        raise PlanError(f"{what} is not there (read from {Path.cwd()})") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"{what} cannot be read: it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise PlanError(f"{what} cannot be read: {getattr(error, 'strerror', None) or error}") from None


# JSON -----------------------------------------------------------------------------------------------------------------


class _Twice(Exception):
    """A key stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _Twice
    return values


_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}\[\]]')


def _repeated(text: str) -> tuple[str, tuple[int, int]]:
    """The first key of a JSON text that stands twice in one object, and the two lines."""
    open_objects: list[dict[str, int]] = []
    for token in _TOKEN.finditer(text):
        if token[0] in "{[":
            open_objects.append({})
        elif token[0] in "}]":
            open_objects.pop()
        elif token[2]:
            key, line = json.loads(token[1]), text.count("\n", 0, token.start()) + 1
            if key in open_objects[-1]:
                return key, (open_objects[-1][key], line)
            open_objects[-1][key] = line
    raise AssertionError("no key stands twice")


# YAML -----------------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
_UNCLEAR = {
    r"[-+]?0[0-9_]+": "an octal number for some and a decimal one for others",
    r"0o[0-7]+": "octal for some and text for others",
    r"[-+]?0b[01_]+": "a number for some and text for others",
    r"(?i:yes|no|on|off)": "true or false for some and text for others",
    r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?": "a number to the base 60 for some and text for others",
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?": "a date for some and text for others",
}
"""Plain words of YAML 1.1 that mean something else in YAML 1.2, and to most people."""


class _Strict(yaml.SafeLoader):
    """YAML's safe loader that loses nothing and guesses nothing."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _values_of(node, {}, 0)
            _check_once(node)
        return node

    def construct_scalar(self, node: Any) -> Any:
        """The text of a scalar, if all versions of YAML read it alike."""
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.tag != "tag:yaml.org,2002:binary":
            for pattern, why in _UNCLEAR.items():
                if re.fullmatch(pattern, node.value):
                    raise PlanError(
                        f"line {_line(node)}: {node.value} is {why}: write it in quotes if it is text, else as true, false "
                        "or a decimal number"
                    )
        return super().construct_scalar(node)


# YAML 1.1 takes 1e3, without a dot or a sign, for a text.
_Strict.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _children(node: Any) -> Iterator[Any]:
    for entry in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from entry if isinstance(entry, tuple) else (entry,)


def _values_of(node: Any, known: dict[int, int], depth: int) -> int:
    """How many values a node comes to with its aliases written out; ``known`` are those of nodes seen before."""
    count = known.get(id(node))
    if count == 0:
        raise PlanError(f"line {_line(node)}: an alias refers to a value that contains it, which would never end")
    if depth > _DEEPEST:
        raise PlanError(f"line {_line(node)}: nested too deep: {_DEEPEST} levels are enough")
    if count is None:
        known[id(node)] = 0
        count = known[id(node)] = 1 + sum(_values_of(child, known, depth + 1) for child in _children(node))
        if count > _MOST_VALUES:
            raise PlanError(f"line {_line(node)}: its aliases come to more than {_MOST_VALUES:,} values")
    return count


def _check_once(root: Any) -> None:
    """Refuse a key that stands twice in one mapping, or in two that are merged into one."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        left += _children(node)
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(key for key, _ in node.value)
            for key, value in node.value:
                if key.tag == "tag:yaml.org,2002:merge" and isinstance(value, yaml.SequenceNode):
                    merged = [one for one in value.value if isinstance(one, yaml.MappingNode)]
                    _refuse_twice(inner for one in merged for inner, _ in one.value)


def _refuse_twice(keys: Iterator[Any]) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key in keys:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name = (key.tag, key.value)
        if name in lines:
            raise PlanError(
                f"the key {key.value!r} stands twice in one place, in lines {lines[name]} and {_line(key)}, and one would "
                "be lost: take one of them out"
            )
        lines[name] = _line(key)


def plain_value(what: str, value: Any) -> Any:
    """What a person wrote as JSON holds it: texts, finite numbers, true, false, lists and dictionaries of them.

    PlanError, naming ``what``, for anything else. NumPy's numbers become Python's.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, Mapping):
        return {_key(what, key): plain_value(f"{what}: {key}", entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(what, entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise PlanError(f"{what} is {value}, which is no number that could be stored: take it out")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise PlanError(f"{what} must be a text, a number, true, false or a list of them, got {value!r}")


def _key(what: str, key: Any) -> str:
    if not isinstance(key, str):
        raise PlanError(f"{what} has the key {key!r}, which must be a text: write it in quotes")
    return key
