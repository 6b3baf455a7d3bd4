"""Answers that a run which goes on need not ask for again, and those that it does not believe."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from dask_augment.runs import answers
from dask_augment.runs.answers import Answers, Kept
from dask_augment.runs.totals import to_bytes
from run_toys import Total


def to(staging: Path, *labels: str) -> list[Kept]:
    asked = Answers(staging)
    return [asked.to(Total(), label) for label in labels]


def known(kept: Kept, *wanted: str) -> dict[frozenset[str], Any]:
    return dict(kept.known(set(wanted)))


def test_each_question_has_its_own(tmp_path: Path) -> None:
    first, second, other = to(tmp_path, "a/b", "a/b", "c")
    first.keep(["1", "2"], 5)
    first.keep(["3"], None)
    second.keep(["1"], 7)
    first, second, other = to(tmp_path, "a/b", "a/b", "c")
    assert known(first, "1", "2", "3", "4") == {frozenset("12"): 5, frozenset("3"): None}
    assert known(first, "1", "3") == {frozenset("3"): None}, "a part of an answer is none"
    assert known(second, "1") == {frozenset("1"): 7}
    assert known(other, "1") == {}
    Answers(tmp_path).forget("a/b")
    assert known(first, "1", "2") == {}


def test_no_part_counts_twice(tmp_path: Path) -> None:
    (kept,) = to(tmp_path, "a")
    kept.keep(["1", "2"], 5)
    kept.keep(["2", "3"], 6)
    assert len(known(kept, "1", "2", "3")) == 1


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize("how", ["cut", "writable", "foreign", "other bytes", "no parts", "pickle"])
def test_what_is_not_believed(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what this user wrote, whole, and as values: a pickle, which runs code when it is read, is never opened."""
    (kept,) = to(tmp_path, "a")
    kept.keep(["1"], 1)
    (file,) = tmp_path.rglob("*.answer")
    if how == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif how == "writable":
        file.chmod(0o620)
    elif how == "foreign":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    elif how == "other bytes":
        file.write_bytes(file.read_bytes()[:32] + to_bytes((["1"], 2)))
    else:
        data = to_bytes(([1], 2)) if how == "no parts" else pickle.dumps((frozenset("1"), Evil(tmp_path / "evil")))
        file.write_bytes(hashlib.sha256(data).digest() + data)
    assert known(kept, "1") == {}
    assert not (tmp_path / "evil").exists()


def test_an_answer_of_another_class_is_asked_again(tmp_path: Path) -> None:
    (kept,) = to(tmp_path, "a")
    kept.keep(["1"], Evil(tmp_path / "evil"))
    assert known(kept, "1") == {}


def test_a_staging_folder_that_is_gone_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = to(tmp_path / "gone", "a")
    kept.keep(["1"], 5)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(answers, "MOST_BYTES", 10)
    (kept,) = to(tmp_path, "a")
    kept.keep(["1"], "x" * 11)
    assert list(tmp_path.iterdir()) == []
