"""fast_sim on bundles made by hand: closed form, order, ranges, odd numbers, and the same bits however events come."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import bundle_toys
import dask_augment as da
from dask_augment.augmenters.fast_sim import FastSim
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import MissingColumn
from dask_augment.laws import check, flattened
from dask_augment.models import bundle, inference
from dask_augment.models.transforms import Input, Output
from dask_augment.plans.plan import Plan

pytest.importorskip("torch")

EVENTS = bundle_toys.generated()
SHIPPED = "shipped:bundles/jets"
FIELDS = ["eta", "genJetIdx", "in_range", "phi", "pt"]
WIDE = bundle_toys.manifest(sizes={"components": 4, "hidden": 64, "layers": 2})


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights: every object has another response and efficiency."""
    return bundle_toys.write(tmp_path_factory.mktemp("bundles") / "wide", WIDE, seed=3)


def simulated(model: str, events: Any = EVENTS, seed: int = 1, **options: Any) -> Any:
    return da.augment(events, FastSim(model=model, **{"batch": 256, **options}), seed=seed, dataset="ttbar", split=None)


def flat(values: Any) -> np.ndarray[Any, Any]:
    return ak.to_numpy(ak.flatten(values, axis=None))


def origin(out: Any, field: str) -> np.ndarray[Any, Any]:
    """The generated value of each reconstructed object, flat."""
    return flat(out.GenJet[field][out.FastJet.genJetIdx])


def test_gaussian_response_in_closed_form(tmp_path: Path) -> None:
    """Weights set by hand: log of the response, and shifts in eta and phi, are Gaussian and correlated as they say."""
    mean, sigma, below = [0.2, -0.4, 0.6], [0.9, 1.3, 0.7], [0.5, -0.2, 0.3]
    model = bundle_toys.write(tmp_path / "toy", mean=mean, log_sigma=np.log(sigma), below=below, logit=40.0)
    events = bundle_toys.generated(3000)
    out = simulated(model, events)
    assert ak.all(ak.num(out.FastJet) == ak.num(out.GenJet))
    ids = {name: ak.to_numpy(events[name]).astype(np.uint64) for name in ("run", "luminosityBlock", "event")}
    draw = Draw(1, "fast_sim", ["ttbar"], ids, np.zeros(len(events), np.int64))
    root = np.diag(sigma)
    root[np.tril_indices(3, -1)] = below
    x = mean + draw.normal(0, counts=ak.to_numpy(ak.num(events.GenJet)), size=3) @ root.T
    gen = {name: flat(events.GenJet[name]).astype(float) for name in ("pt", "eta", "phi")}
    whole = np.isfinite(gen["pt"]) & np.isfinite(gen["phi"])
    gen, x = {name: values[whole] for name, values in gen.items()}, x[whole]
    phi = gen["phi"] + 0.03 * x[:, 2]
    expected = {
        "pt": gen["pt"] * np.exp(-0.02 + 0.15 * x[:, 0]),
        "eta": gen["eta"] + 0.02 * x[:, 1],
        "phi": np.arctan2(np.sin(phi), np.cos(phi)),
    }
    back = ak.argsort(out.FastJet.genJetIdx, axis=1)
    for name, values in expected.items():
        np.testing.assert_allclose(flat(out.FastJet[name][back])[whole], values, rtol=2e-6, atol=1e-6)
    response = np.log(flat(out.FastJet.pt[back])[whole] / gen["pt"])
    assert stats.kstest(response, stats.norm(-0.02 + 0.15 * 0.2, 0.15 * 0.9).cdf).pvalue > 1e-3
    assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] == pytest.approx(0.5 / np.hypot(0.5, 1.3), abs=0.03)


