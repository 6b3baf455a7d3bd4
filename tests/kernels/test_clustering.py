from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.clustering import cluster, rapidity
from jet_toys import counted_jets, fastjet_pts, four_momenta, jet_pts, toy_jets

KT, CAMBRIDGE, ANTIKT = 1, 0, -1

# By fastjet 3.5.2: how many jets each set of `counted_jets` has, and pT of the three hardest of its last set [GeV].
FROZEN = {
    (1, 0.3): ([9, 11, 0, 1, 16, 17, 13], [370.2584475600586, 353.8094870253247, 319.1804397777812]),
    (0, 0.4): ([5, 9, 0, 1, 10, 10, 9], [567.7323832388378, 503.06995131142145, 377.1700305963984]),
    (-1, 0.4): ([6, 10, 0, 1, 10, 9, 11], [571.7986474167136, 570.743862801002, 437.2476423450688]),
    (-1, 1.0): ([1, 2, 0, 1, 3, 3, 3], [2283.5779096110446, 42.1941868096542, 3.785546698839697]),
}


def of_set(p4: Any, labels: Any, offsets: Any, number: int) -> tuple[Any, Any]:
    inside = slice(offsets[number], offsets[number + 1])
    return p4[inside], labels[inside]


@pytest.mark.parametrize("radius", [0.3, 1.0])
@pytest.mark.parametrize("power", [KT, CAMBRIDGE, ANTIKT])
def test_as_fastjet(power: int, radius: float) -> None:
    p4, offsets = toy_jets(2500)
    expected = fastjet_pts(p4, offsets, radius, power)
    labels = cluster(p4, offsets, radius=radius, power=power)
    for number, pts in enumerate(expected):
        found = jet_pts(*of_set(p4, labels, offsets, number))
        assert len(found) == len(pts)
        np.testing.assert_allclose(found, pts, rtol=1e-12)


@pytest.mark.parametrize(("power", "radius"), FROZEN)
def test_as_fastjet_once(power: int, radius: float) -> None:
    p4, offsets = counted_jets()
    labels = cluster(p4, offsets, radius=radius, power=power)
    counts, hardest = FROZEN[power, radius]
    found = [jet_pts(*of_set(p4, labels, offsets, number)) for number in range(len(offsets) - 1)]
    assert [len(pts) for pts in found] == counts
    np.testing.assert_allclose(found[-1][:3], hardest, rtol=1e-12)


def by_hand(p4: Any, radius: float, power: float) -> list[frozenset[int]]:
    """The definition, word for word: all distances anew in every step."""
    clusters = [(frozenset([i]), momentum) for i, momentum in enumerate(p4)]
    jets = []
    while clusters:
        direction = [direction_of(momentum) for _, momentum in clusters]
        factor = [np.hypot(*momentum[:2]) ** (2 * power) for _, momentum in clusters]
        distances = {(i, -1): factor[i] for i in range(len(clusters))}
        for i in range(len(clusters)):
            for j in range(i):
                dy, dphi = direction[i] - direction[j]
                gap = dy**2 + np.arctan2(np.sin(dphi), np.cos(dphi)) ** 2
                distances[i, j] = min(factor[i], factor[j]) * gap / radius**2
        i, j = min(distances, key=lambda pair: distances[pair])
        members, momentum = clusters.pop(i)
        if j < 0:
            jets.append((members, momentum))
        else:
            clusters[j] = (clusters[j][0] | members, clusters[j][1] + momentum)
    return [members for members, momentum in sorted(jets, key=lambda jet: -np.hypot(*jet[1][:2]))]


def direction_of(p: Any) -> Any:
    return np.array([np.arctanh(p[2] / p[3]), np.arctan2(p[1], p[0])])


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.sampled_from([1.0, 0.5, 0.0, -1.0]), st.floats(0.2, 2.0))
def test_definition(seed: int, n: int, power: float, radius: float) -> None:
    rng = np.random.default_rng(seed)
    p4 = four_momenta(np.exp(rng.normal(0, 1, n)), rng.normal(0, 1, n), rng.uniform(-4, 4, n), rng.random(n))
    labels = cluster(p4, np.array([0, n]), radius=radius, power=power)
    expected = by_hand(p4, radius, power)
    assert [frozenset(np.flatnonzero(labels == jet).tolist()) for jet in range(len(expected))] == expected


