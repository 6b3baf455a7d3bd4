"""Tables that the command line prints about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from dask_augment.dataset.manifest import Manifest

_WIDE_ENOUGH = 80
_WORTH = "worth events: (sum t)^2 / sum t^2, t the train_weight of all rows of an event"
_BIAS = "bias of spectra: largest average error of a histogram inside the stratum, over its sum of weights"
_VARIANCE = "made variance: of made rows over that of the stratum, mean and least of features"


def _shown(value: Any) -> str:
    """A value in a table: an unknown one as nothing, and brackets as they are."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else escape(str(value))


def show_dry_run(out: Console, summary: dict[str, Any]) -> None:
    """What would be read and written."""
    table = Table(
        "data set", "files", "events", "parts", "sum of weights", "weight is genWeight x", title="What would be read"
    )
    for name, entry in summary["datasets"].items():
        table.add_row(escape(name), *(_shown(entry[key]) for key in ("files", "entries", "parts", "sumw", "factor")))
    out.print(table)
    lines = [
        *(f"left out {lost['part']['input']['file']}: {lost['error']}" for lost in summary["quarantined"]),
        *(f"warning: {text}" for text in summary["warnings"]),
        f"Columns written: {', '.join(summary['columns'])}",
        f"Steps: {', '.join(summary['steps']) or 'none'}. Some events of each data set went through them.",
        f"Nothing was written; {summary['path']} would be, and is {summary['standing']}.",
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def show_accounts(out: Console, path: Path, manifest: Manifest) -> None:
    """A table of what became of the rows of each data set."""
    heads = ["data set", "rows in", "cut", "dropped", "made", "rows out", "sum of weight in", "cut", "and out"]
    cuts = any(account.cut for account in manifest.datasets.values())
    table = Table(*(head for head in heads if cuts or head != "cut"), title=escape(str(path)))
    for name, account in sorted(manifest.datasets.items()):
        dropped = sum(account.dropped.values()) - account.cut
        counts = [account.rows_in, account.cut, dropped, sum(account.made.values()), account.rows_out]
        sums = [account.weights_in, account.weights_cut, account.weights_out]
        if not cuts:
            del counts[1], sums[1]
        weights = (f"{of['weight'][0]:.6g}" if "weight" in of else "" for of in sums)
        table.add_row(escape(name), *(f"{count:,}" for count in counts), *weights)
    out.print(table)
    if cuts:
        out.print("cut: by steps that act on all events; dropped: by resampling", highlight=False, soft_wrap=True)


def _number(value: float) -> str:
    """An effective number: four digits, and all of a large one before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _variance(ratios: Mapping[str, float]) -> tuple[str, str]:
    """The mean of the features' variances, and the least with its name."""
    if not ratios:
        return "", ""
    least = min(ratios, key=ratios.__getitem__)
    return f"{sum(ratios.values()) / len(ratios):.3f}", f"{ratios[least]:.3f} {escape(least)}"


def show_resampled(out: Console, manifest: Manifest, most: int | None = None) -> None:
    """What the strata of each step are worth that resampled, as a table; the first ``most`` of them."""
    for label, report in manifest.resampled.items():
        title = f"\n{label}: rows for training, and how many events they are worth"
        if label in manifest.extra.get("learned_before", ()):
            title += "; for the events that it learned from earlier, not for these"
        out.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        out.print(_resampled(report[:most]), width=max(out.width, _WIDE_ENOUGH), crop=False)
        if left := len(report[most:]) if most is not None else 0:
            out.print(f"and {left:,} more strata: dask-augment show FOLDER tells of all", highlight=False)
    if manifest.resampled:
        varied = any(entry["variance"] for report in manifest.resampled.values() for entry in report)
        biased = any(entry.get("weight_bias") for report in manifest.resampled.values() for entry in report)
        for line in ("", _WORTH, *([_VARIANCE] if varied else []), *([_BIAS] if biased else []), ""):
            out.print(line, highlight=False, soft_wrap=True)


def _resampled(strata: Sequence[Mapping[str, Any]]) -> Table:
    """The table of one step."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("stratum", overflow="fold")
    narrow = any(entry["variance"] for entry in strata)
    heads = ("rows\nbefore", "rows\nafter", "worth\nevents", "counted\nby rows", "train\nweight")
    for head in (*heads, *(("made\nvariance",) if narrow else ())):
        table.add_column(head, justify="right", no_wrap=True)
    if narrow:
        table.add_column("\nleast", overflow="fold")
    biased = any(entry.get("weight_bias") for entry in strata)
    if biased:
        table.add_column("bias of\nspectra", justify="right", no_wrap=True)
    for entry in strata:
        counts = (f"{entry[name]:,}" for name in ("rows_before", "rows_after"))
        numbers = (_number(entry[name]) for name in ("events", "by_rows", "train_weight_after"))
        widths = _variance(entry["variance"]) if narrow else ()
        bias = (f"{100 * entry.get('weight_bias', 0.0):.2g} %",) if biased else ()
        table.add_row(escape(entry["stratum"]), *counts, *numbers, *widths, *bias)
    return table


def show_dataset(out: Console, path: Path, manifest: Manifest) -> None:
    """What is in a published data set, and what it is worth."""
    show_accounts(out, path, manifest)
    show_resampled(out, manifest)
    columns = f"Columns: {', '.join(str(column[0]) for column in manifest.schema)}"
    out.print(columns, markup=False, highlight=False, soft_wrap=True)
    show_how_to_read(out, path, manifest)


def show_how_to_read(out: Console, path: Path, manifest: Manifest) -> None:
    """A line to copy, and the logical hash of what it reads."""
    text = f"Read it:  pandas.read_parquet({str(path)!r})   logical hash {manifest.logical_hash.hex()}"
    out.print(text, markup=False, highlight=False, soft_wrap=True)
