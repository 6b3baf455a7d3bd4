from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import dask_augment as da
from interpolation_toys import classes, in_order, matrix, shuffled
from sampling_toys import applied, column, divided, taught

NUMBERS = ["x", "y", "z"]


def toy(n: int = 1200) -> ak.Array:
    """Events with two categories, one of them following x."""
    events = in_order(classes(n))
    rng = np.random.default_rng(9)
    kind = np.clip(np.rint(column(events, "x") + rng.normal(0, 0.5, n)), -2, 3).astype(np.int16)
    return ak.with_field(ak.with_field(events, kind, "kind"), rng.random(n) < 0.3, "flag")


def smotenc(**options: Any) -> da.Smotenc:
    return da.Smotenc(**{"strata": ["label"], "features": NUMBERS, "categorical": ["kind", "flag"]} | options)


def encoded(events: ak.Array, label: int) -> np.ndarray[Any, Any]:
    """Numbers and categories of a class as imbalanced-learn puts them before its search."""
    mine = events[column(events, "label") == label]
    points = matrix(mine, NUMBERS)
    unit = np.median(points.std(axis=0)) / np.sqrt(2)
    hot = [unit * (column(mine, name)[:, None] == np.unique(column(events, name))) for name in ("kind", "flag")]
    return np.concatenate([points, *hot], axis=1)


def test_neighbours_are_those_of_one_column_for_each_value() -> None:
    events = toy()
    step = taught(smotenc(scale=None, sampling_strategy={"label=1": 900}), divided(shuffled(events), 3))
    points = encoded(events, 1)
    theirs = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    assert np.array_equal(step.learned["neighbours"], theirs)


def test_categories_are_the_most_frequent_of_the_neighbours() -> None:
    events = toy()
    step = taught(smotenc(), [events])
    result = applied(step, divided(events, 3))
    assert np.bincount(column(result, "label")).tolist() == [np.bincount(column(events, "label")).max()] * 3
    new = result[column(result, "augment_kind") == 2]
    where = {int(words[3]): row for row, words in enumerate(step.learned["words"])}
    base = np.array([where[event] for event in column(new, "event").tolist()])
    ties = 0
    for c, name in enumerate(("kind", "flag")):
        near = step.learned["categories"][c][step.learned["neighbours"][base]]
        for values, got in zip(near, column(new, name).tolist(), strict=True):
            found, times = np.unique(values, return_counts=True)
            assert got in found[times == times.max()]
            ties += (times == times.max()).sum() > 1
        assert column(new, name).dtype == column(events, name).dtype
    assert ties > 10


def test_ties_fall_either_way() -> None:
    events = toy()
    result = applied(taught(smotenc(k_neighbors=2, sampling_strategy={"label=2": 2000}), [events]), [events])
    new = result[column(result, "augment_kind") == 2]
    kinds = {}
    for event, kind in zip(column(new, "event").tolist(), column(new, "kind").tolist(), strict=True):
        kinds.setdefault(event, []).append(kind)
    several = [np.unique(found, return_counts=True)[1] for found in kinds.values() if len(set(found)) == 2]
    assert len(several) > 5
    assert 0.35 < sum(times[0] for times in several) / sum(times.sum() for times in several) < 0.65


def test_errors() -> None:
    events = toy(600)
    with pytest.raises(TypeError, match="categorical column 'x' has type float32"):
        taught(smotenc(features=["y"], categorical=["x"]), [events])
    for options in (
        {"categorical": []},
        {"categorical": ["x"]},
        {"categorical": ["label"]},
        {"categorical": ["kind", "kind"]},
    ):
        with pytest.raises(ValueError, match="categorical must name at least one column, none twice"):
            smotenc(**options)
    with pytest.raises(TypeError, match=r"write categorical=\['kind'\]"):
        smotenc(categorical="kind")
