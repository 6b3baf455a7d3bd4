from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from dask_augment.kernels import elementary

RNG = np.random.default_rng(5)
MANY = 200_000


def over(function: Any) -> Callable[..., Any]:
    """The function in a loop over arrays."""
    if function is elementary.polar_angle:

        @njit(error_model="numpy")
        def two(a, b, out):
            for i in range(len(a)):
                out[i, 0] = function(a[i], b[i])
    elif function is elementary.sin_cos:

        @njit(error_model="numpy")
        def one(a, out):
            for i in range(len(a)):
                out[i, 0], out[i, 1] = function(a[i])
    else:

        @njit(error_model="numpy")
        def one(a, out):
            for i in range(len(a)):
                out[i, 0] = function(a[i])

    def run(*arguments: Any) -> Any:
        arrays = [np.atleast_1d(np.asarray(argument, np.float64)) for argument in arguments]
        out = np.empty((len(arrays[0]), 2))
        (two if len(arrays) == 2 else one)(*arrays, out)
        return out.T

    return run


EXP, LOG, SIN_COS, ANGLE = map(over, (elementary.exp, elementary.log, elementary.sin_cos, elementary.polar_angle))


def close(found: Any, expected: Any, absolute: float = 0.0) -> None:
    """Two units in the last place, or ``absolute``."""
    assert np.all(np.abs(found - expected) <= np.maximum(2 * np.spacing(np.abs(expected)), absolute))


@pytest.mark.parametrize("most", [1e-3, 1.0, 8.0, 699.0])
def test_exp(most: float) -> None:
    x = RNG.uniform(-most, most, MANY)
    close(EXP(x)[0], np.exp(x))


def test_exp_is_cut() -> None:
    assert np.array_equal(EXP([1e4, -1e4, np.inf, -np.inf])[0], EXP([700, -700, 700, -700])[0])
    assert np.all(np.isfinite(EXP([1e4, -1e4])[0]))


@pytest.mark.parametrize("most", [0.1, 10.0, 600.0])
def test_log(most: float) -> None:
    x = np.exp(RNG.uniform(-most, most, MANY))
    close(LOG(x)[0], np.log(x), 2.3e-16)
    assert LOG([1.0])[0] == 0.0


@pytest.mark.parametrize("most", [4.0, 100.0, 1e6])
def test_sin_cos(most: float) -> None:
    x = np.concatenate([RNG.uniform(-most, most, MANY), np.arange(-8, 9) * np.pi / 4])
    sine, cosine = SIN_COS(x)
    close(sine, np.sin(x), 2.3e-16)
    close(cosine, np.cos(x), 2.3e-16)


def test_too_large_an_angle_is_nan() -> None:
    assert np.isnan(SIN_COS([1.1e6, -1e300, np.inf])).all()


def test_polar_angle() -> None:
    y, x = RNG.normal(size=(2, MANY)) * 10 ** RNG.uniform(-5, 5, (2, MANY))
    close(ANGLE(y, x)[0], np.arctan2(y, x), 2.3e-16)


def test_polar_angle_on_the_axes() -> None:
    y, x = np.array([(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1)], float).T
    close(ANGLE(y, x)[0], np.arctan2(y, x))


def test_nan_stays() -> None:
    assert np.isnan(EXP(np.nan)[0])
    assert np.isnan(LOG(np.nan)[0])
    assert np.isnan(SIN_COS(np.nan)).all()
    assert np.isnan(ANGLE([np.nan, 1, np.nan], [1, np.nan, np.nan])[0]).all()
