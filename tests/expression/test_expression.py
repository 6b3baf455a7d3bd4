from __future__ import annotations

import ast
import contextlib
import math
import pickle
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_augment import Expression
from dask_augment.events.columns import MissingColumn, only
from dask_augment.events.expression import ExpressionError
from dask_augment.laws.sample import flattened, sample_events

EVENTS = ak.Array(
    {
        "Jet": ak.zip({"pt": [[30.0, 50.0], [], [10.0]], "phi": [[3.0, -3.0], [], [1.0]]}),
        "Muon": ak.zip({"pt": [[], [7.0], [8.0]]}),
        "MET": ak.zip({"pt": [1.0, 2.0, 3.0]}),
        "n": [1, 2, 3],
        "good": [True, False, True],
    }
)


def value_of(text: str, events: ak.Array = EVENTS) -> Any:
    values = Expression.parse(text).evaluate(events)
    return values.tolist()


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("sum(Jet.pt)", "float64", [80, 0, 10]),
        ("sum(Jet.pt > 20)", "int64", [2, 0, 0]),
        ("count(Jet.pt)", "int64", [2, 0, 1]),
        ("any(Jet.pt > 40)", "bool", [True, False, False]),
        ("all(Jet.pt > 40)", "bool", [False, True, False]),
        ("first(Jet.pt, 0)", "float64", [30, 0, 10]),
        ("first(Jet.pt > 20, True)", "bool", [True, True, False]),
        ("(Jet.pt > 20)[1]", "bool", [True, False, False]),
        ("sum(Jet.pt[Jet.pt > 20])", "float64", [80, 0, 0]),
        ("count(Jet.pt[n > 1])", "int64", [0, 0, 1]),
        ("nJet", "float64", [2, 0, 1]),
        ("Jet.pt * n", "float64", [[30, 50], [], [30]]),
        ("n * MET.pt", "float64", [1, 4, 9]),
        ("1", "int64", [1, 1, 1]),
        ("True", "bool", [True, True, True]),
        ("2 * sum(Jet.pt > 20) + 1", "int64", [5, 1, 1]),
        ("n + 1", "float64", [2, 3, 4]),
        ("-n if n > 1 else 5", "float64", [5, -2, -3]),
        ("where(good, 1, 0)", "int64", [1, 0, 1]),
        ("good", "float64", [1, 0, 1]),
        ("not good", "bool", [False, True, False]),
        ("good & (n > 1)", "bool", [False, False, True]),
        ("good | ~(n > 1)", "bool", [True, False, True]),
        ("n and good", "bool", [True, False, True]),
        ("1 < n <= 2", "bool", [False, True, False]),
        ("max(n, MET.pt, 2)", "float64", [2, 2, 3]),
        ("min(Jet.pt, 20)", "float64", [[20, 20], [], [10]]),
        ("1 / (n - 1)", "float64", [math.inf, 1, 0.5]),
        ("(good == (n > 1)) + 0", "int64", [0, 0, 1]),
        ("sum(Jet.pt)\n  + 0", "float64", [80, 0, 10]),
    ],
)
def test_values(text: str, kind: str, values: list[Any]) -> None:
    expression = Expression.parse(text)
    found = expression.evaluate(EVENTS)
    assert expression.kind == kind
    assert (found if isinstance(found, np.ndarray) else ak.flatten(found).layout.data).dtype == kind
    assert found.tolist() == values


@pytest.mark.parametrize("text", ["min(Jet.pt)", "max(Jet.pt)", "mean(Jet.pt)", "Jet.pt[0]", "Jet.pt[-1]"])
def test_nan_where_there_is_no_object(text: str) -> None:
    np.testing.assert_array_equal(np.isnan(Expression.parse(text).evaluate(EVENTS)), [False, True, False])


def test_nan() -> None:
    events = ak.Array({"x": [math.nan, 0.0, 2.0], "J": ak.zip({"x": [[1.0, math.nan], [math.nan, 1.0], [1.0, 2.0]]})})
    for text in ["x < 1", "x > 1", "x == x"]:
        assert value_of(text, events)[0] is False
    assert value_of("x != x", events) == [True, False, False]
    assert value_of("not x", events) == [True, True, False]
    assert value_of("isnan(x)", events) == [True, False, False]
    for name in ["min", "max", "sum", "mean"]:
        assert np.isnan(value_of(f"{name}(J.x)", events)).tolist() == [True, True, False]


def test_missing_values_are_nan() -> None:
    events = ak.Array({"x": [1, None, 3], "J": ak.zip({"x": [[1.0, None], [], [None]]})})
    np.testing.assert_array_equal(Expression.parse("x").evaluate(events), [1, np.nan, 3])
    assert value_of("sum(isnan(J.x))", events) == [1, 0, 1]


