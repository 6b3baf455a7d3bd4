from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events.columns import MissingColumn
from dask_augment.laws.sample import sample_events

EVENTS = sample_events(300, seed=7)


def test_copies_follow_their_original() -> None:
    out = da.augment(EVENTS, da.Repeat(n=2), split=None)
    np.testing.assert_array_equal(out.event, np.repeat(EVENTS.event, 3))
    assert out.augment_kind.to_list() == [0, 1, 1] * 300
    assert out.Jet.pt[1::3].to_list() == EVENTS.Jet.pt.to_list()
    assert str(out.augment_kind.type.content) == "int8"


def test_no_weight_is_made() -> None:
    out = da.augment(EVENTS, da.Repeat(n=3), split=None)
    np.testing.assert_array_equal(out.weight[::4], EVENTS.weight)
    assert ak.all(out.weight[out.augment_kind == 1] == 0)
    bins = np.linspace(0, 200, 20)
    for power in (1, 2):
        sums = [np.histogram(events.MET.pt, bins, weights=np.asarray(events.weight) ** power)[0]
                for events in (EVENTS, out)]  # fmt: skip
        np.testing.assert_array_equal(*sums)


def test_copies_of_copies_are_distinct() -> None:
    out = da.augment(EVENTS, da.Repeat(n=2), da.Repeat(n=2), split=None)
    assert len(out) == 300 * 9
    for event in np.unique(out.event):
        copies = out.augment_copy[out.event == event]
        assert len(np.unique(copies)) == 9
    assert ak.sum(out.augment_copy == 0) == ak.sum(out.augment_kind == 0) == 300


def test_only_training_events_are_copied() -> None:
    out = da.augment(EVENTS, da.Repeat(n=1))
    training = int(ak.sum(EVENTS.split == 0))
    assert len(out) == 300 + training
    assert ak.all(out.split[out.augment_kind == 1] == 0)
    np.testing.assert_array_equal(out.event[out.augment_kind == 0], EVENTS.event)


def test_without_the_original() -> None:
    out = da.augment(EVENTS, da.Repeat(n=2, keep_original=False))
    assert ak.all(out.augment_kind[out.split == 0] == 1)
    assert len(out) == 300 + int(ak.sum(EVENTS.split == 0))


def test_no_split_is_refused() -> None:
    with pytest.raises(MissingColumn, match=r"no column 'split'.*put a split before it"):
        da.augment(EVENTS[["event", "weight"]], da.Repeat(n=1))


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_bad_n(n: Any) -> None:
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got"):
        da.Repeat(n=n)