def test_efficiency(tmp_path: Path) -> None:
    events = bundle_toys.generated(5000)
    for logit in (-1.0, 0.7):
        out = simulated(bundle_toys.write(tmp_path / str(logit), logit=logit), events)
        whole = np.isfinite(flat(events.GenJet.pt)) & np.isfinite(flat(events.GenJet.phi))
        found, total = int(np.isfinite(flat(out.FastJet.pt)).sum()), int(whole.sum())
        assert stats.binomtest(found, total, 1 / (1 + np.exp(-logit))).pvalue > 1e-3
    never = simulated(bundle_toys.write(tmp_path / "never", logit=-80.0))
    assert not np.isfinite(flat(never.FastJet.pt)).any()


def test_what_is_found_is_independent_of_its_response(tmp_path: Path) -> None:
    """Of two components far apart, and of both halves of each, the found objects have their shares."""
    about = bundle_toys.manifest(sizes={"components": 2, "hidden": 8, "layers": 1})
    head = {"weight": [np.log(0.3), np.log(0.7)], "mean": [[-6.0, 0, 0], [6.0, 0, 0]], "logit": 0.0}
    bundle.write(tmp_path / "two", about, bundle_toys.arrays(about, **head))
    events = bundle_toys.generated(4000)
    out = simulated(str(tmp_path / "two"), events)
    x = (np.log(flat(out.FastJet.pt) / origin(out, "pt")) + 0.02) / 0.15
    x = x[np.isfinite(x)]
    assert stats.binomtest(len(x), int(np.isfinite(flat(events.GenJet.pt)).sum()), 0.5, "greater").pvalue > 1e-3
    assert stats.binomtest(int((x < 0).sum()), len(x), 0.3).pvalue > 1e-3
    assert stats.kstest(np.where(x < 0, x + 6, x - 6), stats.norm.cdf).pvalue > 1e-3
    # In one event neither: found objects stand beside found ones as often as chance has it.
    found = np.zeros(int(ak.sum(ak.num(events.GenJet))), bool)
    starts = np.cumsum(ak.num(events.GenJet)) - ak.num(events.GenJet)
    found[flat(out.FastJet.genJetIdx + starts)] = True
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4 / np.sqrt(len(found))


def test_what_was_not_in_the_sample_is_not_found(tmp_path: Path) -> None:
    """Below the threshold there is nothing, above it the density of the model, and the efficiency counts both."""
    pt, *others = bundle_toys.OUTPUTS
    events = bundle_toys.generated(4000)
    models = {}
    for name, threshold in (("cut", 40.0), ("all", None)):
        about = bundle_toys.manifest(outputs=(replace(pt, threshold=threshold, bits=10), *others))
        arrays = bundle_toys.arrays(about, log_sigma=[np.log(2.0), 0, 0], logit=-1.5)
        bundle.write(tmp_path / name, about, arrays)
        models[name] = str(tmp_path / name)
    cut, every = (simulated(model, events) for model in models.values())
    made = flat(cut.FastJet.pt)
    assert np.nanmin(made) == 40.0
    assert np.isnan(made).sum() == np.isnan(flat(every.FastJet.pt)).sum() > 50
    generated = flat(events.GenJet.pt)
    near = (generated > 36) & (generated < 60)
    found = np.isfinite(made) & (origin(cut, "pt") > 36) & (origin(cut, "pt") < 60)
    assert stats.binomtest(int(found.sum()), int(near.sum()), 1 / (1 + np.exp(1.5))).pvalue > 1e-3
    # log(pt / g) is normal with mean -0.02 and width 0.3, cut at log(40 / g): its place in that is uniform.
    g, seen = origin(cut, "pt")[found], made[found]
    below = stats.norm(-0.02, 0.3).cdf(np.log(40 / g))
    place = (stats.norm(-0.02, 0.3).cdf(np.log(seen / g)) - below) / (1 - below)
    assert stats.kstest(place, "uniform").pvalue > 1e-3
    assert set(flat(cut.FastJet.pt)[found].view(np.uint32) & 0x1FFF) == {0}


