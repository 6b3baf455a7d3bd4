from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest
from scipy import stats

import dask_augment as da
from dask_augment.laws.sample import flattened, sample_events

EVENTS = sample_events(2000, seed=4)
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
    with pytest.raises(TypeError, match=r"columns must be a list, got 'Jet.phi'; write \['Jet.phi'\]"):
        da.PhiRotate(columns="Jet.phi")
    assert da.PhiRotate(columns=["Jet.phi"]) == da.PhiRotate(columns=("Jet.phi",))
