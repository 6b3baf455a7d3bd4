"""Bundles made by hand, whose network is known in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from dask_augment.models import bundle
from dask_augment.models.bundle import Manifest
from dask_augment.models.transforms import Input, Output

INPUTS = (
    Input(column="pt", unit="GeV", transform="log", mean=3.5, std=0.8, range=(10.0, 1000.0)),
    Input(column="eta", transform="abs", mean=1.5, std=1.0, range=(-4.7, 4.7)),
)
OUTPUTS = (
    Output(column="pt", unit="GeV", transform="log_ratio", of="pt", mean=-0.02, std=0.15, minimum=0.0),
    Output(column="eta", transform="difference", of="eta", std=0.02),
    Output(column="phi", unit="rad", transform="wrapped_difference", of="phi", std=0.03),
)


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "kind": "mixture",
        "sizes": {"components": 1, "hidden": 8, "layers": 1},
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "efficiency": True,
        "trained_on": {"sample": "none: made by hand", "objects": 0},
        "licence": "CC0-1.0",
        "package_version": "0.1.0",
    }
    return Manifest(**(values | changes))


def arrays(about: Manifest, seed: int | None = None, **head: Any) -> dict[str, np.ndarray]:
    """Weights of its network: random ones, or with ``seed`` None zeros but for the last biases, which are ``head``.

    ``weight`` (K,), ``mean`` (K, D), ``log_sigma`` (K, D), ``below`` (K, D(D - 1)/2) and ``logit`` are 0 unless given.
    """
    sizes, d = about.sizes, len(about.outputs)
    k, width = sizes["components"], sizes["hidden"]
    shapes = {}
    for layer in range(sizes["layers"]):
        shapes[f"body.{2 * layer}.weight"] = (width, len(about.inputs) if layer == 0 else width)
        shapes[f"body.{2 * layer}.bias"] = (width,)
    below = d * (d - 1) // 2
    shapes |= {"head.weight": (k * (1 + 2 * d + below), width), "head.bias": (k * (1 + 2 * d + below),)}
    if about.efficiency:
        narrow = width // 2
        for layer in range(sizes["layers"] + 1):
            after = 1 if layer == sizes["layers"] else narrow
            shapes[f"found.{2 * layer}.weight"] = (after, len(about.inputs) if layer == 0 else narrow)
            shapes[f"found.{2 * layer}.bias"] = (after,)
    if seed is not None:
        rng = np.random.default_rng(seed)
        return {name: (0.4 * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    parts = [
        np.broadcast_to(head.get(name, 0.0), (k, n)) for name, n in (("mean", d), ("log_sigma", d), ("below", below))
    ]
    weights["head.bias"][:] = np.concatenate(
        [np.broadcast_to(head.get("weight", 0.0), (k,)), np.concatenate(parts, 1).ravel()]
    )
    if about.efficiency:
        weights[f"found.{2 * sizes['layers']}.bias"][:] = head.get("logit", 0.0)
    return weights


def write(folder: Path, about: Manifest | None = None, seed: int | None = None, **head: Any) -> str:
    """A bundle in this folder."""
    about = about or manifest()
    bundle.write(folder, about, arrays(about, seed, **head))
    return str(folder)


def generated(n: int = 300, seed: int = 5, mean: float = 4.0) -> ak.Array:
    """Events with ids and a collection GenJet, some of its objects out of range and some with NaN."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(mean, n)
    total = int(counts.sum())
    fields: Mapping[str, Any] = {
        "pt": 8 + rng.exponential(40.0, total),
        "eta": rng.normal(0.0, 2.0, total),
        "phi": rng.uniform(-np.pi, np.pi, total),
        "mass": rng.exponential(6.0, total),
    }
    jets = {name: values.astype(np.float32) for name, values in fields.items()}
    jets["pt"][rng.random(total) < 0.02] = np.nan
    jets["phi"][rng.random(total) < 0.01] = np.inf
    ids = {"run": np.ones(n, np.uint32), "luminosityBlock": np.full(n, 3, np.uint32)}
    columns = {name: ak.unflatten(values, counts) for name, values in jets.items()}
    return ak.Array({**ids, "event": np.arange(n, dtype=np.uint64), "GenJet": ak.zip(columns)})
