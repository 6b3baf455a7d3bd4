from __future__ import annotations

import json
import math
import random
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.contract.account import Account, peak_memory

PARTS = [
    Account(rows_in=10, rows_out=8, dropped={"select": 3}, made={"repeat": 1}, weights_in={"w": (10.5, 20.25)},
            weights_out={"w": (8.0, 1.0)}, seconds={"select": 0.5}),
    Account(rows_in=5, rows_out=7, made={"repeat": 2}, weights_in={"w": (1.0, 1.0)}, weights_out={"v": (0.5, 0.25)},
            seconds={"repeat": 0.25}),
    Account(),
]  # fmt: skip


def test_adds_up() -> None:
    assert all(part.adds_up for part in PARTS)
    assert not Account(rows_in=3, rows_out=2).adds_up
    assert not Account(rows_in=3, rows_out=3, made={"a": 1}).adds_up


def test_total() -> None:
    total = Account.total(PARTS)
    assert total == Account(
        rows_in=15, rows_out=15, dropped={"select": 3}, made={"repeat": 3}, weights_in={"w": (11.5, 21.25)},
        weights_out={"v": (0.5, 0.25), "w": (8.0, 1.0)}, seconds={"repeat": 0.25, "select": 0.5},
    )  # fmt: skip
    assert total.adds_up
    assert Account.total([]) == Account()


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20), st.randoms())
def test_sums_of_weights_do_not_depend_on_the_order(values: list[float], order: random.Random) -> None:
    parts = [Account(weights_in={"w": (value, value * value)}) for value in values]
    total = Account.total(parts)
    order.shuffle(parts)
    assert Account.total(parts) == total
    assert total.weights_in["w"][0] == math.fsum(values)


def test_as_json() -> None:
    for part in PARTS:
        assert Account.from_dict(json.loads(json.dumps(part.to_dict()))) == part


def test_then() -> None:
    """Two passes over the same rows, one after the other."""
    first, second = PARTS[0], Account(rows_in=8, rows_out=6, dropped={"later": 2}, weights_out={"w": (7.0, 1.0)})
    both = first.then(second)
    assert both.adds_up
    assert (both.rows_in, both.rows_out) == (10, 6)
    assert both.dropped == {"select": 3, "later": 2}
    assert (both.weights_in, both.weights_out) == (first.weights_in, second.weights_out)


def test_peak_memory_is_of_this_process_alone() -> None:
    """Not of the one that started it, which the kernel counts in ru_maxrss."""
    size = 2**28
    block = np.ones(size, np.int8)
    assert peak_memory() > size
    command = [sys.executable, "-c", "from dask_augment.contract.account import peak_memory; print(peak_memory())"]
    child = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 10**6 < child < size
    del block
