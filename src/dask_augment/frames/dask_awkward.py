"""dask-awkward collections: one layer for several steps, a separate one for a step that asks for resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import awkward as ak
import dask
import dask_awkward as dak
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask_awkward.layers import AwkwardMaterializedLayer, AwkwardTreeReductionLayer
from dask_awkward.lib.core import new_array_object, new_scalar_object

from dask_augment.frames import augment
from dask_augment.frames.eager import augment_eager, dataset_of_eager
from dask_augment.frames.lazy_references import referring_lazily
from dask_augment.frames.questions import TREE_WIDTH, Questions, Totals, total
from dask_augment.frames.stage import Run, Stage


def _refuse_broken_pair(dask_version: str) -> None:
    """dask-awkward imports and builds graphs with a dask it does not support, and then fails to compute them."""
    year, month = (int(part) for part in dask_version.split(".")[:2])
    if (year, month) >= (2025, 4):
        raise ImportError(
            f"dask-awkward cannot compute with dask {dask_version}; it needs dask < 2025.4. Install both by "
            "`pip install 'dask-augment[awkward]'`, or use coffea's Runner or dask.dataframe, which work with any dask"
        )


_refuse_broken_pair(dask.__version__)


@dataclass(frozen=True)
class _Ask:
    """Questions to a partition; the answers are any Python objects, for which a typetracer stands in."""

    questions: Questions

    def __call__(self, events: ak.Array) -> Any:
        if ak.backend(events) == "typetracer":
            self.questions.touch(events)
            return ak.Array(ak.to_layout([0.0]).to_typetracer(forget_length=True))
        return self.questions.measure(events)


def _added(answers: list[Any]) -> Any:
    """The sum of answers; of stand-ins, the stand-in."""
    first = answers[0]
    return first if isinstance(first, ak.Array) and ak.backend(first) == "typetracer" else total(answers)


def _as_it_is(answers: list[Any]) -> list[Any]:
    return answers


def augment_lazy(events: dak.Array, stage: Stage) -> dak.Array:
    """The augmented events, lazy: consecutive steps share one layer, and a step with resources has its own."""
    given = events
    for segment in _segments(stage):
        resources = dict(segment.steps[0].augmenter.resources())
        function = Run(augment_eager, segment)
        if resources:
            events = _barrier(events, function, resources)
        else:
            divisions = 1 if segment.keeps_rows else None
            events = dak.map_partitions(function, events, label=function.__name__, output_divisions=divisions)
    return referring_lazily(given, events, stage)


def _segments(stage: Stage) -> Iterator[Stage]:
    """Runs of steps without resources, and single steps with them."""
    run: list[Any] = []
    for step in stage.steps:
        if step.augmenter.resources():
            if run:
                yield replace(stage, steps=tuple(run))
            yield replace(stage, steps=(step,))
            run = []
        else:
            run.append(step)
    if run:
        yield replace(stage, steps=tuple(run))


def _barrier(events: dak.Array, function: Run, resources: dict[str, float]) -> dak.Array:
    """A layer with an annotation of its own."""
    divisions = events.divisions if function.stage.keeps_rows else (None,) * (events.npartitions + 1)
    return _annotated(events, function, f"{function.__name__}-{tokenize(function, events.name)}", resources, divisions)


def _annotated(
    events: dak.Array, function: Callable[[Any], Any], name: str, resources: dict[str, float], divisions: Any
) -> dak.Array:
    """A layer that asks for resources. A blockwise layer would be fused with its neighbours and lose what it asks for."""
    layer = AwkwardMaterializedLayer(
        {(name, i): (function, (events.name, i)) for i in range(events.npartitions)},
        previous_layer_names=[events.name],
        annotations={"resources": resources},
    )
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[events])
    return new_array_object(graph, name, meta=function(events._meta), divisions=divisions)


def ask_lazy(events: dak.Array, questions: Questions) -> Totals:
    """The totals over all partitions, computed now; only the columns that the questions need are read."""
    ask, token = _Ask(questions), tokenize(events.name, questions)
    label = f"learn-{questions.told}"
    if resources := questions.resources:
        divisions = (None,) * (events.npartitions + 1)
        answers = _annotated(events, ask, f"{label}-{token}", resources, divisions)
    else:
        answers = dak.map_partitions(ask, events, label=label, token=token)
    name = f"learned-{questions.told}-{token}"
    layer = AwkwardTreeReductionLayer(
        name=name,
        name_input=answers.name,
        npartitions_input=answers.npartitions,
        concat_func=_as_it_is,
        tree_node_func=_added,
        split_every=TREE_WIDTH,
    )
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[answers])
    # The number type stands in for that of the totals, which dask-awkward has no name for.
    return new_scalar_object(graph, name, dtype="f8").compute()  # type: ignore[no-any-return]


def dataset_of_lazy(events: dak.Array) -> str | None:
    """The data set that coffea's metadata names."""
    return dataset_of_eager(events._meta)


def _accessor(events: dak.Array) -> Callable[..., Any]:
    """:func:`dask_augment.augment` of these events; a column of theirs named ``augment`` comes first."""
    return events["augment"] if "augment" in events.fields else partial(augment, events)


dak.Array.augment = property(_accessor)
