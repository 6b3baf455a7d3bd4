"""Read a fileset into one form; unknown keys are refused."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from dask_augment.files.documents import PlanError
from dask_augment.inputs.metadata import metadata_of
from dask_augment.messages import unknown

_COFFEA = {"form", "compressed_form", "format", "did"}
"""What coffea's preprocess() says of a data set beside files and metadata; we look for ourselves."""
_OF_MADE = {"make", "events", "seed", "metadata"}
_OF_FILES = {"object_path", "steps", "num_entries", "uuid"}
_COFFEA_OF_FILES = {"format", "lfn", "pfn", "num_selected_entries"}


class FileSaid(NamedTuple):
    """What a fileset says of one file."""

    tree: str | None = None
    entries: int | None = None
    """How many there must be: the steps come to so many."""
    uuid: str | None = None


NOTHING_SAID = FileSaid()


def as_plain(value: Any) -> Any:
    """Paths as text and coffea's models as dictionaries: a plan is the same however its files are named."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {as_plain(key): as_plain(entry) for key, entry in value.items()}
    return [as_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def dataset_name(value: Any) -> str:
    """The name of a data set. PlanError for what is no text: YAML reads 2018 as a number, and 0012 as 10."""
    if not isinstance(value, str):
        raise PlanError(f"the name of a data set must be a text, got {value!r}: write it in quotes")
    if not value or "\0" in value:
        raise PlanError(f"the name of a data set must have letters, and no NUL, got {value!r}")
    return value


def dataset(name: str, entry: Any) -> dict[str, Any]:
    """One data set as ``{"files": {path: FileSaid}, "metadata": {...}}``; of one that is made, with ``make``."""
    metadata: dict[str, Any] = {}
    if isinstance(entry, Mapping) and "make" in entry:
        if strange := set(entry) - _OF_MADE:
            raise PlanError(f"data set {name!r} is made, and has unknown keys {unknown(strange, _OF_MADE)}")
        for key in ("events", "seed"):
            _whole(f"data set {name!r}: {key}", entry.get(key))
        return {"files": {}, "metadata": metadata_of(name, entry.get("metadata")), **entry}
    if isinstance(entry, Mapping) and ("files" in entry or "metadata" in entry):
        strange = set(entry) - {"files", "metadata"} - _COFFEA
        if strange:
            raise PlanError(
                f"data set {name!r} has unknown keys {sorted(map(str, strange))}; there are files and metadata"
            )
        metadata = metadata_of(name, entry.get("metadata"))
        entry = entry.get("files")
    if isinstance(entry, str):
        entry = [entry]
    if isinstance(entry, Mapping):
        files = {_path(name, path): _file(name, str(path), value) for path, value in entry.items()}
    elif isinstance(entry, Sequence):
        files = {_path(name, path): FileSaid() for path in entry}
        if len(files) != len(entry):
            raise PlanError(f"data set {name!r} lists a file twice; its events would be doubled")
    else:
        raise PlanError(f"data set {name!r} must list its files, got {entry!r}")
    if not files:
        raise PlanError(f"data set {name!r} has no files; name some, or take it out")
    return {"files": files, "metadata": metadata}


def _path(name: str, path: Any) -> str:
    if not isinstance(path, str) or not path or "\0" in path:
        raise PlanError(f"data set {name!r}: a file must be named by its path, got {path!r}")
    return path


def _file(name: str, path: str, value: Any) -> FileSaid:
    """What a fileset says of one file: the name of its tree, or what coffea's preprocess() wrote."""
    if not isinstance(value, Mapping):
        return FileSaid(_tree(name, path, value))
    strange = set(value) - _OF_FILES - _COFFEA_OF_FILES
    if "files" in value:
        raise PlanError(
            f"data set {name!r} holds another one, {path!r}: data sets stand side by side, so name each, '{name}_{path}'"
        )
    if strange:
        raise PlanError(f"data set {name!r}: {path!r} has unknown keys {unknown(strange, _OF_FILES)}")
    where = f"data set {name!r}: num_entries of {path!r}"
    entries = None if value.get("num_entries") is None else _whole(where, value["num_entries"])
    if value.get("steps") is not None:
        stop = _last(f"data set {name!r}: steps of {path!r}", value["steps"])
        if entries is not None and stop < entries:
            raise PlanError(_some_steps(name, path, stop, entries))
        if entries is not None and stop > entries:
            raise PlanError(f"data set {name!r}: steps of {path!r} go up to entry {stop}, but num_entries is {entries}")
        entries = stop
    uuid = value.get("uuid")
    if uuid is not None and not isinstance(uuid, str):
        raise PlanError(f"data set {name!r}: uuid of {path!r} must be a text, got {uuid!r}")
    return FileSaid(_tree(name, path, value.get("object_path")), entries, uuid)


