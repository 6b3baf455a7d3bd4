"""What a run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_augment.dataset.manifest import Manifest, account_dict
from dask_augment.words import counted


@dataclass(frozen=True, repr=False)
class Result:
    """A published data set."""

    path: Path
    manifest: Manifest
    seconds: Mapping[str, float]
    """Wall seconds of each phase of this run, and of each step summed over workers."""
    already: bool
    """Whether this very plan had been published before."""
    peak_bytes: int = 0
    """Most memory that one process had that augmented or wrote; 0 where nothing was done."""

    @property
    def rows(self) -> int:
        """Rows of the data set."""
        return self.manifest.rows

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """What each step that resampled says of its strata, by label: rows, weights, and the events that they are worth.

        See :meth:`dask_augment.Augmenter.report`.
        """
        return self.manifest.resampled

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of the inputs, and data sets of which no row is left, with what became of their rows."""
        found = list(self.manifest.warnings)
        for name, account in sorted(self.manifest.datasets.items()):
            if account.rows_out:
                continue
            most = sorted(account.dropped.items(), key=lambda entry: -entry[1])
            dropped = ", ".join(f"{step} dropped {counted(n, 'row')}" for step, n in most)
            why = dropped or "no events were read"
            found.append(f"data set {name!r} has no rows left of {account.rows_in:,}: {why}")
        return tuple(found)

    def __repr__(self) -> str:
        lines = [f"{counted(self.rows, 'row')} in {self.path}, logical hash {self.manifest.logical_hash.hex()}"]
        for name, account in self.manifest.datasets.items():
            dropped, made = (
                ", ".join(f"{n} by {step}" for step, n in d.items()) for d in (account.dropped, account.made)
            )
            lines.append(
                f"  {name}: {account.rows_in} in, dropped {dropped or 'none'}, made {made or 'none'}, {account.rows_out} out"
            )
        return "\n".join([*lines, *(f"  warning: {text}" for text in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        manifest = self.manifest
        return {
            "path": str(self.path),
            "already": self.already,
            "digest": manifest.digest,
            "rows": manifest.rows,
            "logical_hash": manifest.logical_hash.hex(),
            "datasets": {name: account_dict(account) for name, account in manifest.datasets.items()},
            "warnings": list(self.warnings),
            "quarantined": [lost.to_dict() for lost in manifest.quarantined],
            "resampled": self.report(),
            "seconds": dict(self.seconds),
            "peak_bytes": self.peak_bytes,
        }
