from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events.expression import ExpressionError
from dask_augment.laws.sample import flattened, sample_events

EVENTS = sample_events(200, seed=5)


def test_columns_of_events_and_objects() -> None:
    step = da.Define(
        {"Jet.pt2": "Jet.pt ** 2", "MET.far": "MET.pt > 30"}, HT="sum(Jet.pt)", n="sum(Jet.pt > 30)", busy="nJet > 3"
    )
    out = da.augment(EVENTS, step)
    pt = ak.values_astype(EVENTS.Jet.pt, "float64")
    np.testing.assert_allclose(out.HT, ak.sum(pt, axis=1), rtol=1e-14)
    assert out.Jet.pt2.to_list() == (pt**2).to_list()
    assert out.n.to_list() == ak.sum(pt > 30, axis=1).to_list()
    assert str(out.Jet.pt2.type.content.content) == str(out.HT.type.content) == "float64"
    assert str(out.n.type.content) == "int64"
    assert str(out.busy.type.content) == str(out.MET.far.type.content) == "bool"
    assert out.Jet.pt.to_list() == EVENTS.Jet.pt.to_list()


def test_flat_events() -> None:
    step = da.Define({"Jet.pt2": "Jet.pt * 2", "HT": "sum(Jet.pt)"})
    flat, nested = da.augment(flattened(EVENTS), step), da.augment(EVENTS, step)
    assert flat.Jet_pt2.to_list() == nested.Jet.pt2.to_list()
    np.testing.assert_array_equal(flat.HT, nested.HT)


def test_steps_build_on_each_other() -> None:
    out = da.augment(EVENTS, da.Define(HT="sum(Jet.pt)"), da.Define(twice="2 * HT"), da.Select("twice > 200"))
    assert len(out) > 0
    assert ak.all(out.HT > 100)


def test_a_column_may_be_replaced() -> None:
    out = da.augment(EVENTS, da.Define({"Jet.pt": "Jet.pt * 2"}))
    assert out.Jet.pt.to_list() == (ak.values_astype(EVENTS.Jet.pt, "float64") * 2).to_list()


def test_lazy_form_is_the_form() -> None:
    step = da.Define({"Jet.pt2": "Jet.pt ** 2", "busy": "nJet > 3"})
    tracer = ak.to_backend(EVENTS, "typetracer")
    assert str(da.augment(tracer, step).type.content) == str(da.augment(EVENTS, step).type.content)


@pytest.mark.parametrize(
    ("columns", "error", "says"),
    [
        ({}, ValueError, "defines no column"),
        ({"a b": "1"}, ValueError, "cannot name a column 'a b'"),
        ({"a.b.c": "1"}, ValueError, "cannot name a column"),
        ({"a": "sum("}, ExpressionError, "never closed"),
        ({"a": 3}, TypeError, "got int: 3"),
        ({"HT": "sum(Jet.pt)", "x": "HT / 2"}, ValueError, "'x' of 'HT', which it defines as well.*second"),
        ({"Jet.pt": "Jet.pt * 2", "x": "sum(Jet_pt)"}, ValueError, "second Define step"),
    ],
)
def test_refused_when_made(columns: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        da.Define(columns)


def test_refused_twice_or_no_dictionary() -> None:
    with pytest.raises(ValueError, match=r"\['a'\] twice"):
        da.Define({"a": "1"}, a="2")
    with pytest.raises(TypeError, match="dictionary of names"):
        da.Define("sum(Jet.pt)")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"x": "Jet.pt * 2"}, r"Jet\.x, or reduce"),
        ({"Jet.x": "sum(Jet.pt)"}, "without a dot, Jet_x"),
    ],
)
def test_one_for_each_event_or_object(columns: dict[str, str], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        da.augment(EVENTS, da.Define(columns))


def test_counts_of_another_collection_are_refused() -> None:
    with pytest.raises(ValueError, match="same counts"):
        da.augment(EVENTS, da.Define({"Jet.x": "Muon.pt"}))


def test_identity() -> None:
    step = da.Define({"b": "nJet + 1", "a": "1"})
    assert step == da.Define(a="1", b="nJet + 1") == da.Define(**step.configuration())
    assert pickle.loads(pickle.dumps(step)) == step
    assert step != da.Define(a="1", b="nJet + 2")
    assert step.uses() == {"nJet"}
    assert repr(step) == "Define({'a': '1', 'b': 'nJet + 1'})"


@pytest.mark.parametrize("sample", ["nano_dy", "nano_tt_v12"])
def test_real_events(nano: Callable[[str], str], sample: str) -> None:
    import uproot

    events = uproot.open(nano(sample))["Events"].arrays(["Jet_pt", "Jet_eta", "Jet_phi", "nJet", "MET_pt", "event"])
    out = da.augment(events, da.Define({"HT": "sum(Jet.pt[Jet.pt > 30])", "Jet.rel": "Jet.pt / MET.pt"}))
    pt = ak.values_astype(events.Jet_pt, "float64")
    np.testing.assert_allclose(out.HT, ak.sum(pt[pt > 30], axis=1), rtol=1e-14)
    assert out.Jet_rel.to_list() == (pt / ak.values_astype(events.MET_pt, "float64")).to_list()
