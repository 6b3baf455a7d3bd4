from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from scipy import stats

import dask_augment as da
from dask_augment.events.strata import UnknownStratum
from sampling_toys import SETTING, applied, column, divided, table, taught, toy

COPIES = da.Repeat(n=2)
STEP = da.Smooth(features=["HT", "logw"], strata=["label"])


def featured(n: int = 3000) -> ak.Array:
    """Toy events with a second feature (float64), and two copies of each."""
    events = ak.with_field(toy(n), np.log(np.abs(column(toy(n), "weight"))), "logw")
    return da.augment(events, COPIES, seed=7, dataset="toy", split=None)


@pytest.mark.parametrize("shrinkage", [0.0, 0.5, 1.0])
def test_copies_move_by_normal_noise_of_the_kernel_width(shrinkage: float) -> None:
    events = featured()
    result = applied(taught(replace(STEP, shrinkage=shrinkage), divided(events, 3)), divided(events, 5))
    assert ak.type(result.HT) == ak.type(events.HT)
    kind = column(events, "augment_kind")
    assert np.array_equal(kind, column(result, "augment_kind"))
    noise = []
    for name in ("HT", "logw"):
        before, after = (column(e, name).astype(np.float64) for e in (events, result))
        assert np.array_equal(before[kind == 0], after[kind == 0]), "originals stay"
        if shrinkage == 0:
            assert np.array_equal(before, after)
            continue
        for label in range(3):
            here = column(events, "label") == label
            original = before[here & (kind == 0)]
            width = shrinkage * (4 / (4 * len(original))) ** (1 / 6) * original.std()
            noise.append((after - before)[here & (kind == 1)] / width)
            assert stats.kstest(noise[-1], "norm").pvalue > 1e-3
            # The moment law: the variance grows by the square of the width.
            ratio = after[here & (kind == 1)].var() / original.var()
            assert ratio == pytest.approx(1 + (width / original.std()) ** 2, rel=0.12)
    if noise:
        assert abs(np.corrcoef(np.concatenate(noise[:3]), np.concatenate(noise[3:]))[0, 1]) < 0.05


def test_smoothed_bootstrap() -> None:
    events = toy(900)
    steps: list[da.Augmenter] = []
    for step in (
        da.Oversample(strata=["label"], multiplicity="bootstrap"),
        da.Smooth(features=["HT"], strata=["label"]),
    ):
        steps.append(da.learn(events, step, *steps, seed=7, dataset="toy", split=None))
    result = da.augment(events, *steps, seed=7, dataset="toy", split=None)
    copies = column(result, "augment_kind") == 1
    assert np.all(column(result, "weight")[copies] == 0)
    assert len(np.unique(column(result, "HT"))) > 0.99 * len(result), "no two rows are alike"
    assert np.all(column(result, "augment_changed")[copies] == 2)
    # Silverman's width, with the number of originals, which copies do not change.
    few = column(events, "HT")[column(events, "label") == 2].astype(np.float64)
    expected = (4 / (3 * len(few))) ** 0.2 * few.std()
    assert steps[1].learned["widths"][2, 0] == pytest.approx(expected, rel=1e-7)


def test_originals_where_asked_for() -> None:
    events = toy(300)
    moved = applied(taught(replace(STEP, features=["HT"], originals=True), [events]), [events])
    assert np.mean(column(moved, "HT") != column(events, "HT")) > 0.99
    one = events[:1]
    assert table(applied(taught(replace(STEP, features=["HT"]), [one]), [one]), "HT") == table(one, "HT"), "no width"


def test_only_training_copies_move() -> None:
    events = ak.with_field(featured(), np.repeat(np.array([0, 1, 2], np.int8), 3000), "split")
    setting = replace(SETTING, split="split")
    result = applied(taught(STEP, divided(events, 3), setting), [events], setting)
    assert table(result[result.split != 0], "HT") == table(events[events.split != 0], "HT")
    assert table(result[result.split == 0], "HT") != table(events[events.split == 0], "HT")


def test_errors() -> None:
    events = featured(300)
    learner = taught(STEP, [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2'"):
        applied(learner, [events])
    with pytest.raises(ValueError, match=r"\['label=0', 'label=1', 'label=2'\] have copies but no original events"):
        taught(STEP, [events[events.augment_kind == 1]])
    broken = ak.with_field(events, np.where(column(events, "event") < 4, np.nan, 1.0), "logw")
    with pytest.raises(ValueError, match="'logw' is NaN or infinite in 4 rows"):
        taught(STEP, [broken])
    with pytest.raises(
        TypeError, match="feature 'label' must be one float for each event, it is int8; make it float first, define: "
    ):
        applied(taught(da.Smooth(features=["label"]), [events]), [events])
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(STEP, [events[:0]])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"features": "HT"}, TypeError, "features must be a list"),
        ({"features": []}, ValueError, "at least one"),
        ({"features": ["HT", "HT"]}, ValueError, "a column twice"),
        ({"features": ["HT", "genWeight"]}, ValueError, r"names the weights \['genWeight'\]: copies have weight 0"),
        ({"features": ["train_weight"]}, ValueError, r"names the weights \['train_weight'\]"),
        ({"features": ["HT"], "shrinkage": -1}, ValueError, "shrinkage must be a number, 0 or more, got -1"),
        ({"features": ["HT"], "shrinkage": "auto"}, ValueError, "shrinkage must be a number"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.Smooth(**arguments)
