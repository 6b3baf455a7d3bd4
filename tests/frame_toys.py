"""The same events behind every frame, and small augmenters to run on them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

import dask_augment as da
from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.events.columns import flatten, jagged
from dask_augment.frames import put_questions, run_stage

COLUMNS = ("Jet_pt", "Jet_phi", "MET_pt", "MET_phi", "run", "luminosityBlock", "event", "genWeight")
SETTING: Mapping[str, Any] = {"seed": 7, "weights": ("genWeight",)}
SCALE = 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Zoom(Augmenter):
    """A new field of the jets, from their pt."""

    def uses(self) -> frozenset[str]:
        return frozenset({"Jet.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"Jet.zoom": "float32"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"Jet.zoom": jagged(events.Jet, np.sqrt(flatten(events.Jet.pt)).astype(np.float32))})


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums(Measure[np.ndarray[Any, Any]]):
    """Number, sum and sum of squares of a column, in fixed point."""

    column: str

    def uses(self) -> frozenset[str]:
        return frozenset({self.column})

    def measure(self, events: ak.Array, draw: Draw | None) -> Any:
        values = np.asarray(events[tuple(self.column.split("."))]).astype(np.float64)
        powers = [np.ones(len(values)), values, values**2]
        return np.array([np.rint(power * SCALE).astype(np.int64).sum() for power in powers])


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardise(Learner):
    """The column less its mean, by its standard deviation; ``ballast`` random numbers are learned with them."""

    keyed = True
    column: str = "MET.pt"
    ballast: int = 0

    def uses(self) -> frozenset[str]:
        return frozenset({self.column})

    def produces(self) -> Mapping[str, str | None]:
        return {"standard": "float64"}

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        n, w, w2 = yield from Sums(column=self.column).ask()
        mean = w / n
        ballast = np.random.default_rng(1).random(self.ballast)
        return Learned({"mean": mean, "width": np.sqrt(w2 / n - mean**2), "ballast": ballast})

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert self.learned is not None
        values = np.asarray(events[tuple(self.column.split("."))]).astype(np.float64)
        return Output({"standard": (values - self.learned["mean"]) / self.learned["width"]})


@dataclass(frozen=True, kw_only=True, eq=False)
class Where(Augmenter):
    """The name of the worker that did it."""

    into: str = "worker"
    needs: Mapping[str, float] = field(default_factory=dict)

    def uses(self) -> frozenset[str]:
        return frozenset({"event"})

    def produces(self) -> Mapping[str, str | None]:
        return {self.into: "int64"}

    def resources(self) -> Mapping[str, float]:
        return self.needs

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        from distributed import get_worker

        return Output({self.into: np.full(len(events), int(get_worker().name))})


def write_toy(path: Path, rows: int = 300) -> Path:
    """Flat toy events as a ROOT file."""
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 5, rows)
    with uproot.recreate(path) as file:
        columns = {
            "Jet": ak.zip(
                {
                    "area": ak.unflatten(rng.random(counts.sum()).astype(np.float32), counts),
                    "pt": ak.unflatten((20 + 80 * rng.random(counts.sum())).astype(np.float32), counts),
                    "phi": ak.unflatten(rng.uniform(-3, 3, counts.sum()).astype(np.float32), counts),
                }
            ),
            "MET_pt": rng.gamma(2, 20, rows).astype(np.float32),
            "MET_phi": rng.uniform(-3, 3, rows).astype(np.float32),
            "run": np.ones(rows, np.uint32),
            "luminosityBlock": (np.arange(rows) // 50).astype(np.uint32),
            "event": rng.permutation(rows).astype(np.uint64),
            "genWeight": np.where(rng.random(rows) < 0.2, -1.0, 1.0).astype(np.float32),
        }
        kinds = {name: values.type if name == "Jet" else values.dtype for name, values in columns.items()}
        file.mktree("Events", kinds).extend(columns)
    return path


def flat_events(path: Path | str) -> ak.Array:
    """The columns of a file, flat, as uproot reads them."""
    with uproot.open(path) as file:
        return ak.without_parameters(file["Events"].arrays(list(COLUMNS)))


def to_pandas(events: ak.Array) -> pd.DataFrame:
    """Flat events with jagged columns as Arrow lists, and one column of strings."""
    columns = {}
    for name in events.fields:
        arrow = ak.to_arrow(events[name], extensionarray=False, list_to32=True)
        columns[name] = pd.arrays.ArrowExtensionArray(arrow) if events[name].ndim > 1 else events[name].to_numpy()
    return pd.DataFrame(columns)


@dataclass
class Frame:
    """The events of a file in one kind of frame; what comes out is a table of the columns, whatever the frame."""

    path: Path
    folder: Path
    dataset: str = "toy"

    def events(self) -> Any:
        return flat_events(self.path)

    def table(self, result: Any, schema: pa.Schema) -> pa.Table:
        return to_table(result, schema)

    def augment(self, *steps: Any, schema: pa.Schema) -> pa.Table:
        return self.table(da.augment(self.events(), *steps, dataset=self.dataset, **SETTING), schema)

    def learn(self, learner: Any, *before: Any) -> Any:
        return da.learn(self.events(), learner, *before, dataset=self.dataset, **SETTING)


class Pandas(Frame):
    def events(self) -> Any:
        return to_pandas(flat_events(self.path))

    def table(self, result: Any, schema: pa.Schema) -> pa.Table:
        table = pa.Table.from_pandas(result, preserve_index=False)
        counter = pa.array([len(row) for row in result["Jet_pt"]], pa.int32())
        return table.append_column("nJet", counter).select(schema.names).cast(schema)


class PandasObjects(Pandas):
    def events(self) -> Any:
        frame = super().events()
        lists = {name: [np.asarray(row, np.float32) for row in frame[name]] for name in ("Jet_pt", "Jet_phi")}
        return frame.assign(**{name: pd.Series(rows, dtype=object) for name, rows in lists.items()})


@dataclass
class DaskFrame(Pandas):
    partitions: int = 1

    def events(self) -> Any:
        import dask.dataframe as dd

        return dd.from_pandas(super().events(), npartitions=self.partitions, sort=False)

    def table(self, result: Any, schema: pa.Schema) -> pa.Table:
        computed = result.compute()
        assert result.dtypes.equals(computed.dtypes)
        return super().table(computed, schema)


@dataclass
class DaskAwkward(Frame):
    partitions: int = 1

    def events(self) -> Any:
        # Some of the 1,499 branches of a real file, which take ten seconds to look at.
        names = [*COLUMNS, "nJet", "Jet_area", "Muon_pt"]
        return uproot.dask({str(self.path): "Events"}, steps_per_file=self.partitions, filter_name=names)

    def table(self, result: Any, schema: pa.Schema) -> pa.Table:
        names = [f for f in result.fields if any(n == f or n.startswith(f"{f}_") for n in schema.names)]
        result = result[names]
        computed = result.compute()
        # The readers' titles of branches are no part of the promise.
        assert ak.without_parameters(result._meta).type.content == ak.without_parameters(computed).type.content
        return super().table(computed, schema)


class FromParquet(DaskAwkward):
    def events(self) -> Any:
        import dask_awkward as dak

        folder = self.folder / "parquet"
        folder.mkdir(exist_ok=True)
        table = to_pandas_table(flat_events(self.path))
        step = -(-table.num_rows // self.partitions)
        for number in range(self.partitions):
            pq.write_table(table.slice(number * step, step), folder / f"part{number}.parquet")
        return dak.from_parquet(str(folder))


def to_pandas_table(events: ak.Array) -> pa.Table:
    """Flat events as a table."""
    return to_table(events, schema_of(events))


@dataclass
class NanoDask(DaskAwkward):
    """NanoEvents in dask mode."""

    def events(self) -> Any:
        from coffea.nanoevents import NanoEventsFactory

        files = {str(self.path): {"object_path": "Events", "steps": self._steps()}}
        return NanoEventsFactory.from_root(files, mode="dask", schemaclass=schema_class(self.path)).events()

    def _steps(self) -> list[list[int]]:
        with uproot.open(self.path) as file:
            rows = file["Events"].num_entries
        borders = [rows * i // self.partitions for i in range(self.partitions + 1)]
        return [[a, b] for a, b in pairwise(borders)]


@dataclass
class Coffea(Frame):
    chunk: int = 70
    executor: Any = None

    def runner(self, **options: Any) -> Any:
        from coffea import processor

        executor = self.executor or processor.IterativeExecutor(status=False, retries=0)
        options = {"chunksize": self.chunk, "schema": schema_class(self.path), "metadata_cache": {}} | options
        return processor.Runner(executor, **options)

    @property
    def fileset(self) -> dict[str, Any]:
        return {self.dataset: {"files": {str(self.path): "Events"}, "metadata": {"is_mc": True}}}

    def augment(self, *steps: Any, schema: pa.Schema) -> pa.Table:
        from dask_augment.frames.coffea import AugmentProcessor

        sink = sink_at(self.folder, schema)
        out = self.runner()(self.fileset, AugmentProcessor(*steps, purpose="training", sink=sink, **SETTING))
        return read_back(sink, out[self.dataset])

    def learn(self, learner: Any, *before: Any) -> Any:
        from dask_augment.frames.coffea import Chunks

        return da.learn(Chunks(self.runner(), self.fileset), learner, *before, **SETTING)


def schema_class(path: Path) -> Any:
    """NanoAODSchema asks for columns that the toy does not have."""
    from coffea.nanoevents import BaseSchema, NanoAODSchema

    return BaseSchema if Path(path).name == "toy.root" else NanoAODSchema


def sink_at(folder: Path, schema: pa.Schema) -> Any:
    """A sink with the folders that parts are gathered in."""
    from dask_augment.dataset.sink import Sink

    staging = folder / f"staging-{len(list(folder.iterdir()))}"
    for name in ("attempts", "receipts"):
        (staging / name).mkdir(parents=True)
    return Sink(str(staging), schema, ())


def read_back(sink: Any, receipts: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """What the receipts say was written."""
    files = [sink.attempts / file["name"] for receipt in receipts.values() for file in receipt["files"]]
    return pa.concat_tables([pq.read_table(file) for file in files]).cast(sink.schema)


# A frame of one's own: a list of partitions. This is all that it takes.


class Partitions(list[ak.Array]):
    """Events in pieces."""


run_stage.register(Partitions, lambda parts, stage: Partitions(stage.run(part) for part in parts))
put_questions.register(Partitions, lambda parts, questions: questions.over(parts))


class ListOfPartitions(Frame):
    def events(self) -> Any:
        events = flat_events(self.path)
        borders = [0, 0, len(events) // 3, len(events) // 3 + 1, len(events)]
        return Partitions(events[a:b] for a, b in pairwise(borders))

    def table(self, result: Any, schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([to_table(part, schema) for part in result])
