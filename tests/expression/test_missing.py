"""Missing numbers: awkward's own reducers are the truth."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.events.expression import Expression, ExpressionError

lists = st.sampled_from(["Jet.pt", "Jet.eta", "Jet.n", "Jet.pt[Jet.n > 1]", "Jet.pt[Jet.good]"])
same = st.sampled_from(["Jet.pt", "Jet.eta", "Jet.n", "MET", "2"])


@st.composite
def objects(draw: Any, depth: int = 2) -> str:
    if depth == 0:
        return draw(st.sampled_from(["Jet.pt", "Jet.eta", "Jet.n"]))
    deeper = objects(depth - 1)
    return draw(
        st.one_of(
            deeper,
            st.tuples(deeper, st.sampled_from("+-*"), same).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            st.tuples(holds(depth - 1), deeper, deeper).map(lambda t: f"where({t[0]}, {t[1]}, {t[2]})"),
            deeper.map(lambda t: f"abs({t})"),
            deeper.map(lambda t: f"-{t}"),
        )
    )


@st.composite
def holds(draw: Any, depth: int = 2) -> str:
    compare = st.tuples(objects(max(depth - 1, 0)), st.sampled_from(["<", ">=", "==", "!="]), same).map(
        lambda t: f"({t[0]} {t[1]} {t[2]})"
    )
    simple = st.one_of(compare, st.just("Jet.good"), st.just("(Jet.n & 1 > 0)"))
    if depth == 0:
        return draw(simple)
    deeper = holds(depth - 1)
    return draw(
        st.one_of(
            simple,
            st.tuples(deeper, st.sampled_from("&|^"), deeper).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            deeper.map(lambda t: f"~{t}"),
        )
    )


@st.composite
def of_events(draw: Any) -> str:
    numbers = st.tuples(st.sampled_from(["sum", "min", "max", "mean", "count"]), st.one_of(objects(), kept())).map(
        lambda t: f"{t[0]}({t[1]})"
    )
    conditions = st.tuples(st.sampled_from(["any", "all", "sum"]), holds()).map(lambda t: f"{t[0]}({t[1]})")
    picks = st.tuples(st.one_of(objects(), kept()), st.sampled_from(["[0]", "[-1]", "[1]"])).map("".join)
    return draw(st.one_of(numbers, conditions, picks))


@st.composite
def kept(draw: Any) -> str:
    return f"{draw(objects(1))}[{draw(holds(1))}]"


class _Lists:
    """awkward lists with Python's operators, and x[0] as expressions have it."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, _Lists):
            return _Lists(self.array[at.array])
        padded = ak.pad_none(self.array if at >= 0 else self.array[:, ::-1], 2, axis=1)
        return padded[:, at if at >= 0 else -1 - at]

    def _with(self, function: Any, other: Any) -> Any:
        return _Lists(function(self.array, other.array if isinstance(other, _Lists) else other))

    def __neg__(self) -> Any:
        return _Lists(-self.array)

    def __abs__(self) -> Any:
        return _Lists(np.abs(self.array))

    def __invert__(self) -> Any:
        return _Lists(~self.array)


for _name, _function in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "lt": np.less, "ge": np.greater_equal, "gt": np.greater,
    "eq": np.equal, "ne": np.not_equal, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}.items():  # fmt: skip
    setattr(_Lists, f"__{_name}__", lambda self, other, function=_function: self._with(function, other))


def _by_awkward(text: str, events: ak.Array) -> Any:
    names = {
        name: lambda array, name=name: getattr(ak, name)(array.array, axis=1)
        for name in ("sum", "min", "max", "mean", "count", "any", "all")
    }
    where = lambda c, a, b: _Lists(ak.where(c.array, a.array, b.array))
    jets = SimpleNamespace(**{field: _Lists(events.Jet[field]) for field in events.Jet.fields})
    return eval(text, {"__builtins__": {}, **names, "abs": abs, "where": where, "Jet": jets, "MET": events.MET})


def _filled(values: Any, kind: str) -> Any:
    array = values.array if isinstance(values, _Lists) else values
    return ak.to_list(ak.fill_none(array, False if kind == "bool" else np.nan, axis=-1))


whole = st.integers(-3, 3)
jet = st.none() | st.tuples(whole | st.none(), whole, whole | st.none(), st.booleans() | st.none())
drawn = st.lists(st.tuples(whole, st.lists(jet, max_size=4)), min_size=1, max_size=5)


def _events(given_events: Any, *, masked: bool) -> ak.Array:
    """Jets with missing fields; ``masked``: some jets are missing whole."""
    fields = {"pt": (0, "float64"), "eta": (1, "float64"), "n": (2, "int32"), "good": (3, "bool")}
    jets = [[j if masked or j is not None else (None, 0, None, None) for j in event[1]] for event in given_events]
    columns = {}
    for name, (at, kind) in fields.items():
        # A whole event more gives the types where there is no number at all.
        some = [[0.0], *[[None if j is None or j[at] is None else float(j[at]) for j in event] for event in jets]]
        columns[name] = ak.values_astype(ak.fill_none(ak.Array(some), 0) if masked else ak.Array(some), kind)[1:]
    record = ak.zip(columns)
    if masked:
        there = ak.Array([[True], *[[j is not None for j in event] for event in jets]])[1:]
        record = ak.mask(record, there)
    return ak.Array({"Jet": record, "MET": np.array([float(event[0]) for event in given_events])})


