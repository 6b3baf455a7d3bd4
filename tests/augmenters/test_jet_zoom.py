from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.augmenters.jet_zoom import ZoomStatus
from dask_augment.events import columns as cols
from dask_augment.inputs.section import PlanError
from dask_augment.laws.sample import flattened
from dask_augment.plans.steps import step_from, step_to
from jet_toys import counted_jets, four_momenta, in_nano, jets_of, toy_jets

FIELDS = ("zoom", "n_subjets", "dr12", "dr12_zoomed", "trimmed_mass", "trimmed_pt", "zoom_status")


def zoomed(events: Any, **options: Any) -> Any:
    return da.augment(events, da.JetZoom(**options))


def of_jet(events: Any, **options: Any) -> tuple[Any, Any]:
    """Fields of the one jet of one event, and its zoomed constituents (n, 3): x, y, pt."""
    out = zoomed(events, **options)
    jet = {name: out.FatJet[name][0, 0] for name in FIELDS}
    return jet, np.stack([out.FatJetZoomed[name][0].to_numpy() for name in ("x", "y", "pt")], axis=1)


def status(events: Any, **options: Any) -> ZoomStatus:
    return ZoomStatus(int(zoomed(events, **options).FatJet.zoom_status[0, 0]))


def rounded(events: Any) -> Any:
    """In float32, as files have them."""
    return ak.with_field(ak.values_astype(events, "float32"), events.FatJetPFCand, "FatJetPFCand")


# The formula ---------------------------------------------------------------------------------------------------------


@given(st.floats(200, 2000), st.floats(0.1, 0.9), st.floats(0.01, 0.04), st.floats(-np.pi, np.pi), st.floats(0, 6.28))
@settings(max_examples=50)
def test_two_prongs(pt: float, x: float, distance: float, phi: float, turn: float) -> None:
    """Two massless prongs with momentum shares x and 1 - x are R / (2 sqrt(x (1 - x))) apart, at any pT."""
    other = (pt * (1 - x), 0.3 + distance * np.cos(turn), phi + distance * np.sin(turn))
    events = jets_of([(pt * x, 0.3, phi), other])
    expected = 0.8 / (2 * np.sqrt(x * (1 - x)))
    mass = distance * pt * np.sqrt(x * (1 - x))
    for options in ({"reference": "jet"}, {"mass": mass}):
        jet, _ = of_jet(events, **options, r_sub=0.001, z_max=1e4)
        assert jet["n_subjets"] == 2
        assert jet["dr12_zoomed"] == pytest.approx(expected, rel=1e-3)
        assert jet["dr12"] == pytest.approx(distance, rel=1e-5)
        assert jet["zoom"] == pytest.approx(0.8 * pt / (2 * mass), rel=1e-3)
        assert jet["trimmed_mass"] == pytest.approx(mass, rel=1e-3)


def test_bounds_of_the_zoom() -> None:
    events = jets_of([(150.0, 0.0, 0.0), (50.0, 0.5, 0.0)])
    for mass, zoom, bit in ((100.0, 1.0, ZoomStatus.AT_MINIMUM), (1.0, 10.0, ZoomStatus.AT_MAXIMUM), (40.0, 2.0, 0)):
        jet, _ = of_jet(events, mass=mass)
        assert (jet["zoom"], jet["zoom_status"]) == (pytest.approx(zoom, rel=1e-2), bit)
    assert zoomed(events, mass=100.0, z_min=0.1).FatJet.zoom[0, 0] == pytest.approx(0.8)


def test_references() -> None:
    events = jets_of([(150.0, 0.0, 0.0), (50.0, 0.5, 0.0), (5.0, -0.5, 0.0)])
    pt, trimmed_pt, trimmed_mass = 205.0, 200.0, np.sqrt(2 * 150 * 50 * (np.cosh(0.5) - 1))
    jet, _ = of_jet(events, reference="column", column="mass", z_min=0.01)
    assert jet["zoom"] == pytest.approx(0.8 * pt / (2 * 100.0), rel=1e-6)
    jet, _ = of_jet(events, reference="jet")
    assert jet["trimmed_mass"] == pytest.approx(trimmed_mass, rel=1e-6)
    assert jet["trimmed_pt"] == pytest.approx(trimmed_pt, rel=1e-6)
    assert jet["zoom"] == pytest.approx(0.8 * trimmed_pt / (2 * trimmed_mass), rel=1e-6)
    jet, _ = of_jet(events, mass=60.0, radius=1.0)
    assert jet["zoom"] == pytest.approx(1.0 * pt / (2 * 60.0), rel=1e-6)


