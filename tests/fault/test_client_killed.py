"""The client dies, and with it the scheduler: nothing is visible, and a resumed run does only what was not done."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import whole_toys
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.verify import verify
from dask_augment.plans.plan import Plan
from dask_augment.runs.run import run

CLIENT = """
import sys
from dask_augment.plans.plan import Plan
from dask_augment.runs.run import run

if __name__ == "__main__":
    plan, out, where = sys.argv[1:]
    run(Plan.read(plan), out, where=where, chunksize=25)
"""
SLOW_STEP = """
import time
import numpy as np
import dask_augment as da

@da.augmenter(uses=["event"], produces={}, keeps_rows=False)
def slow(events):
    time.sleep(0.02)
    return np.ones(len(events), bool)
"""
PARTS = 68


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan in a file, with a step that takes a moment."""
    folder = tmp_path_factory.mktemp("plan")
    values = whole_toys.plan(whole_toys.fileset(folder / "inputs")).to_dict()
    (folder / "slow.py").write_text(SLOW_STEP)
    values["steps"].append("slow.py:slow")
    (folder / "plan.yaml").write_text(yaml.safe_dump(values))
    (folder / "client.py").write_text(CLIENT)
    return folder / "plan.yaml"


@pytest.fixture(scope="module")
def quiet(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(Plan.read(plan), tmp_path_factory.mktemp("quiet") / "out").manifest.logical_hash


def killed_at(plan: Path, out: Path, where: str, receipts: int) -> dict[str, str]:
    """Run the plan in another process and kill that process as soon as so many parts are done; what is done then."""
    child = subprocess.Popen([sys.executable, str(plan.with_name("client.py")), str(plan), str(out), where])
    try:
        whole_toys.wait_for_receipts(out, receipts, child)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not out.exists()
    return whole_toys.attempts_at(out)


def resumed(plan: Path, out: Path, before: dict[str, str], quiet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunFailed, match=r"not finished \(\d+ of \d+ parts done\): go on with it with resume"):
        run(Plan.read(plan), out, chunksize=25)
    result, done = whole_toys.run_watched(monkeypatch, Plan.read(plan), out, chunksize=25, resume=True)
    assert len(done) == result.manifest.parts == PARTS
    assert {part: done[part].attempt for part in before} == before, "what was done was not done again"
    assert result.manifest.logical_hash == quiet
    assert verify(out, deep=True).ok


@pytest.mark.parametrize(("where", "receipts"), [("synchronous", 32), pytest.param("2", 20, marks=pytest.mark.slow)])
def test_resume(
    plan: Path, quiet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, receipts: int
) -> None:
    before = killed_at(plan, tmp_path / "out", where, receipts)
    assert receipts <= len(before) < PARTS
    resumed(plan, tmp_path / "out", before, quiet, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_resume_twelve_times(plan: Path, quiet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(4)
    for number in range(12):
        out = tmp_path / f"{number}" / "out"
        out.parent.mkdir()
        before = killed_at(plan, out, draw.choice(["synchronous", "2"]), draw.randrange(1, PARTS - 8))
        resumed(plan, out, before, quiet, monkeypatch)
