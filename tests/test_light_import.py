"""``import dask_augment`` is light: a plan can be read and listed where the large libraries are absent or slow."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ["coffea", "dask.dataframe", "dask_awkward", "faiss", "matplotlib", "pandas", "sklearn", "torch"]


def loaded_by(statement: str) -> list[str]:
    """Which of the heavy modules a fresh interpreter has loaded after the statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_is_light() -> None:
    assert loaded_by("import dask_augment") == []


def test_heavy_import_is_seen() -> None:
    assert loaded_by("import pandas") == ["pandas"]


def test_matrices_are_resampled_without_pandas() -> None:
    call = "da.Resampler('smote').fit_resample(np.random.rand(60, 2), np.arange(60) % 10 == 0)"
    assert "pandas" not in loaded_by(f"import numpy as np, dask_augment as da\n{call}")