# Trimming ------------------------------------------------------------------------------------------------------------


def test_trimming_as_fastjet() -> None:
    """Mass and pT of FastJet's own Filter, jet by jet."""
    fastjet = pytest.importorskip("fastjet")
    p4, offsets = toy_jets(200, seed=3)
    trim = fastjet.Filter(fastjet.JetDefinition(fastjet.kt_algorithm, 0.3), fastjet.SelectorPtFractionMin(0.05))
    whole = fastjet.JetDefinition(fastjet.antikt_algorithm, 10.0)
    found = trimmed_by_kernel(p4, offsets)
    for number in range(200):
        particles = [fastjet.PseudoJet(*map(float, p)) for p in p4[offsets[number] : offsets[number + 1]]]
        jets = whole(particles) if particles else []
        if len(jets) != 1:
            # None where there is no particle; more where some particles are back to back.
            continue
        jet = trim(jets[0])
        # A single light particle: its mass is what rounding leaves of it.
        accuracy = 1e-9 if jet.m() > 1e-4 * jet.pt() else 1e-3
        np.testing.assert_allclose(found[number], [jet.m(), jet.pt()], rtol=1e-9, atol=accuracy)


def trimmed_by_kernel(p4: Any, offsets: Any) -> Any:
    """Mass and pT in float64, which the columns do not have."""
    from dask_augment.kernels import zooming
    from dask_augment.kernels.clustering import cluster

    step = da.JetZoom()
    labels = cluster(p4, offsets, radius=step.r_sub, power=1)
    out = zooming.zoomed(p4, labels, offsets, np.full(len(offsets) - 1, step.mass), step._how())
    return np.stack([out.trimmed_mass, out.trimmed_pt], axis=1)


# By fastjet 3.5.2's Filter: mass and pT [GeV] of the trimmed jets of `counted_jets`, and how many subjets are kept.
FROZEN = {
    0: (89.36365977482257, 190.634634067438, 5),
    1: (331.53763177554026, 568.1462426156141, 7),
    3: (0.13956999999999886, 16.74146461946308, 1),
    4: (1093.3389899818758, 1341.0635353209125, 12),
    5: (1408.0328484325696, 1963.8243314168278, 12),
    6: (1387.252253908109, 1920.378630078293, 8),
}


def test_trimming_as_fastjet_once() -> None:
    out = zoomed(in_nano(*counted_jets())).FatJet[list(FROZEN), 0]
    found = np.stack([out.trimmed_mass, out.trimmed_pt, out.n_subjets], axis=1)
    np.testing.assert_allclose(found, list(FROZEN.values()), rtol=1e-6)


def test_the_hardest_subjet_is_kept() -> None:
    jet, constituents = of_jet(jets_of([(10.0, 0.0, 0.0), (11.0, 0.5, 0.0), (9.0, -0.5, 0.0)]), f_cut=0.9)
    assert (jet["n_subjets"], jet["trimmed_pt"], jet["zoom_status"]) == (1, 11.0, 4 | 16 | 64)
    assert constituents.tolist() == [[0.0, 0.0, 11.0]]
    every, _ = of_jet(jets_of([(10.0, 0.0, 0.0), (11.0, 0.5, 0.0), (1e-6, -0.5, 0.0)]), f_cut=0.0)
    assert every["n_subjets"] == 3


def test_a_subjet_needs_more_than_the_fraction() -> None:
    """pT > f_cut times that of the jet: just f_cut, which numbers of a computer can have, is not enough."""
    from dask_augment.kernels import zooming

    p4 = np.array([[3.0, 0.0, 0.0, 3.0], [1.0, 0.0, 1.0, np.sqrt(2.0)]])
    for f_cut, kept in ((0.25, 1), (np.nextafter(0.25, 0), 2)):
        how = da.JetZoom(f_cut=float(f_cut))._how()
        found = zooming.zoomed(p4, np.array([0, 1]), np.array([0, 2]), np.array([80.0]), how)
        assert found.n_subjets.tolist() == [kept]


# Coordinates ---------------------------------------------------------------------------------------------------------


THREE = [(60.0, 0.0, 0.0), (30.0, 0.4, 0.0), (15.0, 0.0, 0.35), (0.5, 0.5, 0.4)]


