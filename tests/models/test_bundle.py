"""Bundles: written whole, pinned by one sha256, read without unpickling, refused with one clear sentence."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bundle_toys
from dask_augment.models import bundle
from dask_augment.models.bundle import BundleError, Manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundle_toys.write(tmp_path / "toy", seed=1)
    return tmp_path / "toy"


def edited(folder: Path, **changes: Any) -> tuple[str, str]:
    """The bundle with another manifest, and the sha256 of that."""
    file = folder / bundle.MANIFEST
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))
    return str(folder), bundle.sha256_of(str(folder))


def test_read_as_written(folder: Path) -> None:
    name = str(folder)
    digest = bundle.sha256_of(name)
    about = bundle.manifest(name, digest)
    assert about.columns == {"pt", "eta", "phi"}
    assert about.inputs == bundle_toys.INPUTS
    assert about.outputs == bundle_toys.OUTPUTS
    assert Manifest.from_json(about.to_json().encode()) == about
    found, expected = bundle.weights(f"{name}/", digest), bundle_toys.arrays(about, 1)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "weights.safetensors"]


def test_same_bundle_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert bundle.sha256_of(bundle_toys.write(tmp_path / "again", seed=1)) == bundle.sha256_of(str(folder))
    assert bundle.sha256_of(bundle_toys.write(tmp_path / "other", seed=2)) != bundle.sha256_of(str(folder))


def test_what_is_there_stays(folder: Path) -> None:
    before = bundle.sha256_of(str(folder))
    with pytest.raises(FileExistsError, match=r"toy' is there already: name another folder, or remove it"):
        bundle_toys.write(folder, seed=2)
    assert bundle.sha256_of(str(folder)) == before
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        bundle_toys.write(tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_another_manifest_is_refused(folder: Path) -> None:
    digest = bundle.sha256_of(str(folder))
    name, _ = edited(folder, licence="none")
    with pytest.raises(ValueError, match=rf"manifest\.json' has changed: its sha256 is .* made with {digest}"):
        bundle.manifest(name, digest)


def test_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    other = bundle_toys.write(tmp_path / "other", seed=2)
    shutil.copy(Path(other) / bundle.WEIGHTS, folder)
    with pytest.raises(BundleError, match=r"weights\.safetensors' is not the file that manifest\.json beside it"):
        bundle.weights(str(folder), bundle.sha256_of(str(folder)))


def test_nothing_is_unpickled(folder: Path, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    import hashlib

    (folder / bundle.WEIGHTS).write_bytes(pickle.dumps(Harm()))
    name, digest = edited(folder, weights_sha256=hashlib.sha256((folder / bundle.WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=r"weights\.safetensors' is not a safetensors file"):
        bundle.weights(name, digest)
    assert not (tmp_path / "harm").exists()


def test_bundles_of_before(folder: Path) -> None:
    """Those that say nothing of bits, thresholds and their sample are read, and nothing is done about these."""
    values = json.loads((folder / bundle.MANIFEST).read_text())
    for output in values["outputs"]:
        del output["bits"], output["threshold"]
    del values["sample"]
    (folder / bundle.MANIFEST).write_text(json.dumps(values))
    about = bundle.manifest(str(folder), bundle.sha256_of(str(folder)))
    assert about == Manifest.from_json(about.to_json().encode())
    assert about.sample is None
    assert about.outputs == bundle_toys.OUTPUTS


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "format is 2; this version of the package reads 1"),
        ({"kind": "flow"}, r"kind must be one of \['mixture'\], got 'flow'"),
        ({"sizes": {"hidden": 4}}, r"sizes of a mixture are \['components', 'hidden', 'layers'\], got \['hidden'\]"),
        ({"sizes": {"components": 1, "hidden": -4, "layers": 1}}, r"hidden must be a whole number in \[1, 65536\], got -4"),
        ({"sizes": [1]}, r"sizes must be a dictionary, got \[1\]"),
        ({"inputs": []}, r"inputs must be one or more columns, each named once, got \[\]"),
        ({"inputs": "pt"}, "inputs must be a list, got 'pt'"),
        ({"outputs": [{"column": "pt"}]}, r"an entry of outputs lacks \['mean', .* and has unknown keys not at all"),
        ({"licence": ...}, r"the manifest lacks \['licence'\] and has unknown keys not at all"),
        ({"extra": 1}, r"the manifest lacks nothing and has unknown keys \['extra'\]"),
        ({"efficiency": "yes"}, "efficiency must be true or false, got 'yes'"),
        ({"trained_on": {}}, r"trained_on must say at least sample and objects, got \[\]"),
    ],
)  # fmt: skip
def test_manifests_that_are_refused(folder: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleError, match=rf"manifest\.json' is not the manifest of a model bundle: .*{says}"):
        bundle.manifest(*edited(folder, **changes))


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none/manifest\.json' cannot be read"):
        bundle.sha256_of(str(tmp_path / "none"))
    (tmp_path / "manifest.json").write_text("{]")
    with pytest.raises(BundleError, match=r"manifest\.json' is not the manifest of a model bundle: Expecting"):
        bundle.manifest(str(tmp_path), bundle.sha256_of(str(tmp_path)))
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(BundleError, match=r"manifest\.json' is not the manifest of a model bundle: .*recursion"):
        bundle.manifest(str(tmp_path), bundle.sha256_of(str(tmp_path)))


BARE = """
import sys

ALLOWED = {"dask_augment", "numpy", "torch", "safetensors"}
REFUSED = {"awkward", "coffea", "dask", "distributed", "fsspec", "numba", "pandas", "pyarrow", "scipy", "uproot"}


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is not here")


sys.meta_path.insert(0, Refuse())
import numpy as np
from dask_augment.models import bundle, inference

net = inference.network(sys.argv[1], bundle.sha256_of(sys.argv[1]))
x, efficiency = inference.sample(net, np.zeros((3, 2)), np.zeros((3, 3)), np.zeros(3), batch=256)
print(x.shape, efficiency.shape)
"""


def test_runs_on_torch_and_numpy_alone(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BARE, str(folder)], capture_output=True, text=True, check=False)
    assert done.stdout == "(3, 3) (3,)\n", done.stderr
