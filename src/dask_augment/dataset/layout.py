"""Names of folders and files of a data set: hive folders from values, staging beside the final folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

MANIFEST = "_manifest.json"
QUARANTINE = "_quarantine.json"
LEARNED = "_learned"
"""Folder of what the plan learned; readers of hive folders look for no data in a folder that begins with ``_``."""
ASIDE = "old."
"""How the name in staging begins of a data set that waits until its replacement has taken its place."""

_FILE = ".parquet"
_EMPTY = "__EMPTY__"
_NULL = "__HIVE_DEFAULT_PARTITION__"
_LONGEST = 255
# What readers take a folder's name for, by themselves: numbers, dates and times (pandas, pyarrow, DuckDB, Spark, polars).
_NUMBER = r"[+-]?(?:0[xbo][0-9a-f_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[+-]?[0-9]+)?)"
_DATE = r"[+-]?[0-9]{1,7}[-/][0-9]{1,2}[-/][0-9]{1,7}(?:[ T(].*)?|[0-9]{1,2}:[0-9]{2}(?::[0-9.]+)?"
_WORD = r"true|false|null|none|nan|na|n/a|nat|[+-]?inf(?:inity)?|epoch"
_TAKEN_FOR = re.compile(
    rf"\s*(?:(?P<number>{_NUMBER})|(?P<date>{_DATE})|(?P<word>{_WORD}))\s*", re.IGNORECASE | re.DOTALL
)


def encode(value: str) -> str:
    """A value as part of a folder name: percent-encoded, so that it can neither hold a separator nor leave the folder.

    ``=`` is encoded too (DuckDB refuses it in a hive value), as ``%2E`` the dots of a name of dots alone (``.`` and
    ``..``) and of ``.parquet`` at the end, so that nobody who looks for files finds the folder, and the empty string is ``__EMPTY__``; a value that reads like that has its first letter encoded.
    ValueError for ``__HIVE_DEFAULT_PARTITION__``, which readers take for a missing value however it is encoded.
    """
    if value == _NULL:
        raise ValueError(f"{value!r} cannot name a folder: readers take it for a missing value; rename it")
    if not value:
        return _EMPTY
    if value == _EMPTY:
        return "%5F" + value[1:]
    text = quote(value, safe="-_+")
    if text.lower().endswith(_FILE):
        return f"{text[: -len(_FILE)]}%2E{text[1 - len(_FILE) :]}"
    return text.replace(".", "%2E") if set(text) == {"."} else text


def decode(text: str) -> str:
    """The value that :func:`encode` wrote."""
    return "" if text == _EMPTY else unquote(text, errors="strict")


def refuse_changed(key: str, value: str) -> None:
    """ValueError for a text that readers would give back changed where it names a folder: ``0012`` as the number 12.

    They look at folder names alone, and take them for numbers, dates or missing values where they can.
    """
    try:
        taken = _TAKEN_FOR.fullmatch(value)
        folder = f"{encode(key)}={encode(value)}"
    except UnicodeEncodeError as error:
        raise ValueError(f"{key} {value!r} cannot name a folder: it cannot be encoded ({error.reason})") from None
    if not value:
        raise ValueError(f"{key} is an empty text, which cannot name a folder: readers would get {_EMPTY!r}; name it")
    if taken:
        kind = {"number": "a number", "date": "a date or a time", "word": "a flag or a missing value"}[
            str(taken.lastgroup)
        ]
        raise ValueError(
            f"{key} {value!r} cannot name a folder: readers take it for {kind}, and give back something else; put a letter "
            f"before it, {key + '_' + value.strip()!r}"
        )
    if len(folder) > _LONGEST:
        raise ValueError(
            f"{key} {value[:40]!r}... cannot name a folder: {len(folder)} letters of it would be encoded, a folder's name has "
            f"{_LONGEST} at most; shorten it"
        )


def hive_folder(keys: Mapping[str, str]) -> str:
    """``{"dataset": "ttbar", "stratum": "3"}`` -> ``dataset=ttbar/stratum=3``; no keys: the empty string.

    ValueError for a name and value that are together longer than a folder's name may be.
    """
    folders = [f"{encode(name)}={encode(value)}" for name, value in keys.items()]
    for folder in folders:
        if len(folder) > _LONGEST:
            raise ValueError(f"{folder[:60]!r}... has {len(folder)} letters, a folder's name has {_LONGEST} at most")
    return "/".join(folders)


def hive_keys(folder: str) -> dict[str, str]:
    """The keys that :func:`hive_folder` wrote, in order; ValueError for a folder without ``=``."""
    keys = {}
    for part in filter(None, folder.split("/")):
        name, found, value = part.partition("=")
        if not found:
            raise ValueError(f"folder {folder!r} is not a hive folder: {part!r} has no '='")
        keys[decode(name)] = decode(value)
    return keys


def staging_folder(path: Path, digest: str) -> Path:
    """Where a plan's work is gathered before it is published: a hidden sibling of the final folder.

    Inside the final folder every reader but pandas and pyarrow would read unfinished files as data.
    """
    return path.parent / f".{path.name}.staging-{digest[:12]}"


def is_staging(name: str) -> bool:
    """Whether a folder's name is one that :func:`staging_folder` makes, or one on its way out."""
    return re.fullmatch(r"\..+\.staging-[0-9a-f]{12}(\.gone-[0-9a-f]{12})?", name) is not None


def file_name(index: int, parts: int) -> str:
    """``part-000012.parquet``: the position of the part in the plan, of one width for all parts of a plan."""
    return f"part-{index:0{max(6, len(str(max(parts - 1, 0))))}d}.parquet"
