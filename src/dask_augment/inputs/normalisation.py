"""Normalise the physics weights of each data set, and refuse inputs with wrong weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dask_augment.events.own_columns import WEIGHT
from dask_augment.events.simulation import simulated
from dask_augment.files.documents import PlanError
from dask_augment.inputs.contents import is_weight, nearest
from dask_augment.inputs.section import Inputs
from dask_augment.inputs.sources import Content, Source
from dask_augment.inputs.sums import PRESELECTED


@dataclass(frozen=True)
class Normalisation:
    """How the weights of one data set were made."""

    sumw: float | None
    sumw_from: str
    xsec: float | None
    lumi: float | None
    factor: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return dict(self.__dict__)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def has_weight(weight: str, found: Mapping[Source, Content]) -> bool:
    """Whether the files have a column ``weight`` that is final, as published ones do."""
    having = [source for source, content in found.items() if WEIGHT in content.columns]
    if weight == WEIGHT or not having:
        return False
    for source in found:
        if source not in having:
            raise PlanError(
                f"{having[0].path!r} has a column weight, which is taken as it is, and {source.path!r} has none: read "
                "them in two plans, or name the generator weight of both with inputs: {weight: ...}"
            )
    return True


def weightless(
    weight: str, found: Mapping[Source, Content], metadata: Mapping[str, Mapping[str, Any]]
) -> frozenset[str]:
    """Data sets none of whose files has the weight column: collision data, or events that have no weights."""
    lacking = [source for source, content in found.items() if weight not in content.columns]
    if weight != "genWeight" and len(lacking) == len(found):
        raise PlanError(f"no input file has the weight {weight!r} that inputs: weight names; {nearest(weight, found)}")
    names = frozenset(source.dataset for source in lacking)
    for source, content in found.items():
        if source.dataset in names and weight in content.columns:
            other = next(entry for entry in lacking if entry.dataset == source.dataset)
            raise PlanError(
                f"column {weight!r} is not in every input file of {source.dataset!r}: {source.path!r} has it, "
                f"{other.path!r} does not; take one of them out"
            )
    for name in sorted(names):
        if simulated(name, metadata.get(name, {})) and not any(WEIGHT in c.columns for c in found.values()):
            raise PlanError(
                f"data set {name!r} is simulated (is_mc: true), but has no column {weight!r}; name its generator weight "
                "with inputs: {weight: ...}, or take is_mc away to give every event weight 1"
            )
    return names


def check_weights(weights: Iterable[str], found: Mapping[Source, Content]) -> None:
    """Refuse weights that are not one number for each event, in every file that has them."""
    for source, content in found.items():
        for name in weights:
            if content.schema is None or name not in content.schema.names:
                continue
            if not is_weight(content.schema, name):
                column = content.schema.field(name)
                missing = " with missing values" if column.nullable else ""
                raise PlanError(
                    f"weight {name!r} must be one number for each event, but in {source.path!r} it is {column.type}"
                    f"{missing}; name another column with inputs: {{weight: ..., weights: [...]}}, or mend the file"
                )


def normalised(
    inputs: Inputs,
    found: Mapping[Source, Content],
    metadata: Mapping[str, Mapping[str, Any]],
    final: bool,
    without: frozenset[str],
) -> dict[str, Normalisation]:
    """How the weights of each data set are made: genWeight x xsec x lumi / sum of genWeight of all its events.

    ``final``: the files have the column ``weight``; ``without``: data sets that have no generator weight.
    """
    _check_lumi(inputs, metadata)
    result = {}
    for name in sorted({source.dataset for source in found}):
        xsec, lumi = (metadata.get(name, {}).get(key) for key in ("xsec", "lumi"))
        lumi = inputs.lumi if lumi is None else lumi
        if final or name in without:
            said = "column weight, as it is" if final else f"no {inputs.weight}: every event has weight 1"
            if xsec is not None:
                raise PlanError(
                    f"data set {name!r} has an xsec, but its weights are not made from a generator weight ({said}): take "
                    "the xsec away, or name the column that is to be scaled with inputs: {weight: ...}"
                )
            total, origin = _of_skims(name, found)
            result[name] = Normalisation(total, f"{said}{f'; {origin} is kept' if origin else ''}", None, None, 1.0)
            continue
        mine = {source: content for source, content in found.items() if source.dataset == name}
        _of_skims(name, found)
        _check_sums(mine)
        contents = list(mine.values())
        sumw = math.fsum(content.sumw for content in contents if content.sumw is not None)
        origins = ", ".join(sorted({content.sumw_from for content in contents if content.sumw_from}))
        if xsec is not None and sumw <= 0:
            raise PlanError(
                f"data set {name!r} has an xsec, but its generator weights sum to {sumw:g} ({origins or 'no events'}), and "
                "nothing can be normalised to that: take the xsec away, or files that have more events"
            )
        factor = 1.0 if xsec is None else xsec * (1.0 if lumi is None else lumi) / sumw
        if not 0 < factor < math.inf:
            raise PlanError(
                f"data set {name!r}: xsec {xsec} x lumi {lumi} / sum of weights {sumw:g} is {factor}, which is no factor of "
                "weights: xsec is in pb, lumi in 1/pb"
            )
        result[name] = Normalisation(sumw, origins, _float(xsec), _float(lumi), factor)
    return result


def _of_skims(dataset: str, found: Mapping[Source, Content]) -> tuple[float | None, str]:
    """The sum that skims keep in the metadata of their files, and its name; PlanError where only some files have it."""
    mine = {source: content for source, content in found.items() if source.dataset == dataset}
    having = {source: content.sumw for source, content in mine.items() if content.sumw_from == PRESELECTED}
    if not having:
        return None, ""
    for source, content in mine.items():
        if source not in having and content.entries:
            raise PlanError(
                f"data set {dataset!r}: {next(iter(having)).path!r} keeps {PRESELECTED}, the sum of generator weights "
                f"of all events it was made of, and {source.path!r} does not: a sum over both would be wrong, take one out"
            )
    return math.fsum(value for value in having.values() if value is not None), PRESELECTED


def _check_sums(found: Mapping[Source, Content]) -> None:
    """Refuse generator weights that have no sum."""
    for source, content in found.items():
        if content.sumw is not None and not math.isfinite(content.sumw):
            raise PlanError(
                f"data set {source.dataset!r}: input file {source.path!r}: {content.sumw_from}, so that no sum of weights "
                "would be a number: mend the file, take it out, or name another weight with inputs: {weight: ...}"
            )


def _check_lumi(inputs: Inputs, metadata: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a luminosity that nothing would be multiplied with; that of collision data only says how many there are."""
    scaled = {name: said for name, said in metadata.items() if simulated(name, said) is not False}
    lacking = [name for name, said in sorted(scaled.items()) if said.get("xsec") is None]
    own = [name for name in lacking if scaled[name].get("lumi") is not None]
    if own or (inputs.lumi is not None and len(lacking) == len(scaled)):
        where = f"data set {own[0]!r} has a lumi" if own else "inputs: lumi is given"
        raise PlanError(
            f"{where}, but no xsec [pb] that it would be multiplied with: write it into the metadata of the data set, or "
            "take the lumi away"
        )
