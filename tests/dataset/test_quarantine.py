from __future__ import annotations

import errno
import json

import pytest

from dask_augment.dataset.quarantine import Quarantined, classify
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import SchemaError
from dask_augment.dataset.sink import StagingGone


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no space left"),
        OSError(errno.EIO, "input/output error"),
        OSError(errno.ESTALE, "stale file handle"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError(),
        OSError("[ERROR] Operation expired"),
        OSError("File did not open properly: [FATAL] Socket timeout"),
        caused(RuntimeError("part failed"), OSError(errno.EDQUOT, "quota")),
    ],
)
def test_transient(error: Exception) -> None:
    assert classify(error) == "transient"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "denied"),
        OSError("expected Chunk of length 100, received 60 bytes"),
        ValueError("not a ROOT file"),
        KeyError("Jet_pt"),
        SchemaError("column 'x'"),
        StagingGone("gone"),
        MemoryError(),
        ZeroDivisionError(),
        EOFError(),
        caused(RuntimeError("part failed"), FileNotFoundError(errno.ENOENT, "connection list not found")),
    ],
)
def test_permanent(error: Exception) -> None:
    assert classify(error) == "permanent"


def test_a_loop_of_causes_ends() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert classify(one) == "permanent"


def test_json() -> None:
    entry = Quarantined.of(Part.of("tt", {"file": "a.root"}), OSError("x" * 5000), 1000)
    assert Quarantined.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry
    assert entry.error.startswith("OSError: xxx")
    assert len(entry.error) == 2000
