from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.contract.configuration import plain
from dask_augment.events import strata as module
from dask_augment.events.strata import Bins, Strata, paired


def test_labels_and_codes() -> None:
    events = ak.Array({
        "dataset": ["ttbar", "dy|50%", "ttbar"],
        "region": np.array([-1, 3, 3], np.int8),
        "HT": np.array([0.0, 499.9, 500.0], np.float32),
    })  # fmt: skip
    labels, which = Strata.of(["dataset", "region", Bins("HT", [0, 500, 1000])]).codes(events)
    assert [labels[i] for i in which] == [
        "dataset=ttbar|region=-1|HT=[0,500)",
        "dataset=dy%7C50%25|region=3|HT=[0,500)",
        "dataset=ttbar|region=3|HT=[500,1000)",
    ]
    assert labels == sorted(labels)
    assert which.dtype == np.int64


def test_no_entries_is_one_stratum() -> None:
    labels, which = Strata().codes(ak.Array({"x": [1, 2]}))
    assert labels == ["all"]
    assert which.tolist() == [0, 0]


def test_a_single_bin_entry_keeps_its_name() -> None:
    assert Strata.of("label").codes(ak.Array({"label": np.array([True, False])}))[0] == ["label=0", "label=1"]
    assert Strata.of(Bins("HT", [0, 1])).codes(ak.Array({"HT": [0.5]}))[0] == ["HT=[0,1)"]


@pytest.mark.parametrize(
    ("outside", "expected"),
    [
        ("own", ["x<0", "x<0", "x=[0,0.1)", "x=[0.1,2)", "x>=2", "x>=2", "x=nan"]),
        ("edge", ["x=[0,0.1)", "x=[0,0.1)", "x=[0,0.1)", "x=[0.1,2)", "x=[0.1,2)", "x=[0.1,2)", "x=nan"]),
    ],
)
def test_outside(outside: str, expected: list[str]) -> None:
    events = ak.Array({"x": [-math.inf, -1e-9, 0.0, 0.1, 2.0, math.inf, math.nan]})
    labels, which = Strata.of([Bins("x", [0, 0.1, 2], outside=outside)]).codes(events)
    assert [labels[i] for i in which] == expected


def test_outside_error_names_column_and_value() -> None:
    bins = Bins("x", [0, 1], outside="error")
    assert bins.codes(np.array([0.0, 0.5])).tolist() == [1, 1]
    for bad in (1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"'x' has 1 values outside the edges \[0, 1\).*first is"):
            bins.codes(np.array([0.5, bad]))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6, unique=True).map(sorted),
    st.lists(st.floats(-2e6, 2e6), min_size=1),
)
def test_bins_hold_their_low_edge(edges: list[float], values: list[float]) -> None:
    bins = Bins("x", tuple(edges))
    names = bins.names()
    assert len(set(names)) == len(names), "two edges have one label"
    for value, code in zip(values, bins.codes(np.array(values)), strict=True):
        low = -math.inf if code == 0 else bins.edges[code - 1]
        high = math.inf if code == len(edges) else bins.edges[code]
        assert low <= value < high


def test_plan_form_and_back() -> None:
    written = [
        "dataset",
        {"column": "HT", "edges": [0.0, 500.0, "inf"]},
        {"column": "eta", "edges": [-1.0, 1.0], "outside": "edge"},
    ]
    strata = Strata.of(written)
    assert strata.entries[1] == Bins("HT", (0.0, 500.0, math.inf))
    assert plain(strata) == written
    assert Strata.of(strata.as_plan()) == strata
    assert strata.uses() == {"dataset", "HT", "eta"}


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (["a", Bins("a", [0, 1])], ValueError, "column twice"),
        ([{"column": "a"}], ValueError, "column, edges"),
        ([{"column": "a", "edges": [0, 1], "under": 1}], ValueError, "column, edges"),
        ([3], TypeError, "strata are columns"),
        ([{"column": "a", "edges": [0]}], ValueError, "two ascending"),
        ([{"column": "a", "edges": [0, math.nan]}], ValueError, "two ascending"),
        ([{"column": "a", "edges": [1, 0]}], ValueError, "two ascending"),
        ([{"column": "a", "edges": 5}], ValueError, "list of numbers"),
        ([{"column": "a", "edges": [0, 1], "outside": "drop"}], ValueError, "outside must be one of"),
    ],
)
def test_wrong_entries(value: list[object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Strata.of(value)


def test_wrong_columns() -> None:
    events = ak.Array({"HT": [1.5, 2.5], "jets": [[1], [2, 3]], "none": [1, None]})
    with pytest.raises(TypeError, match=r"'HT' has type float64.*Bins\('HT'"):
        Strata.of("HT").codes(events)
    with pytest.raises(TypeError, match=r"'jets' cannot divide.*var \* int64"):
        Strata.of(Bins("jets", [0, 1])).codes(events)
    with pytest.raises(TypeError, match=r"'none' cannot divide.*\?int64"):
        Strata.of("none").codes(events)


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"\['event'\] divide the events into at least 1001 groups; the limit is 1000"):
        Strata.of("event").codes(ak.Array({"event": np.arange(1001)}))
    monkeypatch.setattr(module, "MOST", 3)
    with pytest.raises(ValueError, match="at least 4 groups"):
        Strata.of(["a", "b"]).codes(ak.Array({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=30))
def test_paired(rows: list[tuple[int, int]]) -> None:
    first, second = np.array(rows, np.int64).T
    pairs, which = paired(first, second)
    assert pairs == sorted(set(rows))
    assert [pairs[i] for i in which] == rows
