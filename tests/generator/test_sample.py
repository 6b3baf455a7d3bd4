"""The events that are shipped: the physics of the generator, the layout of NanoAOD, and sums that add up."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from numpy.typing import NDArray

import dask_augment
from dask_augment.generator.particles import momenta

DATA = Path(dask_augment.__file__).parent / "data"
PROCESSES = ("wz", "qcd")
M_W = 80.4


@cache
def events(process: str) -> ak.Array:
    with uproot.open(DATA / f"{process}.root") as file:
        return file["Events"].arrays()


def p4(rows: ak.Array, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Four-momenta of all objects of a collection, and the event of each."""
    counts = ak.num(rows[f"{name}_pt"]).to_numpy()
    columns = [ak.flatten(rows[f"{name}_{field}"]).to_numpy().astype(float) for field in ("pt", "eta", "phi", "mass")]
    return momenta(*columns), np.repeat(np.arange(len(rows)), counts)


def test_size() -> None:
    assert sum((DATA / f"{process}.root").stat().st_size for process in PROCESSES) < 4_000_000
    assert {process: len(events(process)) for process in PROCESSES} == {"wz": 3000, "qcd": 3500}


@pytest.mark.parametrize("process", PROCESSES)
def test_sums_of_weights(process: str) -> None:
    with uproot.open(DATA / f"{process}.root") as file:
        runs = file["Runs"].arrays(library="np")
    weights = events(process)["genWeight"].to_numpy().astype(np.float64)
    assert runs["genEventSumw"].tolist() == [weights.sum()]
    assert runs["genEventCount"].tolist() == [len(weights)]
    assert weights.min() > 0
    # Cross-sections [pb], as orders of magnitude: QCD above 170 GeV is 1e5 pb, and seven W' a few.
    assert {"wz": 2.7, "qcd": 1.26e5}[process] == pytest.approx(weights.mean(), rel=0.05)


@pytest.mark.parametrize("process", PROCESSES)
def test_ids_and_indices(process: str) -> None:
    rows = events(process)
    ids = set(zip(*(rows[name].tolist() for name in ("run", "luminosityBlock", "event")), strict=True))
    assert len(ids) == len(rows)
    for index, target, least in (
        ("Jet_genJetIdx", "GenJet", 0.93),
        ("FatJet_genJetAK8Idx", "GenJetAK8", 0.95),
        ("GenPart_genPartIdxMother", "GenPart", 0.0),
        ("FatJetPFCand_jetIdx", "FatJet", 1.0),
        ("FatJetPFCand_pfCandIdx", "PFCand", 1.0),
    ):
        values = rows[index]
        assert ak.all(values < ak.num(rows[f"{target}_pt"]))
        assert ak.min(values) >= -1
        assert ak.mean(values >= 0) >= least, index
    # A generated jet has one jet at most.
    for index in ("Jet_genJetIdx", "FatJet_genJetAK8Idx"):
        ordered = ak.sort(rows[index][rows[index] >= 0])
        assert ak.all(ordered[:, 1:] != ordered[:, :-1])


def test_thresholds_and_order() -> None:
    for process in PROCESSES:
        rows = events(process)
        for name, least in (("GenJet", 10), ("Jet", 15), ("GenJetAK8", 100), ("FatJet", 170)):
            pt = rows[f"{name}_pt"]
            assert ak.min(pt) >= least
            assert ak.all(pt[:, 1:] <= pt[:, :-1])


@pytest.mark.parametrize("process", PROCESSES)
def test_constituents_are_the_jet(process: str) -> None:
    rows = events(process)
    candidates, _ = p4(rows, "PFCand")
    before = np.concatenate([[0], np.cumsum(ak.num(rows["PFCand_pt"]).to_numpy())])[:-1]
    links = ak.num(rows["FatJetPFCand_jetIdx"]).to_numpy()
    place = np.repeat(before, links) + ak.flatten(rows["FatJetPFCand_pfCandIdx"]).to_numpy()
    jets, event = p4(rows, "FatJet")
    first = np.concatenate([[0], np.cumsum(ak.num(rows["FatJet_pt"]).to_numpy())])[:-1]
    jet = np.repeat(first, links) + ak.flatten(rows["FatJetPFCand_jetIdx"]).to_numpy()
    total = np.stack([np.bincount(jet, candidates[place, i], len(jets)) for i in range(4)], axis=1)
    # As exactly as ten bits of a mantissa tell.
    assert np.abs(total - jets).max(axis=1).max() < 0.002 * jets[:, 3].max()
    assert np.quantile(np.abs(total[:, 3] / jets[:, 3] - 1), 0.99) < 1e-3
    assert set(np.abs(ak.flatten(rows["PFCand_pdgId"])).tolist()) <= {11, 13, 22, 130, 211}
    assert len(event) == len(jets)


