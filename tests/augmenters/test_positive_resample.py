from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.augmenters import positive_resample
from dask_augment.events.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, table, taught, toy, units

STRATA = ["label", da.Bins("HT", [0, 200])]
LEARNERS = {
    "sum": da.PositiveResample(strata=STRATA, weights=["weight", "weight_up"]),
    "uncertainty": da.PositiveResample(strata=["label"], keep="uncertainty", weights=["weight", "weight_up"]),
}
COLUMNS = ("weight", "weight_up")


@pytest.mark.parametrize("keep", ["sum", "uncertainty"])
def test_sums_of_strata_stay_in_integers(keep: str) -> None:
    events = toy()
    learner = taught(replace(LEARNERS["uncertainty"], keep=keep), divided(events, 3))
    result = applied(learner, divided(events, 4))
    powers = learner.learned["weight_powers" if keep == "uncertainty" else "exponents"]
    for i, name in enumerate(COLUMNS):
        assert np.all(column(result, name) > 0)
        for label in range(3):
            stratum = int(np.argmax(learner.learned["strata"] == f"label={label}"))
            power = int(powers[stratum, i])
            before, after = (column(e, name)[column(e, "label") == label] for e in (events, result))
            assert units(before, power) == units(after, power)
            # Such sums are exact in float64, in any order.
            assert float(after.sum()) == float(after[::-1].sum()) == np.ldexp(units(after, power), power)


def test_weights_of_all_are_in_proportion() -> None:
    events = toy()
    result = applied(taught(LEARNERS["sum"], [events]), [events])
    labels, which = LEARNERS["sum"].strata.codes(events[["label", "HT"]])
    assert np.array_equal(column(result, "event"), column(events, "event"))
    for group in range(len(labels)):
        before, after = (column(e, "weight")[which == group] for e in (events, result))
        assert np.allclose(after, np.abs(before) * before.sum() / np.abs(before).sum(), rtol=1e-9)


@pytest.mark.parametrize("equal", [False, True])
def test_as_many_rows_as_tell_as_much(equal: bool) -> None:
    events = toy()
    if equal:
        events = ak.with_field(events, np.copysign(2.5, events.weight), "weight")
    learner = taught(LEARNERS["uncertainty"], [events])
    result = applied(learner, divided(events, 3))
    for label in range(3):
        before, after = (column(e, "weight")[column(e, "label") == label] for e in (events, result))
        number = before.sum() ** 2 / np.square(before).sum()
        assert len(after) == round(number) if equal else len(after) >= round(number)
        # All have one weight, but for the few largest, which stay by themselves.
        assert np.sum(after > after.min() * (1 + 1e-9)) <= (0 if equal else len(after) / 4)
        assert np.square(after).sum() == pytest.approx(np.square(before).sum(), rel=1 / number)
        had = np.sum(column(events, "label") == label)
        train = column(result, "train_weight")[column(result, "label") == label]
        assert units(train, -32) == had * 2**32


