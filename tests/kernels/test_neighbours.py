from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from dask_augment.kernels.neighbours import crowded, nearest

WAYS = ["tree", "products"]


def plainly(points: NDArray[np.float64], queries: NDArray[np.float64], k: int, own: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # fmt: skip
    """All distances, sorted with ties in the order of rows."""
    distances = np.zeros((len(queries), len(points)))
    for f in range(points.shape[1]):
        distances += (queries[:, f, None] - points[None, :, f]) ** 2
    has = np.flatnonzero(own >= 0)
    distances[has, own[has]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("n", "d"), [(7, 1), (64, 3), (129, 2), (1000, 5), (2500, 20)])
def test_bit_for_bit_against_all_distances(way: str, n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    points = np.exp(rng.normal(size=(n, d))) * 10.0 ** rng.integers(-3, 4, d)
    asked = rng.permutation(n)[:200]
    distances, rows = nearest(points, points[asked], 6, own=asked, way=way)
    expected = plainly(points, points[asked], 6, asked)
    assert np.array_equal(rows, expected[1])
    assert np.array_equal(distances, expected[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("features", [8, 60])
def test_same_as_sklearn(way: str, features: int) -> None:
    points = np.random.default_rng(0).normal(size=(2000, features))
    _, rows = nearest(points, points, 5, own=np.arange(len(points)), way=way)
    theirs = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points).kneighbors(points, return_distance=False)
    assert np.array_equal(rows, theirs[:, 1:])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    d=st.integers(1, 4),
    k=st.integers(1, 7),
    levels=st.integers(1, 5),
)
def test_ties_go_by_row(seed: int, n: int, d: int, k: int, levels: int) -> None:
    points = np.random.default_rng(seed).integers(0, levels, (n, d)).astype(np.float64)
    own = np.arange(n)
    expected = plainly(points, points, k, own)[1]
    for way in WAYS:
        rows = nearest(points, points, k, own=own, way=way)[1]
        there = min(k, n - 1)
        assert np.array_equal(rows[:, :there], expected[:, :there])
        assert np.all(rows[:, there:] == -1)


@pytest.mark.parametrize("way", WAYS)
def test_blocks_merge_to_the_whole(way: str) -> None:
    """What lies within the k-th distance of one block, and the best of both, are the best of all."""
    rng = np.random.default_rng(3)
    points = rng.integers(0, 9, (1500, 3)).astype(np.float64)
    whole = nearest(points, points[:100], 5, way=way)
    first = nearest(points[:700], points[:100], 5, way=way)
    second = nearest(points[700:], points[:100], 5, within=first[0][:, -1], way=way)
    distances = np.concatenate([first[0], second[0]], axis=1)
    rows = np.concatenate([first[1], np.where(second[1] >= 0, second[1] + 700, 10**6)], axis=1)
    order = np.lexsort((rows, distances), axis=1)[:, :5]
    assert np.array_equal(np.take_along_axis(rows, order, axis=1), whole[1])
    assert np.all(second[0][second[1] >= 0] <= np.broadcast_to(first[0][:, -1:], second[0].shape)[second[1] >= 0])


@pytest.mark.parametrize("way", WAYS)
def test_distinct_and_own(way: str) -> None:
    points = np.repeat(np.arange(4.0), 3)[:, None]
    own = np.arange(12)
    assert np.array_equal(nearest(points, points, 2, own=own, way=way)[1][:3], [[1, 2], [0, 2], [0, 1]])
    distances, rows = nearest(points, points, 4, own=own, distinct=True, way=way)
    assert np.all(distances > 0)
    assert rows[0].tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1e30, 1e140])
def test_far_from_zero_and_of_any_size(way: str, scale: float) -> None:
    """The bounds of float32 hold where float32 itself could not: they rule out less, but nothing wrongly."""
    rng = np.random.default_rng(4)
    points = scale * (1e6 + rng.normal(size=(300, 4)))
    points[0] = scale * 1e9
    own = np.arange(300)
    assert np.array_equal(nearest(points, points, 5, own=own, way=way)[1], plainly(points, points, 5, own)[1])


def test_a_way_is_chosen_and_the_result_is_the_same() -> None:
    rng = np.random.default_rng(5)
    for points in (rng.normal(size=(2000, 2)), rng.normal(size=(2000, 20)), rng.normal(size=(1001, 257))):
        got = nearest(points, points, 3)
        for way in WAYS:
            assert all(np.array_equal(a, b) for a, b in zip(got, nearest(points, points, 3, way=way), strict=True))


