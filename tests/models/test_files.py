"""Files that a configuration names: pinned by contents, read once, and refused with one clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dask_augment.models import files


@pytest.fixture
def weights(tmp_path: Path) -> str:
    path = tmp_path / "weights.safetensors"
    save_file({"particles": np.arange(6.0).reshape(2, 3)}, path)
    return str(path)


def test_arrays_are_read_once_and_read_only(weights: str) -> None:
    digest = files.sha256_of(weights)
    arrays = files.tensors(weights, digest)
    assert arrays is files.tensors(weights, digest)
    np.testing.assert_array_equal(arrays["particles"], np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match="read-only"):
        arrays["particles"][0, 0] = 7


def test_other_contents_are_refused(weights: str) -> None:
    digest = files.sha256_of(weights)
    save_file({"particles": np.zeros(3)}, weights)
    with pytest.raises(ValueError, match=r"weights\.safetensors' has changed: its sha256 is .* take the old file"):
        files.tensors(weights, digest)


def test_what_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none' cannot be read .* workers must see the file"):
        files.sha256_of(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"does not come with the package; what does is shipped:bundles/jets"):
        files.sha256_of("shipped:bundles/electrons/manifest.json")
    (tmp_path / "junk").write_bytes(b"\x00" * 40)
    junk = str(tmp_path / "junk")
    with pytest.raises(ValueError, match="junk' is not a safetensors file"):
        files.tensors(junk, files.sha256_of(junk))
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    (tmp_path / "half").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    half = str(tmp_path / "half")
    with pytest.raises(ValueError, match="half' holds numbers of the type BF16, which NumPy has not; store them as"):
        files.tensors(half, files.sha256_of(half))


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..", "/etc/passwd", "bundles/../../models/files.py", "../data-of-others/x"]
)
def test_shipped_files_stay_in_the_package(name: str) -> None:
    with pytest.raises(ValueError, match=r"'shipped:.*' leaves the package"):
        files.contents(f"shipped:{name}")
    assert files.located("shipped:bundles/../bundles/jets").is_dir()