def merged(n: int = 400) -> ak.Array:
    """Two slices of a spectrum: the upper half of HT has a hundredth of the weight, and one event in ten is negative."""
    events = toy(n)
    ht = np.where(np.arange(n) < n // 2, 100.0, 300.0) + np.arange(n) % 7
    weight = np.where(ht < 200, 100.0, 1.0) * np.where(np.arange(n) % 10 == 3, -1.0, 1.0)
    for name, values in {"HT": ht, "weight": weight, "weight_up": weight * (0.9 + np.arange(n) % 3 / 10)}.items():
        events = ak.with_field(events, values, name)
    return events


@pytest.mark.parametrize("make", [merged, lambda: toy(300), lambda: toy(40, seed=2)])
@pytest.mark.parametrize("name", COLUMNS)
def test_spectra_inside_a_stratum_stay_on_average(make: Any, name: str) -> None:
    events = make()
    size = np.abs(column(events, name))
    variable = column(events, "HT") if make is merged else size
    edges = np.array([200.0]) if make is merged else np.quantile(size, [0.3, 0.6, 0.9])
    inside = np.digitize(variable, edges)
    order = np.argsort(column(events, "event"))
    learner = da.PositiveResample(keep="uncertainty", weights=["weight", "weight_up"])
    found = []
    for seed in range(40 if make is merged else 80):
        setting = replace(SETTING, seed=seed)
        result = applied(taught(learner, [events], setting), [events], setting)
        rows = order[np.searchsorted(column(events, "event")[order], column(result, "event"))]
        found.append(np.bincount(inside[rows], column(result, name), len(edges) + 1))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    expected = np.bincount(inside, size, len(edges) + 1) * column(events, name).sum() / size.sum()
    number = np.square(column(events, name).sum()) / np.square(size).sum()
    # weight_up is weight times a number in [0.9, 1.2]: the bias of its ratio is its square over n.
    bias = 0.0 if name == "weight" else 0.09**2 / number * expected
    assert np.all(np.abs(np.mean(found, axis=0) - expected) <= 4.5 * error + bias + 1e-9 * size.sum())
    assert np.any(error > 0)


def test_which_rows_are_drawn_does_not_depend_on_partitions() -> None:
    events = toy(400)
    order = np.random.default_rng(5).permutation(400)
    first = table(applied(taught(LEARNERS["uncertainty"], [events]), [events]), *COLUMNS, "train_weight")
    for parts in (divided(events, 7), [events[order]]):
        assert table(applied(taught(LEARNERS["uncertainty"], parts), parts), *COLUMNS, "train_weight") == first


def test_strata_without_negative_weights_stay_as_they_are() -> None:
    events = toy()
    events = ak.with_field(events, np.where(events.label == 1, np.abs(events.weight), events.weight), "weight")
    result = applied(taught(da.PositiveResample(strata=["label"], keep="uncertainty"), [events]), [events])
    assert table(result[result.label == 1], *COLUMNS) == table(events[events.label == 1], *COLUMNS)
    assert np.sum(column(result, "label") == 0) < np.sum(column(events, "label") == 0)


def test_rows_of_weight_0_get_none() -> None:
    events = toy(400)
    empty = ak.with_field(events, np.where(events.event < 100, 0.0, events.weight), "weight")
    result = applied(taught(da.PositiveResample(keep="uncertainty"), [empty]), [empty])
    assert np.all(column(result, "event") >= 100)
    with pytest.raises(ValueError, match="100 rows of stratum 'all' have 'weight' 0 and another weight that is not"):
        taught(da.PositiveResample(keep="uncertainty", weights=["weight", "weight_up"]), [empty])


def test_the_spread_of_weights_is_reported() -> None:
    events = toy(400)
    size = np.abs(column(events, "weight"))
    (told,) = taught(da.PositiveResample(keep="uncertainty"), divided(events, 3)).report()
    assert told["weight_cv"] == pytest.approx(np.std(size) / np.mean(size), rel=1e-6)
    assert told["weight_bias"] == 0


def test_positive_weights_stay_bit_for_bit() -> None:
    events = toy(negative=0.0)
    result = applied(taught(LEARNERS["sum"], [events]), [events])
    assert table(result, *COLUMNS) == table(events, *COLUMNS)


def test_only_training_events_change() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    for learner in LEARNERS.values():
        result = applied(taught(learner, divided(events, 3), setting), [events], setting)
        assert table(result[result.split != 0], *COLUMNS) == table(events[events.split != 0], *COLUMNS)
        assert np.all(column(result[result.split == 0], "weight") > 0)


def test_weights_below_a_unit_beside_one_that_is_huge() -> None:
    """They are dropped as those of weight 0 are, and the sum stays."""
    events = toy(100)
    weight = np.where(np.arange(100) % 5 == 0, -1.0, 1.0)
    weight[7] = 1e30
    events = ak.with_field(events, weight, "weight")
    result = applied(taught(da.PositiveResample(keep="uncertainty"), [events]), [events])
    np.testing.assert_allclose(column(result, "weight"), [1e30], rtol=1e-15)


def test_errors() -> None:
    events = toy()
    negative = ak.with_field(events, np.where(events.label == 1, -1.0, 1.0), "weight")
    for keep in ("sum", "uncertainty"):
        with pytest.raises(ValueError, match=r"sum of 'weight' in stratum 'label=1' is -\d+, which positive"):
            taught(da.PositiveResample(strata=["label"], keep=keep), [negative])
        learner = taught(da.PositiveResample(strata=["label"], keep=keep), [events[events.label != 2]])
        with pytest.raises(UnknownStratum, match="'label=2'"):
            applied(learner, [events])
        with pytest.raises(ValueError, match="nothing to learn from"):
            taught(da.PositiveResample(keep=keep), [events[:0]])
        broken = ak.with_field(events, np.where(events.event < 4, np.nan, 1.0), "weight")
        with pytest.raises(ValueError, match=r"'weight' is NaN or infinite in 4 of [\d,]+ rows"):
            taught(da.PositiveResample(keep=keep), [broken])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"weights": "weight"}, TypeError, "weights must be a list"),
        ({"weights": ()}, ValueError, "weights must name at least one column"),
        ({"keep": "all"}, ValueError, "keep must be one of"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.PositiveResample(**arguments)


def test_rows_that_fit_no_place_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positive_resample, "_MOST", 100)
    with pytest.raises(ValueError, match=r'draws among 300 events .* and the limit is 100; say keep="sum"'):
        taught(da.PositiveResample(strata=["label"], keep="uncertainty"), divided(toy(300), 3))
