"""The results of the main job, as tables on a console."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dask_augment.demo.job import Demo, beside
from dask_augment.plans.plan import Plan
from dask_augment.plans.registry import with_labels
from dask_augment.runs.result import Result

_MEGABYTE = 1e6
_WIDEST = 120
_ROWS = (
    "out: in - dropped + made; made: copies that stay (below are all copies made, before",
    "undersampling); train: rows for training",
)
_SECONDS = "seconds: summed over workers. The first run compiles kernels: steps are slower then."
_COUNTS = ("rows_in", "dropped", "made", "rows_out", "train_out")
_BEFORE = "this plan was published before: only the tables and the picture are new"


def show(console: Console, demo: Demo, plan: Path, preparing: float) -> None:
    """Tables of strata and steps, and where everything is; ``preparing``: seconds until there were events and plan."""
    # What does not fit is continued on the next line: digits that were cut off would be other numbers.
    wide = max(console.width, _WIDEST)
    console.print(_strata(demo), width=wide, crop=False)
    _print(console, *_ROWS, "")
    console.print(_steps(Plan.read(plan), demo.result), width=wide, crop=False)
    _print(console, *([] if demo.result.already else [_SECONDS]), "")
    phases = {name: round(value, 1) for name, value in {"events": preparing, **demo.seconds}.items()}
    peak = demo.result.peak_bytes / _MEGABYTE
    memory = f", {peak:,.0f} MB at most in a worker" if peak else ""
    path = demo.result.path
    lines = [
        # Of the numbers as they are shown, so that they add up.
        f"Time:     {sum(phases.values()):.1f} s in all{memory}",
        "          " + ", ".join(f"{name} {value:.1f} s" for name, value in phases.items() if value),
        *(["          " + _BEFORE] if demo.result.already else []),
        f"Data set: {path}   logical hash {demo.result.manifest.logical_hash.hex()}",
        f"Plan:     {plan}",
        f"Again:    {again(plan, path)}",
        "          (here; on a cluster with --scheduler)",
        f"Picture:  {demo.picture}",
        f"Worth:    {shlex.join(['dask-augment', 'show', str(path)])} says how many events each stratum is worth",
        f"Read it:  pandas.read_parquet({str(path)!r})",
    ]
    _print(console, *lines)


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def again(plan: Path, path: Path) -> str:
    """The command that carries out the plan once more, into a folder that is not there yet."""
    folders = (beside(path, f"-again{number}") for number in ("", *range(2, 1000)))
    free = next(folder for folder in folders if not folder.exists())
    return shlex.join(["dask-augment", "run", str(plan), "--output", str(free)])


def _strata(demo: Demo) -> Table:
    table = _table("Rows and sums of weights of each stratum", "stratum")
    for head in ("in", "dropped", "made", "out", "train", "weight\nin", "weight\nout", "train\nweight"):
        table.add_column(head, justify="right", no_wrap=True)
    counts = [tuple(getattr(stratum, name) for name in _COUNTS) for stratum in demo.strata]
    sums = [(stratum.weight_in, stratum.weight_out, stratum.train_weight) for stratum in demo.strata]
    for stratum, numbers, weights in zip(demo.strata, counts, sums, strict=True):
        table.add_row(escape(stratum.label), *_shown(numbers, weights))
    table.add_row(
        "total",
        *_shown([sum(each) for each in zip(*counts, strict=True)], [sum(each) for each in zip(*sums, strict=True)]),
    )
    return table


def _shown(counts: Sequence[int], sums: Sequence[float]) -> list[str]:
    """Cells of rows and of sums of weights; the last, of training weights, is of the size of a number of rows."""
    return [*(f"{n:,}" for n in counts), *(f"{value:.4g}" for value in sums[:-1]), f"{sums[-1]:,.0f}"]


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
    """A table without frames, whose nine columns fit into the 80 of a terminal up to tens of thousands of events."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    return table