def test_mass_of_the_w() -> None:
    rows = events("wz")
    mass = ak.flatten(rows["FatJet_mass"][:, :1]).to_numpy()
    counts, edges = np.histogram(mass, np.arange(40, 141, 5))
    peak = counts.argmax()
    assert edges[peak] <= M_W + 5
    assert edges[peak + 1] >= M_W - 2
    assert np.mean(np.abs(mass - M_W) < 15) > 0.5
    other = ak.flatten(events("qcd")["FatJet_mass"][:, :1]).to_numpy()
    assert np.mean(np.abs(other - M_W) < 15) < 0.2
    # The generated decay: two quarks are the boson that they come from, but where it radiated a photon before.
    quarks, event = p4(rows, "GenPart")
    pdg = ak.flatten(rows["GenPart_pdgId"]).to_numpy()
    is_quark = np.abs(pdg) <= 5
    pair = np.stack([np.bincount(event[is_quark], quarks[is_quark, i], len(rows)) for i in range(4)], axis=1)
    w = np.abs(pdg) == 24
    assert w.sum() == len(rows)
    close = np.all(np.abs(pair - quarks[w]) < 0.005 * quarks[w, 3:], axis=1)
    assert close.mean() > 0.95


def test_spectra_are_flat() -> None:
    """As many events from 200 to 350 GeV as from 350 to 500, to a factor of 1.5."""
    rows = events("wz")
    w = np.abs(rows["GenPart_pdgId"]) == 24
    for pt in (ak.flatten(rows["GenPart_pt"][w]), ak.flatten(events("qcd")["FatJet_pt"][:, :1])):
        low, high = np.histogram(pt.to_numpy(), [200, 350, 500])[0]
        assert 1 / 1.5 < low / high < 1.5
        assert low + high > 1500


@pytest.mark.parametrize("process", PROCESSES)
def test_response(process: str) -> None:
    rows = events(process)
    index = rows["Jet_genJetIdx"]
    generated = ak.flatten(rows["GenJet_pt"][index[index >= 0]]).to_numpy()
    response = ak.flatten(rows["Jet_pt"][index >= 0]).to_numpy() / generated
    widths = []
    for low, high in ((30, 60), (60, 120), (120, 250), (250, 600)):
        low_side, median, high_side = np.quantile(response[(generated > low) & (generated < high)], [0.16, 0.5, 0.84])
        assert median == pytest.approx(1.0, abs=0.03)
        widths.append((high_side - low_side) / 2)
    # It becomes better with pT, as calorimeters do.
    assert widths == sorted(widths, reverse=True)
    assert 0.05 < widths[0] < 0.12
    assert 0.015 < widths[-1] < 0.035


def test_missing_momentum_is_that_of_the_neutrinos() -> None:
    rows = events("wz")
    assert ak.all(ak.num(events("qcd")["Electron_pt"]) + ak.num(events("qcd")["Muon_pt"]) <= 1)
    leptons = ak.num(rows["Electron_pt"]) + ak.num(rows["Muon_pt"])
    assert 0.10 < ak.mean(leptons == 2) < 0.25  # 3.4 % x 2 of 26.8 % of Z decays, and both must be found
    invisible = (rows["GenMET_pt"] > 150).to_numpy()
    difference = np.hypot(
        rows["MET_pt"] * np.cos(rows["MET_phi"]) - rows["GenMET_pt"] * np.cos(rows["GenMET_phi"]),
        rows["MET_pt"] * np.sin(rows["MET_phi"]) - rows["GenMET_pt"] * np.sin(rows["GenMET_phi"]),
    )
    assert invisible.mean() > 0.5
    assert np.median(difference[invisible]) < 20


def test_masses_of_z() -> None:
    rows = events("wz")
    found = []
    for name in ("Electron", "Muon"):
        vectors, event = p4(rows, name)
        charge = ak.flatten(rows[f"{name}_charge"]).to_numpy()
        both = np.bincount(event, minlength=len(rows)) == 2
        assert np.all(np.bincount(event, charge, len(rows))[both] == 0)
        pair = np.stack([np.bincount(event, vectors[:, i], len(rows)) for i in range(4)], axis=1)[both]
        found.append(np.sqrt(np.maximum(pair[:, 3] ** 2 - (pair[:, :3] ** 2).sum(axis=1), 0)))
    for mass in found:
        assert np.median(mass) == pytest.approx(91.0, abs=1.5)


def test_nanoaod_schema() -> None:
    nanoevents = pytest.importorskip("coffea.nanoevents")
    rows = nanoevents.NanoEventsFactory.from_root(
        {str(DATA / "wz.root"): "Events"}, schemaclass=nanoevents.NanoAODSchema
    ).events()
    gap = rows.Jet.delta_r(rows.Jet.matched_gen)
    assert ak.max(gap) < 0.21
    assert ak.sum(rows.GenPart.parent.pdgId == 23, axis=None) == 2 * 3000
