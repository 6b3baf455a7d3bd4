from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from dask_augment.events.columns import MissingColumn, only
from dask_augment.events.four_vectors import Objects
from dask_augment.laws.sample import flattened, sample_events

EVENTS = sample_events(300, seed=6)


def vectors(*entries: Any, events: Any = EVENTS) -> np.ndarray[Any, Any]:
    objects = Objects.of(list(entries))
    return objects.four_vectors(only(events, objects.uses()))


def p4(pt: Any, eta: Any, phi: Any, mass: Any) -> np.ndarray[Any, Any]:
    pt, eta, phi, mass = (np.asarray(values, np.float64) for values in (pt, eta, phi, mass))
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.stack([np.sqrt(px**2 + py**2 + pz**2 + mass**2), px, py, pz], axis=-1)


def padded(name: str, index: int) -> np.ndarray[Any, Any]:
    fields = [ak.fill_none(ak.pad_none(EVENTS[name][f], index + 1)[:, index], 0) for f in ("pt", "eta", "phi", "mass")]
    return p4(*fields)


def test_leading_objects_and_missing_momentum() -> None:
    found = vectors("Jet[:3]", "Electron[0]", "Muon[1:3]", "MET")
    met = EVENTS.MET
    expected = [padded("Jet", i) for i in range(3)] + [padded("Electron", 0), padded("Muon", 1), padded("Muon", 2)]
    expected.append(p4(met.pt, 0 * met.pt, met.phi, 0 * met.pt))
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-12, atol=1e-12)
    assert np.any(found[:, 5] == 0)


def test_names_uses_and_plan() -> None:
    given = [
        "Jet[1:3]",
        "Electron[0]",
        {"objects": "Photon[:1]", "mass": 0},
        "MET",
        {"pt": "a", "eta": 0, "phi": "b", "E": "c"},
    ]
    objects = Objects.of(given)
    assert len(objects) == 6
    assert objects.names == ("Jet[1]", "Jet[2]", "Electron[0]", "Photon[0]", "MET", "a, ...")
    kinematics = {f"{name}.{field}" for name in ("Jet", "Electron", "Photon") for field in ("pt", "eta", "phi", "mass")}
    assert objects.uses() == (kinematics - {"Photon.mass"}) | {"MET.pt", "MET.phi", "a", "b", "c"}
    assert objects.as_plan() == given
    assert Objects.of(objects.as_plan()) == objects == Objects.of(objects)
    assert Objects.of("MET").names == ("MET",)


def test_other_fields_and_numbers() -> None:
    events = ak.with_field(EVENTS, EVENTS.Jet.pt * 2, ["Jet", "pt_up"])
    up = vectors({"objects": "Jet[0]", "pt": "pt_up", "mass": 7.5}, events=events)[:, 0]
    plain = vectors("Jet[0]")[:, 0]
    np.testing.assert_allclose(up[:, 1:], 2 * plain[:, 1:], rtol=1e-6)
    there = ak.to_numpy(ak.num(EVENTS.Jet) > 0)
    mass = np.sqrt(up[there, 0] ** 2 - np.sum(up[there, 1:] ** 2, axis=-1))
    np.testing.assert_allclose(mass, 7.5, rtol=1e-6)
    assert np.all(up[~there] == 0)


def test_columns_of_the_event() -> None:
    components = vectors("Jet[0]")[:, 0].T
    events = ak.Array(dict(zip(("e", "x", "y", "z"), components, strict=True)))
    found = vectors({"px": "x", "py": "y", "pz": "z", "E": "e"}, events=events)[:, 0]
    assert np.array_equal(found, components.T)
    integers = ak.Array({"n": np.arange(5, dtype=np.int32)})
    found = vectors({"pt": "n", "eta": 0, "phi": 0, "mass": 0}, events=integers)[:, 0]
    assert np.array_equal(found, np.arange(5)[:, None] * [1, 1, 0, 0])


def test_cartesian_objects() -> None:
    jets = vectors("Jet[:2]")
    px, py, pz, energy = (ak.Array([list(row) for row in jets[..., i]]) for i in (1, 2, 3, 0))
    events = ak.Array({"J": ak.zip({"px": px, "py": py, "pz": pz, "E": energy})})
    assert np.array_equal(vectors({"objects": "J[:2]", "px": "px"}, events=events), jets)


def test_float32_float64_and_mixed_types() -> None:
    double = ak.zip({field: ak.values_astype(EVENTS.Jet[field], "float64") for field in EVENTS.Jet.fields})
    mixed = ak.with_field(EVENTS.Jet, double.pt, "pt")
    whole = vectors("Jet[:2]")
    for jets in (double, mixed):
        assert np.array_equal(vectors("Jet[:2]", events=ak.Array({"Jet": jets})), whole)


