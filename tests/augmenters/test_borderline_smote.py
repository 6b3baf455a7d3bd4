from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from imblearn.over_sampling import BorderlineSMOTE

import dask_augment as da
from interpolation_toys import FEATURES, classes, in_order, matrix, shuffled
from sampling_toys import applied, column, divided, taught


def borderline(**options: Any) -> da.BorderlineSmote:
    return da.BorderlineSmote(**{"features": FEATURES} | options)


@pytest.mark.parametrize("m", [10, 7])
def test_sources_are_the_events_in_danger_of_imbalanced_learn(m: int) -> None:
    events = in_order(classes())
    points, labels = matrix(events), column(events, "label")
    theirs = BorderlineSMOTE(m_neighbors=m, random_state=0)
    _, balanced = theirs.fit_resample(points, labels)
    step = taught(borderline(scale=None, m_neighbors=m), divided(shuffled(events), 4))
    result = applied(step, divided(events, 3))
    assert np.array_equal(np.bincount(column(result, "label")), np.bincount(balanced))
    sources = set(column(result, "event")[column(result, "augment_kind") == 2].tolist())
    danger = set()
    for label in (1, 2):
        mine = np.flatnonzero(labels == label)
        theirs.nn_m_.fit(points)
        mask = theirs._in_danger_noise(theirs.nn_m_, points[mine], label, labels, kind="danger")
        danger |= set(column(events, "event")[mine[mask]].tolist())
    assert sources == danger


def test_all_sources_are_used_alike() -> None:
    events = classes()
    result = applied(taught(borderline(), [events]), [events])
    for label in (1, 2):
        new = (column(result, "augment_kind") == 2) & (column(result, "label") == label)
        _, times = np.unique(column(result, "event")[new], return_counts=True)
        assert times.max() - times.min() <= 1


def test_errors() -> None:
    events = classes(600, fractions=(0.8, 0.2))
    far = column(events, "x") + 1000.0 * column(events, "label")
    with pytest.raises(ValueError, match="no event of 'label=1' is in danger"):
        taught(borderline(features=["x"], scale=None), [ak.with_field(events, far.astype(np.float32), "x")])
    with pytest.raises(ValueError, match="m_neighbors must be a whole number"):
        borderline(m_neighbors=0)
    with pytest.raises(ValueError, match="label must name the column"):
        borderline(label="")
