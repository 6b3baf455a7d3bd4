"""Philox4x32-10 and numbers from its words: row keys, uniform, normal and integer numbers.

Source of the generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11).
Only + - * /, sqrt and integer arithmetic are used, without fused or reordered operations, so that every CPU gives
the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_11 = np.uint64(11)
_12 = np.uint64(12)
_52 = np.uint64(52)
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_ONE = np.uint64(0x3FF0000000000000)
_UNIT = 2.0**-53


@njit(nogil=True, cache=True, inline="always")
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Ten rounds of Philox4x32 on one counter; words are uint64 below 2**32."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@njit(nogil=True, cache=True)
def absorb(
    key: NDArray[np.uint64], chain: NDArray[np.uint64], first: NDArray[np.uint64], second: NDArray[np.uint64]
) -> None:
    """Mix two 64-bit values per row into its state, ``key`` and ``chain`` (n,), in place (CBC chaining).

    Half of the state is the key of the block, the other half is added to its counter.
    """
    # Each array is walked through in steps of one word, so that the compiler computes several rows at once.
    for i in range(key.shape[0]):
        a, b, k = first[i] ^ chain[i], second[i], key[i]
        w0, w1, w2, w3 = philox(a & _LOW, a >> _32, b & _LOW, b >> _32, k & _LOW, k >> _32)
        key[i] = w0 | (w1 << _32)
        chain[i] = w2 | (w3 << _32)


@njit(nogil=True, cache=True)
def word(key: NDArray[np.uint64], chain: NDArray[np.uint64], stream: int) -> NDArray[np.uint64]:
    """The first random word of each row: what :func:`words` gives for one object and ``size`` 1."""
    out = np.empty(key.shape[0], np.uint64)
    first = np.uint64(stream) << np.uint64(12)
    for i in range(out.shape[0]):
        k, c = key[i], chain[i]
        w0, w1, _, _ = philox(c & _LOW, c >> _32, np.uint64(0), first, k & _LOW, k >> _32)
        out[i] = w0 | (w1 << _32)
    return out


@njit(nogil=True, cache=True)
def words(
    key: NDArray[np.uint64], chain: NDArray[np.uint64], counts: NDArray[np.int64], stream: int, size: int
) -> NDArray[np.uint64]:
    """``size`` random words for each of ``counts[i]`` objects of row i: uint64 (sum(counts), size).

    Word j of object o of a row is half ``j % 2`` of the block with counter (chain, o, stream * 4096 + j // 2).
    """
    total = 0
    for i in range(counts.shape[0]):
        total += counts[i]
    out = np.empty((total, size), np.uint64)
    first = np.uint64(stream) << np.uint64(12)
    at = 0
    for i in range(key.shape[0]):
        k0, k1, c0, c1 = key[i] & _LOW, key[i] >> _32, chain[i] & _LOW, chain[i] >> _32
        for thing in range(counts[i]):
            for block in range((size + 1) // 2):
                w0, w1, w2, w3 = philox(c0, c1, np.uint64(thing), first + np.uint64(block), k0, k1)
                out[at, 2 * block] = w0 | (w1 << _32)
                if 2 * block + 1 < size:
                    out[at, 2 * block + 1] = w2 | (w3 << _32)
            at += 1
    return out


@njit(nogil=True, cache=True)
def uniforms(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1), multiples of 2**-53, from flat words."""
    out = np.empty(bits.shape[0], np.float64)
    for i in range(bits.shape[0]):
        out[i] = np.float64(bits[i] >> _11) * _UNIT
    return out


@njit(nogil=True, cache=True)
def below(bits: NDArray[np.uint64], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers in [0, high[i]) from flat words: the upper half of the 128-bit product (bias below high / 2**64)."""
    out = np.empty(bits.shape[0], np.int64)
    for i in range(bits.shape[0]):
        a0, a1 = bits[i] & _LOW, bits[i] >> _32
        b0, b1 = np.uint64(high[i]) & _LOW, np.uint64(high[i]) >> _32
        middle = a1 * b0 + ((a0 * b0) >> _32)
        other = a0 * b1 + (middle & _LOW)
        out[i] = np.int64(a1 * b1 + (middle >> _32) + (other >> _32))
    return out


@njit(nogil=True, cache=True, inline="always")
def _log(x, view, as_float):  # type: ignore[no-untyped-def]
    """Natural logarithm of a positive normal number to about 1e-16 relative.

    x = m 2**e with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m - 1) / (m + 1)) as a series.
    """
    as_float[0] = x
    exponent = np.int64(view[0] >> _52) - 1023
    view[0] = (view[0] & _MANTISSA) | _ONE
    m = as_float[0]
    if m > 1.4142135623730951:
        m *= 0.5
        exponent += 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 1.0 / 23.0
    for k in range(21, 0, -2):
        series = series * z + 1.0 / k
    return exponent * 0.6931471805599453 + 2.0 * s * series


@njit(nogil=True, cache=True)
def normals(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard normal numbers from flat words, by the inverse of the distribution function.

    p = (k + 1/2) 2**-52 (exact, and so is 1 - p) goes through Wichura's AS 241 (PPND16; Applied Statistics 37 (1988) 477), relative
    accuracy 1e-16; the tails reach 8.1 standard deviations.
    """
    out = np.empty(bits.shape[0], np.float64)
    as_float = np.empty(1, np.float64)
    view = as_float.view(np.uint64)
    for i in range(bits.shape[0]):
        p = (np.float64(bits[i] >> _12) + 0.5) * 2.0**-52
        q = p - 0.5
        if abs(q) <= 0.425:
            r = 0.180625 - q * q
            num = 2.5090809287301226727e3 * r + 3.3430575583588128105e4
            num = num * r + 6.7265770927008700853e4
            num = num * r + 4.5921953931549871457e4
            num = num * r + 1.3731693765509461125e4
            num = num * r + 1.9715909503065514427e3
            num = num * r + 1.3314166789178437745e2
            num = num * r + 3.3871328727963666080e0
            den = 5.2264952788528545610e3 * r + 2.8729085735721942674e4
            den = den * r + 3.9307895800092710610e4
            den = den * r + 2.1213794301586595867e4
            den = den * r + 5.3941960214247511077e3
            den = den * r + 6.8718700749205790830e2
            den = den * r + 4.2313330701600911252e1
            den = den * r + 1.0
            out[i] = q * num / den
            continue
        r = p if q < 0.0 else 1.0 - p
        r = np.sqrt(-_log(r, view, as_float))
        if r <= 5.0:
            r -= 1.6
            num = 7.74545014278341407640e-4 * r + 2.27238449892691845833e-2
            num = num * r + 2.41780725177450611770e-1
            num = num * r + 1.27045825245236838258e0
            num = num * r + 3.64784832476320460504e0
            num = num * r + 5.76949722146069140550e0
            num = num * r + 4.63033784615654529590e0
            num = num * r + 1.42343711074968357734e0
            den = 1.05075007164441684324e-9 * r + 5.47593808499534494600e-4
            den = den * r + 1.51986665636164571966e-2
            den = den * r + 1.48103976427480074590e-1
            den = den * r + 6.89767334985100004550e-1
            den = den * r + 1.67638483018380384940e0
            den = den * r + 2.05319162663775882187e0
            den = den * r + 1.0
        else:
            r -= 5.0
            num = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
            num = num * r + 1.24266094738807843860e-3
            num = num * r + 2.65321895265761230930e-2
            num = num * r + 2.96560571828504891230e-1
            num = num * r + 1.78482653991729133580e0
            num = num * r + 5.46378491116411436990e0
            num = num * r + 6.65790464350110377720e0
            den = 2.04426310338993978564e-15 * r + 1.42151175831644588870e-7
            den = den * r + 1.84631831751005468180e-5
            den = den * r + 7.86869131145613259100e-4
            den = den * r + 1.48753612908506148525e-2
            den = den * r + 1.36929880922735805310e-1
            den = den * r + 5.99832206555887937690e-1
            den = den * r + 1.0
        out[i] = -num / den if q < 0.0 else num / den
    return out
