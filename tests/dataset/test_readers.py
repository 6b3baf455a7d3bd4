"""A published folder, with an empty part and two data sets, read by the plain call of every reader."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from dask_augment.contract.learned import Learned
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.hive import split
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import without
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import dry_run, run
from dataset_toys import ROWS, SCHEMA, account, finish, job, part, table
from run_toys import plan

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
    publish(work, learned={"learner": Learned({"x": np.arange(10.0)})})
    assert list((path / "_learned").iterdir())
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


HOSTILE = [
    "..", ".", "../../../ESCAPED", "b/c", "a=b", "%2F", "a%20b", "__EMPTY__", "\u00fc \u2192", " a ", "a\nb", "a\0b", "'a'", '"a"',
    "*", "a?b", "[a]", "C:\\x", "a.parquet", "A.PARQUET", ".parquet", "2018A", "1 fb", "TTTo2L2Nu_v9", "e5", "0l", "2020-W01",
    "Run2018A-02Apr2020-v1", "2020-01-01abc", "12_34x", "1.2.3", "infinite", "nano", "-", "+", "_x", ".x", "\u0661\u0662", "x" * 247,
]  # fmt: skip


def names_by_reader(out: Path) -> dict[str, list[str]]:
    """The names of data sets as each reader gives them back from its plain call."""
    duckdb, dd = pytest.importorskip("duckdb"), pytest.importorskip("dask.dataframe")
    query = f"select distinct dataset from read_parquet('{out}/**/*.parquet', hive_partitioning=true)"
    return {
        "pandas": sorted(set(pd.read_parquet(out).dataset)),
        "pyarrow": sorted(set(pq.read_table(out)["dataset"].to_pylist())),
        "duckdb": sorted(row[0] for row in duckdb.sql(query).fetchall()),
        "dask": sorted(set(dd.read_parquet(out).dataset.compute())),
    }


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_alone_comes_back(tmp_path: Path, name: str, other_peoples_warnings) -> None:
    """Readers look at all names of a folder together: what is a number to them alone is a text among texts."""
    finish(job(tmp_path / "out", [Part.of(name, part(0, 1).input)]))
    assert set(map(tuple, names_by_reader(tmp_path / "out").values())) == {(name,)}
    assert all(path.is_file() for path in (tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *(
            (name, "readers take it for a number")
            for name in (
                "0012",
                "12",
                "-12",
                "+1",
                "1e5",
                "1.5",
                "1.",
                ".5",
                "1_000",
                " 12 ",
                "0x1F",
                "0b11",
                "9" * 30,
                "1E-3",
            )
        ),
        *(
            (name, "readers take it for a date or a time")
            for name in (
                "2020-01-01",
                "2020-1-1",
                "2020/01/01",
                "20/1/2020",
                "2020-01-01 10:00:00",
                "2020-01-01T10:00Z",
                "10:00",
            )
        ),
        *(
            (name, "readers take it for a flag or a missing value")
            for name in ("true", "FALSE", "null", "NaN", "None", "inf", "-Infinity", "epoch", "N/A")
        ),
        ("__HIVE_DEFAULT_PARTITION__", "readers take it for a missing value"),
        ("a\ud800", "cannot be encoded"),
        ("x" * 248, "256 letters of it would be encoded"),
        ("\u00fc" * 42, "260 letters of it would be encoded"),
    ],
    ids=ascii,
)
def test_a_name_that_would_come_back_changed_is_refused(tmp_path: Path, name: str, why: str) -> None:
    """Before anything is read: the file is not there."""
    for call in (run, dry_run):
        with pytest.raises(PlanError, match=why):
            call(plan(inputs={"fileset": {name: {"files": ["not-there.root"]}}}), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=why):
        split_by_dataset(name)


def split_by_dataset(name: str) -> None:
    """As a processor of somebody else's does, which has no plan."""
    list(split(table(part(0)), ("dataset",), {"dataset": name}))


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(ValueError, match="readers would get '__EMPTY__'"):
        split_by_dataset("")


def test_hostile_names_come_back(tmp_path: Path, other_peoples_warnings) -> None:
    parts = [Part.of(name, part(0).input) for name in HOSTILE]
    finish(job(tmp_path / "deep" / "down" / "here" / "out", parts))
    out = tmp_path / "deep" / "down" / "here" / "out"
    assert sorted(path.name for path in tmp_path.rglob("*") if "ESCAPED" in path.name) == [
        "dataset=..%2F..%2F..%2FESCAPED"
    ]
    assert all(path.parent.parent == out for path in tmp_path.rglob("*.parquet"))
    assert set(map(tuple, names_by_reader(out).values())) == {tuple(sorted(HOSTILE))}
    assert len(pd.read_parquet(out)) == len(HOSTILE) * ROWS
