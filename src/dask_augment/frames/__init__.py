"""Where augmenters run: :func:`augment` and :func:`learn`, dispatched on the type of the events."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import partial, reduce
from operator import add
from typing import Any, Literal, TypeVar

from dask.utils import Dispatch

from dask_augment.columns import names
from dask_augment.compound import Compound
from dask_augment.contract import Augmenter, Learner, Measure, taught
from dask_augment.flow import Step
from dask_augment.frames.doubts import levels
from dask_augment.frames.planning import remarks, settled
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import key_of, labelled, refuse_unlearned
from dask_augment.identity import IDS, POSITION, refuse_repeated_ids
from dask_augment.learned import Learned
from dask_augment.options import named_options
from dask_augment.setting import Setting

L = TypeVar("L", bound=Learner | Compound)

run_stage = Dispatch("run_stage")
"""``run_stage(events, stage)``: the augmented events, lazy where the events are."""
put_question = Dispatch("put_question")
"""``put_question(events, stage, measure, label)``: the total over all partitions of the events after the stage."""
dataset_of = Dispatch("dataset_of")
"""``dataset_of(events)``: the data set's name where the events carry one, else None."""
refuse_data = Dispatch("refuse_data")
"""``refuse_data(events, stage)``: ValueError where the stage would train on events that are collision data."""
made_rows = Dispatch("made_rows")
"""``made_rows(events)``: as :func:`is_made`."""
columns_of = Dispatch("columns_of")
"""``columns_of(events)``: the names of all columns; nothing is read."""


