from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest
from awkward.contents import IndexedArray, ListArray, ListOffsetArray, NumpyArray
from awkward.index import Index64
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.events import columns as cols
from dask_augment.laws.sample import flattened, sample_events

NESTED = sample_events(50, seed=3)
FLAT = flattened(NESTED)
BOTH = pytest.mark.parametrize("events", [NESTED, FLAT], ids=["nested", "flat"])


def test_names() -> None:
    assert cols.flat("Jet.pt") == "Jet_pt"
    assert cols.flat("HLT.Iso_Mu24.x") == "HLT_Iso_Mu24_x"
    assert cols.flat("('ak8FatJetPt', '0')") == "ak8FatJetPt_0"
    assert cols.flat("('weight', '')") == "weight"
    assert cols.flat("(x)") == "(x)"
    assert cols.dotted("Jet_pt") == "Jet.pt"
    assert cols.dotted("HLT_Iso_Mu24") == "HLT.Iso_Mu24"
    assert cols.dotted("Jet.pt_raw") == "Jet.pt_raw"
    assert cols.dotted("run") == "run"


@BOTH
@pytest.mark.parametrize("name", ["Jet.pt", "Jet_pt", "MET.pt", "MET_pt", "run", "HT"])
def test_lookup(events: ak.Array, name: str) -> None:
    head, _, tail = cols.dotted(name).partition(".")
    expected = NESTED[head][tail] if tail else NESTED[head]
    assert ak.Array(cols.column(events, name)).to_list() == expected.to_list()
    assert cols.has(events, name)


@BOTH
def test_counts(events: ak.Array) -> None:
    assert ak.Array(cols.column(events, "nJet")).to_list() == ak.num(NESTED.Jet).to_list()
    assert not cols.has(events, "nMET")
    assert not cols.has(events, "n")


def test_a_name_as_it_stands_comes_first() -> None:
    events = ak.Array({"a.b": [1], "a": [{"b": 2}], "a_b": [3]})
    assert ak.Array(cols.column(events, "a.b")).to_list() == [1]
    assert ak.Array(cols.column(events[["a", "a_b"]], "a.b")).to_list() == [2]
    assert ak.Array(cols.column(events[["a", "a_b"]], "a_b")).to_list() == [3]
    assert ak.Array(cols.column(events[["a_b"]], "a.b")).to_list() == [3]
    dots = ak.Array({"Jet.PT": [[1.0, 2.0]], "R.x.y": [4]})
    assert ak.Array(cols.column(dots, "Jet_PT")).to_list() == [[1.0, 2.0]]
    assert ak.Array(cols.column(dots, "nJet")).to_list() == [2]
    with pytest.raises(cols.MissingColumn, match=r"no column 'Jet\.pt' among the events; the nearest are Jet\.PT"):
        cols.column(dots, "Jet.pt")
    with pytest.raises(cols.MissingColumn, match="no column 'lead_ptt' among the events; the nearest are lead_pt"):
        cols.column(ak.Array({"lead_pt": [1.0]}), "lead_ptt")


def test_a_record_in_a_record_is_found() -> None:
    events = ak.Array({"Jet": [[{"pt": 1.0, "track": {"x": 5}}]]})
    assert ak.Array(cols.column(events, "Jet.track.x")).to_list() == [[5]]
    assert not cols.has(events, "Jet.track.y")


@BOTH
def test_missing(events: ak.Array) -> None:
    with pytest.raises(cols.MissingColumn, match=r"no column 'Jet.ptt' among the events; the nearest are Jet\.pt"):
        cols.column(events, "Jet.ptt")
    with pytest.raises(
        cols.MissingColumn, match=r"; none of the \d+ columns has a name near it|the columns are Electron"
    ):
        cols.column(events, "qqqqqqqq")


