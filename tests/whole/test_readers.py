"""What a run published of real events, read by the plain call of every reader: the same rows and the same sums."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import dask_augment as da
import whole_toys
from dask_augment.runs.run import run


class Sums(NamedTuple):
    """Of one published data set."""

    rows: int
    events: int
    jets: int
    pt: float
    weight: float


def same(found: Sums, expected: Sums) -> None:
    assert found[:3] == expected[:3]
    assert found[3:] == pytest.approx(expected[3:], rel=1e-5)


@pytest.fixture(scope="module")
def out(nano: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = {"dy": {nano("nano_dy"): "Events"}, "tt": {nano("nano_tt_v12"): "Events"}}
    steps = (*whole_toys.STEPS[:3], da.Oversample(strata=["dataset", da.Bins("HT", [0, 200])]), whole_toys.STEPS[4])
    keep = ("Jet.pt", "Jet.eta", "Jet.phi", "Jet.mass", "Jet.jetId", "Muon.pt", "Muon.charge", "MET.pt", "MET.phi")
    return run(whole_toys.plan(inputs, steps, keep=keep), tmp_path_factory.mktemp("published") / "out").path


@pytest.fixture(scope="module")
def expected(out: Path) -> Sums:
    """From the files one by one."""
    tables = [pq.ParquetFile(path).read() for path in out.rglob("*.parquet")]
    pt = np.concatenate([table["Jet_pt"].combine_chunks().flatten().to_numpy() for table in tables])
    events = sum(pc.sum(table["event"]).as_py() for table in tables)
    weight = sum(pc.sum(table["weight"]).as_py() for table in tables)
    sums = Sums(sum(table.num_rows for table in tables), events, len(pt), float(pt.sum(dtype=np.float64)), weight)
    assert sums.rows > 250
    return sums


@pytest.fixture
def other_peoples_warnings():
    """Readers warn about themselves; what they read counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_pandas(out: Path, expected: Sums) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.read_parquet(out)
    pt = np.concatenate(list(frame.Jet_pt))
    same(Sums(len(frame), frame.event.sum(), len(pt), pt.sum(dtype="f8"), frame.weight.sum()), expected)
    assert set(frame.dataset) == {"dy", "tt"}


def test_pyarrow(out: Path, expected: Sums) -> None:
    table = pq.read_table(out)
    pt = pc.list_flatten(table["Jet_pt"]).to_numpy()
    events, weight = pc.sum(table["event"]).as_py(), pc.sum(table["weight"]).as_py()
    same(Sums(table.num_rows, events, len(pt), pt.sum(dtype="f8"), weight), expected)


def test_dask_dataframe(out: Path, expected: Sums, other_peoples_warnings) -> None:
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.read_parquet(out).compute()
    pt = np.concatenate([np.asarray(row) for row in frame.Jet_pt])
    same(Sums(len(frame), frame.event.sum(), len(pt), pt.sum(dtype="f8"), frame.weight.sum()), expected)


def test_awkward(out: Path, expected: Sums) -> None:
    events = ak.from_parquet(out)
    pt = ak.flatten(events.Jet_pt).to_numpy()
    same(Sums(len(events), ak.sum(events.event), len(pt), pt.sum(dtype="f8"), ak.sum(events.weight)), expected)
    assert ak.all(ak.num(events.Jet_pt) == events.nJet)


def test_dask_awkward(out: Path, expected: Sums, other_peoples_warnings) -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = dak.from_parquet(str(out))[["event", "Jet_pt", "weight"]].compute()
    pt = ak.flatten(events.Jet_pt).to_numpy()
    same(Sums(len(events), ak.sum(events.event), len(pt), pt.sum(dtype="f8"), ak.sum(events.weight)), expected)


def test_duckdb(out: Path, expected: Sums) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = (
        "select count(*), sum(event), sum(len(Jet_pt)), sum(list_sum(Jet_pt)), sum(weight) "
        f"from read_parquet('{out}/**/*.parquet', hive_partitioning=true)"
    )
    (row,) = duckdb.sql(query).fetchall()
    same(Sums(*row), expected)


def test_coffea(out: Path, expected: Sums, other_peoples_warnings) -> None:
    processor = pytest.importorskip("coffea.processor")
    from coffea.nanoevents import NanoAODSchema

    class Count(processor.ProcessorABC):
        def process(self, events):
            pt = ak.flatten(events.Jet.pt).to_numpy()
            return np.array([len(events), ak.sum(events.event), len(pt), pt.sum(dtype="f8"), ak.sum(events.weight)])

        def postprocess(self, accumulator):
            return None

    runner = processor.Runner(
        processor.IterativeExecutor(status=False),
        format="parquet",
        schema=NanoAODSchema,
        chunksize=70,
        metadata_cache={},
    )
    fileset = {name: [str(path) for path in sorted((out / f"dataset={name}").iterdir())] for name in ("dy", "tt")}
    sums = runner(fileset, Count(), treename="Events")
    same(Sums(*map(int, sums[:3]), *map(float, sums[3:])), expected)
