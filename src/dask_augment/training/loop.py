"""Train the network of a bundle on arrays in memory: seeded, on one thread, the same weights for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment import __version__
from dask_augment.kernels.mantissa import stored_bits
from dask_augment.models import bundle
from dask_augment.models.inference import architecture, one_thread, torch_module
from dask_augment.models.transforms import Input, Output
from dask_augment.options import check_count


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast: Adam, with a rate that goes up over a twentieth of the steps and down as a cosine.

    The weights that are kept are averaged over the steps with the time constant ``memory`` [steps].
    """

    epochs: int = 30
    batch: int = 2048
    rate: float = 3e-3
    memory: int = 500
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "memory"):
            check_count(name, getattr(self, name))
        if not self.rate > 0:
            raise ValueError(f"rate must be positive, got {self.rate!r}")


def train_bundle(
    folder: str | Path,
    *,
    inputs: Sequence[Input],
    outputs: Sequence[Output],
    generated: Mapping[str, NDArray[Any]],
    reconstructed: Mapping[str, NDArray[Any]],
    found: NDArray[np.bool_],
    trained_on: Mapping[str, Any],
    licence: str,
    sizes: Mapping[str, int] | None = None,
    schedule: Schedule | None = None,
    told: Callable[[int, float], None] | None = None,
) -> bundle.Manifest:
    """Train a :class:`~dask_augment.models.mixture.Mixture` and write its bundle; returns the manifest.

    Parameters
    ----------
    folder
        Of the bundle; it must not be there yet.
    inputs, outputs
        Columns in and out. Their ``mean`` and ``std``, and the ``bits`` that reconstructed values are stored with, are
        set here, from the objects; ``range`` and ``threshold`` stand as given.
    generated, reconstructed
        For each column, one value for each generated object (n,); of the reconstructed ones, those not ``found`` are
        not looked at.
    found
        Which generated objects were reconstructed, bool (n,). Where all were, the model has no efficiency.
    trained_on, licence
        What the manifest says of them; the number of objects is added.
    sizes, schedule
        Of the network, and of the training.
    told
        Called with the epoch and its mean loss.

    Objects outside the ranges of the inputs, or with numbers that are not finite, are left out. Errors: ValueError for
    columns that are not there or of other lengths, for numbers that a transform is not defined for, and where nothing is
    left.
    """
    needed = {entry.column for entry in inputs} | {entry.of for entry in outputs if entry.of}
    gen = _columns("generated", generated, needed, len(found))
    reco = _columns("reconstructed", reconstructed, {entry.column for entry in outputs}, len(found))
    usable = [np.isfinite(values) for values in gen.values()] + [entry.inside(gen[entry.column]) for entry in inputs]
    usable += [np.isfinite(values) | ~np.asarray(found, bool) for values in reco.values()]
    use = np.flatnonzero(np.logical_and.reduce(usable))
    gen, seen = {name: values[use] for name, values in gen.items()}, np.asarray(found, bool)[use]
    matched = {name: values[seen] for name, values in gen.items()}
    reco = {name: values[use][seen] for name, values in reco.items()}
    if len(use) == 0 or not seen.any():
        raise ValueError(
            f"there is nothing to train on: {len(use)} of {len(found)} generated objects lie inside the ranges of the "
            f"inputs, and {int(seen.sum())} of them were found"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled_in = tuple(_scaled(entry, entry.raw(gen[entry.column])) for entry in inputs)
        scaled_out = tuple(
            replace(_scaled(entry, entry.raw(reco[entry.column], matched)), bits=_bits(entry, reco[entry.column]))
            for entry in outputs
        )
    cond = np.stack([entry.standardised(gen[entry.column]) for entry in scaled_in], 1)
    x = np.zeros((len(use), len(outputs)))
    x[seen] = np.stack([entry.standardised(reco[entry.column], matched) for entry in scaled_out], 1)
    about = bundle.Manifest(
        kind="mixture",
        sizes=dict(sizes or {"components": 4, "hidden": 96, "layers": 3}),
        inputs=scaled_in,
        outputs=scaled_out,
        efficiency=not bool(seen.all()),
        trained_on={**trained_on, "objects": len(use)},
        licence=licence,
        package_version=__version__,
    )
    arrays = _trained(about, cond, x, seen, schedule or Schedule(), told)
    return bundle.write(folder, about, arrays)


def _columns(
    argument: str, arrays: Mapping[str, NDArray[Any]], needed: set[str], length: int
) -> dict[str, NDArray[np.float64]]:
    """The columns as float64, or ValueError that says which is not as it should be."""
    if lacking := sorted(needed - set(arrays)):
        raise ValueError(
            f"{argument} lacks {', '.join(lacking)}, which inputs and outputs name; it has {sorted(arrays)}"
        )
    for name, values in arrays.items():
        if np.shape(values) != (length,):
            raise ValueError(
                f"{argument}[{name!r}] has shape {np.shape(values)}, and found has {length} entries: one value is needed "
                "for each generated object"
            )
    return {name: np.asarray(values, np.float64) for name, values in arrays.items()}


def _bits(entry: Output, values: NDArray[np.float64]) -> int | None:
    """Bits of the mantissa that the values of an output are stored with; ValueError for values below its threshold."""
    if entry.threshold is not None and (below := int(np.count_nonzero(~entry.found(values)))):
        raise ValueError(
            f"output {entry.column!r}: {below} of {len(values)} objects that were found have less than threshold="
            f"{entry.threshold}, the lowest of them {values.min()}: give the threshold that the sample has, or none"
        )
    return stored_bits(values) if entry.type == "float32" else None


def _scaled(entry: Any, raw: NDArray[np.float64]) -> Any:
    """The column with the mean and standard deviation of these values."""
    if bad := int(np.count_nonzero(~np.isfinite(raw))):
        raise ValueError(
            f"{type(entry).__name__.lower()} {entry.column!r}: {entry.transform} is not defined for {bad} of {len(raw)} "
            "objects: leave them out, or give it an offset"
        )
    return replace(entry, mean=float(raw.mean()), std=float(raw.std()) or 1.0)


def _trained(
    about: bundle.Manifest, cond: NDArray[Any], x: NDArray[Any], found: NDArray[np.bool_], schedule: Schedule,
    told: Callable[[int, float], None] | None,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """The weights after training."""
    torch = torch_module()
    data = [torch.tensor(cond, dtype=torch.float32), torch.tensor(x, dtype=torch.float32), torch.tensor(found)]
    batch = min(schedule.batch, len(cond))
    steps = schedule.epochs * (len(cond) // batch)
    # fork_rng: the caller's random numbers go on as if nothing had been drawn here.
    with torch.random.fork_rng(devices=[]), one_thread(torch):
        torch.manual_seed(schedule.seed)
        network = architecture(about)
        mean = {name: torch.zeros_like(values) for name, values in network.state_dict().items()}
        optimiser = torch.optim.Adam(network.parameters(), lr=schedule.rate)
        step = 0
        for epoch in range(schedule.epochs):
            losses = []
            for rows in torch.randperm(len(cond))[: len(cond) // batch * batch].split(batch):
                optimiser.param_groups[0]["lr"] = schedule.rate * _rate(step / steps)
                loss = network.loss(*(values[rows] for values in data))
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                step += 1
                # A mean with equal weights at first, and a memory of so many steps later.
                for name, values in network.state_dict().items():
                    mean[name].lerp_(values, max(1 / step, 1 / schedule.memory))
                losses.append(float(loss.detach()))
            if told is not None:
                told(epoch, sum(losses) / len(losses))
    return {name: values.numpy() for name, values in mean.items()}


def _rate(progress: float) -> float:
    """The learning rate as a fraction of the highest, at this fraction of the steps."""
    return min(progress * 20 + 0.05, 1.0) * 0.5 * (1 + math.cos(math.pi * progress))
