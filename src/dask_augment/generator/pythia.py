"""Events of Pythia 8 (2203.11601), imported only when asked for: it is under the GPL, and not part of this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from dask_augment.generator.particles import Floats, Integers, Particles

BATCH = 100
"""Events that are asked of Pythia at once: their whole history is in memory, about half a megabyte each."""
INSTALL = 'pip install --only-binary=:all: "pythia8mc<8.318"'
_MOST_FAILURES = 100
_PB = 1e9
"""Picobarn in a millibarn, Pythia's unit."""


@dataclass(frozen=True)
class Generated:
    """Events as Pythia made them."""

    final: Particles
    """The particles of the final state."""
    hard: Particles
    """W and Z as they are made, and the outgoing quarks, gluons and leptons of the hard process and of their decays."""
    mother: Integers
    """For each of these, the place in its event of the boson that it came from; -1 for none."""
    weight: Floats
    """Weight of each event."""


def module() -> Any:
    """The module pythia8mc; ImportError with the remedy where there is none."""
    try:
        import pythia8mc
    except ImportError:
        raise ImportError(
            f"events are generated with Pythia 8, which is not installed: {INSTALL} (it is under the GPL, and there are "
            "wheels for Python 3.11 to 3.13)"
        ) from None
    return pythia8mc


class Generator:
    """Pythia with some settings and a seed (1 to 900000000): the same seed gives the same events."""

    def __init__(self, settings: Sequence[str], seed: int) -> None:
        self._pythia = module().Pythia("", False)
        for line in (*settings, "Random:setSeed = on", f"Random:seed = {seed}"):
            if not self._pythia.readString(line):
                raise ValueError(f"Pythia does not know the setting {line!r}")
        if not self._pythia.init():
            raise RuntimeError(f"Pythia cannot begin with the settings {list(settings)}; see what it prints")
        self._charges: dict[int, float] = {}

    def events(self, count: int) -> Iterator[Generated]:
        """So many events, in batches."""
        failures = 0
        while count > 0:
            batch = self._pythia.nextBatch(min(count, BATCH))
            # Events that fail are left out of a batch, and others are made for them.
            failures += min(count, BATCH) - len(batch)
            if failures > _MOST_FAILURES:
                raise RuntimeError(
                    f"Pythia failed to make an event more than {_MOST_FAILURES} times; see what it prints"
                )
            count -= len(batch)
            if len(batch):
                yield self._generated(batch)

    @property
    def xsec(self) -> float:
        """Cross-section [pb] as estimated from the events so far."""
        return float(self._pythia.infoPython().sigmaGen()) * _PB

    def _generated(self, batch: ak.Array) -> Generated:
        record = batch.prt
        boson = (abs(record.status) == 22) & ((record.id == 23) | (abs(record.id) == 24))
        chosen = boson | (abs(record.status) == 23)
        hard = record[chosen]
        # A boson is copied as it radiates, and decays as its last copy: the mother is known by its kind, not its place.
        most = ak.max(ak.num(hard), axis=None)
        kind = ak.fill_none(ak.pad_none(ak.where(boson, record.id, 0)[chosen], most), 0).to_numpy()
        came_from = ak.flatten(record.id[hard.mother1]).to_numpy()
        same = kind[np.repeat(np.arange(len(hard)), ak.num(hard).to_numpy())] == came_from[:, None]
        mother = np.where(same.any(axis=1), same.argmax(axis=1), -1)
        weight = batch.info.weights[:, 0].to_numpy()
        return Generated(self._particles(record[record.status > 0]), self._particles(hard), mother, weight)

    def _particles(self, record: ak.Array) -> Particles:
        offsets = np.concatenate([[0], np.cumsum(ak.num(record).to_numpy())]).astype(np.int64)
        flat = ak.flatten(record)
        p4 = np.stack([flat.p[name].to_numpy() for name in ("px", "py", "pz", "e")], axis=1)
        pdg = flat.id.to_numpy().astype(np.int64)
        numbers, place = np.unique(pdg, return_inverse=True)
        return Particles(offsets, p4, pdg, np.array([self._charge(number) for number in numbers.tolist()])[place])

    def _charge(self, pdg: int) -> float:
        if pdg not in self._charges:
            self._charges[pdg] = self._pythia.particleData.charge(pdg)
        return self._charges[pdg]
