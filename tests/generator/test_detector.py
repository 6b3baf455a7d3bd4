"""What the parametric detector makes of single particles: the documented formulae, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dask_augment.generator.detector import Detector, assumed_mass
from dask_augment.generator.particles import Particles, momenta, pt_eta_phi_mass

N = 20_000
SIGMA = 1.0 / np.sqrt(2.0 * N)
"""Relative statistical error of a width."""
DETECTOR = Detector()


def gun(pdg: int, charge: float, energy: float, eta: float, n: int = N) -> Particles:
    """n events of one particle each."""
    mass = 0.13957 if charge else 0.0
    pt = np.full(n, np.sqrt(energy**2 - mass**2) / np.cosh(eta))
    p4 = momenta(pt, np.full(n, eta), np.linspace(-3.1, 3.1, n), np.full(n, mass))
    return Particles(np.arange(n + 1), p4, np.full(n, pdg), np.full(n, charge))


def shot(pdg: int, charge: float, energy: float, eta: float, **changed: float) -> Particles:
    detector = Detector(**changed)  # type: ignore[arg-type]
    candidates, _ = detector.measure(gun(pdg, charge, energy, eta), np.random.default_rng(1))
    return candidates


@pytest.mark.parametrize("energy", [5.0, 50.0, 500.0])
def test_photons(energy: float) -> None:
    found = shot(22, 0.0, energy, 0.7)
    width = np.sqrt(0.40**2 + 0.11**2 * energy + (0.008 * energy) ** 2)
    assert set(found.pdg) == {22}
    assert found.p4[:, 3].mean() == pytest.approx(energy, abs=5 * width / np.sqrt(N))
    assert found.p4[:, 3].std() == pytest.approx(width, rel=6 * SIGMA)


@pytest.mark.parametrize(("eta", "stochastic", "constant"), [(1.0, 1.5, 0.05), (4.0, 2.7, 0.13)])
def test_neutral_hadrons(eta: float, stochastic: float, constant: float) -> None:
    found = shot(2112, 0.0, 100.0, eta)
    width = np.hypot(stochastic * 10.0, constant * 100.0)
    assert set(found.pdg) == {130}
    assert found.p4[:, 3].std() == pytest.approx(width, rel=8 * SIGMA)
    _, measured, _, mass = pt_eta_phi_mass(found.p4)
    assert measured.mean() == pytest.approx(eta, abs=5 * 0.025 / np.sqrt(N))
    assert measured.std() == pytest.approx(0.025, rel=6 * SIGMA)
    assert mass.max() < 1e-4


def test_tracks() -> None:
    found = shot(-211, -1.0, 100.0, 1.0)
    tracked = found.pdg == -211
    efficiency, error = tracked.mean(), np.sqrt(0.95 * 0.05 / N)
    assert efficiency == pytest.approx(0.95, abs=5 * error)
    # Those that are not tracked are measured by the calorimeter, where nothing tells the charge.
    assert set(found.pdg[~tracked]) == {130}
    pt, eta, _, mass = pt_eta_phi_mass(found.p4[tracked])
    true = np.sqrt(100.0**2 - 0.13957**2) / np.cosh(1.0)
    assert pt.std() == pytest.approx(true * np.hypot(0.01, 1.5e-4 * true), rel=6 * SIGMA)
    np.testing.assert_allclose(eta, 1.0, rtol=1e-12)
    np.testing.assert_allclose(mass, 0.13957, atol=1e-4)


@pytest.mark.parametrize(
    ("pdg", "charge", "energy", "eta", "share"),
    [
        (12, 0.0, 50.0, 0.0, 0.0),  # a neutrino
        (22, 0.0, 50.0, 5.1, 0.0),  # beyond all
        (22, 0.0, 0.2, 0.0, 0.0876),  # below the threshold, but for noise: z > (ln 2.5 + s^2 / 2) / s
        (13, -1.0, 50.0, 3.0, 0.0),  # a muon that no tracker sees
        (13, -1.0, 50.0, 2.0, 0.85),
        (211, 1.0, 0.5, 0.0, 0.70),  # slow, and below the threshold of the calorimeter unless tracked
    ],
)
def test_what_is_lost(pdg: int, charge: float, energy: float, eta: float, share: float) -> None:
    detector = Detector(hcal=((0.0, 0.0, 0.0),) * 3)
    visible = detector.visible(gun(pdg, charge, energy, eta))
    found, _ = detector.measure(visible, np.random.default_rng(1))
    assert len(found.p4) / N == pytest.approx(share, abs=0.02)
    assert found.events == N


def test_electrons_are_measured_by_what_is_better() -> None:
    found = shot(11, -1.0, 200.0, 0.5)
    tracked = found.pdg == 11
    pt, *_ = pt_eta_phi_mass(found.p4[tracked])
    track = np.hypot(0.01, 1.5e-4 * pt.mean())
    calorimeter = np.sqrt((0.40 / 200) ** 2 + 0.11**2 / 200 + 0.008**2)
    assert calorimeter < track
    assert pt.std() / pt.mean() == pytest.approx(calorimeter, rel=6 * SIGMA)
    assert set(found.pdg[~tracked]) == {22}
    assert set(found.charge[tracked]) == {-1.0}


def test_signs() -> None:
    assert set(shot(-13, 1.0, 50.0, 0.0).pdg) == {-13}
    assert set(shot(13, -1.0, 50.0, 0.0).pdg) == {13}
    assert set(shot(2212, 1.0, 50.0, 0.0).pdg) == {211, 130}
    np.testing.assert_allclose(assumed_mass(np.array([-211, 22, 130, 13])), [0.13957, 0.0, 0.0, 0.10566])


def test_leptons_are_isolated_and_identified() -> None:
    muons = gun(13, -1.0, 40.0, 0.5, 4000)
    _, alone = DETECTOR.measure(muons, np.random.default_rng(2))
    assert alone.mean() == pytest.approx(0.95, abs=0.02)
    # A photon of half the momentum, 0.2 away: no longer isolated; 0.5 away: it is.
    for gap, share in ((0.2, 0.0), (0.5, 0.95)):
        pt, eta, phi, mass = pt_eta_phi_mass(muons.p4)
        beside = momenta(pt / 2, eta + gap, phi, np.zeros_like(mass))
        both = np.stack([muons.p4, beside], axis=1).reshape(-1, 4)
        pair = Particles(2 * muons.offsets, both, np.tile([13, 22], 4000), np.tile([-1.0, 0.0], 4000))
        candidates, leptons = DETECTOR.measure(pair, np.random.default_rng(2))
        assert leptons.sum() / (np.abs(candidates.pdg) == 13).sum() == pytest.approx(share, abs=0.02)
    assert not DETECTOR.isolated(gun(13, -1.0, 5.0, 0.0, 10)).any()
    assert DETECTOR.isolated(gun(13, -1.0, 15.0, 0.0, 10)).all()


@given(st.integers(0, 2**32), st.lists(st.sampled_from([22, 211, -211, 130, 11, -13, 12]), max_size=30))
def test_same_state_same_candidates(seed: int, kinds: list[int]) -> None:
    rng = np.random.default_rng(seed)
    n = len(kinds)
    p4 = momenta(rng.exponential(5, n) + 0.01, rng.normal(0, 2.5, n), rng.uniform(-3, 3, n), np.zeros(n))
    charge = np.array([0.0 if abs(k) in (22, 130, 12) else 1.0 for k in kinds])
    everything = Particles(np.array([0, n // 2, n]), p4, np.array(kinds, np.int64), charge)
    visible = DETECTOR.visible(everything)
    first, second = (DETECTOR.measure(visible, np.random.default_rng(seed)) for _ in range(2))
    for a, b in zip((first[0].p4, first[0].pdg, first[1]), (second[0].p4, second[0].pdg, second[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[0].offsets[-1] == len(first[0].p4) <= len(visible.p4) <= n
    assert np.all(first[0].p4[:, 3] > 0)


def test_offsets_of_what_is_kept() -> None:
    particles = Particles(np.array([0, 2, 2, 5]), np.ones((5, 4)), np.arange(5), np.zeros(5))
    mask: NDArray[np.bool_] = np.array([False, True, True, False, True])
    kept = particles.where(mask)
    assert kept.offsets.tolist() == [0, 1, 1, 3]
    assert kept.pdg.tolist() == [1, 2, 4]
    assert kept.event.tolist() == [0, 2, 2]
