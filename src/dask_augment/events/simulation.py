"""Recognise collision data and simulation-only columns, for filesets, plans and processors alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from dask_augment.events.names import dotted

_GENERATOR = re.compile(r"n?(Gen|gen|LHE|PSWeight)|.*\.(gen|hadronFlavour|partonFlavour)")
_WEIGHT = re.compile(
    r"gen[wW]eight([._A-Z\d].*)?|Generator\.weight|LHEWeight\.originalXWGTUP|weight([._A-Z].*)?|(event|mc|mcEvent|final)[._]?[wW]eight"
)
_RECORDED = re.compile(r"(HLT|Flag)[._]")
_SIMULATED = {"ismc", "issim", "issimulation", "issimulated"}
_DATA = {"isdata", "isrealdata", "iscollisiondata", "realdata"}
_BARE = {"mc": True, "simulation": True, "montecarlo": True, "data": False, "collisiondata": False}
"""Keys that say so where they are true or false; elsewhere they hold other things."""
_KINDS = {"type", "kind", "datatype", "sampletype", "datasettype", "process", "group", "category"}
_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NAMES = {
    "mc": True,
    "sim": True,
    "simulation": True,
    "simulated": True,
    "data": False,
    "collision data": False,
    "collision": False,
    "collisions": False,
    "data_obs": False,
    "data obs": False,
}
WORDS = "true or false, 1 or 0"


class UnreadableMetadata(ValueError):
    """Metadata do not say whether a data set is collision data, or say two things."""


@lru_cache(8192)
def is_generator(column: str) -> bool:
    """Whether simulation alone has this column: ``GenPart.pt``, ``genWeight``, ``Jet.hadronFlavour``."""
    return _GENERATOR.match(dotted(column)) is not None


@lru_cache(8192)
def is_known_weight(column: str) -> bool:
    """Whether a column is a physics weight by its name: ``genWeight``, ``Generator.weight``, ``weight_central``."""
    return _WEIGHT.fullmatch(dotted(column)) is not None


def is_named_data(name: object) -> bool:
    """Whether the name of a data set or sample is that of collision data: ``DATA_SingleMuon``, ``data2018``."""
    return isinstance(name, str) and re.match(r"(?i)data([_\-\d]|$)", name) is not None


def is_whole_weight(column: str) -> bool:
    """Whether a known weight is one of whole events, and no factor of it, as ``weight_btag`` may be."""
    name = dotted(column)
    return is_known_weight(name) and not re.match(r"weight[._A-Z]", name)


def simulated(dataset: object, metadata: Mapping[str, Any]) -> bool | None:
    """Whether metadata say that a data set is simulated (True) or collision data (False); None where they say nothing.

    Understood are ``is_mc``, ``isMC``, ``is_data``, ``isData`` and the like (booleans, 0 and 1, "true", "False", "mc",
    "data"), ``type: data``, ``process: data`` and the like, and ``sample: DATA_...``. UnreadableMetadata for another value, and where two differ.
    """
    said: dict[str, bool] = {}
    for key, value in metadata.items():
        plain = re.sub(r"[^a-z]", "", str(key).lower())
        if plain in _SIMULATED | _DATA:
            said[key] = _read(dataset, key, value, simulation=plain in _SIMULATED)
        elif plain in _BARE and str(value).strip().lower() in _YES:
            said[key] = _YES[str(value).strip().lower()] == _BARE[plain]
        elif plain in _KINDS and isinstance(value, str) and value.strip().lower() in _NAMES:
            said[key] = _NAMES[value.strip().lower()]
        elif plain == "sample" and is_named_data(value):
            said[key] = False
    if len(set(said.values())) > 1:
        both = " and ".join(f"{key}: {metadata[key]!r}" for key in said)
        raise UnreadableMetadata(f"data set {dataset!r} is said to be both collision data and simulation: {both}")
    return next(iter(said.values()), None)


def _read(dataset: object, key: str, value: Any, *, simulation: bool) -> bool:
    word = str(value).strip().lower()
    if word in _NAMES and isinstance(value, str):
        return _NAMES[word]
    if word in ("1.0", "0.0") and not isinstance(value, str):
        word = word[0]
    if word not in _YES:
        raise UnreadableMetadata(f"data set {dataset!r}: {key} must be {WORDS}, got {value!r}")
    return _YES[word] == simulation


def refuse_on_data(
    dataset: object, metadata: Mapping[str, Any], training: Iterable[str], there: Mapping[str, str], *,
    asked: Iterable[str] = (), nano: bool = False, weight: str | None = None,
) -> None:  # fmt: skip
    """What collision data may hold: ValueError where they have or are asked for generator columns, or are trained on.

    Where metadata say nothing and there is no generator column, what is named as data is collision data, and NanoAOD (so
    says its schema, ``nano``, or a trigger or filter) without a ``weight``.

    ``training``: labels of training steps. ``there``: the columns of the events, with the file that has each where it is
    known. ``asked``: those that are read. ``weight``: the one that weights are made from, a generator column too.
    """
    known = simulated(dataset, metadata)
    own = [name for name in sorted(there) if is_generator(name) or name == weight != "weight"]
    recorded = "weight" not in there and (nano or any(map(_RECORDED.match, there)))
    if known or (known is None and (own or not (recorded or is_named_data(dataset)))):
        return
    generator = next((name for name in (*own, *sorted(asked)) if name in own or is_generator(name)), None)
    step = next(iter(training), None)
    if step is None and generator is None:
        return
    file = there.get(generator, "") if generator is not None else ""
    where = f" of {file!r}" if file else ""
    what = f"{step!r} is a training step" if step is not None else f"{generator!r}{where} is a generator column"
    if known is None:
        raise ValueError(
            f"data set {dataset!r} looks like collision data (it has no generator column, and its metadata do not "
            f"say is_mc), but {what}; say is_mc: True in its metadata if it is simulation (inputs: {{fileset: ...}} of a "
            "plan has a place for them)"
        )
    raise ValueError(
        f"data set {dataset!r} is collision data (so say its metadata), but {what}; give data a plan of their own with the "
        'steps of plan.for_analysis(), or purpose="analysis", without generator columns, or mend the metadata if it is '
        "simulation: a Runner keeps those that it read, so give it metadata_cache={} then"
    )
