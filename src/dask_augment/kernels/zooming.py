"""The geometry of jet zooming on flat arrays: trim, shift, rotate and magnify one jet after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.clustering import rapidity
from dask_augment.kernels.elementary import polar_angle

NO_CONSTITUENTS, NOT_FINITE, ONE_SUBJET, NO_MASS, AT_MINIMUM, AT_MAXIMUM, NO_AXIS = (1 << bit for bit in range(7))

_LEAST_M2 = 1e-13
"""Squared mass over squared energy below which it is rounding: then the mass is 0."""
_ROUND = 1e-9
"""Relative difference of the two principal moments below which none of them is the larger one, and distance from a
line below which a particle is on neither side of it: that of a subjet's only particle is rounding."""


class How(NamedTuple):
    """What is done with each jet, as numbers that a kernel takes."""

    radius: float
    f_cut: float
    z_min: float
    z_max: float
    own_mass: bool
    """The scale is the trimmed jet's mass over its pT; else a mass that is given over the ungroomed pT."""
    eta: bool
    """Directions are in pseudorapidity, else in rapidity."""
    jet_centre: bool
    """The origin is the axis of the trimmed jet, else that of its leading subjet."""
    rotate: bool
    flip: bool


class Zoomed(NamedTuple):
    """What became of the jets (k,) and of their particles (n,)."""

    zoom: NDArray[np.float64]
    n_subjets: NDArray[np.int64]
    dr12: NDArray[np.float64]
    trimmed_mass: NDArray[np.float64]
    trimmed_pt: NDArray[np.float64]
    status: NDArray[np.int64]
    kept: NDArray[np.bool_]
    """Whether the particle is in a subjet that is kept."""
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    pt: NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def zoomed(p4: Any, labels: Any, offsets: Any, masses: Any, how: How) -> Zoomed:
    """Trim and magnify jets whose subjets are given: labels of particles, by descending pT as ``cluster`` gives them.

    ``masses`` (k,) is the scale of each jet [GeV], not read with ``own_mass``. A jet without particles, or with one
    that is not finite (label -1), has zoom 1, zeros, and no particle that is kept.
    """
    k, n = len(offsets) - 1, len(p4)
    out = Zoomed(
        np.ones(k), np.zeros(k, np.int64), np.zeros(k), np.zeros(k), np.zeros(k), np.zeros(k, np.int64),
        np.zeros(n, np.bool_), np.zeros(n), np.zeros(n), np.zeros(n),
    )  # fmt: skip
    largest = 0
    for i in range(k):
        largest = max(largest, offsets[i + 1] - offsets[i])
    subjets = np.empty((largest, 4))
    for i in range(k):
        start, stop = offsets[i], offsets[i + 1]
        if not np.all(labels[start:stop] >= 0):
            out.status[i] = NOT_FINITE
            continue
        pt, count, trimmed = _trim(p4[start:stop], labels[start:stop], how.f_cut, subjets)
        if pt == 0.0:
            out.status[i] = NO_CONSTITUENTS
            continue
        out.n_subjets[i] = count
        out.trimmed_pt[i] = np.sqrt(trimmed[0] ** 2 + trimmed[1] ** 2)
        out.trimmed_mass[i] = _mass(trimmed)
        if how.own_mass:
            out.zoom[i], out.status[i] = _scale(out.trimmed_mass[i], out.trimmed_pt[i], how)
        else:
            out.zoom[i], out.status[i] = _scale(masses[i], pt, how)
        _place(p4, labels, start, stop, i, subjets[:count], trimmed, how, out)
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def _trim(p4: Any, labels: Any, f_cut: float, subjets: Any) -> Any:
    """pT of the jet, how many of its subjets are kept, and the sum of these; fills the subjets' momenta."""
    many = 0
    for j in range(len(labels)):
        many = max(many, labels[j] + 1)
    subjets[:many] = 0.0
    jet = np.zeros(4)
    for j in range(len(labels)):
        for row in range(4):
            subjets[labels[j], row] += p4[j, row]
            jet[row] += p4[j, row]
    pt = np.sqrt(jet[0] ** 2 + jet[1] ** 2)
    count = min(many, 1)
    while count < many and np.sqrt(subjets[count, 0] ** 2 + subjets[count, 1] ** 2) > f_cut * pt:
        count += 1
    trimmed = np.zeros(4)
    for subjet in range(count):
        trimmed += subjets[subjet]
    return pt, count, trimmed


@njit(nogil=True, cache=True, error_model="numpy")
def _mass(p: Any) -> float:
    m2 = (p[3] + p[2]) * (p[3] - p[2]) - p[0] * p[0] - p[1] * p[1]
    mass: float = np.sqrt(m2) if m2 > _LEAST_M2 * p[3] * p[3] else 0.0
    return mass


@njit(nogil=True, cache=True, error_model="numpy")
def _scale(mass: float, pt: float, how: How) -> tuple[float, int]:
    """The zoom R pT / (2 m) within its bounds, and what there is to say about it."""
    if not (mass > 0.0 and np.isfinite(mass)):
        return 1.0, NO_MASS
    zoom = how.radius * pt / (2.0 * mass)
    if zoom < how.z_min:
        return how.z_min, AT_MINIMUM
    if zoom > how.z_max:
        return how.z_max, AT_MAXIMUM
    return zoom, 0


