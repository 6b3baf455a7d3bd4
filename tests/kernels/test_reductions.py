from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.reductions import maxima, sums

lists = st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=5), max_size=6)


@given(lists)
def test_as_python_has_it(values: list[list[float]]) -> None:
    flat = np.array([value for entry in values for value in entry], float)
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in values])]).astype(np.int64)
    np.testing.assert_array_equal(sums(flat, offsets), np.array([sum(entry, 0.0) for entry in values]))
    largest = [math.nan if not entry or any(map(math.isnan, entry)) else max(entry) for entry in values]
    np.testing.assert_array_equal(maxima(flat, offsets), np.array(largest))
