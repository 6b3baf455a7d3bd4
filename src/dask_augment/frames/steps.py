"""Steps with their labels, and the setting that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_augment.contract import Augmenter, Learner
from dask_augment.identity import IDS


@dataclass(frozen=True)
class Setting:
    """What all steps of a run share.

    seed: of the random numbers; dataset: name of the data set, None where a column ``dataset`` names it;
    ids: columns that identify an event; weights: physics weights, 0 on made rows; split: the column that is 0 on
    training rows, None for data without one.
    """

    seed: int | None = None
    dataset: str | None = None
    ids: tuple[str, ...] = IDS
    weights: tuple[str, ...] = ("weight",)
    split: str | None = "split"


@dataclass(frozen=True)
class Step:
    """One augmenter under its label, and its position among the steps."""

    label: str
    augmenter: Augmenter
    position: int = 0


def labelled(augmenters: Sequence[Augmenter | tuple[str, Augmenter]]) -> tuple[Step, ...]:
    """Steps with labels: the given one, or the name of the augmenter, numbered from the second of its kind on."""
    from dask_augment.registry import name_of

    steps: list[Step] = []
    taken: set[str] = set()
    for position, entry in enumerate(augmenters):
        given, augmenter = entry if isinstance(entry, tuple) else (None, entry)
        if not isinstance(augmenter, Augmenter):
            raise TypeError(f"step {position} must be an augmenter, got {type(augmenter).__name__}: {augmenter!r}")
        name = given or name_of(augmenter)
        label = name
        for number in range(2, len(augmenters) + 2):
            if label not in taken:
                break
            if given:
                raise ValueError(
                    f"two steps are named {given!r}; random numbers are keyed by the name: give another one"
                )
            label = f"{name}_{number}"
        taken.add(label)
        steps.append(Step(label, augmenter, position))
    return tuple(steps)


def refuse_unlearned(step: Step) -> None:
    """Raise when the step is a learner that has learned nothing yet."""
    if isinstance(step.augmenter, Learner) and step.augmenter.learned is None:
        raise RuntimeError(
            f"step {step.label!r} has not learned yet: it must see all the data first. Use "
            "`step = learn(events, step, ...)` and then `augment`, or `run` a plan, which does both"
        )
