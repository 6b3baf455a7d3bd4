"""What the framework costs: over bare kernels, over a plain Parquet writer, and in the size and time of a Dask graph.

Run ``python benchmarks/overhead.py [--json]``.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import dask_awkward as dak
import numpy as np
import pyarrow as pa
from _events import ANGLES, events, leading_pair_mass, pair_mass
from _report import Figure, in_turns, show

import dask_augment as da
from dask_augment.columns import flat, flatten
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.job import AlreadyCommitted, Job
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.draw import Draw
from dask_augment.identity import IDS
from dask_augment.kernels.angles import rotated
from dask_augment.meters import Account

CHUNK = 50_000
CHUNKS = 8
PART = 100_000
PARTS = 12
PARTITIONS = 10_000
STEPS = (da.PhiRotate(columns=ANGLES), pair_mass)


def framework_no_io() -> Figure:
    """Two steps through the framework against the same kernels on buffers that lie ready."""
    chunks = [events(i * CHUNK, (i + 1) * CHUNK) for i in range(CHUNKS)]
    ready = [_Buffers(chunk) for chunk in chunks]
    for chunk, buffers in zip(chunks, ready, strict=True):
        assert np.array_equal(_augmented(chunk).mjj, buffers.run()["mjj"])
    ours, peer, ratio = in_turns(
        lambda: [_augmented(chunk) for chunk in chunks], lambda: [buffers.run() for buffers in ready], rounds=31
    )
    limit = "taking columns out by name, checking promises, and rows put together anew: per chunk, not per event"
    name = "the same draws and kernels on prepared buffers"
    per_chunk = 1e3 / CHUNKS
    return Figure("framework_no_io", ours * per_chunk, peer * per_chunk, name, ratio, "CPU ms / 50,000 events", 1.25, limit)


def _augmented(chunk: ak.Array) -> ak.Array:
    return da.augment(chunk, *STEPS, seed=7, dataset="ttbar", weights=("genWeight",))


class _Buffers:
    """The buffers of one chunk, and the kernels called on them directly."""

    def __init__(self, chunk: ak.Array) -> None:
        self.ids = {name: np.asarray(chunk[name]).astype(np.uint64) for name in IDS}
        self.copies = np.zeros(len(chunk), np.int64)
        self.offsets, self.values = {}, {}
        for name in ANGLES:
            column = chunk[flat(name)]
            jagged = column.ndim > 1
            self.values[name] = flatten(column) if jagged else np.asarray(column)
            self.offsets[name] = np.asarray(column.layout.offsets) if jagged else np.arange(len(chunk) + 1)
        self.jets = {name: flatten(chunk[f"Jet_{name}"]) for name in ("pt", "eta", "mass")}

    def run(self) -> dict[str, Any]:
        alpha = Draw(7, "phi_rotate", ["ttbar"], self.ids, self.copies).uniform(0) * (2 * np.pi)
        result: dict[str, Any] = {name: rotated(self.values[name], self.offsets[name], alpha) for name in ANGLES}
        jets = self.jets
        result["mjj"] = leading_pair_mass(self.offsets["Jet.phi"], jets["pt"], jets["eta"], result["Jet.phi"], jets["mass"])
        return result


def commit_protocol(folder: Path) -> Figure:
    """A data set written, hashed, made durable and published, against the same tables in plain Parquet files."""
    arrays = [events(i * PART, (i + 1) * PART) for i in range(PARTS)]
    schema = schema_of(arrays[0])
    tables = [to_table(array, schema) for array in arrays]
    settings = Settings.for_schema(schema)
    counter = iter(range(1_000_000))

    def plain() -> None:
        target = folder / f"plain-{next(counter)}"
        target.mkdir()
        for number, table in enumerate(tables):
            with settings.writer(target / f"part-{number}.parquet", schema) as writer:
                writer.write_table(table, row_group_size=settings.row_group_rows)
        _remove(target)

    def ours() -> None:
        target = folder / f"ours-{next(counter)}"
        _commit(target, tables, schema)
        _remove(target)

    ours_seconds, peer_seconds, ratio = in_turns(ours, plain, rounds=7)
    size = sum(table.nbytes for table in tables) / 1e6
    limit = f"sha256 of the files and a hash of every value ({size:.0f} MB of them); receipts and renames are below 1 %"
    name = "pyarrow's ParquetWriter with the same settings"
    return Figure("commit_protocol", ours_seconds, peer_seconds, name, ratio, "CPU s", 1.15, limit)


def _commit(target: Path, tables: list[pa.Table], schema: pa.Schema) -> None:
    parts = tuple(Part.of("ttbar", {"file": "events", "start": i * PART, "stop": (i + 1) * PART}) for i in range(len(tables)))
    job = Job(target, {"steps": []}, parts, schema)
    sink = open_staging(job)
    assert not isinstance(sink, AlreadyCommitted)
    receipts = {}
    for part, table in zip(parts, tables, strict=True):
        rows = table.num_rows
        receipts[part.id] = sink.write_part(part, [table], lambda rows=rows: Account(rows_in=rows, rows_out=rows))
    publish(job, receipts)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def graph_10000() -> Iterator[Figure]:
    """A graph of 10,000 partitions from source to result: built, optimised and pickled."""
    sample = events(0, 100)

    def source() -> Any:
        form = ak.Array(sample.layout.to_typetracer(forget_length=True))
        return dak.from_map(_Read(sample), range(PARTITIONS), meta=form, label="read")

    def ours() -> Any:
        return da.augment(source(), *STEPS, seed=7, dataset="ttbar", weights=("genWeight",))

    def bare() -> Any:
        return source().map_partitions(_same).map_partitions(_same)

    def built(make: Any) -> bytes:
        collection = make()
        (optimised,) = dak.optimize(collection) if hasattr(dak, "optimize") else _optimised(collection)
        return pickle.dumps(optimised.dask if hasattr(optimised, "dask") else optimised)

    raise NotImplementedError
    yield built, ours, bare, time


if __name__ == "__main__":
    import sys
    def figures():
        yield framework_no_io()
        with tempfile.TemporaryDirectory(dir=".") as folder:
            yield commit_protocol(Path(folder))
    show("Overhead", figures())
