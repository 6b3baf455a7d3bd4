"""Which columns match wildcards of steps, and which columns steps leave unchanged beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dask_augment.events.columns import dotted
from dask_augment.frames import planning
from dask_augment.frames.stage import Stage
from dask_augment.plans.plan import PlanError


def settled(stage: Stage, read: Iterable[str]) -> tuple[Stage, list[str]]:
    """The stage with the columns, of those that are read, that its steps' wildcards match; and what they matched."""
    try:
        steps = planning.settled(stage.steps, read)
    except ValueError as error:
        raise PlanError(str(error)) from None
    said = []
    for old, new in zip(stage.steps, steps, strict=True):
        if matched := sorted(new.uses - old.uses):
            said.append(f"step {new.label!r} has wildcards, which match {', '.join(matched)}")
    return replace(stage, steps=steps), said


def remarks_on(stage: Stage, written: Iterable[str]) -> list[str]:
    """What steps say of columns that are written, or used by any step, and that they leave as they are."""
    used = {dotted(name) for step in stage.steps for name in step.uses}
    made = {dotted(name) for step in stage.steps for name, kind in step.produces.items() if kind is not None}
    return planning.remarks(stage.steps, ({*map(dotted, written)} | used) - made)
