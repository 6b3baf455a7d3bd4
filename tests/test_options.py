"""Options that nobody knows are refused in Python as in a plan, whatever takes them."""

from __future__ import annotations

import ast
import inspect
import pickle
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

import dask_augment as da
from dask_augment.augmenters import TABLE
from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.options import named_options, options_of, parameters
from dask_augment.plans import registry
from dask_augment.plans.steps import Steps


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale(Augmenter):
    """A step of somebody's own."""

    factor: float = 1.0

    def uses(self):
        return frozenset({"HT"})

    def produces(self):
        return {"HT": None}

    def apply(self, events, draw):
        return Output({"HT": events.HT * self.factor})


@named_options
def scaled(events, *, factor: float = 1.0) -> float:
    """Somebody's own function."""
    return events * factor


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: da.Oversample(stratas=["x"]), r"Oversample: unknown options \['stratas'\]; did you mean 'strata'\?"),
        (lambda: da.PhiRotate(column=["x"]), r"PhiRotate: unknown options \['column'\]; did you mean 'columns'\?"),
        (
            lambda: da.Resampler("smote", k_neigbors=3),
            r"smote: unknown options \['k_neigbors'\]; did you mean 'k_neigh",
        ),
        (lambda: da.Repeat(n=2, colour=3), r"Repeat: unknown options \['colour'\]; there are \['keep_original', 'n'\]"),
        (lambda: replace(da.Repeat(n=2), m=3), r"Repeat: unknown options \['m'\]; there are"),
        (
            lambda: Scale(facter=2),
            r"Scale: unknown options \['facter'\]; did you mean 'factor'\? There are \['factor'\]",
        ),
        (lambda: da.Bins("HT", [0, 1], outsid="own"), r"Bins: .*did you mean 'outside'\?"),
        (lambda: da.Plan(input={}, steps=[], seed=1), r"Plan: .*did you mean 'inputs'\?"),
        (lambda: da.run("plan.yaml", ouput="out"), r"run: unknown options \['ouput'\]; did you mean 'output'\?"),
        (lambda: da.augment(None, sed=1), r"augment: .*did you mean 'seed'\?"),
        (lambda: da.learn(None, None, dateset="x"), r"learn: .*did you mean 'dataset'\?"),
        (lambda: da.preview(None, None, columns="HT"), r"preview: .*did you mean 'column'\?"),
        (lambda: da.augmenter(use_=[], produces={}), r"augmenter: .*did you mean 'use'"),
        (lambda: scaled(1, facter=2), r"scaled: .*did you mean 'factor'\?"),
    ],
)
def test_names_that_come_near(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_a_plan_says_the_same():
    with pytest.raises(TypeError) as in_python:
        da.Repeat(m=2)
    with pytest.raises(ValueError, match="unknown options") as in_a_plan:
        Steps.read(Steps(None), {"repeat": {"m": 2}}, 0)
    assert str(in_python.value).removeprefix("Repeat: ") == str(in_a_plan.value).removeprefix("step 0 (repeat): ")


def test_signatures_pickles_and_other_errors_are_as_ever():
    assert list(inspect.signature(da.Repeat).parameters) == ["n", "keep_original"]
    assert str(inspect.signature(Scale)) == "(*, factor: 'float' = 1.0) -> None"
    assert list(inspect.signature(da.augment).parameters)[:2] == ["events", "augmenters"]
    assert not hasattr(Scale(), "__signature__")
    assert pickle.loads(pickle.dumps(Scale(factor=2))) == Scale(factor=2)
    assert pickle.loads(pickle.dumps(scaled))(2, factor=3) == 6
    assert da.Define(HT="sum(Jet.pt)").columns == {"HT": "sum(Jet.pt)"}
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'train'"):
        da.Split()
    with pytest.raises(TypeError, match="abstract"):
        Augmenter()


@pytest.mark.parametrize("name", sorted(TABLE))
def test_help_tells_each_option_of_a_step_once(name):
    kind = registry.get(name)
    _, entries, after = parameters(inspect.getdoc(kind))
    told = [one.strip() for names in entries for one in names.split(",")]
    assert [field.name for field in fields(kind) if told.count(field.name) != 1] in ([], ["learned"])
    assert "Example\n-------" in after


class Teller:
    """Tell of options.

    Parameters
    ----------
    low, high
        Bounds.

        Of x.
    name
        Of another.
    """


@options_of(Teller)
@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """Do nothing.

    Parameters
    ----------
    name
        Of its own.

    Columns out: none.
    """

    name: str
    low: float = 0.5


def test_a_step_takes_texts_of_options_from_others_and_keeps_its_own():
    table = "Parameters\n----------\nname\n    Of its own.\nlow, high\n    Bounds.\n\n    Of x.\n\n"
    assert Told.__doc__.strip() == f"Do nothing.\n\n{table}Columns out: none."
    texts = [parameters(inspect.getdoc(kind))[1]["k_neighbors"] for kind in (da.SmoteEnn, da.Smote, da.Adasyn)]
    assert texts[0] == texts[1] != texts[2], (
        "a part of a compound has the text of its base, another step one of its own"
    )


def test_a_text_about_an_option_stands_once():
    texts = (path.read_text() for path in Path(da.__file__).parent.rglob("*.py"))
    trees = [ast.parse(text) for text in texts if "Parameters\n    ----------\n" in text]
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    said = Counter(entry for node in classes for entry in parameters(ast.get_docstring(node) or "")[1].items())
    assert [entry for entry, times in said.items() if times > 1] == []
    assert len(said) > 100, "they are found"
