"""One plan over real events has one logical hash, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import whole_toys
from dask_augment.dataset.verify import verify
from dask_augment.runs.run import run
from truth import Truth

pytestmark = pytest.mark.slow


def test_a_worker_is_killed(truth: Truth, tmp_path: Path) -> None:
    """SIGKILL of a worker process in the middle of the write of a part; its nanny starts another."""
    from distributed import Client, LocalCluster

    (tmp_path / "tokens").mkdir()
    steps = (*truth.plan.steps, whole_toys.deadly(tmp_path / "tokens", "kill"))
    plan = whole_toys.plan(truth.plan.inputs.fileset, steps, keep=truth.plan.output.keep)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        before = {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}
        Path(tmp_path, "tokens", "one").touch()
        result = run(plan, tmp_path / "out", where=client, chunksize=33)
        client.wait_for_workers(2)
        after = {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}
    assert len(before - after) == 1, "one worker died"
    assert result.manifest.logical_hash == truth.hash
    assert verify(tmp_path / "out", deep=True).ok


CLIENT = """
import sys
from dask_augment.plans.plan import Plan
from dask_augment.runs.run import run
if __name__ == "__main__":
    run(Plan.read(sys.argv[1]), sys.argv[2], chunksize=12)
"""


def test_the_client_is_killed(truth: Truth, tmp_path: Path) -> None:
    import yaml

    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(truth.plan.to_dict()))
    command = [sys.executable, str(tmp_path / "client.py"), str(tmp_path / "plan.yaml"), str(tmp_path / "out")]
    child = subprocess.Popen(command)
    try:
        whole_toys.wait_for_receipts(tmp_path / "out", 10, child)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "out").exists()
    assert 10 <= len(whole_toys.attempts_at(tmp_path / "out")) < 21
    result = run(truth.plan, tmp_path / "out", chunksize=12, resume=True)
    assert result.manifest.logical_hash == truth.hash
    assert whole_toys.nothing_left(tmp_path / "out")
