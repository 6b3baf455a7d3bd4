"""What a task holds at once is told in bytes: of what it reads, of what steps make of it, and of what waits to be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

import dask_augment as da
from dask_augment.contract.account import Account
from dask_augment.contract.setting import Setting
from dask_augment.events.layouts import SLICE_BYTES, size_of
from dask_augment.frames.stage import Slices, Stage
from dask_augment.frames.steps import labelled
from dask_augment.inputs.columns_of_files import Opened
from dask_augment.inputs.parquet_files import ParquetFile
from dask_augment.inputs.reader import Reader
from dask_augment.inputs.root_files import open_root
from dask_augment.runs.checkpoint import CheckpointReader
from dask_augment.runs.run import run
from run_toys import plan, read, write

ROWS, SIDE = 60, 40
MOST = 8 * 4 * SIDE * SIDE
"""Eight images."""


def images(rows: int = ROWS) -> Any:
    return np.arange(rows * SIDE * SIDE, dtype=np.float32).reshape(rows, SIDE, SIDE)


def hits(rows: int = ROWS) -> ak.Array:
    """Few objects in most events, and many in three that follow each other."""
    counts = np.full(rows, 3)
    counts[30:33] = 6000
    return ak.unflatten(np.arange(counts.sum(), dtype=np.float32), counts)


@pytest.fixture(scope="module")
def events() -> ak.Array:
    lists = ak.from_regular(ak.Array(images()), axis=None)
    return ak.zip({"image": lists, "Hit_x": hits(), "x": np.arange(float(ROWS))}, depth_limit=1)


def parquet(events: ak.Array, path: Path, kind: str) -> Opened:
    table = ak.to_arrow_table(events, extensionarray=False, list_to32=True)
    if kind == "fixed":
        values = pa.FixedSizeListArray.from_arrays(pa.array(images().reshape(-1)), SIDE * SIDE)
        table = table.set_column(0, "image", values)
    # Whole, and in tiny row groups.
    pq.write_table(table, path, row_group_size=7 if kind == "tiny" else ROWS)
    return ParquetFile(str(path))


def root(events: ak.Array, path: Path, kind: str) -> Opened:
    with uproot.recreate(path) as file:
        if kind == "tree":
            file.mktree("Events", {"image": ("f4", (SIDE, SIDE)), "Hit_x": "var * float32", "x": "f8"})
            for cut in range(0, ROWS, 10):
                few = events[cut : cut + 10]
                file["Events"].extend({"image": ak.to_numpy(few["image"]), "Hit_x": few["Hit_x"], "x": few["x"]})
        else:
            file.mkrntuple("Events", events)
    return open_root(str(path), "Events")


@pytest.mark.parametrize("kind", ["whole", "tiny", "fixed", "tree", "ntuple"])
def test_reading_is_cut_by_bytes(kind: str, events: ak.Array, tmp_path: Path) -> None:
    file = (root if kind in ("tree", "ntuple") else parquet)(events, tmp_path / "a", kind)
    names, (start, stop) = ["image", "Hit_x", "x"], (5, 58)
    batches = list(file.batches(names, start, stop, MOST))
    assert [batches[0][0], *(b for _, b, _ in batches)] == [start, *(a for a, _, _ in batches[1:]), stop]
    for name in names:
        assert ak.concatenate([ak.flatten(found[name], axis=None) for *_, found in batches]).to_list() == (
            ak.flatten(events[name][start:stop], axis=None).to_list()
        )
    sizes = [sum(size_of(found[name].layout) for name in names) for *_, found in batches]
    largest_event = 3 * 4 * 6000  # three of them may be in one basket
    assert max(sizes) <= 2 * MOST + largest_event
    assert len(batches) <= 20


def setting() -> Setting:
    return Setting(7, "toy", ("run", "luminosityBlock", "event"), (), None)


@pytest.mark.parametrize("kind", ["repeat", "widen"])
def test_slices_are_cut_by_bytes(kind: str) -> None:
    rows = 3000
    ids = {name: np.arange(rows, dtype=np.uint64) for name in ("run", "luminosityBlock", "event")}
    events = ak.zip({**ids, "x": np.arange(float(rows))}, depth_limit=1)

    @da.augmenter(uses=["x"], produces={"image": "1000 * float64"})
    def widened(events: ak.Array) -> Any:
        return {"image": np.repeat(np.asarray(events["x"])[:, None], 1000, axis=1)}

    step = da.Repeat(n=1000) if kind == "repeat" else widened
    work, account = Stage(labelled([step]), setting()), Account()
    sizes, count = [], 0
    for piece in work.pieces(events, account, Slices(2**20)):
        sizes.append(size_of(piece.layout))
        count += len(piece)
    assert count == account.rows_out == (1001 * rows if kind == "repeat" else rows)
    assert max(sizes) <= 1.5 * 2**20
    assert len(sizes) <= 1.3 * sum(sizes) / 2**20 + 6, "no more slices than are needed"


def test_sizes_of_slices() -> None:
    """A slice shares the objects of all, and is told by its own."""
    jagged = ak.Array(ak.zip({"pt": hits(), "eta": hits()}, depth_limit=2))
    assert size_of(jagged[:10].layout) == 10 * (8 + 3 * 8)
    assert size_of(jagged[31:32].layout) == 8 + 6000 * 8
    assert size_of(ak.Array(images())[:3].layout) == 3 * 4 * SIDE * SIDE
    assert size_of(ak.mask(ak.Array(np.zeros(8)), np.arange(8) > 3)[2:6].layout) == 4 * 8
    assert size_of(jagged[[0, 31]].layout) == pytest.approx(2 * 8 + 6003 * 8, rel=0.01)


def test_a_run_does_not_depend_on_the_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes and values are the same for any bound: an image for each event, copied a hundred times, and learned from."""
    file = write(tmp_path / "a.root", rows=40, more={"image": images(40)}, baskets=4)
    steps = [{"split": {"train": 1.0}}, {"repeat": {"n": 9}}, {"undersample": {"strata": ["nJet"]}}]
    results, pieces = [], []

    def counted(self: Stage, events: ak.Array, account: Account, slices: Slices) -> Iterator[ak.Array]:
        for piece in whole(self, events, account, Slices(bound)):
            pieces.append(size_of(piece.layout))
            yield piece

    whole = Stage.pieces
    monkeypatch.setattr(Stage, "pieces", counted)
    for bound in (MOST, 2**30):
        pieces.clear()
        for kind in (Reader, CheckpointReader):
            monkeypatch.setattr(kind.batches, "__defaults__", (bound,))
        out = {"path": str(tmp_path / str(bound)), "keep": ["image", "MET.*"]}
        results.append(run(plan(file, steps=steps, output=out)))
        assert max(pieces) <= max(2 * bound, 11 * 4 * SIDE * SIDE), "or what is made of one event"
    assert results[0].manifest.logical_hash == results[1].manifest.logical_hash
    assert results[0].manifest.account.rows_out == results[1].manifest.account.rows_out
    assert read(results[0]).to_list() == read(results[1]).to_list()
    assert SLICE_BYTES == 64 << 20
