"""Input and output that fail for now: 30 % of the parts fail twice and are done at the third attempt, all of them."""

from __future__ import annotations

import errno
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import dask_augment as da
import whole_toys
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.verify import verify
from dask_augment.inputs.reader import Reader
from dask_augment.runs import pools
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


@pytest.mark.parametrize(
    "where", ["synchronous", "threads", pytest.param("processes", marks=pytest.mark.slow), "client"]
)
def test_every_row_comes(
    inputs: dict[str, Any], quiet: Result, counts: Path, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    steps = (*whole_toys.STEPS, whole_toys.transient(counts))
    place = request.getfixturevalue("client") if where == "client" else where
    result = run(whole_toys.plan(inputs, steps), tmp_path / "out", chunksize=20, where=place)
    failures = len(list(counts.iterdir()))
    assert failures % 2 == 0
    assert 0.15 < failures / 2 / result.manifest.parts < 0.45
    assert result.manifest.logical_hash == quiet.manifest.logical_hash
    assert verify(tmp_path / "out", deep=True).ok


def test_a_third_failure_ends_the_run(inputs: dict[str, Any], quiet: Result, counts: Path, tmp_path: Path) -> None:
    """With the system's own words; then the same call with resume does the rest."""
    plan = whole_toys.plan(inputs, (*whole_toys.STEPS, whole_toys.transient(counts, failures=3)))
    with pytest.raises(RunFailed, match=r"OSError: \[Errno 5\] Input/output error") as caught:
        run(plan, tmp_path / "out", chunksize=50)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EIO
    assert not (tmp_path / "out").exists()
    while True:
        try:
            result = run(plan, tmp_path / "out", chunksize=50, resume=True)
        except RunFailed:
            continue
        break
    assert result.manifest.logical_hash == quiet.manifest.logical_hash


LEARNS = (da.Undersample(strata=[da.Bins("MET.pt", [0, 30, 1e9])]),)
"""A step that asks its questions after the copies."""


def select(inputs: dict[str, Any], *more: Any) -> Any:
    """A plan in which every question needs the events anew: rows are dropped, and nothing is stored in between."""
    return whole_toys.plan(inputs, (*whole_toys.STEPS[:3], *more, *LEARNS))


@pytest.fixture(scope="module")
def learned(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(select(inputs), tmp_path_factory.mktemp("learned") / "out")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PAUSES", (0.0, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["synchronous", "processes", "client"])
def test_questions_to_parts_that_fail_twice(
    inputs: dict[str, Any], learned: Result, counts: Path, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    """30 % of the parts of every batch: what cannot be read for now is asked again alone."""
    place = request.getfixturevalue("client") if where == "client" else where
    asked = select(inputs, whole_toys.transient(counts))
    result = run(asked, tmp_path / "out", chunksize=10, where=place)
    assert len(list(counts.iterdir())) > 20
    assert result.manifest.logical_hash == learned.manifest.logical_hash
    assert result.manifest.extra["learned"]["undersample"] == learned.manifest.extra["learned"]["undersample"]


def test_reads_that_fail_twice_in_every_phase(
    inputs: dict[str, Any], learned: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 % of the parts, the first two of three times, at each question and when they are written."""
    asked, read_root = Counter[str](), Reader._read

    def unreliable(self: Reader, part: Part, *how: Any) -> Any:
        where = part.input
        which = f"{where['file'].rpartition('/')[2]} {where['start']}"
        if sha256(which.encode()).digest()[0] < 77:
            asked[which] += 1
            if asked[which] % 3:
                raise OSError("[ERROR] Server responded with an error: [3007] Unable to read; input/output error")
        return read_root(self, part, *how)

    monkeypatch.setattr(Reader, "_read", unreliable)
    result = run(select(inputs), tmp_path / "out", chunksize=10, max_bad_files=3)
    assert 15 < len(asked) < 35
    assert set(asked.values()) == {3 * 3}, (
        "the ids with the first question of the step, the second one, and the writing"
    )
    assert result.manifest.logical_hash == learned.manifest.logical_hash
    assert not result.manifest.quarantined


def test_a_run_that_goes_on_asks_only_what_was_not_answered(
    inputs: dict[str, Any], learned: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part cannot be read in the second question of a step: the answers of all others are kept."""
    asked, read_root, broken = Counter[str](), Reader._read, True

    def read(self: Reader, part: Part, *how: Any) -> Any:
        which = f"{part.input['file']} {part.input['start']}"
        asked[which] += 1
        if broken and which == last and asked[which] > 1:
            raise OSError("[ERROR] Operation expired")
        return read_root(self, part, *how)

    plan = select(inputs)
    last = f"{[*[*inputs.values()][-1]['files']][-1]} 90"
    monkeypatch.setattr(Reader, "_read", read)
    with pytest.raises(RunFailed, match=r"learning undersample from .* failed: OSError: \[ERROR\] Operation expired"):
        run(plan, tmp_path / "out", chunksize=10)
    parts = len(asked)
    assert parts == 80
    assert set(asked.values()) == {2, 1 + 4}, "three times by itself after its batch"
    asked.clear()
    broken = False
    result = run(plan, tmp_path / "out", chunksize=10, resume=True)
    assert asked.pop(last) == 2
    assert set(asked.values()) == {1}, "the writing"
    assert result.manifest.logical_hash == learned.manifest.logical_hash
