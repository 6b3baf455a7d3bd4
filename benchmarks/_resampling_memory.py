"""Memory that SMOTE of a million rows takes, in a process of its own for each: ours, and imbalanced-learn's.

What counts is how far the memory of a warm process grows, above the input where that is a matrix.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _report import Figure

from dask_augment.contract.account import peak_memory

ROUNDS = 3
PARTS = 20
MEGABYTE = 2**20


def forget_peak() -> None:
    """Let the kernel count the most memory of this process anew."""
    Path("/proc/self/clear_refs").write_text("5")


# Matrices ---------------------------------------------------------------------------------------------------------------


def matrix_of_ours(folder: Path) -> Callable[[], object]:
    """fit_resample of a matrix."""
    import dask_augment as da

    values, label = np.load(folder / "values.npy"), np.load(folder / "label.npy")
    return lambda: da.Resampler("smote", scale=None, train_weight="unit").fit_resample(values, label)


def matrix_of_peer(folder: Path) -> Callable[[], object]:
    """The same of imbalanced-learn."""
    from imblearn.over_sampling import SMOTE

    values, label = np.load(folder / "values.npy"), np.load(folder / "label.npy")
    return lambda: SMOTE().fit_resample(values, label)


# Parquet ----------------------------------------------------------------------------------------------------------------


def parquet_of_ours(folder: Path) -> Callable[[], object]:
    """A plan over the files, without a cluster."""
    import dask_augment as da
    from dask_augment.plans.plan import Plan
    from dask_augment.runs.run import run

    features = [f"x{number}" for number in range(20)]
    plan = Plan(
        inputs={"fileset": {"events": {"files": {str(path): None for path in sorted(folder.glob("part-*.parquet"))}}}},
        steps=(da.Smote(strata=["label"], features=features, scale=None, train_weight="unit"),),
        seed=7, split=None,
    )  # fmt: skip
    return lambda: run(plan, tempfile.mkdtemp(dir=folder) + "/out")


def parquet_of_peer(folder: Path) -> Callable[[], object]:
    """pandas reads the files, imbalanced-learn resamples, pandas writes one file."""
    import pandas as pd
    from imblearn.over_sampling import SMOTE

    def work() -> None:
        rows = pd.read_parquet(sorted(folder.glob("part-*.parquet")))
        found, label = SMOTE().fit_resample(rows[[f"x{number}" for number in range(20)]], rows["label"])
        found.assign(label=label).to_parquet(folder / "peer.parquet")

    return work


Way = Callable[[Path], Callable[[], object]]
CASES: dict[str, tuple[Way, Way, float, str, str]] = {
    "memory_in_process": (
        matrix_of_ours, matrix_of_peer, 0.5, "imbalanced-learn's SMOTE",
        "the matrix that comes out, and a position and a weight for each row",
    ),
    "memory_parquet": (
        parquet_of_ours, parquet_of_peer, 0.35, "pandas and imbalanced-learn's SMOTE",
        "the rows of the minority, one part as it is read and its rows as they are written",
    ),
}  # fmt: skip


def figure(case: str, folder: Path) -> Figure:
    """One case, over the tables in ``folder``, and ``folder / "small"`` to warm up with."""
    _, _, goal, peer, limit = CASES[case]
    rounds = [tuple(_measured(case, way, folder) for way in ("ours", "peer")) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(one[side] for one in rounds) for side in (0, 1))
    return Figure(case, ours, theirs, peer, statistics.median(a / b for a, b in rounds), "MB more", goal, limit)


def _measured(case: str, way: str, folder: Path) -> float:
    command = [sys.executable, __file__, case, way, str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    grown: float = json.loads(answer.splitlines()[-1])
    return grown


def _child(case: str, way: str, folder: Path) -> None:
    prepared = CASES[case][0 if way == "ours" else 1]
    prepared(folder / "small")()
    work = prepared(folder)
    forget_peak()
    before = peak_memory()
    result = work()
    print(json.dumps((peak_memory() - before) / MEGABYTE))
    del result


if __name__ == "__main__":
    _child(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
