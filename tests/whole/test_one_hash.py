"""One plan over real events has one logical hash, whatever it runs in, however it is cut, and whoever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak
import frame_toys as toys
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import whole_toys
import uproot

import dask_augment as da
from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.schema import empty_table, to_table
from dask_augment.dataset.verify import verify
from dask_augment.running import published_plan, run

STEPS: tuple[Any, ...] = (
    da.Split(train=0.7),
    da.Select("nJet >= 2"),
    da.Define(HT="sum(Jet.pt)"),
    ("fewer", da.Undersample(strata=[da.Bins("HT", [0, 200])], allocation="proportional", size=120)),
    da.Repeat(n=2),
    ("more", da.Oversample(strata=["dataset"])),
    da.PhiRotate(originals=True, columns=("Jet.phi", "Electron.phi", "Muon.phi", "MET.phi")),
)
COLLECTIONS = ("Jet", "Electron", "Muon", "GenPart", "MET")
FIELDS = {"pt", "eta", "phi", "mass", "charge", "jetId", "jetIdx", "pdgId", "isPFcand", "significance"}
CHUNKS = (1000, 33, 17)


@dataclass(frozen=True, eq=False)
class Truth:
    """What one run published: all else must give the same."""

    files: dict[str, str]
    plan: Any
    steps: tuple[Any, ...]
    """With what the learners learned."""
    schema: pa.Schema
    hash: LogicalHash
    table: pa.Table

    @cache  # noqa: B019  lives as long as the module
    def events(self, name: str) -> ak.Array:
        """All columns of one file, flat, that the plan may read."""
        return ak.without_parameters(self.weighted(read(self.files[name])))

    @staticmethod
    def weighted(events: Any) -> Any:
        """Events with the column that the plan makes of the generator weight."""
        return ak.with_field(events, ak.values_astype(events["genWeight"], "float64"), "weight")

    def together(self) -> ak.Array:
        """Both data sets as one array with a column that says which."""
        named = [ak.with_field(self.events(name), [name] * len(self.events(name)), "dataset") for name in self.files]
        return ak.concatenate(named)

    def of(self, results: dict[str, Any]) -> LogicalHash:
        """The hash of what came out for each data set."""
        return sum(
            (logical_hash(to_table(result, self.schema), {"dataset": name}) for name, result in results.items()),
            LogicalHash(),
        )


def common(files: dict[str, str]) -> list[str]:
    """Branches that both files have, of the collections that are kept."""
    names = [set(uproot.open(path)["Events"].keys()) for path in files.values()]
    return sorted(name for name in set.intersection(*names) if _is_kept(name))


def _is_kept(name: str) -> bool:
    head, _, field = name.partition("_")
    return head in COLLECTIONS and field in FIELDS


def read(path: str) -> ak.Array:
    with uproot.open(path) as file:
        names = ["run", "luminosityBlock", "event", "genWeight", *filter(_is_kept, file["Events"].keys())]
        return file["Events"].arrays(names)


@pytest.fixture(scope="module")
def truth(nano: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Truth:
    files = {"dy": nano("nano_dy"), "tt": nano("nano_tt_v12")}
    plan = whole_toys.plan({name: {path: "Events"} for name, path in files.items()}, STEPS, keep=tuple(common(files)))
    out = tmp_path_factory.mktemp("truth") / "out"
    result = run(plan, out)
    assert verify(out, deep=True).ok
    schema = pq.read_schema(next(out.rglob("*.parquet"))).remove_metadata()
    table = whole_toys.table(out)
    assert logical_hash(table) == result.manifest.logical_hash
    assert result.rows > 240
    assert len(schema) > 30
    return Truth(files, plan, tuple(published_plan(out).steps), schema, result.manifest.logical_hash, table)


# A run, anywhere ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        yield client


WHERE: dict[str, dict[str, Any]] = {
    "iterative": {},
    "futures-1": {"executor": "futures", "workers": 1},
    "futures-2": {"executor": "futures", "workers": 2},
    "dask-1": {"client": "one_worker"},
    "dask-2": {"client": "client"},
}
SLOW = {("futures-1", 1000), ("futures-1", 17), ("futures-2", 1000), ("futures-2", 17), ("dask-1", 1000), ("dask-1", 33)}


@pytest.mark.parametrize(
    ("where", "chunksize"),
    [
        pytest.param(where, size, marks=[pytest.mark.slow] if (where, size) in SLOW else [])
        for where in WHERE
        for size in CHUNKS
    ],
)
def test_run(truth: Truth, tmp_path: Path, request: pytest.FixtureRequest, where: str, chunksize: int) -> None:
    options = dict(WHERE[where])
    if "client" in options:
        options["client"] = request.getfixturevalue(options["client"])
    result = run(truth.plan, tmp_path / "out", chunksize=chunksize, **options)
    assert result.manifest.logical_hash == truth.hash
    assert logical_hash(whole_toys.table(tmp_path / "out")) == truth.hash
    assert published_plan(tmp_path / "out").to_dict() == published_plan_dict(truth)


def published_plan_dict(truth: Truth) -> dict[str, Any]:
    from dataclasses import replace

    target = replace(truth.plan.output, path=None)
    return replace(truth.plan, steps=truth.steps, output=target).to_dict()


# Frames ---------------------------------------------------------------------------------------------------------------


def test_eager(truth: Truth) -> None:
    results = {
        name: da.augment(truth.events(name), *truth.steps, seed=7, dataset=name, weights=("weight",))
        for name in truth.files
    }
    assert truth.of(results) == truth.hash


def nano_events(path: str, mode: str, **options: Any) -> Any:
    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

    files = {path: {"object_path": "Events", **options} if options else "Events"}
    return NanoEventsFactory.from_root(files, mode=mode, schemaclass=NanoAODSchema).events()


def test_eager_nano_events(truth: Truth) -> None:
    pytest.importorskip("coffea")
    results = {}
    for name, path in truth.files.items():
        events = truth.weighted(nano_events(path, "virtual"))
        results[name] = da.augment(events, *truth.steps, seed=7, dataset=name)
    assert truth.of(results) == truth.hash


def test_learned_eagerly(truth: Truth) -> None:
    """Learners asked over an array of both data sets learn what they learn in a run."""
    events = truth.together()
    known: list[Any] = []
    for (label, expected), step in zip(truth.steps, STEPS, strict=True):
        learner = step[1] if isinstance(step, tuple) else step
        if hasattr(learner, "learned"):
            learner = da.learn(events, (label, learner), *known, seed=7)
            assert learner.learned == expected.learned
        known.append((label, learner))
    result = da.augment(events, *known, seed=7)
    string = pa.field("dataset", pa.string(), nullable=False)
    assert logical_hash(to_table(result, truth.schema.append(string))) == truth.hash


@pytest.mark.parametrize(
    ("kind", "partitions"),
    [("uproot", 1), ("uproot", 5), ("nano", 2), pytest.param("nano", 5, marks=pytest.mark.slow)],
)
def test_dask_awkward(truth: Truth, kind: str, partitions: int) -> None:
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    results = {}
    for name, path in truth.files.items():
        if kind == "uproot":
            events = uproot.dask({path: "Events"}, steps_per_file=partitions, filter_name=truth.events(name).fields[:-1])
        else:
            rows = len(truth.events(name))
            borders = [rows * i // partitions for i in range(partitions + 1)]
            steps = [list(pair) for pair in zip(borders, borders[1:], strict=False)]
            events = nano_events(path, "dask", steps=steps)
        events = truth.weighted(events)
        lazy = da.augment(events, *truth.steps, seed=7, dataset=name)
        names = [n for n in truth.schema.names if not (n[:1] == "n" and n[1:] in COLLECTIONS)]
        if kind == "nano":
            names = sorted({n.partition("_")[0] if n.partition("_")[0] in COLLECTIONS else n for n in names} & set(lazy.fields))
            names += [n for n in ("augment_changed", "augment_copy", "augment_kind") if n in lazy.fields and n not in names]
        results[name] = lazy[names].compute()
    assert truth.of(results) == truth.hash


@pytest.mark.parametrize("partitions", [0, 1, 5])
def test_pandas_and_dask_dataframe(truth: Truth, partitions: int) -> None:
    pd = pytest.importorskip("pandas")
    found = LogicalHash()
    for name in truth.files:
        frame = toys.to_pandas(truth.events(name))
        if partitions:
            import dask.dataframe as dd

            frame = dd.from_pandas(frame, npartitions=partitions, sort=False)
        result = da.augment(frame, *truth.steps, seed=7, dataset=name)
        result = result if isinstance(result, pd.DataFrame) else result.compute()
        found += logical_hash(counted(pa.Table.from_pandas(result, preserve_index=False), truth.schema), {"dataset": name})
    assert found == truth.hash


def counted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns as the schema has them, with the counters that follow from lists."""
    for field in schema:
        if field.name not in table.schema.names or (field.name[:1] == "n" and field.name[1:] in COLLECTIONS):
            lists = next(f.name for f in schema if f.name.startswith(f"{field.name[1:]}_"))
            counts = pc.list_value_length(table[lists])
            place = table.schema.get_field_index(field.name)
            table = table.append_column(field.name, counts) if place < 0 else table.set_column(place, field.name, counts)
    return table.select(schema.names).cast(schema)


