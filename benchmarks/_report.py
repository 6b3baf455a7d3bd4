"""Processor time of two ways to do one thing, taken in turns, and how the figures are shown."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured figure. ``ratio`` is the one that the goal names, and should not be above ``goal``."""

    case: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    unit: str
    goal: float
    limit: str
    """What ours spends its time or memory on."""


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time of all threads of this process in one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turns(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Medians of the processor seconds of both, and of their ratio in each round; the first of each does not count.

    Both run in every round, in changing order, so that what else the machine does meets both alike.
    """
    ours()
    peer()
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            second, first = cpu_seconds(peer), cpu_seconds(ours)
        else:
            first, second = cpu_seconds(ours), cpu_seconds(peer)
        times.append((first, second))
    ratio = statistics.median(a / b for a, b in times)
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), ratio


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print the figures as they come: a JSON object a line with ``--json``, else one table."""
    if "--json" in sys.argv[1:]:
        keys = ("case", "ours", "peer", "peer_name", "ratio", "unit")
        for figure in figures:
            values = asdict(figure)
            print(json.dumps({key: values[key] for key in keys}), flush=True)
        return
    table = Table("case", "ours", "peer", "ratio", "goal", "unit", "peer is", "what limits us", title=title)
    for figure in figures:
        met = "green" if figure.ratio <= figure.goal else "red"
        numbers = (f"{figure.ours:.4g}", f"{figure.peer:.4g}", f"[{met}]{figure.ratio:.3g}[/]", f"≤ {figure.goal:g}")
        table.add_row(figure.case, *numbers, figure.unit, figure.peer_name, figure.limit)
    Console().print(table)
