"""What a run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_augment.dataset.manifest import Manifest, account_dict


@dataclass(frozen=True, repr=False)
class Result:
    """A published data set."""

    path: Path
    manifest: Manifest
    seconds: Mapping[str, float]
    """Wall seconds of each phase of this run, and of each step summed over workers."""
    already: bool
    """Whether this very plan had been published before."""

    @property
    def rows(self) -> int:
        """Rows of the data set."""
        return self.manifest.rows

    def __repr__(self) -> str:
        lines = [f"{self.rows} rows in {self.path}, logical hash {self.manifest.logical_hash.hex()}"]
        for name, account in self.manifest.datasets.items():
            dropped, made = (
                ", ".join(f"{n} by {step}" for step, n in d.items()) for d in (account.dropped, account.made)
            )
            lines.append(
                f"  {name}: {account.rows_in} in, dropped {dropped or 'none'}, made {made or 'none'}, {account.rows_out} out"
            )
        return "\n".join(lines)

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
            "quarantined": [lost.to_dict() for lost in manifest.quarantined],
            "seconds": dict(self.seconds),
        }
