"""Where augmenters run: :func:`augment` and :func:`learn`, dispatched on the type of the events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any, TypeVar

from dask.utils import Dispatch

from dask_augment.contract import Augmenter, Learner, Measure, taught
from dask_augment.frames.eager import Setting, Stage, Step, labelled
from dask_augment.identity import IDS, refuse_repeated_ids

L = TypeVar("L", bound=Learner)

run_stage = Dispatch("run_stage")
"""``run_stage(events, stage)``: the augmented events, lazy where the events are."""
put_question = Dispatch("put_question")
"""``put_question(events, stage, measure, label)``: the total over all partitions of the events after the stage."""
dataset_of = Dispatch("dataset_of")
"""``dataset_of(events)``: the data set's name where the events carry one, else None."""


def augment(
    events: Any,
    *augmenters: Augmenter | tuple[str, Augmenter],
    seed: int | None = None,
    dataset: str | None = None,
    ids: Sequence[str] = IDS,
    weights: Sequence[str] = ("weight",),
    split: str | None = "split",
) -> Any:
    """Augment events with these steps, in order: eagerly or lazily, as the events are.

    Parameters
    ----------
    events
        awkward or NanoEvents arrays, pandas, dask-awkward or dask.dataframe collections.
    augmenters
        The steps. ``("name", step)`` gives a step a name of its own; random numbers are keyed by it.
    seed
        Of the random numbers; needed when a step draws any.
    dataset
        Name of the data set, part of every random key. Taken from NanoEvents' metadata or a column ``dataset`` where
        it is not given.
    ids
        Columns that identify an event.
    weights
        Physics weights: rows that a step makes get 0 in them, so that no yield changes.
    split
        Column that is 0 on training rows; training steps act on those alone. None: on all rows.
    """
    stage = Stage(labelled(augmenters), _setting(events, seed, dataset, ids, weights, split))
    return run_stage(events, stage)


def learn(
    events: Any,
    learner: L | tuple[str, L],
    *before: Augmenter | tuple[str, Augmenter],
    seed: int | None = None,
    dataset: str | None = None,
    ids: Sequence[str] = IDS,
    weights: Sequence[str] = ("weight",),
    split: str | None = "split",
    artefacts: str | None = None,
) -> L:
    """Let a learner see all the events, in as many passes as it has questions; returns it with what it learned.

    ``before`` are the steps that come before it (those whose products it does not need are not run). ``artefacts``
    is a folder or URL that all workers see: learned arrays are stored there, named by their contents, so that a graph
    carries their address alone. The other arguments are those of :func:`augment`.
    """
    steps = labelled([*before, learner])
    stage = Stage(steps[:-1], _setting(events, seed, dataset, ids, weights, split))
    return learned(steps[-1], stage, lambda sub, measure, label: put_question(events, sub, measure, label), artefacts)


def learned(
    step: Step, before: Stage, put: Callable[[Stage, Measure[Any], str], Any], artefacts: str | None = None
) -> Any:
    """Drive the questions of one learner; ``put`` asks one of all the data, after the steps it depends on."""
    label, setting = step.label, before.setting

    def ask(measure: Measure[Any]) -> Any:
        ids = setting.ids if measure.keyed else ()
        needed = measure.uses() | set(ids) | ({setting.split} if setting.split else set())
        total = put(before.pruned(frozenset(needed)), measure, label)
        if total is None:
            raise ValueError(
                f"step {label!r} has nothing to learn from: there are no events"
                + (f" with {setting.split} == 0 (training)" if setting.split else "")
            )
        return total

    learner = step.augmenter
    assert isinstance(learner, Learner)
    if learner.keyed:
        _answered(refuse_repeated_ids(setting.ids), ask)
    result = taught(learner, ask)
    if artefacts is not None and result.learned is not None:
        result.learned.put(artefacts)
    return result


def _answered(questions: Generator[Measure[Any], Any, None], ask: Callable[[Measure[Any]], Any]) -> None:
    try:
        question = next(questions)
        while True:
            question = questions.send(ask(question))
    except StopIteration:
        return


def total(parts: Iterable[Any]) -> Any:
    """The sum of the answers of partitions; those without rows answered None."""
    answers = [part for part in parts if part is not None]
    return reduce(add, answers) if answers else None


def _setting(
    events: Any, seed: int | None, dataset: str | None, ids: Sequence[str], weights: Sequence[str], split: str | None
) -> Setting:
    if isinstance(ids, str):
        remedy = (
            'ids="position" works in plans and in coffea\'s Runner, where file and entry are known'
            if ids == "position"
            else f"write ids=[{ids!r}]"
        )
        raise ValueError(f"ids must be a list of columns, got {ids!r}; {remedy}")
    name = dataset_of(events) if dataset is None else dataset
    return Setting(seed, name, tuple(ids), tuple(weights), split)


@run_stage.register_lazy("awkward")
@put_question.register_lazy("awkward")
@dataset_of.register_lazy("awkward")
def _register_awkward() -> None:
    import awkward as ak

    from dask_augment.frames.eager import augment_eager, dataset_of_eager

    run_stage.register(ak.Array, augment_eager)
    put_question.register(ak.Array, lambda events, stage, measure, label: stage.measure(events, measure, label))
    dataset_of.register(ak.Array, dataset_of_eager)
