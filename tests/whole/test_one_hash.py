"""One plan over real events has one logical hash, whatever it runs in and however it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle, pairwise, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import uproot

import dask_augment as da
import frame_toys as toys
import whole_toys
from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.schema import to_table
from dask_augment.runs.run import published_plan, run
from truth import COLLECTIONS, Truth

CHUNKS = (1000, 70, 17)


@pytest.fixture(params=["real events", pytest.param("main job", marks=pytest.mark.slow)])
def truth(request: pytest.FixtureRequest) -> Truth:
    return request.getfixturevalue("real_events" if request.param == "real events" else "main_job")


# A run, anywhere ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def place(name: str, request: pytest.FixtureRequest) -> Any:
    if name in ("one_worker", "client"):
        return request.getfixturevalue(name)
    if name.startswith("coffea"):
        processor = pytest.importorskip("coffea.processor")
        return processor.Runner(executors(name.removeprefix("coffea-"), request))
    return name


WHERE = (
    "synchronous",
    "threads",
    "processes",
    "one_worker",
    "client",
    "coffea-iterative",
    "coffea-futures",
    "coffea-dask",
)


def over_both(pairs: Iterable[tuple[str, int]], quick: set[tuple[str, int]], other: dict[str, int]) -> list[Any]:
    """All pairs over real events; over the main job each place once, for a place knows nothing of steps."""
    real = [pytest.param("real events", *pair, marks=[] if pair in quick else [pytest.mark.slow]) for pair in pairs]
    return real + [pytest.param("main job", *pair, marks=[pytest.mark.slow]) for pair in other.items()]


@pytest.mark.parametrize(
    ("truth", "where", "chunksize"),
    over_both(
        product(WHERE, CHUNKS),
        {("synchronous", 1000), ("synchronous", 70), ("processes", 70), ("client", 17), ("coffea-iterative", 70)},
        dict(zip(WHERE, cycle((17, 70, 1000)))),
    ),
    indirect=["truth"],
)
def test_run(truth: Truth, tmp_path: Path, request: pytest.FixtureRequest, where: str, chunksize: int) -> None:
    result = run(truth.plan, tmp_path / "out", chunksize=chunksize, where=place(where, request))
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
    for (label, expected), step in zip(truth.steps, truth.plan.steps, strict=True):
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
    [
        pytest.param("uproot", 1, marks=pytest.mark.slow),
        pytest.param("uproot", 3, marks=pytest.mark.slow),
        pytest.param("nano", 2, marks=pytest.mark.slow),
        pytest.param("nano", 5, marks=pytest.mark.slow),
    ],
)
def test_dask_awkward(truth: Truth, kind: str, partitions: int) -> None:
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    results = {}
    for name, path in truth.files.items():
        if kind == "uproot":
            branches = [field for field in truth.events(name).fields if field != "weight"]
            events = uproot.dask({path: "Events"}, steps_per_file=partitions, filter_name=branches)
        else:
            rows = len(truth.events(name))
            borders = [rows * i // partitions for i in range(partitions + 1)]
            steps = [list(pair) for pair in pairwise(borders)]
            events = nano_events(path, "dask", steps=steps)
        events = truth.weighted(events)
        lazy = da.augment(events, *truth.steps, seed=7, dataset=name)
        names = {name if name in lazy.fields else name.partition("_")[0] for name in truth.schema.names}
        results[name] = lazy[sorted(names & set(lazy.fields))].compute()
    assert truth.of(results) == truth.hash


@pytest.mark.parametrize("partitions", [0, pytest.param(1, marks=pytest.mark.slow), 5])
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
        found += logical_hash(
            counted(pa.Table.from_pandas(result, preserve_index=False), truth.schema), {"dataset": name}
        )
    assert found == truth.hash


def counted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns as the schema has them, with the counters that follow from lists."""
    for field in schema:
        if field.name not in table.schema.names or (field.name[:1] == "n" and field.name[1:] in COLLECTIONS):
            lists = next(f.name for f in schema if f.name.startswith(f"{field.name[1:]}_"))
            counts = pc.list_value_length(table[lists])
            place = table.schema.get_field_index(field.name)
            table = (
                table.append_column(field.name, counts) if place < 0 else table.set_column(place, field.name, counts)
            )
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
    ("truth", "executor", "chunksize"),
    over_both(
        product(("iterative", "futures", "dask"), (1000, 70, 33)),
        {("iterative", 1000), ("dask", 70)},
        {"iterative": 33, "futures": 70, "dask": 1000},
    ),
    indirect=["truth"],
)
def test_coffea(truth: Truth, tmp_path: Path, request: pytest.FixtureRequest, executor: str, chunksize: int) -> None:
    processor = pytest.importorskip("coffea.processor")
    from coffea.nanoevents import NanoAODSchema

    from dask_augment.frames.coffea import AugmentProcessor

    runner = processor.Runner(
        executors(executor, request), chunksize=chunksize, schema=NanoAODSchema, metadata_cache={}
    )
    fileset = {name: {"files": {path: "Events"}} for name, path in truth.files.items()}
    sink = toys.sink_at(tmp_path, truth.schema)
    out = runner(fileset, AugmentProcessor(*truth.steps, purpose="training", sink=sink, seed=7, weight="genWeight"))
    found = LogicalHash()
    for name, receipts in out.items():
        found += logical_hash(toys.read_back(sink, receipts), {"dataset": name})
    assert found == truth.hash


@pytest.mark.slow
def test_learned_from_chunks(truth: Truth, request: pytest.FixtureRequest) -> None:
    processor = pytest.importorskip("coffea.processor")
    from coffea.nanoevents import NanoAODSchema

    from dask_augment.frames.coffea import Chunks

    runner = processor.Runner(executors("iterative", request), schema=NanoAODSchema, metadata_cache={})
    fileset = {name: {"files": {path: "Events"}} for name, path in truth.files.items()}
    at = [label for label, _ in truth.steps].index("fewer")
    chunks = Chunks(runner, fileset, weight="genWeight")
    taught = da.learn(chunks, ("fewer", truth.plan.steps[at][1]), *truth.steps[:at], seed=7)
    assert taught.learned == truth.steps[at][1].learned
