"""Input and output that fail for now: 30 % of the parts fail twice and are done at the third attempt, all of them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

import whole_toys
from dask_augment.dataset.job import RunFailed
from dask_augment.dataset.verify import verify
from dask_augment.runs.run import Result, run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_toys.fileset(tmp_path_factory.mktemp("inputs"), 800)


@pytest.fixture(scope="module")
def quiet(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(whole_toys.plan(inputs), tmp_path_factory.mktemp("quiet") / "out")


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    folder = tmp_path / "counts"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_every_row_comes(
    inputs: dict[str, Any], quiet: Result, counts: Path, tmp_path: Path, request: pytest.FixtureRequest, executor: str
) -> None:
    steps = (*whole_toys.STEPS, whole_toys.transient(counts))
    options = (
        {"client": request.getfixturevalue("client")} if executor == "dask" else {"executor": executor, "workers": 2}
    )
    result = run(whole_toys.plan(inputs, steps), tmp_path / "out", chunksize=20, **options)
    failures = len(list(counts.iterdir()))
    assert failures % 2 == 0
    assert 0.15 < failures / 2 / result.manifest.parts < 0.45
    assert result.manifest.logical_hash == quiet.manifest.logical_hash
    assert verify(tmp_path / "out", deep=True).ok


def test_a_third_failure_ends_the_run(inputs: dict[str, Any], quiet: Result, counts: Path, tmp_path: Path) -> None:
    """With the system's own words; then the same call with resume does the rest."""
    plan = whole_toys.plan(inputs, (*whole_toys.STEPS, whole_toys.transient(counts, failures=3)))
    with pytest.raises(RunFailed, match=r"OSError: \[Errno 5\] Input/output error") as caught:
        run(plan, tmp_path / "out", chunksize=20)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EIO
    assert not (tmp_path / "out").exists()
    while True:
        try:
            result = run(plan, tmp_path / "out", chunksize=20, resume=True)
        except RunFailed:
            continue
        break
    assert result.manifest.logical_hash == quiet.manifest.logical_hash
