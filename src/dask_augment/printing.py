"""What the command line prints of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from dask_augment.runs.result import Result


def _shown(value: Any) -> str:
    """A value in a table: an unknown one as nothing, and brackets as they are."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else escape(str(value))


def show_dry_run(out: Console, summary: dict[str, Any]) -> None:
    """What would be read and written."""
    table = Table("data set", "files", "events", "parts", "sum of weights", "times", title="What would be read")
    for name, entry in summary["datasets"].items():
        table.add_row(escape(name), *(_shown(entry[key]) for key in ("files", "entries", "parts", "sumw", "factor")))
    out.print(table)
    lines = [
        *(f"left out {lost['part']['input']['file']}: {lost['error']}" for lost in summary["quarantined"]),
        f"Columns written: {', '.join(summary['columns'])}",
        f"Steps: {', '.join(summary['steps']) or 'none'}. Some events of each data set went through them.",
        f"Nothing was written; {summary['path']} would be, and is {summary['standing']}.",
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def show_result(out: Console, result: Result) -> None:
    """Tables of what became of the rows, and how to read the data set."""
    manifest = result.manifest
    heads = ("data set", "rows in", "dropped", "made", "rows out", "sum of weight in", "and out")
    table = Table(*heads, title=escape(str(result.path)))
    for name, account in sorted(manifest.datasets.items()):
        sums = [
            f"{sums['weight'][0]:.6g}" if "weight" in sums else "" for sums in (account.weights_in, account.weights_out)
        ]
        counts = (account.rows_in, sum(account.dropped.values()), sum(account.made.values()), account.rows_out)
        table.add_row(escape(name), *(f"{count:,}" for count in counts), *sums)
    out.print(table)
    for lost in manifest.quarantined:
        out.print(f"[red]left out[/red] {escape(lost.part.input['file'])}: {escape(lost.error)}", highlight=False)
    for text in result.warnings:
        out.print(f"[yellow]warning[/yellow] {escape(text)}", highlight=False, soft_wrap=True)
    if result.already:
        out.print("This plan was published before; nothing was done.")
    elif result.seconds:
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items() if seconds >= 0.05)
        out.print(f"Time: {phases or 'less than 0.05 s'}.", highlight=False)
    text = f"Read it:  pandas.read_parquet({str(result.path)!r})   logical hash {manifest.logical_hash.hex()}"
    out.print(text, markup=False, highlight=False, soft_wrap=True)
