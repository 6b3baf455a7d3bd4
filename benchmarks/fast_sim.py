"""What fast_sim costs over its network alone.

Run ``python benchmarks/fast_sim.py [--json]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import awkward as ak
import numpy as np
import torch
from _report import Figure, in_turns, show

import dask_augment as da
from dask_augment.models.inference import network, one_thread

EVENTS = 50_000
STEP = da.FastSim(model="shipped:bundles/jets")


def generated() -> ak.Array:
    """Events with about seven generated jets each, as flat branches."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(7, EVENTS)
    total = int(counts.sum())
    pt = np.minimum(10 + rng.exponential(60.0, total), 700.0)
    fields = {
        "pt": pt,
        "eta": rng.uniform(-4.5, 4.5, total),
        "phi": rng.uniform(-np.pi, np.pi, total),
        "mass": pt * rng.uniform(0.03, 0.2, total),
    }
    jets = {f"GenJet_{name}": ak.unflatten(values.astype(np.float32), counts) for name, values in fields.items()}
    ids = {"run": np.ones(EVENTS, np.uint32), "luminosityBlock": np.ones(EVENTS, np.uint32)}
    return ak.Array({**ids, "event": np.arange(EVENTS, dtype=np.uint64), **jets})


def fast_sim_step() -> Figure:
    """The whole step on eager events, against the network on as many rows that lie ready as its batches."""
    events = generated()
    rows = int(ak.sum(ak.num(events.GenJet_pt)))
    net = network(STEP.model, STEP.sha256)
    batches = -(-rows // STEP.batch)
    inputs, outputs = net.body[0].in_features, net.outputs
    ready = [
        (torch.randn(STEP.batch, inputs), torch.randn(STEP.batch, outputs), torch.rand(STEP.batch))
        for _ in range(batches)
    ]

    def augmented() -> ak.Array:
        return da.augment(events, STEP, seed=7, dataset="ttbar")

    def bare() -> None:
        with torch.inference_mode(), one_thread(torch):
            for batch in ready:
                net(*batch)

    ours, peer, ratio = in_turns(augmented, bare, rounds=11)
    limit = "random numbers, copies into batches, transforms of columns, and objects put in order"
    unit = "CPU ns / generated jet"
    name = "the same network in torch, on batches that lie ready"
    return Figure("fast_sim_step", ours / rows * 1e9, peer / rows * 1e9, name, ratio, unit, 1.7, limit)


def figures() -> Iterator[Figure]:
    """All of them, in turn."""
    yield fast_sim_step()


if __name__ == "__main__":
    show("What fast_sim costs over its network", figures())