def test_orientation() -> None:
    """First subjet at the origin, second straight down, third on the right; what is trimmed away is not there."""
    jet, found = of_jet(jets_of(THREE), mass=20.0)
    zoom = jet["zoom"]
    np.testing.assert_allclose(found[:, :2], zoom * np.array([[0, 0], [0, -0.4], [0.35, 0]]), atol=1e-6)
    np.testing.assert_allclose(found[:, 2], [60.0, 30.0, 15.0], rtol=1e-6)
    _, plain = of_jet(jets_of(THREE), mass=20.0, rotate="none", flip=False)
    np.testing.assert_allclose(plain[:, :2], zoom * np.array([[0, 0], [0.4, 0], [0, 0.35]]), atol=1e-6)
    _, flipped = of_jet(jets_of([(p, -y, phi) for p, y, phi in THREE]), mass=20.0, rotate="none")
    np.testing.assert_allclose(flipped[:, :2], zoom * np.array([[0, 0], [0.4, 0], [0, 0.35]]), atol=1e-6)


def test_centre_of_the_jet() -> None:
    jet, found = of_jet(jets_of(THREE[:2]), mass=20.0, center="jet")
    u = four_momenta(*np.array(THREE[:2]).T).sum(axis=0)
    centre = np.arctanh(u[2] / u[3])
    np.testing.assert_allclose(found[:, 1], jet["zoom"] * np.array([centre, centre - 0.4]), rtol=1e-5)
    np.testing.assert_allclose(found[:, 0], 0.0, atol=1e-6)


@given(st.floats(0, 2 * np.pi), st.booleans(), st.floats(-np.pi, np.pi), st.floats(-2, 2))
@settings(max_examples=40)
def test_symmetries(turn: float, mirror: bool, phi: float, boost: float) -> None:
    """Turned about its axis, mirrored, turned about the beam (across +-pi too) and boosted along it, it looks the same."""
    y0, phi0 = 0.1, 0.2
    _, expected = of_jet(jets_of([(p, y + y0, f + phi0) for p, y, f in THREE]), reference="fixed", mass=30.0)
    moved = []
    for p, y, f in THREE:
        u, v = (-y if mirror else y), f
        u, v = np.cos(turn) * u - np.sin(turn) * v, np.sin(turn) * u + np.cos(turn) * v
        moved.append((p, u + y0 + boost, v + phi))
    _, found = of_jet(jets_of(moved), mass=30.0)
    assert found[:, 2].tolist() == expected[:, 2].tolist()
    # The zoom is by the jet's pT, a vector sum: turned about its axis, it changes a little.
    np.testing.assert_allclose(found[:, :2] / found[1, 1], expected[:, :2] / expected[1, 1], atol=2e-5)


def test_pseudorapidity() -> None:
    """Massive particles have other coordinates in eta; subjets are the same."""
    p4 = four_momenta([50.0, 20.0], [1.0, 1.4], 0.0, [10.0, 5.0])
    eta = np.arcsinh(p4[:, 2] / np.hypot(p4[:, 0], p4[:, 1]))
    for coordinates, distance in (("rapidity", 0.4), ("eta", eta[1] - eta[0])):
        jet, found = of_jet(in_nano(p4, np.array([0, 2])), coordinates=coordinates)
        assert jet["dr12"] == pytest.approx(distance, rel=1e-5)
        assert found[1, 1] == pytest.approx(-distance * jet["zoom"], rel=1e-5)


def test_one_subjet_lies_along_its_axis() -> None:
    """pT is spread most along y, and more of it lies below; more of it lies on the right."""
    rng = np.random.default_rng(5)
    jets = []
    for _ in range(20):
        turn, n = rng.uniform(0, 2 * np.pi), 12
        along, across = rng.normal(0, 0.08, n), rng.normal(0, 0.02, n)
        y, phi = np.cos(turn) * along - np.sin(turn) * across, np.sin(turn) * along + np.cos(turn) * across
        jets.append(list(zip(rng.exponential(10, n) + 1, y, phi, strict=True)))
    out = zoomed(jets_of(*jets), mass=10.0, r_sub=0.8)
    assert set(ak.flatten(out.FatJet.n_subjets)) == {1}
    for x, y, pt in zip(*(out.FatJetZoomed[name] for name in ("x", "y", "pt")), strict=True):
        x, y, pt = (np.asarray(values, float) for values in (x, y, pt))
        moments = np.einsum("i,ji,ki->jk", pt, [x, y], [x, y])
        assert moments[1, 1] > 4 * moments[0, 0]
        assert abs(moments[0, 1]) < 1e-5 * moments[1, 1]
        assert np.sum(pt * np.sign(y)) < 0
        assert np.sum(pt * np.sign(x)) >= 0


