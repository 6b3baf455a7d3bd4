"""What tests cost in CPU time: a quick test that costs much fails, and files that cost much are run first.

A plugin of pytest. Its own process's time counts against a test, and the time of the processes that it started is told
beside it. What numba compiles, the first test to call a kernel pays for, and it does not count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from numba.core import event

MOST = 5.0
"""Seconds of CPU of its own process that a test may take which is not marked slow."""
WORTH_TELLING = 0.5
DEAREST = (
    "whole/test_one_hash.py", "fault/test_client_killed.py", "laws/test_laws.py", "fault/test_workers_killed.py",
    "fault/test_state_machine.py", "whole/test_one_hash_after_death.py", "demo/test_demo.py", "test_mutants.py",
    "sampling/test_one_result.py", "fault/test_transient_errors.py", "test_docs.py", "test_examples.py",
    "fault/test_crash_points.py", "frames/test_references.py", "generator/test_jobs.py", "frames/test_every_frame.py",
    "frames/test_coffea.py", "sampling/test_acceptance.py", "fault/test_run_disk_full.py", "fault/test_memory.py",
)  # fmt: skip
"""Files that take longest: the last ones to be run would keep one process busy after all others are done."""

PROCESS = psutil.Process()


class Compiling(event.Listener):
    """CPU seconds while numba compiles, or reads what it compiled, on any thread."""

    def __init__(self) -> None:
        self.seconds, self.depth, self.since = 0.0, 0, 0.0
        event.register("numba:compiler_lock", self)

    def on_start(self, event: Any) -> None:
        if self.depth == 0:
            self.since = time.process_time()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.process_time() - self.since


COMPILING = Compiling()
ALIVE: dict[int, float] = {}
"""The seconds of each process below this one that is alive, when it was last looked at."""


def own() -> float:
    """CPU seconds of this process, less those of compiling."""
    return time.process_time() - COMPILING.seconds


def slowness() -> float:
    """How many times as long as on a quiet machine of today some work takes here and now; at least 1."""
    began = time.process_time()
    sum(range(5_000_000))
    return max(1.0, (time.process_time() - began) / 0.1)


def ended() -> float:
    """CPU seconds of the processes that this one started and saw end."""
    times = PROCESS.cpu_times()
    return float(times.children_user + times.children_system)


def by_others(before: float) -> float:
    """CPU seconds of processes started here, since they were last looked at."""
    seconds, known = ended() - before, dict(ALIVE)
    ALIVE.clear()
    for child in PROCESS.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        ALIVE[child.pid] = times.user + times.system
        seconds += ALIVE[child.pid] - known.pop(child.pid, 0.0)
    # What died had been counted while it lived.
    return max(0.0, seconds - sum(known.values()))


BEGAN = pytest.StashKey[tuple[float, float, float]]()
"""What a phase of a test began with."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dearest files first, whatever their names."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(DEAREST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Begin to count."""
    item.stash[BEGAN] = (own(), ended(), time.perf_counter())
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Tell the seconds of each phase of a test; fail a quick test whose body took too many."""
    report = yield
    began, before, clock = item.stash[BEGAN]
    report.cpu = own() - began
    # Looking at processes takes a millisecond; what a shorter phase started is told by the next.
    report.cpu_of_others = by_others(before) if time.perf_counter() - clock > 0.1 else 0.0
    item.stash[BEGAN] = (own(), ended(), time.perf_counter())
    if call.when != "call" or not report.passed or item.get_closest_marker("slow") is not None:
        return report
    if report.cpu > MOST and report.cpu > MOST * slowness():
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} took {report.cpu:.1f} s of CPU, and a test that is not marked slow may take {MOST:g}: "
            "make it smaller, or mark it with pytest.mark.slow"
        )
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The twenty dearest tests, what their fixtures took included."""
    seconds: dict[str, list[float]] = {}
    for report in (r for reports in terminalreporter.stats.values() for r in reports if hasattr(r, "cpu")):
        total = seconds.setdefault(report.nodeid, [0.0, 0.0])
        total[0] += report.cpu
        total[1] += report.cpu_of_others
    sums = [sum(values) for values in zip(*seconds.values(), strict=True)] or [0.0, 0.0]
    dear = [entry for entry in seconds.items() if sum(entry[1]) >= WORTH_TELLING]
    lines = [*sorted(dear, key=lambda entry: -sum(entry[1]))[:20], (f"all {len(seconds)} tests", sums)]
    terminalreporter.section("dearest by CPU: of its own process, and of those that it started")
    for name, (mine, others) in lines:
        terminalreporter.write_line(f"{mine:6.1f} s {others:6.1f} s  {name}")
