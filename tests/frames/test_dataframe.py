"""dask.dataframe: types known beforehand, what is read, the accessor, and resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dask_augment as da
import dask_augment.frames.dataframe
import frame_toys as toys
from frame_toys import Standardise, Where, Zoom

STEPS = (da.Split(train=0.5), da.Repeat(n=1), da.PhiRotate(columns=("Jet.phi", "MET.phi")), Zoom())


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    frame = toys.to_pandas(toys.flat_events(toys.write_toy(tmp_path / "toy.root", rows=50)))
    return frame.assign(name="a string", dataset="toy")


@pytest.fixture
def parquet(frame: pd.DataFrame, tmp_path: Path) -> Path:
    """Files of which the column MET_phi cannot be read."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(3):
        path = folder / f"part{number}.parquet"
        table = pa.Table.from_pandas(frame[number * 20 : (number + 1) * 20], preserve_index=False)
        pq.write_table(table.replace_schema_metadata(None), path)
        chunks = pq.ParquetFile(path).metadata.row_group(0)
        spoilt = next(c for c in map(chunks.column, range(chunks.num_columns)) if c.path_in_schema == "MET_phi")
        start = spoilt.dictionary_page_offset or spoilt.data_page_offset
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\xff" * spoilt.total_compressed_size)
    return folder


def read(folder: Path) -> Any:
    return dd.read_parquet(folder, dtype_backend="pyarrow", engine="pyarrow")


def test_accessor_and_types(frame: pd.DataFrame) -> None:
    lazy = dd.from_pandas(frame, npartitions=4)
    out = lazy.augment(*STEPS, **toys.SETTING)
    assert out.dtypes.equals(out.compute().dtypes)
    assert [part.dtypes.equals(out.dtypes) for part in dask.compute(*out.to_delayed())] == [True] * 4
    assert out.divisions == lazy.divisions
    eager = da.augment(lazy.compute(), *STEPS, **toys.SETTING)
    pd.testing.assert_frame_equal(out.compute(), eager)


def test_a_partition_without_rows(frame: pd.DataFrame) -> None:
    lazy = dd.from_pandas(frame, npartitions=4)
    lazy = lazy[lazy["event"] < 10]
    out = lazy.augment(*STEPS, **toys.SETTING)
    pd.testing.assert_frame_equal(out.compute(), da.augment(lazy.compute(), *STEPS, **toys.SETTING))


def test_learning_reads_only_what_is_asked(parquet: Path, frame: pd.DataFrame) -> None:
    lazy = read(parquet)
    learner = da.learn(lazy, Standardise(), STEPS[0], **toys.SETTING)
    assert learner.learned == da.learn(frame, Standardise(), STEPS[0], **toys.SETTING).learned
    with pytest.raises(Exception, match=r"(?i)parquet|snappy|thrift|page|corrupt"):
        lazy["MET_phi"].compute()


def test_an_explicit_selection_is_all_that_is_read(parquet: Path) -> None:
    out = read(parquet)[["Jet_pt", "event"]].augment(Zoom())
    assert list(out.columns) == ["Jet_pt", "event", "Jet_zoom"]
    assert len(out.compute()) == 50


def test_nothing_to_learn_from(frame: pd.DataFrame) -> None:
    lazy = dd.from_pandas(frame, npartitions=2)
    with pytest.raises(ValueError, match="nothing to learn from"):
        da.learn(lazy[lazy["event"] < 0], Standardise(), **toys.SETTING)


def test_graph_is_named_after_the_steps(frame: pd.DataFrame) -> None:
    lazy = dd.from_pandas(frame, npartitions=2)
    out = lazy.augment(Zoom())
    assert any(str(key[0] if isinstance(key, tuple) else key).startswith("augment-zoom") for key in dict(out.dask))
    assert out._name == lazy.augment(Zoom())._name


def test_resources_are_asked_for_by_learning_alone(frame: pd.DataFrame, two_workers: Any) -> None:
    lazy = dd.from_pandas(frame, npartitions=10)
    before = Where(needs={"GPU": 1})
    learner = da.learn(lazy, Standardise(column="worker"), before, **toys.SETTING)
    assert learner.learned is not None
    assert learner.learned["mean"] == 1
    with pytest.warns(UserWarning, match=r"steps ask for \{'GPU': 1\}.*client.compute\(result, resources="):
        out = lazy.augment(before)
    assert set(two_workers.compute(out, resources={"GPU": 1}).result()["worker"]) == {1}


def test_on_a_cluster_of_processes(frame: pd.DataFrame, client: Any) -> None:
    lazy = dd.from_pandas(frame, npartitions=3)
    learner = da.learn(lazy, Standardise(), STEPS[0], **toys.SETTING)
    assert learner.learned == da.learn(frame, Standardise(), STEPS[0], **toys.SETTING).learned
    out = lazy.augment(*STEPS, learner, **toys.SETTING).compute()
    pd.testing.assert_frame_equal(out, da.augment(lazy.compute(), *STEPS, learner, **toys.SETTING))
