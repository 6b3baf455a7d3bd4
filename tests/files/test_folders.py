"""An output or a data set is a folder of this machine; whatever else is named is refused, and makes no folder."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

import dask_augment as da
from dask_augment.cli.commands import main
from dask_augment.dataset.gc import collect
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dask_augment.files.folders import NoLocalFolder, local_folder
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import dry_run, published_plan, run
from run_toys import plan, write

ELSEWHERE = [
    "s3://bucket/set", "root://host//data/out", "https://x/out", "davs://x/out", "gs://b", "S3://b", "s3:/bucket/set",
    "simplecache::s3://b/x", "host:/data/out", "file://other/data", Path("s3://bucket/set"), "out/http://x",
    "a\0b", "", "\ud800", "~nobody-of-this-name/out", "$SCRATCH/out", "${SCRATCH}/out", "/data/$USER/out",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("address", ELSEWHERE, ids=ascii)
def test_what_is_no_local_folder_is_refused(address: Any, here: Path) -> None:
    # The file is not there: nothing is read before the output is known to be a place.
    asked = plan("not-there.root")
    for call in (
        lambda: run(asked, address),
        lambda: dry_run(asked, address),
        lambda: plan("not-there.root", output={"path": address}),
        lambda: published_plan(address),
        lambda: collect(address),
        lambda: da.generate("qcd", address, events=1),
    ):
        with pytest.raises(ValueError, match=r"output|data set|folder to clean"):
            call()
    assert not verify(address).ok
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("value", [5, ["a"], b"out", True])
def test_what_is_no_path(value: Any) -> None:
    with pytest.raises(PlanError, match="output: path must be a path"):
        plan("not-there.root", output={"path": value})


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("out", "out"), ("./out/", "out"), ("file:///data/o%20ut", "/data/o ut"), ("file://localhost/data", "/data"),
        ("file:/data", "/data"), ("a:b/c", "a:b/c"), ("./s3:b", "s3:b"), ("a$b", "a$b"), ("out~", "out~"),
    ],
)  # fmt: skip
def test_what_is_a_local_folder(address: str, path: str) -> None:
    assert local_folder(address, "output") == Path(path)


def test_a_home_is_put_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = run(plan(write(tmp_path / "a.root")), "~/out")
    assert result.path == tmp_path / "out"
    assert verify("~/out").ok
    assert verify(f"file://{tmp_path}/out").ok
    assert collect("~", 0) == []
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "s3://b/x"],
        ["show", "s3://b/x"],
        ["clean", "s3://b"],
        ["generate", "qcd", "--output", "s3://b/x"],
        ["demo", "--output", "root://host//x"],
        ["run", "plan.yaml", "--output", "s3://b/x"],
        ["run", "plan.yaml", "--output", "s3://b/x", "--dry-run"],
        ["run", "plan.yaml", "--output", "file://other/x"],
    ],
    ids=" ".join,
)
def test_commands(words: list[str], here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    if "plan.yaml" in words:
        (here / "plan.yaml").write_text(
            "{inputs: {files: not-there.root, dataset: a}, seed: 1, steps: [], split: none}"
        )
    monkeypatch.setattr("sys.argv", ["dask-augment", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert re.search(r"is an address \((s3|root):\)|is on the machine 'other'", capsys.readouterr().err)
    assert [path.name for path in here.iterdir() if path.name != "plan.yaml"] == []


def test_a_mount_point_is_refused_before_anything_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "disk").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "disk")
    for call in (run, dry_run):
        with pytest.raises(PlanError, match=r"'disk' is a mount point.*name a folder inside it, 'disk/out'"):
            call(plan("not-there.root"), "disk")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_dry_run_tries_the_place(tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    asked = plan(write(tmp_path / "a.root"))
    assert dry_run(asked, "deep/down/out")["standing"] == "free"
    assert list(here.iterdir()) == []
    with pytest.raises(RunFailed, match=r"could not be made: OSError: .* too long"):
        dry_run(asked, "o" * 250)
    (here / "file").touch()
    with pytest.raises(RunFailed, match="NotADirectoryError"):
        dry_run(asked, "file/out")

    def refused(path: Any) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(files, "make_folder", refused)
    with pytest.raises(RunFailed, match=r"out could not be made: .*(Read-only|Permission)"):
        dry_run(asked, "out")


def test_an_empty_folder_is_free(tmp_path: Path, here: Path) -> None:
    (here / "out").mkdir()
    asked = plan(write(tmp_path / "a.root"))
    assert dry_run(asked, "out")["standing"] == "free"
    assert run(asked, "out").rows == 12


def test_the_sentence() -> None:
    with pytest.raises(
        NoLocalFolder, match=r"^output 's3://b/x' is an address \(s3:\), and only folders on a file system"
    ):
        local_folder("s3://b/x", "output")
