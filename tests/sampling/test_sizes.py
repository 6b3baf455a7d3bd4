"""Features of any size have the neighbours that they have in another unit, or are refused."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events.strata import Strata
from dask_augment.sampling.census import ByGroup, Ints
from dask_augment.sampling.deviations import Spread, standard_deviations
from interpolation_toys import FEATURES, classes
from sampling_toys import column, taught

EVENTS = classes(300, fractions=(0.8, 0.2))


def scaled(powers: tuple[int, ...]) -> ak.Array:
    """The events with features times powers of two."""
    events = EVENTS
    for name, power in zip(FEATURES, powers, strict=True):
        events = ak.with_field(events, np.ldexp(column(EVENTS, name).astype(np.float64), power), name)
    return events


@pytest.mark.parametrize("powers", [(-1000, -1000), (900, 900), (600, 600), (-600, 0), (400, -400)])
def test_scales_of_any_size(powers: tuple[int, ...]) -> None:
    powers = tuple(powers[i % 2] for i in range(len(FEATURES)))
    step = da.Smote(strata=["label"], features=FEATURES, weights=())
    expected, found = (taught(step, [scaled(each)]).learned["neighbours"] for each in ((0,) * len(FEATURES), powers))
    assert np.array_equal(expected, found)


@pytest.mark.parametrize("power", [-600, 600])
def test_squares_that_float64_cannot_hold_are_refused(power: int) -> None:
    step = da.Smote(strata=["label"], features=FEATURES, weights=(), scale=None)
    with pytest.raises(ValueError, match=r"features in units of their scales .* take other units, or scale='std'"):
        taught(step, [scaled((power,) * len(FEATURES))])


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1.0, 1e160, 1.5e308])
def test_standard_deviations_of_any_size(size: float) -> None:
    events = ak.Array({"x": np.array([-size, size])})
    measure = Spread(strata=Strata(), variable="x")
    assert standard_deviations(measure.measure(events, None), "x")["all"] == pytest.approx(size, rel=1e-8)
    none: ByGroup[Ints] = ByGroup({"all": Ints((0, 0, 0, 0))})
    assert np.isnan(standard_deviations(none, "x")["all"])
