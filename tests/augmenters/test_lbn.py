from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events.columns import MissingColumn
from dask_augment.inputs.section import PlanError
from dask_augment.laws.sample import sample_events
from dask_augment.plans.steps import step_from, step_to

EVENTS = sample_events(600, seed=9)
INPUTS = ("Jet[:4]", "Electron[0]", "Muon[0]", "MET")
RANDOM = {"random": 4, "seed": 3}
RNG = np.random.default_rng(2)
WEIGHTS = RNG.normal(0, 1, (2, 7, 5))


def lbn(**options: Any) -> da.LBN:
    return da.LBN(**{"inputs": INPUTS, "weights": RANDOM, **options})


def made(step: da.LBN, events: Any = EVENTS) -> np.ndarray[Any, Any]:
    """The features, (n, columns)."""
    out = da.augment(events, step, dataset="ttbar")
    return np.stack([ak.to_numpy(out[name]) for name in step.feature_names], axis=1)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "lbn.safetensors"
    da.save_lbn_weights(path, *WEIGHTS)
    return str(path)


def test_columns_and_their_names() -> None:
    step = lbn(features=["E", "pair_cos"])
    names = [f"lbn_E_{i}" for i in range(4)] + [f"lbn_pair_cos_{i}_{j}" for i in range(4) for j in range(i + 1, 4)]
    assert list(step.feature_names) == names
    assert step.produces() == dict.fromkeys(names, "float32")
    assert len(lbn(weights={"random": 16}).feature_names) == 5 * 16 + 120
    fields = ("pt", "eta", "phi", "mass")
    assert set(step.uses()) == {f"{name}.{f}" for name in ("Jet", "Electron", "Muon") for f in fields} | {
        "MET.pt",
        "MET.phi",
    }
    out = da.augment(EVENTS, lbn(prefix="net"), dataset="ttbar")
    assert [name for name in out.fields if name not in EVENTS.fields] == sorted(lbn(prefix="net").feature_names)


@pytest.mark.parametrize("boost", ["exact", "lbn"])
def test_features_written_in_numpy(boost: str) -> None:
    """The whole step again, as its paper says it, on arrays of one event after the other."""
    step = lbn(
        weights={"particle_weights": WEIGHTS[0], "restframe_weights": WEIGHTS[1]},
        boost=boost,
        features=["E", "pt", "m"],
    )
    x = step.inputs.four_vectors(EVENTS)
    p, r = (np.einsum("njc,jm->nmc", x, np.abs(weights)) for weights in WEIGHTS)
    norm = np.linalg.norm(r[..., 1:], axis=-1)
    if boost == "exact":
        mass = np.sqrt(np.maximum(r[..., 0] ** 2 - norm**2, (norm / 1000) ** 2))
        gamma = np.sqrt(mass**2 + norm**2) / mass
        beta = norm / mass / gamma
    else:
        beta = norm / np.maximum(r[..., 0], norm + 1e-5)
        gamma = 1 / np.sqrt(1 - beta**2 + 1e-5)
    unit = r[..., 1:] / norm[..., None]
    along = np.sum(unit * p[..., 1:], axis=-1)
    energy = gamma * (p[..., 0] - beta * along)
    momentum = p[..., 1:] + ((gamma - 1) * along - gamma * beta * p[..., 0])[..., None] * unit
    pt = np.maximum(np.hypot(momentum[..., 0], momentum[..., 1]), 1e-5**0.5)
    before = p if boost == "exact" else np.concatenate([energy[..., None], momentum], axis=-1)
    m = np.sqrt(
        np.maximum(before[..., 0] ** 2 - np.sum(before[..., 1:] ** 2, axis=-1), 0 if boost == "exact" else 1e-5)
    )
    np.testing.assert_allclose(made(step), np.concatenate([energy, pt, m], axis=1), rtol=3e-5, atol=3e-3)


