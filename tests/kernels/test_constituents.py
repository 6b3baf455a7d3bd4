from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.constituents import linked, momenta
from jet_toys import four_momenta

NONE = np.empty(0)


def test_momenta() -> None:
    rng = np.random.default_rng(1)
    pt, phi, mass = rng.exponential(20, 500), rng.uniform(-np.pi, np.pi, 500), rng.choice([0.0, 0.14, 5.0], 500)
    y = rng.normal(0, 2, 500)
    expected = four_momenta(pt, y, phi, mass)
    eta = np.arcsinh(expected[:, 2] / pt)
    places = rng.integers(0, 500, 800)
    found = momenta(pt, eta, phi, mass, NONE, places)
    np.testing.assert_allclose(found, expected[places], rtol=1e-12, atol=1e-13)
    weights = rng.random(500)
    weighted = momenta(pt, eta, phi, mass, weights, places)
    np.testing.assert_allclose(weighted, (expected * weights[:, None])[places], rtol=1e-12, atol=1e-13)


def test_negative_masses() -> None:
    """E**2 = p**2 - m**2 for them, 0 where rounding leaves less, and no number where much less is left."""
    ones = np.ones(3)
    found = momenta(5 * ones, 0 * ones, 0 * ones, np.array([-3.0, -5.000001, -6.0]), NONE, np.arange(3))
    np.testing.assert_array_equal(found[:, 3], [4.0, 0.0, np.nan])


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(at: int, bad: float) -> None:
    values = [np.ones(2) for _ in range(5)]
    values[at][0] = bad
    found = momenta(*values, np.arange(2))
    assert np.all(np.isnan(found[0]))
    assert np.all(np.isfinite(found[1]))


events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 8)), max_size=5)


@given(events, st.integers(0, 2**32 - 1), st.booleans())
def test_links(sizes: list[tuple[int, int, int]], seed: int, weighted: bool) -> None:
    """As a loop over links in Python: any order, none, several of one particle, and weights of 0."""
    rng = np.random.default_rng(seed)
    jets, particles, links = (
        (np.array(numbers, np.int64) for numbers in zip(*sizes, strict=True)) if sizes else [NONE] * 3
    )
    offsets = [np.concatenate([[0], np.cumsum(counts)]).astype(np.int64) for counts in (links, jets, particles)]
    of_jet = np.concatenate([NONE, *(rng.integers(-1, j, n) for j, _, n in sizes)]).astype(np.int64)
    of_particle = np.concatenate([NONE, *(rng.integers(-1, p, n) for _, p, n in sizes)]).astype(np.int64)
    weights = rng.choice([0.0, 0.5, np.nan], offsets[2][-1]) if weighted else NONE
    expected: list[list[int]] = [[] for _ in range(offsets[1][-1])]
    for event in range(len(sizes)):
        for link in range(offsets[0][event], offsets[0][event + 1]):
            jet, particle = of_jet[link], of_particle[link] + offsets[2][event]
            if jet >= 0 and of_particle[link] >= 0 and (not weighted or weights[particle] != 0):
                expected[offsets[1][event] + jet].append(int(particle))
    ends, places, bad = linked(of_jet, of_particle, *offsets, weights)
    assert bad == -1
    assert [places[ends[i] : ends[i + 1]].tolist() for i in range(len(ends) - 1)] == expected


@pytest.mark.parametrize(
    ("jets", "particles", "bad"),
    [([0, 1, 2], [0, 0, 0], 2), ([0, -2, 0], [0, 0, 0], 1), ([0, 0, 0], [3, 0, 0], 0), ([0, 0, 0], [0, 0, -2], 2)],
)
def test_links_beyond(jets: Any, particles: Any, bad: int) -> None:
    offsets = (np.array([0, 3]), np.array([0, 2]), np.array([0, 3]))
    assert linked(np.array(jets), np.array(particles), *offsets, NONE)[2] == bad
