"""The result of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from dask_augment.dataset.manifest import Manifest, account_dict
from dask_augment.messages import counted
from dask_augment.runs.tables import show_accounts, show_how_to_read, show_resampled
from dask_augment.runs.yields import moved

_MOST_STRATA = 20
"""Strata of each step that are shown after a run; there may be a thousand."""
_WIDTH = 110
"""Columns of the text of a result, which knows no terminal."""


@dataclass(frozen=True, repr=False)
class Result:
    """A published data set."""

    path: Path
    manifest: Manifest
    seconds: Mapping[str, float]
    """Wall seconds of each phase of this run, and of each step summed over workers."""
    already: bool
    """Whether this very plan had been published before, or by another client meanwhile."""
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
            found += moved(name, account, self.manifest.extra.get("overwritten", {}))
            if account.rows_out:
                continue
            most = sorted(account.dropped.items(), key=lambda entry: -entry[1])
            dropped = ", ".join(f"{step} dropped {counted(n, 'row')}" for step, n in most)
            why = dropped or "no events were read"
            found.append(f"data set {name!r} has no rows left of {account.rows_in:,}: {why}")
        return tuple(found)

    def show(self, console: Console) -> None:
        """Print what became of the rows, what to know, and how to read the data set."""
        show_accounts(console, self.path, self.manifest)
        show_resampled(console, self.manifest, _MOST_STRATA)
        for lost in self.manifest.quarantined:
            where = escape(lost.part.input["file"])
            console.print(f"[red]left out[/red] {where}: {escape(lost.error)}", highlight=False, soft_wrap=True)
        for text in self.warnings:
            console.print(f"[yellow]warning[/yellow] {escape(text)}", highlight=False, soft_wrap=True)
        if self.already:
            console.print("This plan was published before; nothing was done.")
        elif self.seconds:
            phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items() if seconds >= 0.05)
            console.print(f"Time: {phases or 'less than 0.05 s'}.", highlight=False)
        show_how_to_read(console, self.path, self.manifest)

    def __repr__(self) -> str:
        text = io.StringIO()
        self.show(Console(file=text, width=_WIDTH, force_jupyter=False))
        return text.getvalue().rstrip()

    def _repr_html_(self) -> str:
        console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_jupyter=False)
        self.show(console)
        return console.export_html(inline_styles=True, code_format='<pre style="line-height: normal">{code}</pre>')

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
