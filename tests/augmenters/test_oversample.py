from __future__ import annotations

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events import columns as cols
from dask_augment.events.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, table, taught, toy, units

STRATA = ["label", "region"]
LEARNERS = {
    "auto": da.Oversample(strata=STRATA),
    "dictionary": da.Oversample(strata=["label"], sampling_strategy={"label=1": 1000, "label=2": 777}),
}


def counted(events: ak.Array, *strata: str) -> dict[str, int]:
    labels, which = da.Strata.of(strata).codes(cols.only(events, strata))
    return dict(zip(labels, np.bincount(which).tolist(), strict=True))


def test_exact_numbers_and_least_repetition() -> None:
    events = toy()
    result = applied(taught(LEARNERS["auto"], [events]), divided(events, 3))
    assert set(counted(result, *STRATA).values()) == {max(counted(events, *STRATA).values())}
    result = applied(taught(LEARNERS["dictionary"], [events]), divided(events, 3))
    assert counted(result, "label") == {"label=0": counted(events, "label")["label=0"], "label=1": 1000, "label=2": 777}
    for label in range(3):
        _, times = np.unique(column(result[result.label == label], "event"), return_counts=True)
        assert len(times) == counted(events, "label")[f"label={label}"], "each event stays"
        assert times.max() - times.min() <= 1


def test_bootstrap_is_exact_in_all_and_random_for_each() -> None:
    events = toy()
    rows = counted(events, "label")["label=2"]
    learner = da.Oversample(strata=["label"], sampling_strategy={"label=2": 6 * rows}, multiplicity="bootstrap")
    result = applied(taught(learner, [events]), divided(events, 3))
    few = result[result.label == 2]
    assert len(few) == 6 * rows
    assert len(result) == len(events) + 5 * rows
    _, times = np.unique(column(few, "event"), return_counts=True)
    assert len(times) == rows, "each event stays"
    # Copies are binomial(5 rows, 1 / rows): the variance is 5, which 150 of them tell to about 0.6.
    assert 3 < times.var() < 7


def test_a_whole_multiple_has_no_remainder() -> None:
    events = toy()
    rows = counted(events, "label")["label=2"]
    result = applied(
        taught(da.Oversample(strata=["label"], sampling_strategy={"label=2": 3 * rows}), [events]), [events]
    )
    _, times = np.unique(column(result[result.label == 2], "event"), return_counts=True)
    assert set(times.tolist()) == {3}


def test_no_histogram_changes() -> None:
    events = toy()
    # Multiples of a power of two, whose sums do not depend on the order.
    events = ak.with_field(events, np.rint(column(events, "weight") * 1024) / 1024, "weight")
    result = applied(taught(LEARNERS["auto"], [events]), [events])
    for variable, edges in (("HT", [0, 50, 200, 1e9]), ("label", [0, 1, 2, 3]), ("event", [0, 1000, 1500, 1e9])):
        for power in (1, 2):
            before, after = (
                np.histogram(column(e, variable), edges, weights=column(e, "weight") ** power)[0]
                for e in (events, result)
            )
            assert np.array_equal(before, after)


def test_copies_follow_their_original() -> None:
    events = toy(200)
    result = applied(taught(LEARNERS["auto"], [events]), [events])
    kind = column(result, "augment_kind")
    assert np.array_equal(column(result, "event")[kind == 0], column(events, "event"))
    last = np.maximum.accumulate(np.where(kind == 0, np.arange(len(kind)), 0))
    assert np.array_equal(column(result, "event")[last], column(result, "event"))
    assert np.all(column(result, "weight")[kind == 1] == 0)
    assert len(set(zip(column(result, "event").tolist(), column(result, "augment_copy").tolist(), strict=True))) == len(
        result
    )


