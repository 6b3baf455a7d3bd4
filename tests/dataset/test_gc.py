from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dask_augment.dataset.commit import open_staging
from dask_augment.dataset.gc import collect
from dataset_toys import finish, job, part, snapshot, write


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in [folder, *folder.iterdir()]:
        os.utime(path, (then, then))


def test_only_stale_staging_folders_go(tmp_path: Path) -> None:
    finish(job(tmp_path / "out"))
    (tmp_path / ".hidden").mkdir()
    stale, live = job(tmp_path / "stale"), job(tmp_path / "live")
    for each in (stale, live):
        write(open_staging(each), part(0))
    (tmp_path / f"{stale.staging.name}.gone-0123456789ab").mkdir()
    age(tmp_path / f"{stale.staging.name}.gone-0123456789ab", 30)
    age(tmp_path / "out", 30)
    age(stale.staging, 8)
    age(live.staging, 8)
    write(live.sink, part(1))  # a sign of life
    kept = {name: data for name, data in snapshot(tmp_path).items() if not name.startswith(".stale")}
    assert collect(tmp_path) == [stale.staging, tmp_path / f"{stale.staging.name}.gone-0123456789ab"]
    assert snapshot(tmp_path) == kept
    assert collect(tmp_path) == []
    assert collect(tmp_path, 0) == [live.staging]
    told: list[Path] = []
    assert collect(tmp_path, 0, told.append) == []
    assert told == []
    with pytest.raises(ValueError, match="0 or more, got -1"):
        collect(tmp_path, -1)


def test_a_stage_inside_is_a_sign_of_life(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    write(open_staging(work), part(0))
    stage = work.staging / "stages" / "repeat" / "receipts"
    stage.mkdir(parents=True)
    age(work.staging, 30)
    age(work.staging / "stages", 30)
    (stage / "one.json").touch()
    told: list[Path] = []
    assert collect(tmp_path, 7, told.append) == []
    age(work.staging / "stages" / "repeat", 30)
    assert collect(tmp_path, 7, told.append) == told == [work.staging]
