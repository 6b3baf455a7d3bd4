from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest
from scipy import stats

import dask_augment as da
from dask_augment.augmenters.phi_rotate import is_azimuth
from dask_augment.laws.sample import flattened, sample_events

EVENTS = sample_events(2000, seed=4)
FEW = EVENTS[["run", "luminosityBlock", "event", "split", "Jet", "Electron", "Muon", "MET"]]
ANGLES = ("Jet.phi", "Electron.phi", "Muon.phi", "MET.phi")


def rotated(events: Any = EVENTS, *before: Any, seed: int = 1, split: str | None = None, **options: Any) -> Any:
    return da.augment(events, *before, da.PhiRotate(**options), seed=seed, dataset="ttbar", split=split)


def turned(one: Any, other: Any) -> np.ndarray[Any, Any]:
    """exp(i (one - other)) of flat angles."""
    flat = [ak.to_numpy(ak.flatten(angle, axis=None)).astype(float) for angle in (one, other)]
    return np.exp(1j * (flat[0] - flat[1]))


def test_one_angle_for_all_objects_of_an_event() -> None:
    """All differences of angles are kept, in closed form: each object is turned by the angle of MET."""
    out = rotated()
    alpha = turned(out.MET.phi, EVENTS.MET.phi)
    for name in ("Jet", "Electron", "Muon"):
        expected = np.repeat(alpha, ak.num(EVENTS[name]))
        np.testing.assert_allclose(turned(out[name].phi, EVENTS[name].phi), expected, atol=1e-6)


def test_invariant_mass_is_kept() -> None:
    vector = pytest.importorskip("vector")

    def mass(events: Any) -> Any:
        fields = {name: ak.values_astype(events.Jet[name], "float64") for name in ("pt", "eta", "phi", "mass")}
        jets = ak.zip(fields, with_name="Momentum4D", behavior=vector.backends.awkward.behavior)
        two = jets[ak.num(jets) >= 2]
        return (two[:, 0] + two[:, 1]).mass

    np.testing.assert_allclose(mass(rotated()), mass(EVENTS), rtol=1e-5)


def test_nothing_else_changes() -> None:
    out = rotated()
    assert set(out.fields) == {*EVENTS.fields, "augment_changed"}
    for name in EVENTS.fields:
        for field in EVENTS[name].fields or [""]:
            if f"{name}.{field}" not in ANGLES:
                before, after = (events[name, field] if field else events[name] for events in (EVENTS, out))
                assert ak.array_equal(before, after, equal_nan=True)
    assert ak.all(out.augment_changed == 1)


def test_range_and_type() -> None:
    for dtype in ("float32", "float64"):
        events = ak.with_field(EVENTS, ak.values_astype(EVENTS.Jet.phi, dtype), ["Jet", "phi"])
        out = rotated(events)
        assert str(out.Jet.phi.type.content.content) == dtype
        for name in ANGLES:
            phi = ak.flatten(out[tuple(name.split("."))], axis=None)
            assert ak.all((phi >= -np.float32(np.pi)) & (phi < np.pi))