def test_delta_phi_and_delta_r() -> None:
    rng = np.random.default_rng(3)
    a, b, eta = rng.uniform(-np.pi, np.pi, (3, 10_000))
    a[:4], b[:4] = [-np.pi, 3.0, -3.0, 0.0], [0.0, -3.0, 3.0, -np.pi]
    events = ak.Array({"a": a, "b": b, "eta": eta})
    found = Expression.parse("delta_phi(a, b)").evaluate(events)
    assert found.min() >= -np.pi
    assert found.max() < np.pi
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * (a - b)), atol=1e-14)
    near = np.abs(a - b) < 3.1
    np.testing.assert_array_equal(found[near], (a - b)[near])
    np.testing.assert_allclose(
        Expression.parse("delta_r(eta, a, 0.5, b)").evaluate(events), np.hypot(eta - 0.5, found), rtol=1e-14
    )


@pytest.mark.parametrize(
    "name", ["abs", "arctan2", "cos", "cosh", "exp", "hypot", "log", "sin", "sinh", "sqrt", "tan", "tanh"]
)
def test_functions_are_those_of_numpy(name: str) -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 1000)) * 3
    events = ak.Array({"x": x, "y": y})
    two = name in ("arctan2", "hypot")
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x, y) if two else getattr(np, name)(x)
    expression = Expression.parse(f"{name}(x, y)" if two else f"{name}(x)")
    np.testing.assert_array_equal(expression.evaluate(events), expected)
    parts = [expression.evaluate(events[start : start + 7]) for start in range(0, 1000, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), expected, "slices of the events have other bits")


# Any expression, against Python itself, one event at a time. Only operations with exactly rounded results take part.

NUMBERS = st.sampled_from(["MET.pt", "n", "2", "0.5", "nJet", "10"])
LISTS = st.sampled_from(["Jet.pt", "Jet.eta"])


@st.composite
def numbers(draw: Any, depth: int = 3) -> str:
    if depth == 0:
        return draw(NUMBERS)
    deeper, lists, holds = numbers(depth - 1), objects(depth - 1), conditions(depth - 1)
    return draw(
        st.one_of(
            NUMBERS,
            st.tuples(deeper, st.sampled_from(["+", "-", "*", "/", "//", "%"]), deeper).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            ),
            deeper.map(lambda t: f"-{t}"),
            deeper.map(lambda t: f"sqrt({t})"),
            st.tuples(st.sampled_from(["sum", "count", "min", "max", "mean"]), lists).map(lambda t: f"{t[0]}({t[1]})"),
            st.tuples(lists, deeper).map(lambda t: f"first({t[0]}, {t[1]})"),
            st.tuples(deeper, holds, deeper).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        )
    )


@st.composite
def objects(draw: Any, depth: int = 3) -> str:
    if depth == 0:
        return draw(LISTS)
    deeper, events, holds = objects(depth - 1), numbers(depth - 1), objects_hold(depth - 1)
    return draw(
        st.one_of(
            LISTS,
            st.tuples(deeper, st.sampled_from(["+", "-", "*", "/"]), deeper).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            st.tuples(events, st.sampled_from(["+", "-", "*", "/"]), deeper).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            st.tuples(holds, deeper, deeper).map(lambda t: f"where({t[0]}, {t[1]}, {t[2]})"),
            deeper.map(lambda t: f"abs({t})"),
        )
    )


@st.composite
def objects_hold(draw: Any, depth: int = 2) -> str:
    compare = st.tuples(objects(max(depth - 1, 0)), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), LISTS)
    simple = compare.map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    if depth == 0:
        return draw(simple)
    deeper = objects_hold(depth - 1)
    return draw(
        st.one_of(
            simple,
            st.tuples(deeper, st.sampled_from("&|"), deeper).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            deeper.map(lambda t: f"~{t}"),
        )
    )


@st.composite
def conditions(draw: Any, depth: int = 3) -> str:
    a, b, c = numbers(max(depth - 1, 0)), NUMBERS, NUMBERS
    operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    simple = st.tuples(a, operators, b).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    if depth == 0:
        return draw(simple)
    deeper = conditions(depth - 1)
    return draw(
        st.one_of(
            simple,
            st.tuples(a, operators, b, operators, c).map(lambda t: f"({' '.join(t)})"),
            st.tuples(deeper, st.sampled_from(["and", "or"]), deeper).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            deeper.map(lambda t: f"(not {t})"),
            st.tuples(st.sampled_from(["any", "all"]), objects_hold()).map(lambda t: f"{t[0]}({t[1]})"),
        )
    )


