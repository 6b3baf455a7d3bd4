"""What a fileset says of data sets and files, in one form; a key that nobody reads is refused."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from dask_augment.documents import PlanError, plain_value
from dask_augment.simulation import UnreadableMetadata, simulated
from dask_augment.words import unknown

_COFFEA = {"form", "compressed_form", "format", "did"}
"""What coffea's preprocess() says of a data set beside files and metadata; we look for ourselves."""
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
    """One data set as ``{"files": {path: FileSaid}, "metadata": {...}}``."""
    metadata: dict[str, Any] = {}
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


# Metadata ------------------------------------------------------------------------------------------------------------

_METADATA = ("is_mc", "xsec", "lumi")
_FROM_FILES = "the sum of weights and the number of events are those of the files: take it out"
_MEANT = {
    r"x_?s|x_?s_.*|.*x_?sec.*|.*cross_?sec.*|sigma|sigma_.*|.*_xs": "write the cross section as xsec, in pb",
    r".*k_?fac.*|br|br_.*|.*_br|.*branching.*|.*filter_?eff.*|.*match.*eff.*|.*gen_?filter.*|eff|efficiency": (
        "multiply it into xsec, and take it out"
    ),
    r".*lumi.*(mask|json|section|block|cert).*|.*golden.*|cert.*": (
        "nothing here leaves out events by it: do so before, and take it out"
    ),
    r".*lumi.*": "write the integrated luminosity as lumi, in 1/pb",
    r".*sum_?(of_?)?_?(gen)?_?w.*|.*sumw.*|n_?gen.*|n_?(total_?|gen_?|raw_?)?(events?|evts?|entries).*|num_?(events?|entries).*|"
    r"(total_?|gen_?|raw_?)?(events?|entries|evts?|nevt)|size": _FROM_FILES,
    r"(gen_?|event_?|mc_?|global_?)?(weights?|wgt|w)|(.*_)?(weights?|wgt|prescales?)(_.*)?|norm.*|scale|scale_?factor|sf": (
        "nothing here multiplies weights with it: multiply it into xsec, and take it out"
    ),
}
"""Keys of other frameworks that weights would depend on, and what to do with them."""


def metadata_of(name: str, given: Any) -> dict[str, Any]:
    """The metadata of a data set; what other frameworks call xsec or lumi is refused, not left out of the weights."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise PlanError(f"data set {name!r}: metadata must be a dictionary such as {{xsec: 830.0}}, got {given!r}")
    for key in ("xsec", "lumi"):
        if given.get(key) is not None:
            positive(f"data set {name!r}: {key}", given[key])
    metadata: dict[str, Any] = plain_value(f"data set {name!r}: metadata", given)
    for key, value in metadata.items():
        if key not in _METADATA and simulated_by(name, key, metadata) is None:
            _refuse_meant(name, key)
        _refuse_below(name, key, value)
    known = simulated_by(name, None, metadata)
    return metadata if known is None else metadata | {"is_mc": known}


def simulated_by(name: str, key: str | None, metadata: Mapping[str, Any]) -> bool | None:
    """Whether this key of the metadata, or any, says that a data set is simulated; PlanError for what cannot be read."""
    try:
        return simulated(name, metadata if key is None else {key: metadata[key]})
    except UnreadableMetadata as error:
        raise PlanError(str(error)) from None


def _refuse_below(name: str, above: str, value: Any) -> None:
    """Refuse what weights depend on where nobody reads it: below another key."""
    for entry in value if isinstance(value, list) else ():
        _refuse_below(name, above, entry)
    for key, below in value.items() if isinstance(value, Mapping) else ():
        if key in _METADATA or simulated_by(name, key, value) is not None:
            raise PlanError(
                f"data set {name!r} has {key!r} below {above!r} in its metadata, where it is not read: write it beside {above!r}"
            )
        _refuse_meant(name, key)
        _refuse_below(name, key, below)


def _refuse_meant(name: str, key: str) -> None:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)
    plain = re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")
    near = difflib.get_close_matches(plain, _METADATA, n=1, cutoff=0.75)
    does = [does for pattern, does in _MEANT.items() if re.fullmatch(pattern, plain)] or [
        f"write {near[0]!r}" for _ in near
    ]
    if does:
        raise PlanError(f"data set {name!r} has metadata {key!r}, which says nothing here: {does[0]}")


def positive(what: str, value: Any) -> None:
    """Refuse what is no finite number above 0, in the words of ``what``."""
    known = isinstance(value, Real) and not isinstance(value, bool)
    try:
        finite = known and math.isfinite(float(value))
    except OverflowError:
        raise PlanError(f"{what} must be a number, got one of {len(str(value))} digits") from None
    if not finite:
        unquoted = ", without quotes and unit" if isinstance(value, str) else ""
        raise PlanError(f"{what} must be a number{unquoted}, got {value!r}")
    if value <= 0:
        raise PlanError(f"{what} must be above 0, got {value!r}: with it no event would count")


# Files ---------------------------------------------------------------------------------------------------------------


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
