from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dask_augment.contract.draw import Draw, composed


def some(n: int, seed: int = 1, label: str = "step", **changes: Any) -> Draw:
    ids = {"run": np.ones(n, np.uint64), "event": np.arange(n, dtype=np.uint64)}
    return Draw(**{"seed": seed, "label": label, "datasets": ["ttbar"], "ids": ids, "copies": np.zeros(n, np.int64),
                   **changes})  # fmt: skip


# The words again, from what the module says of them, in whole numbers of Python.


def philox_of(counter: list[int], key: list[int]) -> list[int]:
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & 0xFFFFFFFF, p0 >> 32 ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0 | c1 << 32, c2 | c3 << 32]


def halves(word: int) -> list[int]:
    return [word & 0xFFFFFFFF, word >> 32]


def word_of(start: list[Any], numbers: list[int], stream: int, thing: int, j: int) -> int:
    digest = hashlib.blake2b(json.dumps(start).encode(), digest_size=16).digest()
    state = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]
    numbers = numbers + [0] * (len(numbers) % 2)
    for first, second in zip(numbers[::2], numbers[1::2], strict=True):
        state = philox_of(halves(first ^ state[1]) + halves(second), halves(state[0]))
    return philox_of([*halves(state[1]), thing, stream * 4096 + j // 2], halves(state[0]))[j % 2]


words = st.integers(0, 2**64 - 1)


@given(
    st.integers(0, 2**40), st.text(max_size=5), st.lists(words, max_size=4), st.integers(0, 2**63 - 1),
    st.integers(0, 2**20 - 1), st.integers(0, 20),
)  # fmt: skip
@settings(max_examples=60)
def test_words_are_those_that_are_said(seed: int, label: str, ids: list[int], copy: int, stream: int, j: int) -> None:
    draw = Draw(seed, label, ["x", "ttbar"], {str(i): np.array([word], np.uint64) for i, word in enumerate(ids)},
                np.array([copy]), np.array([1]))  # fmt: skip
    found = draw.bits(stream, counts=np.array([3]), size=j + 1)
    start = [seed, label, "ttbar", len(ids)]
    for thing in range(3):
        assert int(found[thing, j]) == word_of(start, [*ids, copy], stream, thing, j)


def test_pinned() -> None:
    """Published data sets hold these numbers: they may never change."""
    draw = some(2, seed=7)
    assert [hex(word) for word in draw.bits(0).tolist()] == ["0xd5c18529b7e5de60", "0x3717a5e03d6814e3"]


def test_any_partition_gives_the_same() -> None:
    draw = some(100)
    counts = np.random.default_rng(2).poisson(2.0, 100)
    whole = draw.normal(1, counts=counts)
    at = np.concatenate([[0], np.cumsum(counts)])
    rows = np.random.default_rng(3).permutation(100)
    for part in np.array_split(rows, 7):
        taken = draw.at(part, np.zeros(len(part), int)).normal(1, counts=counts[part])
        np.testing.assert_array_equal(taken, np.concatenate([whole[at[row] : at[row + 1]] for row in part]))


@pytest.mark.parametrize(
    "other",
    [
        some(100, seed=2),
        some(100, label="other"),
        some(100, datasets=["data"]),
        some(100, copies=np.ones(100, np.int64)),
        some(100, ids={"run": np.full(100, 2, np.uint64), "event": np.arange(100, dtype=np.uint64)}),
        some(100, ids={"event": np.arange(100, dtype=np.uint64)}),
        some(100, ids={"event": np.arange(100, dtype=np.uint64) + 2, "run": np.ones(100, np.uint64)}),
    ],
)
def test_all_of_the_key_matters(other: Draw) -> None:
    assert not set(other.bits(0).tolist()) & set(some(100).bits(0).tolist())


def test_streams_objects_and_sizes_are_distinct() -> None:
    draw = some(50)
    found = [draw.bits(stream, counts=np.full(50, 3), size=5).ravel() for stream in (0, 1, 2**20 - 1)]
    assert len(np.unique(np.concatenate(found))) == 3 * 50 * 3 * 5


def test_a_longer_draw_begins_as_a_shorter_one() -> None:
    draw = some(20)
    np.testing.assert_array_equal(draw.bits(0, size=9)[:, :4], draw.bits(0, size=4))
    np.testing.assert_array_equal(draw.bits(0, size=1)[:, 0], draw.bits(0))
    assert draw.uniform(0, size=0).shape == (20, 0)


def test_data_sets_of_rows() -> None:
    codes = np.array([0, 1, 0])
    mixed = some(3, datasets=["a", "b"], codes=codes).bits(0)
    alone = {name: some(3, datasets=[name]).bits(0) for name in "ab"}
    assert mixed.tolist() == [alone["ab"[code]][i] for i, code in enumerate(codes)]


def test_copies_of_copies_are_distinct() -> None:
    """All rows that two steps of three copies each make of one event, in either order of steps."""
    numbers: list[int] = []
    for first, second in (("a", "b"), ("b", "a"), ("a", "a_2")):
        copies = composed(np.zeros(4, np.int64), first, np.arange(4))
        for copy in copies:
            numbers += composed(np.full(4, copy), second, np.arange(4)).tolist()
    # Children of the event itself have one number whichever step order they come from.
    once = {*numbers}
    assert len(once) == 1 + 3 * 3 + 3 * 9
    assert min(numbers) == 0
    assert numbers.count(0) == 3


def test_children_draw_numbers_of_their_own() -> None:
    draw = some(10)
    rows = np.repeat(np.arange(10), 4)
    children = draw.at(rows, np.tile(np.arange(4), 10))
    assert len(np.unique(children.bits(0))) == 40
    np.testing.assert_array_equal(children.bits(0)[::4], draw.bits(0))
    copies = np.array([0, 7, 9])
    of_copies = some(3, copies=copies, ids={"event": np.ones(3, np.uint64)}).at(np.arange(3), np.ones(3, int))
    assert of_copies.copies.tolist() == composed(copies, "step", np.ones(3, int)).tolist()
    assert len(np.unique(of_copies.bits(0))) == 3
    np.testing.assert_array_equal(children.of_originals().bits(0), np.repeat(draw.bits(0), 4))


def test_distributions() -> None:
    draw = some(200_000)
    assert stats.kstest(draw.uniform(0), "uniform").pvalue > 1e-4
    assert stats.kstest(draw.normal(1), "norm").pvalue > 1e-4
    uniform = draw.uniform(2, size=2)
    assert abs(np.corrcoef(uniform.T)[0, 1]) < 5 / np.sqrt(200_000)
    assert abs(np.corrcoef(uniform[1:, 0], uniform[:-1, 0])[0, 1]) < 5 / np.sqrt(200_000)
    counted = np.bincount((uniform[:, 0] * 256).astype(int), minlength=256)
    assert stats.chisquare(counted).pvalue > 1e-4
    for high in (6, 2**40):
        numbers = draw.integers(3, high)
        counted = np.bincount((numbers * 6 // high).astype(int), minlength=6)
        assert len(counted) == 6
        assert stats.chisquare(counted).pvalue > 1e-4


def test_bounds_of_rows_and_objects() -> None:
    draw, high = some(1000), np.arange(1, 1001)
    numbers = draw.integers(0, high, size=4)
    assert np.all((numbers >= 0) & (numbers < high[:, None]))
    assert np.any(numbers > 900)
    counts = np.full(1000, 2)
    assert np.all(draw.integers(0, np.repeat(high, 2), counts=counts) < np.repeat(high, 2))
    assert np.all(draw.integers(0, 1) == 0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda draw: draw.bits(-1), r"stream must lie in \[0, 1048576\), got -1"),
        (lambda draw: draw.bits(2**20), "stream must lie"),
        (lambda draw: draw.bits(0, size=8193), r"size must lie in \[0, 8192\], got 8193"),
        (lambda draw: draw.bits(0, counts=np.array([1])), "counts has 1 entries for 5 rows"),
        (lambda draw: draw.integers(0, 0), "high must be at least 1, got 0"),
    ],
)
def test_errors(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call(some(5))
