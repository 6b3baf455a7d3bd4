"""Draws with replacement: their number is exact, and their counts have the multinomial distribution."""

from __future__ import annotations

import itertools
from collections import Counter
from math import factorial
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from dask_augment.contract.draw import Draw
from dask_augment.events.strata import Strata
from dask_augment.frames.questions import total
from dask_augment.sampling import bootstrap
from dask_augment.sampling.bootstrap import last_draws, times_drawn

LABELS = Strata.of("label")


def draw_of(events: NDArray[Any], seed: int = 5) -> Draw:
    ids = {"event": events.astype(np.uint64)}
    return Draw(seed=seed, label="step", datasets=["toy"], ids=ids, copies=np.zeros(len(events), np.int64))


def times(label: NDArray[Any], draws: dict[str, int], seed: int = 5, parts: int = 1) -> NDArray[np.int64]:
    """How often each row is drawn, in rows of so many partitions."""
    rows = {f"label={value}": int(number) for value, number in Counter(label.tolist()).items()}
    pieces = np.array_split(np.arange(len(label)), parts)
    questions = last_draws(LABELS, rows, draws)
    answer = None
    try:
        while True:
            question = questions.send(answer)  # type: ignore[arg-type]
            answer = total(
                question.measure(ak.Array({"label": label[piece]}), draw_of(piece, seed))
                for piece in pieces
                if len(piece)
            )
    except StopIteration as stop:
        last, found = stop.value
    ends = [last[f"label={value}"] for value in label]
    unit, place = np.array([end >> 64 for end in ends], np.int64), np.array([end % 2**64 for end in ends], np.uint64)
    drawn = np.concatenate([times_drawn(draw_of(piece, seed), unit[piece], place[piece]) for piece in pieces])
    for value in np.unique(label):
        assert found[f"label={value}"] == Counter(drawn[label == value].tolist()), "how many rows are drawn how often"
    return drawn


def test_table_is_the_poisson_distribution() -> None:
    steps = bootstrap._STEPS
    expected = stats.poisson.cdf(np.arange(len(steps)), 1.0) * 2.0**64
    assert np.allclose(steps.astype(float), expected, rtol=1e-14)
    assert int(steps[-1]) == 2**64 - 1
    assert np.all(np.diff(steps[:-1].astype(object)) > 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 200)), min_size=1, max_size=4), st.integers(0, 99))
def test_as_many_as_asked_for(strata: list[tuple[int, int]], seed: int) -> None:
    label = np.repeat(np.arange(len(strata)), [rows for rows, _ in strata])
    draws = {f"label={i}": number for i, (_, number) in enumerate(strata)}
    drawn = times(label, draws, seed)
    assert np.bincount(label, drawn).tolist() == [number for _, number in strata]
    assert np.array_equal(times(label, draws, seed, parts=3), drawn)


@pytest.mark.parametrize(("rows", "draws"), [(3, 4), (4, 2), (2, 5)])
def test_counts_are_multinomial(rows: int, draws: int) -> None:
    strata = 900
    label = np.repeat(np.arange(strata), rows)
    drawn = times(label, {f"label={i}": draws for i in range(strata)}).reshape(strata, rows)
    found = Counter(map(tuple, drawn.tolist()))
    outcomes = [c for c in itertools.product(range(draws + 1), repeat=rows) if sum(c) == draws]
    expected = (
        np.array([factorial(draws) / np.prod([factorial(n) for n in c]) / rows**draws for c in outcomes]) * strata
    )
    assert sum(found[c] for c in outcomes) == strata
    assert stats.chisquare([found[c] for c in outcomes], expected).pvalue > 1e-3


def test_counts_of_many_rows_are_binomial() -> None:
    rows, draws = 20_000, 30_000
    drawn = times(np.zeros(rows, np.int64), {"label=0": draws})
    expected = rows * stats.binom.pmf(np.arange(7), draws, 1 / rows)
    expected = np.append(expected, rows - expected.sum())
    assert stats.chisquare(np.append(np.bincount(drawn)[:7], (drawn > 6).sum()), expected).pvalue > 1e-3


def test_more_draws_keep_the_earlier_ones() -> None:
    label = np.zeros(40, np.int64)
    before = times(label, {"label=0": 0})
    assert not before.any()
    for draws in (1, 2, 39, 40, 41, 700):
        more = times(label, {"label=0": draws})
        assert np.all(more >= before)
        before = more


def test_a_window_that_misses_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.zeros(50, np.int64)
    expected = times(label, {"label=0": 5000})
    monkeypatch.setattr(bootstrap, "_SIGMAS", 0)
    monkeypatch.setattr(bootstrap, "_MARGIN", 1)
    assert np.array_equal(times(label, {"label=0": 5000}), expected)


def test_equal_times_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draw, "bits", lambda self, stream, counts: np.full(int(np.sum(counts)), 2**63, np.uint64))
    with pytest.raises(ValueError, match="'label=0' have the same 64-bit random key"):
        times(np.zeros(5, np.int64), {"label=0": 3})
