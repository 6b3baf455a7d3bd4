"""The same job as it is written today, with coffea, vector and awkward, and with a plan: ROOT in, Parquet out.

Run ``python benchmarks/end_to_end.py [--json]``. The job: read 40 columns, turn each event by a random angle about the
beam, compute the mass of the two leading jets, write all of it. Each side runs in processes of its own; the processor
time is that of the job after a first small one, the memory is the most that the process has ever had.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _events import ANGLES, write_root
from _report import Figure, show

EVENTS = 400_000
FILES = 4
CHUNK = 100_000
ROUNDS = 5


def with_plan(files: list[Path], output: Path) -> None:
    """The job as a plan."""
    from _events import pair_mass

    import dask_augment as da
    from dask_augment.plans.plan import Plan
    from dask_augment.runs.run import run

    plan = Plan(
        inputs={"fileset": {"ttbar": {"files": dict.fromkeys(map(str, files), "Events")}}},
        steps=[da.PhiRotate(columns=ANGLES), pair_mass],
        seed=7,
        split=None,
        output={"keep": ["*"]},
    )
    run(plan, output, chunksize=CHUNK)


def with_coffea(files: list[Path], output: Path) -> None:
    """The job in a coffea processor: NanoEvents' behaviours from vector, one Parquet file for each chunk."""
    import awkward as ak
    import numpy as np
    from coffea import processor
    from coffea.nanoevents import NanoAODSchema

    NanoAODSchema.warn_missing_crossrefs = False
    output.mkdir()

    class Job(processor.ProcessorABC):  # type: ignore[misc]
        def process(self, events: Any) -> Any:
            start = events.metadata["entrystart"]
            number = [str(file) for file in files].index(events.metadata["filename"])
            alpha = np.random.default_rng([7, number, start]).uniform(0.0, 2 * np.pi, len(events))
            columns: dict[str, Any] = {}
            for name in events.fields:
                value = events[name]
                for field in value.fields or [""]:
                    column = value[field] if field else value
                    if f"{name}.{field}" in ANGLES:
                        column = (column + alpha + np.pi) % (2 * np.pi) - np.pi
                        column = ak.values_astype(column, np.float32)
                    columns[f"{name}_{field}" if field else name] = column
            jets = ak.with_field(events.Jet, columns["Jet_phi"], "phi")
            two = jets[ak.num(jets) >= 2]
            mass = np.zeros(len(events), np.float32)
            mass[ak.to_numpy(ak.num(jets) >= 2)] = ak.to_numpy((two[:, 0] + two[:, 1]).mass)
            columns["mjj"] = mass
            table = ak.zip({key: ak.without_parameters(value) for key, value in columns.items()}, depth_limit=1)
            ak.to_parquet(table, output / f"part-{number}-{start}.parquet")
            return {"rows": len(events)}

        def postprocess(self, accumulator: Any) -> Any:
            return accumulator

    runner = processor.Runner(processor.IterativeExecutor(status=False), schema=NanoAODSchema, chunksize=CHUNK)
    fileset = {"ttbar": {"files": dict.fromkeys(map(str, files), "Events")}}
    runner(fileset, Job(), treename="Events")


WAYS = {"ours": with_plan, "peer": with_coffea}


def _child(way: str, folder: Path) -> None:
    """One measurement, in a process of its own: prints processor seconds and the most memory [MB]."""
    files = sorted(folder.glob("events-*.root"))
    for number, job in enumerate(([folder / "warm.root"], files)):
        output = folder / f"{way}-{number}"
        began = time.process_time()
        WAYS[way](job, output)
        seconds = time.process_time() - began
        shutil.rmtree(output)
    from dask_augment.contract.account import peak_memory

    print(json.dumps([seconds, peak_memory() / 2**20]))


def _measured(way: str, folder: Path) -> tuple[float, float]:
    command = [sys.executable, __file__, "--child", way, str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, megabytes = json.loads(answer.stdout.splitlines()[-1])
    return seconds, megabytes


def plain_coffea() -> Iterator[Figure]:
    """Processor time and peak memory of both, in turns."""
    with tempfile.TemporaryDirectory(prefix="dask-augment-end-to-end-") as name:
        folder = Path(name)
        write_root(folder / "warm.root", 10_000_000, 10_005_000)
        for number in range(FILES):
            write_root(folder / f"events-{number}.root", number * EVENTS // FILES, (number + 1) * EVENTS // FILES)
        rounds = [(_measured("ours", folder), _measured("peer", folder)) for _ in range(ROUNDS)]
    peer = "coffea's Runner (iterative), vector, ak.to_parquet"
    for index, (case, unit, limit) in enumerate(
        [
            ("plain_coffea", "CPU s", "decompressing ROOT and encoding Parquet, which both do"),
            ("plain_coffea_memory", "peak MB", "one chunk as it is read, as a table, and as a row group"),
        ]
    ):
        ours, theirs = (statistics.median(one[side][index] for one in rounds) for side in (0, 1))
        ratio = statistics.median(one[0][index] / one[1][index] for one in rounds)
        yield Figure(case, ours, theirs, peer, ratio, unit, 1.0, limit)
        if index == 0:
            rate, their_rate = EVENTS / ours, EVENTS / theirs
            yield Figure("plain_coffea_rate", rate, their_rate, peer, their_rate / rate, "rows / CPU s", 1.0, limit)


if __name__ == "__main__":
    if "--child" in sys.argv:
        _child(sys.argv[2], Path(sys.argv[3]))
    else:
        show("The same job, from ROOT to Parquet", plain_coffea())
