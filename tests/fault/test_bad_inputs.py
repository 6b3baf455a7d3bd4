"""Input files that are missing, cut off or not ROOT at all: never skipped in silence, listed where they may be bad."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import uproot

import dask_augment as da
import whole_toys
from dask_augment.dataset.layout import QUARANTINE
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.verify import verify
from dask_augment.runs.run import run

STEPS = (da.Split(train=0.7), da.Repeat(n=1))
EVENTS = 400


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_toys.fileset(tmp_path_factory.mktemp("inputs"), EVENTS)


@pytest.fixture
def inputs(samples: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Two good files and, as the second of the background, one that the test spoils."""
    kept = [*list(samples["signal"]["files"])[:1], *list(samples["background"]["files"])[:2]]
    paths = [shutil.copy(path, tmp_path) for path in kept]
    return {
        "signal": {"files": paths[:1], "metadata": {"xsec": 1.0}},
        "background": {"files": paths[1:], "metadata": {"xsec": 200.0}},
    }


def spoilt(inputs: dict[str, Any]) -> Path:
    return Path(inputs["background"]["files"][1])


def rows_in(path: str) -> int:
    with uproot.open(path) as file:
        return int(file["Events"].num_entries)


def check_quarantine(inputs: dict[str, Any], tmp_path: Path, lost: int | None) -> None:
    """By default the run fails and says which file; where one may be bad, it is listed with what is lost."""
    plan = whole_toys.plan(inputs, STEPS)
    bad = spoilt(inputs)
    with pytest.raises(RunFailed, match=r"1 input file cannot be read \(none may be: max_bad_files\)") as caught:
        run(plan, tmp_path / "out", chunksize=20)
    assert str(bad) in str(caught.value)
    assert not (tmp_path / "out").exists()

    result = run(plan, tmp_path / "lossy", chunksize=20, max_bad_files=1)
    (listed,) = result.manifest.quarantined
    assert (listed.part.input["file"], listed.entries) == (str(bad), lost)
    assert [entry["entries"] for entry in json.loads((tmp_path / "lossy" / QUARANTINE).read_text())] == [lost]
    good = [inputs["signal"]["files"][0], inputs["background"]["files"][0]]
    assert result.manifest.account.rows_in == sum(map(rows_in, good)), "every event of the others, and no other"
    normalisation = result.manifest.extra["normalisation"]["background"]
    with uproot.open(good[1]) as file:
        assert normalisation["sumw"] == math.fsum(file["Runs/genEventSumw"].array())
    assert result.manifest.account.weights_in["weight"][0] == pytest.approx(201.0, rel=1e-9), "xsec, as with all files"
    assert verify(tmp_path / "lossy", deep=True).ok
    assert whole_toys.nothing_left(tmp_path / "lossy")


def test_missing(inputs: dict[str, Any], tmp_path: Path) -> None:
    spoilt(inputs).unlink()
    check_quarantine(inputs, tmp_path, None)


@pytest.mark.parametrize(
    "content", [b"", b"root", b"junk" * 1000, bytes(5000)], ids=["empty", "short", "junk", "zeros"]
)
def test_not_root(inputs: dict[str, Any], tmp_path: Path, content: bytes) -> None:
    spoilt(inputs).write_bytes(content)
    check_quarantine(inputs, tmp_path, None)


def test_a_basket_that_rotted(inputs: dict[str, Any], tmp_path: Path) -> None:
    """The file opens well; what is lost is the whole file, not only the part whose basket cannot be read."""
    bad = spoilt(inputs)
    entries = rows_in(str(bad))
    with uproot.open(bad) as file:
        key = file["Events/luminosityBlock"].basket_key(0)
        first, length = key.fSeekKey + key.fKeylen, key.fNbytes - key.fKeylen
    data = bytearray(bad.read_bytes())
    data[first : first + length] = bytes(length)
    bad.write_bytes(data)
    check_quarantine(inputs, tmp_path, entries)


def test_cut_off_at_twenty_places(inputs: dict[str, Any], tmp_path: Path) -> None:
    """Every cut is listed, or all events could be read nevertheless; none is skipped in silence."""
    bad = spoilt(inputs)
    whole = bad.read_bytes()
    everything = EVENTS // 20 + 2 * EVENTS // 5
    listed = 0
    plan = whole_toys.plan(inputs, STEPS)
    for number in range(20):
        bad.write_bytes(whole[: len(whole) * (number + 1) // 21 if number < 17 else len(whole) - 4 ** (20 - number)])
        out = tmp_path / f"out{number}"
        result = run(plan, out, max_bad_files=1)
        lost = [entry.part.input["file"] for entry in result.manifest.quarantined]
        assert result.manifest.account.rows_in + (EVENTS // 5 if lost else 0) == everything
        assert lost in ([], [str(bad)])
        listed += len(lost)
        if lost:
            with pytest.raises(RunFailed, match="cannot be read"):
                run(plan, tmp_path / "never", max_bad_files=0)
    assert not (tmp_path / "never").exists()
    assert listed >= 17


def test_more_bad_files_than_allowed(inputs: dict[str, Any], tmp_path: Path) -> None:
    for path in inputs["background"]["files"]:
        Path(path).write_bytes(b"junk")
    with pytest.raises(RunFailed, match=r"2 input files cannot be read \(1 may be"):
        run(whole_toys.plan(inputs, STEPS), tmp_path / "out", max_bad_files=1)
    assert list(tmp_path.glob("*out*")) == []