def test_weights_in_a_file_and_in_the_plan_are_the_same(file: str) -> None:
    listed = lbn(weights={"particle_weights": WEIGHTS[0], "restframe_weights": WEIGHTS[1].tolist()})
    assert np.array_equal(made(lbn(weights=file)), made(listed))
    assert lbn(weights=file).sha256 == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert lbn(weights=Path(file)) == lbn(weights=file) != listed


def test_absolute_and_clipped_weights() -> None:
    listed = {"particle_weights": WEIGHTS[0], "restframe_weights": WEIGHTS[1]}
    for options, expected in (
        ({}, np.abs(WEIGHTS)),
        ({"abs_weights": False}, WEIGHTS),
        ({"clip_weights": 0.5}, np.maximum(np.abs(WEIGHTS), 0.5)),
        ({"abs_weights": False, "clip_weights": 0}, np.maximum(WEIGHTS, 0)),
    ):
        assert np.array_equal(lbn(weights=listed, **options).final_weights(), expected)


def test_random_weights() -> None:
    particles, frames = lbn(weights={"random": 500, "seed": 1}, abs_weights=False).final_weights()
    assert particles.shape == frames.shape == (7, 500)
    assert not np.array_equal(particles, frames)
    for weights in (particles, frames):
        assert abs(weights.mean()) < 5 * weights.std() / np.sqrt(3500)
        assert weights.std() == pytest.approx(1 / 500, rel=0.06)
    # Pinned: a plan that says so must mean the same weights for ever.
    assert lbn(abs_weights=False).final_weights()[0][0] == pytest.approx(PINNED, rel=1e-15)
    assert lbn() == lbn() != lbn(weights={"random": 4, "seed": 4})
    assert lbn(weights={"random": 4}) == lbn(weights={"random": 4, "seed": 0})


PINNED = [-0.297751558051854, 0.370208122139012, 0.3131377300561678, -0.06857322880579367]


def test_events_without_objects() -> None:
    events = EVENTS[ak.num(EVENTS.Jet) == 0]
    found = made(lbn(inputs=["Jet[:4]"]), events)
    assert len(found) > 20
    assert np.all(np.isfinite(found))
    assert np.all(found == found[0])


def test_nan_spoils_its_event() -> None:
    phi = ak.to_numpy(EVENTS.MET.phi).copy()
    phi[5] = np.nan
    found, plain = made(lbn(), ak.with_field(EVENTS, phi, ["MET", "phi"])), made(lbn())
    assert np.all(np.isnan(found[5]))
    assert np.array_equal(np.delete(found, 5, axis=0), np.delete(plain, 5, axis=0))


def test_plan(file: str) -> None:
    entry = {
        "lbn": {"inputs": ["Jet[:6]", {"objects": "Muon[0]", "mass": 0.10566}], "weights": {"random": 3, "seed": 1}}
    }
    step = step_from(entry, 0, Path())
    assert step_to(step) == entry
    beside = step_from({"lbn": {"inputs": list(INPUTS), "weights": Path(file).name}}, 0, Path(file).parent)
    assert beside == lbn(weights=file)
    assert step_from(step_to(beside), 0, Path()) == beside


def test_changed_file(file: str) -> None:
    pinned = step_to(lbn(weights=file))
    da.save_lbn_weights(file, *WEIGHTS * 2)
    with pytest.raises(
        PlanError, match=r"has changed: its sha256 is \w{64}, the plan was made with \w{64}; take the old"
    ):
        step_from(pinned, 0, Path())


