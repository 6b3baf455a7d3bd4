"""Closure test of a fast simulation, on events with both generated and reconstructed objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.augmenters.fast_sim import FastSim
from dask_augment.contract.ids import IDS
from dask_augment.contract.setting import Setting
from dask_augment.frames import put_questions
from dask_augment.frames.questions import Question, Questions
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.models.sample import Sample
from dask_augment.options import named_options
from dask_augment.validation.response import UNIT, Counts, Response, by_name, quantiles

BINS = (10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 200.0, 400.0, 800.0)
FEWEST = 50
"""Objects of a bin that a verdict needs: generated ones about the efficiency, others about the response."""
SIGMAS = 4.0
PASSED = {"efficiency": 0.02, "median": 0.02, "width": 0.1}
"""Differences that are let pass; of widths in units of the larger one."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """A bin of generated pT; each pair is full simulation, fast simulation."""

    low: float
    high: float
    generated: int
    efficiency: tuple[float, float]
    median: tuple[float, float]
    """Of reconstructed over generated pT."""
    width: tuple[float, float]
    """Half the distance between the 16 % and 84 % quantiles of that."""
    off: tuple[str, ...]
    """Which of the three are off, by more than four standard errors and more than is let pass."""
    enough: bool
    """Whether there are objects enough for a verdict."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Closure:
    """What :func:`closure` found; printed as a table with its verdict."""

    events: int
    bins: tuple[Bin, ...]
    conditions: Mapping[str, Mapping[str, float]]
    """Of each quantity that the model is conditional on: ``mean`` and ``width`` of what the network sees, 0 and 1 over
    the training sample, and ``in_range``, the share inside the training range."""
    objects: tuple[float, float]
    """Objects in an event, full and fast, above the model's threshold."""
    scalar_sum: tuple[float, float]
    """Sum of their pT."""
    unmatched: float
    """Share of the reconstructed objects without a generated one: the model makes none of these."""
    sample: Sample | None = None
    """What the manifest of the model says of its own sample."""

    @property
    def holds(self) -> bool | None:
        """Whether the model holds for these events; None: there are too few objects to tell, or no reconstructed ones."""
        told = [entry for entry in self.bins if entry.enough]
        return not any(entry.off for entry in told) if told else None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.holds is None:
            return f"cannot be decided: no bin has {FEWEST} objects with both kinds"
        if self.holds:
            return "holds: median, width and efficiency agree in all bins with enough objects"
        off = [f"{entry.low:g}-{entry.high:g}: {', '.join(entry.off)}" for entry in self.bins if entry.off]
        return f"does not hold for these events: {'; '.join(off)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "holds": self.holds, "verdict": self.verdict}

    def __repr__(self) -> str:
        lines = [f"closure over {self.events:,} events, full / fast", _HEAD]
        lines += [_line(entry) for entry in self.bins if entry.generated]
        ratio = self.objects[1] / self.objects[0] - 1 if self.objects[0] else float("nan")
        total = self.scalar_sum[1] / self.scalar_sum[0] - 1 if self.scalar_sum[0] else float("nan")
        lines += [
            f"objects in an event: {self.objects[0]:.3f} / {self.objects[1]:.3f} ({ratio:+.1%})",
            f"sum of their pT: {self.scalar_sum[0]:.2f} / {self.scalar_sum[1]:.2f} ({total:+.1%})",
            f"reconstructed objects without a generated one: {self.unmatched:.1%}, of which the model makes none",
            *(
                f"{name}: mean {entry['mean']:+.2f} and width {entry['width']:.2f} of the training sample's, "
                f"{entry['in_range']:.1%} in its range"
                for name, entry in self.conditions.items()
            ),
            f"verdict: {self.verdict}",
        ]
        return "\n".join(lines)


_HEAD = f"{'generated pT':>14} {'objects':>9} {'efficiency':>15} {'median':>15} {'68 % width':>15}"


def _line(entry: Bin) -> str:
    pairs = (f"{full:.3f} / {fast:.3f}" for full, fast in (entry.efficiency, entry.median, entry.width))
    word = ", ".join(entry.off) if entry.enough else "too few"
    return (
        f"{entry.low:g} - {entry.high:g}".rjust(14)
        + f"{entry.generated:>10,}"
        + "".join(pair.rjust(16) for pair in pairs)
        + f"  {word or 'ok'}"
    )