def test_splitting_a_particle_changes_nothing() -> None:
    """Collinear splitting: shares of the momentum in one direction."""
    p4, offsets = toy_jets(30, seed=6)
    share = np.random.default_rng(1).random((len(p4), 1))
    split = np.stack([p4 * share, p4 * (1 - share)], axis=1).reshape(-1, 4)
    one, other = zoomed(in_nano(p4, offsets)), zoomed(in_nano(split, 2 * offsets))
    assert ak.array_equal(one.FatJet.n_subjets, other.FatJet.n_subjets)
    for name in ("zoom", "dr12", "trimmed_mass", "trimmed_pt"):
        assert ak.all(ak.isclose(one.FatJet[name], other.FatJet[name], rtol=1e-5, atol=1e-4)), name
    for name in ("x", "y"):
        each, pairs = one.FatJetZoomed[name], other.FatJetZoomed[name]
        np.testing.assert_allclose(ak.flatten(pairs)[::2], ak.flatten(each), atol=1e-4)


def test_order_of_particles_means_nothing() -> None:
    p4, offsets = toy_jets(30, seed=8)
    rng = np.random.default_rng(2)
    order = np.concatenate([rng.permutation(np.arange(first, last)) for first, last in pairwise(offsets)])
    one, other = zoomed(in_nano(p4, offsets)), zoomed(in_nano(p4[order], offsets))
    for name in FIELDS:
        assert ak.all(ak.isclose(one.FatJet[name], other.FatJet[name], rtol=1e-6)), name
    for name in ("x", "y", "pt"):
        each, shuffled = (ak.sort(out.FatJetZoomed[name], axis=1) for out in (one, other))
        assert ak.all(ak.isclose(each, shuffled, atol=1e-5)), name


# Jets that are not what one expects ----------------------------------------------------------------------------------


def test_no_constituents() -> None:
    jet, found = of_jet(jets_of([]))
    assert jet == dict.fromkeys(FIELDS, 0) | {"zoom": 1.0, "zoom_status": ZoomStatus.NO_CONSTITUENTS}
    assert len(found) == 0


def test_one_constituent() -> None:
    jet, found = of_jet(jets_of([(250.0, 0.5, 3.0)]))
    assert jet["zoom"] == pytest.approx(0.8 * 250 / (2 * 80.3692), rel=1e-6)
    assert (jet["n_subjets"], jet["dr12"], jet["trimmed_mass"]) == (1, 0.0, 0.0)
    assert jet["zoom_status"] == ZoomStatus.ONE_SUBJET | ZoomStatus.NO_AXIS
    assert found.tolist() == [[0.0, 0.0, 250.0]]


@pytest.mark.parametrize("y", [0.0, 0.7, -2.3])
def test_no_mass(y: float) -> None:
    """A photon has what rounding leaves of its mass: nothing, whichever way it points."""
    assert status(jets_of([(200.0, y, 1.1)]), reference="jet") & ZoomStatus.NO_MASS
    assert zoomed(jets_of([(200.0, y, 1.1)]), reference="jet").FatJet.zoom[0, 0] == 1.0


@pytest.mark.parametrize("mass", [0.0, -1.0, np.nan, np.inf])
def test_no_mass_in_the_column(mass: float) -> None:
    events = jets_of(THREE)
    events["FatJet", "mass"] = [[mass]]
    jet, found = of_jet(events, reference="column", column="mass")
    assert (jet["zoom"], jet["zoom_status"], jet["n_subjets"]) == (1.0, ZoomStatus.NO_MASS, 3)
    assert len(found) == 3


@pytest.mark.parametrize(("name", "bad"), [("pt", np.nan), ("eta", np.inf), ("phi", np.nan), ("mass", -np.inf), ("mass", -999.0), ("pt", -1.0), ("eta", 400.0), ("phi", np.inf)])  # fmt: skip
def test_not_finite(name: str, bad: float) -> None:
    """A jet with such a particle is left alone, its neighbours are not."""
    events = jets_of(THREE, THREE, THREE)
    values = events.PFCand[name].to_list()
    values[1][2] = bad
    events["PFCand", name] = values
    out = zoomed(events)
    assert out.FatJet.zoom_status.to_list() == [[16], [ZoomStatus.NOT_FINITE], [16]]
    assert out.FatJet.zoom.to_list() == [[1.0], [1.0], [1.0]]
    assert out.FatJet.n_subjets.to_list() == [[3], [0], [3]]
    assert ak.num(out.FatJetZoomed).to_list() == [3, 0, 3]
    assert not ak.any(np.isnan(out.FatJetZoomed.x))