def test_missing_columns() -> None:
    with pytest.raises(MissingColumn, match=r"no column 'Photon\.\w+' among the events"):
        made(lbn(inputs=["Photon[0]"]))
    photons = ak.with_field(EVENTS, EVENTS.Electron[["pt", "eta", "phi"]], "Photon")
    with pytest.raises(
        MissingColumn, match=r"finds no column 'Photon\.mass' among the events; give these objects a mass"
    ):
        made(lbn(inputs=["Photon[0]"]), photons)
    assert np.all(np.isfinite(made(lbn(inputs=[{"objects": "Photon[0]", "mass": 0}]), photons)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"particle_weights": WEIGHTS[0][:5], "restframe_weights": WEIGHTS[1]}},
         r"particle_weights of weights has shape \(5, 5\), and inputs are 7 objects \(Jet\[0\], .*, MET\): its shape must be"),
        ({"weights": {"particle_weights": WEIGHTS[0], "restframe_weights": WEIGHTS[1][:, :2]}},
         r"particle_weights and restframe_weights of weights have shapes \(7, 5\) and \(7, 2\)"),
        ({"weights": {"particle_weights": WEIGHTS[0] * np.nan, "restframe_weights": WEIGHTS[1]}}, "holds NaN or infinity"),
        ({"weights": {"particle_weights": WEIGHTS[0]}}, "weights must be a file, {random: 16, seed: 1}, or"),
        ({"weights": {"particle_weights": [[1], [2, 3]], "restframe_weights": WEIGHTS[1]}},
         "particle_weights and restframe_weights must each be rows of numbers, all of one length"),
        ({"weights": {"random": 0}}, "weights: random must be a whole number of at least 1, got 0"),
        ({"weights": {"random": 3, "seed": -1}}, "weights: seed must be a whole number of at least 0, got -1"),
        ({"weights": RANDOM, "sha256": "0" * 64}, "sha256 is of a file of weights"),
        ({"features": ["E", "pair_dy"]}, r"features has unknown names \['pair_dy'\]; did you mean 'pair_dr'"),
        ({"features": ["E", "E"]}, "features must name one or more of .*, each once"),
        ({"features": []}, "features must name one or more"),
        ({"weights": {"random": 1}}, r"features has \['pair_cos'\] of pairs, and the weights make 1 combination"),
        ({"boost": "galilei"}, r"boost must be one of \['exact', 'lbn'\], got 'galilei'"),
        ({"gamma_max": 1}, "gamma_max must be a finite number above 1, got 1"),
        ({"clip_weights": True}, "clip_weights must be a finite number or None, got True"),
        ({"prefix": "a.b"}, "prefix must be a name such as 'lbn', got 'a.b'"),
    ],
)  # fmt: skip
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lbn(**options)


def test_features_are_a_list() -> None:
    with pytest.raises(TypeError, match=r"features must be a list, got 'E'; write \['E'\]"):
        lbn(features="E")
    with pytest.raises(TypeError, match="features must be a list, got None"):
        lbn(features=None)
    with pytest.raises(TypeError, match=r"weights must be a file, .* got \[\[1, 2\]\]"):
        lbn(weights=[[1, 2]])


def test_bad_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(FileNotFoundError, match="cannot be read"):
        lbn(weights=str(tmp_path / "none.safetensors"))
    save_file({"particle_weights": WEIGHTS[0]}, tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match=r"has no restframe_weights, it has \['particle_weights'\]; write it with"):
        lbn(weights=str(tmp_path / "half.safetensors"))
    with pytest.raises(ValueError, match=r"must both be \(inputs, combinations\), got \(7, 5\) and \(5, 7\)"):
        da.save_lbn_weights(tmp_path / "x.safetensors", WEIGHTS[0], WEIGHTS[1].T)


def test_real_events_eager_and_lazy(nano: Callable[[str], str]) -> None:
    uproot = pytest.importorskip("uproot")
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    path = nano("nano_tt_v12")
    step = lbn(inputs=["Jet[:6]", "Electron[0]", "Muon[0]", {"objects": "FatJet[0]", "mass": "msoftdrop"}, "PuppiMET"])
    events = uproot.open(path)["Events"].arrays([name.replace(".", "_") for name in step.uses()])
    eager = da.augment(events, step, dataset="ttbar")
    lazy = da.augment(uproot.dask({path: "Events"}, steps_per_file=3, open_files=False), step, dataset="ttbar")
    assert lazy.npartitions == 3
    computed = lazy[list(step.feature_names)].compute(scheduler="sync")
    for name in step.feature_names:
        values = ak.to_numpy(eager[name])
        assert np.array_equal(values, ak.to_numpy(computed[name]))
        assert np.all(np.isfinite(values))
    assert len(np.unique(ak.to_numpy(eager.lbn_m_0))) == len(events)
