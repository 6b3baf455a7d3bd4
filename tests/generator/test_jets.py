"""Jets of particles, and what they are matched to."""

from __future__ import annotations

import numpy as np

from dask_augment.generator.jets import Jets, anti_kt, flavour, matched
from dask_augment.generator.particles import Particles, momenta, pt_eta_phi_mass


def particles(*events: list[tuple[float, float, float]], pdg: int = 22) -> Particles:
    """Massless particles of some events, each as pt, eta, phi."""
    flat = np.array([entry for event in events for entry in event]).reshape(-1, 3)
    p4 = momenta(*flat.T, np.zeros(len(flat)))
    offsets = np.concatenate([[0], np.cumsum([len(event) for event in events])])
    return Particles(offsets, p4, np.full(len(flat), pdg), np.zeros(len(flat)))


def jets(*events: list[tuple[float, float, float]]) -> Jets:
    found = particles(*events)
    return Jets(found.offsets, found.p4, np.zeros(0, np.int64))


def test_jets_hold_their_particles() -> None:
    rng = np.random.default_rng(5)
    many = [
        list(zip(rng.exponential(4, 60), rng.normal(0, 1.5, 60), rng.uniform(-3.1, 3.1, 60), strict=True))
        for _ in range(5)
    ]
    given = particles(many[0], [], *many[1:])
    found = anti_kt(given, 0.4, 8.0)
    assert found.events == 6
    assert found.offsets[1] == found.offsets[2]
    pt, *_ = pt_eta_phi_mass(found.p4)
    assert len(pt) > 10
    assert pt.min() > 8.0
    event = given.event
    for i in range(6):
        mine = pt[found.offsets[i] : found.offsets[i + 1]]
        assert np.all(np.diff(mine) <= 0)
        for number in range(len(mine)):
            inside = (event == i) & (found.jet_of == number)
            np.testing.assert_allclose(given.p4[inside].sum(axis=0), found.p4[found.offsets[i] + number], rtol=1e-12)
    assert (found.jet_of < 0).any()


def test_each_generated_jet_is_taken_once() -> None:
    measured = jets([(100, 0.0, 3.1), (50, 0.05, -3.12), (20, 2.0, 0.0)], [], [(30, 0.0, 0.0)])
    generated = jets([(90, 0.02, 3.13), (60, 0.3, -3.1), (15, 2.15, 0.1)], [(40, 0.0, 0.0)], [(30, 0.5, 0.0)])
    # The second is nearer to the first generated jet, which the harder one has taken; phi goes around.
    assert matched(measured, generated, 0.4).tolist() == [0, 1, 2, -1]
    assert matched(measured, generated, 0.1).tolist() == [0, -1, -1, -1]


def test_flavour_is_that_of_the_hardest_parton_near_by() -> None:
    found = jets([(100, 0.0, 0.0), (50, 1.0, 0.0)], [(30, 0.0, 0.0)])
    partons = particles([(20, 0.1, 0.0), (80, 0.2, 0.0), (60, -1.5, 0.0)], [])
    partons = Particles(partons.offsets, partons.p4, np.array([21, -4, 5]), partons.charge)
    assert flavour(found, partons, 0.4).tolist() == [-4, 0, 0]
