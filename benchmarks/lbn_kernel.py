"""What features of a Lorentz Boost Network cost: our kernel against lbn 1.2.2, the network's own library.

Run ``python benchmarks/lbn_kernel.py [--json]``. lbn needs TensorFlow; where both are absent NumPy is the peer. They go into an
environment of their own, in which this file needs numba and rich besides, and src on PYTHONPATH:

    pip install tensorflow-cpu numba rich && pip install --no-deps lbn==1.2.2
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from _report import Figure, in_turns, show
from numpy.typing import NDArray

from dask_augment.kernels.lorentz import PAIRS, SINGLES, boosted_features

EVENTS, INPUTS, COMBINATIONS = 100_000, 8, 16
FEATURES = ("E", "pt", "eta", "phi", "m", "pair_cos")
COLUMNS = 5 * COMBINATIONS + COMBINATIONS * (COMBINATIONS - 1) // 2
LIMIT = "float64 sums, square roots and divisions in vector registers; a fifth is the first touch of 80 MB of result"


def four_vectors() -> NDArray[np.float32]:
    """Eight massive particles of each event: (n, 8, 4) of E, px, py, pz."""
    rng = np.random.default_rng(1)
    p = rng.normal(0.0, 40.0, (EVENTS, INPUTS, 3))
    energy = np.sqrt(np.sum(p**2, axis=-1) + rng.uniform(1.0, 10.0, (EVENTS, INPUTS)) ** 2)
    return np.concatenate([energy[..., None], p], axis=-1).astype(np.float32)


def ours(vectors: NDArray[np.float32], particles: NDArray[Any], frames: NDArray[Any]) -> NDArray[np.float32]:
    """The kernel with the formulas of lbn: (200, n)."""
    rows = np.full(len(SINGLES) + len(PAIRS), -1)
    for number, feature in enumerate(FEATURES):
        rows[(*SINGLES, *PAIRS).index(feature)] = number * COMBINATIONS
    out = np.empty((COLUMNS, len(vectors)), np.float32)
    boosted_features(vectors, particles, frames, False, 1e3, rows, out)
    return out


def with_lbn(vectors: NDArray[np.float32], particles: NDArray[Any], frames: NDArray[Any]) -> Callable[[], Any]:
    """lbn in a tf.function on one thread, as its documentation advises; (n, 200)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    from lbn import LBN

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = LBN(
        COMBINATIONS,
        boost_mode=LBN.PAIRS,
        particle_weights=tf.Variable(particles, dtype=tf.float32),
        restframe_weights=tf.Variable(frames, dtype=tf.float32),
    )
    network.build(vectors.shape, features=list(FEATURES))
    compiled = tf.function(network)
    tensor = tf.constant(vectors)
    return lambda: compiled(tensor).numpy()


def with_numpy(vectors: NDArray[np.float32], particles: NDArray[Any], frames: NDArray[Any]) -> NDArray[np.float32]:
    """The same formulas as a physicist writes them on whole arrays: (n, 200)."""
    p, r = vectors.transpose(2, 0, 1) @ particles, vectors.transpose(2, 0, 1) @ frames
    norm = np.sqrt(r[1] ** 2 + r[2] ** 2 + r[3] ** 2)
    beta = norm / np.maximum(r[0], norm + 1e-5)
    gamma = 1 / np.sqrt(1 - beta**2 + 1e-5)
    unit = r[1:] / norm
    along = np.sum(unit * p[1:], axis=0)
    energy = gamma * (p[0] - beta * along)
    px, py, pz = p[1:] + ((gamma - 1) * along - gamma * beta * p[0]) * unit
    total = np.sqrt(np.maximum(px**2 + py**2 + pz**2, 1e-5))
    pt = np.sqrt(np.maximum(px**2 + py**2, 1e-5))
    eta = np.arctanh(np.clip(pz / total, 1e-5 - 1, 1 - 1e-5))
    mass = np.sqrt(np.maximum(energy**2 - total**2, 1e-5))
    directions = np.stack([px, py, pz], axis=-1) / total[..., None]
    upper = np.triu_indices(COMBINATIONS, 1)
    cosines = (directions @ directions.transpose(0, 2, 1))[:, upper[0], upper[1]]
    return np.concatenate([energy, pt, eta, np.arctan2(py, px), mass, cosines], axis=1).astype(np.float32)


def figures() -> Iterator[Figure]:
    """One figure: processor seconds for 100,000 events of 8 particles, 16 combinations, 200 features."""
    vectors = four_vectors()
    particles, frames = np.abs(np.random.default_rng(2).normal(0.0, 1.0 / COMBINATIONS, (2, INPUTS, COMBINATIONS)))
    if find_spec("tensorflow") and find_spec("lbn"):
        peer, name, goal = with_lbn(vectors, particles, frames), "lbn 1.2.2 in a tf.function", 1 / 12
    else:
        print("tensorflow and lbn are not installed here: the peer is NumPy", file=sys.stderr)
        peer, name, goal = (lambda: with_numpy(vectors, particles, frames)), "NumPy on whole arrays", 1 / 10
    assert np.median(np.abs(ours(vectors, particles, frames).T - peer())) < 1e-5
    seconds, peer_seconds, ratio = in_turns(lambda: ours(vectors, particles, frames), peer, rounds=7)
    yield Figure("lbn_kernel", seconds, peer_seconds, name, ratio, "CPU s", goal, LIMIT)


if __name__ == "__main__":
    show("What features of a Lorentz Boost Network cost", figures())