def test_nothing_to_seek() -> None:
    distances, rows = nearest(np.zeros((0, 2)), np.zeros((3, 2)), 2)
    assert np.all(np.isinf(distances))
    assert np.all(rows == -1)
    assert nearest(np.zeros((3, 2)), np.zeros((0, 2)), 2)[1].shape == (0, 2)
    assert np.array_equal(nearest(np.zeros((2, 2)), np.zeros((1, 2)), 3)[1], [[0, 1, -1]])


def test_no_numbers() -> None:
    with pytest.raises(ValueError, match="finite"):
        nearest(np.array([[0.0], [np.inf]]), np.zeros((1, 1)), 1)
    with pytest.raises(ValueError, match="finite"):
        nearest(np.array([[0.0], [np.nan]]), np.zeros((1, 1)), 1)


@pytest.mark.parametrize("way", WAYS)
def test_categories_that_differ_add_to_the_distance(way: str) -> None:
    rng = np.random.default_rng(6)
    points, codes = rng.normal(size=(1500, 3)), rng.integers(0, 3, (1500, 2))
    own = np.arange(1500)
    hot = [0.8 / np.sqrt(2) * (codes[:, c, None] == np.arange(3)) for c in range(2)]
    _, rows = nearest(points, points, 4, own=own, categories=(codes, codes, 0.8**2), way=way)
    assert np.array_equal(rows, plainly(np.concatenate([points, *hot], axis=1), np.concatenate([points, *hot], axis=1), 4, own)[1])  # fmt: skip


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    d=st.sampled_from([1, 2, 7, 8, 9, 40]),
    k=st.integers(1, 6),
    shift=st.sampled_from([0.0, 1.0, 1e5]),
)
def test_any_scales_constants_and_copies(seed: int, n: int, d: int, k: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.normal(size=(n, d)) + shift) * 10.0 ** rng.integers(-8, 9, d) * (rng.random(d) < 0.8)
    points[rng.random(n) < 0.2] = points[0]
    points[rng.random(n) < 0.2] *= 1 + 1e-15
    own = np.arange(n)
    distances, rows = plainly(points, points, k, own)
    there = min(k, n - 1)
    for way in WAYS:
        found = nearest(points, points, k, own=own, way=way)
        assert np.array_equal(found[1][:, :there], rows[:, :there])
        assert np.array_equal(found[0][:, :there], distances[:, :there])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [1, 2, 8, 20])
@pytest.mark.parametrize("step", [1e-13, 1e-10, 1e-7])
def test_points_that_float32_cannot_tell_apart(way: str, d: int, step: float) -> None:
    """All are nearly as far from the queries: were bounds wrong by as little as their rounding, some would be missed."""
    rng = np.random.default_rng(7)
    away = rng.normal(size=(2000, d))
    points = away / np.linalg.norm(away, axis=1)[:, None] * (1 + step * rng.permutation(2000))[:, None]
    queries = 1e-9 * rng.normal(size=(20, d))
    points[-100:] += 300.0  # the centre, and with it the largest rounding, is elsewhere
    distances, rows = nearest(points, queries, 9, way=way)
    expected = plainly(points, queries, 9, np.full(20, -1))
    assert np.array_equal(rows, expected[1])
    assert np.array_equal(distances, expected[0])


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 300), d=st.integers(1, 9), k=st.integers(1, 5))
def test_crowded_counts_what_is_nearer(seed: int, n: int, d: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 5, (n, d)).astype(np.float64)
    own, radius, before = np.arange(n), rng.integers(0, 9, n).astype(np.float64), rng.integers(0, n + 1, n)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    counts = (distances < radius[:, None]) | ((distances == radius[:, None]) & (own[None] < before[:, None]))
    counts[own, own] = False
    for way in WAYS:
        assert np.array_equal(crowded(points, points, k, radius, before, own=own, way=way), counts.sum(axis=1) >= k)


@pytest.mark.parametrize("way", WAYS)
def test_two_threads_at_once(way: str) -> None:
    rng = np.random.default_rng(8)
    points, own, barrier = rng.normal(size=(4000, 5)), np.arange(4000), Barrier(2)

    def seek(_: int) -> list[NDArray[np.int64]]:
        barrier.wait()
        return [nearest(points, points, 4, own=own, way=way)[1] for _ in range(3)]

    alone = nearest(points, points, 4, own=own, way=way)[1]
    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(seek, range(2)):
            assert all(np.array_equal(rows, alone) for rows in found)
