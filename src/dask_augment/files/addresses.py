"""Addresses as they may be shown: without passwords, tokens and queries.

User, password and query of a URL (tokens, signatures) open a file, and are no part of its name: they are read with, and
never hashed, stored or told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

_USER = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_QUERY = re.compile(r"(://[^?\s'\"]*)\?[^\s'\"]*?(?=::|[\s'\"]|$)")
_Error = TypeVar("_Error", bound=BaseException)


def told(value: Any) -> Any:
    """A value without the users, passwords and queries of the URLs in it, in lists and dictionaries too, keys as well."""
    if isinstance(value, str):
        return _QUERY.sub(r"\1", _USER.sub("", value)) if "://" in value else value
    if isinstance(value, Mapping):
        return {told(key): told(entry) for key, entry in value.items()}
    return type(value)(map(told, value)) if type(value) in (list, tuple) else value


def confused(addresses: Iterable[str]) -> str | None:
    """The first name that two different addresses have, since they differ in what may not be told; None where none has."""
    known: dict[str, str] = {}
    return next((told(address) for address in addresses if known.setdefault(told(address), address) != address), None)


def untold(error: _Error) -> _Error:
    """An error, and what it comes from, with no more in their texts than may be told; the error itself."""
    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.args = tuple(map(told, link.args))
            for name, value in vars(link).items():
                setattr(link, name, told(value) if isinstance(value, str) else value)
            if isinstance(link, OSError) and isinstance(link.filename, str):
                link.filename = told(link.filename)
            links += [link.__cause__, link.__context__]
    return error
