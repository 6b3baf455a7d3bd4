from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.utils import check_sampling_strategy

from dask_augment.sampling.strategy import apportion, check_strategy, neyman, proportional, targets

COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=5).map(lambda rows: {f"s{i}": n for i, n in enumerate(rows)})
NAMES = ("auto", "majority", "minority", "not majority", "not minority", "all")
KINDS = st.sampled_from(["under", "over"])


def of_imblearn(counts: dict[str, int], strategy: Any, kind: str) -> dict[str, int]:
    """The final numbers of rows by imbalanced-learn."""
    y = np.repeat(list(counts), list(counts.values()))
    found = {str(key): int(n) for key, n in check_sampling_strategy(strategy, y, f"{kind}-sampling").items()}
    return counts | ({key: counts[key] + n for key, n in found.items()} if kind == "over" else found)


def both(counts: dict[str, int], strategy: Any, kind: str) -> None:
    """Ours and imbalanced-learn's agree, also in whether it is an error."""
    try:
        expected = of_imblearn(counts, strategy, kind)
    except ValueError:
        with pytest.raises(ValueError):
            targets(counts, strategy, kind)
    else:
        assert targets(counts, strategy, kind) == expected


@given(COUNTS, st.sampled_from([*NAMES, "most"]), KINDS)
def test_names_as_imblearn(counts: dict[str, int], strategy: str, kind: str) -> None:
    both(counts, strategy, kind)


@given(COUNTS, st.floats(-0.5, 1.5, allow_subnormal=False).filter(lambda x: not 0 < x < 1e-9), KINDS)
def test_ratio_as_imblearn(counts: dict[str, int], ratio: float, kind: str) -> None:
    both(counts, ratio, kind)


@given(COUNTS, st.dictionaries(st.sampled_from(["s0", "s1", "s2", "t"]), st.integers(-2, 60)), KINDS)
def test_dictionary_as_imblearn(counts: dict[str, int], strategy: dict[str, int], kind: str) -> None:
    both(counts, strategy, kind)


@given(COUNTS, KINDS)
def test_function_of_counts(counts: dict[str, int], kind: str) -> None:
    assert targets(counts, lambda have: {"s0": have["s0"]}, kind) == counts
    assert targets(counts, lambda have: "all", kind) == targets(counts, "all", kind)


def test_ties_go_to_the_first_label() -> None:
    counts = {"b": 5, "a": 5, "c": 9}
    assert targets(counts, "minority", "over") == {"a": 9, "b": 5, "c": 9}
    assert targets({"b": 9, "a": 9, "c": 5}, "majority", "under") == {"a": 5, "b": 9, "c": 5}


def test_errors_tell_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"there is but one: \['a'\]"):
        targets({"a": 4}, "auto", "under")
    assert targets({"a": 4}, {"a": 2}, "under") == {"a": 2}
    with pytest.raises(ValueError, match="not there; the nearest are \\['label=1'"):
        targets({"label=1": 4, "x": 1}, {"label=2": 2}, "under")
    with pytest.raises(ValueError, match="number of rows"):
        targets({"a": 4}, {"a": 2.5}, "under")  # type: ignore[dict-item]
    with pytest.raises(ValueError, match='"under" or "over"'):
        targets({"a": 4}, {"a": 2}, "clean")
    with pytest.raises(TypeError, match="must be one of"):
        targets({"a": 4, "b": 5}, ["a"], "under")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot hold a function"):
        check_strategy(lambda counts: counts, "under")
    with pytest.raises(ValueError, match="of under-sampling must be one of"):
        check_strategy("minority", "under")
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        check_strategy(1.5, "over")
    with pytest.raises(TypeError, match="must be one of"):
        check_strategy(None, "over")


BOUNDED = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 4), st.integers(0, 20)), min_size=1, max_size=5
).map(lambda rows: [(share, low, low + extra) for share, low, extra in rows])  # fmt: skip


