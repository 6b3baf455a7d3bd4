"""Samplers of the whole data set learn and act on two worker processes as they do here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import dask_augment as da
from sampling_toys import column, toy

SETTING: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None, "weights": ("weight",)}
STRATA = ["label", da.Bins("HT", [0, 200])]
SAMPLERS = {
    "bootstrap": da.Oversample(strata=STRATA, multiplicity="bootstrap"),
    "smooth": da.Smooth(features=["HT"], strata=["label"], originals=True),
    "unweight": da.Unweight(strata=STRATA, quantile=0.95),
    "balanced_ensemble": da.BalancedEnsemble(strata=STRATA),
    "class_weights": da.ClassWeights(strata=STRATA),
    "active_select": da.ActiveSelect(score="HT", size=50, strata=["label"], informative="highest"),
    "positive_resample": da.PositiveResample(strata=["label"]),
    "as_uncertain": da.PositiveResample(strata=["label"], keep="uncertainty"),
}


def frame() -> pd.DataFrame:
    events = toy(1500)
    return pd.DataFrame({name: column(events, name) for name in events.fields if name != "region"})


@pytest.mark.parametrize("name", SAMPLERS)
def test_on_a_cluster(name: str, client: Any) -> None:
    import dask.dataframe as dd

    events = frame()
    here = da.learn(events, SAMPLERS[name], **SETTING)
    expected = da.augment(events, here, **SETTING)
    shuffled = events.sample(frac=1.0, random_state=5)
    lazy = dd.from_pandas(shuffled, npartitions=5, sort=False)
    there = da.learn(lazy, SAMPLERS[name], **SETTING)
    assert there == here
    result = da.augment(lazy, there, **SETTING).compute(scheduler=client)
    keys = ["event", *(["augment_copy"] if "augment_copy" in result else [])]
    ordered = [table.sort_values(keys).reset_index(drop=True) for table in (expected, result)]
    pd.testing.assert_frame_equal(*ordered, check_exact=True)
    assert len(result) > 0
    assert not np.array_equal(result.to_numpy(), events.to_numpy())
