"""One body for every frame: the same rows, values and types, on toy events and on real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import dask_augment as da
import frame_toys as toys
from dask_augment.dataset.schema import schema_of
from frame_toys import Standardise, Zoom

STEPS = (
    da.Split(train=0.6),
    Zoom(),
    da.Repeat(n=2),
    da.PhiRotate(columns=("Jet.phi", "MET.phi")),
)
AWKWARD = {
    "dak-1": lambda *at: toys.DaskAwkward(*at, partitions=1),
    "dak-3": lambda *at: toys.DaskAwkward(*at, partitions=3),
    "dak-parquet-4": lambda *at: toys.FromParquet(*at, partitions=4),
}
COFFEA = {
    "nano-dask-2": lambda *at: toys.NanoDask(*at, partitions=2),
    "coffea-70": lambda *at: toys.Coffea(*at, chunk=70),
    "coffea-17": lambda *at: toys.Coffea(*at, chunk=17),
}
PLAIN = {
    "eager": toys.Frame,
    "partitions": toys.ListOfPartitions,
    "pandas": toys.Pandas,
    "pandas-objects": toys.PandasObjects,
    "dask.dataframe-1": lambda *at: toys.DaskFrame(*at, partitions=1),
    "dask.dataframe-5": lambda *at: toys.DaskFrame(*at, partitions=5),
}
FRAMES: dict[str, Callable[..., toys.Frame]] = PLAIN | AWKWARD | COFFEA


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.root")


TOYS = [pytest.param((name, "toy"), id=f"{name}-toy") for name in FRAMES]
SLOW = [pytest.mark.slow]
REAL = [
    pytest.param((name, "nano_dy"), id=f"{name}-nano_dy", marks=marks)
    for name, marks in {"pandas": [], "coffea-17": SLOW, "dak-3": SLOW, "nano-dask-2": SLOW}.items()
]


@pytest.fixture
def frame(request: pytest.FixtureRequest, toy: Path, tmp_path: Path) -> toys.Frame:
    name, file = request.param
    if name in AWKWARD or name == "nano-dask-2":
        pytest.importorskip("dask_awkward", exc_type=ImportError)
    if name in COFFEA:
        pytest.importorskip("coffea")
    path = toy if file == "toy" else Path(request.getfixturevalue("nano")(file))
    return FRAMES[name](path, tmp_path)


def in_order(table: pa.Table) -> pa.Table:
    return table.sort_by([("event", "ascending"), ("augment_copy", "ascending")]).combine_chunks()


@pytest.mark.parametrize("frame", TOYS + REAL, indirect=True)
def test_same_rows_and_values(frame: toys.Frame) -> None:
    events = toys.flat_events(frame.path)
    learner = da.learn(events, Standardise(), *STEPS[:1], dataset="toy", **toys.SETTING)
    eager = da.augment(events, *STEPS, learner, dataset="toy", **toys.SETTING)
    schema = schema_of(eager)
    expected = toys.to_table(eager, schema)
    assert expected.num_rows > len(events) > 0

    learned = frame.learn(Standardise(), *STEPS[:1])
    assert learned.learned == learner.learned
    table = frame.augment(*STEPS, learned, schema=schema)
    if not isinstance(frame, toys.Coffea):
        # Chunks come back in any order; everywhere else rows keep theirs.
        assert table.column("event").to_pylist() == expected.column("event").to_pylist()
    assert in_order(table).equals(in_order(expected))


@pytest.mark.parametrize("frame", TOYS, indirect=True)
def test_learns_after_rows_changed(frame: toys.Frame) -> None:
    events = toys.flat_events(frame.path)
    before = (da.Split(train=0.7), da.Repeat(n=1))
    expected = da.learn(events, Standardise(column="MET.phi"), *before, dataset="toy", **toys.SETTING)
    assert frame.learn(Standardise(column="MET.phi"), *before).learned == expected.learned
