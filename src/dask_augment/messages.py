"""Messages: counts, near names, errors of other libraries."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from dask_augment.files.addresses import told

_LONGEST = 300


def counted(number: int, noun: str) -> str:
    """A number of things, each a ``noun``: ``1 file``, ``2,000 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nearest(name: str, known: Iterable[str], what: str = "columns") -> str:
    """Those whose names come near to one that is not there, else the first of all; as the end of a sentence."""
    names = sorted(known)
    alike = [other for other in names if other.lower() == name.lower()]
    inside = [other for other in names if len(name) > 2 and name.lower() in other.lower()]
    near = [*dict.fromkeys([*alike, *get_close_matches(name, names, n=3, cutoff=0.5), *inside])][:3]
    if near:
        return f"the nearest are {', '.join(near)}"
    if len(names) > 12:
        return f"none of the {len(names)} {what} has a name near it"
    return f"the {what} are {', '.join(names)}"


def meant(names: Iterable[str], known: Collection[str]) -> str:
    """What was meant by names that nobody knows, as a question; empty where nothing comes near."""
    near: dict[str, None] = {}
    for name in names:
        part_of = [other for other in known if len(name) > 2 and name in other]
        near |= dict.fromkeys(get_close_matches(name, known, n=3) or part_of)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def unknown(given: Iterable[object], known: Collection[str]) -> str:
    """Keys that are not known, what they may be meant for, and those that there are: ``unknown ... ['a']; ...``."""
    names = sorted(map(str, given))
    question = meant(names, known)
    there = f"here are {sorted(known) or 'none'}"
    return f"{names}; {question} T{there}" if question else f"{names}; t{there}"


def one_line(error: BaseException) -> str:
    """The first paragraph of what an error says, on one line.

    uproot breaks its sentences over several lines, and puts all that it has read before what was wrong with it.
    """
    text = str(error).strip()
    if "\n\n" in text:
        text = str(getattr(error, "message", text)).strip().partition("\n\n")[0]
    line = told(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
