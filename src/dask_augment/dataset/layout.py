"""Names of folders and files of a data set: hive folders from values, staging beside the final folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

MANIFEST = "_manifest.json"
QUARANTINE = "_quarantine.json"
ASIDE = "old."
"""How the name in staging begins of a data set that waits until its replacement has taken its place."""

_EMPTY = "__EMPTY__"
_NULL = "__HIVE_DEFAULT_PARTITION__"
_LONGEST = 255


def encode(value: str) -> str:
    """A value as part of a folder name: percent-encoded, so that it can neither hold a separator nor leave the folder.

    ``=`` is encoded too (DuckDB refuses it in a hive value), dots of a name of dots alone (``.`` and ``..``) as
    ``%2E``, and the empty string is ``__EMPTY__``; a value that reads like that has its first letter encoded.
    ValueError for ``__HIVE_DEFAULT_PARTITION__``, which readers take for a missing value however it is encoded.
    """
    if value == _NULL:
        raise ValueError(f"{value!r} cannot name a folder: readers take it for a missing value; rename it")
    if not value:
        return _EMPTY
    if value == _EMPTY:
        return "%5F" + value[1:]
    text = quote(value, safe="-_+")
    return text.replace(".", "%2E") if set(text) == {"."} else text


def decode(text: str) -> str:
    """The value that :func:`encode` wrote."""
    return "" if text == _EMPTY else unquote(text, errors="strict")


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
