"""No yield changes, no test event leaks, variations stay together, and collision data are never trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pytest
import uproot

import dask_augment as da
import whole_toys
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import published_plan, run

BEFORE = (da.Split(train=0.6, validation=0.2), da.Define(HT="sum(Jet.pt)", lead="max(Jet.pt)"))
MAKERS: dict[str, Any] = {
    "repeat": da.Repeat(n=3),
    "oversample": da.Oversample(strata=["dataset", da.Bins("HT", [0, 200, 400])]),
}
HISTOGRAMS = {"HT": np.linspace(0, 1000, 26), "MET_pt": np.linspace(0, 300, 31), "nJet": np.arange(12.0)}
IDS = ("dataset", "run", "luminosityBlock", "event")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_toys.fileset(tmp_path_factory.mktemp("inputs"), 1500)


def published(inputs: dict[str, Any], steps: tuple[Any, ...], out: Path) -> pa.Table:
    run(whole_toys.plan(inputs, steps), out, chunksize=150)
    return whole_toys.table(out)


def ids(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in IDS), strict=True))


@pytest.fixture(scope="module")
def original(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return published(inputs, BEFORE, tmp_path_factory.mktemp("original") / "out")


def copied(inputs: dict[str, Any], tmp_path: Path, maker: str) -> pa.Table:
    return published(inputs, (*BEFORE, MAKERS[maker], da.PhiRotate(columns=("Jet.phi", "MET.phi"))), tmp_path / "out")


def histogram(table: pa.Table, name: str, power: int) -> np.ndarray[Any, Any]:
    weights = table["weight"].to_numpy() ** power
    return np.histogram(table[name].to_numpy(), HISTOGRAMS[name], weights=weights)[0]


@pytest.mark.parametrize("maker", MAKERS)
def test_copies(inputs: dict[str, Any], original: pa.Table, tmp_path: Path, maker: str) -> None:
    table = copied(inputs, tmp_path, maker)
    assert table.num_rows > 1.2 * original.num_rows
    for name in HISTOGRAMS:
        for power in (1, 2):
            before, after = histogram(original, name, power), histogram(table, name, power)
            np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-15)
            assert np.count_nonzero(before) > 4

    made = table.filter(pa.array(table["augment_kind"].to_numpy() != 0))
    split = dict(zip(ids(original), original["split"].to_pylist(), strict=True))
    assert {split[parent] for parent in ids(made)} == {0}, "the parents of all copies are training events"
    assert set(made["split"].to_pylist()) == {0}
    kept = table.filter(pa.array(table["augment_kind"].to_numpy() == 0))
    assert sorted(ids(kept)) == sorted(ids(original)), "no original is lost or doubled"
    assert dict(zip(ids(kept), kept["split"].to_pylist(), strict=True)) == split
    copies = list(zip(ids(table), table["augment_copy"].to_pylist(), strict=True))
    assert len(set(copies)) == len(copies), "each row has a key of its own"


def test_train_weights_of_strata_are_kept(inputs: dict[str, Any], tmp_path: Path) -> None:
    """Oversampling shares each event's weight for training with its copies, exactly."""
    table = copied(inputs, tmp_path, "oversample")
    training = table.filter(pa.array(table["split"].to_numpy() == 0))
    units = training["train_weight"].to_numpy() * 2**32
    assert (units == np.rint(units)).all()
    originals = np.count_nonzero(training["augment_kind"].to_numpy() == 0)
    assert int(units.astype(np.int64).sum()) == originals * 2**32


