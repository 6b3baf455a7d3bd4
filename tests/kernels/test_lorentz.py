"""The kernel against lbn 1.2.2 itself (tools/make_lbn_golden.py), against vector, and against the laws of Lorentz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dask_augment.kernels.four_vectors import TILE, add_four_vectors
from dask_augment.kernels.lorentz import PAIRS, SINGLES, boosted_features

GOLDEN = dict(np.load(Path(__file__).parents[1] / "data" / "lbn_1_2_2.npz"))
EVERY = (*SINGLES, *PAIRS)
STANDARD = ("E", "pt", "eta", "phi", "m", "pair_cos")


def features(
    vectors: NDArray[Any], particles: Any, frames: Any, names: Any = EVERY, *, boost: str = "exact",
    gamma_max: float = 1e3, dtype: Any = np.float64,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Each feature, (columns, n)."""
    particles, frames = (np.array(weights, np.float64) for weights in (particles, frames))
    many = particles.shape[1]
    sizes = {name: many * (many - 1) // 2 if name in PAIRS else many for name in names}
    rows, first = np.full(len(EVERY), -1), 0
    for name, size in sizes.items():
        rows[EVERY.index(name)] = first
        first += size
    out = np.full((sum(sizes.values()), len(vectors)), 777, dtype)
    boosted_features(np.ascontiguousarray(vectors), particles, frames, boost == "exact", gamma_max, rows, out)
    return {name: out[rows[EVERY.index(name)] :][:size] for name, size in sizes.items()}


def momenta(found: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """(E, px, py, pz) of the boosted combinations, (n, M, 4)."""
    return np.stack([found[name] for name in ("E", "px", "py", "pz")], axis=-1).swapaxes(0, 1)


def mass2(p4: NDArray[Any]) -> NDArray[Any]:
    return p4[..., 0] ** 2 - np.sum(p4[..., 1:] ** 2, axis=-1)


def random_vectors(n: int, inputs: int = 5, seed: int = 1, heaviest: float = 30.0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    p = rng.normal(0, 40, (n, inputs, 3))
    energy = np.sqrt(np.sum(p**2, axis=-1) + rng.uniform(1, heaviest, (n, inputs)) ** 2)
    return np.concatenate([energy[..., None], p], axis=-1)


def random_weights(inputs: int, many: int, seed: int = 1) -> NDArray[np.float64]:
    return np.abs(np.random.default_rng(seed).normal(size=(2, inputs, many)))


# lbn 1.2.2 -----------------------------------------------------------------------------------------------------------


def golden(names: str) -> list[tuple[str, NDArray[np.float64]]]:
    """Each feature as lbn has it, (columns, n)."""
    values, found = GOLDEN[names].T, []
    for name in GOLDEN[f"{names}_names"]:
        size = 120 if name in PAIRS else 16
        found.append((str(name), values[:size]))
        values = values[size:]
    assert not len(values)
    return found


def difference(name: str, found: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    """Relative for energies and momenta above 1 GeV, else absolute; angles around the circle."""
    if name == "phi":
        return np.abs((found - expected + np.pi) % (2 * np.pi) - np.pi)
    return np.abs(found - expected) / np.maximum(np.abs(expected), 1.0)


@pytest.mark.parametrize("names", ["standard", "more"])
def test_same_as_lbn_in_float64(names: str) -> None:
    kept = golden(names)
    vectors = GOLDEN["vectors"][: kept[0][1].shape[1]]
    weights = np.abs(GOLDEN["particles"]), np.abs(GOLDEN["frames"])
    found = features(vectors, *weights, [name for name, _ in kept], boost="lbn")
    gamma = features(vectors, *weights, ["gamma"], boost="lbn")["gamma"]
    for name, expected in kept:
        # m is the small difference of squares of the boosted energy and momentum, in lbn's formulas.
        cancelled = 1e-15 * gamma**2 if name in ("m", "gamma") else 0.0
        assert np.all(difference(name, found[name], expected) < np.maximum(1e-10, cancelled)), name
    assert np.mean(1e-15 * gamma**2 > 1e-10) < 0.07  # next to none but in the frame without mass


def test_float32_is_that_rounded() -> None:
    """Also of four-vectors that are float32 themselves, which lbn's own arithmetic would round on and on."""
    weights = np.abs(GOLDEN["particles"]), np.abs(GOLDEN["frames"])
    single = features(GOLDEN["vectors"], *weights, STANDARD, boost="lbn", dtype=np.float32)
    for name, expected in golden("standard"):
        error = difference(name, single[name].astype(float), expected)
        # Cosines are products of unit vectors of float32.
        assert error.max() < (2e-7 if name == "pair_cos" else 3e-7 if name == "phi" else 1.2e-7), name
    rounded = GOLDEN["vectors"].astype(np.float32)
    one, other = (features(v, *weights, STANDARD, boost="lbn") for v in (rounded, rounded.astype(np.float64)))
    assert all(np.array_equal(one[name], other[name]) for name in STANDARD)


def test_exact_and_lbn_agree_where_frames_are_heavy() -> None:
    vectors, weights = random_vectors(500), random_weights(5, 6)
    exact, lbn = (momenta(features(vectors, *weights, boost=boost)) for boost in ("exact", "lbn"))
    assert np.median(np.abs(exact - lbn)) < 1e-3
    assert not np.array_equal(exact, lbn)


def test_frame_of_nothing_is_at_rest() -> None:
    """lbn 1.2.2 divides 0 by 0 there."""
    vectors = random_vectors(50)
    vectors[:, 0] = 0
    vectors[25:] = 0
    at_rest = np.array([[30.0, 0, 0, 0]])
    particles, frames = np.array([[0, 0], [1, 1], [1, 0], [0, 2], [0, 0]]), np.eye(5)[:, [0, 0]]
    for boost in ("exact", "lbn"):
        found = features(vectors, particles, frames, boost=boost)
        expected = np.einsum("njc,jm->nmc", vectors, particles)
        np.testing.assert_allclose(momenta(found), expected, rtol=1e-14)
        assert all(np.all(np.isfinite(values)) for values in found.values())
        still = features(np.concatenate([vectors[:, 1:2], np.repeat(at_rest[None], 50, 0)], axis=1),
                         [[1.0], [0.0]], [[0.0], [1.0]], SINGLES, boost=boost)  # fmt: skip
        np.testing.assert_allclose(momenta(still)[:, 0], vectors[:, 1], rtol=1e-14)


# The laws of Lorentz -------------------------------------------------------------------------------------------------


def test_mass_is_invariant() -> None:
    vectors, (particles, frames) = random_vectors(2000), random_weights(5, 6)
    found = features(vectors, particles, frames)
    before = np.sqrt(mass2(np.einsum("njc,jm->nmc", vectors, particles)))
    after = np.sqrt(mass2(momenta(found)))
    assert np.max(np.abs(after / before - 1)) < 1e-12
    np.testing.assert_allclose(found["m"].T, before, rtol=1e-14)
    # lbn's boost is none, so the test can fail.
    others = np.sqrt(mass2(momenta(features(vectors, particles, frames, boost="lbn"))))
    assert np.max(np.abs(others / before - 1)) > 1e-6


def test_products_of_two_are_invariant() -> None:
    """Two combinations boosted into one frame keep p_i . p_j, which a rotation or a mass alone would not show."""
    vectors, (particles, frames) = random_vectors(1000), random_weights(5, 2)
    frames[:, 1] = frames[:, 0]
    before, after = np.einsum("njc,jm->nmc", vectors, particles), momenta(features(vectors, particles, frames))
    metric = np.array([1.0, -1, -1, -1])
    products = [np.sum(p4[:, 0] * p4[:, 1] * metric, axis=-1) for p4 in (before, after)]
    assert np.max(np.abs(products[1] / products[0] - 1)) < 1e-12


def test_own_rest_frame() -> None:
    vectors, (weights, _) = random_vectors(1000), random_weights(5, 4)
    found = momenta(features(vectors, weights, weights))
    combined = np.einsum("njc,jm->nmc", vectors, weights)
    scale = combined[..., 0, None]
    expected = np.zeros_like(found)
    expected[..., 0] = np.sqrt(mass2(combined))
    assert np.max(np.abs(found - expected) / scale) < 1e-13


def test_a_boost_back_restores() -> None:
    """Seen from a frame r, then from r with its momentum turned round."""
    vectors = random_vectors(1000, 2)
    there = momenta(features(vectors, [[1.0], [0.0]], [[0.0], [1.0]], SINGLES))[:, 0]
    back = np.stack([there, vectors[:, 1] * [1, -1, -1, -1]], axis=1)
    again = momenta(features(back, [[1.0], [0.0]], [[0.0], [1.0]], SINGLES))[:, 0]
    assert np.max(np.abs(again - vectors[:, 0]) / there[:, :1]) < 1e-12
    assert np.max(np.abs(there - vectors[:, 0])) > 1


@settings(max_examples=20)
@given(st.floats(-3.1, 3.1), st.sampled_from(["exact", "lbn"]))
def test_azimuthal_rotation(angle: float, boost: str) -> None:
    vectors, weights = random_vectors(100), random_weights(5, 4)
    turned = vectors.copy()
    turned[..., 1] = np.cos(angle) * vectors[..., 1] - np.sin(angle) * vectors[..., 2]
    turned[..., 2] = np.sin(angle) * vectors[..., 1] + np.cos(angle) * vectors[..., 2]
    before, after = (features(v, *weights, boost=boost) for v in (vectors, turned))
    for name in set(EVERY) - {"px", "py", "phi"}:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-7, atol=1e-7)
    moved = (after["phi"] - before["phi"] - angle + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(moved, 0, atol=1e-7)


def test_same_as_vector() -> None:
    """Features by a library that people trust, and its boost."""
    vector = pytest.importorskip("vector")
    vectors, (particles, frames) = random_vectors(500), random_weights(5, 4)
    found = features(vectors, particles, frames)

    def as_vector(weights: NDArray[Any]) -> Any:
        return vector.array(dict(zip(("E", "px", "py", "pz"), np.einsum("njc,jm->cmn", vectors, weights), strict=True)))

    boosted = as_vector(particles).boostCM_of_p4(as_vector(frames))
    for name in ("E", "px", "py", "pz", "p", "pt", "eta", "phi", "m", "beta", "gamma"):
        expected = getattr(boosted, {"m": "mass"}.get(name, name))
        np.testing.assert_allclose(found[name], expected, rtol=1e-8, atol=1e-8)
    upper = np.triu_indices(4, 1)
    one, other = boosted[upper[0]], boosted[upper[1]]
    np.testing.assert_allclose(found["pair_dr"], one.deltaR(other), rtol=1e-8)
    np.testing.assert_allclose(found["pair_cos"], np.cos(one.deltaangle(other)), rtol=1e-7, atol=1e-7)


# What is rare --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boost", ["exact", "lbn"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_is_finite(boost: str, dtype: Any) -> None:
    """Nothing at all, massless and light frames, frames at rest, momenta along the beam, and weights of 0."""
    nothing, light = np.zeros(4), np.array([1e3, 1e3, 0, 0])
    beam, still = np.array([1e4, 0, 0, -1e4]), np.array([5.0, 0, 0, 0])
    muon = np.array([np.sqrt(500.0**2 + 0.10566**2), 0, 300.0, 400.0])
    all_of_them = [nothing, light, beam, still, muon]
    vectors = np.array([[a, b] for a in all_of_them for b in all_of_them])
    weights = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 0, 1e-9]]), np.array([[0, 1, 0, 0, 1], [1, 0, 1, 0, 1e-9]])
    found = features(vectors, *weights, boost=boost, dtype=dtype)
    for name, values in found.items():
        assert np.all(np.isfinite(values)), name
    phi = found["phi"]
    assert np.all((phi >= -dtype(np.pi)) & (phi < np.pi))
    assert np.all(np.abs(found["eta"]) < 6.2)
    assert np.all(np.abs(found["pair_cos"]) <= 1 + 1e-6)


def test_boost_is_limited() -> None:
    light, other = np.array([1e4, 0, 0, 1e4]), np.array([100.0, 0, 0, -100])
    vectors = np.array([[light, other]])
    for most in (10.0, 1000.0):
        (energy,) = features(vectors, [[0.0], [1.0]], [[1.0], [0.0]], ["E"], gamma_max=most)["E"]
        assert energy == pytest.approx(100 * (np.sqrt(1 + most**2) + most), rel=1e-9)


def test_event_of_nothing() -> None:
    found = features(np.zeros((1, 3, 4)), *random_weights(3, 2))
    assert {name for name, values in found.items() if np.any(values != 0)} == {"p", "pt", "beta"}
    assert found["p"].max() == found["pt"].max() == np.sqrt(1e-5)


@pytest.mark.parametrize("boost", ["exact", "lbn"])
@pytest.mark.parametrize("where", [(0, 0), (1, 1), (4, 2), (2, 3)])
def test_nan_spoils_its_event_and_no_other(boost: str, where: tuple[int, int]) -> None:
    vectors, weights = random_vectors(20), random_weights(5, 3)
    weights[:, where[0], 1] = 0
    spoilt = vectors.copy()
    spoilt[7, where[0], where[1]] = np.nan
    good, bad = (features(v, *weights, boost=boost) for v in (vectors, spoilt))
    rest = np.arange(20) != 7
    for name in EVERY:
        assert np.array_equal(good[name][:, rest], bad[name][:, rest])
    assert all(np.isnan(bad[name][:, 7]).all() for name in EVERY)


@settings(max_examples=25)
@given(st.integers(1, 2 * TILE + 3), st.integers(1, 9), st.integers(2, 5), st.data())
def test_bits_do_not_depend_on_slices(n: int, inputs: int, many: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, n))
    boost = data.draw(st.sampled_from(["exact", "lbn"]))
    vectors, weights = random_vectors(n, inputs), random_weights(inputs, many)
    whole = features(vectors, *weights, boost=boost, dtype=np.float32)
    parts = [features(part, *weights, boost=boost, dtype=np.float32) for part in (vectors[:cut], vectors[cut:])]
    for name in EVERY:
        assert np.array_equal(whole[name], np.concatenate([part[name] for part in parts], axis=1))