class _Floats(ast.NodeTransformer):
    """Numbers as NumPy's, so that Python divides by zero as IEEE 754 says."""

    def visit_Constant(self, node: ast.Constant) -> Any:
        return ast.copy_location(ast.Call(ast.Name("float64", ast.Load()), [node], []), node)


def _largest(values: Any) -> Any:
    largest = np.float64(np.nan)
    for i, value in enumerate(values):
        if i == 0 or value > largest or np.isnan(value):
            largest = value
    return largest


def _by_python(text: str, event: dict[str, Any]) -> Any:
    tree = ast.fix_missing_locations(_Floats().visit(ast.parse(text, mode="eval")))
    total = lambda values: sum(values, np.float64(0.0))
    names = {
        "float64": np.float64,
        "sum": total,
        "count": lambda values: np.float64(len(values)),
        "min": lambda values: -_largest(-values),
        "max": _largest,
        "mean": lambda values: total(values) / np.float64(len(values)),
        "first": lambda values, default: values[0] if len(values) else default,
        "any": any,
        "all": all,
        "abs": np.abs,
        "sqrt": np.sqrt,
        "where": np.where,
    }
    with np.errstate(all="ignore"):
        return eval(compile(tree, text, "eval"), {"__builtins__": {}, **names, **event})


finite = st.floats(-1e3, 1e3, width=32)
jets = st.lists(st.tuples(finite | st.just(math.nan), finite), max_size=4)
events_given = st.lists(st.tuples(finite | st.just(math.inf), st.integers(-3, 3), jets), min_size=1, max_size=5)


@given(st.one_of(numbers(), conditions()), events_given)
@settings(max_examples=150)
def test_as_python_has_it(text: str, given_events: Any) -> None:
    events = ak.Array(
        {
            "MET": ak.zip({"pt": np.array([e[0] for e in given_events])}),
            "n": np.array([e[1] for e in given_events]),
            "Jet": ak.zip(
                {
                    name: ak.values_astype(ak.Array([[], *[[jet[i] for jet in e[2]] for e in given_events]])[1:], float)
                    for i, name in enumerate(("pt", "eta"))
                }
            ),
        }
    )
    expected = [
        _by_python(
            text,
            {
                "MET": SimpleNamespace(pt=np.float64(met)),
                "n": np.float64(n),
                "nJet": np.float64(len(jet)),
                "Jet": SimpleNamespace(pt=np.array([j[0] for j in jet]), eta=np.array([j[1] for j in jet])),
            },
        )
        for met, n, jet in given_events
    ]
    found = Expression.parse(text).evaluate(events)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found.astype(float), np.array(expected, float))


@given(st.text(st.sampled_from("Jetp.nMET()[]<>=+-*/%&|^~ ,0123456789'\"ifelsandortu_é\n\0#:"), max_size=30))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert Expression.parse(text).kind in ("bool", "int64", "float64")


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        ("summ(Jet.pt) > 3", "did you mean 'sum'", 0),
        ("n > 1 & MET.pt > 2", r"\(a > 1\) & \(b > 2\)", 4),
        ("n + (1 & 1.5)", "conditions or whole numbers", 9),
        ("(n > 1) > 2", "put|parentheses|write", 1),
        ("1 < (n > 1) < 3", "condition", 5),
        ("~1.5", "before a condition", 1),
        ("count(n > 1)", r"sum\(condition\)", 0),
        ("MET.pt.sum()", "only functions by name", 0),
        ("Jet[0].pt", r"Jet.pt\[0\]", 0),
        ("é + Jet[0].pt", r"Jet.pt\[0\]", 4),
        ("Jet.pt[0:2]", "slices", 7),
        ("Jet.pt[1.5]", "whole number", 7),
        ("Jet.pt[99999999999999999999]", "no event has so many objects", 7),
        ("Jet.pt[-99999999999999999999]", "no event has so many objects", 7),
        ("n == 'a'", "neither a number", 5),
        ("n in n", "comparison In", 0),
        ("n @ n", "operator MatMult", 0),
        ("lambda: 3", "Lambda", 0),
        ("[1, 2]", "List", 0),
        ("n <", "invalid syntax", 3),
        ("n > > 2", "invalid syntax", 4),
        ("n > 1 && n < 3", "write `and` for &&", None),
        ("n > 1 || n < 3", r"write `or` for \|\|", None),
        ("!(n > 1)", "write `not` for !", 0),
        ("n = 1", "write == to compare", None),
        ("n > 1 ? 2 : 3", "write `a if condition else b`", None),
        ("np.sqrt(n)", r"write sqrt\(\.\.\.\), without np\.", 0),
        ("Jet.pt.sum() > 3", r"write sum\(Jet.pt\), not Jet.pt.sum\(\)", 0),
        ("sum(n, n)", "takes 1 argument", 0),
        ("sum(x=n)", "by position", 0),
        ("where(n > 1, 2)", "takes 3 arguments", 0),
        ("1" + "0" * 400, "too large", 0),
        ("", "1 to 10000 characters", 0),
        ("n" + " + n" * 200, "nested more than 100", 0),
        ("(" * 300 + "n" + ")" * 300, "no expression", None),
    ],
)
def test_errors_show_the_place(text: str, says: str, place: int | None) -> None:
    with pytest.raises(ExpressionError, match=says) as caught:
        Expression.parse(text)
    if place is not None:
        assert str(caught.value).rsplit("\n", 1)[1] == "  " + " " * place + "^"


