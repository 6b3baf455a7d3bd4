from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from imblearn.over_sampling import ADASYN
from sklearn.neighbors import NearestNeighbors

import dask_augment as da
from dask_augment.sampling.allotment import in_proportion
from interpolation_toys import FEATURES, classes, in_order, matrix, shuffled
from sampling_toys import applied, column, divided, taught


def adasyn(**options: Any) -> da.Adasyn:
    return da.Adasyn(**{"features": FEATURES} | options)


def shares(events: ak.Array, label: int, k: int = 5) -> np.ndarray[Any, Any]:
    """Neighbours of another class of the events of this class, by sklearn."""
    points, labels = matrix(events), column(events, "label")
    near = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points[labels == label], return_distance=False)
    foreign: np.ndarray[Any, Any] = (labels[near[:, 1:]] != label).sum(axis=1)
    return foreign


@pytest.mark.parametrize("parts", [1, 5])
def test_rows_follow_the_shares_of_sklearn(parts: int) -> None:
    events = in_order(classes())
    step = taught(adasyn(scale=None), divided(shuffled(events), parts))
    result = applied(step, [events])
    labels, kind = column(events, "label"), column(result, "augment_kind")
    times = {
        event: int(n)
        for event, n in zip(*np.unique(column(result, "event")[kind == 2], return_counts=True), strict=True)
    }
    assert np.bincount(column(result, "label")).tolist() == [np.bincount(labels).max()] * 3
    for label in (1, 2):
        foreign = shares(events, label)
        more = np.bincount(labels).max() - (labels == label).sum()
        got = np.array([times.get(event, 0) for event in column(events, "event")[labels == label].tolist()])
        assert np.array_equal(got, in_proportion(int(more), foreign))
        assert np.all(np.abs(got - more * foreign / foreign.sum()) < 1)


def test_total_is_exact_where_that_of_imbalanced_learn_is_not() -> None:
    events = classes()
    _, labels = ADASYN(random_state=0).fit_resample(matrix(events), column(events, "label"))
    assert len(set(np.bincount(labels).tolist())) > 1, "the defect is still there"
    result = applied(taught(adasyn(scale=None), [events]), [events])
    assert len(set(np.bincount(column(result, "label")).tolist())) == 1


def test_neighbours_within_a_stratum() -> None:
    events = classes(2500)
    result = applied(taught(adasyn(strata=["region"]), [events]), divided(events, 3))
    region = column(events, "region")
    alone = [applied(taught(adasyn(scale=matrix(events).std(axis=0).tolist()), [events[region == r]]), [events[region == r]]) for r in (0, 1)]  # fmt: skip
    for r in (0, 1):
        mine = result[column(result, "region") == r]
        counts = [dict(zip(*np.unique(column(e, "event"), return_counts=True), strict=True)) for e in (mine, alone[r])]
        assert counts[0] == counts[1]


def test_ties_go_by_ids_whatever_the_partitions() -> None:
    events = classes(900)
    for name in FEATURES:
        events = ak.with_field(
            events, np.rint(column(events, name) / column(events, name).std()).astype(np.float32), name
        )
    first = taught(adasyn(scale=None, k_neighbors=4), [events])
    for parts in (divided(shuffled(events), 3), divided(events, 11)):
        assert taught(adasyn(scale=None, k_neighbors=4), parts).learned.digest == first.learned.digest


@pytest.mark.parametrize("seed", range(20))
def test_in_proportion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 6, 40)
    weights[0] = 1
    number = int(rng.integers(0, 500))
    got = in_proportion(number, weights)
    assert got.sum() == number
    assert np.all(np.abs(got - number * weights / weights.sum()) < 1)
    assert not got[weights == 0].any()


def test_errors() -> None:
    events = classes(600, fractions=(0.8, 0.2))
    far = column(events, "x") + 1000.0 * column(events, "label")
    with pytest.raises(ValueError, match=r"no event of 'label=1' has one of another class among its 5 nearest"):
        taught(adasyn(features=["x"], scale=None), [ak.with_field(events, far.astype(np.float32), "x")])
    with pytest.raises(ValueError, match="label must name the column"):
        adasyn(label=None)
    holes = column(events, "x").copy()
    holes[np.flatnonzero(column(events, "label") == 0)[:3]] = np.nan
    with pytest.raises(ValueError, match="feature 'x' is NaN or infinite in 3 rows"):
        taught(adasyn(scale=None), [ak.with_field(events, holes, "x")])
    with pytest.raises(ValueError, match="'x' is NaN or infinite in 3 rows"):
        taught(adasyn(), [ak.with_field(events, holes, "x")])
