"""Write tests/data/lbn_1_2_2.npz: features that lbn 1.2.2 itself computes in float64, which tests compare with.

lbn needs TensorFlow, which is no dependency of this project; in an environment of its own:

    pip install tensorflow-cpu
    pip install --no-deps lbn==1.2.2
    python tools/make_lbn_golden.py tests/data/lbn_1_2_2.npz
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import tensorflow as tf
from lbn import LBN
from numpy.typing import NDArray

EVENTS, INPUTS, COMBINATIONS = 128, 8, 16
FEW = 24
"""Events of which the features that are less in use are kept too."""
STANDARD = ["E", "pt", "eta", "phi", "m", "pair_cos"]
MORE = ["px", "py", "pz", "p", "beta", "gamma", "pair_dr"]


class DoubleLBN(LBN):  # type: ignore[misc]
    """The network with constants of float64; its weights are given as such."""

    def build_constants(self) -> None:
        """The matrices of the boost."""
        self.I = tf.constant(np.identity(4), tf.float64)
        self.U = tf.constant([[-1, 0, 0, 0]] + 3 * [[0, -1, -1, -1]], tf.float64)


def four_vectors(rng: np.random.Generator) -> NDArray[np.float64]:
    """Six jets of which some lack, a muon, and missing momentum; the first jet is always there."""
    pt = 20.0 + rng.exponential(50.0, (EVENTS, INPUTS))
    eta = rng.normal(0.0, 1.3, (EVENTS, INPUTS))
    phi = rng.uniform(-np.pi, np.pi, (EVENTS, INPUTS))
    mass = rng.uniform(2.0, 20.0, (EVENTS, INPUTS))
    mass[:, 6] = 0.10566
    eta[:, 7], mass[:, 7] = 0.0, 0.0
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
    energy = np.sqrt(np.sum(p**2, axis=-1) + mass**2)
    vectors = np.concatenate([energy[..., None], p], axis=-1)
    vectors[:, 3:7][rng.random((EVENTS, 4)) < 0.3] = 0.0
    return vectors


def features(vectors: Any, particles: Any, frames: Any, names: list[str]) -> NDArray[np.float64]:
    """What lbn makes of the vectors, (events, features)."""
    network = DoubleLBN(
        COMBINATIONS,
        boost_mode=LBN.PAIRS,
        particle_weights=tf.Variable(particles, dtype=tf.float64),
        restframe_weights=tf.Variable(frames, dtype=tf.float64),
    )
    return network(tf.constant(vectors, tf.float64), features=names).numpy()


def main(path: str) -> None:
    """Draw events and weights, and keep what lbn says of them."""
    np.math = math  # type: ignore[attr-defined]  # which lbn takes pi from, and NumPy 2 has no more
    rng = np.random.default_rng(1812_09722)
    vectors = four_vectors(rng)
    particles, frames = rng.normal(0.0, 1.0 / COMBINATIONS, (2, INPUTS, COMBINATIONS))
    # Two frames of one particle each: a jet, as networks learn them, and massless missing momentum.
    frames[:, 0], frames[:, 1] = np.eye(INPUTS)[0], np.eye(INPUTS)[7]
    standard = features(vectors, particles, frames, STANDARD)
    more = features(vectors[:FEW], particles, frames, MORE)
    assert np.all(np.isfinite(standard))
    assert np.all(np.isfinite(more))
    np.savez_compressed(
        path, vectors=vectors, particles=particles, frames=frames, standard=standard, more=more,
        standard_names=STANDARD, more_names=MORE,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
