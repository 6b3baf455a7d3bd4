"""dask-awkward: layers, what is read, where steps run, and what travels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import cloudpickle
import pytest

import dask_augment as da
import frame_toys as toys
from dask_augment.events.columns import MissingColumn
from frame_toys import Standardise, Where, Zoom

dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
import uproot

from dask_augment.frames import dask_awkward as frame

ROTATE = da.PhiRotate(columns=("Jet.phi", "MET.phi"))
KEYS = {"run", "luminosityBlock", "event"}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toys.write_toy(tmp_path / "toy.root", rows=60)


@pytest.fixture
def events(toy: Path) -> Any:
    return uproot.dask({str(toy): "Events"}, steps_per_file=4)


def augment(events: Any, *steps: Any, **setting: Any) -> Any:
    return da.augment(events, *steps, **{"dataset": "toy", **toys.SETTING, **setting})


def augment_layers(collection: Any) -> list[str]:
    return [name for name in collection.dask.layers if name.startswith("augment-")]


def read_branches(collection: Any) -> set[str]:
    (branches,) = dak.necessary_columns(collection).values()
    return set(branches)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The branches of which data were read."""
    from uproot.behaviors.TBranch import TBranch

    seen: set[str] = set()
    original = TBranch.basket

    def basket(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.add(self.name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(TBranch, "basket", basket)
    from uproot.behaviors import TBranch as module

    ranges = module._ranges_or_baskets_to_arrays

    def spied(hasbranches: Any, ranges_or_baskets: Any, *args: Any, **kwargs: Any) -> Any:
        seen.update(branch.name for branch, *_ in ranges_or_baskets)
        return ranges(hasbranches, ranges_or_baskets, *args, **kwargs)

    monkeypatch.setattr(module, "_ranges_or_baskets_to_arrays", spied)
    return seen


def test_one_layer_for_a_run_of_steps(events: Any) -> None:
    out = augment(events, Zoom(), ROTATE, split=None)
    (layer,) = augment_layers(out)
    assert layer.startswith("augment-zoom-phi-rotate-")
    assert out.npartitions == events.npartitions
    assert augment(events, Zoom(), ROTATE, split=None).name == out.name
    assert augment(events, Zoom(), ROTATE, split=None, seed=8).name != out.name


def test_divisions_are_known_where_rows_are_kept(events: Any) -> None:
    events = dak.from_awkward(events.compute(), npartitions=3)
    assert augment(events, Zoom()).divisions == events.divisions
    assert augment(events, da.Split(train=1), da.Repeat(n=1)).divisions == (None,) * 4


def test_reads_only_what_is_used(events: Any, reads: set[str]) -> None:
    jets = augment(events, Zoom())["Jet_zoom"]
    assert read_branches(jets) == {"Jet_pt"}
    rotated = augment(events, da.Split(train=0.5), da.Repeat(n=1), ROTATE)
    assert read_branches(rotated["MET_pt"]) == {"MET_pt", "MET_phi", "Jet_phi", "genWeight"} | KEYS
    assert "Jet_area" in read_branches(rotated)
    reads.clear()
    jets.compute()
    # Entries of a jagged branch are counted by uproot from the branch itself.
    assert reads == {"Jet_pt"}


def test_learning_reads_only_what_is_asked(events: Any, reads: set[str]) -> None:
    reads.clear()
    learner = da.learn(events, Standardise(), da.Split(train=0.5), ROTATE, Zoom(), dataset="toy", **toys.SETTING)
    # Zoom and the rotation are pruned: nobody asks for what they make.
    assert reads == {"MET_pt"} | KEYS
    assert learner.learned is not None


def test_reads_only_what_is_used_of_parquet(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    source = toys.FromParquet(toy, tmp_path, partitions=2)
    out = augment(source.events(), Zoom(), ROTATE, split=None)[["Jet_zoom", "MET_pt"]]
    read: set[str] = set()
    for method in ("read", "read_row_groups"):
        original = getattr(pq.ParquetFile, method)

        def spied(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            table = original(self, *args, **kwargs)
            read.update(table.column_names)
            return table

        monkeypatch.setattr(pq.ParquetFile, method, spied)
    assert len(out.compute()) == 60
    assert read == {"Jet_pt", "Jet_phi", "MET_pt", "MET_phi"} | KEYS


def test_errors_come_before_any_data_are_read(events: Any) -> None:
    with pytest.raises(RuntimeError, match="has not learned yet"):
        augment(events, Standardise())
    with pytest.raises(MissingColumn, match="as ids "):
        augment(events, ROTATE, ids=("nothing",), split=None)
    with pytest.raises(MissingColumn, match="dataset="):
        augment(events, ROTATE, dataset=None, split=None)
    with pytest.raises(ValueError, match="pass seed="):
        augment(events, ROTATE, seed=None, split=None)
    with pytest.raises(MissingColumn, match=r"no column 'MET.angle'"):
        augment(events, da.PhiRotate(columns=("MET.angle",)), split=None)
    with pytest.raises(MissingColumn, match="no column 'split'"):
        augment(events, da.Repeat(n=1))


def test_accessor(events: Any) -> None:
    assert events.augment(Zoom()).name == da.augment(events, Zoom()).name
    assert da.augment(events, Zoom()).augment(Zoom()).npartitions == 4


def test_accessor_gives_way_to_a_column() -> None:
    events = dak.from_awkward(ak.Array({"augment": [{"copy": 1}, {"copy": 0}]}), npartitions=1)
    assert events.augment.copy.compute().tolist() == [1, 0]


@pytest.mark.parametrize("version", ["2025.4.0", "2026.8.0", "2025.12.1"])
def test_refuses_a_dask_that_cannot_compute(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    import dask

    spec = importlib.util.find_spec(frame.__name__)
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.setattr(dask, "__version__", version)
    with pytest.raises(ImportError, match=rf"dask {version}.*dask < 2025.4.*pip install"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def size(graph: Any) -> int:
    return len(cloudpickle.dumps(graph))


def tasks(collection: Any) -> dict[Any, Any]:
    return dict(collection.__dask_optimize__(collection.dask, collection.__dask_keys__()))


def test_learned_arrays_travel_by_address(toy: Path, tmp_path: Path) -> None:
    events = uproot.dask({str(toy): "Events"}, steps_per_file=4)[["MET_pt", "event", "run", "luminosityBlock"]]
    learner = Standardise(ballast=250_000)
    put = da.learn(events, learner, dataset="toy", artefacts=str(tmp_path / "learned"), **toys.SETTING)
    assert put.learned is not None
    assert put.learned.nbytes > 2_000_000
    out = augment(events, put)
    assert size(out.dask) - size(events.dask) < 5_000
    # Even task by task, as schedulers get it.
    assert size(tasks(out)) - size(tasks(events)) < 10_000
    kept = da.learn(events, learner, dataset="toy", **toys.SETTING)
    assert out.standard.compute().tolist() == augment(events.compute(), kept).standard.tolist()


def test_steps_with_resources_are_layers_of_their_own(events: Any) -> None:
    gpu = {"GPU": 1}
    out = augment(events, Zoom(), ROTATE, Where(needs=gpu), Where(into="other", needs=gpu), Zoom(), split=None)
    asked = [(out.dask.layers[name].annotations or {}).get("resources") for name in augment_layers(out)]
    assert sorted(asked, key=str) == [None, None, gpu, gpu]
    # All steps run, and nothing else is read.
    assert read_branches(out["worker"]) == {"MET_phi", "Jet_phi", "Jet_pt"} | KEYS


def test_resources_are_heeded(toy: Path, two_workers: Any) -> None:
    events = uproot.dask({str(toy): "Events"}, steps_per_file=12)
    out = augment(events, Zoom(), Where(needs={"GPU": 1}), ROTATE, split=None)
    # What comes after would take the step into its own task, and lose what it asks for.
    later = (out["worker"] + 0, out[["Jet_zoom", "MET_phi", "event"]])
    workers, rest = two_workers.gather(two_workers.compute(later))
    assert set(workers.tolist()) == {1}
    assert len(workers) == 60
    expected = augment(toys.flat_events(toy), Zoom(), ROTATE, split=None)
    assert rest.MET_phi.tolist() == expected.MET_phi.tolist()
    assert rest.Jet_zoom.tolist() == expected.Jet_zoom.tolist()


def test_resources_are_heeded_in_learning(toy: Path, two_workers: Any) -> None:
    events = uproot.dask({str(toy): "Events"}, steps_per_file=12)
    before = (Where(needs={"GPU": 1}), Zoom())
    learner = da.learn(events, Standardise(column="worker"), *before, dataset="toy", **toys.SETTING)
    assert learner.learned is not None
    assert learner.learned["mean"] == 1


def test_on_a_cluster_of_processes(toy: Path, client: Any, tmp_path: Path) -> None:
    source = toys.DaskAwkward(toy, tmp_path, partitions=3)
    learner = source.learn(Standardise(), da.Split(train=0.5))
    eager = toys.Frame(toy, tmp_path)
    assert learner.learned == eager.learn(Standardise(), da.Split(train=0.5)).learned
    steps = (da.Split(train=0.5), da.Repeat(n=1), ROTATE, learner)
    expected = augment(toys.flat_events(toy), *steps)
    schema = toys.schema_of(expected)
    assert source.augment(*steps, schema=schema).equals(toys.to_table(expected, schema))
