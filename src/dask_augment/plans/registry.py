"""The registry of augmenters: one table of names for ours, entry points for those of other packages."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from dask_augment.augmenters import TABLE
from dask_augment.augmenters.function import Function
from dask_augment.contract.augmenter import Augmenter, Learner
from dask_augment.contract.compound import Compound
from dask_augment.contract.nesting import inner_steps
from dask_augment.messages import meant, one_line

GROUP = "dask_augment.augmenters"
"""Entry point group in which other packages name theirs: ``my_name = "package.module:Class"``."""


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in TABLE}


def names() -> tuple[str, ...]:
    """All known names, sorted; nothing is imported."""
    return tuple(sorted({*TABLE, *_plugins()}))


def get(name: str) -> type[Augmenter]:
    """The class behind a name."""
    if name in TABLE:
        module, _, attribute = TABLE[name].partition(":")
        found = getattr(import_module(module), attribute)
    elif name in _plugins():
        point = _plugins()[name]
        try:
            found = point.load()
        except (Exception, SystemExit) as error:  # the code of others: whatever it does, this is what it comes to
            package = point.dist.name if point.dist else point.value
            what = one_line(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {one_line(error)}"
            raise ImportError(f"augmenter {name!r} of {package} cannot be imported: {what}") from error
    else:
        hint = meant([name], names()) or f"there are {', '.join(names())}."
        raise KeyError(f"no augmenter is named {name!r}; {hint} A function of your own is 'my_file.py:function'")
    if not (isinstance(found, type) and issubclass(found, Augmenter)):
        raise TypeError(f"augmenter {name!r} is {found!r}, not a class derived from Augmenter")
    return found


def name_of(augmenter: Augmenter) -> str:
    """The registered name of an augmenter, else its own ``name`` or its class name in snake case."""
    if isinstance(augmenter, Function):
        return augmenter.name
    kind = type(augmenter)
    address = f"{kind.__module__}:{kind.__qualname__}"
    for name, target in TABLE.items():
        if target == address:
            return name
    for name, point in _plugins().items():
        if point.value == address:
            return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()


def with_labels(augmenters: Sequence[Augmenter | tuple[str, Augmenter]]) -> list[tuple[str, Augmenter]]:
    """Steps with labels: the given one, or the name of the augmenter, numbered from the second of its kind on.

    A compound is taken apart into its steps: ``smote_enn.smote``, ``smote_enn.edited_nearest_neighbours``.
    """
    steps: dict[str, Augmenter] = {}
    for position, entry in enumerate(augmenters):
        given, augmenter = entry if isinstance(entry, tuple) else (None, entry)
        got: object = augmenter
        if not isinstance(got, Augmenter):
            raise TypeError(
                f"step {position} must be an augmenter, got {type(got).__name__}: {got!r}; {as_a_step(got)}"
            )
        name = given or name_of(augmenter)
        label = name
        for number in range(2, len(augmenters) + 2):
            if label not in steps:
                break
            if given:
                raise _same_name(given)
            label = f"{name}_{number}"
        steps[label] = augmenter
    apart = [pair for label, augmenter in steps.items() for pair in taken_apart(label, augmenter)]
    if twice := sorted(label for label, times in Counter(label for label, _ in apart).items() if times > 1):
        raise _same_name(twice[0])
    return apart


def as_a_step(entry: object) -> str:
    """How to make a step of what is none, as the end of a sentence."""
    if isinstance(entry, type) and issubclass(entry, Augmenter):
        return f"give its options, {entry.__name__}(...)"
    if isinstance(entry, (str, Mapping)):
        return "a plan of dictionaries, as YAML has it, is read by Plan.from_dict"
    if isinstance(entry, (list, tuple)):
        return "give the steps one after the other, *steps"
    if inspect.isroutine(entry):
        return "a function becomes one by @augmenter(uses=[...], produces={...})"
    return "augment takes the events first, then the steps"


def taken_apart(label: str, augmenter: Augmenter) -> list[tuple[str, Augmenter]]:
    """The steps of a compound under its label; any other augmenter as it is."""
    if not isinstance(augmenter, Compound):
        return [(label, augmenter)]
    return [(f"{label}.{name}", part) for name, part in with_labels(augmenter.parts)]


def refuse_unlearned_inside(steps: Iterable[tuple[str, Augmenter]]) -> None:
    """RuntimeError for a step that holds a learner which has not learned: nobody would teach it, as the step alone knows
    what comes before it. A learner may itself teach those that it holds.
    """
    for label, step in steps:
        for inner in () if isinstance(step, Learner) else inner_steps(step):
            parts = taken_apart(name_of(inner), inner)
            for name, part in parts:
                if isinstance(part, Learner) and part.learned is None:
                    raise RuntimeError(
                        f"step {label!r} holds the step {name!r}, which has not learned yet: teach that one first, with "
                        f"learn(events, ...), and give {label!r} what it returns"
                    )
            refuse_unlearned_inside((f"{label}.{name}", part) for name, part in parts)


def _same_name(label: str) -> ValueError:
    return ValueError(f"two steps are named {label!r}; random numbers are keyed by the name: give another one")
