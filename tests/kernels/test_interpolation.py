from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.interpolation import interpolated, modes, positions


@given(st.integers(0, 2**32 - 1))
def test_positions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.unique(rng.integers(0, 4, (30, 3)).astype(np.uint64) + np.uint64(2**63), axis=0)
    rows = rng.integers(0, 5, (40, 3)).astype(np.uint64) + np.uint64(2**63)
    known = {tuple(row): i for i, row in enumerate(table.tolist())}
    assert positions(table, rows).tolist() == [known.get(tuple(row), -1) for row in rows.tolist()]


def test_no_table() -> None:
    assert positions(np.zeros((0, 2), np.uint64), np.zeros((3, 2), np.uint64)).tolist() == [-1, -1, -1]


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_between_its_parents(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    values, table = (np.exp(rng.normal(0, 20, 50)).astype(dtype) for _ in range(2))
    source, other = rng.integers(0, 50, 80), rng.integers(-1, 50, 80)
    share = np.where(rng.random(80) < 0.3, 1 - 2.0**-53, rng.random(80))
    out = np.empty(80, dtype)
    interpolated(values, table, source, other, share, out)
    x, y = values[source], table[other]
    assert np.all((np.minimum(x, y) <= out) & (out <= np.maximum(x, y)) | (other < 0))
    assert np.array_equal(out[other < 0], x[other < 0])
    a, b = x.astype(np.float64), y.astype(np.float64)
    straight = np.clip(a + share * (b - a), np.minimum(a, b), np.maximum(a, b)).astype(dtype)
    assert np.array_equal(out[other >= 0], straight[other >= 0])


@pytest.mark.parametrize(("x", "y"), [(1.4, -1.26), (0.1, -0.3), (-1.33, 0.1)])
def test_rounding_leads_not_beyond_its_parents(x: float, y: float) -> None:
    """At the end of the way x + (y - x) itself is rounded to a number beyond y; shares below 1 never get there."""
    straight = x + 1.0 * (y - x)
    assert not min(x, y) <= straight <= max(x, y)
    out = np.empty(1)
    interpolated(np.array([x]), np.array([y]), np.array([0]), np.array([0]), np.array([1.0]), out)
    assert out.tolist() == [y]


@given(st.integers(0, 2**32 - 1))
def test_modes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-2, 3, 20)
    neighbours = rng.integers(0, 20, (20, 5)).astype(np.int32)
    found = rng.integers(1, 6, 20).astype(np.int32)
    values, number = modes(codes, neighbours, found, np.arange(20))
    for i in range(20):
        there, times = np.unique(codes[neighbours[i, : found[i]]], return_counts=True)
        assert values[i, : number[i]].tolist() == there[times == times.max()].tolist()
