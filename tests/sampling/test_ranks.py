"""The k-th row of each stratum, against sorting all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dask_augment.contract.draw import Draw
from dask_augment.events.strata import Strata
from dask_augment.frames.questions import total
from dask_augment.sampling.ranks import Order, ascending, last_keys, number

NUMBERS = st.floats(allow_nan=False, allow_infinity=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class ByTwo(Order):
    words: ClassVar[int] = 2

    def uses(self) -> frozenset[str]:
        return frozenset({"high", "low"})

    def keys(self, events: ak.Array, draw: Draw) -> list[NDArray[np.uint64]]:
        return [np.asarray(events.high), np.asarray(events.low)]


DRAW = Draw(seed=1, label="step", datasets=["toy"], ids={}, copies=np.zeros(0, np.int64))


def found(events: ak.Array, ranks: dict[str, int], *, whole: bool, parts: int = 1) -> tuple[dict[str, Any], int]:
    """The keys, and how many questions it took."""
    pieces = [events[piece] for piece in np.array_split(np.arange(len(events)), parts) if len(piece)]
    questions, asked, answer = last_keys(ByTwo(strata=Strata.of("label")), ranks, whole=whole), 0, None
    try:
        while True:
            question = questions.send(answer)  # type: ignore[arg-type]
            answer = total(question.measure(piece, DRAW) for piece in pieces)
            asked += 1
    except StopIteration as stop:
        return stop.value, asked


# Few different words, so that digits agree far down and keys are equal.
WORDS = st.sampled_from([0, 1, 2, 2**16, 2**48 - 1, 2**48, 2**48 + 1, 2**63, 2**63 + 5, 2**64 - 1])
ROWS = st.lists(st.tuples(st.integers(0, 2), WORDS, WORDS), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(1, 40), st.booleans(), st.integers(1, 3))
def test_kth_as_sorted(rows: list[tuple[int, int, int]], rank: int, whole: bool, parts: int) -> None:
    label = np.array([row[0] for row in rows])
    high, low = (np.array([row[i] for row in rows], np.uint64) for i in (1, 2))
    events = ak.Array({"label": label, "high": high, "low": low})
    keys = {f"label={g}": sorted((h << 64) + k for lab, h, k in rows if lab == g) for g in set(label.tolist())}
    ranks = {name: min(rank, len(ordered)) for name, ordered in keys.items()}
    result, _ = found(events, ranks, whole=whole, parts=parts)
    assert set(result) == set(keys)
    for name, ordered in keys.items():
        expected = ordered[ranks[name] - 1]
        key, taken = result[name]
        assert taken == sum(k <= key for k in ordered) == sum(k <= expected for k in ordered)
        assert key == expected if whole else key >= expected


def test_few_questions() -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**64, (2, 3000), dtype=np.uint64)
    events = ak.Array({"label": np.zeros(3000, np.int8), "high": words[0], "low": words[1]})
    assert found(events, {"label=0": 1000}, whole=False)[1] <= 2
    assert found(events, {"label=0": 1000}, whole=True)[1] == 8
    assert found(events, {}, whole=True) == ({}, 0)


@given(st.lists(NUMBERS, min_size=2, max_size=2))
def test_words_ascend_with_numbers(values: list[float]) -> None:
    a, b = ascending(np.array(values)).tolist()
    assert (a < b) == (values[0] < values[1])
    assert (a == b) == (values[0] == values[1])
    assert number(a) == values[0]


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, -1.5, np.inf, -np.inf])
def test_words_of_special_numbers(value: float) -> None:
    assert number(int(ascending(np.array([value]))[0])) == value