def test_uniform() -> None:
    alpha = np.angle(turned(rotated().MET.phi, EVENTS.MET.phi))
    assert stats.kstest(alpha, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-4
    other = np.angle(turned(rotated(seed=2).MET.phi, EVENTS.MET.phi))
    assert abs(np.corrcoef(alpha, other)[0, 1]) < 5 / np.sqrt(len(alpha))


def test_flat_events_and_slices() -> None:
    out = rotated(columns=("Jet.phi", "MET.phi"))
    flat = rotated(flattened(EVENTS), columns=("Jet.phi", "MET.phi"))
    assert flat.Jet_phi.to_list() == out.Jet.phi.to_list()
    parts = [rotated(EVENTS[i : i + 300], columns=("Jet.phi", "MET.phi")) for i in range(0, 2000, 300)]
    assert ak.concatenate(parts).Jet.phi.to_list() == out.Jet.phi.to_list()


def test_test_events_stay() -> None:
    out = rotated(split="split")
    moved = ak.to_numpy(out.MET.phi != EVENTS.MET.phi)
    np.testing.assert_array_equal(moved, EVENTS.split == 0)
    np.testing.assert_array_equal(out.augment_changed, EVENTS.split == 0)


def test_copies_vary_and_originals_stay() -> None:
    repeat = da.Repeat(n=2)
    plain = da.augment(EVENTS, repeat, split=None)
    made = ak.to_numpy(plain.augment_kind == 1)
    np.testing.assert_array_equal(ak.to_numpy(rotated(EVENTS, repeat).MET.phi != plain.MET.phi), made)
    assert ak.all(rotated(EVENTS, repeat, originals=True).MET.phi != plain.MET.phi)
    alpha = np.angle(turned(rotated(EVENTS, repeat).MET.phi, plain.MET.phi))[made]
    assert abs(np.corrcoef(alpha[::2], alpha[1::2])[0, 1]) < 5 / np.sqrt(len(EVENTS))


def test_real_events(nano: Callable[[str], str]) -> None:
    import uproot

    events = uproot.open(nano("nano_dy"))["Events"].arrays(
        ["run", "luminosityBlock", "event", "nMuon", "Muon_phi", "Muon_pt", "MET_phi"]
    )
    out = rotated(events, columns=("Muon.phi", "MET.phi"))
    alpha = np.repeat(turned(out.MET_phi, events.MET_phi), ak.num(events.Muon_phi))
    np.testing.assert_allclose(turned(out.Muon_phi, events.Muon_phi), alpha, atol=1e-6)
    assert out.Muon_pt.to_list() == events.Muon_pt.to_list()


def test_one_column_is_a_list_of_one():
    with pytest.raises(
        TypeError, match=r"columns must be a list of columns, got 'Jet.phi'; write columns=\['Jet.phi'\]"
    ):
        da.PhiRotate(columns="Jet.phi")
    assert da.PhiRotate(columns=["Jet.phi"]) == da.PhiRotate(columns=("Jet.phi",))


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("MET.significance", 0.0, r"'MET.significance' holds \d+"),
        ("MET.phi", 3.2, r"'MET.phi' holds 3.2,"),
        ("MET.phi", -3.142, r"'MET.phi' holds -3.142,"),
        ("MET.phi", 6.1, r"delta_phi\(MET.phi, 0\)"),
        ("MET.phi", 180.0, r"degrees, .* delta_phi\(MET.phi \* 3.141592653589793 / 180, 0\)"),
        ("MET.phi", np.inf, r"'MET.phi' holds inf,"),
        ("MET.phi", -999.0, r"'MET.phi' holds -999,"),
    ],
)
def test_what_is_no_angle_is_refused(column: str, value: float, shown: str) -> None:
    events = ak.with_field(EVENTS, EVENTS.MET.pt, ["MET", "significance"])
    if value:
        phi = np.array(EVENTS.MET.phi)
        phi[7] = value
        events = ak.with_field(EVENTS, phi, ["MET", "phi"])
    columns = ("Jet.phi", "MET.phi", *({column} - {"MET.phi"}))
    for frame in (events, flattened(events)):
        with pytest.raises(ValueError, match=shown):
            rotated(frame, columns=columns)


@pytest.mark.parametrize("full", [2 * np.pi, 360.0])
def test_angles_of_another_range_are_brought_there(full: float) -> None:
    """By what the message says."""
    phi = np.array(EVENTS.MET.phi, np.float64) * full / (2 * np.pi) % full
    events = ak.with_field(EVENTS, phi.astype(np.float32), ["MET", "phi"])
    with pytest.raises(ValueError, match="delta_phi") as refused:
        rotated(events, columns=["MET.phi"])
    there = da.Define({"MET.phi": re.findall(r"delta_phi\(.*\)", str(refused.value))[0]})
    np.testing.assert_allclose(turned(rotated(events, there).MET.phi, rotated().MET.phi), 1, atol=1e-6)


def test_what_rounding_leaves_beyond_pi_is_an_angle() -> None:
    """Half of NanoAOD's files hold 3.1416016, pi with 12 bits."""
    phi = np.array(EVENTS.MET.phi, np.float32)
    phi[:4] = [3.1416016, -3.1416016, np.pi, -np.pi]
    out = rotated(ak.with_field(EVENTS, phi, ["MET", "phi"]), columns=("MET.phi", "Jet.phi"))
    assert np.all(np.abs(out.MET.phi) <= np.float32(np.pi))


def test_integers_are_no_angles() -> None:
    events = ak.with_field(EVENTS, np.zeros(len(EVENTS), np.int32), "phi_bin")
    with pytest.raises(TypeError, match="'phi_bin' has the type int32"):
        rotated(events, columns=("Jet.phi", "phi_bin"))


def test_nan_stays_nan_and_missing_stays_missing() -> None:
    """Objects and events' numbers that are missing, whole or in part, and the rest turned as without them."""
    phi = np.array(EVENTS.MET.phi)
    phi[3] = np.nan
    events = ak.with_field(EVENTS, ak.mask(ak.Array(phi), np.arange(len(phi)) != 5), ["MET", "phi"])
    for jets in (ak.mask(EVENTS.Jet, EVENTS.Jet.pt > 40), ak.pad_none(EVENTS.Jet, 3, axis=1)):
        given = ak.with_field(events, jets, "Jet")
        out = rotated(given)
        assert ak.is_none(out.Jet, axis=1).to_list() == ak.is_none(jets, axis=1).to_list()
        assert ak.drop_none(out.Jet.phi).to_list() != ak.drop_none(jets.phi).to_list()
        assert np.isnan(out.MET.phi[3])
        assert out.MET.phi[5] is None
        there = ~ak.is_none(jets, axis=1)
        expected = rotated().Jet.phi if ak.all(ak.num(jets) == ak.num(EVENTS.Jet)) else None
        if expected is not None:
            assert out.Jet.phi[there].to_list() == expected[there].to_list()
        assert given.Jet.phi.to_list() == jets.phi.to_list(), "the events given were changed"