@pytest.mark.parametrize("text", ["__import__('os')", "(1).__class__", "open('x')", "Jet.pt.__class__()", "(n := 3)"])
def test_nothing_is_executed(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sum(MET.pt)", "one value for each object"),
        ("MET.pt[0]", "one value for each object"),
        ("MET.pt[n > 1]", "one value for each object"),
        ("Jet.pt + Muon.pt", "not of one collection"),
        ("first(Jet.pt, Jet.phi)", "default of first"),
        ("text == 1", "expressions take numbers"),
        ("deep + 1", "expressions take numbers"),
        ("large + 1", r"beyond 2\*\*53"),
    ],
)
def test_errors_of_events(text: str, says: str) -> None:
    events = ak.with_field(EVENTS, ["a", "b", "c"], "text")
    events = ak.with_field(events, [[[1]], [[2, 3]], []], "deep")
    events = ak.with_field(events, np.array([2**53 + 1, 0, 0], np.uint64), "large")
    with pytest.raises(ExpressionError, match=says):
        Expression.parse(text).evaluate(events)


def test_missing_column() -> None:
    with pytest.raises(MissingColumn, match=r"Jet\.pt"):
        Expression.parse("Jet.ptt > 3").evaluate(EVENTS)


def test_not_a_text() -> None:
    with pytest.raises(TypeError, match="got int: 4"):
        Expression.parse(4)  # type: ignore[arg-type]


def test_whole_numbers_stay_exact() -> None:
    """What might pass 2**53 is float64, so int64 is never a rounded number."""
    assert Expression.parse("9007199254740992").kind == "int64"
    assert Expression.parse("9007199254740993").kind == "float64"
    assert Expression.parse("9007199254740992 + 1").kind == "float64"
    assert Expression.parse("94906265 * 94906265").kind == "int64"
    assert Expression.parse("94906266 * 94906266").kind == "float64"
    assert value_of("94906265 * 94906265") == [94906265**2] * 3
    assert Expression.parse("abs(-3) - 2").kind == "int64"
    assert Expression.parse("3 // 2").kind == "float64"


def test_columns_are_all_it_needs() -> None:
    expression = Expression.parse("sum(Jet.pt[Jet.phi > 0]) + nMuon * MET.pt > where(n > 2, 1, 0)")
    assert expression.columns == {"Jet.pt", "Jet.phi", "nMuon", "MET.pt", "n"}
    np.testing.assert_array_equal(expression.evaluate(only(EVENTS, expression.columns)), expression.evaluate(EVENTS))


def test_same_from_flat_events_and_slices() -> None:
    events = sample_events(300, seed=4)
    expression = Expression.parse("sum(Jet.pt[Jet.pt > 30] * sqrt(2)) + MET.pt")
    whole = expression.evaluate(events)
    np.testing.assert_array_equal(expression.evaluate(flattened(events)), whole)
    parts = [expression.evaluate(events[start : start + 37]) for start in range(0, 300, 37)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_fixed_size_lists() -> None:
    events = ak.Array({"lbn": np.arange(6.0).reshape(2, 3)})
    assert value_of("sum(lbn)", events) == [3, 12]


def test_equality_and_pickle() -> None:
    expression = Expression.parse("n > 1")
    again = pickle.loads(pickle.dumps(expression))
    assert again == expression
    assert again != Expression.parse("n > 2")
    assert again.evaluate(EVENTS).tolist() == [False, True, True]


def test_numpy_is_left_as_it_was() -> None:
    before = np.geterr()
    value_of("1 / 0 + sqrt(-1)")
    assert np.geterr() == before
