"""coffea: Runner with its executors, tracing, sinks that fail, collision data, and augmenting in one's own processor."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
import frame_toys as toys
from dask_augment.contract.account import Account
from dask_augment.contract.ids import RepeatedIds, file_word
from dask_augment.contract.setting import Setting
from dask_augment.dataset.receipt import Receipt, to_json
from dask_augment.dataset.schema import schema_of
from dask_augment.frames.questions import Question, Questions
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from frame_toys import Standardise, Zoom

pytest.importorskip("coffea")
from coffea import processor
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory
from coffea.nanoevents.trace import trace

from dask_augment.frames import writing
from dask_augment.frames.coffea import AugmentProcessor, Chunks, MeasureProcessor, SinkError

ROTATE = da.PhiRotate(columns=("Jet.phi", "MET.phi"))
STEPS = (da.Split(train=0.5), da.Repeat(n=1), ROTATE)
KEYS = {"run", "luminosityBlock", "event"}


@pytest.fixture
def toy(tmp_path: Path) -> toys.Coffea:
    return toys.Coffea(toys.write_toy(tmp_path / "toy.root", rows=60), tmp_path, chunk=20)


def run(source: toys.Coffea, *steps: Any, metadata: Any = None, options: Any = None, **setting: Any) -> Any:
    """The output of the run, by part."""
    fileset = {source.dataset: source.fileset[source.dataset] | {"metadata": metadata or {}}}
    processor = AugmentProcessor(*steps, **{"purpose": "training", **toys.SETTING, **setting})
    return source.runner(**(options or {}))(fileset, processor)[source.dataset]


def chunk(path: Path, **metadata: Any) -> Any:
    """All events of a file as the Runner gives them, and the list of what is read."""
    log: list[str] = []
    metadata = {"dataset": "toy", "filename": str(path), "treename": "Events", **metadata}
    events = NanoEventsFactory.from_root(
        {str(path): "Events"}, schemaclass=toys.schema_class(path), metadata=metadata, access_log=log
    ).events()
    return events, log


def branches(log: list[Any]) -> set[str]:
    return {getattr(entry, "branch", str(entry)) for entry in log}


def expected(source: toys.Coffea, *steps: Any, **setting: Any) -> ak.Array:
    return da.augment(toys.flat_events(source.path), *steps, **{"dataset": "toy", **toys.SETTING, **setting})


def test_accounts_without_a_sink(toy: toys.Coffea) -> None:
    out = run(toy, *STEPS)
    assert len(out) == 3
    total = Account.total(Account.from_dict(account) for account in out.values())
    eager = expected(toy, *STEPS)
    assert (total.rows_in, total.rows_out) == (60, len(eager))
    assert total.made == {"repeat": len(eager) - 60}
    assert total.weights_in == total.weights_out
    assert total.weights_in["genWeight"][1] == 60


@pytest.mark.parametrize("kind", [pytest.param("futures", marks=pytest.mark.slow), "dask"])
def test_executors(toy: toys.Coffea, kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "futures":
        toy.executor = processor.FuturesExecutor(workers=2, status=False)
    else:
        toy.executor = processor.DaskExecutor(client=request.getfixturevalue("client"), status=False)
    learner = toy.learn(Standardise(), STEPS[0])
    assert learner.learned == da.learn(toys.flat_events(toy.path), Standardise(), STEPS[0], dataset="toy",
                                       **toys.SETTING).learned  # fmt: skip
    eager = expected(toy, *STEPS, learner)
    table = toy.augment(*STEPS, learner, schema=schema_of(eager))
    order = [("event", "ascending"), ("augment_copy", "ascending")]
    assert table.sort_by(order).equals(toys.to_table(eager, table.schema).sort_by(order))


def test_receipts_name_their_parts(toy: toys.Coffea) -> None:
    schema = schema_of(expected(toy, *STEPS))
    sink = toys.sink_at(toy.folder, schema)
    out = run(toy, *STEPS, sink=sink)
    receipts = [Receipt.from_json(to_json(receipt)) for receipt in out.values()]
    assert sorted((r.input["start"], r.input["stop"]) for r in receipts) == [(0, 20), (20, 40), (40, 60)]
    assert {r.input["file"] for r in receipts} == {str(toy.path)}
    assert {r.part: sink.receipt(r.part) for r in receipts} == {r.part: r for r in receipts}
    # The same again writes nothing anew.
    assert run(toy, *STEPS, sink=sink) == out


def test_bytes_at_a_time_do_not_matter(toy: toys.Coffea) -> None:
    schema = schema_of(expected(toy, *STEPS))
    tables = []
    for most in (1, 2000, 10**9):
        sink = toys.sink_at(toy.folder, schema)
        tables.append(toys.read_back(sink, run(toy, *STEPS, sink=sink, slice_bytes=most)))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_tracing_touches_and_writes_nothing(toy: toys.Coffea) -> None:
    schema = schema_of(expected(toy, *STEPS, Zoom())[["Jet_zoom", "MET_phi", "event", "split"]])
    sink = toys.sink_at(toy.folder, schema)
    steps = AugmentProcessor(*STEPS, Zoom(), sink=sink, purpose="training", **toys.SETTING)
    events, _ = chunk(toy.path)
    touched = trace(steps.process, events)
    assert touched - {"nJet"} == {"Jet_pt", "Jet_phi", "MET_phi", "genWeight"} | KEYS
    assert not list(sink.attempts.iterdir())
    # Arrays of no or one row, which coffea tries too, have no place in a file either.
    assert steps.process(events) == {}
    out = toy.runner()(toy.fileset, steps, trace=trace)
    assert toys.read_back(sink, out["toy"]).num_rows == len(expected(toy, *STEPS))


def test_tracing_a_measure(toy: toys.Coffea) -> None:
    stage = Stage(labelled([STEPS[0]]), Setting(7))
    asked = Question(stage, toys.Sums(column="MET.pt"), "standardise")
    question = MeasureProcessor(Questions((asked,)))
    events, _ = chunk(toy.path)
    assert trace(question.process, events) == {"MET_pt"} | KEYS


def test_a_sink_that_fails_is_no_bad_input_file(toy: toys.Coffea, monkeypatch: pytest.MonkeyPatch) -> None:
    from dask_augment.dataset.sink import Sink

    sink = toys.sink_at(toy.folder, schema_of(expected(toy, *STEPS)))

    def full(self: Any, part: Any, pieces: Any, account: Any) -> Any:
        list(pieces)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sink, "write_part", full)
    with pytest.raises(
        Exception, match=r"toy.root, entries 0 to 20\) was not written: OSError: .*No space left"
    ) as error:
        run(toy, *STEPS, sink=sink, options={"skipbadfiles": True})
    assert isinstance(error.value.__cause__, SinkError)


def test_a_staging_folder_that_is_gone_is_no_bad_input_file(toy: toys.Coffea) -> None:
    sink = toys.sink_at(toy.folder, schema_of(expected(toy, *STEPS)))
    sink.attempts.rmdir()
    with pytest.raises(Exception, match="StagingGone") as error:
        run(toy, *STEPS, sink=sink, options={"skipbadfiles": True})
    assert isinstance(error.value.__cause__, SinkError)


def test_a_bad_input_file_stays_one(toy: toys.Coffea, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = toys.sink_at(toy.folder, schema_of(expected(toy, *STEPS)))

    def unreadable(*args: Any) -> Any:
        raise OSError("bad basket")

    monkeypatch.setattr(writing, "to_table", unreadable)
    with pytest.raises(Exception, match="bad basket") as error:
        run(toy, *STEPS, sink=sink)
    assert isinstance(error.value.__cause__, OSError)


def test_purpose(toy: toys.Coffea) -> None:
    with pytest.raises(RuntimeError, match="has not learned yet"):
        AugmentProcessor(Standardise(), purpose="training")
    with pytest.raises(TypeError, match="purpose"):
        AugmentProcessor(*STEPS)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="purpose must be"):
        AugmentProcessor(*STEPS, purpose="both")  # type: ignore[arg-type]
    out = run(toy, *STEPS, Zoom(), purpose="analysis")
    total = Account.total(map(Account.from_dict, out.values()))
    assert (total.rows_out, total.made) == (60, {})
    assert set(total.seconds) == {"split", "zoom"}


def test_collision_data(toy: toys.Coffea) -> None:
    data = {"is_mc": False}
    with pytest.raises(Exception, match=r"toy.* is collision data.*repeat.* is a training step"):
        run(toy, *STEPS, metadata=data)
    with pytest.raises(Exception, match=r"genWeight.* is a generator column"):
        run(toy, *STEPS, metadata=data, purpose="analysis")
    assert run(toy, *STEPS, metadata={"is_mc": True})
    steps = AugmentProcessor(da.PhiRotate(columns=("GenMET.phi",)), purpose="training", seed=1, split=None)
    events = ak.Array(ak.with_parameter(ak.Array({"x": [1]}), "metadata", data | {"dataset": "data"}).layout)
    with pytest.raises(ValueError, match="'data' is collision data"):
        steps.process(events)


@pytest.mark.parametrize(
    "said", [{"isMC": "False"}, {"isData": True}, {"sample": "DATA_SingleMuon"}, {"is_mc": 0}], ids=str
)
def test_collision_data_in_the_words_of_frameworks(toy: toys.Coffea, said: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"toy.* is collision data.*repeat.* is a training step.*metadata_cache={}"):
        run(toy, *STEPS, metadata=said)
    events, _ = chunk(toy.path, **said)
    for call in (
        lambda: da.augment(events, *STEPS, **toys.SETTING),
        lambda: da.learn(events, Standardise(), **toys.SETTING),
    ):
        with pytest.raises(ValueError, match="'toy' is collision data"):
            call()


def test_contradictions_are_refused(toy: toys.Coffea) -> None:
    events, _ = chunk(toy.path, isMC="True", isData="True")
    with pytest.raises(ValueError, match="both collision data and simulation"):
        da.augment(events, *STEPS, **toys.SETTING)


def test_nano_events_without_generator_columns_are_data(nano: Callable[[str], str]) -> None:
    path = nano("nano_dy")
    whole = NanoEventsFactory.from_root({path: "Events"}, schemaclass=NanoAODSchema, metadata={"dataset": "x"}).events()
    events = whole[["run", "luminosityBlock", "event", "MET"]]
    bare = ak.Array(ak.with_parameter(events, "__record__", "NanoEvents").layout)
    turn = da.PhiRotate(columns=("MET.phi",))
    with pytest.raises(
        ValueError, match=r"looks like collision data .*'phi_rotate' is a training step; say is_mc: True"
    ):
        da.augment(bare, turn, seed=1, split=None, dataset="x")
    said = ak.Array(ak.with_parameter(bare, "metadata", {"dataset": "x", "isMC": "True"}).layout)
    assert len(da.augment(said, turn, seed=1, split=None)) == 40


def test_known_weights_are_zero_on_made_rows(nano: Callable[[str], str]) -> None:
    events = NanoEventsFactory.from_root(
        {nano("nano_dy"): "Events"}, schemaclass=NanoAODSchema, metadata={"dataset": "x"}
    ).events()
    events["w64"] = ak.values_astype(events.genWeight, "float64")
    out = da.augment(events, da.Repeat(n=2), seed=1, split=None, weights=("w64",))
    assert ak.sum(da.is_made(out)) == 80
    for values in (out.w64, out.genWeight, out.Generator.weight, out.LHEWeight.originalXWGTUP):
        assert set(values[da.is_made(out)].to_list()) == {0.0}
    assert out.Generator.weight[~da.is_made(out)].to_list() == events.Generator.weight.to_list()
    with pytest.raises(KeyError, match=r"and weights=\(\) none"):
        da.augment(events, da.Repeat(n=1), seed=1, split=None, weights=())
    free = da.augment(events, da.Repeat(n=1), seed=1, split=None, weights="none")
    assert ak.sum(free.genWeight) == pytest.approx(2 * ak.sum(events.genWeight))


def test_position_ids(toy: toys.Coffea) -> None:
    eager = toys.flat_events(toy.path)
    import uproot

    with uproot.open(toy.path) as file:
        word = file_word(str(file.file.uuid))
    eager["position_file"] = np.full(len(eager), word, np.uint64)
    eager["position_entry"] = np.arange(len(eager), dtype=np.uint64)
    ids = ("position_file", "position_entry")
    setting = {"dataset": "toy", **toys.SETTING, "ids": ids}
    learner = da.learn(eager, Standardise(), STEPS[0], **setting)
    result = da.augment(eager, *STEPS, learner, **setting)
    chunks = Chunks(toy.runner(), toy.fileset)
    assert da.learn(chunks, Standardise(), STEPS[0], **toys.SETTING, ids="position").learned == learner.learned
    schema = schema_of(result)
    sink = toys.sink_at(toy.folder, schema)
    table = toys.read_back(sink, run(toy, *STEPS, learner, sink=sink, ids="position"))
    order = [("event", "ascending"), ("augment_copy", "ascending")]
    assert table.sort_by(order).equals(toys.to_table(result, schema).sort_by(order))
    with pytest.raises(ValueError, match="Runner"):
        da.augment(eager, *STEPS, **{**setting, "ids": "position"})


def test_weight_is_made_from_the_generator_weight(toy: toys.Coffea) -> None:
    options = {"weight": "genWeight", "factors": {"toy": 0.25}, "weights": ("weight",)}
    total = Account.total(map(Account.from_dict, run(toy, *STEPS, **options).values()))
    weights = toys.flat_events(toy.path).genWeight
    assert total.weights_in == total.weights_out
    assert total.weights_in["weight"] == (float(ak.sum(weights)) / 4, 60 / 16)
    out = run(toy, Zoom(), weight="noWeight", weights=("weight",))
    assert Account.total(map(Account.from_dict, out.values())).weights_in["weight"] == (60, 60)


def test_repeated_ids_are_found_over_all_chunks(toy: toys.Coffea, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    again = toys.write_toy(tmp_path / "again" / "toy.root", rows=60)
    fileset = {"toy": {"files": {str(toy.path): "Events", str(again): "Events"}}}
    chunks = Chunks(toy.runner(), fileset)
    with pytest.raises(RepeatedIds, match="data set 'toy' has 2 events"):
        da.learn(chunks, Standardise(), **toys.SETTING)
    assert da.learn(chunks, Standardise(), **toys.SETTING, ids="position").learned is not None


@pytest.mark.filterwarnings("ignore:Skipping bad file")
def test_nothing_is_learned_from_a_part_of_the_chunks(toy: toys.Coffea, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = Chunks(toy.runner(skipbadfiles=True), toy.fileset)

    def unreadable(self: Any, events: Any) -> Any:
        if events.metadata["entrystart"] == 20:
            raise OSError("bad basket")
        return original(self, events)

    original = Questions.measure
    monkeypatch.setattr(Questions, "measure", unreadable)
    with pytest.raises(Exception, match="bad basket"):
        da.learn(chunks, Standardise(), **toys.SETTING)


def test_dask_mode(toy: toys.Coffea) -> None:
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    from coffea.dataset_tools import apply_to_fileset, preprocess

    runnable, _ = preprocess(toy.fileset, step_size=20)
    steps = AugmentProcessor(*STEPS, purpose="training", weight="genWeight", **toys.SETTING | {"weights": ("weight",)})
    out = apply_to_fileset(steps, runnable, schemaclass=toys.schema_class(toy.path))["toy"]
    eager = expected(toy, *STEPS)
    assert out.npartitions == 3
    result = out[["MET_phi", "weight"]].compute()
    assert result.MET_phi.tolist() == eager.MET_phi.tolist()
    assert ak.sum(result.weight) == ak.sum(toys.flat_events(toy.path).genWeight)
    sink = toys.sink_at(toy.folder, schema_of(eager))
    with pytest.raises(ValueError, match="Runner"):
        apply_to_fileset(
            AugmentProcessor(Zoom(), purpose="training", sink=sink), runnable, schemaclass=toys.schema_class(toy.path)
        )


def test_only_branches_in_use_are_read(toy: toys.Coffea) -> None:
    events, log = chunk(toy.path)
    out = da.augment(events, Zoom(), ROTATE, seed=1, split=None)
    assert branches(log) - {"nJet"} == {"Jet_pt", "Jet_phi", "MET_phi"} | KEYS
    log.clear()
    out.MET_pt.to_list()
    assert branches(log) == {"MET_pt"}


def test_in_a_processor_of_ones_own(nano: Callable[[str], str]) -> None:
    def process(events: Any) -> dict[str, Any]:
        out = da.augment(events, da.Split(train=0.5), da.Repeat(n=1), ROTATE, seed=3, weights=("genWeight",))
        assert type(out).__name__ == "NanoEventsArray"
        assert out.metadata["dataset"] == "toy"
        original, copy = out[out.augment_kind == 0], out[out.augment_kind == 1]
        position = {event: row for row, event in enumerate(original.event)}
        source = original[[position[event] for event in copy.event]]
        return {
            "rows": len(original),
            "copies": len(copy),
            "muons": int(ak.sum(ak.num(copy.Muon))),
            # Cross references of a copy lead to the jets of its source row.
            "jets_differ": copy.Muon.matched_jet.pt.to_list() != source.Muon.matched_jet.pt.to_list(),
            "rotated": copy.Jet.phi.to_list() != source.Jet.phi.to_list(),
            "weight": float(ak.sum(np.abs(copy.genWeight))),
        }

    source = toys.Coffea(Path(nano("nano_dy")), Path(), chunk=1000)
    result = source.runner(schema=NanoAODSchema)(source.fileset, process)
    assert result["rows"] == 40
    assert 0 < result["copies"] < 40
    assert result["muons"] > 0
    assert result["rotated"]
    assert not result["jets_differ"]
    assert result["weight"] == 0


def test_wildcards_in_a_processor_of_ours(nano: Callable[[str], str]) -> None:
    runner = processor.Runner(processor.IterativeExecutor(status=False), schema=NanoAODSchema)
    step = da.PhiRotate(columns=["*.phi"])
    out = runner(
        {"tt": {"files": {nano("nano_tt_v12"): "Events"}, "metadata": {"is_mc": True}}},
        AugmentProcessor(step, seed=7, purpose="training", split=None),
    )
    assert [account["rows_out"] for account in out["tt"].values()] == [200]
