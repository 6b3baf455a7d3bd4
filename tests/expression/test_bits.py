from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.events.expression import Expression, ExpressionError
from dask_augment.laws.sample import sample_events

EVENTS = ak.Array(
    {
        "n": np.array([1, 2, 3], np.int32),
        "flag": np.array([0, 1, 1], np.uint8),
        "good": [True, False, True],
        "x": [0.5, 1.0, 2.0],
        "trigger": np.array([2**63, 2**63 + 4, 7], np.uint64),
        "Jet": ak.zip(
            {
                "pt": [[50.0, 20.0], [], [40.0]],
                "jetId": ak.values_astype(ak.Array([[6, 2], [], [1]]), "int32"),
                "flags": ak.values_astype(ak.Array([[2, 2], [], [4]]), "uint8"),
            }
        ),
    }
)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("Jet.jetId & 2", "int64", [[2, 2], [], [0]]),
        ("sum((Jet.jetId & 4) > 0)", "int64", [1, 0, 0]),
        ("count(Jet.pt[Jet.jetId & 2 > 0])", "int64", [2, 0, 0]),
        ("n & 2 == 2", "bool", [False, True, True]),
        ("n | 4", "int64", [5, 6, 7]),
        ("n ^ 1", "int64", [0, 3, 2]),
        ("~n & 3", "int64", [2, 1, 0]),
        ("n & ~1", "int64", [0, 2, 2]),
        ("~flag | 0", "int64", [255, 254, 254]),
        ("1 << n", "int64", [2, 4, 8]),
        ("n << 2 >> 1", "int64", [2, 4, 6]),
        ("1 | n & 2", "int64", [1, 3, 3]),
        ("(n & 3) + 1", "int64", [2, 3, 4]),
        ("Jet.jetId | Jet.flags | 0", "int64", [[6, 2], [], [5]]),
        ("sum(Jet.jetId & Jet.flags)", "int64", [4, 0, 0]),
        ("(Jet.jetId & Jet.flags) > 0", "bool", [[True, True], [], [False]]),
        ("Jet.jetId & Jet.flags", "bool", None),
        ("first(Jet.jetId, 0) & 2", "int64", [2, 0, 0]),
        ("where(n > 1, n, 0) & 1", "int64", [0, 0, 1]),
        ("Jet.jetId[Jet.pt > 30] & 2", "int64", [[2], [], [0]]),
        ("nJet & 1", "int64", [0, 0, 1]),
        ("sum(Jet.pt > 30) << 1", "int64", [2, 0, 2]),
        ("trigger & 4", "int64", [0, 4, 4]),
        ("(trigger & 0x8000000000000000) != 0", "bool", [True, True, False]),
        ("trigger == 9223372036854775812", "bool", [False, True, False]),
        ("trigger > 7", "bool", [True, True, False]),
        ("good & flag", "bool", [False, False, True]),
        ("flag & flag", "bool", [False, True, True]),
        ("(n > 1) ^ good", "bool", [True, True, False]),
        ("good ^ good", "bool", [False, False, False]),
        ("~good", "bool", [False, True, False]),
        ("good | 2", "int64", [3, 2, 3]),
    ],
)
def test_values(text: str, kind: str, values: list[Any] | None) -> None:
    expression = Expression.parse(text)
    assert expression.kind == kind
    if values is None:
        with pytest.raises(ExpressionError, match=r"\(a & b\) != 0"):
            expression.evaluate(EVENTS)
    else:
        assert expression.evaluate(EVENTS).tolist() == values


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("n > 1 & n > 2", r"write \(a > 1\) & \(b > 2\)"),
        ("n > 1 & good", r"write \(a > 1\) & \(b > 2\)"),
        ("good & n > 1", r"write \(a > 1\) & \(b > 2\)"),
        ("n == 1 | n == 2", r"write \(a > 1\) & \(b > 2\)"),
        ("any(n > 1 & Jet.pt > 2)", r"write \(a > 1\) & \(b > 2\)"),
        ("n & 1 < n", r"write \(a > 1\) & \(b > 2\)"),
        ("(n & 1) & (n > 1)", "x != 0 for a condition"),
        ("n & 1.5", "this is float64"),
        ("Jet.jetId[0] & 2", r"first\(x, 0\)"),
        ("n & 99999999999999999999", "whole numbers"),
        ("x & 2", "type float64"),
        ("Jet.pt & 1", "type float64"),
        ("x & n", "type float64"),
        ("~x", "type float64"),
        ("x << 1", "type float64"),
        ("(n > 1) & x", "type float64"),
        ("good & n", "read in two ways"),
        ("~flag", "write `not x`"),
        ("~n & (n > 1)", "write `not x`"),
        ("1 << 64", "0 to 63 bits"),
        ("n << -1", "0 to 63 bits, not by -1"),
        ("n << 62", "loses bits"),
        ("trigger & -1", "no bits in common"),
        ("trigger | 0", "int64 does not hold"),
        ("trigger * 2", r"beyond 2\*\*53"),
        ("trigger", r"beyond 2\*\*53"),
    ],
)
def test_what_has_two_senses_is_refused(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        Expression.parse(text).evaluate(EVENTS)


_KINDS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@given(
    st.sampled_from(_KINDS), st.sampled_from(_KINDS), st.data(), st.sampled_from(["&", "|", "^"]), st.integers(0, 2**53)
)
@settings(max_examples=60)
def test_bits_are_those_of_numpy(one: str, other: str, data: Any, symbol: str, constant: int) -> None:
    """Any two types of integers that NumPy has a common type for, and numbers beside them."""
    values = {}
    for name, kind in (("a", one), ("b", other)):
        info = np.iinfo(kind)
        largest = min(int(info.max), 2**62)
        drawn = data.draw(st.lists(st.integers(max(int(info.min), -(2**62)), largest), min_size=3, max_size=3))
        values[name] = np.array(drawn, kind)
    operation = {"&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor}[symbol]
    events = ak.Array(values)
    if np.result_type(one, other).kind != "f":
        expected = operation(values["a"], values["b"]).astype(np.int64)
        np.testing.assert_array_equal(Expression.parse(f"a {symbol} b | 0").evaluate(events), expected)
    wide = values["a"].astype(np.uint64 if one == "uint64" else np.int64)
    expected = operation(wide, wide.dtype.type(constant)).astype(np.int64)
    np.testing.assert_array_equal(Expression.parse(f"a {symbol} {constant}").evaluate(events), expected)
    found = Expression.parse("~a | 0").evaluate(events) if one != "uint64" else np.invert(values["a"])
    np.testing.assert_array_equal(found, np.invert(values["a"]))


def test_in_steps_and_the_same_in_slices() -> None:
    events = sample_events(200, seed=3)
    events = ak.with_field(events, ak.values_astype(ak.local_index(events.Jet.pt) * 3, "int32"), ["Jet", "jetId"])
    steps = [
        da.Select("any(Jet.jetId & 1 > 0)"),
        da.Define({"Jet.tight": "Jet.jetId & 2", "n": "sum(Jet.jetId & 2 > 0)"}),
    ]
    out = da.augment(events, *steps, dataset="d")
    parts = [da.augment(events[at : at + 13], *steps, dataset="d") for at in range(0, 200, 13)]
    assert ak.concatenate(parts).Jet.tight.to_list() == out.Jet.tight.to_list() == (out.Jet.jetId & 2).to_list()
    assert out.n.to_list() == ak.sum(out.Jet.jetId & 2 > 0, axis=1).to_list()
