"""Rounding to a few bits of the mantissa, against the definition in whole numbers, and seeing how many there are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.mantissa import rounded, stored_bits


def defined(value: float, bits: int) -> float:
    """The nearest number of so many bits, halves away from zero, by exact arithmetic on Python's floats."""
    fraction, exponent = math.frexp(value)
    whole = math.floor(abs(fraction) * 2 ** (bits + 1) + 0.5)
    return math.copysign(math.ldexp(whole, exponent - bits - 1), value)


@given(value=st.floats(2.0**-100, 2.0**100, width=32), negative=st.booleans(), bits=st.integers(1, 22))
def test_as_defined(value: float, negative: bool, bits: int) -> None:
    value = -value if negative else value
    found = rounded(np.array([value], np.float32), bits)
    assert found.dtype == np.float32
    assert float(found[0]) == defined(value, bits)
    assert rounded(found, bits)[0] == found[0]
    assert abs(found[0] - value) <= abs(value) * 2.0 ** (-bits - 1)


def test_halves_go_away_from_zero() -> None:
    one, step = np.float32(1), np.float32(2.0**-10)
    halves = np.array([one + step / 2, one + 3 * step / 2, -one - step / 2], np.float32)
    assert rounded(halves, 10).tolist() == [1 + 2**-10, 1 + 2 * 2**-10, -1 - 2**-10]


def test_odd_numbers() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    np.testing.assert_array_equal(rounded(odd, 8).view(np.uint32), odd.view(np.uint32))
    every = np.frombuffer(np.array([0x7FFFFFFF, 0xFFFFFFFF], np.uint32).tobytes(), np.float32)
    assert np.isnan(rounded(every, 8)).all()
    assert rounded(np.empty(0, np.float32), 8).size == 0


@pytest.mark.parametrize("bits", [6, 10, 12, 22])
def test_bits_are_seen(bits: int) -> None:
    rng = np.random.default_rng(bits)
    values = rng.lognormal(3, 1, 500).astype(np.float32) * rng.choice([-1, 1], 500).astype(np.float32)
    stored = np.concatenate([rounded(values, bits), np.array([np.nan, np.inf, 0], np.float32)])
    assert stored_bits(stored) == bits
    assert stored_bits(stored.astype(np.float64)) == bits
    assert stored_bits(np.append(stored, np.float32(1 / 3))) is None


def test_nothing_is_told() -> None:
    rng = np.random.default_rng(1)
    assert stored_bits(rng.normal(size=500)) is None  # float64
    assert stored_bits(rng.normal(size=500).astype(np.float32)) is None
    assert stored_bits(rounded(rng.normal(size=50).astype(np.float32), 10)) is None  # too few
    assert stored_bits(np.arange(30.0).repeat(10)) is None  # whole numbers
    assert stored_bits(np.full(500, 30.0)) is None
    assert stored_bits(np.zeros(500)) is None
    assert stored_bits(np.full(500, 1e300)) is None
    assert stored_bits(np.empty(0)) is None
