"""Two million events through two worker processes: speed, memory, and whether either depends on the number of events.

Run ``python benchmarks/scale.py``; ``--json`` prints one object a line. The peak memory of a worker is what its process
has had at most, imports included; CPU is that of the worker processes, after a run over few events that loads and
compiles what is needed. Parts have the same size in both runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dask_augment.contract.account import peak_memory

SMALL, LARGE = 200_000, 2_000_000
RECEIPTS = 100_000
CHUNK = 10_000
MEGABYTE = 2**20


def main() -> None:
    """Run all cases."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments.add_argument("--events", type=int, default=LARGE, help="events of the large run")
    arguments.add_argument("--receipts", type=int, default=RECEIPTS, help="parts of the data set that is committed")
    arguments.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.child:
        CHILDREN[asked.child[0]](Path(asked.child[1]), int(asked.child[2]))
        return
    for result in cases(asked.events, asked.receipts):
        print(json.dumps(result) if asked.json else _line(result), flush=True)


def _line(result: dict[str, Any]) -> str:
    peer = (
        f"   {result['peer_name']}: {result['peer']:,.4g}   ratio {result['ratio']:.3f}" if result["peer_name"] else ""
    )
    return f"{result['case']:<22}{result['ours']:>14,.4g} {result['unit']:<12}{peer}"


def cases(events: int, receipts: int) -> Iterator[dict[str, Any]]:
    """Each figure as {"case", "ours", "peer", "peer_name", "ratio", "unit"}; the peer is the smaller run."""
    with tempfile.TemporaryDirectory(prefix="dask-augment-scale-") as folder:
        small = child("events", Path(folder, "small"), events // (LARGE // SMALL))
        large = child("events", Path(folder, "large"), events)
        yield entry("scale_speed", large["rows_per_second"], small["rows_per_second"], small["events"], "rows/s")
        yield entry("scale_cpu", large["cpu_per_row"] * 1e6, small["cpu_per_row"] * 1e6, small["events"], "us/row")
        for name in ("worker_peak", "client_peak"):
            yield entry(f"scale_{name}", large[name] / MEGABYTE, small[name] / MEGABYTE, small["events"], "MB")
        commit = child("commit", Path(folder, "commit"), receipts)
        yield entry("commit_time", commit["seconds"], None, 0, "s")
        yield entry("commit_peak", commit["peak"] / MEGABYTE, commit["base"] / MEGABYTE, 0, "MB", "before commit")


def entry(case: str, ours: float, peer: float | None, events: int, unit: str, name: str = "") -> dict[str, Any]:
    """One line of the results."""
    name = name or (f"{events:,} events" if peer is not None else "")
    ratio = None if peer is None else ours / peer
    return {"case": case, "ours": ours, "peer": peer, "peer_name": name, "ratio": ratio, "unit": unit}


def child(kind: str, folder: Path, size: int) -> dict[str, Any]:
    """Measure in a process of its own, so that no peak is another case's."""
    command = [sys.executable, __file__, "--child", kind, str(folder), str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# Events through a cluster ---------------------------------------------------------------------------------------------


def measure_events(folder: Path, events: int) -> None:
    """One plan over so many events: select, define, split, balance by copies, rotate, write."""
    from _toys import toy_plan
    from distributed import Client, LocalCluster

    from dask_augment.runs.run import run

    # Made in another process: the memory that making events takes is not the client's.
    few, many = (toy_plan(child("sample", folder / f"{count}", count)) for count in (1000, events))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        run(few, folder / "few", where=client)
        before = sum(client.run(_cpu).values())
        begun = time.perf_counter()
        result = run(many, folder / "out", where=client, chunksize=CHUNK)
        seconds = time.perf_counter() - begun
        cpu = sum(client.run(_cpu).values()) - before
        peaks = client.run(peak_memory)
    values = {
        "events": events, "rows": result.rows, "seconds": seconds, "rows_per_second": events / seconds,
        "cpu_per_row": cpu / events, "worker_peak": max(peaks.values()), "client_peak": peak_memory(),
        "phases": dict(result.seconds),
    }  # fmt: skip
    print(json.dumps(values))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def write_events(folder: Path, events: int) -> None:
    """NanoAOD-like files of so many events."""
    from _toys import write_sample

    folder.mkdir(parents=True)
    print(json.dumps(write_sample(folder, events)))


# Committing a data set of many parts ----------------------------------------------------------------------------------


def measure_commit(folder: Path, parts: int) -> None:
    """Publish so many parts; their files are links to one, so that the time is that of the receipts and the manifest."""
    import pyarrow as pa

    from dask_augment.contract.account import Account
    from dask_augment.dataset.commit import open_staging, publish
    from dask_augment.dataset.publication import Job
    from dask_augment.dataset.receipt import Part

    folder.mkdir()
    table = pa.table({"event": pa.array(range(10), pa.uint64()), "weight": pa.array([1.0] * 10)})
    schema = pa.schema([pa.field(f.name, f.type, nullable=False) for f in table.schema])
    table = table.cast(schema)
    entries = [{"file": f"{i // 100}.root", "start": 10 * (i % 100), "stop": 10 * (i % 100) + 10} for i in range(parts)]
    job = Job(folder / "out", {"seed": 7}, tuple(Part.of("ttbar", entry) for entry in entries), schema)
    sink = open_staging(job)
    sums = {"weight": (10.0, 10.0)}
    account = Account(rows_in=10, rows_out=10, weights_in=sums, weights_out=sums)
    first = sink.write_part(job.parts[0], [table], lambda: account)
    _forge(sink, first, job.parts)
    base, begun = peak_memory(), time.perf_counter()
    manifest = publish(job)
    seconds = time.perf_counter() - begun
    assert manifest.rows == 10 * parts
    print(json.dumps({"seconds": seconds, "base": base, "peak": peak_memory()}))


def _forge(sink: Any, receipt: Any, parts: Any) -> None:
    """Receipts of all parts after the first, with the files of the first."""
    from dataclasses import replace

    (file,) = receipt.files
    most_links = 30_000
    source = sink.attempts / file.name
    for number, part in enumerate(parts[1:]):
        name = f"{part.id}.{number:012x}"
        if number % most_links == most_links - 1:
            # A file has a limited number of names.
            (sink.attempts / name).write_bytes(source.read_bytes())
            source = sink.attempts / name
        else:
            os.link(source, sink.attempts / name)
        written = replace(
            receipt, part=part.id, files=(replace(file, name=name),), input=part.input, attempt=name[-12:]
        )
        sink.receipt_path(part.id).write_text(written.to_json())


CHILDREN = {"events": measure_events, "sample": write_events, "commit": measure_commit}

if __name__ == "__main__":
    main()
