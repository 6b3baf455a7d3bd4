"""Which columns steps need, make and leave, with dotted and flat names and counters, on every front that asks."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pandas as pd
import pytest

import dask_augment as da
from dask_augment.contract.compound import Compound
from dask_augment.contract.flow import Flow, Step, read_for
from dask_augment.contract.setting import Setting
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from policy_toys import Chain


@da.augmenter(uses=["Jet.pt"], produces={"Jet.half": "float32", "Fat.pt": "var * float32"}, use="training")
def halves(events: ak.Array) -> dict[str, ak.Array]:
    pt = ak.values_astype(events.Jet.pt, np.float32)
    return {"Jet.half": pt / np.float32(2), "Fat.pt": pt}


FAT = da.Select("nFat > 0 and sum(Jet.half) > 1")
SETTING = Setting(seed=1, dataset="tt", split=None)


def flow(*steps: da.Augmenter, setting: Setting = SETTING) -> Flow:
    return Flow(labelled(steps), setting)


def test_what_is_made_is_not_missing() -> None:
    """A field that a step makes, and the counter of its collection, under a dotted name or a flat one."""
    assert set(flow(halves, FAT).missing()) == {"Jet.pt"}
    assert flow(halves, FAT).missing()["Jet.pt"].label == "halves"
    assert set(flow(FAT, halves).missing()) == {"nFat", "Jet.half", "Jet.pt"}
    flat = da.Define({"Jet_half": "Jet_pt / 2"})
    assert set(flow(flat, da.Select("sum(Jet.half) > nJet")).missing()) == {"Jet_pt"}
    assert flow(FAT).missing(["Jet_half", "Fat.pt"]) == {}


def test_a_compound_needs_what_its_steps_do() -> None:
    assert isinstance(Chain(ops=(halves, FAT)), Compound)
    assert set(Chain(ops=(halves, FAT)).uses()) == {"Jet.pt"}


def test_steps_whose_products_nobody_needs_are_left_out() -> None:
    steps = flow(halves, da.Define(x="MET.pt * 2"))
    assert [step.label for step in steps.pruned({"Jet_half"}).steps] == ["halves"]
    assert [step.label for step in steps.pruned({"x"}).steps] == ["define"]
    assert [step.label for step in steps.pruned({"nFat"}).steps] == ["halves"]
    assert steps.pruned({"MET.pt"}).steps == ()


def test_all_that_may_be_read() -> None:
    training = flow(halves, setting=Setting(seed=1, dataset="tt", ids=("event",), split="part"))
    found = training.needed(["HT"], keyed=True)
    assert found >= {"HT", "Jet.pt", "event", "part", "Jet.half", "nJet", "Fat.pt", "nFat", "augment_kind"}
    assert "weight" not in found
    assert "weight" in flow(da.Repeat(n=1)).needed(["HT"], keyed=False)


@pytest.mark.parametrize(
    ("needed", "columns"),
    [
        ({"Jet.pt"}, ("Jet_pt",)),
        ({"Jet_pt", "nJet"}, ("Jet_pt", "nJet")),
        ({"nFat"}, ("Fat_pt",)),
        ({"nFat", "Fat.mass"}, ("Fat_mass", "Fat_pt")),
        ({"nMET", "nothing"}, ()),
    ],
)
def test_flat_columns_that_are_read(needed: set[str], columns: tuple[str, ...]) -> None:
    there = ("Fat_n", "Fat_pt", "Fat_mass", "Jet_pt", "MET_pt", "nJet")
    lists = {"Fat_pt", "Fat_mass", "Jet_pt"}
    assert set(read_for(needed, there, lists.__contains__)) == set(columns)


def test_what_is_left() -> None:
    smote = da.Smote(label="label", features=["HT", "MET_pt"])
    steps = flow(
        smote, setting=Setting(seed=1, ids=("event",), weights=("weight",), split="part", generator="genWeight")
    )
    left = ["label", "HT", "MET.pt", "MET_pt", "event", "weight", "genWeight", "part", "train_weight", "train.weight"]
    assert [name for name in left if not steps.leaves(name)] == []
    assert steps.leaves("augment_kind")
    assert [name for name in ("nJet", "Jet.pt", "MET.phi") if steps.leaves(name)] == []
    assert steps.narrowing == ["smote"]
    later = da.Define({"Fat.pt": "HT"})
    flow(smote, later, da.Select("nFat > 0 and MET.pt > 1")).refuse_gone()
    with pytest.raises(ValueError, match="uses 'nJet', which is not there after step 'smote'"):
        flow(smote, later, da.Select("nJet > 0")).refuse_gone()
    assert flow(halves, FAT).narrowing == []


def test_what_is_written() -> None:
    assert flow(halves).written == {"Jet.half", "Fat.pt", "augment_changed"}
    copies = flow(da.Repeat(n=1), setting=Setting(seed=1, generator="genWeight")).written
    assert copies == {"augment_changed", "augment_kind", "augment_copy", "weight", "genWeight"}
    steps = (Step("smote", da.Smote(label="label", features=["HT"])),)
    assert Flow(steps, SETTING).written >= {"HT", "augment_share", "augment_other_event", "augment_base_copy"}


def test_frames_agree() -> None:
    """Nested, flat and pandas: a counter of what a step makes is there for the next, and a test event has zeros."""
    pt = ak.Array([[30.0, 20.0], [], [50.0]])
    part = np.array([0, 0, 2])
    ids = {"run": [1, 1, 1], "luminosityBlock": [1, 1, 1], "event": [1, 2, 3]}
    nested = ak.Array({"Jet": ak.zip({"pt": ak.values_astype(pt, np.float32)}), "split": part, **ids})
    flat = ak.Array({"Jet_pt": nested.Jet.pt, "split": part, **ids})
    frame = pd.DataFrame({"Jet_pt": pd.Series(pt.to_list()), "split": part, **ids})
    steps, setting = (halves, da.Define(many="nFat")), {"seed": 1, "dataset": "tt"}
    results = [da.augment(events, *steps, **setting) for events in (nested, flat, frame)]
    assert [list(result["many"]) for result in results] == [[2, 0, 0]] * 3
    assert list(results[0].Jet.half.to_list()) == [[15.0, 10.0], [], [0.0]]
    needed = Stage(labelled(steps), Setting(**setting)).needed(["many"], keyed=False)
    narrow = ak.Array({name: flat[name] for name in read_for(needed, flat.fields, {"Jet_pt"}.__contains__)})
    assert da.augment(narrow, *steps, **setting).many.to_list() == [2, 0, 0]
