"""The main job of ``dask-augment demo``: get events, write the plan, run it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dask_augment.dataset.manifest import Manifest, NotADataset
from dask_augment.demo import events, picture
from dask_augment.demo.accounts import Stratum, by_stratum
from dask_augment.models.files import located
from dask_augment.plans.plan import Plan
from dask_augment.plans.steps import step_from, step_to
from dask_augment.runs.progress import Progress
from dask_augment.runs.result import Result
from dask_augment.runs.run import run

WORKERS = 2
CHUNK = 1000
"""Events of a task: the shipped ones are seven tasks for two workers."""
_ELSEWHERE = "take another --output, or move it away"


@dataclass(frozen=True)
class Demo:
    """What the main job came to."""

    result: Result
    strata: tuple[Stratum, ...]
    picture: Path
    seconds: Mapping[str, float]
    """Of each phase, in order: together all of :func:`carry_out`."""


def refuse_foreign(output: Path) -> None:
    """Refuse to write where something else than an earlier demo is.

    A demo's data set has the steps and the data sets of the demo in its manifest, its plan begins with the demo's own
    line, and its picture stands beside such a plan. Errors: FileExistsError.
    """
    plan, drawn = beside(output, ".yaml"), beside(output, ".png")
    if os.path.lexists(output) and not _of_demo(output):
        raise FileExistsError(
            f"{output} is not the data set of a demo of this release, and is left as it is: {_ELSEWHERE}"
        )
    own = os.path.lexists(plan) and _begins(plan) == _text().splitlines()[0]
    for path in (plan, drawn):
        if os.path.lexists(path) and not own:
            raise FileExistsError(
                f"{path}, which a demo in {output} would write, is not a demo's, and is left as it is: {_ELSEWHERE}"
            )


def _of_demo(path: Path) -> bool:
    """Whether the plan in the manifest is that of the demo, whichever events it reads."""
    try:
        plan = Manifest.read(path).plan
    except (NotADataset, OSError):
        return False
    steps = [step_to(step_from(entry, i, Path())) for i, entry in enumerate(yaml.safe_load(_text())["steps"])]
    same = plan.get("steps") == json.loads(json.dumps(steps))
    return same and set(plan.get("inputs", {}).get("fileset", ())) == set(events.PROCESSES)


def _begins(path: Path) -> str:
    """The first line of a file; nothing where it is no text."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n")
    except (OSError, UnicodeDecodeError):
        return ""


def _text() -> str:
    return located("shipped:demo.yaml").read_text(encoding="utf-8")


def prepare(output: Path, wanted: int | None = None, progress: Progress | None = None) -> Path:
    """See that the events are there, and write the plan that reads them beside the output; returns its path.

    Errors: those of :func:`refuse_foreign` and of :func:`~dask_augment.demo.events.fileset`.
    """
    refuse_foreign(output)
    fileset = events.fileset(wanted, beside(output, "-events"), progress)
    path = beside(output, ".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_filled(_text(), fileset=fileset, path=str(output.absolute())), encoding="utf-8")
    return path


def carry_out(plan: Path, output: Path, progress: Progress | None = None) -> Demo:
    """Run the plan on two worker processes, publish its data set in place of an earlier one, and draw the picture."""
    begun = time.perf_counter()
    asked = Plan.read(plan)
    result = run(
        asked,
        output,
        where=WORKERS,
        chunksize=CHUNK,
        resume=True,
        replace=True,
        progress=progress,
    )
    ran = time.perf_counter()
    if progress is not None:
        progress.start("drawing the picture", None)
    strata = by_stratum(asked, result)
    drawn = picture.draw(result.path, strata, beside(output, ".png"))
    laps = {name: value for name, value in result.seconds.items() if not name.startswith("step ")}
    seconds = {
        "starting workers and opening files": ran - begun - sum(laps.values()),
        **laps,
        "counting and drawing": time.perf_counter() - ran,
    }
    return Demo(result, strata, drawn, seconds)


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
