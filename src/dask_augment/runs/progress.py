"""Progress of a run: reported to a listener, and shown on a console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from rich.console import Console


class Progress(Protocol):
    """Is told how far a run has come."""

    def start(self, title: str, total: int | None) -> None:
        """A phase begins, of this many units."""

    def advance(self, units: int) -> None:
        """So many units are done."""

    def tell(self, text: str) -> None:
        """What a person should know meanwhile."""


class Silent:
    """No progress is shown."""

    def start(self, title: str, total: int | None) -> None:
        """Nothing."""

    def advance(self, units: int) -> None:
        """Nothing."""

    def tell(self, text: str) -> None:
        """Nothing; the log has it."""


class Lines(Silent):
    """No bars, but what a person should know."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, text: str) -> None:
        """A line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Stages(Lines):
    """A line as each phase that takes long begins: a log shows that something is done."""

    def __init__(self, console: Console, log: Console) -> None:
        super().__init__(console)
        self._log = log
        self._last = ""

    def start(self, title: str, total: int | None) -> None:
        """A phase begins: a line where it has units to do, one for all the passes of a learner."""
        if total and title != self._last:
            self._last = title
            self._log.print(f"{title} ...", markup=False, highlight=False, soft_wrap=True)


class Bars(Lines):
    """Progress as bars in a terminal, below what is told."""

    def __init__(self, console: Console, progress: Any) -> None:
        super().__init__(console)
        self._progress = progress
        self._task: Any = None

    def start(self, title: str, total: int | None) -> None:
        """A phase begins."""
        self._end()
        self._task = self._progress.add_task(title, total=total)

    def advance(self, units: int) -> None:
        """So many units are done."""
        self._progress.advance(self._task, units)

    def _end(self) -> None:
        if self._task is not None:
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, total=max(task.completed, 1), completed=max(task.completed, 1))


@contextmanager
def showing(console: Console, log: Console, *, quiet: bool) -> Iterator[Lines]:
    """Progress on this console: as bars where it is a terminal, else as lines of the log, unless quiet."""
    if quiet or not console.is_terminal:
        yield Lines(console) if quiet or log.is_terminal else Stages(console, log)
    else:
        with _bars(console) as bars:
            yield bars


@contextmanager
def for_a_person(progress: Progress | None, *, quiet: bool) -> Iterator[Progress]:
    """The caller's own progress; else bars where a person looks, in a terminal or a notebook, unless quiet."""
    console = Console(stderr=True)
    # Without the widgets a notebook would be filled with a line for each step of a bar.
    looked_at = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
    if progress is not None or quiet or not looked_at:
        yield progress or Silent()
    else:
        with _bars(console) as bars:
            yield bars


@contextmanager
def _bars(console: Console) -> Iterator[Bars]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(console, progress)
