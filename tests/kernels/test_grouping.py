from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dask_augment.kernels.grouping import distinct, exact_sums, first_keys, in_windows, within

KINDS = ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]


@given(st.sampled_from(KINDS).flatmap(lambda kind: hnp.arrays(kind, st.integers(0, 40))))
def test_distinct_as_unique(values: Any) -> None:
    found, which = distinct(values)
    expected, places = np.unique(values, return_inverse=True)
    assert (
        found.tolist() == expected.astype(object).tolist()
        if values.dtype != bool
        else found.tolist() == expected.astype(int).tolist()
    )
    assert np.array_equal(which, places.reshape(-1))


@pytest.mark.parametrize("values", [[5], [-3, 7, -3], [2**40, 0], [0, 2**16], [2**63 - 1, 2**63 - 1]])
def test_distinct_of_ranges(values: list[int]) -> None:
    found, which = distinct(np.array(values))
    assert found.tolist() == sorted(set(values))
    assert found[which].tolist() == values


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=30)


def columns(rows: list[tuple[int, int]]) -> Any:
    which, keys = np.array(rows, np.int64).reshape(-1, 2).T
    return np.ascontiguousarray(which), keys.astype(np.uint64)


@given(ROWS)
def test_first_keys(rows: list[tuple[int, int]]) -> None:
    number, first, times = first_keys(*columns(rows), 3)
    for group in range(3):
        keys = [key for g, key in rows if g == group]
        assert number[group] == len(keys)
        assert first[group] == min(keys, default=2**64 - 1)
        assert times[group] == (keys.count(min(keys)) if keys else 0)


@given(ROWS, st.integers(0, 9), st.integers(0, 9))
def test_windows(rows: list[tuple[int, int]], low: int, high: int) -> None:
    borders = [(low, high), (0, 9), (1, 0)]
    lows, highs = (np.array(border, np.uint64) for border in zip(*borders, strict=True))
    below, inside = in_windows(*columns(rows), lows, highs)
    assert inside.tolist() == [i for i, (g, key) in enumerate(rows) if borders[g][0] <= key <= borders[g][1]]
    assert below.tolist() == [sum(g == group and key < borders[group][0] for g, key in rows) for group in range(3)]


@given(ROWS, st.lists(st.integers(0, 9), min_size=3, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))
def test_within(rows: list[tuple[int, int]], last: list[int], some: list[bool]) -> None:
    found = within(*columns(rows), np.array(last, np.uint64), np.array(some))
    assert found.tolist() == [some[g] and key <= last[g] for g, key in rows]


@given(st.lists(st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 2))))
def test_exact_sums(rows: list[tuple[int, int]]) -> None:
    units, which = np.array(rows, np.int64).reshape(-1, 2).T
    assert exact_sums(units, which, 3) == [sum(unit for unit, group in rows if group == g) for g in range(3)]


def test_exact_sums_do_not_overflow() -> None:
    assert exact_sums(np.full(5000, 2**53 - 1), np.zeros(5000, np.int64), 1) == [5000 * (2**53 - 1)]