def check_file(name: str, path: str, said: FileSaid, entries: int, uuid: str | None) -> None:
    """Refuse a file, as it was opened, that is not what the fileset says of it: not so many entries, or another uuid."""
    if said.entries is not None and said.entries < entries:
        raise PlanError(_some_steps(name, path, said.entries, entries))
    if said.entries is not None and said.entries > entries:
        raise PlanError(
            f"data set {name!r}: the fileset says steps of {path!r} up to entry {said.entries}, but it has {entries}: the "
            "file has changed, or the steps are those of another; make the fileset anew"
        )
    if None not in (said.uuid, uuid) and said.uuid != uuid:
        raise PlanError(
            f"data set {name!r}: the fileset says that {path!r} has the uuid {said.uuid}, but it has {uuid}: it is another "
            "file now; make the fileset anew"
        )


def _some_steps(name: str, path: str, stop: int, entries: int) -> str:
    return (
        f"data set {name!r}: the fileset has only some steps of {path!r}, entries 0 to {stop} of {entries}; whole files are "
        "read, since weights are normalised to all their events: leave the steps out, or take limit_files for a trial"
    )


def _tree(name: str, path: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise PlanError(f"data set {name!r}: {path!r} needs the name of its tree, got {value!r}")
    return value


def _whole(what: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise PlanError(f"{what} must be whole numbers that are not negative, got {value!r}")
    return number


def _last(what: str, steps: Any) -> int:
    """The entry that steps end at. PlanError unless they are all entries up to there, each once.

    Steps are pairs ``[[0, 10], [10, 20]]`` as coffea writes them, or borders ``[0, 10, 20]`` as uproot takes them.
    """
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise PlanError(f"{what} must be a list such as [[0, 10], [10, 20]] or [0, 10, 20], got {steps!r}")
    if steps and not any(isinstance(step, Sequence) for step in steps):
        borders = [_whole(what, step) for step in steps]
        if sorted(set(borders)) != borders:
            raise PlanError(f"{what}: borders must grow, got {steps!r}")
        pairs: list[tuple[int, int]] = list(pairwise(borders)) or [(borders[0], borders[0])]
    else:
        pairs = sorted(_pair(what, step) for step in steps)
    return _joined(what, pairs, steps)


def _pair(what: str, step: Any) -> tuple[int, int]:
    if not isinstance(step, Sequence) or isinstance(step, str) or len(step) != 2:
        raise PlanError(f"{what} must be a list such as [[0, 10], [10, 20]] or [0, 10, 20], got {step!r} in it")
    start, stop = (_whole(what, border) for border in step)
    if stop < start:
        raise PlanError(f"{what}: a step must end after its start, got {step!r}")
    return start, stop


def _joined(what: str, pairs: Iterable[tuple[int, int]], steps: Any) -> int:
    last = 0
    for start, stop in pairs:
        if start < last:
            raise PlanError(f"{what} overlap at entry {start}, which would be read twice: {_short(steps)}")
        if start > last:
            raise PlanError(
                f"{what} leave out entries {last} to {start}: {_short(steps)}; whole files are read, since weights are "
                "normalised to all their events: leave the steps out, or take limit_files for a trial"
            )
        last = stop
    return last


def _short(steps: Any) -> str:
    text = repr(steps)
    return text if len(text) <= 80 else f"{text[:77]}..."