def test_degrees_are_no_angles() -> None:
    events = jets_of(THREE)
    events["PFCand", "phi"] = events.PFCand.phi % (2 * np.pi)
    zoomed(events)  # [0, 2 pi] is another range, and right
    events["PFCand", "phi"] = events.PFCand.phi + 45
    with pytest.raises(ValueError, match=r"'PFCand.phi' holds .* degrees, .*delta_phi\(PFCand.phi \* 3.14"):
        zoomed(events)


def test_nothing_to_turn_by() -> None:
    """Four equal particles in a square have no principal axis."""
    square = [(10.0, y, phi) for y, phi in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1))]
    assert status(jets_of(square), r_sub=0.8, center="jet") & ZoomStatus.NO_AXIS
    assert not status(jets_of([*square, (30.0, 0.15, 0.1)]), r_sub=0.8, center="jet") & ZoomStatus.NO_AXIS


def test_equal_momenta() -> None:
    """Of subjets with equal pT the one with the first particle comes first."""
    _, found = of_jet(jets_of([(50.0, 0.0, 0.0), (50.0, 0.5, 0.0)]), rotate="none", flip=False)
    assert found[0].tolist() == [0.0, 0.0, 50.0]
    assert found[1, 0] > 0


def test_no_jets() -> None:
    events = jets_of([], [])
    events["FatJet"] = events.FatJet[:, :0]
    assert zoomed(events).FatJet.zoom.to_list() == [[], []]
    assert zoomed(events).FatJetZoomed.x.to_list() == [[], []]
    assert zoomed(events[:0]).FatJetZoomed.x.to_list() == []


def test_rounding_of_energies() -> None:
    """float32 columns of very forward particles: masses squared below 0 count as 0, and nothing is NaN."""
    rng = np.random.default_rng(3)
    p4 = four_momenta(rng.exponential(1, 400) + 0.1, rng.uniform(4.5, 6, 400), rng.uniform(-0.5, 0.5, 400))
    out = zoomed(rounded(in_nano(p4, np.arange(0, 401, 20))), reference="jet")
    for name in FIELDS:
        assert not ak.any(np.isnan(out.FatJet[name]))


# Events of any shape -------------------------------------------------------------------------------------------------


EVENTS = rounded(in_nano(*toy_jets(30)))


def same(one: Any, other: Any, **options: Any) -> bool:
    """All columns of two results of zooming, nested or flat."""
    names = [*(f"FatJet.{name}" for name in FIELDS), *(f"FatJetZoomed.{name}" for name in ("x", "y", "pt", "jetIdx"))]
    return all(
        ak.array_equal(cols.plain(cols.column(one, name)), cols.plain(cols.column(other, name)), **options)
        for name in names
    )


def test_layouts() -> None:
    """Slices, indices and integers of other types give the same, bit for bit."""
    links = EVENTS.FatJetPFCand
    given_events: dict[str, Any] = {
        "indexed": EVENTS[np.arange(30)],
        "reversed twice": EVENTS[::-1][::-1],
        "flat": flattened(EVENTS),
        "int64": ak.with_field(EVENTS, ak.values_astype(links, "int64"), "FatJetPFCand"),
        "uint8": ak.with_field(EVENTS, ak.values_astype(links, "uint8"), "FatJetPFCand"),
    }
    for what, events in given_events.items():
        assert same(zoomed(events), zoomed(EVENTS)), what
    wide = ak.with_field(ak.values_astype(EVENTS, "float64"), links, "FatJetPFCand")
    assert same(zoomed(wide), zoomed(EVENTS))


def test_nullable_parquet(tmp_path: Path) -> None:
    """What pyarrow makes of lists, all of it nullable, is read by awkward as options of options: the rows stay."""
    flat = flattened(EVENTS)
    table = pa.table({name: flat[name].to_list() for name in flat.fields})
    pq.write_table(table, tmp_path / "events.parquet")
    read = ak.from_parquet(tmp_path / "events.parquet")
    assert "?" in str(read.FatJet_pt.type)
    assert same(zoomed(read), zoomed(EVENTS))


def test_numbers_that_are_missing() -> None:
    """A particle without a number is not finite; a link without a jet is none."""
    events = jets_of(THREE, THREE)
    pts = events.PFCand.pt.to_list()
    pts[0][1] = None
    numbers = events.FatJetPFCand.jetIdx.to_list()
    numbers[1][1] = None
    events["PFCand", "pt"] = pts
    events["FatJetPFCand", "jetIdx"] = ak.values_astype(ak.Array(numbers), "int32")
    out = zoomed(events)
    assert out.FatJet.zoom_status.to_list() == [[ZoomStatus.NOT_FINITE], [ZoomStatus.AT_MINIMUM]]
    assert out.FatJetZoomed.candIdx.to_list() == [[], [0, 2]]


