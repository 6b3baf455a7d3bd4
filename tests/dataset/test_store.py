"""All that touches a storage is in one file for each kind of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

import pytest

import dask_augment.dataset
from dask_augment.dataset.posix import Posix
from dask_augment.dataset.store import Store, files

ROOM = sorted(Path(dask_augment.dataset.__file__).parent.glob("*.py"))
TOUCHES = re.compile(
    r"\bos\.(?!getpid|kill|PathLike|fspath)|\bshutil\.|\bglob\.|\bopen\(|import fsspec|fsspec\.|\.(exists|is_dir|is_file|r?glob|iterdir|stat|resolve"
    r"|read_(bytes|text)|write_(bytes|text)|unlink|mkdir|rmdir|symlink_to|hardlink_to|touch)\(|ParquetFile\((?!files\.source)"
)


@pytest.mark.parametrize("file", ROOM, ids=lambda file: file.name)
def test_only_the_store_touches_files(file: Path) -> None:
    """What the system says of processes, /proc, is no storage."""
    lines = [line for line in file.read_text().splitlines() if "/proc/" not in line]
    found = [
        line for line in lines if TOUCHES.search(re.sub(r"\bfiles\.", "", line) if "ParquetFile" not in line else line)
    ]
    assert bool(found) == (file.name == "posix.py"), found


def test_a_storage_has_all_methods() -> None:
    """Of the same names and types as the protocol says."""
    names = [name for name in vars(Store) if not name.startswith("_")]
    assert len(names) > 15
    assert isinstance(files, Posix)
    for name in names:
        said, done = get_type_hints(getattr(Store, name)), get_type_hints(getattr(Posix, name))
        assert said.keys() == done.keys(), name


def test_sizes_tell_what_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(b"123")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").symlink_to(tmp_path / "a")
    assert files.sizes(tmp_path) == {"a/b/x": 3, "gone": "No such file or directory"}
    assert files.names(tmp_path) == ["a", "folder", "gone"]
    assert files.names(tmp_path / "a" / "b" / "x") == files.names(tmp_path / "none") == []
    assert files.size(tmp_path / "a" / "b" / "x") == 3
    assert files.size(tmp_path / "a") is files.size(tmp_path / "none") is files.size(tmp_path / "gone") is None
