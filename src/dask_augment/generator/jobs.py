"""Jobs: each makes one file of events from its process, number and seed, on any machine at any time."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from dask_augment import __version__
from dask_augment.generator import nanoaod, pythia
from dask_augment.generator.detector import Detector
from dask_augment.generator.processes import process_named

MOST_EVENTS = 1_000_000
"""Events in one file at most: the number of an event is its luminosity block times this and its place in the file."""
OTHER_DETECTOR = 1_000_000
"""Added to the luminosity block in the number of an event where the detector has other than its default settings."""


@dataclass(frozen=True)
class Made:
    """A file of events."""

    path: Path
    uuid: UUID
    sumw: float
    """Sum of generator weights [pb]."""
    events: int

    @classmethod
    def of(cls, path: Path) -> Made | None:
        """What is in the file; None where it is not there, or is not a file of events of ours."""
        import uproot

        try:
            with uproot.open(path) as file:
                runs = file["Runs"].arrays(["genEventSumw", "genEventCount"], library="np")
                return cls(path, file.file.uuid, float(runs["genEventSumw"].sum()), int(runs["genEventCount"].sum()))
        except Exception:  # noqa: BLE001  of a file that is damaged uproot raises whatever it stumbles over
            return None


@dataclass(frozen=True, kw_only=True)
class Job:
    """So many events of one process; the same job gives the same arrays in every run, with the same versions.

    Its file has the process, the number, and nothing else in its name; the UUID inside says all that it was made from,
    so that a file that is there already is known to be this job's, or not to be.
    """

    process: str
    number: int
    events: int
    seed: int
    detector: Detector = field(default_factory=Detector)

    def __post_init__(self) -> None:
        least = len(process_named(self.process).slices)
        if not least <= self.events <= MOST_EVENTS:
            raise ValueError(
                f"a file of {self.process!r} has {least} to {MOST_EVENTS:,} events, got {self.events:,}; ask for another number"
            )

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.process}_{self.number:04d}.root"

    @property
    def uuid(self) -> UUID:
        """A UUID made from everything that decides about the events."""
        return UUID(
            bytes=self._digest(
                repr(self),
                repr(process_named(self.process)),
                __version__,
                version("pythia8mc"),
                *([str(self._apart)] if self._apart else []),
            )
        )

    @property
    def _apart(self) -> int:
        """0 with the default detector. Events of another one have numbers of their own: models tell samples by them."""
        return 0 if self.detector == Detector() else OTHER_DETECTOR

    def _digest(self, *texts: str) -> bytes:
        return blake2b("\n".join(texts).encode(), digest_size=16).digest()

    def _seed(self, *texts: str) -> int:
        return int.from_bytes(self._digest(self.process, str(self.number), str(self.seed), *texts), "little")

    def columns(self) -> dict[str, Any]:
        """The columns of ``Events``.

        The mean of ``genWeight`` over the events of a job is the cross-section [pb], so that the weights of all jobs,
        and of the slices of a process, fit together: in slice k with the cross-section s_k, an event of n to which
        Pythia gives the weight w has s_k n w / (sum of w in k).
        """
        slices = process_named(self.process).slices
        rng = np.random.default_rng(self._seed("detector"))
        counts = [len(part) for part in np.array_split(np.empty(self.events), len(slices))]
        batches, weights = [], []
        for number, (settings, count) in enumerate(zip(slices, counts, strict=True)):
            generator = pythia.Generator(settings, 1 + self._seed("slice", str(number)) % 900_000_000)
            made = []
            for generated in generator.events(count):
                batches.append(nanoaod.columns(generated, self.detector, rng))
                made.append(generated.weight)
            own = np.concatenate(made)
            weights.append(own * (generator.xsec * self.events / own.sum()))
        lumi = self.number + 1
        ids = {
            "run": np.ones(self.events, np.uint32),
            "luminosityBlock": np.full(self.events, lumi, np.uint32),
            "event": np.arange(self.events, dtype=np.uint64) + np.uint64((lumi + self._apart) * MOST_EVENTS),
            "genWeight": np.concatenate(weights).astype(np.float32),
        }
        return {**ids, **nanoaod.joined(batches)}

    def write(self, folder: Path, compression: Any = None) -> Made:
        """Make the file in this folder, whole or not at all, unless it is there already."""
        path = folder / self.name
        made = Made.of(path)
        if made is not None and made.uuid == self.uuid:
            return made
        nanoaod.write(path, self.columns(), uuid=self.uuid, compression=compression)
        made = Made.of(path)
        assert made is not None
        return made
