"""What a frame refuses, since weights, quotas or test events would be falsified in silence."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.flow import Flow, Step
from dask_augment.contract.learned import Learned, load
from dask_augment.contract.setting import Setting
from dask_augment.events import forms
from dask_augment.events.columns import MissingColumn
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.laws.sample import sample_events

EVENTS = sample_events(200, seed=4)
UNDER = da.Undersample(strata=["label"], sampling_strategy={"label=0": 20})
SETTING: dict[str, Any] = {"seed": 1, "dataset": "x"}


def refused(error: type[Exception], match: str, *steps: Any, events: ak.Array = EVENTS, **settings: Any) -> None:
    """The steps are refused on events, and on their form alone."""
    for given in (events, forms.typetracer(events)):
        with pytest.raises(error, match=match):
            da.augment(given, *steps, **(SETTING | settings))


# What was learned holds under one seed, label and ids ------------------------------------------------------------------


def test_learned_under_another_seed_or_label() -> None:
    learner = da.learn(EVENTS, ("down", UNDER), **SETTING)
    kept = da.augment(EVENTS, ("down", learner), **SETTING)
    assert int(ak.sum((kept.label == 0) & (kept.split == 0))) == 20
    refused(ValueError, r'"seed": 1, "label": "down".*to act under.*"seed": 2', ("down", learner), seed=2)
    refused(ValueError, r'"label": "down".*to act under.*"label": "undersample"', learner)
    refused(ValueError, r'to act under.*"ids": \["event"\]', ("down", learner), ids=["event"])


@pytest.mark.parametrize("way", ["pickled", "put", "manifest"])
def test_the_key_travels(way: str, tmp_path: Path) -> None:
    learner = da.learn(EVENTS, UNDER, **SETTING)
    assert learner.learned is not None
    if way == "pickled":
        again = pickle.loads(pickle.dumps(learner)).learned
    elif way == "put":
        learner.learned.put(str(tmp_path))
        load.cache_clear()
        again = load(str(tmp_path), learner.learned.digest)
    else:
        again = Learned.from_bytes(learner.learned.to_bytes())
    assert again == learner.learned
    assert set(again) == set(learner.learned)
    same = da.augment(EVENTS, replace(UNDER, learned=again), **SETTING)
    assert same.event.to_list() == da.augment(EVENTS, learner, **SETTING).event.to_list()
    refused(ValueError, "learned under", replace(UNDER, learned=again), seed=2)


# Weights ---------------------------------------------------------------------------------------------------------------


def test_made_rows_need_a_weight_to_be_zero_in() -> None:
    bare = EVENTS[[name for name in EVENTS.fields if name != "weight"]]
    events = ak.with_field(bare, np.ones(len(bare)), "genWeight")
    refused(
        MissingColumn, r"'repeat' makes rows.*none of the weight columns \['weight'\]", da.Repeat(n=1), events=events
    )
    out = da.augment(events, da.Repeat(n=1), weights=["genWeight"], **SETTING)
    assert set(out.genWeight[out.augment_kind == 1].to_list()) == {0.0}
    refused(
        MissingColumn, r"the events have \['genWeight'\], and weights=\(\) none; name them, weights=\['genWeight'\].*weights=\"none\"",
        da.Repeat(n=1), events=events, weights=(),
    )  # fmt: skip
    assert ak.sum(da.augment(events, da.Repeat(n=1), weights="none", **SETTING).genWeight) > len(events)
    # Of a copy under another name the generator weight itself is 0 too.
    copied = ak.with_field(events, np.asarray(events.genWeight), "w64")
    out = da.augment(copied, da.Repeat(n=1), weights=["w64"], **SETTING)
    assert ak.sum(out.genWeight) == ak.sum(out.w64) == len(events)


def test_all_weights_are_rescaled_or_none() -> None:
    events = ak.with_field(EVENTS, np.asarray(EVENTS.weight) * 1.5, "w_up")
    two: dict[str, Any] = {"weights": ["weight", "w_up"]}
    learner = da.learn(events, UNDER, **two, **SETTING)
    refused(ValueError, r"rescales the weights \['weight'\], but not \['w_up'\]", learner, events=events, **two)
    for weights in (["weight", "w_up"], ["weight_that_is_not_there", "weight"]):
        names = [name for name in weights if name in events.fields]
        learner = da.learn(events, replace(UNDER, weights=names), weights=weights, **SETTING)
        out = da.augment(events, learner, weights=weights, **SETTING)
        for name in names:
            assert float(ak.sum(out[name])) == pytest.approx(float(ak.sum(events[name])), rel=1e-12)
    none = da.learn(events, replace(UNDER, weights=(), train_weight="unit"), **two, **SETTING)
    assert len(da.augment(events, none, **two, **SETTING)) < len(events)


@pytest.mark.parametrize("name", ["genWeight", "mc_weight", "weight_mc", "LHEWeight_originalXWGTUP"])
def test_weights_of_another_name_are_named_to_the_step(name: str) -> None:
    """Not ``weights=()``, which heeds none and leaves the sums to those rows that stay."""
    events = ak.with_field(ak.without_field(EVENTS, "weight"), EVENTS.weight, name)
    for settings in ({}, {"weights": [name]}):
        with pytest.raises(MissingColumn, match=rf"no weight column 'weight'.*give the step weights=\['{name}'\]"):
            da.learn(events, UNDER, **SETTING, **settings)
        out = da.augment(events, da.learn(events, replace(UNDER, weights=[name]), **SETTING, **settings), **SETTING)
        assert float(ak.sum(out[name])) == pytest.approx(float(ak.sum(events[name])), rel=1e-12)


@pytest.mark.parametrize("name", ["ids", "weights"])
def test_one_string_is_no_list(name: str) -> None:
    for call in (
        lambda: Setting(**{name: "event"}),
        lambda: da.augment(EVENTS, da.Define(HT="sum(Jet.pt)"), **{name: "event"}),
        lambda: da.learn(EVENTS, UNDER, **SETTING, **{name: "event"}),
    ):
        with pytest.raises(
            TypeError, match=rf"{name} must be a list of columns, got 'event'; write {name}=\['event'\]"
        ):
            call()


@pytest.mark.parametrize("name", ["ids", "weights"])
def test_one_string_is_no_list_for_a_processor(name: str) -> None:
    pytest.importorskip("coffea")
    from dask_augment.frames.coffea import AugmentProcessor

    with pytest.raises(TypeError, match=f"{name} must be a list of columns, got 'event'"):
        AugmentProcessor(da.Define(HT="sum(Jet.pt)"), purpose="training", **{name: "event"})


# Test events -----------------------------------------------------------------------------------------------------------


class CopiesAll(da.Repeat):
    use = "always"


@pytest.mark.parametrize("makes", ["copies", "interpolated", "generated"])
def test_rows_are_made_of_training_events_alone(makes: str) -> None:
    class Makes(CopiesAll):
        pass

    Makes.makes = makes
    refused(ValueError, rf"'makes' makes {makes}, so it must say use = \"training\"", Makes(n=1))


# Bits ------------------------------------------------------------------------------------------------------------------


def test_bits_by_label() -> None:
    turn = da.PhiRotate(columns=["MET.phi"])
    steps = labelled([da.Define(HT="sum(Jet.pt)"), turn, da.Repeat(n=1), ("again", replace(turn, originals=True))])
    stage = Stage(steps, Setting(**SETTING))
    assert stage.changed_bits == {"phi_rotate": 1, "again": 3}
    out = stage.run(EVENTS)
    training, made = np.asarray(out.split) == 0, np.asarray(out.augment_kind) > 0
    assert set(out.augment_changed[training & made].to_list()) <= {1 << 1 | 1 << 3, 1 << 3}
    assert stage.after(stage.before("again")).changed_bits == {"again": 3}


def test_late_steps_share_a_bit() -> None:
    turn: Augmenter = da.PhiRotate(columns=["MET.phi"])
    steps = tuple(Step(f"turn_{at}", turn, at) for at in (61, 62, 63, 200))
    assert list(Flow(steps, Setting()).changed_bits.values()) == [61, 62, 62, 62]


def test_missing_values_are_refused_by_name() -> None:
    """Where a step cannot take them: what is used, weights and the split."""
    from dask_augment.laws.sample import sample_events

    events = sample_events(40, seed=2)
    some = np.arange(40) % 3 > 0
    for name, step, remedy in [
        ("weight", da.Repeat(n=1), "fill them before, define"),
        ("MET.pt", da.LBN(inputs=["MET"], weights={"random": 2, "seed": 1}), "ak.fill_none"),
        ("Jet.pt", da.LBN(inputs=["Jet[:2]"], weights={"random": 2, "seed": 1}), "ak.drop_none"),
    ]:
        where = name.split(".")
        mask = ak.broadcast_arrays(some, events[tuple(where)])[0]
        given = ak.with_field(events, ak.mask(events[tuple(where)], mask), where)
        with pytest.raises(ValueError, match=rf"column '{name}' has \d+ missing values.*{remedy}"):
            da.augment(given, step, seed=1, dataset="d", split="split")
