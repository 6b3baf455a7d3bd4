from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_augment.kernels.coincident import places_of, ranked
from dask_augment.kernels.neighbours import nearest


def test_places_are_numbered_by_their_first_row() -> None:
    points = np.array([[2.0, 1.0], [0.0, 5.0], [2.0, 1.0], [-0.0, 5.0], [2.0, 0.0]])
    places = places_of(points)
    assert places.of.tolist() == [0, 1, 0, 1, 2]
    assert places.starts.tolist() == [0, 2, 4, 5]
    assert places.members.tolist() == [0, 2, 1, 3, 4]
    assert places.firsts.tolist() == [0, 1, 4]


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    d=st.integers(1, 4),
    k=st.integers(1, 7),
    levels=st.integers(1, 5),
    distinct=st.booleans(),
)
def test_the_nearest_places_hold_the_nearest_rows(
    seed: int, n: int, d: int, k: int, levels: int, distinct: bool
) -> None:
    points = np.random.default_rng(seed).integers(0, levels, (n, d)).astype(np.float64)
    places = places_of(points)
    different = points[places.firsts]
    assert len(different) == len(np.unique(points, axis=0))
    near = nearest(different, different, k, own=np.arange(len(different)))[1]
    expected = nearest(points, points, k, own=np.arange(n), distinct=distinct)[1]
    assert np.array_equal(ranked(points, places, near, k, distinct=distinct), expected)


@pytest.mark.parametrize("distinct", [False, True])
def test_only_what_is_near_is_ranked(distinct: bool) -> None:
    points = np.array([[0.0], [1.0], [2.0], [4.0]])
    near = np.array([[3, 2], [-1, -1], [0, 3], [-1, 0]])
    rows = ranked(points, places_of(points), near, 2, distinct=distinct)
    assert rows.tolist() == [[2, 3], [-1, -1], [0, 3], [0, -1]]
