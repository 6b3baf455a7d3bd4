"""Laws about the declarations of an augmenter: its columns, their types, its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import cloudpickle
import numpy as np
import yaml
from awkward.contents import Content
from dask.base import tokenize

from dask_augment.contract.augmenter import Augmenter, Learner, Measure
from dask_augment.contract.draw import Draw
from dask_augment.contract.interpolating import Interpolating
from dask_augment.contract.learned import Learned
from dask_augment.contract.nesting import steps_in, whole
from dask_augment.contract.questions import taught
from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.events.own_columns import CHANGED, KINDS, PROVENANCE, TRAIN_WEIGHT
from dask_augment.frames import planning
from dask_augment.laws.case import Case
from dask_augment.laws.compare import columns_of, content_bytes, difference
from dask_augment.laws.sample import flattened
from dask_augment.plans import registry
from dask_augment.plans.steps import Steps, step_to

_KEPT = ["exactly", "on average", "in sum"]


def says_what_it_is(case: Case) -> None:
    """Its flags have values that the frames know, and it leaves to the frame what the frame writes."""
    augmenter = case.augmenter
    used = augmenter.uses()
    if not isinstance(used, (set, frozenset, Mapping)) or not all(isinstance(name, str) for name in used):
        raise case.broken(f"uses() is a set of names of columns, as frozenset([...]) makes it, got {used!r}")
    if augmenter.use not in ("always", "training"):
        raise case.broken(f"use is {augmenter.use!r}; it is 'always' or 'training'")
    if augmenter.keeps_weight not in _KEPT:
        raise case.broken(f"keeps_weight is {augmenter.keeps_weight!r}; it is one of {_KEPT}")
    if augmenter.makes not in KINDS:
        raise case.broken(f"makes is {augmenter.makes!r}; it is one of {sorted(KINDS)}")
    if (augmenter.makes == "interpolated") != isinstance(augmenter, Interpolating):
        raise case.broken("a step makes interpolated rows if it is derived from Interpolating, and only then")
    if augmenter.makes and augmenter.keeps_rows:
        raise case.broken(f"it makes {augmenter.makes} and says keeps_rows = True")
    if augmenter.makes and augmenter.use != "training":
        raise case.broken(f'it makes {augmenter.makes} and does not say use = "training"')
    written = {*PROVENANCE, CHANGED} & set(augmenter.produces())
    if written:
        raise case.broken(f"it produces {sorted(written)}, which the frame writes")
    for name, amount in augmenter.resources().items():
        if not amount > 0:
            raise case.broken(f"resources are names with positive amounts, got {name!r}: {amount!r}")


def leaves_its_input_alone(case: Case) -> None:
    """Neither ``apply`` nor a question changes the events, or the ids, that it is given."""
    events, draw = case.inputs()
    before = content_bytes(events.layout)
    ids = {} if draw is None else {name: values.copy() for name, values in draw.ids.items()}
    case.ready.apply(events, draw)
    if content_bytes(events.layout) != before:
        raise case.broken("apply changed the events in place; work on a copy")
    if draw is not None and any(not np.array_equal(ids[name], draw.ids[name]) for name in ids):
        raise case.broken("apply changed the ids of the events in place")
    if isinstance(case.untaught, Learner):
        taught(case.untaught, lambda question: _asked(case, question))


def _asked(case: Case, question: Measure[Any]) -> Any:
    """The answer to a question, whose input must stay as it is."""
    events = case.about(question)
    given = case.only(events, question.uses())
    before = content_bytes(given.layout)
    answer = question.measure(given, case.draw(events) if question.keyed else None)
    if content_bytes(given.layout) != before:
        raise case.broken(f"{type(question).__name__}.measure changed the events in place; work on a copy")
    return answer


def reads_what_it_declares(case: Case) -> None:
    """``apply`` and questions need no column but those in ``uses``, and no random numbers unless they are keyed."""
    if isinstance(case.untaught, Learner):
        taught(case.untaught, lambda question: _declared(case, question))
    _answered(case, case.ready, "apply", case.ready.apply, case.training)


def _declared(case: Case, question: Measure[Any]) -> Any:
    """The answer to a question, which is about columns that its learner declares: no others may have been read."""
    made = {name for step in question.after for name in step.produces()}
    if undeclared := sorted(question.uses() - frozenset(case.augmenter.uses()) - made):
        raise case.broken(f"{type(question).__name__} asks about {undeclared}, which uses() of the step does not name")
    return _answered(case, question, "measure", question.measure, case.about(question))


def _answered(
    case: Case, asked: Augmenter | Measure[Any], method: str, function: Callable[[ak.Array, Draw | None], Any],
    events: ak.Array,
) -> Any:  # fmt: skip
    """What it answers given the columns that it declares; broken where it needs others to do so."""
    try:
        return function(case.only(events, frozenset(asked.uses())), case.draw(events) if asked.keyed else None)
    except Exception as error:
        every = {name for field in events.fields for name in _names(events, field)}
        try:
            function(case.only(events, frozenset(every)), case.draw(events))
        except Exception:  # noqa: BLE001 -- it fails whatever it is given: the first error is the one to tell
            if not isinstance(error, AttributeError):
                raise error from None
        text = str(error).strip().partition("\n")[0]
        raise case.broken(
            f"{type(asked).__name__}.{method} reads a column that uses() does not name, or draws without keyed = True "
            f"({type(error).__name__}: {text})"
        ) from error


def _names(events: ak.Array, field: str) -> list[str]:
    return [f"{field}.{name}" for name in events[field].fields] or [field]


def same_again(case: Case) -> None:
    """The same events give the same result a second time: all that is random comes from ``draw``."""
    first, second = (columns_of(case.run(case.events)) for _ in range(2))
    if found := difference(first, second):
        raise case.broken(
            f"run twice on the same events, {found}: take random numbers from `draw` alone (with keyed = True), and keep "
            "nothing between two calls"
        )


def needs_no_other_column(case: Case) -> None:
    """The columns that the frame reads for it, and no others, give the same result."""
    needed = planning.reads(case.step, case.events, case.setting)
    whole = columns_of(case.run(case.events))
    try:
        few = columns_of(case.run(cols.only(case.events, needed)))
    except cols.MissingColumn as error:
        raise case.broken(f"a column is read that is not among those it is said to need: {error}") from error
    # A counter that it reads, nJet, is a column of its own where there is no Jet.
    if found := difference(few, whole, few.keys() & whole.keys()):
        raise case.broken(f"with no columns but those that it needs, {found}")


def keeps_its_types(case: Case) -> None:
    """Each column has the type that was promised, of float32 and of float64 input; None: the type it had."""
    kept = {*case.setting.weights, TRAIN_WEIGHT}
    for dtype in ("float32", "float64"):
        cast = case.on(_cast(case.events, dtype, kept))
        result = cast.run(cast.events)
        for name, kind in forms.promised(cast.events.layout, case.augmenter.produces()).items():
            found = cols.plain(cols.column(result, name)).form.type
            if found != kind:
                raise case.broken(f"of {dtype} input, column {name!r} has type {found}, promised is {kind}")


def _cast(events: ak.Array, dtype: str, kept: set[str]) -> ak.Array:
    def cast(content: Content, **_: Any) -> Content | None:
        if content.is_numpy and content.dtype.kind == "f":
            return ak.contents.NumpyArray(content.data.astype(dtype))
        return None

    fields = {name: events[name] if name in kept else ak.transform(cast, events[name]) for name in events.fields}
    return cols.assemble(events, {name: cols.plain(values.layout) for name, values in fields.items()})


def keeps_the_counts(case: Case) -> None:
    """A field of a collection has one entry for each object of it."""
    events, draw = case.inputs()
    output = case.ready.apply(events, draw)
    for name, values in output.columns.items():
        head, dot, _ = name.partition(".")
        if not dot or head not in case.events.fields or case.events[head].ndim < 2:
            continue
        source = np.arange(len(events)) if output.source is None else output.source
        counts = ak.num(case.acting[head], axis=1)[source]
        array = ak.Array(cols.as_content(values))
        if array.ndim < 2 or not np.array_equal(ak.num(array, axis=1), counts):
            raise case.broken(f"{name} has other numbers of entries in an event than {head}")


def same_from_flat_events(case: Case) -> None:
    """Flat branches give the same columns, named in their style: ``Jet_zoom``."""
    flat = case.run(flattened(case.events))
    if found := difference(columns_of(flat), columns_of(case.run(case.events))):
        raise case.broken(f"of flat events instead of nested ones, {found}")
    dotted = [name for name in flat.fields if "." in name]
    if dotted:
        raise case.broken(f"flat events are given columns with dotted names: {dotted}")


def columns_are_contiguous(case: Case) -> None:
    """Columns come out contiguous, so that they can be written and sent without another copy."""
    result = case.run(case.events)
    for name in case.augmenter.produces():
        if not _contiguous(cols.column(result, name)):
            raise case.broken(f"column {name!r} comes out strided or indexed")


def _contiguous(content: Content) -> bool:
    if content.is_numpy:
        return bool(content.data.flags.c_contiguous)
    if content.is_record:
        return all(_contiguous(content[field]) for field in content.fields)
    if content.is_option:
        return _contiguous(content.content)
    return content.is_list and _contiguous(content.content)


def form_is_known_before(case: Case) -> None:
    """The form that a lazy collection is told is the form that comes out, of nested and of flat events."""
    for events in (case.events, flattened(case.events)):
        told, found = case.stage.shape_only(forms.typetracer(events)), case.run(events)
        if _form(told) != _form(found):
            raise case.broken(f"the form told before is {_form(told)}, and the result has {_form(found)}")


def _form(events: ak.Array) -> Mapping[str, str]:
    form = events.layout.form.type
    return {name: str(form.content(name)) for name in sorted(events.fields)}


def form_needs_no_rows(case: Case) -> None:
    """No events, and no events to act on, give the same form as many."""
    whole = _form(case.run(case.events))
    split = case.setting.split
    parts = {"no events": case.events[:0]}
    if split is not None:
        parts["test events alone"] = case.events[np.asarray(cols.column(case.events, split).data) != 0]
    for what, events in parts.items():
        found = _form(case.run(events))
        if found != whole:
            raise case.broken(f"{what} give the form {found}, others {whole}")


def configuration_is_all_of_it(case: Case) -> None:
    """An augmenter made anew from its configuration, or from a plan, is equal, and gives the same result."""
    augmenter = case.ready
    twins = {
        "made anew from its configuration": _made(augmenter, json.loads(json.dumps(augmenter.configuration()))),
        "pickled": cloudpickle.loads(cloudpickle.dumps(augmenter)),
    }
    if registry.name_of(augmenter) in registry.names():
        twins["read from a plan"] = _from_plan(augmenter)
    whole = columns_of(case.run(case.events))
    for what, twin in twins.items():
        if twin != augmenter or hash(twin) != hash(augmenter) or tokenize(twin) != tokenize(augmenter):
            raise case.broken(f"{what} it is not equal: {twin!r} against {augmenter!r}")
        if found := difference(columns_of(case.chain(case.events, (case.label, twin))), whole):
            raise case.broken(f"{what} it gives another result: {found}")
    if isinstance(augmenter, Learner) and augmenter.digest == case.untaught.digest:
        raise case.broken("its digest does not tell what it learned")


def _made(augmenter: Augmenter, configuration: Mapping[str, Any]) -> Augmenter:
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in configuration.items()}
    # Steps inside a step are told by their digests.
    options |= {name: own for name in options if any(steps_in(own := getattr(augmenter, name, None)))}
    return _with_learned(type(augmenter)(**options), augmenter)


def _from_plan(augmenter: Augmenter) -> Augmenter:
    written = yaml.safe_dump(step_to(augmenter))
    inside = [step.learned for step in whole(augmenter)]
    reader = Steps(Path(), {one.digest: one for one in inside if isinstance(one, Learned)})
    read = reader.read(yaml.safe_load(written), 0)
    return _with_learned(read[1] if isinstance(read, tuple) else read, augmenter)


def _with_learned(made: Augmenter, augmenter: Augmenter) -> Augmenter:
    if isinstance(made, Learner) and isinstance(augmenter, Learner):
        return replace(made, learned=augmenter.learned)
    return made
