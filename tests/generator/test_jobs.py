"""Jobs with Pythia: the same events for the same job, balanced momenta, weights that are cross-sections."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import awkward as ak
import numpy as np
import pytest
import uproot

import dask_augment as da
from dask_augment.dataset.publication import RunFailed
from dask_augment.generator import jobs as jobs_module
from dask_augment.generator import nanoaod
from dask_augment.generator.detector import Detector
from dask_augment.generator.jets import anti_kt
from dask_augment.generator.jobs import Job, Made
from dask_augment.generator.particles import pt_eta_phi_mass
from dask_augment.generator.processes import PROCESSES

HERE: dict[str, Any] = {"where": "synchronous"}


@pytest.fixture(scope="module")
def pythia() -> Any:
    from dask_augment.generator import pythia

    pytest.importorskip("pythia8mc")
    return pythia


@pytest.fixture
def needs_pythia(pythia: Any) -> None:
    """The test makes events."""


def arrays(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file["Events"].arrays()


def digest(path: Path) -> str:
    rows = arrays(path)
    return json.dumps({name: rows[name].tolist() for name in sorted(rows.fields)})


@pytest.mark.slow
def test_momenta_balance(pythia: Any) -> None:
    """All particles of an event have the momentum of the beams, and their number depends on the seed alone."""
    for process in PROCESSES.values():
        (made,) = pythia.Generator(process.slices[0], 3).events(10)
        event = made.final.event
        total = np.stack([np.bincount(event, made.final.p4[:, i], 10) for i in range(4)], axis=1)
        np.testing.assert_allclose(total, [[0, 0, 0, 13_000]] * 10, atol=0.01)
        np.testing.assert_allclose(np.bincount(event, made.final.charge, 10), 2.0)
        (again,) = pythia.Generator(process.slices[0], 3).events(10)
        np.testing.assert_array_equal(made.final.p4, again.final.p4)
        (other,) = pythia.Generator(process.slices[0], 4).events(10)
        assert not np.array_equal(made.final.offsets, other.final.offsets)


def test_resolution_of_jets_is_that_of_their_particles(pythia: Any) -> None:
    """The width of the response of hard jets is the quadratic sum of the documented widths of their particles."""
    detector = Detector()
    pulls = []
    for number, made in enumerate(pythia.Generator(PROCESSES["qcd"].slices[0], 11).events(80)):
        visible = detector.visible(made.final)
        jets = anti_kt(visible, 0.4, 100.0)
        candidates, _ = detector.measure(visible, np.random.default_rng(number))
        measured = anti_kt(candidates, 0.4, 80.0)
        pt, *_ = pt_eta_phi_mass(visible.p4)
        hadron_width = pt * np.sqrt(1.5**2 / visible.p4[:, 3] + 0.05**2)
        track, tracked = pt * np.hypot(0.01, 1.5e-4 * pt), np.where(pt > 1, 0.95, 0.70)
        photon = pt * np.sqrt((0.40 / visible.p4[:, 3]) ** 2 + 0.11**2 / visible.p4[:, 3] + 0.008**2)
        charged = tracked * track**2 + (1 - tracked) * hadron_width**2
        variance = np.where(visible.charge != 0, charged, np.where(visible.pdg == 22, photon, hadron_width) ** 2)
        number_of = jets.offsets[visible.event] + jets.jet_of
        inside = jets.jet_of >= 0
        width = np.sqrt(np.bincount(number_of[inside], variance[inside], len(jets.p4)))
        jet_pt, jet_eta, jet_phi, _ = pt_eta_phi_mass(jets.p4)
        found_pt, found_eta, found_phi, _ = pt_eta_phi_mass(measured.p4)
        for event in range(made.final.events):
            mine = slice(*measured.offsets[event : event + 2])
            for j in range(*jets.offsets[event : event + 2]):
                gap = np.hypot(found_eta[mine] - jet_eta[j], np.angle(np.exp(1j * (found_phi[mine] - jet_phi[j]))))
                if abs(jet_eta[j]) < 1.1 and len(gap) and gap.min() < 0.1:
                    pulls.append((found_pt[mine][gap.argmin()] - jet_pt[j]) / width[j])
    assert len(pulls) > 80
    low, middle, high = np.quantile(pulls, [0.16, 0.5, 0.84])
    assert 0.7 < (high - low) / 2 < 1.4
    assert abs(middle) < 0.5


@pytest.mark.usefixtures("needs_pythia")
def test_events_of_another_detector_have_numbers_of_their_own() -> None:
    """By which the shipped model of jets knows that it was not made for them."""
    sample = da.FastSim().about.sample
    assert sample is not None
    for detector, mine in ((Detector(), True), (Detector(hcal_threshold=2.0), False)):
        columns = Job(process="qcd", number=2, events=8, seed=1, detector=detector).columns()
        ids = {name: np.asarray(columns[name]).astype(np.uint64) for name in ("run", "luminosityBlock", "event")}
        assert ids["luminosityBlock"].tolist() == [3] * 8
        assert len(set(ids["event"].tolist())) == 8
        assert sample.known("GenJet", ids, 8).tolist() == [mine] * 8


@pytest.mark.usefixtures("needs_pythia")
def test_same_job_same_events(tmp_path: Path) -> None:
    def made(where: str, **changed: Any) -> tuple[str, Made]:
        folder = tmp_path / where
        folder.mkdir()
        found = Job(**{"process": "qcd", "number": 2, "events": 12, "seed": 5} | changed).write(folder)
        return digest(found.path), found

    first, file = made("a")
    again, same = made("b")
    assert (first, file.uuid) == (again, same.uuid)
    for where, changed in {
        "seed": {"seed": 6}, "number": {"number": 3}, "detector": {"detector": Detector(ecal_angle=0.01)},
    }.items():  # fmt: skip
        other, file_of_other = made(where, **changed)
        assert other != first
        assert file_of_other.uuid != file.uuid
    rows = arrays(file.path)
    assert rows["luminosityBlock"].tolist() == [3] * 12
    assert rows["event"].tolist() == list(range(3_000_000, 3_000_012))
    assert file.path.name == "qcd_0002.root"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["qcd_0002.root"]


@pytest.mark.usefixtures("needs_pythia")
def test_files_are_made_once_and_a_broken_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(process="qcd", number=0, events=5, seed=1)
    made = job.write(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Job, "columns", lambda _: pytest.fail("made again"))
        assert job.write(tmp_path) == made
    made.path.write_bytes(made.path.read_bytes()[:2000])
    assert Made.of(made.path) is None
    assert job.write(tmp_path) == made


def shipped(name: str) -> Path:
    return Path(da.__file__).parent / "data" / name


@pytest.mark.parametrize("kept", [0, 1, 300, 0.2, 0.999])
def test_damaged_files_are_none_of_ours(tmp_path: Path, kept: float) -> None:
    """Cut off, or of its full size with nothing written behind some point, as a crash leaves files."""
    whole = shipped("wz.root").read_bytes()
    count = int(kept * len(whole)) if 0 < kept < 1 else int(kept)
    path = tmp_path / "wz.root"
    for content in (whole[:count], whole[:count].ljust(len(whole), b"\0")):
        path.write_bytes(content)
        assert Made.of(path) is None
    path.write_bytes(whole)
    assert Made.of(path) is not None


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.root"
    columns = {"genWeight": np.ones(3, np.float32), "Jet": ak.zip({"pt": ak.Array([[1.0], [], [2.0, 3.0]])})}
    nanoaod.write(path, columns, uuid=UUID(int=5))
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uproot.WritableTree, "extend", full)
    for target in (path, tmp_path / "b.root"):
        with pytest.raises(OSError, match="No space left"):
            nanoaod.write(target, columns, uuid=UUID(int=6))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.root"]


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pythia")
def test_weights_are_cross_sections() -> None:
    """Each slice has the weight of its cross-section: heavier W' are rarer, and the mean over all is their sum."""
    rows = Job(process="wz", number=0, events=21, seed=1).columns()
    weights = rows["genWeight"].reshape(7, 3)
    assert np.all(weights == weights[:, :1])
    # Estimates from three events each are rough.
    assert weights[0, 0] > 8 * weights[-1, 0] > 0
    assert 1 < weights.mean() < 6