# Where constituents are ----------------------------------------------------------------------------------------------


def two_jets() -> Any:
    """One event before, with nothing in it; then two jets with their links out of order, and one of no jet."""
    prongs = [*THREE, (80.0, 2.0, 0.0), (40.0, 2.5, 0.0)]
    pt, y, phi = np.array(prongs).T
    return ak.Array(
        {
            "FatJet": [[], [{"pt": 100.0, "mass": 10.0}] * 2],
            "PFCand": [[], ak.zip({"pt": pt, "eta": y, "phi": phi, "mass": 0 * pt}).to_list()],
            "FatJetPFCand": [
                [],
                [
                    {"jetIdx": j, "pfCandIdx": c}
                    for j, c in ((1, 5), (0, 0), (1, 4), (-1, 0), (0, 1), (0, -1), (0, 2), (0, 3))
                ],
            ],
        }
    )


def test_links_in_any_order() -> None:
    out = zoomed(two_jets(), mass=20.0)
    for number, jet in enumerate((THREE, [(40.0, 2.5, 0.0), (80.0, 2.0, 0.0)])):
        expected = zoomed(jets_of(jet), mass=20.0)
        assert out.FatJet.zoom[1, number] == expected.FatJet.zoom[0, 0]
        mine = out.FatJetZoomed[1][out.FatJetZoomed[1].jetIdx == number]
        for name in ("x", "y", "pt"):
            np.testing.assert_allclose(mine[name], expected.FatJetZoomed[name][0], atol=1e-6)
    assert out.FatJetZoomed.candIdx.to_list() == [[], [0, 1, 2, 5, 4]]


def test_candidates_with_a_jet_of_their_own() -> None:
    events = two_jets()
    plain = ak.with_field(events.PFCand, [[], [0, 0, 0, 0, 1, 1]], "jetIdx")
    own = ak.Array({"FatJet": events.FatJet, "FatJetConstituent": plain})
    out = zoomed(own, constituents={"candidates": "FatJetConstituent"}, mass=20.0)
    assert out.FatJet.zoom.to_list() == zoomed(events, mass=20.0).FatJet.zoom.to_list()
    assert out.FatJetZoomed.candIdx.to_list() == [[], [0, 1, 2, 4, 5]]


def test_weights() -> None:
    """Momenta are multiplied by weights; what has none is as if it were not there."""
    events = jets_of([*THREE, (70.0, -0.4, 0.0), (70.0, -0.4, 0.1)])
    where = {"links": "FatJetPFCand", "index": "pfCandIdx", "candidates": "PFCand", "weight": "w"}
    weighted = ak.with_field(events, [[2.0, 2.0, 2.0, 2.0, 0.0, -0.0]], ("PFCand", "w"))
    expected = zoomed(jets_of([(2 * pt, y, phi) for pt, y, phi in THREE]))
    assert same(zoomed(weighted, constituents=where), expected)
    for bad, found in ((np.nan, ZoomStatus.NOT_FINITE), (-1.0, ZoomStatus.NOT_FINITE)):
        weighted["PFCand", "w"] = [[1.0, bad, 1.0, 1.0, 1.0, 1.0][:6]]
        assert status(weighted, constituents=where) == found
    weighted["PFCand", "w"] = [[0.0] * 6]
    assert status(weighted, constituents=where) == ZoomStatus.NO_CONSTITUENTS


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ((2, 0), r"FatJetPFCand.jetIdx is 2 in event 1 of these, which has 2 entries in FatJet: .* \[0, 2\)"),
        ((-2, 0), r"FatJetPFCand.jetIdx is -2 in event 1"),
        ((1, 6), r"FatJetPFCand.pfCandIdx is 6 in event 1 of these, which has 6 entries in PFCand"),
        ((1, -7), r"FatJetPFCand.pfCandIdx is -7 in event 1"),
    ],
)
def test_links_beyond(link: tuple[int, int], says: str) -> None:
    events = two_jets()
    links = events.FatJetPFCand.to_list()
    links[1][4] = {"jetIdx": link[0], "pfCandIdx": link[1]}
    events["FatJetPFCand"] = links
    with pytest.raises(ValueError, match=says):
        zoomed(events)


