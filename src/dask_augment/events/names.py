"""Names of columns: dotted in plans and code, flat in branches and published files."""

from __future__ import annotations

import ast
from functools import lru_cache

# A frame asks for the same names again for each step and partition.
_REMEMBERED = 8192


@lru_cache(_REMEMBERED)
def flat(name: str) -> str:
    """The branch name of a column: ``Jet.pt`` is ``Jet_pt``; pandas' name of two levels, ``('pt', '0')``, is ``pt_0``."""
    if name[:1] == "(" and name[-1:] == ")":
        name = ".".join(_levels(name)) or name
    return name.replace(".", "_")


def _levels(name: str) -> list[str]:
    """The levels of a column's name as pandas writes them to Parquet; none where it is no such name."""
    try:
        levels = ast.literal_eval(name)
    except (ValueError, SyntaxError):
        return []
    return [str(level) for level in levels if str(level)] if isinstance(levels, tuple) else []


@lru_cache(_REMEMBERED)
def dotted(name: str) -> str:
    """The column name of a branch: ``Jet_pt`` is ``Jet.pt``."""
    return name if "." in name else name.replace("_", ".", 1)


def shown(own: str, asked: str) -> str:
    """A column as a message names it: as the events have it, or with a dot to somebody who writes dots."""
    return dotted(own) if "." in asked else own
