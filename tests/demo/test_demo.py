"""The main job from end to end: what it prints, publishes and draws, and that the same plan does the same."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.dataset as ds
import pytest
import uproot

import dask_augment as da
from dask_augment import cli
from dask_augment.dataset.manifest import Manifest
from dask_augment.dataset.verify import verify
from dask_augment.demo import events, job
from dask_augment.demo.accounts import Stratum, by_stratum
from dask_augment.plan import Plan
from dask_augment.runs.result import Result

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

EVENTS = 1300


@dataclass(frozen=True)
class Done:
    """A demo that was run as a program."""

    folder: Path
    text: str
    errors: str
    code: int

    @property
    def manifest(self) -> Manifest:
        return Manifest.read(self.folder / "demo")

    @property
    def strata(self) -> tuple[Stratum, ...]:
        plan = Plan.read(self.folder / "demo.yaml")
        return by_stratum(plan, Result(self.folder / "demo", self.manifest, {}, already=True))

    def rows(self, *columns: str) -> ak.Array:
        table = ds.dataset(self.folder / "demo", partitioning="hive").to_table(columns=list(columns))
        return ak.Array({name: ak.drop_none(ak.from_arrow(table[name])) for name in columns})


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "dask_augment", "demo", "--events", str(EVENTS)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    return Done(folder, done.stdout, done.stderr, done.returncode)


def test_what_is_printed_and_left(demo: Done) -> None:
    assert (demo.code, demo.errors) == (0, "")
    assert sorted(os.listdir(demo.folder)) == ["demo", "demo-events", "demo.png", "demo.yaml"]
    assert "Reading 1,300 of the 6,500 generated events" in demo.text
    assert (demo.folder / "demo.yaml").read_text() in demo.text
    for step in ("jet_zoom", "fast_sim", "repeat", "phi_rotate", "undersample", "lbn"):
        assert re.search(rf"^ *{step} .*\d\.\d\d *$", demo.text, re.MULTILINE), step
    assert re.search(r"Time: +\d+\.\d s in all, [\d,]+ MB at most in a worker", demo.text)


def test_line_that_reads_it(demo: Done) -> None:
    """The line of Python that is printed reads the data set."""
    pandas = pytest.importorskip("pandas")
    (line,) = re.findall(r"^Read it: +(.*)$", demo.text, re.MULTILINE)
    frame = eval(line, {"pandas": pandas})
    assert len(frame) == demo.manifest.rows
    assert {"FatJet_zoom", "FastJet_pt", "lbn_m_0", "weight", "train_weight", "dataset"} <= set(frame.columns)


def test_same_plan_does_the_same(demo: Done, tmp_path: Path) -> None:
    """``dask-augment run demo.yaml`` finds its own data set; elsewhere it makes the same one."""
    assert da.run(demo.folder / "demo.yaml").already
    elsewhere = da.run(demo.folder / "demo.yaml", tmp_path / "out", chunksize=333)
    assert elsewhere.manifest.logical_hash == demo.manifest.logical_hash
    assert elsewhere.peak_bytes > 1e7


def test_data_set_is_whole(demo: Done) -> None:
    report = verify(demo.folder / "demo", deep=True)
    assert report.ok, report.faults


def test_rows_of_strata(demo: Done) -> None:
    """Counted in the files, they are what the manifest says; every stratum has the same number of training rows."""
    account, strata = demo.manifest.account, demo.strata
    assert sum(s.rows_in for s in strata) == account.rows_in == EVENTS
    assert sum(s.rows_out for s in strata) == account.rows_out
    assert all(0 <= s.dropped <= s.rows_in for s in strata)
    assert all(0 < s.made < s.rows_out for s in strata if s.rows_out)
    left = [s for s in strata if s.rows_out]
    assert {s.label for s in strata} - {s.label for s in left} == {"wz nan", "qcd nan"}
    assert len(left) == 8
    assert len({s.train_out for s in left}) == 1
    assert len({s.train_weight for s in left}) == 1
    for stratum in left:
        assert stratum.weight_out == pytest.approx(stratum.weight_in, rel=1e-12)
        assert re.search(rf"{re.escape(stratum.label)} +{stratum.rows_in} .* {stratum.train_out} ", demo.text)


def test_copies_are_turned_and_measured_anew(demo: Done) -> None:
    ids = ("dataset", "event", "augment_kind", "split")
    rows = demo.rows(*ids, "FatJet_phi", "Jet_phi", "MET_phi", "FastJet_pt", "weight")
    copies, originals = rows[rows["augment_kind"] == 1], rows[rows["augment_kind"] == 0]
    assert ak.all(copies["split"] == 0)
    assert ak.all(copies["weight"] == 0)
    place = {
        key: i for i, key in enumerate(zip(originals["dataset"].tolist(), originals["event"].tolist(), strict=True))
    }
    pairs = [
        (place[key], i)
        for i, key in enumerate(zip(copies["dataset"].tolist(), copies["event"].tolist(), strict=True))
        if key in place
    ]
    assert len(pairs) > 100
    first, second = originals[[a for a, _ in pairs]], copies[[b for _, b in pairs]]
    turned = np.exp(1j * (second["MET_phi"] - first["MET_phi"]).to_numpy())
    assert np.abs(turned.mean()) < 0.3
    for name in ("FatJet_phi", "Jet_phi"):
        angle = second[name] - first[name]
        events = np.repeat(np.arange(len(angle)), ak.num(angle).to_numpy())
        np.testing.assert_allclose(np.exp(1j * ak.flatten(angle).to_numpy()), turned[events], atol=1e-5)
    assert [a.tolist() != b.tolist() for a, b in zip(first["FastJet_pt"], second["FastJet_pt"], strict=True)].count(
        False
    ) < 5


def test_zoom_is_in_the_data(demo: Done) -> None:
    names = ("FatJet_pt", "FatJet_dr12", "FatJet_dr12_zoomed", "FatJet_trimmed_mass")
    rows = demo.rows("dataset", *names)
    jets = {name: ak.flatten(rows[rows["dataset"] == "wz"][name]).to_numpy() for name in names}
    w = (np.abs(jets["FatJet_trimmed_mass"] - 80.4) < 15) & (jets["FatJet_dr12"] > 0)
    low, high = w & (jets["FatJet_pt"] < 280), w & (jets["FatJet_pt"] > 400)
    assert np.median(jets["FatJet_dr12"][low]) > 1.4 * np.median(jets["FatJet_dr12"][high])
    assert np.median(jets["FatJet_dr12_zoomed"][low]) == pytest.approx(
        np.median(jets["FatJet_dr12_zoomed"][high]), rel=0.12
    )


def test_picture(demo: Done) -> None:
    data = (demo.folder / "demo.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1500 > height > 400
    assert len(data) > 40_000


def test_some_of_the_shipped_events(tmp_path: Path) -> None:
    fileset = events.fileset(650, tmp_path / "some")
    shipped = events.shipped()
    for name, entry in fileset.items():
        ((path, tree),) = entry["files"].items()
        with uproot.open(path) as file, uproot.open(shipped[name].path) as whole:
            part, everything = file[tree].arrays(), whole[tree].arrays()
        assert len(part) == len(everything) // 10
        assert set(part.fields) == set(everything.fields)
        chosen = everything[np.isin(everything["event"].to_numpy(), part["event"].to_numpy())]
        for column in part.fields:
            assert ak.array_equal(part[column], chosen[column]), column
        # Evenly spaced: the masses of W' follow one another in the file.
        assert np.ptp(np.diff(part["event"].to_numpy().astype(int))) <= 1
        assert entry["metadata"]["xsec"] == shipped[name].sumw / shipped[name].events
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "some").iterdir()}
    assert events.fileset(650, tmp_path / "some") == fileset
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "some").iterdir()} == before


def test_more_events_are_generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def generated(processes: Any, folder: Path, **how: Any) -> dict[str, Any]:
        asked.update(processes=processes, folder=folder, **how)
        return {"wz": {"files": {"a.root": "Events"}, "metadata": {"is_mc": True, "xsec": 2.0}}}

    monkeypatch.setattr(events, "generate", generated)
    plan = Plan.read(job.prepare(tmp_path / "out", 20_001))
    assert asked["processes"] == ("wz", "qcd")
    assert asked["folder"] == tmp_path / "out-events"
    assert asked["events"] == 10_001
    assert plan.inputs.fileset["wz"]["files"] == {"a.root": "Events"}
    assert "10,001 of each process are generated with Pythia 8" in events.source(20_001, tmp_path)
    assert events.source(6500, tmp_path) == events.source(None, tmp_path)


def test_more_events_without_pythia(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    monkeypatch.setattr(sys, "argv", ["dask-augment", "demo", "--events", "7000", "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    text = capsys.readouterr().err.replace("\n", " ")
    assert "error 6,500 events are shipped with the package, and events are generated with Pythia 8" in text
    assert 'pip install --only-binary=:all: "pythia8mc<8.318"' in text
    assert os.listdir(tmp_path) == []


def test_makefile_knows_how_many_are_shipped() -> None:
    """`make demo` installs Pythia 8 only for more events than these."""
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    assert f"SHIPPED := {sum(made.events for made in events.shipped().values())}\n" in text


def test_plan_of_all_that_is_shipped(tmp_path: Path) -> None:
    path = job.prepare(tmp_path / "a folder" / "out")
    plan = Plan.read(path)
    assert path == tmp_path / "a folder" / "out.yaml"
    assert plan.output.path == str(tmp_path / "a folder" / "out")
    assert [Path(file).name for entry in plan.inputs.fileset.values() for file in entry["files"]] == [
        "wz.root",
        "qcd.root",
    ]
    assert "# Trim the large jets" in path.read_text()
