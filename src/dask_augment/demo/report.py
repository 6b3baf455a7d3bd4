"""What the main job came to, as tables on a console."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dask_augment.demo.job import Demo
from dask_augment.plan import Plan
from dask_augment.registry import with_labels
from dask_augment.runs.result import Result

_MEGABYTE = 1e6
_BEFORE = "this plan was published before: only the tables and the picture are new"


def show(console: Console, demo: Demo, plan: Path, seconds: float) -> None:
    """Tables of strata and steps, and where everything is; ``seconds``: of the whole job."""
    console.print(_strata(demo))
    console.print()
    console.print(_steps(Plan.read(plan), demo.result))
    peak = demo.result.peak_bytes / _MEGABYTE
    memory = f", {peak:,.0f} MB at most in a worker" if peak else ""
    path = demo.result.path
    lines = [
        f"Time:     {seconds:.1f} s in all{memory}",
        "          " + (_BEFORE if demo.result.already else _phases(demo.result)),
        f"Data set: {path}   logical hash {demo.result.manifest.logical_hash.hex()}",
        f"Plan:     {plan}   again, here or on a cluster: dask-augment run {plan}",
        f"Picture:  {demo.picture}",
        f"Read it:  pandas.read_parquet({str(path)!r})",
    ]
    console.print()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _strata(demo: Demo) -> Table:
    table = _table("Rows and sums of weights of each stratum", "stratum")
    for head in ("in", "dropped", "made", "out", "train", "weight\nin", "weight\nout", "train\nweight"):
        table.add_column(head, justify="right", no_wrap=True)
    for stratum in demo.strata:
        counts = (stratum.rows_in, stratum.dropped, stratum.made, stratum.rows_out, stratum.train_out)
        sums = (stratum.weight_in, stratum.weight_out, stratum.train_weight)
        table.add_row(escape(stratum.label), *(f"{n:,}" for n in counts), *(f"{value:.4g}" for value in sums))
    table.caption = "made: copies that stay; train: rows for training; nan: no large jet in the event"
    return table


def _steps(plan: Plan, result: Result) -> Table:
    accounts = result.manifest.datasets.values()
    table = _table("Steps", "step")
    for head in ("dropped", "made", "seconds"):
        table.add_column(head, justify="right")
    for label, _ in with_labels(plan.steps):
        dropped, made = (
            sum(counts.get(label, 0) for counts in (getattr(a, name) for a in accounts)) for name in ("dropped", "made")
        )
        seconds = result.seconds.get(f"step {label}")
        shown = "" if seconds is None else f"{seconds:.2f}"
        table.add_row(label, f"{dropped:,}" if dropped else "", f"{made:,}" if made else "", shown)
    return table


def _table(title: str, first: str) -> Table:
    """A table without frames, whose nine columns fit into the 80 of a terminal."""
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column(first, no_wrap=True)
    return table


def _phases(result: Result) -> str:
    phases = ", ".join(
        f"{name} {value:.1f} s" for name, value in result.seconds.items() if not name.startswith("step ")
    )
    return f"{phases} (of steps: summed over workers, with what these load and compile at first)"
