"""A published folder, with an empty part and two data sets, read by the plain call of every reader."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import awkward as ak
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import without
from dataset_toys import ROWS, SCHEMA, account, finish, job, part, table

pd = pytest.importorskip("pandas")

NUMBERS = [*range(4)]
JETS = sum(len(jets) for n in NUMBERS for jets in table(part(n))["Jet_pt"].to_pylist())
PT = sum(sum(jets) for n in NUMBERS for jets in table(part(n))["Jet_pt"].to_pylist())
EVENTS = sum(sum(table(part(n))["event"].to_pylist()) for n in NUMBERS)
N = len(NUMBERS) * ROWS


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "out"
    parts = [*(part(n) for n in NUMBERS), part(4, 0)]
    # No strings: coffea cannot open a Parquet file that has one.
    work = job(path, parts, schema=without(SCHEMA, ("stratum",)))
    sink = open_staging(work)
    for each in parts:
        rows = table(each).drop_columns(["stratum"])
        sink.write_part(each, [rows] if rows.num_rows else [], lambda rows=rows: account(rows))
    publish(work)
    return path


@pytest.fixture
def other_peoples_warnings():
    """Readers warn about themselves (pandas 3 under dask 2025.3, NanoAOD cross references); what they read counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_pandas(out: Path) -> None:
    frame = pd.read_parquet(out)
    assert (len(frame), frame.event.sum()) == (N, EVENTS)
    assert frame.Jet_pt.map(len).sum() == JETS
    assert dict(frame.dataset.value_counts()) == {"ttbar": N // 2, "dy": N // 2}


def test_pyarrow(out: Path) -> None:
    for read in (pq.read_table(out), ds.dataset(out, partitioning="hive", exclude_invalid_files=True).to_table()):
        assert read.num_rows == N
        assert pc.sum(read["event"]).as_py() == EVENTS
        assert pc.sum(pc.list_flatten(read["Jet_pt"])).as_py() == pytest.approx(PT)


def test_dask_dataframe(out: Path, other_peoples_warnings) -> None:
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.read_parquet(out)
    assert (len(frame), frame.event.sum().compute()) == (N, EVENTS)
    assert set(frame.dataset.compute()) == {"ttbar", "dy"}


def test_awkward(out: Path) -> None:
    events = ak.from_parquet(out)
    assert (len(events), ak.sum(events.event), ak.count(events.Jet_pt)) == (N, EVENTS, JETS)
    assert str(events.Jet_pt.type) == f"{N} * var * float32", "no option types: nothing is missing"
    assert ak.sum(events.Jet_pt) == pytest.approx(PT)


def test_dask_awkward(out: Path, other_peoples_warnings) -> None:
    dak = pytest.importorskip("dask_awkward")
    events = dak.from_parquet(str(out))
    assert ak.num(events.compute(), axis=0) == N
    assert dak.sum(events.event).compute() == EVENTS
    assert dak.count(events.Jet_pt).compute() == JETS


def test_duckdb(out: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = f"select count(*), sum(event), sum(len(Jet_pt)), count(distinct dataset) from '{out}/**/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(N, EVENTS, JETS, 2)]


def test_coffea(out: Path, other_peoples_warnings) -> None:
    nanoevents = pytest.importorskip("coffea.nanoevents")
    from coffea import processor

    class Plain(nanoevents.NanoAODSchema):
        """Jets with a pt alone; the toy has no other coordinates."""

        mixins: ClassVar = {}
        all_cross_references: ClassVar = {}

    files = sorted(map(str, out.rglob("*.parquet")))
    found = [
        nanoevents.NanoEventsFactory.from_parquet(file, schemaclass=Plain, mode="virtual").events() for file in files
    ]
    assert sum(map(len, found)) == N
    assert sum(int(ak.sum(events.event)) for events in found) == EVENTS
    assert sum(int(ak.count(events.Jet.pt)) for events in found) == JETS

    class Count(processor.ProcessorABC):
        def process(self, events):
            return {"n": len(events), "pt": float(ak.sum(events.Jet.pt))}

        def postprocess(self, accumulator):
            return accumulator

    runner = processor.Runner(processor.IterativeExecutor(status=False), format="parquet", schema=Plain, chunksize=7)
    fileset = {
        name: {"files": {file: "Events" for file in files if f"dataset={name}" in file}} for name in ("ttbar", "dy")
    }
    result = runner(fileset, Count())
    result = result[0] if isinstance(result, tuple) else result
    assert result["n"] == N
    assert result["pt"] == pytest.approx(PT)


HOSTILE = ["", "..", "../../../ESCAPED", "b/c", "a=b", "%2F", "__EMPTY__", "\u00fc \u2192"]


def test_hostile_names_come_back(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    parts = [Part.of(name, part(0).input) for name in HOSTILE]
    finish(job(tmp_path / "deep" / "down" / "here" / "out", parts))
    out = tmp_path / "deep" / "down" / "here" / "out"
    assert sorted(path.name for path in tmp_path.rglob("*") if "ESCAPED" in path.name) == [
        "dataset=..%2F..%2F..%2FESCAPED"
    ]
    assert all(path.parent.parent == out for path in tmp_path.rglob("*.parquet"))
    expected = sorted(name or "__EMPTY__" for name in HOSTILE)
    assert sorted(set(pd.read_parquet(out).dataset)) == sorted(set(expected))
    rows = duckdb.sql(f"select distinct dataset from read_parquet('{out}/**/*.parquet', hive_partitioning=true)")
    assert sorted(row[0] for row in rows.fetchall()) == sorted(set(expected))
    assert len(pd.read_parquet(out)) == len(HOSTILE) * ROWS
