"""What was learned is files of the data set: published with it, listed, verified, and read when a step uses it."""

from __future__ import annotations

import base64
import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.contract.learned import Learned
from dask_augment.dataset import posix
from dask_augment.dataset.gc import collect
from dask_augment.dataset.manifest import Artefact, Manifest, document
from dask_augment.dataset.publication import OtherPlan, RunFailed
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dask_augment.plans import registry
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.runs.run import dry_run
from dask_augment.runs.tasks import Tasks
from dataset_toys import finish, job, seal, snapshot
from dataset_toys import part as toy_part
from policy_toys import Centre, Policy, Up
from run_toys import columns, plan, read, write
from whole_toys import FullDisk

LARGE = 200_000
STEPS = (
    da.Undersample(strata=["luminosityBlock"], sampling_strategy={"luminosityBlock=7": 20}),
    da.Define(HT="sum(Jet.pt)"),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("inputs") / "a.root", rows=30)


def asked(source: str, *steps: Any) -> Plan:
    return da.Plan(inputs={"fileset": {"toy": {"files": [source]}}}, seed=7, split=None, steps=steps)


@pytest.fixture(scope="module")
def standing(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    return da.run(asked(source, *STEPS), out, quiet=True).path


@pytest.fixture
def out(standing: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(standing, tmp_path / "out"))


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        name: f"{kind.__module__}:{kind.__qualname__}" for name, kind in {"centre": Centre, "policy": Policy}.items()
    }
    monkeypatch.setattr(registry, "TABLE", {**registry.TABLE, **table, "up": "policy_toys:Up"})


def events() -> ak.Array:
    given = columns(0, 30)
    met = ak.zip({"pt": given.pop("MET_pt"), "phi": given.pop("MET_phi")})
    return ak.Array({**given, "MET": met, "weight": np.ones(30)})


def the_file(out: Path) -> Path:
    (file,) = (out / "_learned").iterdir()
    return file


def test_the_manifest_lists_them(out: Path) -> None:
    manifest = Manifest.read(out)
    file = the_file(out)
    assert manifest.artefacts == (Artefact(f"_learned/{file.name}", file.stat().st_size, files.sha256(file)),)
    assert file.stem == files.sha256(file)
    said = manifest.extra["learned"]["undersample"]
    assert said["file"] == f"_learned/{file.name}"
    assert Learned.from_bytes(file.read_bytes()).digest == said["digest"]
    assert verify(out, deep=True).ok


@pytest.mark.usefixtures("toys")
def test_large_ones_come_back(source: str, tmp_path: Path) -> None:
    result = da.run(asked(source, Centre(size=LARGE), Centre(size=LARGE, to="again")), tmp_path / "out", quiet=True)
    assert len(result.manifest.artefacts) == 1, "both learned the same"
    assert result.manifest.artefacts[0].bytes > 2**20
    back = da.published_plan(tmp_path / "out").for_analysis()
    made = da.augment(events(), *back.steps, seed=7, dataset="toy", split=None)
    np.testing.assert_array_equal(np.sort(made.again), np.sort(read(result).again))
    small = da.run(asked(source, Centre(), Centre(to="again")), tmp_path / "small", quiet=True)
    assert small.manifest.logical_hash == result.manifest.logical_hash
    (pickled,) = {len(pickle.dumps(step)) < 2000 for _, step in back.steps}
    assert pickled, "what is large travels by its address"
    twin = pickle.loads(pickle.dumps(back.steps[0][1]))  # type: ignore[index]
    assert twin == back.steps[0][1]  # type: ignore[index]
    assert twin.learned["sum"].shape == (LARGE,)


