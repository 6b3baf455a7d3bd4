"""The particles of jets, from index links between objects: flat four-momenta, one set for each jet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.elementary import exp, sin_cos


@njit(nogil=True, cache=True)
def linked(
    jets: NDArray[np.int64], particles: NDArray[np.int64], offsets: NDArray[np.int64],
    jet_offsets: NDArray[np.int64], particle_offsets: NDArray[np.int64], weights: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:  # fmt: skip
    """The particles of each jet from links in any order: offsets (jets + 1,), places of the particles, first bad link.

    Links offsets[i]:offsets[i + 1] are those of event i and count its jets and particles from 0; -1 links nothing. The
    particles of a jet keep the order of their links. ``weights`` is empty, or one for each particle: those of weight 0
    are left out. A link beyond the jets or particles of its event is bad: its place is returned, -1 where there is none.
    """
    counts = np.zeros(jet_offsets[-1] + 1, np.int64)
    for i in range(len(offsets) - 1):
        many_jets = jet_offsets[i + 1] - jet_offsets[i]
        many_particles = particle_offsets[i + 1] - particle_offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            if not (-1 <= jets[k] < many_jets and -1 <= particles[k] < many_particles):
                return counts, particles[:0], k
            if _links(jets[k], particles[k], particle_offsets[i], weights):
                counts[jet_offsets[i] + jets[k] + 1] += 1
    ends = np.cumsum(counts)
    free = ends[:-1].copy()
    places = np.empty(ends[-1], np.int64)
    for i in range(len(offsets) - 1):
        for k in range(offsets[i], offsets[i + 1]):
            if _links(jets[k], particles[k], particle_offsets[i], weights):
                jet = jet_offsets[i] + jets[k]
                places[free[jet]] = particle_offsets[i] + particles[k]
                free[jet] += 1
    return ends, places, -1


@njit(nogil=True, cache=True)
def _links(jet: int, particle: int, start: int, weights: Any) -> bool:
    # NaN is no 0: a jet with such a particle is known by it later.
    return jet >= 0 and particle >= 0 and (len(weights) == 0 or weights[start + particle] != 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def momenta(
    pt: NDArray[np.float64], eta: NDArray[np.float64], phi: NDArray[np.float64], mass: NDArray[np.float64],
    weights: NDArray[np.float64], places: NDArray[np.int64],
) -> NDArray[np.float64]:  # fmt: skip
    """Four-momenta [px, py, pz, E] (n, 4) of the particles at these places, times their weights where there are any.

    E**2 = p**2 + m |m|, 0 where rounding leaves less. All four are NaN for a particle with a number that is not finite,
    with a negative transverse momentum or weight, or with a negative mass beyond its momentum.
    """
    out = np.empty((len(places), 4))
    for k in range(len(places)):
        i = places[k]
        scaled = pt[i] if len(weights) == 0 else pt[i] * weights[i]
        m = mass[i] if len(weights) == 0 else mass[i] * weights[i]
        stretch = exp(eta[i])
        sine, cosine = sin_cos(phi[i])
        px, py, pz = scaled * cosine, scaled * sine, scaled * (0.5 * (stretch - 1.0 / stretch))
        e2 = px * px + py * py + pz * pz + m * abs(m)
        # A sum of all that must be finite; eta beyond the range of exp has none of its digits left.
        good = np.isfinite(px + py + pz + e2) and scaled >= 0.0 and abs(eta[i]) < 300.0 and e2 > -1e-4
        out[k, 0] = px if good else np.nan
        out[k, 1] = py if good else np.nan
        out[k, 2] = pz if good else np.nan
        out[k, 3] = np.sqrt(max(e2, 0.0)) if good else np.nan
    return out
