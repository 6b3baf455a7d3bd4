"""Rows multiply by 21, and the memory of a worker does not: it stays within the limit by a wide margin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

import dask_augment as da
import run_toys
import whole_toys
from dask_augment.dataset.receipt import Receipt
from dask_augment.plans.plan import Plan
from dask_augment.runs.run import run

EVENTS = 100_000
LIMIT = 800 * 2**20
"""Memory of a worker. What comes out of the two large parts is 280 MB each in memory; it must never be there at once."""
STEPS = (da.Split(train=1.0), da.Repeat(n=20), da.PhiRotate(columns=("Jet.phi", "MET.phi")))

# A worker of its own: what a process needs before it does anything is measured by doing the least first.
CHILD = """
import sys
from dask_augment.contract.account import peak_memory
from dask_augment.plans.plan import Plan
from dask_augment.runs.run import run

if __name__ == "__main__":
    small, large, folder = sys.argv[1:]
    run(Plan.read(small), folder + "/small")
    base = peak_memory()
    result = run(Plan.read(large), folder + "/large")
    print(base, peak_memory(), result.rows)
"""


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A plan over few events and the same over many, in files."""
    folder = tmp_path_factory.mktemp("plans")
    paths = []
    for name, events in (("small", 400), ("large", EVENTS)):
        inputs = whole_toys.fileset(folder / name, events)
        inputs = {key: {**entry, "files": dict(list(entry["files"].items())[:4])} for key, entry in inputs.items()}
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(whole_toys.plan(inputs, STEPS).to_dict()))
    return paths[0], paths[1]


def peaks(small: Path, large: Path, tmp_path: Path) -> tuple[int, int, int]:
    """Memory of a process after the small plan and after the large one, and the rows of that."""
    (tmp_path / "child.py").write_text(CHILD)
    command = [sys.executable, str(tmp_path / "child.py"), str(small), str(large), str(tmp_path)]
    base, peak, rows = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    return base, peak, rows


def test_peak_of_a_process(plans: tuple[Path, Path], tmp_path: Path) -> None:
    base, peak, rows = peaks(*plans, tmp_path)
    assert rows == 21 * EVENTS
    assert peak <= base + LIMIT / 2, f"{peak / 2**20:.0f} MB, {base / 2**20:.0f} MB of them before the first row"


@pytest.mark.slow
@pytest.mark.parametrize("copies", [0, 1000])
def test_peak_of_images(copies: int, tmp_path: Path) -> None:
    """200 MB of them in one file, or 2 GB in copies: a task holds some slices and a row group."""
    paths = []
    for name, rows in (("small", 5), ("large", 300 if copies else 32_000)):
        image = np.random.default_rng(1).random((rows, 40, 40), dtype=np.float32)
        file = run_toys.write(tmp_path / f"{name}.root", rows=rows, more={"image": image}, baskets=max(1, rows // 500))
        steps = [{"split": {"train": 1.0}}, {"repeat": {"n": copies}}, {"select": "augment_copy < 1"}][
            : 3 if copies else 1
        ]
        asked = run_toys.plan(file, steps=steps, output={"keep": ["image"]})
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(asked.to_dict()))
    base, peak, _ = peaks(*paths, tmp_path)
    assert peak <= base + (300 if copies else 700) * 2**20, f"{(peak - base) / 2**20:.0f} MB more"


@pytest.mark.slow
def test_no_worker_is_ended(plans: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": LIMIT}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        before = client.run(lambda: psutil.Process().pid)
        run(Plan.read(plans[0]), tmp_path / "small", where=client)
        base = max(client.run(lambda: psutil.Process().memory_info().rss).values())
        result, done = whole_toys.run_watched(monkeypatch, Plan.read(plans[1]), tmp_path / "large", where=client)
        assert client.run(lambda: psutil.Process().pid) == before, "no worker was ended"
    receipts: list[Receipt] = list(done.values())
    assert result.rows == 21 * EVENTS
    assert max(receipt.peak_bytes for receipt in receipts) <= base + LIMIT / 2
