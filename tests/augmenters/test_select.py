from __future__ import annotations

import pickle

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.contract.account import Account
from dask_augment.contract.setting import Setting
from dask_augment.events.expression import ExpressionError
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.laws.sample import flattened, sample_events

EVENTS = sample_events(300, seed=2)


def test_keeps_the_events_that_hold() -> None:
    out = da.augment(EVENTS, da.Select("nJet >= 2 and MET.pt > 20"))
    keep = (ak.num(EVENTS.Jet) >= 2) & (EVENTS.MET.pt > 20)
    assert 0 < len(out) < len(EVENTS)
    assert str(out.to_list()) == str(EVENTS[keep].to_list())
    assert out.fields == EVENTS.fields


def test_test_events_are_selected_too() -> None:
    out = da.augment(EVENTS, da.Select("any(Jet.pt > 50)"))
    assert set(np.unique(out.split)) == {0, 1, 2}
    assert ak.all(ak.any(out.Jet.pt > 50, axis=1))


def test_nan_is_dropped_and_counted() -> None:
    events = ak.Array({"x": [np.nan, 1.0, 0.0, 2.0], "y": [1, 2, 3, 4]})
    account = Account()
    stage = Stage(labelled([da.Select("x")]), Setting())
    assert stage.run(events, account).y.tolist() == [2, 4]
    assert account.dropped == {"select": 2}
    assert account.adds_up


def test_none_and_all() -> None:
    assert len(da.augment(EVENTS, da.Select("False"))) == 0
    assert da.augment(EVENTS, da.Select("False")).type.content == EVENTS.type.content
    assert len(da.augment(EVENTS, da.Select("True"))) == len(EVENTS)


def test_flat_events() -> None:
    step = da.Select("sum(Jet.pt) > 100")
    np.testing.assert_array_equal(da.augment(flattened(EVENTS), step).event, da.augment(EVENTS, step).event)


def test_condition_of_objects_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'Jet.pt > 30' has one for each object: .*any"):
        da.augment(EVENTS, da.Select("Jet.pt > 30"))


def test_bad_condition_is_refused_when_made() -> None:
    with pytest.raises(ExpressionError, match="did you mean"):
        da.Select("summ(Jet.pt) > 3")
    with pytest.raises(TypeError, match="got bool: True"):
        da.Select(True)


def test_identity() -> None:
    step = da.Select("nJet > 1")
    assert pickle.loads(pickle.dumps(step)) == step == da.Select(**step.configuration())
    assert step != da.Select("nJet > 2")
    assert step.uses() == {"nJet"}
    assert step.produces() == {}