@pytest.mark.parametrize("scale", [1.1, 0.9])
def test_a_variation_keeps_its_events(inputs: dict[str, Any], tmp_path: Path, scale: float) -> None:
    """Jets with another energy scale: the same events are copied and dropped, with the same random numbers."""
    balance = da.Undersample(strata=["dataset", da.Bins("MET.pt", [0, 40])])
    rotate = da.PhiRotate(originals=True, columns=("Jet.phi", "MET.phi"))
    shifted = ("shifted", da.Define({"Jet.pt": f"Jet.pt * {scale}"}))
    steps = (BEFORE[0], balance, da.Repeat(n=1), rotate)
    nominal = published(inputs, steps, tmp_path / "nominal")
    varied = published(inputs, (BEFORE[0], shifted, *steps[1:]), tmp_path / "varied")
    order = [(name, "ascending") for name in (*IDS, "augment_copy")]
    nominal, varied = nominal.sort_by(order), varied.sort_by(order)
    for name in (*IDS, "augment_copy", "split", "weight", "Jet_phi", "MET_phi"):
        assert nominal[name].equals(varied[name]), name
    ratio = ak.flatten(ak.from_arrow(varied["Jet_pt"])) / ak.flatten(ak.from_arrow(nominal["Jet_pt"]))
    np.testing.assert_allclose(ratio, scale, rtol=1e-6)


# Training, analysis, data ---------------------------------------------------------------------------------------------


def collisions(inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The events of one file without anything of a generator, as collision data."""
    path = folder / "data.root"
    with uproot.open(next(iter(inputs["signal"]["files"]))) as file:
        names = sorted(set(file["Events"].keys()) - {"genWeight", "nJet", "nMuon"})
        events = file["Events"].arrays(names)
    jagged = {}
    for head in ("Jet", "Muon"):
        fields = [name.partition("_")[2] for name in names if name.startswith(f"{head}_")]
        jagged[head] = ak.without_parameters(ak.zip({field: events[f"{head}_{field}"] for field in fields}))
    plain = {name: events[name].to_numpy() for name in names if "_" not in name or name.startswith("MET_")}
    with uproot.recreate(path) as file:
        kinds = {name: values.dtype for name, values in plain.items()} | {name: v.type for name, v in jagged.items()}
        file.mktree("Events", kinds).extend(plain | jagged)
    return {"data": {"files": {str(path): "Events"}, "metadata": {"is_mc": False}}}


def test_collision_data_and_training(inputs: dict[str, Any], tmp_path: Path) -> None:
    data = collisions(inputs, tmp_path)
    with pytest.raises(PlanError, match=r"'data' is collision data .* but 'repeat' is a training step"):
        run(whole_toys.plan({**inputs, **data}, (*BEFORE, MAKERS["repeat"])), tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []
    result = run(whole_toys.plan(data, BEFORE), tmp_path / "out")
    assert set(whole_toys.table(result.path)["weight"].to_pylist()) == {1.0}


def test_generator_columns_of_collision_data(inputs: dict[str, Any], tmp_path: Path) -> None:
    said = {"data": {**inputs["signal"], "metadata": {"is_mc": False}}}
    with pytest.raises(PlanError, match=r"'data' is collision data .*, but 'genWeight' of .* is a generator column"):
        run(whole_toys.plan(said, BEFORE), tmp_path / "out")


def test_for_analysis(inputs: dict[str, Any], original: pa.Table, tmp_path: Path) -> None:
    """A published plan without its training steps gives every event once, with its full weight, data too."""
    copied(inputs, tmp_path, "oversample")
    analysis = published_plan(tmp_path / "out").for_analysis()
    assert [label for label, _ in analysis.steps] == ["split", "define"]
    assert all(step.use == "always" for _, step in analysis.steps)
    run(analysis, tmp_path / "analysis")
    table = whole_toys.table(tmp_path / "analysis")
    assert sorted(ids(table)) == sorted(ids(original))
    for name in HISTOGRAMS:
        np.testing.assert_array_equal(histogram(table, name, 0), histogram(original, name, 0))
        np.testing.assert_allclose(histogram(table, name, 1), histogram(original, name, 1), rtol=1e-12, atol=1e-15)
    run(whole_toys.plan(collisions(inputs, tmp_path), analysis.steps), tmp_path / "data")
