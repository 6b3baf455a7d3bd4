"""The main job from end to end: what it prints, publishes and draws, and that the same plan does the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.dataset as ds
import pytest
import uproot

import dask_augment as da
from dask_augment.cli import commands
from dask_augment.dataset.manifest import Manifest
from dask_augment.dataset.verify import verify
from dask_augment.demo import events, job
from dask_augment.demo.accounts import Stratum, by_stratum
from dask_augment.demo.report import again
from dask_augment.generator import generate as generation
from dask_augment.generator.jobs import Job
from dask_augment.plans.plan import Plan
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
    assert "The first run compiles kernels: steps are slower then." in demo.text
    lines = demo.text.splitlines()
    assert lines.count("learning undersample ...") == 1
    tables = next(i for i, line in enumerate(lines) if line.startswith("Rows and sums"))
    assert (
        lines.index("learning undersample ...")
        < lines.index("augmenting ...", lines.index("learning undersample ..."))
        < tables
    )


def test_times_add_up(demo: Done) -> None:
    found = re.search(r"Time: +(\d+\.\d) s in all, [\d,]+ MB at most in a worker\n +(.*)\n", demo.text)
    assert found is not None
    phases = dict(re.findall(r"([a-z ]+?) (\d+\.\d) s", found[2]))
    assert {"starting workers and opening files", "counting and drawing"} <= {name.strip() for name in phases}
    assert sum(map(float, phases.values())) == pytest.approx(float(found[1]))


def test_line_that_reads_it(demo: Done) -> None:
    """The line of Python that is printed reads the data set."""
    pandas = pytest.importorskip("pandas")
    (line,) = re.findall(r"^Read it: +(.*)$", demo.text, re.MULTILINE)
    frame = eval(line, {"pandas": pandas})
    assert len(frame) == demo.manifest.rows
    assert {"FatJet_zoom", "FastJet_pt", "lbn_m_0", "weight", "train_weight", "dataset"} <= set(frame.columns)


def test_same_plan_does_the_same(
    demo: Done, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``dask-augment run demo.yaml`` finds its own data set; the command that is printed makes the same one elsewhere."""
    assert da.run(demo.folder / "demo.yaml").already
    (printed,) = re.findall(r"^Again: +dask-augment (.*)$", demo.text, re.MULTILINE)
    command = shlex.split(printed)
    folder = Path(command[-1])
    assert folder.parent == demo.folder
    assert not folder.exists()
    monkeypatch.setattr(
        sys, "argv", ["dask-augment", *command, "--json", "--where", "synchronous", "--chunksize", "333"]
    )
    with pytest.raises(SystemExit) as end:
        commands.main()
    assert end.value.code == 0
    elsewhere = json.loads(capsys.readouterr().out)
    shutil.rmtree(folder)
    assert not elsewhere["already"]
    assert elsewhere["path"] == str(folder)
    assert elsewhere["logical_hash"] == demo.manifest.logical_hash.hex()
    assert elsewhere["peak_bytes"] > 1e7


def test_command_goes_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "a b-again").mkdir()
    command = again(tmp_path / "a b.yaml", tmp_path / "a b")
    assert shlex.split(command)[-2:] == ["--output", str(tmp_path / "a b-again2")]


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("case", ["folder", "file", "damaged", "other steps", "other data sets", "plan", "picture"])
def test_what_is_not_of_a_demo_is_left_alone(
    case: str, demo: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    blamed = {"plan": tmp_path / "out.yaml", "picture": tmp_path / "out.png"}.get(case, output)
    if case in ("file", "plan", "picture"):
        blamed.write_text("seed: 1\n")
    elif case == "folder":
        output.mkdir()
        (output / "thesis.txt").write_text("mine")
    else:
        publish_other(output, demo.manifest, case)
    before = contents(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dask-augment", "demo", "--events", "200", "--output", str(output)])
    with pytest.raises(SystemExit) as end:
        commands.main()
    assert end.value.code == 1
    text = capsys.readouterr().err
    assert text.startswith(f"error {blamed}")
    assert "take another --output" in text
    assert contents(tmp_path) == before


def publish_other(output: Path, manifest: Manifest, case: str) -> None:
    """A manifest of what is not a demo's."""
    plan = dict(manifest.plan)
    if case == "other steps":
        plan["steps"] = plan["steps"][:-1]
    else:
        plan["inputs"] = plan["inputs"] | {"fileset": {"tt": {"files": {"a.root": "Events"}}}}
    lines = b"".join(replace(manifest, plan=plan).lines([]))
    output.mkdir()
    (output / "_manifest.json").write_bytes(lines[:-9] if case == "damaged" else lines)
    if case != "damaged":
        assert Manifest.read(output).plan == plan


def test_what_is_of_a_demo_is_taken(demo: Done, tmp_path: Path) -> None:
    """Its data set, plan and picture; also of other events, as an earlier demo may have read."""
    job.refuse_foreign(demo.folder / "demo")
    assert job.prepare(tmp_path / "out", 200) == job.prepare(tmp_path / "out", 300)


def test_key_that_stops_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "run", interrupted)
    monkeypatch.setattr(sys, "argv", ["dask-augment", "demo", "--events", "200", "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        commands.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "stopped; what is done is kept: run the same command to go on\n"


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
    assert {s.label for s in strata} - {s.label for s in left} == {"wz no large jet", "qcd no large jet"}
    assert len(left) == 8
    assert len({s.train_out for s in left}) == 1
    assert len({s.train_weight for s in left}) == 1
    for stratum in left:
        assert stratum.weight_out == pytest.approx(stratum.weight_in, rel=1e-12)
        assert re.search(rf"{re.escape(stratum.label)} +{stratum.rows_in} .* {stratum.train_out} ", demo.text)
    numbers = [
        sum(getattr(s, name) for s in strata) for name in ("rows_in", "dropped", "made", "rows_out", "train_out")
    ]
    assert re.search("^total +" + " +".join(f"{number:,}" for number in numbers) + " ", demo.text, re.MULTILINE)
    assert max(len(line) for line in demo.text.splitlines() if line.startswith(("qcd ", "wz ", "total "))) <= 80


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
        commands.main()
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


def test_generation_says_how_long(tmp_path: Path) -> None:
    """Of the files that are not there yet, on so many workers as have a file to make."""
    jobs = [Job(process="qcd", number=number, events=800, seed=1) for number in range(4)]
    assert generation.announced(jobs, tmp_path, 2) == "generating 3,200 events (about 20 s)"
    (tmp_path / jobs[0].name).touch()
    assert generation.announced(jobs, tmp_path, 8) == "generating 2,400 events (about 10 s)"
    for each in jobs:
        (tmp_path / each.name).touch()
    assert generation.announced(jobs, tmp_path, 2) == "looking at the events that are there"