@pytest.mark.usefixtures("needs_pythia")
def test_fileset_is_that_of_a_plan(tmp_path: Path) -> None:
    fileset = da.generate(["qcd"], tmp_path / "events", events=16, per_file=8, seed=3, **HERE)
    assert json.loads((tmp_path / "events" / "fileset.json").read_text()) == fileset
    assert [len(entry["files"]) for entry in fileset.values()] == [2]
    plan = da.Plan(
        inputs={"fileset": str(tmp_path / "events" / "fileset.json"), "lumi": 10.0},
        steps=[da.Define(HT="sum(Jet.pt)")],
        seed=1,
    )
    result = da.run(plan, tmp_path / "out")
    for name, account in result.manifest.datasets.items():
        assert account.rows_in == 16
        # Physics weights sum to cross-section times luminosity.
        assert account.weights_out["weight"][0] == pytest.approx(10.0 * fileset[name]["metadata"]["xsec"])


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pythia")
def test_more_events_leave_the_files_there_are(tmp_path: Path) -> None:
    da.generate("qcd", tmp_path, events=13, per_file=5, **HERE)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.root")}
    assert [len(arrays(tmp_path / name)) for name in sorted(before)] == [5, 8]
    da.generate("qcd", tmp_path, events=17, per_file=5, **HERE)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.root")}
    assert [name for name in before if after[name] == before[name]] == ["qcd_0000.root"]
    assert len(after) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pythia")
def test_same_events_on_workers(tmp_path: Path, client: Any) -> None:
    da.generate("qcd", tmp_path / "here", events=12, per_file=6, **HERE)
    da.generate("qcd", tmp_path / "there", events=12, per_file=6, where=client)
    for name in ("qcd_0000.root", "qcd_0001.root"):
        assert digest(tmp_path / "here" / name) == digest(tmp_path / "there" / name)


@pytest.mark.usefixtures("needs_pythia")
def test_failure_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Job) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs_module.Job, "columns", fails)
    with pytest.raises(RunFailed, match=r"making 'qcd_0000.root' failed: OSError: .*No space left"):
        da.generate("qcd", tmp_path, events=5, **HERE)
    assert list(tmp_path.iterdir()) == []


def test_without_pythia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(ImportError, match=r'not installed: pip install --only-binary=:all: "pythia8mc<8.318"'):
        da.generate("qcd", tmp_path / "events", events=100, **HERE)
    assert not (tmp_path / "events").exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"processes": "ttbar"}, r"no process is named 'ttbar'; there are wz \(W'"),
        ({"processes": []}, "processes must name one process at least"),
        ({"processes": "wz", "events": 6}, r"a file of 'wz' has 7 to 1,000,000 events, got 6"),
        ({"per_file": 0}, "per_file must be a positive number of events, got 0"),
    ],
)
@pytest.mark.usefixtures("needs_pythia")
def test_what_cannot_be_generated(given: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        da.generate(**{"processes": "qcd", "events": 10, "output": tmp_path} | given)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_pythia_does_not_know(pythia: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="Pythia does not know the setting 'HardQCD:some = on'"):
        pythia.Generator(("Print:quiet = on", "HardQCD:some = on"), 1)
