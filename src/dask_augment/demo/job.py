"""What ``dask-augment demo`` does: events, a plan in a file, and the run of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dask_augment.demo import events, picture
from dask_augment.demo.accounts import Stratum, by_stratum
from dask_augment.models.files import located
from dask_augment.plan import Plan
from dask_augment.runs.result import Result
from dask_augment.runs.run import run
from dask_augment.runs.tasks import Progress

WORKERS = 2
CHUNK = 1000
"""Events of a task: the shipped ones are seven tasks for two workers."""


@dataclass(frozen=True)
class Demo:
    """What the main job came to."""

    result: Result
    strata: tuple[Stratum, ...]
    picture: Path


def prepare(output: Path, wanted: int | None = None, progress: Progress | None = None) -> Path:
    """See that the events are there, and write the plan that reads them beside the output; returns its path."""
    fileset = events.fileset(wanted, beside(output, "-events"), progress)
    text = located("shipped:demo.yaml").read_text(encoding="utf-8")
    path = beside(output, ".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_filled(text, fileset=fileset, path=str(output.absolute())), encoding="utf-8")
    return path


def carry_out(plan: Path, output: Path, progress: Progress | None = None) -> Demo:
    """Run the plan on two worker processes, publish its data set in place of an earlier one, and draw the picture."""
    asked = Plan.read(plan)
    result = run(
        asked,
        output,
        executor="dask",
        workers=WORKERS,
        chunksize=CHUNK,
        resume=True,
        replace=True,
        progress=progress,
    )
    if progress is not None:
        progress.start("drawing the picture", None)
    strata = by_stratum(asked, result)
    return Demo(result, strata, picture.draw(result.path, strata, beside(output, ".png")))


def beside(output: Path, ending: str) -> Path:
    """A file or folder next to the data set, whose name begins with that of the data set."""
    return output.absolute().with_name(output.absolute().name + ending)


def _filled(text: str, **values: Any) -> str:
    """The plan's text with the values of some keys written in; its comments stay."""
    lines = text.splitlines()
    for key, value in values.items():
        written = yaml.safe_dump({key: value}, default_flow_style=False, sort_keys=False, width=10_000)
        (place,) = (i for i, line in enumerate(lines) if line.startswith(f"  {key}:"))
        lines[place : place + 1] = [f"  {line}" for line in written.splitlines()]
    return "\n".join(lines) + "\n"
