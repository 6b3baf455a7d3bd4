"""Toy events with features, and their tables, for the samplers that seek neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from sampling_toys import column

FEATURES = ["x", "y", "z"]


def classes(n: int = 1500, seed: int = 5, *, fractions: Sequence[float] = (0.8, 0.15, 0.05), negative: float = 0.0) -> ak.Array:  # fmt: skip
    """``n`` events of classes ``label`` that overlap: ``x``, ``y`` (float32), ``z`` (float64, other unit), ``weight``."""
    rng = np.random.default_rng(seed)
    label = rng.choice(np.arange(len(fractions), dtype=np.int8), n, p=fractions)
    hidden = rng.normal(size=(n, 2)) + 1.2 * label[:, None]
    values = {
        "x": hidden[:, 0].astype(np.float32),
        "y": (hidden[:, 1] + 0.3 * hidden[:, 0]).astype(np.float32),
        "z": 100 * np.exp(0.3 * rng.normal(size=n) + 0.2 * hidden[:, 1]),
    }
    columns = {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": (np.arange(n) // 100).astype(np.uint32),
        "event": rng.permutation(n).astype(np.uint64),
        "label": label,
        "region": rng.choice(np.array([0, 1], np.int32), n),
        "weight": rng.integers(1, 2**12, n) * 2.0**-10 * np.where(rng.random(n) < negative, -1.0, 1.0),
        **values,
    }
    return ak.Array({name: ak.Array(entries) for name, entries in columns.items()})


def in_order(events: ak.Array) -> ak.Array:
    """The events in the order of their ids."""
    return events[np.lexsort((column(events, "event"), column(events, "luminosityBlock")))]


def matrix(events: ak.Array, features: Sequence[str] = FEATURES) -> NDArray[Any]:
    """Features, float64 (n, d)."""
    return np.stack([column(events, name).astype(np.float64) for name in features], axis=1)


def shuffled(events: ak.Array, seed: int = 0) -> ak.Array:
    """The events in another order."""
    return events[np.random.default_rng(seed).permutation(len(events))]