@given(st.one_of(of_events(), objects(), holds(), kept()), drawn, st.booleans())
@settings(max_examples=150, deadline=None)
def test_as_awkward_has_it(text: str, given_events: Any, masked: bool) -> None:
    events = _events(given_events, masked=masked)
    expression = Expression.parse(text)
    found = expression.evaluate(events)
    expected = _filled(_by_awkward(text, events), expression.kind)
    for one, other in zip(ak.to_list(found), expected, strict=True):
        np.testing.assert_array_equal(np.array(one, float), np.array(other, float))


def _masked() -> ak.Array:
    jets = ak.zip({"pt": [[50.0, 10.0, 40.0], [], [5.0]], "phi": [[0.1, 0.2, 0.3], [], [1.0]]})
    return ak.Array({"Jet": ak.mask(jets, jets.pt > 30), "n": [1, 2, 3]})


def test_padded_and_masked_objects() -> None:
    events = _masked()
    padded = ak.with_field(events, ak.pad_none(events.Jet, 5, axis=1), "Jet")
    for given_events in (events, padded, events[::-1][::-1], ak.to_packed(events)):
        for text in [
            "sum(Jet.pt)",
            "count(Jet.pt)",
            "max(Jet.pt)",
            "Jet.pt[0]",
            "sum(Jet.pt > 45)",
            "all(Jet.pt > 30)",
        ]:
            np.testing.assert_array_equal(
                Expression.parse(text).evaluate(given_events), Expression.parse(text).evaluate(events)
            )
    assert Expression.parse("nJet").evaluate(padded).tolist() == [5, 5, 5]


def test_missing_is_seen_by_isnan_and_filled() -> None:
    events = _masked()
    assert Expression.parse("sum(isnan(Jet.pt))").evaluate(events).tolist() == [1, 0, 1]
    assert Expression.parse("sum(where(isnan(Jet.pt), 1, Jet.pt))").evaluate(events).tolist() == [91, 0, 1]
    assert Expression.parse("first(Jet.pt, -1)").evaluate(events).tolist() == [50, -1, -1]


def test_a_missing_number_of_an_event_is_nan() -> None:
    """It is not left out of a sum over objects: that would be a sum without its factor."""
    events = ak.with_field(_masked(), ak.Array([None, 1.0, 2.0]), "scale")
    events = ak.with_field(events, ak.Array([None, True, False]), "good")
    events = ak.with_field(events, ak.Array([None, 1, 2]), "k")
    assert np.isnan(Expression.parse("scale * 2").evaluate(events)).tolist() == [True, False, False]
    assert np.isnan(Expression.parse("sum(Jet.pt * scale)").evaluate(events)).tolist() == [True, False, False]
    assert Expression.parse("scale > 0").evaluate(events).tolist() == [False, True, True]
    assert Expression.parse("good & (n > 0)").evaluate(events).tolist() == [False, True, False]
    assert Expression.parse("where(isnan(k), 0, k) & 1").evaluate(events).tolist() == [0, 1, 0]
    for text in ["k & 1", "k << 1", "sum(Jet.pt > 30) & k"]:
        with pytest.raises(ExpressionError, match="has no bits: fill it first"):
            Expression.parse(text).evaluate(events)


def test_what_has_no_answer_is_refused() -> None:
    events = ak.Array({"Jet": ak.zip({"pt": ak.Array([[1.0, 2.0], [3.0]])})})
    lists = ak.with_field(events, ak.mask(events.Jet, [True, False]), "Jet")
    for text in ["sum(Jet.pt)", "count(Jet.pt)", "Jet.pt * 2"]:
        with pytest.raises(ExpressionError, match=r"Jet.pt' has no list in 1 event.*ak.fill_none\(.*axis=0\)"):
            Expression.parse(text).evaluate(lists)
    all_there = ak.with_field(events, ak.mask(events.Jet, [True, True]), "Jet")
    assert Expression.parse("sum(Jet.pt)").evaluate(all_there).tolist() == [3, 3]
    with pytest.raises(ExpressionError, match="no whole number for 2 missing objects"):
        Expression.parse("where(Jet.pt > 30, 1, 0)").evaluate(_masked())


def test_fields_of_masked_jets() -> None:
    """A field that is added to masked jets is missing where they are."""
    out = da.augment(_masked(), da.Define({"Jet.pt2": "Jet.pt * 2", "Jet.hard": "Jet.pt > 45"}), split=None)
    assert out.Jet.pt2.to_list() == [[100, None, 80], [], [None]]
    assert out.Jet.hard.to_list() == [[True, None, False], [], [None]]
    assert out.Jet.pt.to_list() == _masked().Jet.pt.to_list()