def test_collection(wide: str) -> None:
    out = simulated(wide)
    assert out.fields == [*EVENTS.fields, "FastJet"]
    assert sorted(out.FastJet.fields) == FIELDS
    types = {name: str(ak.type(out.FastJet[name]).content.content) for name in FIELDS}
    assert types == {"pt": "float32", "eta": "float32", "phi": "float32", "genJetIdx": "int32", "in_range": "bool"}
    index = out.FastJet.genJetIdx
    assert ak.all((index >= 0) & (index < ak.num(out.GenJet)))
    assert all(len(set(row)) == len(row) for row in index.to_list())
    assert 0 < ak.sum(ak.num(out.FastJet)) < ak.sum(ak.num(out.GenJet))
    pt = out.FastJet.pt
    last = np.where(np.isnan(flat(pt)), -1.0, flat(pt))
    ordered = ak.unflatten(last, ak.num(pt))
    assert ak.all(ordered[:, :-1] >= ordered[:, 1:])
    assert ak.any(index[:, :-1] > index[:, 1:])  # some have changed places
    assert (np.abs(flat(out.FastJet.phi)[np.isfinite(flat(out.FastJet.phi))]) <= np.float32(np.pi)).all()


def test_equal_pt_stays_in_order(tmp_path: Path) -> None:
    fixed = bundle_toys.manifest(outputs=(Output(column="pt", std=1e-12, mean=50.0), *bundle_toys.OUTPUTS[1:]))
    out = simulated(bundle_toys.write(tmp_path / "fixed", fixed, logit=40.0))
    whole = out.FastJet[np.isfinite(out.FastJet.pt)]
    assert set(flat(whole.pt)) == {50.0}
    assert ak.all(whole.genJetIdx[:, :-1] < whole.genJetIdx[:, 1:])


def test_out_of_range_is_flagged_and_kept(tmp_path: Path) -> None:
    """What lies outside has the response of the nearest value inside."""
    about = bundle_toys.manifest(sizes={"components": 1, "hidden": 4, "layers": 1})
    arrays = bundle_toys.arrays(about, log_sigma=-7.0, logit=40.0)
    arrays["body.0.weight"][0] = [1, 0]
    arrays["head.weight"][1, 0] = 1  # the mean of log pT follows the first input
    bundle.write(tmp_path / "steep", about, arrays)
    pt = np.array([5.0, 10.0, 30.0, 1000.0, 4000.0, 30.0, 30.0], np.float32)
    eta = np.array([0, 0, 0, 0, 0, 4.8, -4.8], np.float32)
    events = EVENTS[:7]
    events["GenJet"] = ak.unflatten(ak.zip({"pt": pt, "eta": eta, "phi": np.zeros(7, np.float32)}), 1)
    out = simulated(str(tmp_path / "steep"), events)
    assert out.FastJet.in_range.to_list() == [[False], [True], [True], [True], [False], [False], [False]]
    response = flat(out.FastJet.pt) / pt
    assert response[0] == pytest.approx(response[1], rel=2e-3)
    assert response[4] == pytest.approx(response[3], rel=2e-3)
    assert response[3] > response[2] * 1.1 > response[1] * 1.1