def test_only_what_is_asked_for_must_be_there(out: Path) -> None:
    the_file(out).unlink()
    whole = da.published_plan(out)
    analysis = whole.for_analysis()
    assert [label for label, _ in analysis.steps] == ["define"]  # type: ignore[misc]
    assert "HT" in da.augment(events(), *analysis.steps).fields
    repr(whole)
    with pytest.raises(RuntimeError, match=r"what a step learned is gone: .*_learned/.*npz cannot be read"):
        da.augment(events(), *whole.steps, seed=7, dataset="toy", split=None)


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_what_has_changed_is_not_read(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped(the_file(out))
    whole = da.published_plan(out)
    monkeypatch.setattr(Learned, "from_bytes", lambda archive: pytest.fail("it was read before it was compared"))
    with pytest.raises(ValueError, match="has another sha256 than its data set says"):
        da.augment(events(), *whole.steps, seed=7, dataset="toy", split=None)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda out: the_file(out).unlink(), r"_learned/\w+.npz is missing"),
        (lambda out: the_file(out).write_bytes(b"PK"), r"_learned/\w+.npz has 2 bytes, the manifest says"),
        (lambda out: flipped(the_file(out)), r"_learned/\w+.npz has another sha256"),
        (lambda out: (out / "_learned/x.npz").write_bytes(b"PK"), r"_learned/x.npz is not in the manifest"),
        (lambda out: the_file(out).rename(out / "_learned/x.npz"), r"_learned/\w+.npz is missing"),
    ],
)
def test_verify(out: Path, damage: Callable[[Path], Any], fault: str, source: str) -> None:
    damage(out)
    (found, *_) = verify(out).faults
    assert re.match(fault, found)


def test_a_damaged_data_set_is_no_input_and_not_published_again(out: Path, source: str) -> None:
    the_file(out).unlink()
    with pytest.raises(OtherPlan, match=r"holds this plan but is damaged: _learned/\w+.npz is missing"):
        da.run(asked(source, *STEPS), out, quiet=True)
    inputs = {"folder": str(out), "weight": "weight"}
    with pytest.raises(PlanError, match=r"is not what its manifest says: _learned/\w+.npz is missing"):
        dry_run(plan(inputs=inputs, steps=[{"select": "HT > 1"}]), out.parent / "more")
    assert da.run(asked(source, *STEPS), out, quiet=True, replace=True).rows
    assert verify(out, deep=True).ok


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m["artefacts"].clear(), "is not in the manifest"),
        (lambda m: m.pop("artefacts"), "is not among the files of the manifest"),
        (lambda m: m["artefacts"][0].update(path="../../etc/passwd"), "is not the name of a file of learned arrays"),
        (lambda m: m["extra"]["learned"]["undersample"].update(file="../x.npz"), "is not among the files"),
        (lambda m: m["artefacts"][0].update(sha256="0" * 64), "has another sha256"),
    ],
)
def test_a_manifest_that_was_sealed_anew(out: Path, change: Callable[[Any], Any], fault: str) -> None:
    values = document(out)
    change(values)
    seal(out, values)
    assert any(fault in found for found in verify(out).faults)
    whole = da.published_plan(out)
    if "sha256" in fault or "not in" in fault:
        with pytest.raises((RuntimeError, ValueError), match=r"is gone|another sha256"):
            da.augment(events(), *whole.steps, seed=7, dataset="toy", split=None)


def test_data_sets_that_hold_it_in_the_manifest_are_read(out: Path) -> None:
    """So they were written before there were files."""
    values, archive = document(out), the_file(out).read_bytes()
    said = values["extra"]["learned"]["undersample"]
    del values["artefacts"], said["file"]
    shutil.rmtree(out / "_learned")
    seal(out, values)
    assert verify(out).ok
    lost = da.published_plan(out)
    assert lost.for_analysis()
    with pytest.raises(RuntimeError, match="is gone"):
        da.augment(events(), *lost.steps, seed=7, dataset="toy", split=None)
    said["npz"] = base64.b64encode(archive).decode()
    seal(out, values)
    assert len(da.augment(events(), *da.published_plan(out).steps, seed=7, dataset="toy", split=None)) == 20


