"""Columns that steps write and read: another column of such a name is refused, whatever frame it is in."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest

import dask_augment as da

ROWS = 12
FRAME = pd.DataFrame(
    {"run": 1, "luminosityBlock": 1, "event": np.arange(ROWS), "weight": 1.0, "split": np.arange(ROWS) % 3, "x": 0.5}
)
KINDS = {"augment_kind": 0, "augment_copy": 0}


def events(columns: dict[str, Any], frame: str) -> Any:
    table = FRAME.assign(**columns)
    return table if frame == "pandas" else ak.Array({name: table[name].tolist() for name in table})


def repeated(columns: dict[str, Any], frame: str) -> Any:
    return da.augment(events(columns, frame), da.Repeat(n=1), seed=1, dataset="tt")


@pytest.mark.parametrize("frame", ["pandas", "awkward"])
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({**KINDS, "augment_kind": np.arange(ROWS) + 0.5}, "column 'augment_kind' has type float64"),
        ({**KINDS, "augment_kind": 7}, r"column 'augment_kind' holds \[7\]"),
        ({**KINDS, "augment_copy": 0.5}, "column 'augment_copy' has type float64"),
        ({**KINDS, "augment_copy": "a"}, "column 'augment_copy' has type string"),
        ({"split": np.where(np.arange(ROWS) % 3, "train", "test")}, "column 'split' has type string"),
        ({"split": np.arange(ROWS) % 2 == 0}, "column 'split' has type bool"),
        ({"split": 0.5}, "column 'split' has type float64"),
    ],
)
def test_other_columns_of_these_names_are_refused(columns: dict[str, Any], words: str, frame: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        repeated(columns, frame)


@pytest.mark.parametrize("frame", ["pandas", "awkward"])
def test_whole_numbers_of_any_type_are_read(frame: str) -> None:
    plain, floats = repeated({}, frame), repeated({"split": FRAME["split"].astype(float)}, frame)
    assert len(plain) == len(floats) == ROWS + ROWS // 3
    twice = repeated({"augment_kind": np.arange(ROWS) % 4, "augment_copy": np.arange(ROWS) * 2.0}, frame)
    assert sorted(set(np.asarray(twice["augment_kind"]).tolist())) == [0, 1, 2, 3]


def test_changed_must_be_bits() -> None:
    step = da.PhiRotate(columns=["x"], originals=True)
    with pytest.raises(TypeError, match="column 'augment_changed' has type float64"):
        da.augment(FRAME.assign(augment_changed=0.5), step, seed=1, dataset="tt")


def test_sparse_columns_are_read() -> None:
    frame = FRAME.assign(y=pd.arrays.SparseArray(np.arange(ROWS) % 2 * 1.0))
    assert da.augment(frame, da.Define(z="y + 1"), dataset="tt")["z"].tolist() == (np.arange(ROWS) % 2 + 1.0).tolist()


def test_nullable_and_sparse_types_stay() -> None:
    numbers = np.random.default_rng(0).normal(size=ROWS)
    frame = FRAME.assign(
        split=0,
        label=np.arange(ROWS) % 3 == 0,
        x=numbers,
        a=pd.array(numbers, dtype="Float64"),
        code=pd.array([1, 2] * 6, "Int8"),
    )
    step = da.Smotenc(label="label", features=["x", "a"], categorical=["code"], k_neighbors=2, weights=())
    made = da.augment(frame, da.learn(frame, step, seed=1, dataset="tt"), seed=1, dataset="tt")
    assert len(made) == 16
    assert (made["x"].dtype, made["a"].dtype, made["code"].dtype) == ("float64", "Float64", "Int8")
    assert da.augment(frame, da.Define(a="a * 2"), dataset="tt")["a"].dtype == "Float64"
    assert da.augment(frame, da.Define(code="code / 2"), dataset="tt")["code"].dtype == "float64"


def test_labels_are_those_of_the_source() -> None:
    frame = FRAME.assign(split=0, x=np.arange(ROWS) * 1.0)
    more = repeated({"split": 0, "x": frame["x"]}, "pandas")
    assert not more.index.is_unique
    assert more.assign(before=frame["x"])["before"].equals(more["x"].rename("before"))
    with pytest.raises(ValueError, match="duplicate labels"):
        frame.assign(after=more["x"])
