from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.laws.sample import sample_events

N = 20_000
IDS = ak.Array({"run": np.ones(N, np.uint32), "luminosityBlock": np.arange(N) // 100, "event": np.arange(N)})


def parts(events: Any = IDS, *, seed: int = 1, dataset: str = "ttbar", **fractions: float) -> np.ndarray[Any, Any]:
    return np.asarray(da.augment(events, da.Split(**fractions), seed=seed, dataset=dataset).split)


def test_fractions() -> None:
    found = parts(train=0.6, validation=0.1)
    assert found.dtype == np.int8
    for part, fraction in enumerate((0.6, 0.1, 0.3)):
        assert abs(np.mean(found == part) - fraction) < 5 * np.sqrt(fraction * (1 - fraction) / N)


def test_all_or_none() -> None:
    assert set(parts(train=1.0)) == {0}
    assert set(parts(train=0.0)) == {2}
    assert set(parts(train=0.0, validation=1.0)) == {1}
    assert set(parts(train=0.5, validation=0.5)) == {0, 1}


def test_a_larger_fraction_only_adds_training_events() -> None:
    assert np.all(parts(train=0.8)[parts(train=0.6) == 0] == 0)


def test_decided_by_the_ids() -> None:
    found = parts(train=0.5)
    order = np.random.default_rng(1).permutation(N)
    np.testing.assert_array_equal(parts(IDS[order], train=0.5), found[order])
    np.testing.assert_array_equal(parts(ak.with_field(IDS, 3.0, "x")[5:105], train=0.5), found[5:105])
    for other in (parts(train=0.5, seed=2), parts(train=0.5, dataset="dy")):
        assert abs(np.mean(other == found) - 0.5) < 5 * 0.5 / np.sqrt(N)


def test_copies_are_on_the_side_of_their_event() -> None:
    events = sample_events(200, seed=2)
    out = da.augment(events, da.Repeat(n=3), da.Split(train=0.5), seed=1, dataset="ttbar", split=None)
    np.testing.assert_array_equal(out.split, np.repeat(parts(events, train=0.5), 4))
    assert len(np.unique(out.split)) == 2


@pytest.mark.parametrize(
    "again", [da.Split(train=0.5), da.Define(split="where(event & 1 == 0, 0, 2)")], ids=["split", "define"]
)
def test_a_second_split_keeps_families_together_or_refuses(again: Any) -> None:
    events = sample_events(200, seed=2)
    setting: dict[str, Any] = {"seed": 1, "dataset": "ttbar"}
    first = da.augment(events, da.Split(train=0.7), **setting)
    copied = da.augment(first, da.Repeat(n=2), ("again", again), **setting)
    sides = {}
    for event, side in zip(copied.event.to_list(), copied.split.to_list(), strict=True):
        assert sides.setdefault(event, side) == side
    assert len({*sides.values()}) == 2
    assert len(copied) > len(events)
    smote = da.Smote(features=["MET.pt"], strata=[da.Bins("MET.pt", [0, 30, 1e9])], k_neighbors=2)
    between = da.augment(first, da.learn(first, smote, **setting), **setting)
    made = int(ak.sum(between.augment_kind == 2))
    assert made
    with pytest.raises(
        ValueError, match=rf"step 'again' divides .* and {made} of them lie between two events .*augment_kind != 2"
    ):
        da.augment(between, ("again", again), **setting)
    da.augment(between, da.Select("augment_kind != 2"), ("again", again), **setting)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train": True}, r"train must be a fraction in \[0, 1\], got True"),
        ({"train": 1.2}, r"train must be a fraction in \[0, 1\], got 1.2"),
        ({"train": float("nan")}, "train must be a fraction"),
        ({"train": "all"}, "train must be a fraction"),
        ({"train": 0.5, "validation": -0.1}, "validation must be a fraction"),
        ({"train": 0.8, "validation": 0.3}, r"at most 1, got 0.8 \+ 0.3"),
    ],
)
def test_bad_fractions(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        da.Split(**options)


def test_seed_and_data_set_are_needed() -> None:
    with pytest.raises(ValueError, match="needs a seed"):
        da.augment(IDS, da.Split(train=0.5), dataset="ttbar")
    with pytest.raises(KeyError, match="Pass dataset="):
        da.augment(IDS, da.Split(train=0.5), seed=1)
