"""Samplers of imbalanced-learn, stratum by stratum."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.under_sampling import EditedNearestNeighbours, RandomUnderSampler
from sklearn.base import clone

import dask_augment as da

RNG = np.random.default_rng(1)
FRAME = pd.DataFrame(RNG.normal(size=(300, 3)), columns=list("abc")).assign(
    region=np.where(RNG.random(300) < 0.4, "barrel", "endcap"), n=RNG.integers(0, 2, 300).astype(np.int8)
)
Y = pd.Series(np.where(RNG.random(300) < 0.25, "top", "qcd"), name="label")
STRATA = ["region", "n"]
SAMPLERS = {"smote": SMOTE(k_neighbors=3), "enn": EditedNearestNeighbours(), "under": RandomUnderSampler()}


def rows(x: Any, y: Any) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, x.assign(y=np.asarray(y)).to_numpy().tolist()))


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_for_any_partitions(name: str) -> None:
    import dask.dataframe as dd

    x, y = da.PerStratum(SAMPLERS[name], STRATA, seed=2).fit_resample(FRAME, Y)
    assert x.dtypes.equals(FRAME.dtypes)
    assert (y.name, y.dtype) == (Y.name, Y.dtype)
    assert rows(x, y) != rows(FRAME, Y)
    for parts in (1, 3, 17):
        both = dd.from_pandas(FRAME.assign(label=Y), npartitions=parts)
        lazy_x, lazy_y = da.PerStratum(SAMPLERS[name], STRATA, seed=2).fit_resample(both[list(FRAME)], both["label"])
        assert rows(*dask.compute(lazy_x, lazy_y)) == rows(x, y)
        assert lazy_x.columns.tolist() == list(FRAME)


def test_each_stratum_as_the_sampler_alone() -> None:
    x, y = da.PerStratum(SAMPLERS["enn"], STRATA).fit_resample(FRAME, Y)
    for key, part in FRAME.groupby(STRATA):
        alone, target = clone(SAMPLERS["enn"]).fit_resample(part[list("abc")], Y[part.index])
        here = (x["region"] == key[0]) & (x["n"] == key[1])
        assert np.array_equal(x.loc[here, list("abc")].to_numpy(), alone.to_numpy())
        assert y[here].tolist() == target.tolist()


def test_random_states_differ_between_strata_and_seeds() -> None:
    twice = pd.concat([FRAME.assign(region="barrel"), FRAME.assign(region="endcap")], ignore_index=True)
    y = pd.concat([Y, Y], ignore_index=True)
    results = {}
    for seed in (0, 1):
        x, _ = da.PerStratum(RandomUnderSampler(), ["region"], seed=seed).fit_resample(twice, y)
        for region, part in x.groupby("region"):
            results[seed, region] = tuple(part["a"].tolist())
    assert len(set(results.values())) == 4


def test_arrays_and_bins() -> None:
    X = FRAME[list("abc")].to_numpy()
    x, y = da.PerStratum(SMOTE(k_neighbors=2), [da.Bins("x0", [-9, 0, 9])]).fit_resample(X, Y.to_numpy())
    assert x.shape[1] == 3, "a column in bins is a feature"
    for side in (x[:, 0] < 0, x[:, 0] >= 0):
        assert np.sum(y[side] == "top") == np.sum(y[side] == "qcd")


def test_errors() -> None:
    one = pd.Series(np.where(FRAME["region"] == "barrel", "top", Y))
    rows = np.sum(FRAME["region"] == "barrel")
    words = f"stratum 'region=barrel' has {rows} rows \\({rows} of class 'top'\\), and SMOTE refuses them: .*more than 1 class"
    with pytest.raises(ValueError, match=words):
        da.PerStratum(SMOTE(), ["region"]).fit_resample(FRAME.drop(columns="n"), one)
    with pytest.raises(TypeError, match="sampler must have fit_resample"):
        da.PerStratum("smote", ["region"])
    assert clone(da.PerStratum(SMOTE(), ["region"])).get_params()["seed"] == 0


def test_weights_are_refused() -> None:
    sampler = da.PerStratum(RandomUnderSampler(), ["region"])
    with pytest.raises(TypeError, match="PerStratum takes no sample_weight, as RandomUnderSampler would ignore it"):
        sampler.fit_resample(FRAME, Y, np.ones(len(Y)))  # type: ignore[arg-type]