@njit(nogil=True, cache=True, error_model="numpy")
def _direction(px: float, py: float, pz: float, energy: float, eta: bool) -> tuple[float, float]:
    """Rapidity or pseudorapidity, and azimuth."""
    pt2 = px * px + py * py
    if eta:
        # The pseudorapidity is the rapidity of a particle without mass.
        energy = np.sqrt(pt2 + pz * pz)
    return rapidity(pt2, pz, energy), polar_angle(py, px)


@njit(nogil=True, cache=True, error_model="numpy")
def _turned(phi: float, other: float) -> float:
    """phi - other in [-pi, pi], both in [-pi, pi]."""
    dphi = phi - other
    if dphi > np.pi:
        return dphi - 2.0 * np.pi
    if dphi < -np.pi:
        return dphi + 2.0 * np.pi
    return dphi


@njit(nogil=True, cache=True, error_model="numpy")
def _place(
    p4: Any, labels: Any, start: int, stop: int, jet: int, subjets: Any, trimmed: Any, how: How, out: Zoomed
) -> None:
    """Coordinates of the particles of one jet: moved to the centre, rotated, flipped and magnified."""
    count = len(subjets)
    first = _direction(subjets[0, 0], subjets[0, 1], subjets[0, 2], subjets[0, 3], how.eta)
    centre = _direction(trimmed[0], trimmed[1], trimmed[2], trimmed[3], how.eta) if how.jet_centre else first
    for j in range(start, stop):
        if labels[j] < count:
            u, phi = _direction(p4[j, 0], p4[j, 1], p4[j, 2], p4[j, 3], how.eta)
            out.kept[j] = True
            out.x[j], out.y[j] = u - centre[0], _turned(phi, centre[1])
            out.pt[j] = np.sqrt(p4[j, 0] ** 2 + p4[j, 1] ** 2)
    x, y, pt = out.x[start:stop], out.y[start:stop], out.pt[start:stop]
    dx, dy = 0.0, 0.0
    if count > 1:
        second = _direction(subjets[1, 0], subjets[1, 1], subjets[1, 2], subjets[1, 3], how.eta)
        dx, dy = second[0] - first[0], _turned(second[1], first[1])
        out.dr12[jet] = np.sqrt(dx * dx + dy * dy)
    else:
        out.status[jet] |= ONE_SUBJET
    # The axis (ex, ey) goes to (0, -1); with (0, -1) itself nothing moves.
    ex, ey = 0.0, -1.0
    if how.rotate:
        if out.dr12[jet] > 0.0:
            ex, ey = dx / out.dr12[jet], dy / out.dr12[jet]
        else:
            ex, ey, found = _principal_axis(x, y, pt)
            if not found:
                out.status[jet] |= NO_AXIS
    for j in range(len(x)):
        x[j], y[j] = ex * y[j] - ey * x[j], -ex * x[j] - ey * y[j]
    mirror = 1.0
    if how.flip and _mirrored(x, pt, subjets, centre, ex, ey, how.eta):
        mirror = -1.0
    for j in range(len(x)):
        x[j] *= mirror * out.zoom[jet]
        y[j] *= out.zoom[jet]


@njit(nogil=True, cache=True, error_model="numpy")
def _side(distance: float) -> float:
    return 0.0 if abs(distance) < _ROUND else np.sign(distance)


@njit(nogil=True, cache=True, error_model="numpy")
def _principal_axis(x: Any, y: Any, pt: Any) -> tuple[float, float, bool]:
    """The direction in which pT is spread most, towards the side with more of it; False where no direction is."""
    xx, yy, xy = 0.0, 0.0, 0.0
    for j in range(len(x)):
        xx += pt[j] * x[j] * x[j]
        yy += pt[j] * y[j] * y[j]
        xy += pt[j] * x[j] * y[j]
    spread = np.sqrt((xx - yy) ** 2 + 4.0 * xy * xy)
    if not spread > _ROUND * (xx + yy):
        return 0.0, -1.0, False
    # Of the two ways to write the eigenvector the one without a difference of nearly equal numbers.
    ex, ey = (spread + (xx - yy), 2.0 * xy) if xx >= yy else (2.0 * xy, spread + (yy - xx))
    length = np.sqrt(ex * ex + ey * ey)
    ex, ey = ex / length, ey / length
    along = 0.0
    for j in range(len(x)):
        along += pt[j] * _side(ex * x[j] + ey * y[j])
    return (-ex, -ey, True) if along < 0.0 else (ex, ey, True)


@njit(nogil=True, cache=True, error_model="numpy")
def _mirrored(x: Any, pt: Any, subjets: Any, centre: Any, ex: float, ey: float, eta: bool) -> bool:
    """Whether the third subjet, else more pT, lies on the left."""
    if len(subjets) > 2:
        u, phi = _direction(subjets[2, 0], subjets[2, 1], subjets[2, 2], subjets[2, 3], eta)
        side = _side(ex * _turned(phi, centre[1]) - ey * (u - centre[0]))
        if side != 0.0:
            left: bool = side < 0.0
            return left
    right = 0.0
    for j in range(len(x)):
        right += pt[j] * _side(x[j])
    more_left: bool = right < 0.0
    return more_left