@named_options
def augment(
    events: Any,
    *augmenters: Augmenter | tuple[str, Augmenter],
    seed: int | None = None,
    dataset: str | None = None,
    ids: Sequence[str] = IDS,
    weights: Sequence[str] | Literal["none"] = ("weight",),
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
        Physics weights: rows that a step makes get 0 in them, so that no yield changes. Columns that are physics weights
        by their names (``genWeight``, ``Generator.weight``, ``LHEWeight.originalXWGTUP``, ``weight...``) are 0 there too.
        "none": no column is, and the caller multiplies yields by ``~is_made(events)``.
    split
        Column that is 0 on training rows; training steps act on those alone. None: on all rows.
    """
    columns = columns_of(events)
    stage = Stage(settled(labelled(augmenters), columns), _setting(events, seed, dataset, ids, weights, split))
    stage.refuse_gone()
    refuse_data(events, stage)
    for step in stage.steps:
        refuse_unlearned(step)
    for text in remarks(stage.steps, columns):
        warnings.warn(text, UserWarning, stacklevel=levels())
    return run_stage(events, stage)


def is_made(events: Any) -> Any:
    """Which rows a step made: a mask of booleans, False everywhere where no step made any.

    For awkward, NanoEvents, pandas, dask-awkward and dask.dataframe, lazily where the events are. Multiply a weight that
    is no column, such as xsec x lumi / N, by ``~is_made(events)``: made rows are for training and add nothing to a yield.
    """
    return made_rows(events)


@named_options
def learn(
    events: Any,
    learner: L | tuple[str, L],
    *before: Augmenter | tuple[str, Augmenter],
    seed: int | None = None,
    dataset: str | None = None,
    ids: Sequence[str] = IDS,
    weights: Sequence[str] | Literal["none"] = ("weight",),
    split: str | None = "split",
    artefacts: str | None = None,
) -> L:
    """Let a learner see all the events, in as many passes as it has questions; returns it with what it learned.

    A compound learns step by step, each after those before it; so do compounds in it.
    ``before`` are the steps that come before it (those whose products it does not need are not run). ``artefacts``
    is a folder or URL that all workers see: learned arrays are stored there, named by their contents, so that a graph
    carries their address alone. The other arguments are those of :func:`augment`.
    """
    steps = settled(labelled([*before, learner]), columns_of(events))
    setting = _setting(events, seed, dataset, ids, weights, split)
    Stage(steps, setting).refuse_gone()
    refuse_data(events, Stage(steps, setting))
    given = learner[1] if isinstance(learner, tuple) else learner
    first = len(steps) - len(labelled([given]))
    checked = False
    for at in range(first, len(steps)):
        if not isinstance(steps[at].augmenter, Learner):
            continue
        stage = Stage(steps[:at], setting)
        result = learned(steps[at], stage, partial(put_question, events), artefacts, check_ids=not checked)
        checked = checked or result.keyed
        steps = (*steps[:at], replace(steps[at], augmenter=result), *steps[at + 1 :])
    final: Any = steps[-1].augmenter
    if isinstance(given, Compound):
        final = given.taught_by(step.augmenter.learned for step in steps[first:])
    return final  # type: ignore[no-any-return]


Put = Callable[[Stage, Measure[Any], str], Any]
"""Puts one question of a learner to all the data, after the steps that it depends on."""


def learned(step: Step, before: Stage, put: Put, artefacts: str | None = None, *, check_ids: bool = True) -> Any:
    """Drive the questions of one learner; a keyed one first makes sure that no event stands twice."""
    learner = step.augmenter
    assert isinstance(learner, Learner)
    if learner.keyed and check_ids:
        refuse_repeats(before, put, step.label)
    try:
        result = taught(learner, _asking(before, put, step.label, artefacts))
    except Exception as error:
        error.add_note(f"in step {step.label!r}, which learns from the events that it gets")
        raise
    if learner.keyed and result.learned is not None:
        result = replace(result, learned=result.learned.under(key_of(step.label, before.setting)))
    if artefacts is not None and result.learned is not None:
        result.learned.put(artefacts)
    return result


def refuse_repeats(before: Stage, put: Put, label: str) -> None:
    """Raise :class:`~dask_augment.identity.RepeatedIds` when two events of all the data have the same ids.

    The events are asked as they come, before any step: what steps make of them is told apart by its copy number.
    """
    everything = replace(before, steps=(), setting=replace(before.setting, split=None))
    questions = refuse_repeated_ids(before.setting.ids)
    try:
        question = next(questions)
        while (answer := put(everything, question, label)) is not None:
            question = questions.send(answer)
    except StopIteration:
        return


def _asking(before: Stage, put: Put, label: str, artefacts: str | None) -> Callable[[Measure[Any]], Any]:
    setting = before.setting

    def ask(measure: Measure[Any]) -> Any:
        for field in fields(measure):
            value = getattr(measure, field.name)
            if artefacts is not None and isinstance(value, Learned):
                value.put(artefacts)  # what is asked about may be large: a task carries its address alone
        ids = setting.ids if measure.keyed else ()
        answer = put(before.pruned(frozenset({*measure.uses(), *ids, setting.split or ""})), measure, label)
        if answer is None:
            raise ValueError(
                f"step {label!r} has nothing to learn from: there are no events"
                + (f" with {setting.split} == 0 (training)" if setting.split else "")
            )
        return answer

    return ask


def total(parts: Iterable[Any]) -> Any:
    """The sum of the answers of partitions; those without rows answered None."""
    answers = [part for part in parts if part is not None]
    return reduce(add, answers) if answers else None


def _setting(
    events: Any,
    seed: int | None,
    dataset: str | None,
    ids: Sequence[str],
    weights: Sequence[str] | Literal["none"],
    split: str | None,
) -> Setting:
    if ids == "position" and getattr(events, "knows_position", False):
        ids = POSITION
    if ids == "position":
        raise ValueError(
            'ids must be a list of columns: ids="position" works in plans and in coffea\'s Runner alone, where file and '
            "entry are known"
        )
    name = dataset_of(events) if dataset is None else dataset
    return Setting(seed, name, ids, weights, split)


def _refuse_type(events: Any, *_: Any) -> Any:
    raise TypeError(
        "events must be an awkward array, NanoEvents, a pandas or dask DataFrame or a dask-awkward collection, got "
        f"{type(events).__name__}; make one of it first: ak.Array(...) of a dictionary of columns, or ak.from_arrow"
    )


def _register_awkward() -> None:
    import awkward as ak

    from dask_augment.frames import data
    from dask_augment.frames.eager import augment_eager, dataset_of_eager, made_eager

    run_stage.register(ak.Array, augment_eager)
    refuse_data.register(ak.Array, lambda events, stage: data.refuse(stage, events, data.metadata_of(events)))
    made_rows.register(ak.Array, made_eager)
    put_question.register(ak.Array, lambda events, stage, measure, label: stage.measure(events, measure, label))
    dataset_of.register(ak.Array, dataset_of_eager)
    columns_of.register(ak.Array, names)


def _register_dask_awkward() -> None:
    import dask_awkward as dak

    from dask_augment.frames.dask_awkward import ask_lazy, augment_lazy, dataset_of_lazy
    from dask_augment.frames.eager import made_eager

    run_stage.register(dak.Array, augment_lazy)
    refuse_data.register(dak.Array, lambda events, stage: refuse_data(events._meta, stage))
    made_rows.register(dak.Array, lambda events: events.map_partitions(made_eager, label="is-made"))
    put_question.register(dak.Array, ask_lazy)
    dataset_of.register(dak.Array, dataset_of_lazy)
    columns_of.register(dak.Array, lambda events: names(events._meta))


def _register_pandas() -> None:
    import pandas as pd

    from dask_augment.frames.pandas import ask_pandas, augment_pandas, made_pandas

    run_stage.register(pd.DataFrame, augment_pandas)
    made_rows.register(pd.DataFrame, made_pandas)
    put_question.register(pd.DataFrame, ask_pandas)


def _register_dask_dataframe() -> None:
    import dask.dataframe as dd

    from dask_augment.frames.dataframe import ask_dataframe, augment_dataframe
    from dask_augment.frames.pandas import made_pandas

    run_stage.register(dd.DataFrame, augment_dataframe)
    made_rows.register(dd.DataFrame, lambda frame: frame.map_partitions(made_pandas, meta=made_pandas(frame._meta)))
    put_question.register(dd.DataFrame, ask_dataframe)


for _dispatch in (run_stage, put_question, made_rows):
    _dispatch.register(object, _refuse_type)
refuse_data.register(object, lambda events, stage: None)  # noqa: ARG005  no metadata come with most events
dataset_of.register(object, lambda events: None)  # noqa: ARG005  most events carry no name of their data set
columns_of.register(object, lambda events: list(map(str, getattr(events, "columns", ()))))
for _package, _register in {
    "awkward": _register_awkward,
    "dask_awkward": _register_dask_awkward,
    "pandas": _register_pandas,
    "dask": _register_dask_dataframe,
}.items():
    for _dispatch in (run_stage, put_question, dataset_of, refuse_data, made_rows, columns_of):
        _dispatch.register_lazy(_package, _register)
