"""pandas: which columns are converted, which pass through, and with which types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import dask_augment as da
import frame_toys as toys
from dask_augment.events.columns import MissingColumn
from frame_toys import Standardise, Zoom

ROTATE = da.PhiRotate(columns=("Jet.phi", "MET.phi"))
LISTS = pd.ArrowDtype(pa.list_(pa.float32()))


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    frame = toys.to_pandas(toys.flat_events(toys.write_toy(tmp_path / "toy.root", rows=40)))
    frame["name"] = [f"row {i}" for i in range(40)]
    frame["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(40), unit="D")
    frame.index = pd.Index(np.arange(40) * 10, name="label")
    return frame


def augment(frame: Any, *steps: Any, **setting: Any) -> Any:
    return da.augment(frame, *steps, **{"dataset": "toy", **toys.SETTING, **setting})


def test_other_columns_pass_through(frame: pd.DataFrame) -> None:
    before = frame.copy(deep=True)
    out = augment(frame, da.Split(train=0.5), da.Repeat(n=1), ROTATE)
    pd.testing.assert_frame_equal(frame, before)
    assert out.dtypes[frame.columns].equals(frame.dtypes)
    originals = out[out["augment_kind"] == 0]
    for name in ("name", "day", "Jet_pt", "Jet_phi"):
        pd.testing.assert_series_equal(originals[name], frame[name])
    # A copy has the label of its source row.
    assert (out.index.to_numpy() // 10 == out["name"].str.removeprefix("row ").astype(int)).all()
    assert len(out) > len(frame)


def test_columns_without_any_use_may_be_anything(frame: pd.DataFrame) -> None:
    frame["Jet_area"] = [None] * len(frame)
    frame["things"] = [object() for _ in range(len(frame))]
    out = augment(frame, Zoom())
    assert out["Jet_zoom"].dtype == LISTS
    assert out["things"].tolist() == frame["things"].tolist()


def test_buffers_are_shared(frame: pd.DataFrame) -> None:
    from dask_augment.frames.pandas import events_of

    events = events_of(frame, ["MET_pt", "Jet_pt"])
    assert np.shares_memory(events.layout["MET_pt"].data, frame["MET_pt"].to_numpy())
    items = np.asarray(frame["Jet_pt"].array.__arrow_array__().chunk(0).values)
    assert np.shares_memory(events.layout["Jet_pt"].content.data, items)


def test_types_are_kept(frame: pd.DataFrame) -> None:
    arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    arrow["Jet_phi"] = frame["Jet_phi"].astype(pd.ArrowDtype(pa.large_list(pa.float32())))
    out = augment(arrow, da.Split(train=0.5), da.Repeat(n=1), ROTATE)
    assert out.dtypes[arrow.columns].equals(arrow.dtypes)
    plain = augment(frame, da.Split(train=0.5), da.Repeat(n=1), ROTATE)
    assert out["Jet_phi"].tolist() == plain["Jet_phi"].tolist()
    assert out["MET_phi"].tolist() == plain["MET_phi"].tolist()


def test_a_dataset_column_keys_random_numbers(frame: pd.DataFrame) -> None:
    expected = augment(frame, da.Split(train=0.5))["split"].tolist()
    frame["dataset"] = "toy"
    assert augment(frame, da.Split(train=0.5), dataset=None)["split"].tolist() == expected
    frame["dataset"] = frame["dataset"].astype("category")
    assert augment(frame, da.Split(train=0.5), dataset=None)["split"].tolist() == expected
    frame["dataset"] = "other"
    assert augment(frame, da.Split(train=0.5), dataset=None)["split"].tolist() != expected


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_have_the_same_types(frame: pd.DataFrame, rows: int) -> None:
    steps = (da.Split(train=1.0), da.Repeat(n=1), ROTATE, Zoom())
    whole, few = augment(frame, *steps), augment(frame[:rows], *steps)
    assert few.dtypes.equals(whole.dtypes)
    assert len(few) == 2 * rows


def test_python_lists_without_rows_are_refused(frame: pd.DataFrame) -> None:
    frame["Jet_pt"] = pd.Series([list(row) for row in frame["Jet_pt"]], index=frame.index, dtype=object)
    with pytest.raises(TypeError, match=r"column 'Jet_pt' holds Python objects.*dtype_backend='pyarrow'"):
        augment(frame[:0], Zoom())
    assert len(augment(frame[:0], ROTATE, split=None)) == 0


def test_missing_values_are_refused(frame: pd.DataFrame) -> None:
    frame["MET_pt"] = frame["MET_pt"].astype(pd.ArrowDtype(pa.float32()))
    frame.iloc[3, frame.columns.get_loc("MET_pt")] = pd.NA
    with pytest.raises(ValueError, match="column 'MET_pt' has 1 missing values"):
        da.learn(frame, Standardise(), dataset="toy", **toys.SETTING)
    frame["Jet_pt"] = pd.Series([[1.0, None]] * len(frame), index=frame.index, dtype=LISTS)
    with pytest.raises(ValueError, match="column 'Jet_pt' has 40 missing values"):
        augment(frame, Zoom())


def test_an_unknown_column_is_named_with_its_neighbours(frame: pd.DataFrame) -> None:
    with pytest.raises(MissingColumn, match=r"no column 'MET.fi'.*MET.phi"):
        augment(frame, da.PhiRotate(columns=("MET.fi",)), split=None)


def test_missing_numbers_are_the_same_in_every_frame() -> None:
    """Nullable types of pandas, Arrow's null, NaN and None of awkward: a missing number of an event is NaN."""
    import dask.dataframe as dd

    dak = pytest.importorskip("dask_awkward")
    numbers, lists = [1.5, None, 3.0, 4.0], [[1.0, None], [], [None], [2.0, 3.0]]
    steps = (
        da.Define(z="x * 2", n="count(y)", s="sum(y)", hard="x > 2", low="not x > 2"),
        da.Select("isnan(x) or x > 2"),
    )
    events = ak.Array({"x": numbers, "y": lists})
    found = [augment(events, *steps, split=None), augment(dak.from_awkward(events, 2), *steps, split=None).compute()]
    expected = {name: found[0][name].to_list() for name in ("n", "s", "hard", "low")}
    assert expected == {"n": [0, 0, 2], "s": [0, 0, 5], "hard": [False, True, True], "low": [True, False, False]}
    kinds = ["Float64", "float64", pd.ArrowDtype(pa.float64()), object]
    frames = [pd.DataFrame({"x": pd.array(numbers, dtype=kind), "y": pd.Series(lists, dtype=LISTS)}) for kind in kinds]
    found += [augment(frame, *steps, split=None) for frame in frames]
    found += [augment(dd.from_pandas(frame, 2), *steps, split=None).compute() for frame in frames[:3]]
    for one in found:
        np.testing.assert_array_equal(np.asarray(one["z"], float), [np.nan, 6, 8])
        for name, values in expected.items():
            assert list(one[name]) == values
    whole = pd.DataFrame(
        {"k": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, None, False], dtype="boolean")}
    )
    out = augment(whole, da.Define(k2="k * 2", c="b & (k > 0)", f="where(isnan(k), 0, k) & 1"), split=None)
    np.testing.assert_array_equal(out.k2, [2, np.nan, 6])
    assert (out.c.to_list(), out.f.to_list()) == ([True, False, False], [1, 0, 1])


def test_a_field_of_lists_with_missing_numbers_keeps_them(frame: pd.DataFrame) -> None:
    frame["Jet_phi"] = pd.Series([[1.0, None]] * len(frame), index=frame.index, dtype=LISTS)
    out = augment(frame, ROTATE, split=None)
    assert out.Jet_phi.dtype == LISTS
    assert all(values[1] is None and values[0] is not None for values in out.Jet_phi)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array(["a", 1] * 20, dtype=object), r"column 'kind' has values of several types, .*astype\(str\)"),
        (
            pd.array([1] * 40, dtype=pd.ArrowDtype(pa.decimal128(25, 1))),
            r"column 'kind' has type decimal128.*astype\(float\)",
        ),
        (np.array(["a", None] * 20, dtype=object), "'kind' has 20 missing values, .*fillna of a frame, with a text"),
    ],
)
def test_columns_that_no_step_reads_are_told_by_name(frame: pd.DataFrame, values: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        da.learn(frame.assign(kind=values), da.Undersample(strata=["kind"], weights=()), dataset="toy", **toys.SETTING)
