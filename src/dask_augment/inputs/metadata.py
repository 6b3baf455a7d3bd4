"""Metadata of a data set in a fileset: simulation or data, cross section and luminosity."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

from dask_augment.events.simulation import UnreadableMetadata, simulated
from dask_augment.files.documents import PlanError, plain_value

_METADATA = ("is_mc", "xsec", "lumi")
_FROM_FILES = "the sum of weights and the number of events are those of the files: take it out"
_MEANT = {
    r"x_?s|x_?s_.*|.*x_?sec.*|.*cross_?sec.*|sigma|sigma_.*|.*_xs": "write the cross section as xsec, in pb",
    r".*k_?fac.*|br|br_.*|.*_br|.*branching.*|.*filter_?eff.*|.*match.*eff.*|.*gen_?filter.*|eff|efficiency": (
        "multiply it into xsec, and take it out"
    ),
    r".*lumi.*(mask|json|section|block|cert).*|.*golden.*|cert.*": (
        "nothing here drops events by it: drop them before, and take it out"
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
        raise PlanError(f"data set {name!r} has metadata {key!r}, which has no meaning here: {does[0]}")


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
