"""Steps with their labels, and the settings under which learners have learned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from dask_augment.contract.augmenter import Augmenter, Learner
from dask_augment.contract.flow import Step
from dask_augment.contract.setting import Setting


def labelled(augmenters: Sequence[Augmenter | tuple[str, Augmenter]]) -> tuple[Step, ...]:
    """Steps with labels: the given one, or the name of the augmenter, numbered from the second of its kind on.

    RuntimeError for a step that holds a learner which has not learned: nobody would teach it, as the step alone knows
    what comes before it.
    """
    from dask_augment.plans.registry import refuse_unlearned_inside, with_labels

    steps = with_labels(augmenters)
    refuse_unlearned_inside(steps)
    return tuple(Step(label, step, position) for position, (label, step) in enumerate(steps))


def key_of(label: str, setting: Setting) -> str:
    """What random numbers are keyed by, beside the events: what a keyed learner learned holds under this key alone."""
    return json.dumps({"seed": setting.seed, "label": label, "ids": list(setting.ids)})


def anew(step: Step) -> Step:
    """The step as it is before it learns."""
    augmenter = step.augmenter
    return replace(step, augmenter=replace(augmenter, learned=None)) if isinstance(augmenter, Learner) else step


def refuse_unlearned(step: Step) -> None:
    """Raise when the step is a learner that has learned nothing yet."""
    if isinstance(step.augmenter, Learner) and step.augmenter.learned is None:
        raise RuntimeError(
            f"step {step.label!r} has not learned yet: it must see all the data first. Use "
            "`step = learn(events, step, ...)` and then `augment`, or `run` a plan, which does both"
        )


def refuse_other_key(step: Step, setting: Setting) -> None:
    """Raise when the step learned from other random numbers than it will get."""
    learned = step.augmenter.learned if isinstance(step.augmenter, Learner) else None
    if learned is not None and learned.key and learned.key != (key := key_of(step.label, setting)):
        raise ValueError(
            f"step {step.label!r} learned under {learned.key} and is to act under {key}: its random numbers would be "
            "others, and what it learned from them wrong. Use the seed, label and ids that it learned under "
            "(('label', step) gives a step its label), or learn again"
        )
