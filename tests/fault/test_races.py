"""Somebody removes, publishes or replaces at the worst moment: what is visible is whole, and what is said is true."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dask_augment.dataset import alive, commit, gc, posix, staging
from dask_augment.dataset.alive import SignOfLife, living
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.gc import collect
from dask_augment.dataset.manifest import Manifest
from dask_augment.dataset.publication import Incomplete, Job, OtherPlan, RunFailed
from dask_augment.dataset.sink import StagingGone
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dask_augment.runs import learn, tasks
from dask_augment.runs import run as running
from dask_augment.runs.run import dry_run, run
from dataset_toys import finish, job, part, snapshot, write
from faults import FaultyOs
from run_toys import Excess, plan
from run_toys import write as write_root


def written(path: Path, **options: Any) -> Job:
    work = job(path, **{"parts": (part(0), part(1))} | options)
    sink = open_staging(work, replace=True)
    for each in work.parts:
        write(sink, each)
    return work


OLD: dict[str, Any] = {"parts": [part(2)], "plan": {"seed": 6}}


@pytest.mark.parametrize("swap", ["first", "exchange", "aside"])
def test_cleaning_while_a_client_publishes(tmp_path: Path, swap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher comes at each operation of the remover; whatever it says is so."""
    if swap == "aside":
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    outcomes = set()
    for stop in range(40):
        home = tmp_path / str(stop)
        home.mkdir()
        if swap != "first":
            finish(job(home / "out", **OLD))
        old = snapshot(home / "out")
        work = written(home / "out")
        said = []

        def come(work: Job = work, said: list[Any] = said) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(posix, "os", os)
                try:
                    said.append(publish(work, replace=True))
                except (FileNotFoundError, Incomplete) as error:
                    said.append(error)

        with monkeypatch.context() as patch:
            stopped = FaultyOs(stop, come)
            patch.setattr(posix, "os", stopped)
            collect(home, 0)
        if stopped.count <= stop:
            break
        if isinstance(said[0], Manifest):
            assert verify(home / "out", deep=True).ok, f"stopped at {stop}, {stopped.log}"
            assert Manifest.read(home / "out") == said[0]
        else:
            assert snapshot(home / "out") == old, f"stopped at {stop}, {stopped.log}"
        outcomes.add(type(said[0]))
        shutil.rmtree(home)
    assert stop > 8
    assert Manifest in outcomes
    assert outcomes & {FileNotFoundError, Incomplete}