def test_links_of_a_wrong_kind() -> None:
    events = two_jets()
    events["FatJetPFCand", "jetIdx"] = ak.values_astype(events.FatJetPFCand.jetIdx, "float32")
    with pytest.raises(TypeError, match=r"FatJetPFCand.jetIdx must be whole numbers, got float32"):
        zoomed(events)
    events = two_jets()
    events["PFCand", "eta"] = [[], [[1.0]] * 6]
    with pytest.raises(TypeError, match=r"PFCand.eta must be a number for each entry"):
        zoomed(events)


def test_events_without_constituents() -> None:
    """The message says what each layout needs, also before any data is read."""
    events = two_jets()[["FatJet"]]
    says = r"'jet_zoom' finds no column 'FatJetPFCand.jetIdx'.*nano_v15 needs.*PFCand.pt.*pfnano needs.*PFCands.puppiWeight"
    with pytest.raises(cols.MissingColumn, match=says):
        zoomed(events)
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    with pytest.raises(cols.MissingColumn, match=says):
        da.augment(dak.from_awkward(events, npartitions=1), da.JetZoom())
    with pytest.raises(cols.MissingColumn, match=r"no column 'FatJet\.msoftdrop'"):
        zoomed(two_jets(), reference="column", column="msoftdrop")


def test_files_without_constituents(nano: Callable[[str], str], tmp_path: Path) -> None:
    inputs = {"fileset": {"ttbar": {"files": {nano("nano_tt_v12"): "Events"}}}, "weight": "genWeight"}
    plan = da.Plan(inputs=inputs, steps=[da.JetZoom()], seed=1, output=str(tmp_path / "out"))
    with pytest.raises(
        PlanError, match=r"'jet_zoom' finds no column 'FatJetPFCand.jetIdx' in any input file; .*pfnano"
    ):
        da.run(plan)


@pytest.mark.slow
def test_pfnano(nano: Callable[[str], str]) -> None:
    """Real jets: their particles have the uncorrected pT that the file says, and one result in two frames."""
    step = da.JetZoom(constituents="pfnano")
    names = [cols.flat(name) for name in step.uses()]
    with uproot.open(nano("pfnano")) as file:
        events = file["Events"].arrays([*names, "FatJet_rawFactor"])
    particles = step._where.of_jets(cols.only(events, step.uses()), "FatJet.pt")
    pt = np.hypot(*np.add.reduceat(particles.p4[:, :2], particles.offsets[:-1]).T)
    raw = ak.flatten(events.FatJet_pt * (1 - events.FatJet_rawFactor)).to_numpy()
    assert len(raw) == 24
    np.testing.assert_allclose(pt, raw, rtol=5e-3)
    out = da.augment(events, step)
    assert np.all(ak.flatten(out.FatJet_zoom_status).to_numpy() & ZoomStatus.NOT_FINITE == 0)
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    lazy = uproot.dask({nano("pfnano"): "Events"}, open_files=False, steps_per_file=3)
    assert same(da.augment(lazy[names], step).compute(scheduler="sync"), out)