def test_fixed_size_lists() -> None:
    events = ak.with_field(EVENTS, ak.Array(np.zeros((len(EVENTS), 2), np.float32)), "towers_phi")
    out = rotated(events, columns=("MET.phi", "towers_phi"))
    assert out.towers_phi.type == events.towers_phi.type
    np.testing.assert_allclose(
        turned(out.towers_phi[:, 1], 0 * EVENTS.MET.phi), turned(out.MET.phi, EVENTS.MET.phi), atol=1e-6
    )


def test_angles_that_are_left_are_told() -> None:
    import dask.dataframe as dd
    import dask_awkward as dak
    import pandas as pd

    flat = flattened(EVENTS)[["run", "luminosityBlock", "event", "MET_phi", "MET_pt"]]
    flat = ak.with_field(flat, flat.MET_phi, "lead_phi")
    frame = pd.DataFrame({name: flat[name].to_numpy() for name in flat.fields})
    for events in (flat, frame, dd.from_pandas(frame, 2), dak.from_awkward(flat, 2)):
        with pytest.warns(
            UserWarning, match=r"step 'phi_rotate' turns MET.phi and leaves lead.phi as they are.*\*.phi"
        ):
            rotated(events, columns=["MET.phi"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rotated(events, columns=["MET.phi", "lead_phi"])
            rotated(events, columns=["*.phi"])
    with pytest.warns(UserWarning, match="leaves Electron.phi, Muon.phi as"):
        rotated(FEW, columns=["Jet.phi", "MET.phi"])
    with pytest.warns(UserWarning, match="leaves Jet.axis_phi as"):
        rotated(FEW, da.Define({"Jet.axis_phi": "Jet.phi * 1", "Jet.dphi": "delta_phi(Jet.phi, MET.phi)"}))


def test_wildcards() -> None:
    flat = flattened(FEW)
    for events in (FEW, flat):
        out, expected = rotated(events, columns=["*.phi"]), rotated(events)
        assert ak.array_equal(out, expected, equal_nan=True)
    assert rotated(flat, columns=["[JM]*.phi"]).Jet_phi.to_list() == rotated(flat).Jet_phi.to_list()
    with pytest.raises(ValueError, match=r"no column matches 'Jets.\*'; the angles are Electron.phi, Jet.phi"):
        rotated(FEW, columns=["Jets.*"])
    with pytest.raises(ValueError, match=r"names \['Jet.eta', 'Jet.mass', 'Jet.pt'\], and phi_rotate turns azimuthal"):
        rotated(FEW, columns=["Jet.*"])
    step = da.PhiRotate(columns=["*.phi"])
    assert step.uses() == frozenset()
    both = da.learn(FEW, da.Smooth(features=["MET.phi"]), ("phi_rotate", step), seed=1, dataset="ttbar", split=None)
    named = da.PhiRotate(columns=ANGLES)
    alike = da.learn(
        EVENTS, da.Smooth(features=["MET.phi"]), ("phi_rotate", named), seed=1, dataset="ttbar", split=None
    )
    assert both.learned == alike.learned


@pytest.mark.parametrize(
    ("name", "turns"),
    [("Jet.phi", True), ("lead_phi", True), ("METPhi", True), ("Muon.standalonePhi", True), ("phi", True), ("Jet.px", True),
     ("Jet.dphi", False), ("Jet.deltaPhi", False), ("delta_phi", False), ("MET.covPhiPhi", False), ("Jet.eta", False),
     ("philosophy", False), ("nphi", False), ("Jet.ptx", False)],
)  # fmt: skip
def test_what_looks_like_an_angle(name: str, *, turns: bool) -> None:
    assert is_azimuth(name) is turns


@pytest.mark.parametrize("name", ["Muon.eta", "Jet_pt", "MET.px", "dphi", "Jet.deltaPhi", "Jet.phiErr"])
def test_names_of_no_azimuth_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="phi_rotate turns azimuthal angles alone"):
        da.PhiRotate(columns=["Jet.phi", name])


def test_wildcards_are_flat_names_too_and_leave_counters_out() -> None:
    step = da.PhiRotate(columns=["*_phi"]).matched({"Jet.phi", "nJet.phi", "MET.phi", "Jet.pt"})
    assert step.uses() == {"Jet.phi", "MET.phi"}
