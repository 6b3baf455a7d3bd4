from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from dask_augment.kernels.philox import below, normals, philox, uniforms, word, words

# Known answers of Random123 (kat_vectors, philox4x32 with 10 rounds): counter, key, result.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_known_answers(counter: list[int], key: list[int], result: list[int]) -> None:
    assert [int(word) for word in philox(*map(np.uint64, counter + key))] == result


def test_words_are_blocks_of_the_object_and_stream() -> None:
    """The state is key and half of the counter; the other half is object, and stream with block."""
    key = np.array([0xA4093822 | 0x299F31D0 << 32], np.uint64)
    chain = np.array([0x243F6A88 | 0x85A308D3 << 32], np.uint64)
    found = words(key, chain, np.array([3]), 5, 4)
    assert word(key, chain, 5)[0] == found[0, 0]
    for thing in range(3):
        for block in range(2):
            counter = [0x243F6A88, 0x85A308D3, thing, 5 * 4096 + block]
            w = [int(word) for word in philox(*map(np.uint64, [*counter, 0xA4093822, 0x299F31D0]))]
            assert found[thing, 2 * block : 2 * block + 2].tolist() == [w[0] | w[1] << 32, w[2] | w[3] << 32]


def test_normals_are_the_inverse_of_the_distribution_function() -> None:
    rng = np.random.default_rng(1)
    bits = np.concatenate(
        [
            rng.integers(0, 2**64, 200_000, dtype=np.uint64),
            rng.integers(0, 2**64, 50_000, dtype=np.uint64) >> rng.integers(0, 52, 50_000).astype(np.uint64),
            np.array([0, 2**64 - 1, 2**63, 2**63 - 1], np.uint64),
        ]
    )
    p = ((bits >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52
    # ndtri(p) loses the upper tail, where 1 - p is exact.
    expected = np.where(p < 0.5, ndtri(p), -ndtri(1 - p))
    found = normals(bits)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
    assert 8 < found.max() == -found.min() < 8.3


def test_normals_are_symmetric() -> None:
    bits = np.random.default_rng(2).integers(0, 2**64, 10_000, dtype=np.uint64)
    np.testing.assert_array_equal(normals(~bits), -normals(bits))


def test_uniforms_are_in_range() -> None:
    assert uniforms(np.array([0, 2**11 - 1, 2**11, 2**64 - 1], np.uint64)).tolist() == [0, 0, 2**-53, 1 - 2**-53]


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**63 - 1))
def test_below_is_the_upper_half_of_the_product(bits: int, high: int) -> None:
    assert below(np.array([bits], np.uint64), np.array([high]))[0] == bits * high >> 64