@pytest.mark.parametrize("policy", ["conserve", "balance", "unit"])
@pytest.mark.parametrize(("weighted", "multiplicity"), [(False, "even"), (True, "even"), (True, "bootstrap")])
def test_train_weight(policy: str, weighted: bool, multiplicity: str) -> None:
    events = toy()
    had = np.random.default_rng(2).integers(0, 2**40, len(events)) * 2.0**-32 if weighted else np.ones(len(events))
    if weighted:
        events = ak.with_field(events, had, "train_weight")
    learner = da.Oversample(strata=["label"], train_weight=policy, multiplicity=multiplicity)
    result = applied(taught(learner, [events]), divided(events, 5))
    values = column(result, "train_weight")
    assert np.all(values * 2.0**32 == np.rint(values * 2.0**32))
    before = [units(had[column(events, "label") == label], -32) for label in range(3)]
    after = [units(values[column(result, "label") == label], -32) for label in range(3)]
    if policy == "conserve":
        assert after == before
        sums = np.bincount(column(result, "event").astype(int), weights=values)
        assert np.array_equal(sums[column(events, "event").astype(int)], had), "an event shares its own"
    elif policy == "balance":
        assert set(after) == {sum(before) // 3}
    else:
        assert set(values.tolist()) == {1.0}


@pytest.mark.parametrize("multiplicity", ["even", "bootstrap"])
def test_a_higher_target_keeps_all_copies(multiplicity: str) -> None:
    events = toy(600)
    rows = counted(events, "label")["label=2"]
    copies: set[tuple[int, int]] = set()
    for target in (rows, rows + 5, 2 * rows - 1, 2 * rows, 2 * rows + 1, 5 * rows + 3):
        learner = da.Oversample(strata=["label"], sampling_strategy={"label=2": target}, multiplicity=multiplicity)
        result = applied(taught(learner, [events]), [events])
        made = {row[:2] for row in table(result)}
        assert copies <= made
        assert sum(counted(result[result.label == 2], "label").values()) == target
        copies = made


def test_only_training_events_are_copied() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    result = applied(taught(LEARNERS["auto"], divided(events, 3), setting), divided(events, 2), setting)
    assert np.all(column(result, "split")[column(result, "augment_kind") == 1] == 0)
    assert table(result[result.split != 0], "weight") == table(events[events.split != 0], "weight")
    assert len(set(counted(result[result.split == 0], *STRATA).values())) == 1


def test_twice_and_then_under() -> None:
    events = toy(1000)
    steps = [
        da.Oversample(strata=["label"]),
        da.Oversample(strata=["region"], train_weight="balance"),
        da.Undersample(strata=["label", "region"]),
    ]
    ready: list[da.Augmenter] = []
    for step in steps:
        ready.append(da.learn(events, step, *ready, seed=7, dataset="toy", split=None))
    result = da.augment(events, *ready, seed=7, dataset="toy", split=None)
    assert len(set(counted(result, *STRATA).values())) == 1
    assert len({row[:2] for row in table(result)}) == len(result)
    assert column(result, "weight").sum() == pytest.approx(column(events, "weight").sum(), rel=1e-12)


def test_float32_weights_are_fine() -> None:
    events = toy(500)
    events = ak.with_field(events, column(events, "weight").astype(np.float32), "weight")
    result = applied(taught(LEARNERS["auto"], [events]), [events])
    assert column(result, "weight").dtype == np.float32


def test_errors() -> None:
    events = toy()
    learner = taught(da.Oversample(strata=["label"]), [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2'"):
        applied(learner, [events])
    with pytest.raises(ValueError, match="over-sampling drops none"):
        taught(da.Oversample(strata=["label"], sampling_strategy={"label=0": 1}), [events])
    with pytest.raises(ValueError, match="over-sampling must be one of"):
        da.Oversample(strata=["label"], sampling_strategy="majority")
    with pytest.raises(ValueError, match="multiplicity must be one of"):
        da.Oversample(strata=["label"], multiplicity="poisson")
    with pytest.raises(ValueError, match="train_weight must be one of"):
        da.Oversample(strata=["label"], train_weight="same")
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(da.Oversample(strata=["label"]), [events[:0]])
