"""Jet clustering: generalised kt with the E-scheme, inclusive, for many sets of particles at once.

Four-momenta are [px, py, pz, E] in float64. Particles offsets[i]:offsets[i + 1] are set i, clustered by themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.elementary import log, polar_angle

_TWO_PI = 2.0 * np.pi
# Rows of the floating-point scratch: momenta, direction, the momentum factor of the distance, and the distances.
_PX, _PY, _PZ, _E, _RAP, _PHI, _MOM, _GAP, _DIST, _GAPS = range(10)
# Rows of the integer scratch: the nearest neighbour, and the first and last particle of each cluster.
_NEAR, _FIRST, _LAST = range(3)


def cluster(p4: NDArray[np.float64], offsets: NDArray[np.int64], *, radius: float, power: float) -> NDArray[np.int64]:
    r"""The jet that each particle belongs to, numbered within its set by descending pT.

    .. math:: d_{ij} = \min(p_{Ti}^{2p}, p_{Tj}^{2p}) \frac{\Delta y^2 + \Delta\phi^2}{R^2}, \quad d_{iB} = p_{Ti}^{2p}

    The smallest distance merges two clusters (their momenta are added) or makes a cluster a jet, until none is left:
    ``power`` p = 1 is kt (hep-ph/9305266), 0 Cambridge/Aachen (hep-ph/9707323), -1 anti-kt (0802.1189). Nearest
    neighbours are kept, as in hep-ph/0512210: O(N^2) for N particles in a set.

    Parameters
    ----------
    p4
        float64 (n, 4): [px, py, pz, E] [GeV].
    offsets
        int64 (k + 1,): particles offsets[i]:offsets[i + 1] are set i; the last is n.
    radius
        R, in rapidity and azimuth.
    power
        p, the exponent.

    Returns
    -------
    int64 (n,): 0 is the jet of highest pT of the set; among jets of equal pT the one with the first particle comes
    first. A particle whose momentum is not finite takes no part and gets -1.

    Raises
    ------
    ValueError
        For shapes that do not fit, or a radius or power out of range.
    """
    p4 = np.ascontiguousarray(p4, np.float64)
    offsets = np.ascontiguousarray(offsets, np.int64)
    if p4.ndim != 2 or p4.shape[1] != 4:
        raise ValueError(f"p4 must have the shape (n, 4), [px, py, pz, E], got {p4.shape}")
    if (
        offsets.ndim != 1
        or not len(offsets)
        or offsets[0] != 0
        or offsets[-1] != len(p4)
        or np.any(np.diff(offsets) < 0)
    ):
        raise ValueError(f"offsets must rise from 0 to the number of particles, {len(p4)}; take them from a plain list")
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be a positive number, got {radius}")
    if not np.isfinite(power):
        raise ValueError(f"power must be a finite number (1 kt, 0 Cambridge/Aachen, -1 anti-kt), got {power}")
    labels: NDArray[np.int64] = clustered(p4, offsets, float(radius), float(power))
    return labels


@njit(nogil=True, cache=True, error_model="numpy")
def clustered(p4: Any, offsets: Any, radius: float, power: float) -> Any:
    """As :func:`cluster`, for other kernels: nothing is checked."""
    largest = 0
    for i in range(len(offsets) - 1):
        largest = max(largest, offsets[i + 1] - offsets[i])
    state = np.empty((10, largest), np.float64)
    links = np.empty((3, largest), np.int64)
    after = np.empty(largest, np.int64)
    labels = np.empty(len(p4), np.int64)
    for i in range(len(offsets) - 1):
        start, stop = offsets[i], offsets[i + 1]
        _cluster_one(p4[start:stop], radius * radius, power, state, links, after, labels[start:stop])
    return labels


@njit(nogil=True, cache=True, error_model="numpy")
def _cluster_one(p4: Any, r2: float, power: float, state: Any, links: Any, after: Any, labels: Any) -> None:
    """Cluster one set; state, links and after are scratch, ``after`` the next particle of the same cluster."""
    n = _begin(p4, power, state, links, after, labels)
    near, first, last = links[_NEAR], links[_FIRST], links[_LAST]
    for i in range(n):
        _nearest(i, n, r2, state, near)
    jets = 0
    pt2 = np.empty(n, np.float64)
    while n > 0:
        gone = _smallest(n, state)
        kept = near[gone]
        if kept < 0:
            pt2[jets] = state[_PX, gone] ** 2 + state[_PY, gone] ** 2
            j = first[gone]
            while j >= 0:
                labels[j] = jets
                j = after[j]
            jets += 1
        else:
            # The lower place is kept, so that what is kept is never the last, which moves into the place set free.
            kept, gone = min(kept, gone), max(kept, gone)
            for row in range(4):
                state[row, kept] += state[row, gone]
            _set_direction(kept, power, state)
            after[last[kept]] = first[gone]
            last[kept] = last[gone]
        n -= 1
        if gone != n:
            for row in range(9):
                state[row, gone] = state[row, n]
            for row in range(3):
                links[row, gone] = links[row, n]
        _nearest_again(n, kept, gone, r2, state, near)
    _number(labels, pt2[:jets])


@njit(nogil=True, cache=True, error_model="numpy")
def _begin(p4: Any, power: float, state: Any, links: Any, after: Any, labels: Any) -> int:
    """One cluster for each particle with a finite momentum; how many these are."""
    n = 0
    for j in range(len(p4)):
        labels[j] = -1
        after[j] = -1
        if np.isfinite(p4[j, 0]) and np.isfinite(p4[j, 1]) and np.isfinite(p4[j, 2]) and np.isfinite(p4[j, 3]):
            for row in range(4):
                state[row, n] = p4[j, row]
            _set_direction(n, power, state)
            links[_FIRST, n] = links[_LAST, n] = j
            n += 1
    return n


@njit(nogil=True, cache=True, error_model="numpy")
def _set_direction(i: int, power: float, state: Any) -> None:
    """Rapidity, azimuth and pT^(2 power) of cluster i."""
    px, py, pz = state[_PX, i], state[_PY, i], state[_PZ, i]
    pt2 = px * px + py * py
    state[_RAP, i] = rapidity(pt2, pz, state[_E, i])
    state[_PHI, i] = polar_angle(py, px)
    if power == 1.0:
        state[_MOM, i] = pt2
    elif power == 0.0:
        state[_MOM, i] = 1.0
    elif power == -1.0:
        state[_MOM, i] = 1.0 / max(pt2, 1e-300)
    else:
        state[_MOM, i] = max(pt2, 1e-300) ** power


@njit(nogil=True, cache=True, error_model="numpy")
def rapidity(pt2: float, pz: float, energy: float) -> float:
    """Rapidity of a momentum; a mass squared below 0 by rounding counts as 0, and along the beam it is beyond 1e5."""
    if pt2 == 0.0 and energy == abs(pz):
        return -1e5 + pz if pz < 0.0 else 1e5 + pz
    m2 = max((energy + pz) * (energy - pz) - pt2, 0.0)
    forward = energy + abs(pz)
    # The logarithm of a number below 1: no difference of large numbers as in log((E + pz) / (E - pz)).
    y: float = -0.5 * log((pt2 + m2) / (forward * forward))
    return -y if pz < 0.0 else y


@njit(nogil=True, cache=True, error_model="numpy")
def _gaps(i: int, n: int, state: Any) -> None:
    """Squared distances in rapidity and azimuth of cluster i to the first n, in a loop that the compiler vectorises."""
    rap, phi, gaps = state[_RAP], state[_PHI], state[_GAPS]
    for j in range(n):
        dphi = abs(phi[i] - phi[j])
        dphi = _TWO_PI - dphi if dphi > np.pi else dphi
        dy = rap[i] - rap[j]
        gaps[j] = dy * dy + dphi * dphi


@njit(nogil=True, cache=True, error_model="numpy")
def _nearest(i: int, n: int, r2: float, state: Any, near: Any) -> None:
    """Look for the nearest neighbour of cluster i among the first n: within R, else -1."""
    _gaps(i, n, state)
    gaps = state[_GAPS]
    gaps[i] = r2
    least, found = r2, -1
    for j in range(n):
        if gaps[j] < least:
            least, found = gaps[j], j
    state[_GAP, i], near[i] = least, found
    mom = state[_MOM]
    state[_DIST, i] = least * (mom[i] if found < 0 else min(mom[i], mom[found]))


@njit(nogil=True, cache=True, error_model="numpy")
def _smallest(n: int, state: Any) -> int:
    """The first of the first n clusters with the smallest distance."""
    dist = state[_DIST]
    least, found = np.inf, 0
    for i in range(n):
        if dist[i] < least:
            least, found = dist[i], i
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _nearest_again(n: int, kept: int, gone: int, r2: float, state: Any, near: Any) -> None:
    """Mend the neighbours after cluster ``kept`` (-1: none) took in ``gone``, whose place the former last now has."""
    for i in range(n):
        if near[i] == gone or near[i] == kept >= 0:
            _nearest(i, n, r2, state, near)
        elif near[i] == n:
            near[i] = gone
    if kept >= 0:
        _nearest(kept, n, r2, state, near)
        mom, gap, dist, gaps = state[_MOM], state[_GAP], state[_DIST], state[_GAPS]
        for i in range(n):
            if gaps[i] < gap[i] and i != kept:
                gap[i], near[i] = gaps[i], kept
                dist[i] = gaps[i] * min(mom[i], mom[kept])


@njit(nogil=True, cache=True, error_model="numpy")
def _number(labels: Any, pt2: Any) -> None:
    """Number the jets anew by descending pT, those of equal pT by their first particle."""
    jets = len(pt2)
    appears = np.full(jets, -1, np.int64)
    found = np.empty(jets, np.int64)
    count = 0
    for j in range(len(labels)):
        if labels[j] >= 0 and appears[labels[j]] < 0:
            appears[labels[j]] = count
            found[count] = labels[j]
            count += 1
    order = np.argsort(-pt2[found], kind="mergesort")
    number = np.empty(jets, np.int64)
    for rank in range(jets):
        number[found[order[rank]]] = rank
    for j in range(len(labels)):
        if labels[j] >= 0:
            labels[j] = number[labels[j]]
