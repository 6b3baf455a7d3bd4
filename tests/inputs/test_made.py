"""Events from nothing: a function makes them, the same in any parts and anywhere, and nothing else is an event of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import yaml

import dask_augment as da
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.verify import verify
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.runs.run import dry_run, published_plan, run
from run_toys import read, write

TYPES = {"Jet.pt": "var * float32", "Jet.phi": "var * float32", "MET.pt": "float32", "genWeight": "float32"}


@da.augmenter(uses=["event"], produces=TYPES, keyed=True)
def toys(events, draw):
    counts = np.asarray(events.event).astype(np.int64) % 3
    pt = (20 + 100 * draw.uniform(0, counts=counts)).astype(np.float32)
    phi = (2 * np.pi * draw.uniform(1, counts=counts) - np.pi).astype(np.float32)
    return {
        "Jet.pt": ak.unflatten(pt, counts),
        "Jet.phi": ak.unflatten(phi, counts),
        "MET.pt": (50 * draw.uniform(2)).astype(np.float32),
        "genWeight": np.where(draw.uniform(3) < 0.2, -1, 1).astype(np.float32),
    }


def entry(make: Any = toys, events: int = 40, seed: int = 3, **more: Any) -> dict[str, Any]:
    return {"make": make, "events": events, "seed": seed, **more}


def plan(fileset: Any, *steps: Any, **more: Any) -> Plan:
    return Plan(inputs={"fileset": fileset}, steps=steps or (da.Define(HT="sum(Jet.pt)"),), seed=7, **more)


def test_the_same_events_in_any_parts(tmp_path: Path) -> None:
    """Their ids are what makes them and their number, their weights are normalised, and a copy has the kind of one."""
    fileset = {"toys": entry(metadata={"xsec": 2.0, "is_mc": True})}
    asked = plan(fileset, da.Split(train=0.5), da.Repeat(n=2), da.Define(HT="sum(Jet.pt)"), output={"keep": ["Jet.*"]})
    results = [run(asked, tmp_path / str(size), chunksize=size) for size in (100, 7)]
    results.append(run(asked, tmp_path / "threads", chunksize=3, where="threads"))
    assert len({result.manifest.logical_hash for result in results}) == 1
    assert verify(results[1].path, deep=True).ok
    rows = read(results[1])
    originals = rows[rows.augment_copy == 0]
    assert originals.event.to_list() == list(range(40))
    assert {*originals.augment_kind.to_list()} == {-1}
    assert set(rows.augment_kind.to_list()) == {-1, 1}
    assert da.is_made(rows).to_list() == (rows.augment_copy > 0).to_list()
    assert len({*rows.run.to_list()}) == len({*rows.luminosityBlock.to_list()}) == 1
    assert ak.sum(originals.weight) == pytest.approx(2.0)
    assert not np.any(rows.weight[rows.augment_copy != 0])
    assert ak.num(originals.Jet_pt).to_list() == [number % 3 for number in range(40)]


def test_more_events_keep_the_others_and_another_seed_none(tmp_path: Path) -> None:
    few, more, other = (
        read(run(plan({"toys": entry(events=events, seed=seed)}), tmp_path / f"{events}-{seed}"))
        for events, seed in ((10, 3), (25, 3), (10, 4))
    )
    assert few.to_list() == more[:10].to_list()
    assert few.HT.to_list() != other.HT.to_list()
    assert few.run[0] != other.run[0]


def test_by_position(tmp_path: Path) -> None:
    asked = Plan(inputs={"fileset": {"toys": entry()}, "ids": "position"}, steps=(da.Split(train=0.5),), seed=1)
    result = run(asked, tmp_path / "out", chunksize=9)
    entries = [ak.from_parquet(str(result.path / part.path)).position_entry for part in result.manifest.files]
    assert np.array_equal(np.sort(np.asarray(ak.concatenate(entries))), np.arange(40))


def test_beside_files(tmp_path: Path) -> None:
    """Events of files are originals of the kind 0."""
    file = write(tmp_path / "a.root", rows=12)
    result = run(plan({"real": [file], "toys": entry()}), tmp_path / "out")
    names = [str(result.path / part.path) for part in result.manifest.files]
    kinds = {name.split("dataset=")[1].split("/")[0]: {*ak.from_parquet(name).augment_kind.to_list()} for name in names}
    assert kinds == {"real": {0}, "toys": {-1}}
    alone = run(plan({"real": [file]}), tmp_path / "alone")
    assert "augment_kind" not in ak.from_parquet(str(alone.path / alone.manifest.files[0].path)).fields


def test_what_makes_them_is_part_of_the_plan(tmp_path: Path) -> None:
    """A plan in a file says the function by its file; the manifest pins its code, and runs none that has changed."""
    text = "import numpy as np\nfrom dask_augment import augmenter\n"
    text += "@augmenter(uses=['event'], produces={'x': 'float64'})\ndef ramp(events):\n"
    text += "    return np.asarray(events.event) * 2.0\n"
    (tmp_path / "made.py").write_text(text)
    values = {"inputs": {"ramp": {"make": "made.py:ramp", "events": 5, "seed": 1}}, "seed": 1,
              "steps": [{"define": {"y": "x + 1"}}], "output": "out"}  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(values))
    asked = Plan.read(tmp_path / "plan.yaml")
    assert Plan.from_dict(asked.to_dict(), folder=tmp_path).digest == asked.digest
    assert dry_run(asked)["datasets"]["ramp"]["entries"] == 5
    result = run(asked)
    assert read(result).y.to_list() == [1, 3, 5, 7, 9]
    assert run(tmp_path / "plan.yaml").already
    assert published_plan(result.path, folder=tmp_path).to_dict()["inputs"] == asked.to_dict()["inputs"]
    (tmp_path / "made.py").write_text(text.replace("2.0", "3.0"))
    assert Plan.read(tmp_path / "plan.yaml").digest != asked.digest
    with pytest.raises(PlanError, match=r"that makes data set 'ramp' \(made.py:ramp\): its file has changed"):
        published_plan(result.path, folder=tmp_path)


def test_events_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    @da.augmenter(uses=[], produces={"x": "float64"})
    def noise(events):
        return np.random.default_rng(len(events)).random(len(events))

    @da.augmenter(uses=["event"], produces={"x": "float64"})
    def padded(events):
        counts = np.where(np.asarray(events.event) % 10 == 9, 5, 1)
        ones = ak.unflatten(np.ones(counts.sum()), counts)
        return ak.to_numpy(ak.fill_none(ak.pad_none(ones, int(counts.max()), axis=1), 0)).mean(axis=1)

    for function in (noise, padded):  # the first events of the other one, made alone, are right
        with pytest.raises(
            PlanError,
            match="'x' of an event is another when other events are made with it: make each event of the numbers",
        ):
            dry_run(plan({"toys": entry(function, events=1000)}, da.Define(y="x")), tmp_path / "out")


def test_missing_numbers_may_be_made(tmp_path: Path) -> None:
    @da.augmenter(uses=["event"], produces={"x": "float64"})
    def holes(events):
        number = np.asarray(events.event)
        return np.where(number % 3 == 0, np.nan, number)

    assert run(plan({"toys": entry(holes)}, da.Define(y="x")), tmp_path / "out").rows == 40


@pytest.mark.parametrize("event", [3, 25])
def test_a_maker_that_fails_is_no_unreadable_file(event: int, tmp_path: Path) -> None:
    @da.augmenter(uses=["event"], produces={"x": "float64"})
    def fails(events):
        if np.any(np.asarray(events.event) == event):
            raise KeyError("lost")
        return np.zeros(len(events))

    asked = plan({"sig": entry(fails), "bkg": entry()}, da.Select("event >= 0"))
    with pytest.raises((PlanError, RunFailed), match=r"'fails', which makes data set 'sig', failed .*KeyError: 'lost'"):
        run(asked, tmp_path / "out", max_bad_files=1)
    assert not (tmp_path / "out").exists()


@da.augmenter(uses=["Jet.pt"], produces={"x": "float64"})
def reads(events):
    return events.Jet.pt


@da.augmenter(uses=[], produces={"event": "uint64"})
def names_itself(events):
    return np.arange(len(events))


@da.augmenter(uses=[], produces={"x": "float64"})
def breaks_its_promise(events):
    return np.zeros(len(events), np.float32)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (entry(reads), "data set 'toys': make must make each column .* it uses 'Jet.pt'"),
        (entry(names_itself), "data set 'toys': make makes 'event', which tells an event by what makes it"),
        (
            entry(da.Split(train=0.5)),
            "data set 'toys': make must be a function of your own with the decorator augmenter",
        ),
        (entry("nobody.py:toys"), r"step that makes data set 'toys' \(nobody.py:toys\): .* cannot be read"),
        (entry(seed=None), "data set 'toys': seed must be whole numbers"),
        (entry(events=-1), "data set 'toys': events must be whole numbers"),
        ({**entry(), "files": ["a.root"]}, r"data set 'toys' is made, and has unknown keys \['files'\]"),
        (entry(breaks_its_promise), "promised 'x' as float64 and made float32"),
    ],
    ids=range(8),
)
def test_refusals(said: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises((PlanError, RunFailed), match=match):
        dry_run(plan({"toys": said}, da.Select("x > 0")), tmp_path / "out")


def test_a_fileset_in_a_file_names_no_code(tmp_path: Path) -> None:
    (tmp_path / "fileset.json").write_text(json.dumps({"toys": entry("made.py:ramp")}))
    with pytest.raises(
        PlanError, match=r"data set 'toys' is made by 'made.py:ramp', which a fileset in a file of its own says"
    ):
        dry_run(plan(str(tmp_path / "fileset.json")), tmp_path / "out")


def test_other_numbers_of_objects_are_refused(tmp_path: Path) -> None:
    @da.augmenter(uses=[], produces={"Jet.pt": "var * float64", "Jet.x": "var * float64"})
    def uneven(events):
        return {"Jet.pt": ak.Array([[1.0]] * len(events)), "Jet.x": ak.Array([[1.0, 2.0]] * len(events))}

    with pytest.raises(
        PlanError, match=r"'Jet.pt' and 'Jet.x' are of one collection, and have other numbers of objects"
    ):
        dry_run(plan({"toys": entry(uneven)}), tmp_path / "out")
