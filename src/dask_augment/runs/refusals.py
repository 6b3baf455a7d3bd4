"""Checks of a plan besides its files: output folder, ``keep``, names of data sets, ids, and training on data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dask_augment.dataset.layout import refuse_changed
from dask_augment.events.columns import flat
from dask_augment.events.simulation import refuse_on_data
from dask_augment.files.folders import NoLocalFolder, local_folder, refuse_mount_point
from dask_augment.frames.stage import Stage
from dask_augment.inputs.columns_of_files import is_pattern
from dask_augment.inputs.columns_of_files import names as named
from dask_augment.inputs.contents import nearest
from dask_augment.inputs.sources import Content, Files, Source
from dask_augment.messages import counted
from dask_augment.plans.plan import Plan, PlanError, Target


def output_folder(plan: Plan, output: str | Path | None) -> Path:
    """Where the data set goes: ``output``, or as the plan says. PlanError where that cannot be."""
    assert isinstance(plan.output, Target)
    path = output if output is not None else plan.output.path
    if path is None:
        raise PlanError("the plan does not say where its output goes; write output: {path: out/}")
    try:
        path = local_folder(path, "output")
        if output is None:
            path = Path(plan.folder) / path
        refuse_mount_point(path)
    except NoLocalFolder as error:
        raise PlanError(str(error)) from None
    return path


def check_folders(target: Target, datasets: Collection[str]) -> None:
    """Refuse data sets that would come back under another name, being names of folders."""
    for name in sorted(datasets) if "dataset" in target.partition_by else ():
        try:
            refuse_changed("dataset", name)
        except ValueError as error:
            raise PlanError(str(error)) from None


def check_names(target: Target, columns: Sequence[str], datasets: Collection[str]) -> None:
    """Refuse data sets that nobody could tell apart in what is published, or that it would name in two ways."""
    if "dataset" in target.partition_by and "dataset" in columns:
        raise PlanError(
            "the files have a column 'dataset', which would be written beside the names of the data sets, and readers find "
            "one or the other: leave it out by '!dataset' in output: keep, or name another partition_by"
        )
    if len(datasets) > 1 and "dataset" not in {*target.partition_by, *columns}:
        raise PlanError(
            f"output: partition_by is {list(target.partition_by)}, so the rows of {counted(len(datasets), 'data set')} "
            f"({', '.join(sorted(datasets)[:4])}) could not be told apart: put dataset into it"
        )


def check_keep(
    patterns: Sequence[str], columns: Sequence[str], files: Files, narrowing: Sequence[str], kept: Collection[str]
) -> None:
    """Refuse entries of ``output: keep`` that name nothing, or leave out what is always written.

    ``columns`` are those of the result, ``narrowing`` steps that leave few columns, ``kept`` what the patterns keep.
    """
    there = dict.fromkeys(columns) | {name: c.called(name) for c in files.values() for name in c.columns}
    if patterns and patterns[0].startswith("!"):
        raise PlanError(
            f"output: keep begins with {patterns[0]!r}, and nothing is kept before it: name first what is kept"
        )
    for entry in patterns:
        pattern = entry.removeprefix("!")
        if not any(named(pattern, name, own) for name, own in there.items()):
            raise PlanError(f"output: keep names {pattern!r}, which is no column; {nearest(pattern, files)}")
        if entry == pattern and narrowing and not any(named(pattern, name) for name in columns):
            raise PlanError(
                f"output: keep names {pattern!r}, and no such column is left after step {narrowing[0]!r}, which keeps "
                "only columns that are right for the rows it makes: take it out of keep, or say carry: parent to the "
                "step"
            )
        if entry != pattern and not is_pattern(pattern) and flat(pattern) in {*columns} - {*kept}:
            raise PlanError(
                f"output: keep leaves out {pattern!r}, which is always written, like all columns that steps make, ids "
                f"and weights: take {entry!r} out of keep"
            )


def check_ids(schema: pa.Schema, ids: Sequence[str] | str) -> None:
    """Refuse ids that are not one whole number for each event, before anything is read."""
    for name in ids if ids != "position" else ():
        kind = schema.field(flat(name)) if flat(name) in schema.names else None
        if kind is not None and (kind.nullable or not pa.types.is_integer(kind.type)):
            missing = " with missing values" if kind.nullable else ""
            raise PlanError(
                f"inputs: ids names {name!r}, which is {kind.type}{missing}; an id is one whole number for each event: name "
                "other columns, or say ids: position"
            )


def check_collision_data(
    stage: Stage, metadata: Mapping[str, Mapping[str, Any]], found: Mapping[Source, Content], weight: str
) -> None:
    """Refuse what collision data may not hold, and to train on them."""
    training = [step.label for step in stage.steps if step.augmenter.use == "training"]
    there: dict[str, dict[str, str]] = {}
    for source, content in found.items():
        there.setdefault(source.dataset, {}).update(dict.fromkeys(content.columns, source.path))
    for name, columns in sorted(there.items()):
        try:
            refuse_on_data(name, metadata.get(name, {}), training, columns, asked=stage.missing(), weight=weight)
        except ValueError as error:
            raise PlanError(str(error)) from None
