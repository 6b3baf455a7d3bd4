"""Training: the same weights for the same numbers, the toy's response found again, torch left as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dask_augment.kernels.mantissa import rounded
from dask_augment.models import bundle
from dask_augment.models.inference import network, sample
from dask_augment.models.transforms import Input, Output
from dask_augment.training.loop import Schedule, train_bundle

torch = pytest.importorskip("torch")

INPUTS = (Input(column="pt", unit="GeV", transform="log", range=(10.0, 500.0)),)
OUTPUTS = (Output(column="pt", unit="GeV", transform="log_ratio", of="pt"),)
SMALL = {"components": 2, "hidden": 32, "layers": 2}


def toy(n: int, seed: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """log of the response is N(0.1 - 1/pt, (1.5/sqrt(pt))^2); found with a probability that rises with pT."""
    rng = np.random.default_rng(seed)
    pt = 10 * np.exp(rng.uniform(0, 3.5, n))
    reco = pt * np.exp(0.1 - 1 / pt + 1.5 / np.sqrt(pt) * rng.normal(size=n))
    return {"pt": pt}, {"pt": reco}, rng.random(n) < 1 / (1 + np.exp(-(pt - 20) / 5))


def trained(folder: Path, n: int = 12_000, epochs: int = 25, seed: int = 1, **changes: Any) -> bundle.Manifest:
    generated, reconstructed, found = toy(n, 3)
    options = {
        "inputs": INPUTS, "outputs": OUTPUTS, "generated": generated, "reconstructed": reconstructed, "found": found,
        "trained_on": {"sample": "toy"}, "licence": "CC0-1.0", "sizes": SMALL,
        "schedule": Schedule(epochs=epochs, batch=256, seed=seed),
    }  # fmt: skip
    return train_bundle(folder, **(options | changes))


@pytest.mark.slow
def test_response_is_found_again(tmp_path: Path) -> None:
    losses: list[float] = []
    about = trained(tmp_path / "toy", told=lambda _, loss: losses.append(loss))
    assert len(losses) == 25
    assert losses[-1] < losses[0] - 0.1
    name = str(tmp_path / "toy")
    net = network(name, bundle.sha256_of(name))
    pt = np.repeat([13.0, 40.0, 200.0], 20_000)
    rng = np.random.default_rng(1)
    cond = about.inputs[0].standardised(pt)[:, None]
    x, efficiency = sample(net, cond, rng.normal(size=(len(pt), 1)), rng.random(len(pt)), batch=1024)
    logs = np.log(about.outputs[0].value(x[:, 0], {"pt": pt}) / pt).reshape(3, -1)
    true_pt = pt.reshape(3, -1)[:, 0]
    np.testing.assert_allclose(logs.mean(1), 0.1 - 1 / true_pt, atol=0.02)
    np.testing.assert_allclose(logs.std(1), 1.5 / np.sqrt(true_pt), rtol=0.06)
    np.testing.assert_allclose(efficiency.reshape(3, -1)[:, 0], 1 / (1 + np.exp(-(true_pt - 20) / 5)), atol=0.03)


def test_manifest(tmp_path: Path) -> None:
    about = trained(tmp_path / "toy", n=2000, epochs=1)
    assert about.trained_on == {"sample": "toy", "objects": 2000}
    assert about.inputs[0].range == (10.0, 500.0)
    assert about.inputs[0].mean == pytest.approx(np.log(toy(2000, 3)[0]["pt"]).mean())
    assert about.efficiency
    every = trained(tmp_path / "every", n=2000, epochs=1, found=np.ones(2000, bool))
    assert not every.efficiency
    few = trained(tmp_path / "few", n=2000, epochs=1, inputs=(Input(column="pt", transform="log", range=(20, 80)),))
    assert few.trained_on["objects"] == np.count_nonzero((toy(2000, 3)[0]["pt"] >= 20) & (toy(2000, 3)[0]["pt"] <= 80))


def test_bits_and_threshold_of_the_sample(tmp_path: Path) -> None:
    """How the values that were found are stored is seen; what is not found says nothing."""
    _, reconstructed, found = toy(2000, 3)
    assert trained(tmp_path / "whole", n=2000, epochs=1).outputs[0].bits is None
    stored = {"pt": rounded(reconstructed["pt"].astype(np.float32), 10)}
    stored["pt"][~found] = np.float32(1 / 3)
    about = trained(tmp_path / "stored", n=2000, epochs=1, reconstructed=stored)
    assert about.outputs[0].bits == 10
    double = (replace(OUTPUTS[0], type="float64"),)
    assert trained(tmp_path / "double", n=2000, epochs=1, reconstructed=stored, outputs=double).outputs[0].bits is None
    above = (replace(OUTPUTS[0], threshold=float(stored["pt"][found].min())),)
    assert trained(tmp_path / "above", n=2000, epochs=1, reconstructed=stored, outputs=above).outputs[0].threshold > 1
    high = (replace(OUTPUTS[0], threshold=50.0),)
    with pytest.raises(
        ValueError, match=r"output 'pt': \d+ of \d+ objects that were found have less than threshold=50.0"
    ):
        trained(tmp_path / "high", n=2000, epochs=1, reconstructed=stored, outputs=high)


def test_same_numbers_same_weights(tmp_path: Path) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    digests = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        torch.manual_seed(len(digests))
        trained(tmp_path / name, n=3000, epochs=2, seed=seed)
        digests[name] = bundle.sha256_of(str(tmp_path / name))
    assert digests["one"] == digests["again"] != digests["other"]
    torch.set_rng_state(before)
    trained(tmp_path / "more", n=500, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    generated, reconstructed, found = toy(2000, 3)
    lost, unseen = np.flatnonzero(found)[:2], np.flatnonzero(~found)[:3]
    odd = {"pt": reconstructed["pt"].copy()}
    odd["pt"][lost], odd["pt"][unseen] = np.nan, np.inf
    about = trained(tmp_path / "odd", n=2000, epochs=1, reconstructed=odd)
    assert about.trained_on["objects"] == 1998
    assert np.isfinite(about.outputs[0].mean)
    generated["pt"][lost] = np.nan
    trained(tmp_path / "same", n=2000, epochs=1, generated=generated)
    assert (tmp_path / "odd" / bundle.WEIGHTS).read_bytes() == (tmp_path / "same" / bundle.WEIGHTS).read_bytes()


def test_batches_without_any_that_was_found(tmp_path: Path) -> None:
    losses: list[float] = []
    found = np.arange(2000) < 5
    trained(tmp_path / "rare", n=2000, epochs=2, found=found, told=lambda _, loss: losses.append(loss))
    assert np.isfinite(losses).all()
    name = str(tmp_path / "rare")
    assert all(np.isfinite(values).all() for values in bundle.weights(name, bundle.sha256_of(name)).values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"generated": {}}, r"generated lacks pt, which inputs and outputs name; it has \[\]"),
        ({"reconstructed": {"mass": np.ones(50)}}, r"reconstructed lacks pt, .* it has \['mass'\]"),
        ({"reconstructed": {"pt": np.ones(7)}}, r"reconstructed\['pt'\] has shape \(7,\), and found has 50 entries"),
        ({"reconstructed": {"pt": np.full(50, -1.0)}}, "output 'pt': log_ratio is not defined for 50 of 50 objects"),
    ],
)
def test_columns_that_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    fine = {"pt": np.full(50, 30.0)}
    with pytest.raises(ValueError, match=says):
        trained(tmp_path / "none", **({"generated": fine, "reconstructed": fine, "found": np.ones(50, bool)} | changes))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"batch": 0}, {"memory": True}, {"rate": 0.0}])
def test_schedules_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changes))} must be "):
        Schedule(**changes)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    low = {"pt": np.full(50, 3.0)}
    with pytest.raises(ValueError, match=r"nothing to train on: 0 of 50 generated objects lie inside the ranges"):
        trained(tmp_path / "none", generated=low, reconstructed=low, found=np.ones(50, bool))
    fine = {"pt": np.full(50, 30.0)}
    with pytest.raises(ValueError, match="and 0 of them were found"):
        trained(tmp_path / "none", generated=fine, reconstructed=fine, found=np.zeros(50, bool))
    assert not (tmp_path / "none").exists()
