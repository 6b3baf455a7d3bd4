"""What is left after a step that makes rows of which not all columns are true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import dask_augment as da
from dask_augment.events.columns import MissingColumn
from dask_augment.inputs.section import PlanError
from dask_augment.laws import flattened, sample_events
from dask_augment.laws.sample import sample_events as sample

SMOTE = da.Smote(strata=["label"], features=["HT", "MET.pt"], k_neighbors=3)
IDS = ["run", "luminosityBlock", "event"]
LINEAGE = ["base_copy", "other_copy", "other_dataset", *(f"other_{name}" for name in IDS), "share"]
LEFT = {*IDS, "label", "HT", "weight", "split", "train_weight", "augment_kind", "augment_copy"} | {f"augment_{n}" for n in LINEAGE}  # fmt: skip
SETTING: dict[str, Any] = {"seed": 1, "dataset": "sample"}


def test_nested_and_flat() -> None:
    nested, flat = sample_events(), sample_events(flat=True)
    step = da.learn(nested, SMOTE, **SETTING)
    one, other = da.augment(nested, step, **SETTING), da.augment(flat, step, **SETTING)
    assert set(one.fields) == LEFT | {"MET"}
    assert one.MET.fields == ["pt"]
    assert set(other.fields) == LEFT | {"MET_pt"}


def test_pandas() -> None:
    events = flattened(sample())
    numbers = [name for name in events.fields if events[name].ndim == 1]
    frame = pd.DataFrame({name: np.asarray(events[name]) for name in numbers})
    step = da.learn(frame, SMOTE, **SETTING)
    assert set(da.augment(frame, step, **SETTING).columns) == LEFT | {"MET_pt"}


def test_all_columns_on_request() -> None:
    events = sample_events()
    step = da.learn(events, da.Smote(strata=["label"], features=["HT"], k_neighbors=3, carry="parent"), **SETTING)
    assert {*events.fields} < {*da.augment(events, step, **SETTING).fields}


def test_a_later_step_that_needs_more_is_refused() -> None:
    events = sample_events()
    step = da.learn(events, SMOTE, **SETTING)
    for later in (da.Define(many="nJet >= 4"), da.PhiRotate(columns=["MET.phi"])):
        with pytest.raises(
            ValueError, match=r"step '.*' uses '(nJet|MET.phi)', which is not there after step 'smote'.*carry: parent"
        ):
            da.augment(events, step, later, **SETTING)
        with pytest.raises(PlanError, match=r"which is not there after step 'smote'"):
            da.Plan(inputs={"tt": {"a.root": "Events"}}, steps=[da.Split(train=0.5), SMOTE, later], seed=1)
    result = da.augment(events, step, da.Define(ratio="HT / MET.pt"), da.Select("ratio > 1"), **SETTING)
    assert "ratio" in result.fields
    again = da.Smote(strata=["label"], features=["HT"], k_neighbors=3, weights=[])
    da.Plan(inputs={"tt": {"a.root": "Events"}}, steps=[SMOTE, again], seed=1)
    with pytest.raises(PlanError, match=r"uses 'MET\.pt', which is not there after step 'smote_2'"):
        da.Plan(inputs={"tt": {"a.root": "Events"}}, steps=[SMOTE, again, da.Select("MET.pt > 1")], seed=1)


def test_what_is_gone_is_missing() -> None:
    events = sample_events()
    step = da.learn(events, SMOTE, **SETTING)
    with pytest.raises(MissingColumn):
        da.augment(da.augment(events, step, **SETTING), da.Select("nJet > 1"), **SETTING)