@named_options
def closure(
    events: Any,
    step: FastSim,
    *,
    reconstructed: str | None = "Jet",
    index: str | None = None,
    bins: Sequence[float] = BINS,
    seed: int = 1,
    dataset: str = "closure",
    ids: Sequence[str] = IDS,
) -> Closure:
    r"""Compare a fast simulation with reconstructed objects of the same events, in bins of generated pT.

    For the pairs of reconstructed and generated objects, and for those that the model makes of the same generated ones:
    efficiency, median and half the 16-84 % range of :math:`p_T^\mathrm{reco} / p_T^\mathrm{gen}`. A bin is off where full
    and fast differ by more than four standard errors *and* by more than 0.02 (median, efficiency) or a tenth (width).

    Parameters
    ----------
    events
        All that :func:`dask_augment.augment` takes; the result is the same for any kind and any partitioning. Needs
        ``step.source`` with what the model reads, and ``reconstructed`` with ``pt`` and the index of the generated object.
    step
        The fast simulation.
    reconstructed, index
        The collection to compare with, and its field that is the number of the generated object in its event, -1 for none;
        by default ``genJetIdx`` for GenJet. ``reconstructed=None``: there are none, and only the conditions are compared
        with those of the training sample.
    bins
        Edges in generated pT, in its unit, rising.
    seed, dataset, ids
        Of the random numbers, as in :func:`dask_augment.augment`.

    Errors: MissingColumn where a column is not there, ValueError for edges that do not rise, TypeError for another step.
    """
    if not isinstance(step, FastSim):
        raise TypeError(f"step must be a FastSim, whose response is compared, got {type(step).__name__}")
    edges = tuple(float(edge) for edge in bins)
    if len(edges) < 2 or not all(a < b for a, b in pairwise(edges)):
        raise ValueError(f"bins must be two or more rising edges in generated pT, got {list(bins)}")
    about = step.about
    thresholds = [entry.threshold for entry in about.outputs if entry.column == "pt" and entry.threshold is not None]
    question = Response(
        source=step.source,
        full=None if reconstructed is None else (reconstructed, index or step.index),
        fast=(step.target, step.index),
        edges=edges,
        threshold=thresholds[0] if thresholds else 0.0,
        inputs=about.inputs,
    )
    stage = Stage(labelled([step]), Setting(seed, dataset, ids, (), None))
    asked = Questions((Question(stage, question, "closure"),))
    counts: Counts | None = put_questions(events, asked).answers[0]
    if counts is None:
        raise ValueError("there are no events to compare")
    return _result(counts, question, about.sample)


def _result(counts: Counts, question: Response, sample: Sample | None) -> Closure:
    events, full, fast, lone, full_sum, fast_sum = counts.totals.tolist()
    compared = question.full is not None
    return Closure(
        events=events,
        bins=tuple(_bin(question, counts, i) for i in range(len(counts.generated))) if compared else (),
        conditions=by_name(counts, question.inputs),
        objects=(full / events, fast / events),
        scalar_sum=(full_sum * UNIT / events, fast_sum * UNIT / events),
        unmatched=lone / full if full else 0.0,
        sample=sample,
    )


def _bin(question: Response, counts: Counts, i: int) -> Bin:
    generated = int(counts.generated[i])
    sides = [_side(cells, generated) for cells in (counts.full[i], counts.fast[i])]
    found: dict[str, tuple[float, float]] = {}
    off = []
    both = min(int(counts.full[i].sum()), int(counts.fast[i].sum())) >= FEWEST
    for name, (full, full_error), (fast, fast_error) in zip(PASSED, *sides, strict=True):
        found[name] = (full, fast)
        passed = PASSED[name] * (max(full, fast) if name == "width" else 1.0)
        told = generated >= FEWEST and (both or name == "efficiency")
        if told and abs(fast - full) > max(passed, SIGMAS * np.hypot(full_error, fast_error)):
            off.append(name)
    low, high = question.edges[i : i + 2]
    return Bin(low=low, high=high, generated=generated, **found, off=tuple(off), enough=generated >= FEWEST)


def _side(cells: NDArray[np.int64], generated: int) -> list[tuple[float, float]]:
    """Efficiency, median and width, each with its standard error.

    That of a quantile is half the distance between those one standard error of its share below and above.
    """
    n = int(cells.sum())
    share = n / generated if generated else float("nan")
    values, errors = [], []
    for p in (0.16, 0.5, 0.84):
        step = (p * (1 - p) / max(n, 1)) ** 0.5
        below, middle, above = quantiles(cells, (max(p - step, 0.0), p, min(p + step, 1.0)))
        values.append(middle)
        errors.append((above - below) / 2)
    width = ((values[2] - values[0]) / 2, float(np.hypot(errors[0], errors[2])) / 2)
    # Of none or all found the binomial error would be 0: one more of each is.
    likely = (n + 1) / (generated + 2)
    return [(share, (likely * (1 - likely) / max(generated, 1)) ** 0.5), (values[1], errors[1]), width]
