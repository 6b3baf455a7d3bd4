"""The question behind a closure test: responses, efficiencies, numbers of objects and conditions, as integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Measure
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import column
from dask_augment.models.transforms import Input

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST, CELLS = 4.0, 1600
"""Responses are counted in so many cells from 0 to this; what is beyond is in the last one."""
UNIT = 2.0**-20
"""Sums are added as multiples of it, so that they do not depend on how events are partitioned."""
_WIDEST = 2.0**10


@dataclass(frozen=True, eq=False)
class Counts:
    """What events have with reconstructed objects, ``full``, and with those of the model, ``fast``; parts add up."""

    generated: Integers
    """Generated objects in each bin of pT (B,)."""
    full: Integers
    """Those that have a reconstructed one, by response (B, CELLS)."""
    fast: Integers
    conditions: Integers
    """Of each input (C, 4): objects, those inside the training range, sums of u and of u squared [UNIT], u what the network
    sees: with mean 0 and variance 1 over the training sample."""
    totals: Integers
    """Events; objects full, fast, and full without a generated one; sums of pT full and fast [UNIT]."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Response(Measure[Counts]):
    """Count generated objects of ``source``, and those of ``full`` and ``fast`` that are reconstructed of them.

    ``full`` and ``fast`` name collections, with the field that is the number of the generated object; where ``full`` is
    None there are only conditions. Objects of pT below ``threshold`` are left out; of several with the same generated one,
    the first counts for the response.
    """

    source: str
    full: tuple[str, str] | None
    fast: tuple[str, str]
    edges: tuple[float, ...]
    threshold: float
    inputs: tuple[Input, ...]

    def uses(self) -> frozenset[str]:
        """pT and indices of all collections, and the conditions."""
        both = [side for side in (self.full, self.fast) if side is not None]
        names = {f"{collection}.{name}" for collection, index in both for name in ("pt", index)}
        return frozenset(names | {f"{self.source}.{name}" for name in {"pt", *(entry.column for entry in self.inputs)}})

    def measure(self, events: ak.Array, draw: Draw | None) -> Counts:  # noqa: ARG002
        """The counts of one slice."""
        pt, offsets = _flat(events, f"{self.source}.pt")
        bins = np.searchsorted(self.edges, pt, side="right") - 1
        bins[~np.isfinite(pt) | (pt >= self.edges[-1])] = -1
        generated = np.bincount(bins[bins >= 0], minlength=len(self.edges) - 1).astype(np.int64)
        full, some, lone, scalar = self._side(events, self.full, pt, bins, offsets)
        fast, made, _, made_scalar = self._side(events, self.fast, pt, bins, offsets)
        totals = np.array([len(events), some, made, lone, scalar, made_scalar], np.int64)
        return Counts(generated, full, fast, self._conditions(events), totals)

    def _side(
        self, events: ak.Array, side: tuple[str, str] | None, generated: Floats, bins: Integers, offsets: Integers
    ) -> tuple[Integers, int, int, int]:
        """Responses, objects, those without a generated one, and the sum of pT."""
        cells = np.zeros((len(self.edges) - 1, CELLS), np.int64)
        if side is None:
            return cells, 0, 0, 0
        collection, index = side
        pt, starts = _flat(events, f"{collection}.pt")
        number, _ = _flat(events, f"{collection}.{index}")
        event = np.repeat(np.arange(len(events)), np.diff(starts))
        there = np.isfinite(pt) & (pt >= self.threshold)
        matched = there & (number >= 0) & (number < np.diff(offsets)[event])
        # The first object of a generated one is written last.
        target = (offsets[event] + np.where(matched, number, 0).astype(np.int64))[matched][::-1]
        response = np.full(len(generated), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            response[target] = pt[matched][::-1] / generated[target]
        seen = (bins >= 0) & np.isfinite(response)
        cell = np.clip(response[seen] * (CELLS / MOST), 0, CELLS - 1).astype(np.int64)
        np.add.at(cells, (bins[seen], cell), 1)
        some = int(np.count_nonzero(there))
        return cells, some, some - int(np.count_nonzero(matched)), int(_units(pt[there]).sum())

    def _conditions(self, events: ak.Array) -> Integers:
        found = np.zeros((len(self.inputs), 4), np.int64)
        for row, entry in zip(found, self.inputs, strict=True):
            values, _ = _flat(events, f"{self.source}.{entry.column}")
            values = values[np.isfinite(values)]
            u = np.clip(entry.standardised(values), -_WIDEST, _WIDEST)
            row[:] = len(values), np.count_nonzero(entry.inside(values)), _units(u).sum(), _units(u * u).sum()
        return found


def _units(values: Floats) -> Integers:
    return np.rint(values / UNIT).astype(np.int64)


def _flat(events: ak.Array, name: str) -> tuple[Floats, Integers]:
    """A column of objects, flat, and the offsets of its events."""
    content = column(events, name)
    if not (content.is_list and content.content.is_numpy):
        raise TypeError(f"{name} has type {content.form.type} for each event; a list of numbers is needed")
    lists = content.to_ListOffsetArray64(True)
    return np.asarray(lists.content.data, np.float64), np.asarray(lists.offsets.data)


def quantiles(cells: Integers, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Responses below which these shares lie, on straight lines inside a cell; NaN of none."""
    total = int(cells.sum())
    if total == 0:
        return (float("nan"),) * len(shares)
    below = np.concatenate([[0], np.cumsum(cells)])
    edges = np.linspace(0.0, MOST, CELLS + 1)
    filled = np.concatenate([[True], cells > 0])
    return tuple(float(x) for x in np.interp(np.multiply(shares, total), below[filled], edges[filled]))


def by_name(counts: Counts, inputs: tuple[Input, ...]) -> Mapping[str, Mapping[str, Any]]:
    """Of each condition: its mean and width in those of the training sample, and the share inside the training range."""
    found = {}
    for entry, (number, inside, first, second) in zip(inputs, counts.conditions.tolist(), strict=True):
        if number:
            mean = first * UNIT / number
            width = max(second * UNIT / number - mean**2, 0.0) ** 0.5
            found[entry.column] = {"mean": mean, "width": width, "in_range": inside / number}
    return found