def test_numbers_that_are_none(wide: str) -> None:
    out = simulated(wide)
    gen = {name: origin(out, name) for name in ("pt", "phi")}
    odd = ~np.isfinite(gen["pt"]) | ~np.isfinite(gen["phi"])
    assert odd.sum() > 10
    for name in ("pt", "eta", "phi"):
        np.testing.assert_array_equal(np.isnan(flat(out.FastJet[name])), odd)
    assert not flat(out.FastJet.in_range)[odd].any()
    # All of them are kept.
    assert odd.sum() == (~np.isfinite(flat(EVENTS.GenJet.pt)) | ~np.isfinite(flat(EVENTS.GenJet.phi))).sum()
    # The others are what they would have been without them.
    good = EVENTS.GenJet[np.isfinite(EVENTS.GenJet.pt) & np.isfinite(EVENTS.GenJet.phi)]
    clean = ak.num(good) == ak.num(EVENTS.GenJet)
    assert simulated(wide, EVENTS[clean]).FastJet.to_list() == out.FastJet[clean].to_list()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("phi", 57.3, r"'GenJet.phi' holds 57.3, and azimuthal angles in radians .* degrees"),
        ("phi", -999.0, "'GenJet.phi' holds -999, .* marks a missing value"),
        ("pt", -1.0, "'GenJet.pt' holds -1, and a transverse momentum is 0 or more"),
        ("mass", -999.0, "'GenJet.mass' holds -999, and a mass is 0 or more, but for rounding"),
    ],
)
def test_what_no_generated_object_has_is_refused(wide: str, name: str, value: float, says: str) -> None:
    place = np.arange(len(flat(EVENTS.GenJet.pt))) == 3
    values = np.where(place, value, flat(EVENTS.GenJet[name]))
    events = ak.with_field(EVENTS, ak.unflatten(values, ak.num(EVENTS.GenJet)), ["GenJet", name])
    with pytest.raises(ValueError, match=says):
        simulated(wide if name != "mass" else SHIPPED, events)


def test_what_is_odd_and_may_be_right_is_taken(wide: str) -> None:
    """Angles in [0, 2 pi] are the same angles, and a mass may be a little below 0."""
    phi = ak.where(EVENTS.GenJet.phi < 0, EVENTS.GenJet.phi + 2 * np.pi, EVENTS.GenJet.phi)
    before, after = (simulated(wide, e).FastJet for e in (EVENTS, ak.with_field(EVENTS, phi, ["GenJet", "phi"])))
    np.testing.assert_array_equal(flat(before.pt), flat(after.pt))
    whole = np.isfinite(flat(before.pt))
    turned = flat(after.phi)[whole]
    np.testing.assert_allclose(np.cos(turned - flat(before.phi)[whole]), 1, atol=1e-5)
    assert np.all(np.abs(turned) <= np.pi)
    simulated(SHIPPED, ak.with_field(EVENTS, EVENTS.GenJet.pt * 0 - 0.1, ["GenJet", "mass"]))


def test_masked_objects_are_left_out(wide: str) -> None:
    """Missing ones make nothing; the others are what they would have been, with the numbers that they have."""
    keep = EVENTS.GenJet.eta > -1
    jets = ak.zip({name: ak.mask(EVENTS.GenJet[name], keep) for name in EVENTS.GenJet.fields})
    out, whole = simulated(wide, ak.with_field(EVENTS, jets, "GenJet")), simulated(wide)
    seen = whole.FastJet[keep[whole.FastJet.genJetIdx]]
    assert 0 < ak.sum(ak.num(seen)) < ak.sum(ak.num(whole.FastJet))
    assert str(out.FastJet.to_list()) == str(seen.to_list())
    assert ak.type(out.FastJet).content == ak.type(whole.FastJet).content
    masked = ak.with_field(EVENTS, ak.mask(EVENTS.GenJet, keep), "GenJet")
    assert str(simulated(wide, masked).FastJet.to_list()) == str(seen.to_list())
    lost = ak.with_field(EVENTS, ak.mask(EVENTS.GenJet, np.arange(len(EVENTS)) > 3), "GenJet")
    with pytest.raises(
        TypeError, match=r"GenJet\.\w+ has type option\[var \* .* for each event; a list of numbers is needed"
    ):
        simulated(wide, lost)


def test_no_objects(wide: str) -> None:
    events = ak.with_field(EVENTS, EVENTS.GenJet[ak.local_index(EVENTS.GenJet) < 0], "GenJet")
    out = simulated(wide, events)
    assert ak.all(ak.num(out.FastJet) == 0)
    assert ak.type(out.FastJet).content == ak.type(simulated(wide).FastJet).content
    assert ak.type(simulated(wide, EVENTS[:0]).FastJet).content == ak.type(out.FastJet).content
    mixed = simulated(wide, ak.concatenate([events[:3], EVENTS[3:]]))
    assert ak.num(mixed.FastJet)[:3].to_list() == [0, 0, 0]


