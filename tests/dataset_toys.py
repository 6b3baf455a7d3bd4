"""A small data set of two samples with jagged columns, written part by part without any augmenter."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dask_augment.contract.account import Account
from dask_augment.dataset.commit import each_receipt, open_staging, publish
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.publication import Job
from dask_augment.dataset.receipt import Part, Receipt, Written
from dask_augment.dataset.sink import Sink

ROWS = 40
SCHEMA = pa.schema(
    [
        pa.field("HT", pa.float64(), nullable=False),
        pa.field("Jet_pt", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),
        pa.field("augment_copy", pa.int32(), nullable=False),
        pa.field("event", pa.uint64(), nullable=False),
        pa.field("isGood", pa.bool_(), nullable=False),
        pa.field("luminosityBlock", pa.uint32(), nullable=False),
        pa.field("nJet", pa.int32(), nullable=False),
        pa.field("run", pa.uint32(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
    ]
)


def part(number: int, rows: int = ROWS) -> Part:
    dataset = "ttbar" if number % 2 == 0 else "dy"
    return Part.of(dataset, {"file": "toy.root", "start": number * ROWS, "stop": number * ROWS + rows})


def table(part: Part) -> pa.Table:
    """The rows of a part, from its entries alone."""
    entries = np.arange(part.input["start"], part.input["stop"])
    counts = entries % 4
    offsets = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    pt = (20 + 7.5 * within + np.repeat(entries % 13, counts)).astype(np.float32)
    columns: dict[str, Any] = {
        "HT": np.add.reduceat(np.append(pt, 0), offsets[:-1]) * (counts > 0) / 3,
        "Jet_pt": pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(pt), type=SCHEMA.field(1).type),
        "augment_copy": np.zeros(len(entries), np.int32),
        "event": entries.astype(np.uint64),
        "isGood": entries % 3 == 0,
        "luminosityBlock": (entries // 100).astype(np.uint32),
        "nJet": counts.astype(np.int32),
        "run": np.ones(len(entries), np.uint32),
        "stratum": np.array(["low", "high"])[entries % 2],
        "weight": np.where(entries % 5 == 0, -1.5, 1.25),
    }
    return pa.Table.from_arrays([pa.array(columns[name]) for name in SCHEMA.names], schema=SCHEMA)


def account(table: pa.Table) -> Account:
    w = table.column("weight").to_numpy()
    sums = {"weight": (math.fsum(w), math.fsum(w * w))}
    return Account(rows_in=table.num_rows, rows_out=table.num_rows, weights_in=sums, weights_out=sums)


def job(path: Path, parts: Iterable[Part] = tuple(part(n) for n in range(4)), **options: Any) -> Job:
    options = {"plan": {"seed": 7}, "schema": SCHEMA, "settings": Settings(row_group_rows=25)} | options
    return Job(path, parts=tuple(parts), **options)


def write(sink: Sink, part: Part) -> Receipt:
    rows = table(part)
    return sink.write_part(part, (rows.slice(start, 9) for start in range(0, rows.num_rows, 9)), lambda: account(rows))


def finish(job: Job, **options: Any) -> Any:
    """Do what is not done and publish; the manifest."""
    sink = open_staging(job, replace=options.get("replace", False))
    if isinstance(sink, Sink):
        for each in job.parts:
            if sink.receipt(each.id) is None:
                write(sink, each)
    return publish(job, **options)


def receipts(job: Job) -> dict[str, Receipt]:
    """The receipts of the parts that are done, by the part's id."""
    return {receipt.part: receipt for receipt in each_receipt(job)}


def files_of(receipts: Mapping[str, Receipt]) -> dict[str, tuple[Written, ...]]:
    """The files of each part, as merging wants them."""
    return {part: receipt.files for part, receipt in receipts.items()}


def snapshot(path: Path) -> dict[str, bytes]:
    """All files of a folder with their bytes."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def seal(out: Path, values: Any) -> None:
    """Any values, sealed as if they were a manifest."""
    body = json.dumps({name: value for name, value in values.items() if name != "sha256"})[:-1]
    sha = hashlib.sha256(body.encode()).hexdigest()
    (out / "_manifest.json").write_text(f'{body},\n"sha256":"{sha}"}}\n')
