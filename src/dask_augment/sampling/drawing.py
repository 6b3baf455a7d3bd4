"""Draw rows in proportion to the sizes of their weights, as many as keep the sum of squared weights.

With u the sizes of the weights of a stratum, as integers, W the sum of the weights, A that of u and Q that of u**2, a row
is to have w' = u W / A on average. Rows with u > t stay and have just that; of the others n are drawn, each with the
probability p = n u / R, where R is the sum of their u, and all have the same weight. The sum of w'**2 is then

    (W / A)**2 (sum of u**2 over u > t, and R**2 / n),

and t and n are such that it is Q, as it was: n to the nearest whole number, fewer where p would exceed 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.allocation import rescaled
from dask_augment.sampling.allotment import one_below
from dask_augment.sampling.moments import exact_square, exact_sum

_SLACK = 1 - 2.0**-40
"""What weights beside the first are scaled down by, so that rounding never makes their sum too large."""


@dataclass(frozen=True)
class Drawn:
    """The rows of a stratum that stay, and what they weigh."""

    keys: NDArray[np.uint64]
    """Of the rows that stay, ascending; the first one gets what rounding leaves."""
    threshold: int
    """Rows with more units of the first weight all stay."""
    net: int
    """Units of the first weight that the stratum has."""
    size: int
    """Units that the sizes of the first weight make."""
    rest: int
    """R: those of the rows that are drawn from."""
    number: int
    """n."""
    share: int
    """Units that each row that was drawn gets."""
    factors: tuple[float, ...]
    """Of the other weights, what their size over p is multiplied with."""
    left: tuple[int, ...]
    """Of each weight, the units that the first row gets beside its own."""

    def weighed(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Units of the weights of rows that stay (weights, n), from their sizes, without what is left."""
        first = units[0]
        whole, one = first > self.threshold, np.zeros(len(first), np.int64)
        kept = rescaled(first, one, np.array([self.net]), np.array([max(self.size, 1)]))
        found = [np.where(whole, kept, self.share)]
        for factor, over in zip(self.factors, self.over_p(units), strict=True):
            found.append(np.floor(over * factor).astype(np.int64))
        return np.stack(found)

    def over_p(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        """The sizes of the other weights over the probability of the row to stay (weights - 1, n)."""
        times = self.rest / (max(self.number, 1) * np.maximum(units[0], 1).astype(np.float64))
        return units[1:].astype(np.float64) * np.where(units[0] > self.threshold, 1.0, times)


def drawn(keys: NDArray[np.uint64], units: NDArray[np.int64], nets: list[int]) -> Drawn:
    """Draw rows of one stratum.

    Parameters
    ----------
    keys
        A random number of each row (n,), none twice.
    units
        The size of each weight (weights, n) in units; that of the first one is positive.
    nets
        The sum of each weight in its units, positive.

    Rows stand in the order of their keys on a line, each as long as its u; n points at equal distances, the first one
    at random, say which are drawn (systematic sampling).
    """
    order = np.argsort(keys)
    keys, units = keys[order], units[:, order]
    first, net = units[0], nets[0]
    size, squares = exact_sum(first), exact_square(first)
    threshold = _threshold(first, net, size, squares)
    whole = first > threshold
    line, number = first[~whole], 0
    rest = size - exact_sum(first[whole])
    if rest:  # else all that may be drawn is less than a unit beside a weight beyond 2**52 of them
        # R**2 / n is to be what the rows that stay leave of Q.
        above = exact_square(first[whole])
        part, of = net**2 * rest**2, squares * size**2 - net**2 * above
        number = max(min((2 * part + of) // (2 * of), rest // int(line.max())), 1)
    stays = whole.copy()
    stays[np.flatnonzero(~whole)[_points(line, number, keys)]] = True
    units, whole = units[:, stays], whole[stays]
    found = Drawn(keys[stays], threshold, net, size, rest, number, 0, (0.0,) * (len(units) - 1), ())
    share = (net - exact_sum(found.weighed(units[:, whole])[0])) // max(number, 1)
    sums = (fsum(other.tolist()) for other in found.over_p(units))
    factors = tuple(wanted / total * _SLACK if total else 0.0 for wanted, total in zip(nets[1:], sums, strict=True))
    found = replace(found, share=share, factors=factors)
    left = (wanted - exact_sum(weighed) for wanted, weighed in zip(nets, found.weighed(units), strict=True))
    return replace(found, left=tuple(left))


def _threshold(units: NDArray[np.int64], net: int, size: int, squares: int) -> int:
    """The smallest t with (W / A)**2 sum of u max(t, u) >= Q; the largest u where none of these is so large."""
    low, high = 0, int(units.max(initial=0))
    while low < high:
        middle = (low + high) // 2
        above = units[units > middle]
        sum_of = exact_square(above) + middle * (size - exact_sum(above))
        low, high = (low, middle) if net**2 * sum_of >= squares * size**2 else (middle + 1, high)
    return low


def _points(line: NDArray[np.int64], number: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows that ``number`` points on the line lie in: at equal distances, from a random one below that distance."""
    if not number:
        return np.zeros(0, np.int64)
    ends = np.cumsum(line)
    length = int(ends[-1])
    k, (step, part) = np.arange(number), divmod(length, number)
    # (k length + start) / number, rounded down, of which no term overflows.
    points = k * step + (k * part + one_below(length, keys)) // number
    return np.searchsorted(ends, points, side="right")
