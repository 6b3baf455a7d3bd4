"""Words of messages: plurals, names that come near, and what other libraries say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import uproot

import dask_augment
from dask_augment.messages import counted, meant, nearest, one_line, unknown


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (12345, "12,345 files")])
def test_counted(number: int, text: str) -> None:
    assert counted(number, "file") == text


def test_names_that_come_near() -> None:
    assert meant(["phirotate"], ["phi_rotate", "repeat"]) == "did you mean 'phi_rotate'?"
    assert meant(["phi"], ["phi_rotate", "repeat"]) == "did you mean 'phi_rotate'?"
    assert meant(["n"], ["keep_original"]) == ""
    assert (
        unknown(["kep", 3], {"keep": 1, "path": 2}) == "['3', 'kep']; did you mean 'keep'? There are ['keep', 'path']"
    )
    assert unknown(["x"], {"genWeight"}) == "['x']; there are ['genWeight']"
    assert unknown(["x"], ()) == "['x']; there are none"


def test_nearest_columns() -> None:
    assert nearest("Jet.ptt", ["MET.phi", "Jet.eta", "Jet.pt"]) == "the nearest are Jet.pt, Jet.eta"
    assert nearest("qqq", ["b", "a"]) == "the columns are a, b"
    assert nearest("qqq", "abcdefghij") == "the columns are a, b, c, d, e, f, g, h, i, j"
    assert nearest("qqq", map(str, range(2000))) == "none of the 2000 columns has a name near it"
    assert nearest("Met.pt", ["Jet.pt", "MET.pt"]) == "the nearest are MET.pt, Jet.pt"
    assert nearest("lumi", ["event", "luminosityBlock", "run"]) == "the nearest are luminosityBlock"


@pytest.mark.parametrize(
    ("name", "other"), [("SMOTE", "Smote"), ("phi_rotate", "PhiRotate"), ("Oversmaple", "Oversample")]
)
def test_public_name_that_is_not_there(name: str, other: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute {name!r}; did you mean {other!r}"):
        getattr(dask_augment, name)


def test_sentence_that_goes_over_lines() -> None:
    assert one_line(OSError("expected 9 bytes,\nreceived 0\nfrom a disk\n\nKeys: a, b")) == (
        "expected 9 bytes, received 0 from a disk"
    )
    assert one_line(ValueError("x" * 1000)) == "x" * 300 + "..."
    assert one_line(ValueError()) == ""


def test_what_uproot_says(tmp_path: Path) -> None:
    """It puts all that it has read before what is wrong."""
    context = {"breadcrumbs": [SimpleNamespace(classname="TTree", instance_version=1, num_bytes=9)]}
    error = uproot.deserialization.DeserializationError("no such class: 7\n\nKnown: 1", None, None, context, "a.root")
    assert str(error).startswith("while reading")
    assert one_line(error) == "no such class: 7"
    (tmp_path / "empty.root").touch()
    with pytest.raises(OSError, match="expected Chunk of length 403,\n") as caught:
        uproot.open(tmp_path / "empty.root")
    assert "received 0 bytes" in one_line(caught.value)
