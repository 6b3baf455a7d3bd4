"""Weights of any size: their unit follows the data, and no sum is lost."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.sampling.units import EXACT, TRAIN_UNIT, exact_of, train_exponent
from sampling_toys import applied, column, divided, table, taught, toy

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(120, 3)), np.array([0] * 90 + [1] * 30)
SIZES: dict[str, np.ndarray[Any, Any]] = {
    "1e-10": RNG.random(120) * 1e-10,
    "1e-300": RNG.random(120) * 1e-300,
    "denormal": RNG.integers(1, 9, 120) * 5e-324,
    "5e7": RNG.random(120) * 1e8 + 5e7,
    "1e15": RNG.random(120) * 1e15,
    "1e300": RNG.random(120) * 1e300,
    "both": np.where(Y == 0, 1e12, 1e-12) * RNG.random(120),
    "spread": 10.0 ** RNG.uniform(-12, 12, 120),
    "with zeros": np.where(np.arange(120) % 3 == 0, 0.0, 1e-11),
}
METHODS = ("undersample", "oversample", "smote", "adasyn", "edited_nearest_neighbours", "smote_enn")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_sums_of_classes_come_back(method: str, size: str) -> None:
    weight = SIZES[size]
    for x in (X, pd.DataFrame(X, columns=list("abc"))):
        resampler = da.Resampler(method)
        _, classes = resampler.fit_resample(x, Y, sample_weight=weight)
        for label in (0, 1):
            before, after = (Fraction(0), Fraction(0))
            before = sum(map(Fraction, weight[label == Y].tolist()), before)
            after = sum(map(Fraction, resampler.sample_weight_[np.asarray(classes) == label].tolist()), after)
            assert abs(after / before - 1) < 1e-9
        assert np.all(resampler.sample_weight_ >= 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", ["conserve", "balance"])
def test_policies_hold_in_frames(size: str, policy: str) -> None:
    events = ak.with_field(toy(120), SIZES[size], "train_weight")
    events = ak.with_field(events, Y.astype(np.int8), "label")
    learner = da.Oversample(strata=["label"], train_weight=policy)
    whole = applied(taught(learner, [events]), [events])
    parts = divided(events, 5)
    assert table(applied(taught(learner, parts), parts), "train_weight") == table(whole, "train_weight")
    had, has = (
        [math.fsum(column(e, "train_weight")[column(e, "label") == c]) for c in (0, 1)] for e in (events, whole)
    )
    wanted = had if policy == "conserve" else [had[0] / 2 + had[1] / 2] * 2
    assert has == pytest.approx(wanted, rel=1e-9, abs=5e-324)


@pytest.mark.parametrize("size", SIZES)
def test_class_weights_of_any_size(size: str) -> None:
    events = ak.with_field(toy(120), SIZES[size], "train_weight")
    events = ak.with_field(events, Y.astype(np.int8), "label")
    result = applied(taught(da.ClassWeights(strata=["label"]), divided(events, 3)), [events])
    sums = [math.fsum(column(result, "train_weight")[column(result, "label") == c]) for c in (0, 1)]
    assert sums == pytest.approx([math.fsum(SIZES[size]) / 2] * 2, rel=1e-9, abs=0)


@pytest.mark.parametrize("factor", [1e-300, 1e-10, 1e15, 1e300])
def test_physics_weights_of_any_size(factor: float) -> None:
    events = toy(300)
    scaled = ak.with_field(events, events.weight * factor, "weight")
    for learner in (
        da.Undersample(strata=["label"]),
        da.PositiveResample(strata=["label"]),
        da.PositiveResample(keep="uncertainty"),
        da.TomekLinks(label="label", features=["HT"]),
    ):
        result = applied(taught(learner, [scaled]), [scaled])
        before, after = (math.fsum(column(e, "weight")) for e in (scaled, result))
        assert after == pytest.approx(before, rel=1e-9, abs=0)


def test_what_float64_cannot_hold_is_refused() -> None:
    weight = np.full(120, 1.7e308)
    words = (
        r"the sizes of 'train_weight' in stratum 'class=0' add up to 2\*\*1023 \(9e307\) or more, .*divide all weights"
    )
    with pytest.raises(ValueError, match=words):
        da.Resampler("oversample").fit_resample(X, Y, sample_weight=weight)
    events = ak.with_field(toy(10), np.full(10, -1e308), "weight")
    with pytest.raises(ValueError, match=r"the sizes of 'weight' in stratum 'all' add up to 2\*\*1023"):
        taught(da.Undersample(sampling_strategy={"all": 3}), [events])


@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=40))
def test_sums_are_not_rounded(weights: list[float]) -> None:
    which = np.arange(len(weights)) % 3
    sums, finest = exact_of(np.array(weights), which, 3)
    for group in range(3):
        mine = [Fraction(w) for w, g in zip(weights, which, strict=True) if g == group]
        assert sums[group] * Fraction(2) ** EXACT == sum(mine)
        assert all((w / Fraction(2) ** finest[group]).denominator == 1 for w in mine)
        if any(mine):
            assert any((w / Fraction(2) ** (finest[group] + 1)).denominator > 1 for w in mine)


def test_the_unit_is_the_usual_one_where_it_does() -> None:
    assert train_exponent(1000 << 1100, 0) == TRAIN_UNIT  # a thousand rows of weight 1
    assert train_exponent(1000 << 1100, TRAIN_UNIT) == TRAIN_UNIT
    assert train_exponent(1000 << 1100, TRAIN_UNIT - 1) == 10 - 52
    assert train_exponent(2**30 << 1100, 0) == 30 - 52


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-1.0, "below 0")]
)
def test_what_is_no_weight_is_told_by_its_name(value: float, what: str) -> None:
    weight = np.where(np.arange(120) < 3, value, 1.0)
    with pytest.raises(ValueError, match=f"sample_weight is {what} in 3 of 120 rows; .* leave those rows out"):
        da.Resampler("oversample").fit_resample(X, Y, sample_weight=weight)