# coffea ---------------------------------------------------------------------------------------------------------------


def executors(name: str, request: pytest.FixtureRequest) -> Any:
    from coffea import processor

    if name == "futures":
        return processor.FuturesExecutor(workers=2, status=False)
    if name == "dask":
        return processor.DaskExecutor(client=request.getfixturevalue("client"), status=False)
    return processor.IterativeExecutor(status=False)


@pytest.mark.parametrize(
    ("executor", "chunksize"),
    [
        pytest.param(name, size, marks=[] if (name, size) in {("iterative", 1000), ("dask", 70)} else [pytest.mark.slow])
        for name in ("iterative", "futures", "dask")
        for size in (1000, 70, 33)
    ],
)
def test_coffea(truth: Truth, tmp_path: Path, request: pytest.FixtureRequest, executor: str, chunksize: int) -> None:
    processor = pytest.importorskip("coffea.processor")
    from coffea.nanoevents import NanoAODSchema

    from dask_augment.frames.coffea import AugmentProcessor, Chunks

    runner = processor.Runner(
        executors(executor, request), chunksize=chunksize, schema=NanoAODSchema, metadata_cache={}
    )
    fileset = {name: {"files": {path: "Events"}} for name, path in truth.files.items()}
    if executor == "iterative" and chunksize == 1000:
        labels = [label for label, _ in truth.steps]
        at = labels.index("fewer")
        chunks = Chunks(runner, fileset, weight="genWeight")
        taught = da.learn(chunks, ("fewer", STEPS[at][1]), *truth.steps[:at], seed=7)
        assert taught.learned == truth.steps[at][1].learned
    sink = toys.sink_at(tmp_path, truth.schema)
    out = runner(fileset, AugmentProcessor(*truth.steps, purpose="training", sink=sink, seed=7, weight="genWeight"))
    found = LogicalHash()
    for name, receipts in out.items():
        found += logical_hash(toys.read_back(sink, receipts), {"dataset": name})
    assert found == truth.hash


