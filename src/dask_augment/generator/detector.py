r"""A parametric detector: the response of tracker and calorimeters to each particle, by documented formulae.

It is of the order of magnitude of CMS as the public card of Delphes describes it (1307.6346), and is no simulation of
any detector: there are no pile-up, magnetic field, showers, fakes or overlaps in the calorimeters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_augment.generator.particles import NEUTRINOS, Floats, Integers, Particles, distance2, momenta, pt_eta_phi_mass

ELECTRON, MUON, PHOTON, HADRON, NEUTRAL = 11, 13, 22, 211, 130
_MASS = {ELECTRON: 0.000511, MUON: 0.10566, PHOTON: 0.0, HADRON: 0.13957, NEUTRAL: 0.0}
"""Mass [GeV] that each kind of candidate is given: what it really was is not measured."""

Mask = NDArray[np.bool_]


def assumed_mass(pdg: Integers) -> Floats:
    """Mass [GeV] of candidates of these numbers."""
    return np.select([np.abs(pdg) == kind for kind in _MASS], list(_MASS.values()))


@dataclass(frozen=True, kw_only=True)
class Detector:
    r"""Efficiencies and resolutions; pT, E in GeV, regions are borders in :math:`|\eta|`, one number for each region.

    Every measured number is the true one times :math:`\exp(s z - s^2/2)` with z normal and
    :math:`s^2 = \ln(1 + (\sigma/x)^2)`: positive, with mean x and width :math:`\sigma`.

    - Charged particles are **tracked** up to ``tracker_eta`` with the probability ``track_efficiency`` (above 1 GeV;
      ``slow_efficiency`` from ``track_pt`` to 1 GeV), :math:`\sigma(p_T)/p_T = \sqrt{a^2 + (b\,p_T)^2}` with a, b of
      ``track_resolution``; their direction is exact.
    - Photons, and electrons without a track, are measured by the **electromagnetic calorimeter**,
      :math:`\sigma(E) = \sqrt{N^2 + S^2 E + C^2 E^2}` with N, S, C of ``ecal``.
    - Neutral hadrons, and charged ones without a track, are measured by the **hadronic calorimeter**, likewise with
      ``hcal``. Directions in the calorimeters have the normal errors ``ecal_angle`` and ``hcal_angle``; what is measured
      to be below ``ecal_threshold`` or ``hcal_threshold`` is lost.
    - Tracked electrons have the better of both resolutions. A muon without a track is lost, and so are neutrinos and
      all beyond ``eta_max``.
    - **Electrons and muons** are tracked ones above ``lepton_pt`` that are isolated (the scalar sum of the pT of all
      other candidates within ``isolation_radius`` is below ``isolation`` times theirs), identified with the
      probability ``electron_efficiency`` or ``muon_efficiency``.
    """

    eta_max: float = 5.0
    tracker_eta: float = 2.5
    track_pt: float = 0.2
    regions: tuple[float, ...] = (1.5, 2.5)
    track_efficiency: tuple[float, ...] = (0.95, 0.85)
    slow_efficiency: tuple[float, ...] = (0.70, 0.60)
    track_resolution: tuple[tuple[float, float], ...] = ((0.010, 1.5e-4), (0.025, 3.5e-4))
    calorimeter_regions: tuple[float, ...] = (1.5, 3.0, 5.0)
    ecal: tuple[tuple[float, float, float], ...] = ((0.40, 0.11, 0.008), (0.60, 0.17, 0.012), (0.0, 2.08, 0.107))
    hcal: tuple[tuple[float, float, float], ...] = ((0.0, 1.50, 0.050), (0.0, 1.50, 0.050), (0.0, 2.70, 0.130))
    ecal_angle: float = 0.005
    hcal_angle: float = 0.025
    ecal_threshold: float = 0.5
    hcal_threshold: float = 1.0
    lepton_pt: float = 10.0
    isolation_radius: float = 0.3
    isolation: float = 0.15
    electron_efficiency: tuple[float, ...] = (0.95, 0.85)
    muon_efficiency: tuple[float, ...] = (0.95, 0.95)

    def visible(self, particles: Particles) -> Particles:
        """The particles that could be measured: no neutrinos, nothing beyond ``eta_max``."""
        _, eta, _, _ = pt_eta_phi_mass(particles.p4)
        return particles.where((np.abs(eta) < self.eta_max) & ~np.isin(np.abs(particles.pdg), NEUTRINOS))

    def measure(self, visible: Particles, rng: np.random.Generator) -> tuple[Particles, Mask]:
        """The candidates that are made of visible particles, and which of them are electrons and muons.

        Candidates have the PDG number of their kind: +-11, +-13, 22, +-211, 130 (as K_L: a neutral hadron). Each
        particle makes one candidate or none, in the same order; the same generator state gives the same candidates.
        """
        pt, eta, phi, _ = pt_eta_phi_mass(visible.p4)
        chance, identified = rng.random((2, len(pt)))
        noise = rng.standard_normal((3, len(pt)))
        size, charged = np.abs(visible.pdg), visible.charge != 0.0
        tracked = charged & (chance < self._track_probability(pt, np.abs(eta)))
        kind = np.select(
            [tracked & (size == ELECTRON), size == MUON, tracked, (size == ELECTRON) | (size == PHOTON)],
            [ELECTRON, MUON, HADRON, PHOTON],
            NEUTRAL,
        )
        energy = visible.p4[:, 3]
        angle = np.where(tracked, 0.0, np.where(kind == PHOTON, self.ecal_angle, self.hcal_angle))
        new_eta, new_phi = eta + angle * noise[1], phi + angle * noise[2]
        measured = energy * _lognormal(self._calorimeter_width(kind, energy, np.abs(eta)), noise[0])
        new_pt = np.where(
            tracked, pt * _lognormal(self._track_width(kind, pt, eta), noise[0]), measured / np.cosh(new_eta)
        )
        threshold = np.where(kind == PHOTON, self.ecal_threshold, self.hcal_threshold)
        seen = tracked | ((size != MUON) & (measured > threshold))
        p4 = momenta(new_pt, new_eta, new_phi, assumed_mass(kind))
        # The particle has the sign that its electric charge has, but for leptons, whose negative ones are particles.
        sign = np.where(tracked, np.sign(visible.charge), 1.0) * np.where(tracked & (kind <= MUON), -1.0, 1.0)
        pdg = (kind * sign).astype(np.int64)
        candidates = Particles(visible.offsets, p4, pdg, np.where(tracked, visible.charge, 0.0)).where(seen)
        return candidates, self._leptons(candidates, identified[seen])

    def isolated(self, particles: Particles, eta_max: float | None = None) -> Mask:
        """The electrons and muons above ``lepton_pt`` with little beside them."""
        pt, eta, phi, _ = pt_eta_phi_mass(particles.p4)
        found = np.zeros(len(pt), np.bool_)
        event = particles.event
        bound = self.eta_max if eta_max is None else eta_max
        leptons = np.isin(np.abs(particles.pdg), (ELECTRON, MUON)) & (pt > self.lepton_pt) & (np.abs(eta) < bound)
        for i in np.flatnonzero(leptons):
            mine = slice(*particles.offsets[event[i] : event[i] + 2])
            near = distance2(eta[mine], phi[mine], eta[i], phi[i]) < self.isolation_radius**2
            found[i] = pt[mine][near].sum() - pt[i] < self.isolation * pt[i]
        return found

    def _leptons(self, candidates: Particles, identified: Floats) -> Mask:
        _, eta, _, _ = pt_eta_phi_mass(candidates.p4)
        region = _region(np.abs(eta), self.regions)
        efficiency = np.where(
            np.abs(candidates.pdg) == ELECTRON,
            np.take(self.electron_efficiency, region, mode="clip"),
            np.take(self.muon_efficiency, region, mode="clip"),
        )
        return self.isolated(candidates, self.tracker_eta) & (identified < efficiency)

    def _track_probability(self, pt: Floats, eta: Floats) -> Floats:
        region = _region(eta, self.regions)
        fast, slow = (np.take(p, region, mode="clip") for p in (self.track_efficiency, self.slow_efficiency))
        return np.where((eta > self.tracker_eta) | (pt < self.track_pt), 0.0, np.where(pt > 1.0, fast, slow))

    def _track_width(self, kind: Integers, pt: Floats, eta: Floats) -> Floats:
        """sigma(pT) / pT of a track."""
        a, b = np.take(self.track_resolution, _region(np.abs(eta), self.regions), axis=0, mode="clip").T
        width: Floats = np.hypot(a, b * pt)
        return np.where(
            kind == ELECTRON,
            np.minimum(width, self._calorimeter_width(np.full_like(kind, PHOTON), pt * np.cosh(eta), np.abs(eta))),
            width,
        )

    def _calorimeter_width(self, kind: Integers, energy: Floats, eta: Floats) -> Floats:
        """sigma(E) / E in the calorimeter that measures this kind."""
        region = _region(eta, self.calorimeter_regions)
        both = [np.take(part, region, axis=0, mode="clip") for part in (self.ecal, self.hcal)]
        noise, stochastic, constant = np.where((kind == PHOTON)[:, None], *both).T
        return np.asarray(np.sqrt((noise / energy) ** 2 + stochastic**2 / energy + constant**2))


def _region(eta: Floats, borders: tuple[float, ...]) -> Integers:
    return np.searchsorted(borders, eta)


def _lognormal(width: Floats, z: Floats) -> Floats:
    """Positive factors with mean 1 and this standard deviation, from normal numbers."""
    s2 = np.log1p(width**2)
    return np.asarray(np.exp(np.sqrt(s2) * z - s2 / 2.0))
