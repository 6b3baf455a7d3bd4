"""Pools: the same outcomes wherever tasks are done; what may pass is tried again, what will not is reported."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from dask_augment.runs.pools import ATTEMPTS, PAUSES, Cluster, Futures, Iterative, opened


class Task:
    """Fails as its item says, and counts its attempts in a folder, since it may run in any process."""

    name = "augment-test"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: tuple[int, str]) -> int:
        number, kind = item
        attempt = len(list(self.folder.glob(f"{number}.*"))) + 1
        (self.folder / f"{number}.{attempt}").touch()
        if kind == "once" and attempt == 1:
            raise TimeoutError("too slow")
        if kind == "always":
            raise OSError(errno.EIO, "a bad disk")
        if kind == "never":
            raise ValueError(f"no such thing as {number}")
        return number * number

    def attempts(self, number: int) -> int:
        return len(list(self.folder.glob(f"{number}.*")))


ITEMS = [(0, ""), (1, "once"), (2, "always"), (3, "never"), *((n, "") for n in range(4, 90))]


def check(pool: Any, folder: Path) -> None:
    task = Task(folder)
    outcomes = dict(pool.map(task, ITEMS))
    assert set(outcomes) == set(ITEMS)
    for number, kind in ITEMS:
        outcome = outcomes[number, kind]
        if kind in ("always", "never"):
            assert isinstance(outcome, OSError if kind == "always" else ValueError)
        else:
            assert outcome == number * number
    assert [task.attempts(number) for number in range(5)] == [1, 2, ATTEMPTS, 1, 1]
    assert list(pool.map(task, [])) == []


def test_in_this_process(tmp_path: Path) -> None:
    check(Iterative(), tmp_path)
    assert [item for item, _ in Iterative().map(Task(tmp_path), ITEMS[4:])] == ITEMS[4:]


def test_in_processes(tmp_path: Path) -> None:
    with opened("futures", workers=1) as pool:
        assert isinstance(pool, Futures)
        check(pool, tmp_path)


def test_on_a_cluster(client: Any, tmp_path: Path) -> None:
    with opened("iterative", client=client) as pool:
        assert isinstance(pool, Cluster)
        assert pool.workers == 2
        check(pool, tmp_path)


def test_the_next_attempt_waits_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for now is asked again when it has had time, not three times within a millisecond."""
    pauses: list[float] = []
    monkeypatch.setattr("dask_augment.runs.pools.time.sleep", pauses.append)
    list(Iterative().map(Task(tmp_path), [(2, "always")]))
    assert pauses == list(PAUSES)
    assert 0 < PAUSES[0] < PAUSES[1]


def test_tasks_can_be_given_up(client: Any, tmp_path: Path) -> None:
    for pool in (Iterative(), Cluster(client)):
        outcomes = pool.map(Task(tmp_path), [(n, "") for n in range(1000)])
        next(iter(outcomes))
        outcomes.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) < 1000


def test_unknown_executor() -> None:
    with pytest.raises(ValueError, match="executor must be iterative, futures or dask, got 'spark'"), opened("spark"):
        pass