@given(data=st.data())
@settings(max_examples=20)
def test_same_bits_for_any_slices_and_order(wide: str, data: st.DataObject) -> None:
    batch = data.draw(st.sampled_from([256, 512]))
    whole = simulated(wide, batch=batch).FastJet
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(len(EVENTS))
    borders = [0, *sorted(data.draw(st.lists(st.integers(0, len(EVENTS)), max_size=6))), len(EVENTS)]
    parts = [simulated(wide, EVENTS[order][a:b], batch=batch) for a, b in pairwise(borders)]
    together = ak.concatenate([part.FastJet for part in parts])[np.argsort(order)]
    for name in FIELDS:
        assert flat(together[name]).tobytes() == flat(whole[name]).tobytes()
    assert ak.num(together).to_list() == ak.num(whole).to_list()


def test_copies_draw_anew(wide: str) -> None:
    both = da.augment(EVENTS, da.Repeat(n=2), FastSim(model=wide), seed=1, dataset="ttbar", split=None, weights=())
    made = ak.to_numpy(both.augment_kind) == 1
    one, other = both[~made], both[made]
    assert one.FastJet.to_list() != other.FastJet.to_list()
    alone = simulated(wide, batch=1024)
    assert str(one.FastJet.to_list()) == str(alone.FastJet.to_list())


def test_laws(wide: str) -> None:
    check(FastSim(model=wide, source="GenJet", target="Smeared"), EVENTS, without=["same_in_another_process"])


def test_flat_events(wide: str) -> None:
    out = simulated(wide, flattened(EVENTS))
    assert {f"FastJet_{name}" for name in FIELDS} <= set(out.fields)
    assert str(out.FastJet_pt.to_list()) == str(simulated(wide).FastJet.pt.to_list())


def test_float64_and_integer_columns(wide: str) -> None:
    events = ak.with_field(EVENTS, ak.values_astype(EVENTS.GenJet, "float64"), "GenJet")
    assert str(simulated(wide, events).FastJet.to_list()) == str(simulated(wide).FastJet.to_list())


def test_missing_columns(wide: str, tmp_path: Path) -> None:
    says = r"no column 'GenJet\.eta' among the events; the model '.*wide' needs eta, phi, pt of the .* collision data do not"
    with pytest.raises(MissingColumn, match=says):
        simulated(wide, EVENTS[["run", "luminosityBlock", "event"]])
    inputs = (*bundle_toys.INPUTS, Input(column="hadronFlavour", range=(0, 5)))
    other = bundle_toys.write(tmp_path / "other", bundle_toys.manifest(inputs=inputs), seed=1)
    with pytest.raises(MissingColumn, match=r"'GenJet\.hadronFlavour' among .* needs eta, hadronFlavour, phi, pt of"):
        simulated(other)
    one = ak.with_field(EVENTS, np.ones(len(EVENTS), np.float32), "GenJet")
    with pytest.raises(MissingColumn):
        simulated(wide, one)
    numbers = ak.zip({name: np.ones(len(EVENTS)) for name in ("pt", "eta", "phi")})
    with pytest.raises(TypeError, match=r"GenJet\.eta has type float64 for each event; a list of numbers is needed"):
        simulated(wide, ak.with_field(EVENTS, numbers, "GenJet"))


def test_target_that_is_there(wide: str) -> None:
    once = simulated(wide)
    step = ("again", FastSim(model=wide))
    with pytest.raises(ValueError, match="step 'again' makes a collection 'FastJet', and the events have one"):
        da.augment(once, step, seed=1, dataset="ttbar", split=None)