def one_by_one(size: int, shares: list[int], least: list[int], most: list[int]) -> list[int]:
    """Highest averages as the definition has them."""
    got = list(least)
    for _ in range(size - sum(got)):
        free = [i for i in range(len(got)) if got[i] < most[i]]
        # shares of 0 come last
        best = max(free, key=lambda i: (shares[i] > 0, Fraction(shares[i] or most[i], 2 * got[i] + 1), -i))
        got[best] += 1
    return got


@given(BOUNDED, st.data())
def test_apportion_is_highest_averages(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    shares, least, most = map(list, zip(*rows, strict=True))
    size = data.draw(st.integers(sum(least), sum(most)))
    got = apportion(size, shares, least, most)
    assert sum(got) == size
    assert all(low <= n <= high for low, n, high in zip(least, got, most, strict=True))
    assert got == one_by_one(size, shares, least, most)


@given(BOUNDED)
def test_apportion_never_takes_back(rows: list[tuple[int, int, int]]) -> None:
    shares, least, most = map(list, zip(*rows, strict=True))
    results = [apportion(size, shares, least, most) for size in range(sum(least), sum(most) + 1)]
    assert all(a <= b for one, more in itertools.pairwise(results) for a, b in zip(one, more, strict=True))


def test_apportion_of_many_rows() -> None:
    assert apportion(10**9, [1, 2, 7], [0] * 3, [10**10] * 3) == [10**8, 2 * 10**8, 7 * 10**8]
    assert apportion(1, [3, 3, 3], [0] * 3, [5, 9, 9]) == [1, 0, 0]
    assert apportion(5, [3, 3, 3], [0] * 3, [5, 9, 9]) == [2, 2, 1]
    assert apportion(10, [0, 0], [0, 0], [10**6, 10]) == [10, 0]
    assert apportion(1_000_005, [5, 0], [0, 0], [5, 10**6]) == [5, 10**6]
    with pytest.raises(ValueError, match="at least 2 and at most 3"):
        apportion(4, [1, 1], [1, 1], [1, 2])


ROWS = {"a": 5_000_000, "b": 2_000_000, "c": 500_000, "d": 10_000}


def test_allocations() -> None:
    sigmas = {"a": 1.0, "b": 4.0, "c": 20.0, "d": 300.0}
    assert neyman(ROWS, sigmas, 20_000) == {"a": 3846, "b": 6154, "c": 7692, "d": 2308}
    even = proportional(ROWS, 20_000)
    assert sum(even.values()) == 20_000
    assert all(abs(even[label] - 20_000 * ROWS[label] / 7_510_000) < 1 for label in ROWS)
    variance = {
        name: sum((ROWS[label] * sigmas[label]) ** 2 * (1 / n - 1 / ROWS[label]) for label, n in found.items())
        for name, found in (("even", even), ("best", neyman(ROWS, sigmas, 20_000)))
    }
    assert variance["even"] / variance["best"] == pytest.approx(12.9, abs=0.05)


def test_allocations_within_what_there_is() -> None:
    # d is full at its 10 000 rows, and the others share the rest in proportion.
    full = neyman(ROWS, {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1e6}, 85_000)
    assert full == {"a": 50_000, "b": 20_000, "c": 5_000, "d": 10_000}
    assert proportional(ROWS, 1000, minimum=100)["d"] == 100
    assert proportional({"a": 3, "b": 1000}, 100, minimum=50)["a"] == 3
    with pytest.raises(ValueError, match=r"between 4, .* and the 7510000 rows that there are, got 3"):
        proportional(ROWS, 3)
    with pytest.raises(ValueError, match="varies in no stratum"):
        neyman(ROWS, dict.fromkeys(ROWS, 0.0), 100)
    with pytest.raises(ValueError, match="stratum 'a' must be a finite"):
        neyman(ROWS, {**dict.fromkeys(ROWS, 1.0), "a": float("nan")}, 100)
