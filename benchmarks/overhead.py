"""What the framework costs: over bare kernels, over a plain Parquet writer, and in the size and time of a Dask graph.

Run ``python benchmarks/overhead.py [--json]``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import cloudpickle
import dask
import dask_awkward as dak
import numpy as np
import pyarrow as pa
from _events import ANGLES, events, leading_pair_mass, pair_mass
from _report import Figure, in_turns, show

import dask_augment as da
from dask_augment.contract.account import Account
from dask_augment.contract.draw import Draw
from dask_augment.contract.ids import IDS
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.publication import AlreadyCommitted, Job
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.events.columns import flat, flatten
from dask_augment.kernels.angles import rotated

CHUNK = 50_000
CHUNKS = 8
PART = 200_000
PARTS = 6
PARTITIONS = 10_000
STEPS = (da.PhiRotate(columns=ANGLES), pair_mass)


def framework_no_io() -> Figure:
    """Two steps through the framework against the same kernels on buffers that lie ready."""
    chunks = [events(i * CHUNK, (i + 1) * CHUNK) for i in range(CHUNKS)]
    ready = [_Buffers(chunk) for chunk in chunks]
    for chunk, buffers in zip(chunks, ready, strict=True):
        assert np.array_equal(_augmented(chunk).mjj, buffers.run()["mjj"])

    def augmented() -> None:
        for chunk in chunks:
            _augmented(chunk)

    def bare() -> None:
        for buffers in ready:
            buffers.run()

    ours, peer, ratio = in_turns(augmented, bare, rounds=31)
    limit = "taking columns out by name, checking promises, and rows put together anew: per chunk, not per event"
    name = "the same draws and kernels on prepared buffers"
    per_chunk = 1e3 / CHUNKS
    return Figure(
        "framework_no_io", ours * per_chunk, peer * per_chunk, name, ratio, "CPU ms / 50,000 events", 1.25, limit
    )


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
        result["mjj"] = leading_pair_mass(
            self.offsets["Jet.phi"], jets["pt"], jets["eta"], result["Jet.phi"], jets["mass"]
        )
        return result


def commit_protocol(folder: Path) -> Figure:
    """A data set written, hashed, made durable and published, against the same tables in plain Parquet files."""
    arrays = [events(i * PART, (i + 1) * PART) for i in range(PARTS)]
    schema = schema_of(arrays[0])
    tables = [to_table(array, schema) for array in arrays]
    settings = Settings()
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
    limit = f"sha256 of the files and a hash of every value ({size:.0f} MB of them); receipts and renames are about 1 %"
    name = "pyarrow's ParquetWriter with the same settings"
    return Figure("commit_protocol", ours_seconds, peer_seconds, name, ratio, "CPU s", 1.15, limit)


def _commit(target: Path, tables: list[pa.Table], schema: pa.Schema) -> None:
    parts = tuple(
        Part.of("ttbar", {"file": "events", "start": i * PART, "stop": (i + 1) * PART}) for i in range(len(tables))
    )
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
    """A lazy collection of 10,000 partitions from its source to the result: built, optimised and pickled."""
    sample = events(0, 10)
    form = ak.Array(sample.layout.to_typetracer(forget_length=True))
    files = [f"root://eos.example.org//store/mc/ttbar/nano_{number}.root" for number in range(PARTITIONS // 10)]
    ranges = [(file, start * CHUNK, (start + 1) * CHUNK) for file in files for start in range(10)]

    def source() -> Any:
        return dak.from_map(_Read(sample), ranges, meta=form, label="read")

    def ours() -> bytes:
        return _optimised(da.augment(source(), *STEPS, seed=7, dataset="ttbar", weights=("genWeight",)))

    def bare() -> bytes:
        return _optimised(source().map_partitions(_same).map_partitions(_same))

    seconds, peer_seconds, _ = in_turns(ours, bare, rounds=7)
    peer = "two functions that do nothing, by map_partitions"
    why = "dask-awkward's own layers and its pass over the columns, of which there are 40"
    yield Figure("graph_10000", seconds, peer_seconds, peer, seconds, "CPU s to build, optimise and pickle", 1.0, why)
    size, peer_size = len(ours()) / 1e6, len(bare()) / 1e6
    why = "the partitions of the source; both steps together are one layer"
    yield Figure("graph_10000_pickled", size, peer_size, peer, size, "MB", 1.0, why)


@dataclass(frozen=True)
class _Read:
    """Stands for the reader of a range of entries of a file."""

    sample: ak.Array

    def __call__(self, where: tuple[str, int, int]) -> ak.Array:  # noqa: ARG002  every partition is the same
        return self.sample


def _same(array: ak.Array) -> ak.Array:
    return array


def _optimised(collection: Any) -> bytes:
    (optimised,) = dask.optimize(collection)
    return cloudpickle.dumps(optimised.dask)


def figures() -> Iterator[Figure]:
    """All of them, in turn."""
    yield framework_no_io()
    with tempfile.TemporaryDirectory(prefix="dask-augment-overhead-") as folder:
        yield commit_protocol(Path(folder))
    yield from graph_10000()


if __name__ == "__main__":
    show("What the framework costs", figures())
