"""The closure test: response and efficiency against NumPy, the same in every frame, and verdicts that can fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy import stats

import bundle_toys
import dask_augment as da
from dask_augment.events.columns import MissingColumn, flatten
from dask_augment.models import bundle
from dask_augment.models.files import located
from frame_toys import to_pandas

pytest.importorskip("torch")

SHIPPED = "shipped:bundles/jets"
FIELDS = ("pt", "eta", "phi", "mass")
SIGMA, LOGIT = 0.15, 1.0


def branches(*collections: str) -> list[str]:
    names = [f"{name}_{field}" for name in collections for field in FIELDS]
    return ["run", "luminosityBlock", "event", *names, *(["Jet_genJetIdx"] if "Jet" in collections else [])]


def shipped(name: str, events: int | None = None) -> ak.Array:
    file = uproot.open(located(f"shipped:{name}.root"))
    return file["Events"].arrays(branches("GenJet", "Jet"), entry_stop=events)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> da.FastSim:
    """log of the response is N(-0.02, 0.15^2), found with 1 / (1 + e^-1); no threshold."""
    folder = tmp_path_factory.mktemp("bundles") / "toy"
    return da.FastSim(model=bundle_toys.write(folder, logit=LOGIT))


def detector(width: float = SIGMA, shift: float = -0.02, lost: float = 0.0, fakes: int = 0, n: int = 1500) -> ak.Array:
    """Events with reconstructed jets of that same response, or of another one, drawn by NumPy."""
    rng = np.random.default_rng(11)
    events = bundle_toys.generated(n)
    index, pt = [], []
    for jets in events.GenJet.pt.to_list():
        found = np.flatnonzero(rng.random(len(jets)) < (1 - lost) / (1 + np.exp(-LOGIT)))
        made = np.array(jets)[found] * np.exp(shift + width * rng.normal(size=len(found)))
        keep = np.isfinite(made)
        index.append([*found[keep].tolist(), *[-1] * fakes, *[90] * fakes])
        pt.append([*made[keep].tolist(), *[30.0] * fakes, *[40.0] * fakes])
    return ak.with_field(events, ak.zip({"pt": ak.Array(pt), "genJetIdx": ak.Array(index)}), "Jet")


def test_response_as_numpy_has_it(toy: da.FastSim) -> None:
    events = detector(fakes=1)
    found = da.closure(events, toy, bins=[20, 40, 80, 200])
    out = da.augment(events, toy, seed=1, dataset="closure")
    for name, side in (("Jet", 0), ("FastJet", 1)):
        collection = out[name]
        inside = (collection.genJetIdx >= 0) & (collection.genJetIdx < ak.num(out.GenJet)) & np.isfinite(collection.pt)
        generated = flatten(out.GenJet.pt[collection.genJetIdx[inside]]).astype(float)
        response = flatten(collection.pt[inside]) / generated
        for entry in found.bins:
            mine = response[(generated >= entry.low) & (generated < entry.high)]
            everyone = flatten(out.GenJet.pt)
            assert entry.generated == np.count_nonzero((everyone >= entry.low) & (everyone < entry.high))
            assert entry.efficiency[side] == len(mine) / entry.generated
            low, middle, high = np.quantile(mine, [0.16, 0.5, 0.84])
            assert entry.median[side] == pytest.approx(middle, abs=3e-3)
            assert entry.width[side] == pytest.approx((high - low) / 2, abs=3e-3)
            assert entry.width[side] == pytest.approx(SIGMA, rel=0.2)
        pt = flatten(collection.pt)
        assert found.objects[side] == pytest.approx(np.isfinite(pt).sum() / len(events), rel=1e-12)
        assert found.scalar_sum[side] == pytest.approx(np.nansum(pt.astype(float)) / len(events), rel=1e-6)
    assert found.unmatched == 2 * len(events) / ak.sum(ak.num(out.Jet))
    assert found.holds
    assert found.verdict.startswith("holds: ")
    assert json.loads(json.dumps(found.to_dict()))["holds"] is True


@pytest.mark.parametrize(
    ("changes", "off"),
    [({"width": 0.25}, "width"), ({"width": 0.1}, "width"), ({"shift": 0.08}, "median"), ({"lost": 0.3}, "efficiency")],
)
def test_what_does_not_hold(toy: da.FastSim, changes: dict[str, float], off: str) -> None:
    found = da.closure(detector(**changes), toy, bins=[20, 40, 80, 200])
    assert found.holds is False
    assert all(off in entry.off for entry in found.bins if entry.generated > 800)
    assert f"does not hold for these events: 20-40: {off}" in found.verdict
    assert found.verdict in repr(found)


def test_a_model_that_finds_nothing_does_not_hold(tmp_path: Path) -> None:
    never = da.FastSim(model=bundle_toys.write(tmp_path / "never", logit=-80.0))
    found = da.closure(detector(), never, bins=[20, 200])
    assert found.bins[0].off == ("efficiency",)
    assert found.bins[0].efficiency[1] == 0


def test_the_shipped_model_holds_for_shipped_events() -> None:
    for name, more in (("wz", -0.03), ("qcd", -0.02)):
        found = da.closure(shipped(name), da.FastSim(), dataset=name)
        assert found.holds, repr(found)
        assert found.objects[1] / found.objects[0] - 1 == pytest.approx(more, abs=0.01)
        assert all(0.9 < entry["width"] < 1.1 and abs(entry["mean"]) < 0.15 for entry in found.conditions.values())
        assert all(entry["in_range"] > 0.99 for entry in found.conditions.values())
        # What the manifest says of these very events.
        effects = found.sample.effects[name] if found.sample else {}
        assert effects["unmatched"] == pytest.approx(found.unmatched, abs=2e-3)
        assert effects["objects"] == pytest.approx(found.objects[1] / found.objects[0] - 1, abs=2e-3)
        assert effects["scalar_sum"] == pytest.approx(found.scalar_sum[1] / found.scalar_sum[0] - 1, abs=2e-3)


def test_it_does_not_hold_for_real_events(nano: Callable[[str], str]) -> None:
    events = uproot.open(nano("nano_tt_v12"))["Events"].arrays(branches("GenJet", "Jet"))
    found = da.closure(events, da.FastSim())
    assert found.holds is False
    assert found.unmatched == pytest.approx(0.11, abs=0.01)
    assert any("width" in entry.off for entry in found.bins if entry.low == 40)
    few = uproot.open(nano("nano_dy"))["Events"].arrays(branches("GenJet", "Jet"))
    assert da.closure(few, da.FastSim()).holds is None


def test_same_in_every_frame() -> None:
    events = shipped("qcd", 120)
    step = da.FastSim()
    eager = da.closure(events, step).to_dict()
    assert da.closure(to_pandas(events), step).to_dict() == eager
    dd = pytest.importorskip("dask.dataframe")
    assert da.closure(dd.from_pandas(to_pandas(events), npartitions=5), step).to_dict() == eager
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    for partitions in (1, 7):
        assert da.closure(dak.from_awkward(events, npartitions=partitions), step).to_dict() == eager


def test_events_without_reconstructed_objects() -> None:
    generated = shipped("wz", 300)[branches("GenJet")]
    with pytest.raises(MissingColumn, match=r"'Jet\.(genJetIdx|pt)'"):
        da.closure(generated, da.FastSim())
    found = da.closure(generated, da.FastSim(), reconstructed=None)
    assert found.holds is None
    assert found.bins == ()
    assert set(found.conditions) == {"pt", "eta", "mass"}
    values = flatten(generated.GenJet_pt).astype(float)
    entry = next(e for e in da.FastSim().about.inputs if e.column == "pt")
    assert found.conditions["pt"]["mean"] == pytest.approx(entry.standardised(values).mean(), abs=1e-5)
    assert found.conditions["pt"]["width"] == pytest.approx(entry.standardised(values).std(), abs=1e-5)
    assert found.conditions["pt"]["in_range"] == entry.inside(values).mean()
    assert "pt: mean" in repr(found)


def test_odd_numbers_and_no_events(toy: da.FastSim) -> None:
    events = detector(n=60)
    odd = ak.with_field(events, ak.zip({"pt": events.Jet.pt * np.nan, "genJetIdx": events.Jet.genJetIdx}), "Jet")
    found = da.closure(odd, toy)
    assert found.objects[0] == 0
    assert found.unmatched == 0
    assert "nan" in repr(found)
    with pytest.raises(ValueError, match="there are no events to compare"):
        da.closure(events[:0], toy)
    none = ak.with_field(events, events.Jet[events.Jet.pt < 0], "Jet")
    assert da.closure(none, toy).objects[0] == 0


def test_what_is_refused(toy: da.FastSim) -> None:
    with pytest.raises(TypeError, match="step must be a FastSim, whose response is compared, got Repeat"):
        da.closure(detector(n=5), da.Repeat(n=1))
    for bins in ([10], [20, 10], [10, 10, 20]):
        with pytest.raises(ValueError, match="bins must be two or more rising edges in generated pT"):
            da.closure(detector(n=5), toy, bins=bins)
    flat = ak.with_field(detector(n=5), np.ones(5), "Jet")
    with pytest.raises(MissingColumn):
        da.closure(flat, toy)


def test_threshold_of_the_model(tmp_path: Path) -> None:
    """Objects below it are left out on both sides: the full simulation's, too, where it has some."""
    pt, *others = bundle_toys.OUTPUTS
    about = bundle_toys.manifest(outputs=(replace(pt, threshold=30.0), *others))
    bundle.write(tmp_path / "cut", about, bundle_toys.arrays(about, logit=LOGIT))
    found = da.closure(detector(n=2000), da.FastSim(model=str(tmp_path / "cut")), bins=[32, 200])
    low = np.log(30 / 60)
    assert found.bins[0].efficiency[0] == pytest.approx(
        stats.norm(-0.02, SIGMA).sf(low) / (1 + np.exp(-LOGIT)), abs=0.12
    )
    assert found.bins[0].efficiency[0] == pytest.approx(found.bins[0].efficiency[1], abs=0.06)