@pytest.mark.parametrize("swap", ["first", "exchange", "aside"])
def test_cleaning_at_each_moment_of_publishing(tmp_path: Path, swap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if swap == "aside":
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    for stop in range(200):
        home = tmp_path / str(stop)
        home.mkdir()
        if swap != "first":
            finish(job(home / "out", **OLD))
        old = snapshot(home / "out")
        work = written(home / "out")

        def come(home: Path = home) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(posix, "os", os)
                collect(home, 0)

        said: Any = None
        with monkeypatch.context() as patch:
            stopped = FaultyOs(stop, come)
            patch.setattr(posix, "os", stopped)
            try:
                said = publish(work, replace=True)
            except (FileNotFoundError, Incomplete) as error:
                said = error
        if stopped.count <= stop:
            break
        if isinstance(said, Manifest):
            assert verify(home / "out", deep=True).ok, f"stopped at {stop}, {stopped.log}"
        else:
            assert snapshot(home / "out") == old, f"stopped at {stop}, {stopped.log}"
        shutil.rmtree(home)
    assert stop > 8


@pytest.mark.parametrize("swap", ["first", "exchange", "aside"])
def test_what_lost_files_before_the_rename_is_taken_back(
    tmp_path: Path, swap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remover that is not ours, or a disk."""
    if swap == "aside":
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    if swap != "first":
        finish(job(tmp_path / "out", **OLD))
    old = snapshot(tmp_path / "out")
    work = written(tmp_path / "out")
    sync_tree = files.sync_tree

    def lose(data: Path) -> None:
        sync_tree(data)
        next(data.rglob("*.parquet")).unlink()

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_tree", lose)
        with pytest.raises(
            Incomplete, match=r"out was not whole as it was published, .* is missing: .* it was taken back"
        ):
            publish(work, replace=True)
    assert snapshot(tmp_path / "out") == old
    publish(work, replace=True)
    assert verify(tmp_path / "out", deep=True).ok
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_changes_meanwhile_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = job(tmp_path / "out")
    write(open_staging(work), part(0))
    take_away = staging.take_away
    monkeypatch.setattr(gc, "take_away", lambda *given: write(work.sink, part(1)) and take_away(*given))
    spared: dict[Path, str] = {}
    assert collect(tmp_path, 0, spared=spared.__setitem__) == []
    assert spared == {work.staging: "somebody works in it"}
    assert work.sink.receipt(part(1).id) is not None
    monkeypatch.undo()
    assert collect(tmp_path, 0) == [work.staging]


def test_the_clock_is_that_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of this machine that is a month ahead makes nothing old."""
    work = job(tmp_path / "out")
    write(open_staging(work), part(0))
    monkeypatch.setattr(time, "time", lambda: os.stat(tmp_path).st_mtime + 30 * 86_400)
    assert collect(tmp_path) == []
    assert os.listdir(tmp_path) == [work.staging.name]


# Who is alive ---------------------------------------------------------------------------------------------------------


def test_a_client_that_is_at_work_is_called_so(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    write(open_staging(work), part(0))
    me = f"process {os.getpid()} on "
    spared: dict[Path, str] = {}
    with SignOfLife(work.staging):
        assert [client.pid for client in living(work.staging)] == [os.getpid()]
        with pytest.raises(RunFailed, match=rf"another client is at work on this plan, {me}.* \(1 of 4 parts done\)"):
            open_staging(work, resume=False)
        open_staging(work, resume=True)
        assert collect(tmp_path, 0, spared=spared.__setitem__) == []
    assert me in spared[work.staging]
    assert living(work.staging) == []
    with pytest.raises(RunFailed, match="an earlier run of this plan was not finished"):
        open_staging(work, resume=False)


@pytest.mark.parametrize(
    ("change", "alive_too"),
    [
        ({"pid": 2**22 + 1, "started": "5"}, False),
        ({"started": "5"}, False),
        ({"machine": "elsewhere"}, True),
        ({"pid": "x"}, False),
    ],
    ids=["no such process", "the number is another's", "of another machine", "damaged"],
)
def test_who_is_alive(tmp_path: Path, change: dict[str, Any], alive_too: bool) -> None:
    path = tmp_path / "client-0.json"
    path.write_text(json.dumps(alive._self() | change))
    assert bool(living(tmp_path)) == alive_too
    os.utime(path, (0, 0))
    assert living(tmp_path) == []


def test_a_process_that_died_is_not_alive(tmp_path: Path) -> None:
    code = f"import os; from pathlib import Path; from dask_augment.dataset.alive import SignOfLife\nSignOfLife(Path({str(tmp_path)!r})).__enter__(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    assert living(tmp_path) == []


def test_signs_go_on_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "EVERY", 0.01)
    with SignOfLife(tmp_path):
        (path,) = tmp_path.iterdir()
        os.utime(path, (0, 0))
        while path.stat().st_mtime == 0:
            time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []
    with SignOfLife(tmp_path / "not there"):
        pass


# What a crash left aside ----------------------------------------------------------------------------------------------


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    """The only copy of a data set, which a crash left in the staging folder of another plan."""
    finish(job(tmp_path / "out", **OLD))
    other = written(tmp_path / "out", plan={"seed": 5})
    found = other.staging / "old.0123456789ab"
    (tmp_path / "out").rename(found)
    return found


def test_whatever_plan_comes_brings_it_back(tmp_path: Path, aside: Path) -> None:
    old = Manifest.read(aside)
    with pytest.raises(OtherPlan, match="holds the plan"):
        open_staging(job(tmp_path / "out"))
    assert Manifest.read(tmp_path / "out") == old
    assert not aside.exists()
    assert finish(job(tmp_path / "out"), replace=True).rows > old.rows


def test_cleaning_names_it(tmp_path: Path, aside: Path) -> None:
    spared: dict[Path, str] = {}
    assert collect(tmp_path, 0, spared=spared.__setitem__) == []
    assert spared == {
        aside.parent: f"it holds {tmp_path / 'out'}, which was being replaced when a run was cut off: the next run brings "
        "it back"
    }
    shutil.copytree(aside, tmp_path / "out")
    assert collect(tmp_path, 0, spared=spared.__setitem__) == []
    assert spared[aside.parent].startswith(f"{aside} is a data set that was being replaced")


def test_a_client_that_replaces_just_now_is_not_disturbed(tmp_path: Path, aside: Path) -> None:
    with (
        SignOfLife(aside.parent),
        pytest.raises(RunFailed, match=r"process \d+ on .* is replacing .*out at this moment"),
    ):
        open_staging(job(tmp_path / "out"))
    assert aside.exists()


def test_two_are_named(tmp_path: Path, aside: Path) -> None:
    shutil.copytree(aside, aside.with_name("old.ba9876543210"))
    with pytest.raises(RunFailed, match=rf"{aside} and .*old\.ba9876543210 are data sets that had its name"):
        open_staging(job(tmp_path / "out"))


def test_a_dry_run_names_it_and_a_run_brings_it_back(tmp_path: Path) -> None:
    file = write_root(tmp_path / "a.root")
    first, other = plan(file, seed=1), plan(file, seed=2)
    kept = run(first, tmp_path / "out").manifest
    folder = tmp_path / ".out.staging-0123456789ab"
    folder.mkdir()
    (tmp_path / "out").rename(folder / "old.0123456789ab")
    assert dry_run(other, tmp_path / "out")["standing"].startswith("taken by a data set that a crash left in ")
    with pytest.raises(OtherPlan):
        run(other, tmp_path / "out")
    result = run(first, tmp_path / "out")
    assert result.already
    assert result.manifest.logical_hash == kept.logical_hash


# One way to lose ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["ids", "note", "learn", "write", "merge", "publish"])
def test_the_client_that_comes_second_gets_what_stands(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client publishes this plan, and removes staging, just before this one does something."""
    asked = plan(*(write_root(tmp_path / f"{n}.root", 12 * n) for n in range(3)), split="none")
    asked = replace(asked, steps=[Excess()])
    out = tmp_path / "out"
    places = {
        "ids": (learn, "teach"), "note": (learn, "_note"), "learn": (tasks.Tasks, "ask"),
        "write": (tasks.Tasks, "write"), "merge": (running, "merged"), "publish": (running, "publish"),
    }  # fmt: skip
    owner, name = places[where]
    real = getattr(owner, name)
    first = []

    def late(*given: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        first.append(run(asked, out, resume=True))
        return real(*given, **options)

    monkeypatch.setattr(owner, name, late)
    result = run(asked, out)
    assert not first[0].already
    assert result.already
    assert result.manifest.logical_hash == first[0].manifest.logical_hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.root", "1.root", "2.root", "out"]


@pytest.mark.parametrize("where", ["write", "merge", "publish"])
def test_staging_that_was_removed_is_said_to_be(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name = {
        "write": (tasks.Tasks, "write"), "merge": (running, "merged"), "publish": (commit, "_build_and_rename")
    }[where]  # fmt: skip
    real = getattr(owner, name)

    def late(*given: Any) -> Any:
        (folder,) = tmp_path.glob(".out.staging-*")
        shutil.rmtree(folder)
        return real(*given)

    monkeypatch.setattr(owner, name, late)
    asked = plan(*(write_root(tmp_path / f"{n}.root", 12 * n) for n in range(3)))
    with pytest.raises(
        RunFailed, match=r"its staging folder .* was removed while the run was at work; nothing of it is kept"
    ):
        run(asked, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_of_this_client_alone_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*given: Any, **options: Any) -> Any:
        raise StagingGone("not so")

    monkeypatch.setattr(running, "publish", late)
    with pytest.raises(StagingGone, match="not so"):
        run(plan(write_root(tmp_path / "a.root")), tmp_path / "out")
