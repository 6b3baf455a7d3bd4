"""The shipped model, not named, on events that are not of its sample: one warning in every frame, and none on those."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import dask_augment as da
from dask_augment.dataset.manifest import Manifest
from dask_augment.events.columns import flatten
from dask_augment.models.files import located
from dask_augment.plans.plan import Plan
from dask_augment.runs.run import dry_run
from frame_toys import to_pandas

pytest.importorskip("torch")

SHIPPED = "shipped:bundles/jets"
SAYS = (
    r"step 'fast_sim': no model= is named, so 'shipped:bundles/jets' is taken, and these events are not of its sample\. .*"
    r"those of the parametric detector .* in_range is false\. .* with da\.closure\(events, step\)"
)
FIELDS = ("pt", "eta", "phi", "mass")
BRANCHES = ["run", "luminosityBlock", "event", *(f"GenJet_{name}" for name in FIELDS)]
SETTING: dict[str, Any] = {"seed": 1, "dataset": "a"}


def shipped(events: int = 40) -> ak.Array:
    return uproot.open(located("shipped:wz.root"))["Events"].arrays(BRANCHES, entry_stop=events)


def foreign(events: int = 40, own: int = 0) -> ak.Array:
    """The same events under numbers that the generator does not give, but for the first ones."""
    mine = shipped(events)
    return ak.with_field(mine, np.where(np.arange(events) < own, 1, 7).astype(np.uint32), "luminosityBlock")


def caught(call: Callable[[], Any]) -> list[str]:
    """The texts of the warnings."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    assert {entry.category for entry in found} <= {UserWarning}
    return [str(entry.message) for entry in found]


def file_of(path: Path, events: ak.Array) -> str:
    """A ROOT file of them, with weights."""
    jets = {name.partition("_")[2]: events[name] for name in events.fields if name.startswith("GenJet_")}
    values = {name: ak.to_numpy(events[name]) for name in ("run", "luminosityBlock", "event")}
    columns = values | {"genWeight": np.ones(len(events), np.float32), "GenJet": ak.zip(jets)}
    with uproot.recreate(path) as file:
        kinds = {name: value.dtype if isinstance(value, np.ndarray) else value.type for name, value in columns.items()}
        file.mktree("Events", kinds)
        file["Events"].extend(columns)
    return str(path)


def test_eager() -> None:
    with pytest.warns(UserWarning, match=SAYS) as found:
        da.augment(foreign(), da.FastSim(), **SETTING)
    assert len(found) == 1
    assert found[0].filename == __file__
    assert caught(lambda: da.augment(foreign(own=39), da.FastSim(), **SETTING)) != []
    assert caught(lambda: da.augment(foreign(own=40), da.FastSim(), **SETTING)) == []
    assert caught(lambda: da.augment(foreign()[:0], da.FastSim(), **SETTING)) == []
    assert caught(lambda: da.augment(shipped(), da.FastSim(), **SETTING)) == []
    assert caught(lambda: da.augment(foreign(), da.FastSim(model=SHIPPED), **SETTING)) == []


def test_in_range_is_false_of_other_events() -> None:
    out = da.augment(foreign(own=20), da.FastSim(model=SHIPPED), **SETTING)
    assert not ak.any(out.FastJet_in_range[20:])
    assert np.mean(flatten(out.FastJet_in_range[:20])) > 0.95
    same = da.augment(shipped(), da.FastSim(), **SETTING)
    assert out.FastJet_in_range[:20].to_list() == same.FastJet_in_range[:20].to_list()
    # Who is in range is all that differs.
    assert sorted(set(same.fields)) == sorted(set(out.fields))


def test_another_collection_is_not_of_the_sample() -> None:
    """Fat jets of the very events."""
    events = ak.with_field(shipped(), ak.zip({name: shipped()[f"GenJet_{name}"] for name in FIELDS}), "GenJetAK8")
    step = da.FastSim(source="GenJetAK8", target="FastFatJet")
    says = "is taken, and GenJetAK8, unlike GenJet, is not of its sample. Efficiency, resolution and mass of FastFatJet would"
    found = caught(lambda: da.augment(events, step, **SETTING))
    assert len(found) == 1
    assert says in found[0]
    named = da.augment(events, replace(step, model=SHIPPED), **SETTING)
    assert not ak.any(named.FastFatJet.in_range)


def test_other_ids_tell_nothing() -> None:
    assert len(caught(lambda: da.augment(shipped(), da.FastSim(), ids=["event"], **SETTING))) == 1


def test_named_or_not_is_all_the_same_else() -> None:
    unnamed, named = (da.augment(shipped(), step, **SETTING) for step in (da.FastSim(), da.FastSim(model=SHIPPED)))
    assert unnamed.to_list() == named.to_list()
    assert da.FastSim(model=None) == da.FastSim()  # model: with nothing after it, in YAML
    assert da.FastSim().sha256 == da.FastSim(model=SHIPPED).sha256


def test_pandas() -> None:
    assert len(caught(lambda: da.augment(to_pandas(foreign()), da.FastSim(), **SETTING))) == 1
    assert caught(lambda: da.augment(to_pandas(shipped()), da.FastSim(), **SETTING)) == []