@BOTH
def test_only_gives_one_shape(events: ak.Array) -> None:
    taken = cols.only(events, ["Jet.pt", "Jet.eta", "MET.pt", "run", "nMuon"])
    assert taken.fields == ["nMuon", "run", "Jet", "MET"]
    assert taken.Jet.fields == ["eta", "pt"]
    assert taken.Jet.pt.to_list() == NESTED.Jet.pt.to_list()
    assert taken.nMuon.to_list() == ak.num(NESTED.Muon).to_list()
    assert isinstance(taken.Jet.layout, ListOffsetArray)


def test_only_shares_buffers() -> None:
    taken = cols.only(NESTED, ["Jet.pt", "Jet.eta"])
    assert np.shares_memory(cols.flatten(taken.Jet.pt), np.asarray(NESTED.Jet.pt.layout.content.data))


def test_only_refuses_other_counts() -> None:
    events = ak.Array({"Jet_pt": [[1.0], []], "Jet_eta": [[], [1.0]]})
    with pytest.raises(ValueError, match=r"Jet have different numbers of entries: Jet\.pt against Jet\.eta"):
        cols.only(events, ["Jet.pt", "Jet.eta"])


@st.composite
def layouts(draw: Any) -> Any:
    """The same lists, wrapped as slices, takes and lists in another order have them."""
    counts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=5))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    values = NumpyArray(np.arange(int(starts[-1]) + 2, dtype=np.float32))
    content: Any = ListOffsetArray(Index64(starts), values)
    if draw(st.booleans()):
        content = ListArray(Index64(starts[:-1][::-1].copy()), Index64(starts[1:][::-1].copy()), values)
    if draw(st.booleans()):
        rows = draw(st.lists(st.integers(0, len(counts) - 1), max_size=5))
        content = IndexedArray(Index64(np.array(rows, np.int64)), content)
    if draw(st.booleans()):
        content.parameters["__doc__"] = "text"
    return content[draw(st.integers(0, 1)) :]


@given(layouts())
def test_plain_has_the_same_values(content: Any) -> None:
    plain = cols.plain(content)
    assert ak.Array(plain).to_list() == ak.Array(content).to_list()
    assert isinstance(plain, ListOffsetArray)
    assert plain.offsets[0] == 0
    assert plain.offsets[-1] == plain.content.length
    assert not plain.parameters
    np.testing.assert_array_equal(cols.flatten(ak.Array(content)), ak.flatten(ak.Array(content)))


def test_plain_keeps_strings_and_options() -> None:
    events = ak.Array({"s": ["a", "bc"], "o": [1, None], "r": ak.Array([{"x": 1}, {"x": 2}])})
    for name in events.fields:
        assert ak.Array(cols.plain(events[name].layout)).to_list() == events[name].to_list()


def test_jagged_and_flatten() -> None:
    values = np.arange(len(cols.flatten(NESTED.Jet.pt)), dtype=np.float32)
    lists = cols.jagged(NESTED.Jet, values)
    assert ak.num(lists).to_list() == ak.num(NESTED.Jet).to_list()
    assert np.shares_memory(cols.flatten(lists), values)
    with pytest.raises(TypeError, match="one list for each event"):
        cols.jagged(NESTED.MET, values)


def test_as_content() -> None:
    strided = np.arange(12.0).reshape(3, 4)[:, ::2]
    content = cols.as_content(strided)
    assert str(content.form.type) == "2 * float64"
    assert ak.Array(content).to_list() == strided.tolist()
    assert np.asarray(cols.as_content(np.arange(6)[::2]).data).flags.c_contiguous