@given(st.integers(0, 2**32 - 1), st.floats(-3.0, 3.0), st.floats(-np.pi, np.pi), st.randoms())
def test_symmetries(seed: int, boost: float, angle: float, random: Any) -> None:
    """The jets are the same in another order, turned about the beam, boosted along it, and next to other sets."""
    rng = np.random.default_rng(seed)
    n = 15
    pt, y, phi = np.exp(rng.normal(0, 1, n)), rng.normal(0, 0.6, n), rng.uniform(-1, 1, n)
    labels = cluster(four_momenta(pt, y, phi), np.array([0, n]), radius=0.5, power=KT)
    order = rng.permutation(n)
    p4 = four_momenta(pt, y + boost, phi + angle)[order]
    alone = cluster(p4, np.array([0, n]), radius=0.5, power=KT)
    assert np.array_equal(alone, labels[order])
    among = cluster(np.tile(p4, (3, 1)), np.array([0, n, n, 2 * n, 3 * n]), radius=0.5, power=KT)
    assert np.array_equal(among, np.tile(alone, 3))


def test_many_particles_in_a_set() -> None:
    p4, offsets = toy_jets(2, mean=4000, width=1.5)
    assert np.diff(offsets).max() > 1500
    labels = cluster(p4, offsets, radius=0.4, power=ANTIKT)
    for number, pts in enumerate(fastjet_pts(p4, offsets, 0.4, ANTIKT)):
        np.testing.assert_allclose(jet_pts(*of_set(p4, labels, offsets, number)), pts, rtol=1e-12)


def test_across_pi() -> None:
    p4 = four_momenta([3.0, 2.0, 1.0], 0.0, [3.1, -3.1, 0.0])
    assert cluster(p4, np.array([0, 3]), radius=0.4, power=KT).tolist() == [0, 0, 1]


def test_equal_momenta() -> None:
    """Jets of equal pT come in the order of their particles, and particles on one another are one jet."""
    p4 = four_momenta(5.0, [2.0, 0.0, -2.0], 0.0)
    assert cluster(p4, np.array([0, 3]), radius=0.4, power=KT).tolist() == [0, 1, 2]
    same = np.tile(four_momenta(5.0, 1.0, 1.0), (4, 1))
    assert cluster(same, np.array([0, 4]), radius=0.4, power=ANTIKT).tolist() == [0] * 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_momenta_that_are_not_finite(bad: float) -> None:
    p4 = four_momenta([3.0, 2.0, 1.0], [0.0, 0.1, 2.0], 0.0)
    spoiled = np.insert(p4, 1, [bad, 0.0, 0.0, 1.0], axis=0)
    assert cluster(spoiled, np.array([0, 4]), radius=0.4, power=KT).tolist() == [0, -1, 0, 1]
    assert cluster(spoiled, np.array([0, 1, 2, 2, 4]), radius=0.4, power=KT).tolist() == [0, -1, 0, 1]


def test_momenta_that_have_no_direction() -> None:
    """Along the beam, at rest, all zero, with too little energy: each has a jet, nothing fails."""
    p4 = np.array(
        [[0, 0, 9, 9], [0, 0, -9, 9], [0, 0, 0, 0], [0, 0, 0, 1], [3, 4, 0, 0], [3, 4, 5, -5], [3, 4, 0, 5]], float
    )
    for power in (KT, CAMBRIDGE, ANTIKT):
        labels = cluster(p4, np.array([0, 7]), radius=0.4, power=power)
        assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))
    assert len(cluster(np.empty((0, 4)), np.array([0]), radius=0.4, power=KT)) == 0
    assert len(cluster(np.empty((0, 4)), np.array([0, 0, 0]), radius=0.4, power=KT)) == 0


@pytest.mark.parametrize("y", [-6.0, -0.3, 0.0, 2.0, 8.0])
def test_rapidity(y: float) -> None:
    _, _, pz, energy = four_momenta(2.0, y, 0.0, 0.14)
    assert rapidity(4.0, pz, energy) == pytest.approx(y, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"p4": np.zeros((3, 3))}, r"p4 must have the shape \(n, 4\)"),
        ({"offsets": np.array([0, 2])}, "offsets must rise from 0 to the number of particles, 3"),
        ({"offsets": np.array([1, 3])}, "offsets must rise from 0"),
        ({"offsets": np.array([0, 2, 1, 3])}, "offsets must rise from 0"),
        ({"offsets": np.array([], int)}, "offsets must rise from 0"),
        ({"radius": 0.0}, "radius must be a positive number, got 0.0"),
        ({"radius": np.inf}, "radius must be a positive number, got inf"),
        ({"power": np.nan}, "power must be a finite number"),
    ],
)
def test_refusals(changed: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"p4": four_momenta([1.0, 2.0, 3.0], 0.0, 0.0), "offsets": np.array([0, 3])}
    given |= {"radius": 0.4, "power": 1.0} | changed
    with pytest.raises(ValueError, match=says):
        cluster(**given)