def test_dask_dataframe() -> None:
    dd = pytest.importorskip("dask.dataframe")

    def computed(events: ak.Array, step: Any) -> Any:
        frame = dd.from_pandas(to_pandas(events), npartitions=5)
        return da.augment(frame, step, **SETTING).compute(scheduler="threads")

    found = caught(lambda: computed(foreign(), da.FastSim()))
    assert len(found) == 1
    assert "these events are not of its sample" in found[0]
    assert caught(lambda: computed(shipped(), da.FastSim())) == []
    assert caught(lambda: computed(foreign(), da.FastSim(model=SHIPPED))) == []


def test_dask_awkward() -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)

    def computed(events: ak.Array, step: Any) -> Any:
        lazy = da.augment(dak.from_awkward(events, npartitions=5), step, **SETTING)
        return lazy.FastJet_pt.compute(scheduler="threads")

    assert len(caught(lambda: computed(foreign(own=25), da.FastSim()))) == 1
    assert caught(lambda: computed(shipped(), da.FastSim())) == []


@pytest.mark.slow
def test_cluster_tells_its_client(client: Any) -> None:
    """From the processes of its workers; one of them gets all partitions."""
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(to_pandas(foreign()), npartitions=3)
    worker = next(iter(client.scheduler_info()["workers"]))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        client.compute(da.augment(frame, da.FastSim(), **SETTING), workers=[worker]).result()
        deadline = time.monotonic() + 60
        while not any("not of its sample" in str(entry.message) for entry in found) and time.monotonic() < deadline:
            time.sleep(0.1)  # events come after results
    assert sum("not of its sample" in str(entry.message) for entry in found) == 1


def test_learning_says_nothing() -> None:
    events = ak.with_field(foreign(), np.ones(40), "weight")
    steps = (da.Undersample(strata=[da.Bins("jets", [0, 4])]), da.FastSim(), da.Define(jets="count(FastJet.pt)"))
    assert caught(lambda: da.learn(events, *steps, split=None, **SETTING)) == []


def test_plan(tmp_path: Path) -> None:
    files = {}
    for name, events in (("mine", shipped()), ("theirs", foreign(own=10))):
        files[name] = [file_of(tmp_path / f"{name}.root", events)]
    steps = [{"select": "nGenJet >= 0"}, {"fast_sim": {}}]
    plan = Plan.from_dict({"inputs": files, "seed": 1, "steps": steps})
    said = f"data set 'theirs', 30 rows, {SAYS}"
    for chunksize in (7, 1000):
        result = da.run(plan, tmp_path / f"out{chunksize}", chunksize=chunksize)
        assert len(result.warnings) == 1
        assert re.match(said, result.warnings[0])
        assert Manifest.read(result.path).warnings == result.warnings
        assert result.warnings[0] in repr(result)
        assert result.manifest.datasets["theirs"].doubted == {"fast_sim": 30}
    tried = dry_run(plan, tmp_path / "dry")["warnings"]
    assert len(tried) == 1
    assert tried[0].startswith("data set 'theirs', step 'fast_sim': no model= is named")
    named = Plan.from_dict({"inputs": files, "seed": 1, "steps": [{"fast_sim": {"model": SHIPPED}}]})
    assert da.run(named, tmp_path / "named").warnings == ()


def test_plan_that_learns_is_told_in_its_dry_run(tmp_path: Path) -> None:
    """Also of a step that no event reaches in a dry run, which ends at what has not learned yet."""
    steps = [{"split": {"train": 0.5}}, {"undersample": {"strata": ["dataset"]}}, {"fast_sim": {}}]
    plan = Plan.from_dict({"inputs": {"a": [file_of(tmp_path / "a.root", foreign())]}, "seed": 1, "steps": steps})
    assert "these events are not of its sample" in dry_run(plan, tmp_path / "out")["warnings"][0]


def test_a_plan_remembers_that_none_was_named() -> None:
    plan = Plan.from_dict({"inputs": {"a": ["a.root"]}, "seed": 1, "steps": [{"fast_sim": {}}]})
    written = plan.to_dict()["steps"][0]["fast_sim"]
    assert set(written) == {"sha256"}
    assert Plan.from_dict(plan.to_dict()).steps[0].doubt() == da.FastSim().doubt() != ""
    assert (
        Plan.from_dict({"inputs": {"a": ["a.root"]}, "seed": 1, "steps": [{"fast_sim": {"model": ""}}]}).steps[0]
        == da.FastSim()
    )


def test_real_events(nano: Callable[[str], str]) -> None:
    events = uproot.open(nano("nano_tt_v12"))["Events"].arrays(BRANCHES)
    assert len(caught(lambda: da.augment(events, da.FastSim(), **SETTING))) == 1
    out = da.augment(events, da.FastSim(model=SHIPPED), **SETTING)
    assert not ak.any(out.FastJet_in_range)
    assert ak.sum(ak.num(out.FastJet_pt)) > 500