# Death on the way -----------------------------------------------------------------------------------------------------


def test_a_worker_is_killed(truth: Truth, tmp_path: Path) -> None:
    """SIGKILL of a worker process in the middle of the write of a part; its nanny starts another."""
    from distributed import Client, LocalCluster

    (tmp_path / "tokens").mkdir()
    steps = (*STEPS, whole_toys.deadly(tmp_path / "tokens", "kill"))
    plan = whole_toys.plan(truth.plan.inputs.fileset, steps, keep=truth.plan.output.keep)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        before = {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}
        Path(tmp_path, "tokens", "one").touch()
        result = run(plan, tmp_path / "out", client=client, chunksize=17)
        client.wait_for_workers(2)
        after = {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}
    assert len(before - after) == 1, "one worker died"
    assert result.manifest.logical_hash == truth.hash
    assert verify(tmp_path / "out", deep=True).ok


CLIENT = """
import sys
from dask_augment.plan import Plan
from dask_augment.running import run
if __name__ == "__main__":
    run(Plan.read(sys.argv[1]), sys.argv[2], chunksize=8)
"""


def test_the_client_is_killed(truth: Truth, tmp_path: Path) -> None:
    import yaml

    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(truth.plan.to_dict()))
    command = [sys.executable, str(tmp_path / "client.py"), str(tmp_path / "plan.yaml"), str(tmp_path / "out")]
    child = subprocess.Popen(command)
    try:
        whole_toys.wait_for_receipts(tmp_path / "out", 15, child)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "out").exists()
    assert 15 <= len(whole_toys.attempts_at(tmp_path / "out")) < 30
    result = run(truth.plan, tmp_path / "out", chunksize=8, resume=True)
    assert result.manifest.logical_hash == truth.hash
    assert whole_toys.nothing_left(tmp_path / "out")


# The hash sees what it should -----------------------------------------------------------------------------------------


def changed(table: pa.Table, name: str, change: Callable[[list[Any]], None]) -> pa.Table:
    values = table[name].to_pylist()
    change(values)
    field = table.schema.field(name)
    if pa.types.is_list(field.type):
        field = pa.field(name, pa.list_(pa.field("element", field.type.value_type, nullable=True)))
    return table.set_column(table.schema.get_field_index(name), field, [pa.array(values, field.type)])


def one_nested_value(values: list[Any]) -> None:
    values[100][-1] = float(np.nextafter(np.float32(values[100][-1]), np.float32(np.inf)))


def swapped(values: list[Any]) -> None:
    assert values[0] != values[-1]
    values[0], values[-1] = values[-1], values[0]


def zero(values: list[Any]) -> None:
    values[7][0] = 0.0


def null(values: list[Any]) -> None:
    values[7][0] = None


def test_mutants_of_the_hash(truth: Truth) -> None:
    table = truth.table
    assert logical_hash(changed(table, "Jet_pt", lambda values: None)) == truth.hash
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows)).select(table.column_names[::-1])
    assert logical_hash(shuffled) == truth.hash
    doubled = pa.concat_tables([table, table.slice(5, 1)])
    mutants = {
        "one nested value": changed(table, "Jet_pt", one_nested_value),
        "two values swapped": changed(table, "HT", swapped),
        "null in a list": changed(table, "Jet_pt", null),
        "0 in a list": changed(table, "Jet_pt", zero),
        "a row doubled": doubled,
        "a row doubled, one lost": doubled.slice(1),
        "the other data set": changed(table, "dataset", swapped_names),
    }
    hashes = {name: logical_hash(mutant) for name, mutant in mutants.items()}
    assert len({truth.hash, *hashes.values()}) == 1 + len(mutants), hashes
    assert logical_hash(empty_table(truth.schema)) == LogicalHash()


def swapped_names(values: list[Any]) -> None:
    first, last = values.index("dy"), values.index("tt")
    values[first], values[last] = "tt", "dy"
