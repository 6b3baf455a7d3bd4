"""The mask of made rows, in every frame."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest

import dask_augment as da

EVENTS = ak.Array({"run": [1, 1], "luminosityBlock": [1, 1], "event": [1, 2], "weight": [1.0, 2.0]})
SETTING: dict[str, Any] = {"seed": 1, "dataset": "x", "split": None}
MADE = [False, True, False, True]


def listed(mask: Any) -> list[bool]:
    mask = mask.compute() if hasattr(mask, "compute") else mask
    values = np.asarray(mask)
    assert values.dtype == bool
    return [bool(value) for value in values]


def frames() -> dict[str, Any]:
    frame = pd.DataFrame({name: EVENTS[name].to_numpy() for name in EVENTS.fields})
    return {"awkward": EVENTS, "pandas": frame}


@pytest.mark.parametrize("name", ["awkward", "pandas", "dask-awkward", "dask.dataframe"])
def test_every_frame(name: str) -> None:
    if name == "dask-awkward":
        dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
        events = dak.from_awkward(EVENTS, 2)
    elif name == "dask.dataframe":
        dd = pytest.importorskip("dask.dataframe")
        events = dd.from_pandas(frames()["pandas"], npartitions=2)
    else:
        events = frames()[name]
    assert listed(da.is_made(events)) == [False, False]
    made = da.is_made(da.augment(events, da.Repeat(n=1), **SETTING))
    assert listed(made) == MADE
    assert listed(~made) == [not value for value in MADE]


def test_other_things_are_refused() -> None:
    for call in (lambda: da.is_made({"a": [1]}), lambda: da.augment({"a": [1]}, da.Repeat(n=1), **SETTING)):
        with pytest.raises(TypeError, match=r"events must be an awkward array.*got dict"):
            call()


@pytest.mark.parametrize("weights", [("w",), ("genWeight",)])
def test_known_weights_that_may_be_missing_are_0_on_made_rows(weights: tuple[str, ...]) -> None:
    events = ak.with_field(EVENTS, ak.mask(ak.Array([3.0, 4.0]), [True, True]), "genWeight")
    events = ak.with_field(events, [1.0, 1.0], "w")
    more = da.augment(events, da.Repeat(n=1), **SETTING, weights=weights)
    assert more.genWeight.to_list() == [3.0, 0.0, 4.0, 0.0]
    assert str(more.genWeight.type) == "4 * ?float64"
    broken = ak.with_field(EVENTS, ak.mask(ak.Array([3.0, 4.0]), [True, False]), "genWeight")
    with pytest.raises(ValueError, match="'genWeight' has 1 missing values"):
        da.augment(broken, da.Repeat(n=1), **SETTING)


def test_events_named_data_are_not_trained_on() -> None:
    with pytest.raises(ValueError, match=r"'data_2018' looks like collision data.*say is_mc: True"):
        da.augment(EVENTS, da.Repeat(n=1), **SETTING | {"dataset": "data_2018"})
