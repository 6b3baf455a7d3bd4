from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.ordering import descending

VALUES = st.sampled_from([1.0, 2.0, 2.5, float("nan"), float("inf"), -1.0])


@given(st.lists(st.lists(st.tuples(VALUES, st.booleans()), max_size=8), max_size=6))
def test_as_sorted_does(events: list[list[tuple[float, bool]]]) -> None:
    objects = [thing for event in events for thing in event]
    values, kept = np.array([v for v, _ in objects], np.float32), np.array([k for _, k in objects], np.bool_)
    offsets = np.concatenate([[0], np.cumsum([len(event) for event in events])]).astype(np.int64)
    order, ends = descending(values, kept, offsets)
    assert len(ends) == len(offsets)
    for i in range(len(events)):
        rows = [j for j in range(offsets[i], offsets[i + 1]) if kept[j]]
        expected = sorted(rows, key=lambda j: (np.isnan(values[j]), -values[j] if values[j] == values[j] else 0))
        assert order[ends[i] : ends[i + 1]].tolist() == expected