def test_flat_events_and_slices() -> None:
    entries = ("Jet[:3]", "MET")
    whole = vectors(*entries)
    assert np.array_equal(vectors(*entries, events=flattened(EVENTS)), whole)
    parts = [vectors(*entries, events=EVENTS[i : i + 70]) for i in range(0, 300, 70)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_nan_stays_where_it_is() -> None:
    jets = ak.Array(
        [[{"pt": 30.0, "eta": 0.1, "phi": np.nan, "mass": 5.0}], [{"pt": 30.0, "eta": 0.1, "phi": 1, "mass": 5}]]
    )
    found = vectors("Jet[:2]", events=ak.Array({"Jet": jets}))
    assert np.isnan(found[0, 0, 1])
    assert np.all(np.isfinite(found[1]))
    assert np.all(found[:, 1] == 0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("Jet[:]", r"inputs has 'Jet\[:\]', which names no objects; write 'Jet\[:6\]', 'Electron\[0\]', 'MET'"),
        ("Jet[-1]", "names no objects"),
        ("Jet[3:3]", r"'Jet\[3:3\]', which is no object; the second number must be above the first"),
        ("", "names no objects"),
        (7, "inputs has 7, which names no objects"),
        ({"objects": "Jet"}, "has 'Jet', which names no objects"),
        ({"object": "Jet[0]"}, "which names no objects"),
        ({"pt": "a", "phi": "b"}, r"lacks \['eta', 'mass'\], each a column or a number"),
        ({"pt": "a", "px": "b", "py": "c", "pz": "d"}, r"gives \['pt'\] beside \['px', 'py', 'pz'\]"),
        ({"objects": "Jet[0]", "mass": 1, "E": "energy"}, r"gives \['mass'\] beside \['E'\]"),
        ({"objects": "Jet[0]", "mass": float("nan")}, "inputs: mass must be a field or a finite number, got nan"),
        ({"objects": "Jet[0]", "mass": True}, "inputs: mass must be a field or a finite number, got True"),
        ({"pt": 1, "eta": 0, "phi": 0, "mass": 0}, "names no column"),
    ],
)
def test_refused(entry: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Objects.of([entry])


def test_no_entries() -> None:
    with pytest.raises(ValueError, match="particles names no objects"):
        Objects.of([], "particles")
    with pytest.raises(TypeError, match="particles is None, which names no objects; write 'Jet"):
        Objects.of(None, "particles")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "Jet",
            r"column 'Jet.pt' must hold one number for each event to be 'Jet', it has type var \* float32; the first",
        ),
        ("MET[0]", r"column 'MET.pt' has one value for each event, so there is no MET\[0\]; write 'MET' for missing"),
        ("X[0]", r"column 'X.pt' must hold one number for each object to be 'X\[0\]', it has type \?float64"),
    ],
)
def test_columns_of_another_shape(entry: str, message: str) -> None:
    options = ak.Array([[None, 1.0]] * len(EVENTS))
    fields = dict.fromkeys(("pt", "eta", "phi", "mass"), options)
    events = ak.with_field(EVENTS, ak.zip(fields), "X")
    objects = Objects.of(entry)
    with pytest.raises(TypeError, match=message):
        objects.four_vectors(events)


def test_remedy_for_a_mass() -> None:
    objects = Objects.of(["Photon[:2]", {"objects": "Tau[0]", "pt": "pt_corr"}, "MET"])
    assert "{objects: 'Photon[:2]', mass: 0}" in objects.remedy("Photon.mass")
    assert "{objects: 'Tau[0]', mass: 0}" in objects.remedy("Tau.mass")
    assert objects.remedy("Tau.mass").endswith("events that have no Tau at all need other inputs")
    assert objects.remedy("Photon.pt") == objects.remedy("MET.pt") == ""
    with pytest.raises(MissingColumn, match=r"no column 'Photon\.eta'"):
        vectors("Photon[:2]")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("pt", -999.0, "'Jet.pt' holds -999, and a transverse momentum is 0 or more"),
        ("phi", 90.0, r"'Jet.phi' holds 90, .* degrees, .*delta_phi\(Jet.phi \* 3.14"),
        ("mass", -999.0, r"Jet\[0\] has a negative mass, 'Jet.mass', that leaves no energy, and the momentum"),
        ("mass", -np.inf, r"Jet\[0\] has a negative mass, 'Jet.mass', that leaves no energy"),
    ],
)
def test_what_no_object_has_is_refused(column: str, value: float, says: str) -> None:
    first = ak.local_index(EVENTS.Jet.pt) == 0
    events = ak.with_field(EVENTS, ak.where(first, value, EVENTS.Jet[column]), ["Jet", column])
    with pytest.raises(ValueError, match=says):
        vectors("Jet[:2]", events=events)


def test_less_energy_than_momentum_is_refused() -> None:
    """Beyond the 1 % by which numbers with 10 bits may differ."""
    entry = {"pt": "MET.pt", "eta": 0, "phi": "MET.phi", "E": "energy"}
    for share in (1.0, 0.995):
        vectors(entry, events=ak.with_field(EVENTS, EVENTS.MET.pt * share, "energy"))
    for share in (0.5, 0.001, -1.0):
        with pytest.raises(
            ValueError, match=r"^MET.pt, \.\.\. has the energy .* no object has less energy than momentum"
        ):
            vectors(entry, events=ak.with_field(EVENTS, EVENTS.MET.pt * share, "energy"))


def test_padding_and_angles_of_a_full_turn_are_taken() -> None:
    """pt 0 is nothing, whatever stands for its mass; an angle in [0, 2 pi] is the same one."""
    turned = ak.with_field(EVENTS, np.asarray(EVENTS.MET.phi) % (2 * np.pi), ["MET", "phi"])
    np.testing.assert_allclose(vectors("MET", events=turned), vectors("MET"), atol=1e-3)
    nothing = ak.with_field(
        ak.with_field(EVENTS, EVENTS.Jet.pt * 0, ["Jet", "pt"]), EVENTS.Jet.pt * 0 - 1, ["Jet", "mass"]
    )
    assert np.all(vectors("Jet[:2]", events=nothing) == 0)