def test_nothing_else_is_written() -> None:
    """Features that are not asked for leave no trace, and those that are do not depend on the others."""
    vectors, weights = random_vectors(300), random_weights(5, 3)
    every = features(vectors, *weights)
    for name in EVERY:
        alone = features(vectors, *weights, [name])
        assert np.array_equal(alone[name], every[name])


# Four-vectors --------------------------------------------------------------------------------------------------------


def test_four_vectors_against_vector() -> None:
    vector = pytest.importorskip("vector")
    rng = np.random.default_rng(3)
    counts = rng.poisson(2.0, 700)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    total = int(offsets[-1])
    pt, eta, phi = rng.exponential(50, total), rng.normal(0, 2, total), rng.uniform(-4, 4, total)
    mass = rng.uniform(-0.5, 20, total)
    expected = vector.array({"pt": pt, "eta": eta, "phi": phi, "mass": mass})
    out = np.full((700, 3, 4), 777.0)
    for index in range(3):
        add_four_vectors(offsets, index, pt, eta, phi, mass, True, False, index, out)
        there = counts > index
        at = offsets[:-1][there] + index
        assert np.all(out[~there, index] == 0)
        for component, name in enumerate(("E", "px", "py", "pz")):
            np.testing.assert_allclose(
                out[there, index, component], getattr(expected, name)[at], rtol=1e-12, atol=1e-13
            )
    cartesian = [np.ascontiguousarray(getattr(expected, name)) for name in ("px", "py", "pz", "E")]
    again = np.empty_like(out)
    for index in range(3):
        add_four_vectors(offsets, index, *cartesian, False, True, index, again)
    np.testing.assert_allclose(again, out, rtol=1e-12, atol=1e-13)


def test_cosines_of_collinear_momenta_are_no_more_than_one() -> None:
    rng = np.random.default_rng(3)
    direction = rng.normal(size=(5000, 1, 3))
    p = direction * rng.uniform(1, 100, (5000, 2, 1))
    vectors = np.concatenate([np.sqrt((p**2).sum(-1, keepdims=True) + 1), p], axis=-1)
    rows = np.full(len(SINGLES) + len(PAIRS), -1)
    rows[(*SINGLES, *PAIRS).index("pair_cos")] = 0
    out = np.empty((1, 5000))
    boosted_features(vectors, np.eye(2), np.zeros((2, 2)), True, 1000.0, rows, out)
    assert out.max() == 1
    assert out.min() > 1 - 1e-12
    vectors[0] = np.nan
    boosted_features(vectors, np.eye(2), np.zeros((2, 2)), True, 1000.0, rows, out)
    assert np.isnan(out[0, 0])
