from __future__ import annotations

import keyword
import warnings

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events.columns import MissingColumn
from dask_augment.events.expression import Expression, ExpressionError

NAMES = ["class", "pass", "None", "is", "in", "lambda", "from", "lead-pt", "x y", "2lead", "a+b", "é", "sum", "col"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_written(name: str) -> None:
    events = ak.Array({name: [1, 2, 3]})
    text = f'col("{name}") > 1'
    assert Expression.parse(text).columns == {name}
    assert Expression.parse(text).evaluate(events).tolist() == [False, True, True]
    out = da.augment(events, da.Select(text), da.Define(y=f"col('{name}') * 2"), split=None)
    assert out.y.tolist() == [4, 6]
    step = da.learn(events, da.Undersample(strata=[name], weights=()), seed=1, dataset="d", split=None, ids=[name])
    assert len(step.report()) == 3


def test_fields_too() -> None:
    events = ak.Array({"Jet": ak.zip({"class": [[1, 2], []], "pt": [[3.0, 4.0], []]})})
    assert Expression.parse('sum(Jet.pt[col("Jet.class") == 2])').evaluate(events).tolist() == [4, 0]
    assert Expression.parse('col("Jet.pt") * 1').columns == {"Jet.pt"}


@pytest.mark.parametrize("name", sorted({*keyword.kwlist} - {"True", "False"}))
def test_the_error_says_which_word_and_how(name: str) -> None:
    for text in [f"{name} == 1", f"Jet.{name} == 1"]:
        with pytest.raises(ExpressionError) as caught:
            Expression.parse(text)
        written = text.partition(" ")[0]
        if name != "not" or "." in written:  # `not == 1` may be a condition that lost its name
            assert f'{written!r} is a word of Python: if it is a column, write col("{written}")' in str(caught.value)


@pytest.mark.parametrize("text", ["2lead > 3", "x y > 3", "lead$ > 3", "`lead` == 1"])
def test_the_error_says_how_to_write_names_with_other_signs(text: str) -> None:
    with pytest.raises(ExpressionError, match=r'col\("lead-pt"\) for a name that Python does not allow'):
        Expression.parse(text)


def test_a_name_that_reads_as_a_difference() -> None:
    events = ak.Array({"lead-pt": [1.0, 2.0]})
    with pytest.raises(MissingColumn, match=r'in an expression it is col\("lead-pt"\)'):
        Expression.parse("lead-pt > 1").evaluate(events)


@pytest.mark.parametrize("text", ["col(n)", "col(1)", 'col("")', 'col("a", "b")', "col()"])
def test_col_takes_a_name(text: str) -> None:
    with pytest.raises(ExpressionError, match="col takes"):
        Expression.parse(text)


def test_pythons_own_warnings_do_not_reach_the_screen() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert Expression.parse("1if n > 0else 3").evaluate(ak.Array({"n": np.array([0, 1])})).tolist() == [3, 1]
        with pytest.raises(ExpressionError):
            Expression.parse("'\\d' == 1")
    assert not caught