def test_no_gpu(wide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    step = FastSim(model=wide, device="cuda")
    assert step.resources() == {"GPU": 1}
    assert FastSim(model=wide).resources() == {}
    with pytest.raises(RuntimeError, match=r'device is "cuda", and torch sees no GPU here'):
        da.augment(EVENTS, step, seed=1, dataset="ttbar")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": "Gen.Jet"}, r"source must be the name of a collection, such as 'GenJet', got 'Gen\.Jet'"),
        ({"target": ""}, "target must be the name of a collection"),
        ({"target": "GenJet"}, "target must be a new collection, got 'GenJet', which is the source"),
        ({"device": "tpu"}, "device must be 'cpu' or 'cuda', got 'tpu'"),
        ({"batch": 300}, "batch must be a positive multiple of 256, got 300"),
        ({"sha256": "0" * 64}, r"manifest\.json' has changed: its sha256 is .* the plan was made with 0000"),
    ],
)
def test_options_that_are_refused(wide: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FastSim(**{"model": wide, **options})


def test_bundle_without_pt(tmp_path: Path) -> None:
    about = bundle_toys.manifest(outputs=bundle_toys.OUTPUTS[1:])
    with pytest.raises(
        bundle.BundleError, match=r"makes \['eta', 'phi'\] and no 'pt', by which objects are put in order"
    ):
        FastSim(model=bundle_toys.write(tmp_path / "none", about))


def test_bundle_that_changed_on_the_way(wide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that finds another bundle at the path than the one that the plan was made with refuses it."""
    name = bundle_toys.write(tmp_path / "toy", seed=4)
    step = FastSim(model=name)
    simulated(name)
    for file in Path(name).iterdir():
        file.write_bytes((Path(wide) / file.name).read_bytes())
    bundle.manifest.cache_clear()
    monkeypatch.setattr(inference, "_LOADED", {})
    with pytest.raises(ValueError, match=rf"has changed: its sha256 is .* the plan was made with {step.sha256}"):
        da.augment(EVENTS, step, seed=1, dataset="ttbar")


def test_plan_finds_the_bundle_beside_it_and_pins_it(tmp_path: Path) -> None:
    bundle_toys.write(tmp_path / "toy", seed=4)
    plan = {"inputs": {"a": ["a.root"]}, "seed": 1, "steps": [{"fast_sim": {"model": "toy", "target": "Smeared"}}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    read = Plan.read(tmp_path / "plan.yaml")
    assert read.steps[0] == FastSim(model=str(tmp_path / "toy"), target="Smeared")
    written = read.to_dict()
    assert written["steps"][0]["fast_sim"]["sha256"] == bundle.sha256_of(str(tmp_path / "toy"))
    assert Plan.from_dict(written).digest == read.digest


def test_importing_it_imports_no_torch(wide: str) -> None:
    script = (
        "import sys, json\nfrom dask_augment.augmenters.fast_sim import FastSim\nimport cloudpickle\n"
        f"step = FastSim(model={wide!r})\nstep.uses(), step.produces(), step.digest, cloudpickle.dumps(step)\n"
        "print(json.dumps('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False


def test_real_events_eager_and_lazy(nano: Callable[[str], str]) -> None:
    uproot = pytest.importorskip("uproot")
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    path = nano("nano_tt_v12")
    branches = ["run", "luminosityBlock", "event", *(f"GenJet_{name}" for name in ("pt", "eta", "phi", "mass"))]
    eager = simulated(SHIPPED, uproot.open(path)["Events"].arrays(branches))
    lazy = simulated(SHIPPED, uproot.dask({path: "Events"}, steps_per_file=7, open_files=False))
    read = dak.report_necessary_columns(lazy.FastJet_pt)
    assert set(next(iter(read.values()))) == set(branches)
    fields = [*FIELDS, "mass"]
    computed = lazy[[f"FastJet_{name}" for name in fields]].compute(scheduler="sync")
    assert ak.sum(ak.num(computed.FastJet_pt)) > 500
    for name in fields:
        assert flat(computed[f"FastJet_{name}"]).tobytes() == flat(eager[f"FastJet_{name}"]).tobytes()
        assert ak.num(computed[f"FastJet_{name}"]).to_list() == ak.num(eager[f"FastJet_{name}"]).to_list()
