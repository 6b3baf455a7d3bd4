"""Make events in parallel: jobs over a Dask client, processes or this process, and the fileset that names their files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_augment.dataset.publication import RunFailed
from dask_augment.files.folders import local_folder
from dask_augment.generator import pythia
from dask_augment.generator.detector import Detector
from dask_augment.generator.jobs import Job, Made
from dask_augment.messages import counted
from dask_augment.options import named_options
from dask_augment.runs.progress import Progress, for_a_person
from dask_augment.runs.where import by_former_names, opened

FILESET = "fileset.json"
RATE = 80
"""Events that a core makes in a second, about."""


@dataclass(frozen=True)
class _Make:
    """Make the file of one job."""

    folder: Path
    name = "augment-generate"

    def __call__(self, job: Job) -> Made:
        return job.write(self.folder)


@by_former_names
@named_options
def generate(
    processes: str | Sequence[str],
    output: str | Path,
    *,
    events: int,
    seed: int = 1,
    detector: Detector | None = None,
    per_file: int = 1000,
    where: Any = 2,
    progress: Progress | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Generate events with Pythia 8 and a parametric detector: NanoAOD-like ROOT files, and a fileset that names them.

    Parameters
    ----------
    processes
        "wz" (W' -> W Z with a hadronic W and a leptonic Z), "qcd" (two jets), or both: each is a data set.
    output
        Folder of the files and of ``fileset.json``, which a plan reads: ``inputs: {fileset: ...}``. Files that are there
        already, from the same process, number, seed, detector and versions, are not made again.
    events
        Events of each process.
    seed
        The same seed gives the same events, however many workers make them.
    detector
        What measures the particles; its fields are resolutions and efficiencies.
    per_file
        Events in a file; the last has the rest too.
    where
        As for :func:`dask_augment.run`; two worker processes here unless given.
    progress
        Is told how far the work has come; None: bars show it in a terminal and in a notebook.
    quiet
        Show no bars.

    Returns
    -------
    dict
        The fileset, with the cross-section ``xsec`` [pb] of each process: the mean of ``genWeight``.

    Errors: ImportError without pythia8mc, which nothing of this package installs; ValueError for numbers out of range.
    """
    names = [processes] if isinstance(processes, str) else list(dict.fromkeys(processes))
    if not names:
        raise ValueError("processes must name one process at least, got none")
    if per_file < 1:
        raise ValueError(f"per_file must be a positive number of events, got {per_file}")
    pythia.module()
    jobs = [job for name in names for job in _jobs(name, events, seed, detector or Detector(), per_file)]
    folder = local_folder(output, "output").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[Job, Made] = {}
    with (
        for_a_person(progress, quiet=quiet) as show,
        opened(where, tell=show.tell) as pool,
    ):
        show.start(announced(jobs, folder, pool.workers), sum(job.events for job in jobs))
        for job, outcome in pool.map(_Make(folder), jobs):
            if isinstance(outcome, BaseException):
                raise RunFailed(
                    f"making {job.name!r} failed: {type(outcome).__name__}: {outcome}\nThe files that are done are kept: "
                    "mend the cause and ask for the same events again"
                ) from outcome
            made[job] = outcome
            show.advance(job.events)
    fileset = {name: _entry([made[job] for job in jobs if job.process == name]) for name in names}
    (folder / FILESET).write_text(json.dumps(fileset, indent=2) + "\n", encoding="utf-8")
    return fileset


def announced(jobs: Sequence[Job], folder: Path, workers: int) -> str:
    """What will be done, and how long that takes."""
    left = [job.events for job in jobs if not (folder / job.name).exists()]
    if not left:
        return "looking at the events that are there"
    seconds = max(sum(left) / min(workers, len(left)), max(left)) / RATE
    return f"generating {counted(sum(left), 'event')} (about {max(1, round(seconds)):,} s)"


def _jobs(process: str, events: int, seed: int, detector: Detector, per_file: int) -> list[Job]:
    """Files of equal size, so that more events leave the files there are as they are; the last one has the rest."""
    count = max(1, events // per_file)
    sizes = [per_file] * (count - 1) + [events - per_file * (count - 1)]
    return [
        Job(process=process, number=number, events=size, seed=seed, detector=detector)
        for number, size in enumerate(sizes)
    ]


def _entry(files: Sequence[Made]) -> dict[str, Any]:
    xsec = sum(file.sumw for file in files) / sum(file.events for file in files)
    return {"files": {str(file.path): "Events" for file in files}, "metadata": {"is_mc": True, "xsec": xsec}}
