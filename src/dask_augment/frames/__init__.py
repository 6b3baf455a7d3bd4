"""Where augmenters run: :func:`augment` and :func:`learn`, dispatched on the type of the events."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from dask.utils import Dispatch

from dask_augment.contract.augmenter import Augmenter, Learner
from dask_augment.contract.compound import Compound
from dask_augment.contract.ids import IDS, POSITION
from dask_augment.contract.setting import Setting
from dask_augment.events.columns import names
from dask_augment.frames.assumptions import levels
from dask_augment.frames.learning import Events, teach
from dask_augment.frames.planning import remarks, settled
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import anew, labelled, refuse_unlearned
from dask_augment.options import named_options

L = TypeVar("L", bound=Learner | Compound)

run_stage = Dispatch("run_stage")
"""``run_stage(events, stage)``: the augmented events, lazy where the events are."""
put_questions = Dispatch("put_questions")
"""``put_questions(events, questions)``: the totals over all partitions of the events, in one pass."""
do_work = Dispatch("do_work")
"""``do_work(events, work, total)``: what comes of work on a total, done once by one worker of where the events are."""
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
    data = Events(
        Stage((*steps[:first], *map(anew, steps[first:])), setting),
        partial(put_questions, events),
        artefacts,
        partial(do_work, events),
    )
    pupils = [step for step in data.stage.steps[first:] if isinstance(step.augmenter, Learner)]
    keyed = [step.label for step in pupils if step.augmenter.keyed]
    steps = teach(data, {step.label for step in pupils}, check=keyed[0] if keyed else None).stage.steps
    final: Any = steps[-1].augmenter
    if isinstance(given, Compound):
        final = given.taught_by(step.augmenter.learned for step in steps[first:])
    return final  # type: ignore[no-any-return]


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

    from dask_augment.frames import collision_data as data
    from dask_augment.frames.eager import augment_eager, dataset_of_eager, made_eager

    run_stage.register(ak.Array, augment_eager)
    refuse_data.register(ak.Array, lambda events, stage: data.refuse(stage, events, data.metadata_of(events)))
    made_rows.register(ak.Array, made_eager)
    put_questions.register(ak.Array, lambda events, questions: questions.measure(events))
    dataset_of.register(ak.Array, dataset_of_eager)
    columns_of.register(ak.Array, names)


def _register_dask_awkward() -> None:
    import dask_awkward as dak

    from dask_augment.frames.dask_awkward import ask_lazy, augment_lazy, dataset_of_lazy
    from dask_augment.frames.eager import made_eager
    from dask_augment.frames.on_worker import on_worker

    run_stage.register(dak.Array, augment_lazy)
    refuse_data.register(dak.Array, lambda events, stage: refuse_data(events._meta, stage))
    made_rows.register(dak.Array, lambda events: events.map_partitions(made_eager, label="is-made"))
    put_questions.register(dak.Array, ask_lazy)
    do_work.register(dak.Array, on_worker)
    dataset_of.register(dak.Array, dataset_of_lazy)
    columns_of.register(dak.Array, lambda events: names(events._meta))


def _register_pandas() -> None:
    import pandas as pd

    from dask_augment.frames.pandas import ask_pandas, augment_pandas, made_pandas

    run_stage.register(pd.DataFrame, augment_pandas)
    made_rows.register(pd.DataFrame, made_pandas)
    put_questions.register(pd.DataFrame, ask_pandas)


def _register_dask_dataframe() -> None:
    import dask.dataframe as dd

    from dask_augment.frames.dataframe import ask_dataframe, augment_dataframe
    from dask_augment.frames.on_worker import on_worker
    from dask_augment.frames.pandas import made_pandas

    run_stage.register(dd.DataFrame, augment_dataframe)
    made_rows.register(dd.DataFrame, lambda frame: frame.map_partitions(made_pandas, meta=made_pandas(frame._meta)))
    put_questions.register(dd.DataFrame, ask_dataframe)
    do_work.register(dd.DataFrame, on_worker)


for _dispatch in (run_stage, put_questions, made_rows):
    _dispatch.register(object, _refuse_type)
do_work.register(object, lambda events, work, total: work(total))  # noqa: ARG005  in this process
refuse_data.register(object, lambda events, stage: None)  # noqa: ARG005  no metadata come with most events
dataset_of.register(object, lambda events: None)  # noqa: ARG005  most events carry no name of their data set
columns_of.register(object, lambda events: list(map(str, getattr(events, "columns", ()))))
for _package, _register in {
    "awkward": _register_awkward,
    "dask_awkward": _register_dask_awkward,
    "pandas": _register_pandas,
    "dask": _register_dask_dataframe,
}.items():
    for _dispatch in (run_stage, put_questions, do_work, dataset_of, refuse_data, made_rows, columns_of):
        _dispatch.register_lazy(_package, _register)