# Configuration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"radius": 0}, r"r_sub must lie in \(0, radius\], got r_sub=0.3 and radius=0"),
        ({"r_sub": 1.0}, r"r_sub must lie in \(0, radius\]"),
        ({"r_sub": "x"}, "r_sub must be a finite number, got 'x'"),
        ({"z_max": np.inf}, "z_max must be a finite number"),
        ({"f_cut": 1.0}, r"f_cut.*must lie in \[0, 1\), got 1"),
        ({"z_min": 3, "z_max": 2}, "0 < z_min <= z_max must hold, got z_min=3 and z_max=2"),
        ({"mass": 0}, "mass must be positive, got 0 GeV"),
        ({"mass": 60, "reference": "jet"}, "mass is 60, but reference is 'jet'"),
        ({"reference": "mine"}, r"reference must be one of \['fixed', 'jet', 'column'\], got 'mine'"),
        ({"reference": "column"}, "reference is 'column' and column is None"),
        ({"column": "mass"}, "reference is 'fixed' and column is 'mass'"),
        ({"coordinates": "phi"}, "coordinates must be one of"),
        ({"center": "beam"}, "center must be one of"),
        ({"rotate": "yes"}, "rotate must be one of"),
        ({"flip": "x"}, "flip must be true or false, got 'x'"),
        ({"output": "Fat_Jet"}, "output must be the name of a collection, of letters and digits, got 'Fat_Jet'"),
        ({"output": 5}, "output must be the name of a collection, of letters and digits, got 5"),
        ({"jets": 5}, "jets must be the name of a collection, such as 'FatJet', got 5"),
        ({"output": "PFCand"}, "output must be a new collection, got 'PFCand'"),
        ({"constituents": "nano_v14"}, "no layout is named 'nano_v14'; the nearest are nano_v15"),
        (
            {"constituents": "FatJetConstituent"},
            r"the layouts are nano_v15, pfnano\. .*\{candidates: FatJetConstituent\}",
        ),
        ({"constituents": {"candidate": "PFCand"}}, r"unknown keys \['candidate'\]"),
        ({"constituents": {"links": "A", "index": "b"}}, "do not say their candidates"),
        ({"constituents": {"candidates": "A", "links": "B"}}, "links is 'B' and index is not given"),
        ({"constituents": {"candidates": "A", "index": "b"}}, "index is 'b' and links is not given"),
        ({"constituents": {"candidates": 3}}, "candidates must be a name, got 3"),
    ],
)
def test_refusals(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        da.JetZoom(**options)


def test_constituents_of_a_wrong_kind() -> None:
    with pytest.raises(TypeError, match="constituents must be the name of a layout or a dictionary, got 3"):
        da.JetZoom(constituents=3)


def test_plan() -> None:
    entry = {"jet_zoom": {"constituents": {"candidates": "FatJetConstituent"}, "reference": "jet", "output": None}}
    step = step_from(entry, 0, Path())
    assert step == da.JetZoom(constituents={"candidates": "FatJetConstituent"}, reference="jet", output=None)
    assert step_to(step) == entry
    assert step_to(da.JetZoom(constituents="pfnano", radius=1)) == {
        "jet_zoom": {"constituents": "pfnano", "radius": 1.0}
    }


def test_columns() -> None:
    assert set(da.JetZoom().uses()) == {
        "FatJet.pt", "FatJetPFCand.jetIdx", "FatJetPFCand.pfCandIdx", "PFCand.pt", "PFCand.eta", "PFCand.phi", "PFCand.mass"
    }  # fmt: skip
    assert "JetPFCands.jetIdx" in da.JetZoom(jets="Jet", constituents="pfnano").uses()
    assert "FatJetZoomed.x" in da.JetZoom().produces()
    assert "Mine.x" in da.JetZoom(output="Mine").produces()
    assert {name.partition(".")[0] for name in da.JetZoom(output=None).produces()} == {"FatJet"}


# Physics -------------------------------------------------------------------------------------------------------------


def shipped(name: str, **options: Any) -> Any:
    """Zoomed jets of the events that are shipped, as flat arrays."""
    step = da.JetZoom(**options)
    with as_file(files("dask_augment") / "data" / f"{name}.root") as path, uproot.open(path) as file:
        events = file["Events"].arrays([cols.flat(column) for column in step.uses()])
    out = da.augment(events, step)
    return {name: ak.flatten(out[f"FatJet_{name}"]).to_numpy() for name in FIELDS}


def medians(jets: Any, name: str, chosen: Any) -> Any:
    """In six bins of pT."""
    edges = np.linspace(200, 500, 7)
    which = [chosen & (jets["trimmed_pt"] >= low) & (jets["trimmed_pt"] < high) for low, high in pairwise(edges)]
    assert min(map(np.count_nonzero, which)) > 100
    return np.array([np.median(jets[name][each]) for each in which])


def spread(values: Any) -> float:
    return float((values.max() - values.min()) / values.mean())


def slope(values: Any) -> float:
    """Of its logarithm against that of pT."""
    return float(np.polyfit(np.log(np.arange(225, 500, 50)), np.log(values), 1)[0])


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 0.08), ({"reference": "jet"}, 0.08), ({"r_sub": 0.2}, 0.04), ({"r_sub": 0.2, "reference": "jet"}, 0.04)],
)
def test_w_bosons_look_alike_at_any_momentum(options: dict[str, Any], most: float) -> None:
    jets = shipped("wz", **options)
    chosen = (jets["trimmed_mass"] > 65) & (jets["trimmed_mass"] < 95) & (jets["n_subjets"] > 1)
    raw, found = (medians(jets, name, chosen) for name in ("dr12", "dr12_zoomed"))
    assert spread(raw) > 0.6
    assert slope(raw) < -0.7
    assert spread(found) < most
    assert abs(slope(found)) < 0.15


def test_background_keeps_its_scale_under_a_fixed_zoom() -> None:
    """A fixed mass does not make light jets alike, that of each jet does."""
    for reference, lowest, highest in (("fixed", 0.7, 1.3), ("jet", -0.25, 0.25)):
        jets = shipped("qcd", reference=reference)
        chosen = (jets["trimmed_mass"] > 20) & (jets["n_subjets"] > 1)
        assert lowest < slope(medians(jets, "dr12_zoomed", chosen)) < highest
