"""Models and weights that a plan names are files of its data set: of use where those that it was made with are gone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import bundle_toys
import dask_augment as da
from dask_augment.dataset.manifest import Manifest, document
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dask_augment.plans import registry
from dask_augment.plans.plan import Plan, PlanError
from dataset_toys import seal
from policy_toys import Policy
from run_toys import write

STEPS = [
    {"lbn": {"inputs": ["MET", "MET"], "weights": "lbn.safetensors", "features": ["E", "m"]}},
    {"fast_sim": {"model": "model", "source": "Jet", "target": "FastJet"}},
]


def jets(rows: int = 12) -> Any:
    counts = np.arange(rows) % 4
    value = np.linspace(1, 3, counts.sum(), dtype=np.float32)
    return ak.zip({name: ak.unflatten(value, counts) for name in ("pt", "eta", "phi", "mass")})


def events(rows: int = 12) -> ak.Array:
    ids = {"run": np.ones(rows, int), "luminosityBlock": np.full(rows, 7), "event": np.arange(rows)}
    met = ak.zip({"pt": np.linspace(5, 9, rows), "phi": np.linspace(-3, 3, rows)})
    return ak.zip({**ids, "MET": met, "Jet": jets(rows)}, depth_limit=1)


def asked(folder: Path, *steps: Any) -> Plan:
    inputs = {"files": str(folder / "a.root"), "dataset": "toy"}
    values = {"inputs": inputs, "seed": 7, "split": "none", "steps": steps or STEPS}
    return Plan.from_dict(values, folder=folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with events, weights, a model, and the data set that was made with them."""
    folder = tmp_path_factory.mktemp("made")
    weights = np.arange(4, dtype=np.float32).reshape(2, 2)
    da.save_lbn_weights(folder / "lbn.safetensors", weights, weights + 1)
    bundle_toys.write(folder / "model", seed=3)
    write(folder / "a.root", more={"Jet": jets()})
    da.run(asked(folder), folder / "out", quiet=True)
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data set alone, on another machine: nothing that it was made with is there."""
    hidden = made.with_name("hidden")
    made.rename(hidden)
    monkeypatch.chdir(tmp_path)
    yield Path(shutil.copytree(hidden / "out", tmp_path / "elsewhere"))
    hidden.rename(made)


def augmented(plan: Plan) -> list[Any]:
    return da.augment(events(), *plan.steps, seed=7, dataset="toy", split=None).to_list()  # type: ignore[no-any-return]


def test_they_are_listed(made: Path) -> None:
    manifest = Manifest.read(made / "out")
    weights, model = (files.sha256(made / name) for name in ("lbn.safetensors", "model/manifest.json"))
    assert {file.path for file in manifest.artefacts} == {
        f"_learned/{weights}.safetensors", f"_learned/{model}/manifest.json", f"_learned/{model}/weights.safetensors",
    }  # fmt: skip
    for file in manifest.artefacts:
        assert file.sha256 == files.sha256(made / "out" / file.path)
    assert verify(made / "out", deep=True).ok


def test_they_are_of_use_where_the_others_are_gone(made: Path, out: Path) -> None:
    back = da.published_plan(out)
    made.with_name("hidden").rename(made)
    expected = augmented(asked(made))
    made.rename(made.with_name("hidden"))
    assert augmented(back) == expected
    assert augmented(da.published_plan("elsewhere").for_analysis()) == expected


def test_those_that_are_as_they_were_are_taken(made: Path) -> None:
    """The plan is then the one that stands."""
    back = da.published_plan(made / "out")
    assert dict(back.steps) == {"lbn": asked(made).steps[0], "fast_sim": asked(made).steps[1]}


@pytest.mark.parametrize("name", ["lbn.safetensors", "model/manifest.json"])
def test_others_of_their_names_are_not_taken(made: Path, name: str) -> None:
    kept = (made / name).read_bytes()
    expected = augmented(asked(made))
    try:
        (made / name).write_bytes(b"{}")
        assert augmented(da.published_plan(made / "out")) == expected
    finally:
        (made / name).write_bytes(kept)


def test_of_steps_inside_steps(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{Policy.__module__}:{Policy.__qualname__}"
    monkeypatch.setattr(registry, "TABLE", {**registry.TABLE, "policy": name})
    result = da.run(asked(made, {"policy": STEPS[:1]}), tmp_path / "out", quiet=True)
    assert [Path(file.path).suffix for file in result.manifest.artefacts] == [".safetensors"]


def test_what_is_shipped_stays_a_reference(made: Path, tmp_path: Path) -> None:
    step = {"fast_sim": {"model": "shipped:bundles/jets", "source": "Jet", "target": "FastJet"}}
    result = da.run(asked(made, step), tmp_path / "out", quiet=True)
    assert result.manifest.artefacts == ()
    assert "files" not in result.manifest.extra
    assert len(result.manifest.plan["steps"][0]["fast_sim"]["sha256"]) == 64


def weights_of(out: Path) -> Path:
    return next((out / "_learned").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda out: weights_of(out).unlink(), r"_learned/\w+.safetensors is missing"),
        (lambda out: weights_of(out).write_bytes(weights_of(out).read_bytes()[::-1]), "has another sha256"),
        (
            lambda out: next((out / "_learned").glob("*/weights*")).unlink(),
            r"_learned/\w+/weights.safetensors is missing",
        ),
    ],
)
def test_verify(out: Path, damage: Callable[[Path], Any], fault: str) -> None:
    damage(out)
    assert re.search(fault, verify(out).faults[0])


def test_what_has_changed_is_not_used(out: Path) -> None:
    weights_of(out).write_bytes(b"others")
    with pytest.raises(PlanError, match=r"_learned/\w+.safetensors' has changed: its sha256 is"):
        da.published_plan(out)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "_learned/x.safetensors"])
def test_a_manifest_names_no_other_files(out: Path, name: str) -> None:
    values = document(out)
    values["extra"]["files"] = dict.fromkeys(values["extra"]["files"], name)
    seal(out, values)
    assert any("is not among the files of the manifest" in fault for fault in verify(out).faults)
    with pytest.raises(PlanError, match="cannot be read"):
        da.published_plan(out)