@BOTH
def test_assemble_puts_columns_where_they_belong(events: ak.Array) -> None:
    pt = cols.only(events, ["Jet.pt"]).Jet.pt
    new = {
        "Jet.twice": cols.as_content(pt * 2),
        "Jet.pt": cols.as_content(pt + 1),
        "MET.far": cols.as_content(np.ones(50, bool)),
        "HT": cols.as_content(np.zeros(50)),
        "label2": cols.as_content(np.arange(50)),
        "Tau.pt": cols.as_content(pt),
    }
    out = cols.assemble(events, new)
    nested = events is NESTED
    assert (out.Jet.twice if nested else out.Jet_twice).to_list() == (NESTED.Jet.pt * 2).to_list()
    assert (out.Jet.pt if nested else out.Jet_pt).to_list() == (NESTED.Jet.pt + 1).to_list()
    assert (out.Tau.pt if nested else out.Tau_pt).to_list() == NESTED.Jet.pt.to_list()
    assert ak.all(out.MET.far if nested else out.MET_far)
    assert out.HT.to_list() == [0] * 50
    assert set(out.fields) == {*events.fields, "label2", *(["Tau"] if nested else ["Jet_twice", "MET_far", "Tau_pt"])}
    assert (events.Jet.pt if nested else events.Jet_pt).to_list() == NESTED.Jet.pt.to_list()


@BOTH
def test_assemble_takes_rows_first(events: ak.Array) -> None:
    source = np.array([3, 3, 0])
    out = cols.assemble(events, {"x": cols.as_content(np.array([1, 2, 3]))}, source)
    assert out.event.to_list() == NESTED.event[source].to_list()
    assert out.x.to_list() == [1, 2, 3]


@BOTH
def test_assemble_compares_counts(events: ak.Array) -> None:
    wrong = {"Jet.x": cols.as_content(cols.only(events, ["Muon.pt"]).Muon.pt)}
    with pytest.raises(ValueError, match="must have the same counts"):
        cols.assemble(events, wrong)
    with pytest.raises(ValueError, match="one entry for each object"):
        cols.assemble(events, {"Jet.x": cols.as_content(np.zeros(50))})


def test_assemble_keeps_behaviour_and_attributes() -> None:
    events = ak.Array(NESTED, behavior={"x": 1}, attrs={"y": 2})
    out = cols.assemble(ak.with_name(events, "Event"), {"HT": cols.as_content(np.zeros(50))})
    assert out.behavior["x"] == 1
    assert out.attrs["y"] == 2
    assert out.layout.parameters["__record__"] == "Event"


def test_nano_events(nano: Callable[[str], str]) -> None:
    """Virtual arrays with behaviours: only what is asked for is read."""
    from coffea.nanoevents import NanoEventsFactory

    log: list[Any] = []
    events = NanoEventsFactory.from_root({nano("nano_dy"): "Events"}, mode="virtual", access_log=log).events()
    before = len(log)
    taken = cols.only(events, ["Jet.pt", "nMuon", "event"])
    assert taken.Jet.pt.to_list() == events.Jet.pt.to_list()
    assert taken.Jet.layout.content.parameters == {}
    names = {str(entry.branch if hasattr(entry, "branch") else entry) for entry in log[before:]}
    assert 0 < len(names) < 10
    out = cols.assemble(events, {"Jet.twice": cols.as_content(taken.Jet.pt * 2)})
    assert ak.all(out.Jet.twice == events.Jet.pt * 2)
    assert type(out.Jet) is type(events.Jet)


def test_nullable_columns_that_miss_nothing_are_plain() -> None:
    lists = ak.contents.UnmaskedArray(ak.Array([[1.0, 2.0], []]).layout)
    events = ak.Array(ak.contents.RecordArray([lists], ["Jet_pt"]))
    assert str(cols.only(events, ["Jet.pt"]).Jet.pt.type) == "2 * var * float64"
    out = cols.assemble(events, {"Jet.eta": ak.Array([[0.0, 0.0], []]).layout}, like=["Jet.pt"])
    assert out.Jet_eta.to_list() == [[0.0, 0.0], []]


def test_lists_that_are_missing() -> None:
    events = ak.Array({"Jet_pt": [[1.0], None]})
    with pytest.raises(TypeError, match=r"Jet_pt has type option\[var \* float64\] for each event: fill missing lists"):
        cols.assemble(events, {"Jet.eta": ak.Array([[0.0], []]).layout}, like=["Jet.pt"])