def test_same_plan_again_and_replace(out: Path, source: str, standing: Path) -> None:
    before = snapshot(out)
    assert da.run(asked(source, *STEPS), out, quiet=True).already
    assert snapshot(out) == before == snapshot(standing)
    da.run(asked(source, da.Define(HT="sum(Jet.pt)")), out, quiet=True, replace=True)
    assert not (out / "_learned").exists()
    assert "artefacts" not in document(out)


def test_killed_after_learning_then_resumed_or_cleaned(
    source: str, standing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    for folder in ("resumed", "cleaned"):
        (tmp_path / folder).mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(files, "sync_tree", killed)  # the files are written, the manifest too, and nothing is renamed
            with pytest.raises(KeyboardInterrupt):
                da.run(asked(source, *STEPS), tmp_path / folder / "out", quiet=True)
        assert not (tmp_path / folder / "out").exists()
    questions: list[Any] = []
    monkeypatch.setattr(Tasks, "ask", lambda *args: questions.append(args))
    again = da.run(asked(source, *STEPS), tmp_path / "resumed" / "out", quiet=True, resume=True)
    assert not questions, "what was learned is kept"
    assert snapshot(again.path) == snapshot(standing)
    collect(tmp_path / "cleaned", 0)
    assert list((tmp_path / "cleaned").iterdir()) == []


@pytest.mark.usefixtures("toys")
def test_no_room_for_what_was_learned(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [Centre(size=LARGE)]
    with monkeypatch.context() as patch:
        patch.setattr(posix, "os", FullDisk(LARGE))
        with pytest.raises(RunFailed, match=r"No space left on device"):
            da.run(asked(source, *steps), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
    da.run(asked(source, *steps), tmp_path / "out", quiet=True, resume=True)
    assert verify(tmp_path / "out", deep=True).ok
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("toys")
def test_of_steps_inside_steps(source: str, tmp_path: Path) -> None:
    taught = da.learn(events(), Centre(size=LARGE), seed=7, dataset="toy", split=None)
    result = da.run(asked(source, Policy(ops=(Up(), taught))), tmp_path / "out", quiet=True)
    assert set(result.manifest.extra["learned"]) == {"policy.centre"}
    ((_, back),) = da.published_plan(tmp_path / "out").steps  # type: ignore[misc]
    assert back == Policy(ops=(Up(), taught))
    made = da.augment(events(), back, seed=7, dataset="toy", split=None)
    np.testing.assert_array_equal(np.sort(made.centred), np.sort(read(result).centred))


def test_small_ones_travel_whole(out: Path) -> None:
    step = dict(da.published_plan(out).steps)["undersample"]  # type: ignore[arg-type]
    text = pickle.dumps(step)
    shutil.rmtree(out)
    assert pickle.loads(text).learned.digest == step.learned.digest  # type: ignore[attr-defined]


def test_published_by_hand(tmp_path: Path) -> None:
    finish(job(tmp_path / "out", [toy_part(0)]))
    assert "learned" not in json.loads((tmp_path / "out" / "_manifest.json").read_text())["extra"]


@pytest.mark.usefixtures("toys")
def test_plans_of_steps_that_learned_before_are_told_by_what_they_learned(source: str, tmp_path: Path) -> None:
    taught = [da.learn(events()[:rows], Centre(), seed=7, dataset="toy", split=None) for rows in (30, 10)]
    first = da.run(asked(source, taught[0]), tmp_path / "out", quiet=True)
    assert verify(first.path, deep=True).ok
    with pytest.raises(OtherPlan, match="holds the plan"):
        da.run(asked(source, taught[1]), tmp_path / "out", quiet=True)
    assert da.run(asked(source, taught[0]), tmp_path / "out", quiet=True).already
    again = da.published_plan(first.path)
    assert dict(again.steps) == {"centre": taught[0]}  # type: ignore[arg-type]
    assert "learned" not in document(da.run(asked(source, Centre()), tmp_path / "free", quiet=True).path)["plan"]
