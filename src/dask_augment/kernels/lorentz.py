"""Combine four-vectors (E, px, py, pz), and boost them into each other's rest frames.

Loops run over tiles of events in scratch arrays of one row for each quantity, so that they vectorise. Arithmetic is
float64, but for pairs, whose directions have the type of the output; by operations that every CPU rounds alike, in an
order that does not depend on what else is in the tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dask_augment.kernels.elementary import log, polar_angle
from dask_augment.kernels.four_vectors import TILE

_ROW = TILE + 8
"""Length of a row of scratch: rows a power of two apart would compete for the same places of the cache."""

SINGLES = ("E", "px", "py", "pz", "p", "pt", "eta", "phi", "m", "beta", "gamma")
"""Features of each boosted combination, in the order of the rows that :func:`boosted_features` is told."""
PAIRS = ("pair_cos", "pair_dr")
"""Features of each pair of them."""

EPSILON = 1e-5
"""What Lorentz Boost Networks keep numbers away from their singularities by: GeV**2, GeV, or a pure number."""
_NOTHING = 1e-200
"""Least squared mass of a rest frame [GeV**2]: one without energy and momentum is at rest."""
_ETA, _PHI = SINGLES.index("eta"), SINGLES.index("phi")
_BETA, _GAMMA = SINGLES.index("beta"), SINGLES.index("gamma")
_COS, _DISTANCE = len(SINGLES), len(SINGLES) + 1
_PLACES = (8, 9, 10, 11, 0, 1, 13, 14, 12, 2, 3)
"""Rows of the scratch array in which the single features are when they are stored."""


@njit(nogil=True, cache=True, error_model="numpy")
def boosted_features(
    vectors: NDArray[Any], particles: NDArray[np.float64], frames: NDArray[np.float64], exact: bool, gamma_max: float,
    rows: NDArray[np.int64], out: NDArray[Any],
) -> None:  # fmt: skip
    """Features of M weighted sums of four-vectors, each boosted into the rest frame of another such sum.

    ``vectors`` is (n, N, 4); ``particles`` and ``frames`` are the weights, (N, M). ``rows`` says for each of
    :data:`SINGLES` and :data:`PAIRS` which row of ``out`` (rows, n) its first column is, -1 where it is not wanted: M
    columns of a single feature, M (M - 1) / 2 of a pair feature, in the order (0, 1), (0, 2), ... (1, 2), ...

    ``exact`` boosts by a Lorentz transformation and takes the mass from before it; else both are those of lbn 1.2.2.
    NaN in a vector makes all features of its event NaN.
    """
    n, width, many = vectors.shape[0], particles.shape[0], particles.shape[1]
    # Sums go over four vectors at a time: what is left of the last four is nothing, with weight 0.
    padded = (width + 3) // 4 * 4
    weights = np.zeros((many, padded, 2))
    for m in range(many):
        for j in range(width):
            weights[m, j, 0], weights[m, j, 1] = particles[j, m], frames[j, m]
    x = _scratch(padded * 4 * _ROW).reshape((padded, 4, _ROW))
    s = _scratch(15 * _ROW).reshape((15, _ROW))
    directions = np.empty((many, 5, _ROW), out.dtype)
    angles = rows[_ETA] >= 0 or rows[_PHI] >= 0 or rows[_DISTANCE] >= 0
    for start in range(0, n, TILE):
        count = min(TILE, n - start)
        _load(vectors, start, count, x)
        for m in range(many):
            _combine(x, weights[m], s)
            if exact:
                _boost(s, 1.0 / (gamma_max * gamma_max))
            else:
                _boost_as_lbn(s)
            _masses(s, exact)
            _directions(s, directions, m)
            if rows[_BETA] >= 0 or rows[_GAMMA] >= 0:
                _speeds(s)
            if angles:
                _angles(s, directions, m, exact)
            _store_singles(s, m, rows, start, count, out)
        if rows[_COS] >= 0:
            _store_cosines(directions, rows[_COS], start, count, out)
        if rows[_DISTANCE] >= 0:
            _store_distances(directions, rows[_DISTANCE], start, count, out)


# One tile ------------------------------------------------------------------------------------------------------------
# Rows of the scratch array s: 0-3 the combination, 4-7 its rest frame, 8-11 the boosted combination, 12 its mass, 13 and
# 14 eta and phi; at the end 0-3 are p, pt, beta and gamma. They are literal numbers so that a compiler sees them apart.


@njit(nogil=True, cache=True, error_model="numpy")
def _scratch(size):  # type: ignore[no-untyped-def]
    """Zeros that begin where a line of the cache does: a vector register is then read from one line."""
    raw = np.zeros(size + 7)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + size]


@njit(nogil=True, cache=True, error_model="numpy")
def _load(vectors, start, count, x):  # type: ignore[no-untyped-def]
    for j in range(vectors.shape[1]):
        for component in range(4):
            for k in range(count):
                x[j, component, k] = vectors[start + k, j, component]
            for k in range(count, TILE):
                x[j, component, k] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _combine(x, weights, s):  # type: ignore[no-untyped-def]
    for j in range(0, x.shape[0], 4):
        w0, w1, w2, w3 = weights[j, 0], weights[j + 1, 0], weights[j + 2, 0], weights[j + 3, 0]
        v0, v1, v2, v3 = weights[j, 1], weights[j + 1, 1], weights[j + 2, 1], weights[j + 3, 1]
        for component in range(4):
            if j == 0:
                for k in range(TILE):
                    a, b, c, d = x[0, component, k], x[1, component, k], x[2, component, k], x[3, component, k]
                    s[component, k] = w0 * a + w1 * b + w2 * c + w3 * d
                    s[4 + component, k] = v0 * a + v1 * b + v2 * c + v3 * d
            else:
                for k in range(TILE):
                    a, b = x[j, component, k], x[j + 1, component, k]
                    c, d = x[j + 2, component, k], x[j + 3, component, k]
                    s[component, k] += w0 * a + w1 * b + w2 * c + w3 * d
                    s[4 + component, k] += v0 * a + v1 * b + v2 * c + v3 * d


@njit(nogil=True, cache=True, error_model="numpy")
def _boost(s, least):  # type: ignore[no-untyped-def]
    """A Lorentz transformation, also of frames as light as light: they get the mass p / gamma_max."""
    for k in range(TILE):
        e, x, y, z = s[4, k], s[5, k], s[6, k], s[7, k]
        p2 = x * x + y * y + z * z
        m2 = e * e - p2
        lowest = p2 * least + _NOTHING
        m2 = max(m2, lowest)
        mass = np.sqrt(m2)
        energy = np.sqrt(m2 + p2)
        along = x * s[1, k] + y * s[2, k] + z * s[3, k]
        inverse = 1.0 / (mass * (energy + mass))
        boosted = (energy * s[0, k] - along) * (inverse * (energy + mass))
        factor = (s[0, k] + boosted) * (inverse * mass)
        s[8, k] = boosted
        s[9, k] = s[1, k] - factor * x
        s[10, k] = s[2, k] - factor * y
        s[11, k] = s[3, k] - factor * z


@njit(nogil=True, cache=True, error_model="numpy")
def _boost_as_lbn(s):  # type: ignore[no-untyped-def]
    """The boost of lbn 1.2.2, whose epsilon makes it a little slower than the frame; none where that divides 0 by 0."""
    for k in range(TILE):
        x, y, z = s[5, k], s[6, k], s[7, k]
        p = np.sqrt(x * x + y * y + z * z)
        energy = max(s[4, k], p + EPSILON)
        beta = p / energy
        gamma = 1.0 / np.sqrt(1.0 - beta * beta + EPSILON)
        still = p == 0.0
        gamma = 1.0 if still else gamma
        inverse = 1.0 / (1.0 if still else p)
        x, y, z = x * inverse, y * inverse, z * inverse
        along = x * s[1, k] + y * s[2, k] + z * s[3, k]
        factor = (gamma - 1.0) * along - gamma * beta * s[0, k]
        s[8, k] = gamma * (s[0, k] - beta * along)
        s[9, k] = s[1, k] + factor * x
        s[10, k] = s[2, k] + factor * y
        s[11, k] = s[3, k] + factor * z


@njit(nogil=True, cache=True, error_model="numpy")
def _masses(s, exact):  # type: ignore[no-untyped-def]
    if exact:
        for k in range(TILE):
            # Before the boost, which keeps the mass but not its digits.
            m2 = s[0, k] * s[0, k] - (s[1, k] * s[1, k] + s[2, k] * s[2, k] + s[3, k] * s[3, k])
            s[12, k] = np.sqrt(max(m2, 0.0))
    else:
        for k in range(TILE):
            p2 = s[9, k] * s[9, k] + s[10, k] * s[10, k] + s[11, k] * s[11, k]
            m2 = s[8, k] * s[8, k] - max(p2, EPSILON)
            s[12, k] = np.sqrt(max(m2, EPSILON))


@njit(nogil=True, cache=True, error_model="numpy")
def _directions(s, directions, m):  # type: ignore[no-untyped-def]
    """p, pt, and the unit vector of the momentum; pz / p also with all its digits."""
    for k in range(TILE):
        x, y, z = s[9, k], s[10, k], s[11, k]
        pt2 = x * x + y * y
        p2 = pt2 + z * z
        p = np.sqrt(max(p2, EPSILON))
        s[0, k] = p
        s[1, k] = np.sqrt(max(pt2, EPSILON))
        inverse = 1.0 / p
        directions[m, 0, k] = x * inverse
        directions[m, 1, k] = y * inverse
        directions[m, 2, k] = s[13, k] = z * inverse


@njit(nogil=True, cache=True, error_model="numpy")
def _speeds(s):  # type: ignore[no-untyped-def]
    """beta and gamma."""
    for k in range(TILE):
        energy, mass = s[8, k], s[12, k]
        s[2, k] = s[0, k] / max(energy, EPSILON)
        s[3, k] = energy / max(mass, EPSILON)


@njit(nogil=True, cache=True, error_model="numpy")
def _angles(s, directions, m, exact):  # type: ignore[no-untyped-def]
    """eta, of at most 6.1, and phi; lbn takes EPSILON for a py of 0."""
    nought = 0.0 if exact else EPSILON
    for k in range(TILE):
        z = s[13, k]
        z = max(z, EPSILON - 1.0)
        z = min(z, 1.0 - EPSILON)
        s[13, k] = 0.5 * log((1.0 + z) / (1.0 - z))
    for k in range(TILE):
        s[14, k] = polar_angle(nought if s[10, k] == 0.0 else s[10, k], s[9, k])
    for k in range(TILE):
        directions[m, 3, k] = s[13, k]
        directions[m, 4, k] = s[14, k]


@njit(nogil=True, cache=True, error_model="numpy")
def _store_singles(s, m, rows, start, count, out):  # type: ignore[no-untyped-def]
    for feature in range(len(_PLACES)):
        if rows[feature] >= 0:
            _store(s[_PLACES[feature]], out[rows[feature] + m, start : start + count])
    if rows[_PHI] >= 0:
        phi = out[rows[_PHI] + m, start : start + count]
        for k in range(count):
            # Rounding to float32 may end on +pi itself, which is -pi.
            phi[k] = -np.pi if phi[k] >= np.pi else phi[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _store(values, out):  # type: ignore[no-untyped-def]
    for k in range(len(out)):
        out[k] = values[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _store_cosines(directions, row, start, count, out):  # type: ignore[no-untyped-def]
    for i in range(directions.shape[0]):
        for j in range(i + 1, directions.shape[0]):
            target = out[row, start : start + count]
            for k in range(len(target)):
                cosine = (
                    directions[i, 0, k] * directions[j, 0, k]
                    + directions[i, 1, k] * directions[j, 1, k]
                    + directions[i, 2, k] * directions[j, 2, k]
                )
                # Rounding may go beyond, and an arccosine would be NaN; NaN itself stays.
                if abs(cosine) > 1.0:
                    cosine = np.sign(cosine)
                target[k] = cosine
            row += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _store_distances(directions, row, start, count, out):  # type: ignore[no-untyped-def]
    for i in range(directions.shape[0]):
        for j in range(i + 1, directions.shape[0]):
            target = out[row, start : start + count]
            for k in range(len(target)):
                eta = directions[i, 3, k] - directions[j, 3, k]
                phi = abs(directions[i, 4, k] - directions[j, 4, k])
                phi = 2.0 * np.pi - phi if phi > np.pi else phi
                target[k] = np.sqrt(eta * eta + phi * phi)
            row += 1
