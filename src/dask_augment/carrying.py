"""Which columns are left after a step that narrows the events to what is true of the rows that it made."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dask_augment.columns import dotted
from dask_augment.flow import Step
from dask_augment.interpolating import Interpolating
from dask_augment.own_columns import DATASET, TRAIN_WEIGHT, is_provenance


def left_by(step: Step, always: Iterable[str]) -> frozenset[str] | None:
    """Columns, dotted, that are left after this step, with those that ``always`` are; None: all."""
    carried = step.augmenter.carries() if isinstance(step.augmenter, Interpolating) else None
    if carried is None:
        return None
    return step.products | set(map(dotted, {*carried, *always, DATASET}))


def is_left(name: str, left: Collection[str]) -> bool:
    """Whether a column is among those that are left, tells of training and provenance, or is a frame's own."""
    return dotted(name) in left or name == TRAIN_WEIGHT or is_provenance(name) or name.startswith("\x00")


def refuse_gone(steps: Iterable[Step], always: Collection[str]) -> None:
    """Raise ValueError for a step that uses a column which a step before it did not leave."""
    left: frozenset[str] | None = None
    by = ""
    for step in steps:
        gone = [] if left is None else sorted(name for name in step.uses if not is_left(name, left))
        if gone:
            raise ValueError(
                f"step {step.label!r} uses {gone[0]!r}, which is not there after step {by!r}: that leaves what is true of the "
                f"rows it makes. Put {step.label!r} before it, make {gone[0]!r} one of its features, or say carry: parent, "
                "with which its rows have their parent's values"
            )
        now = left_by(step, always)
        if now is not None:
            left, by = now, step.label
        elif left is not None:
            left |= step.products
