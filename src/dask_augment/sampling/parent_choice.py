"""Second parents of made rows: the neighbours of each row of a table in its own group."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.neighbours import nearest
from dask_augment.sampling.approximate import nearby
from dask_augment.sampling.gathering import Table
from dask_augment.sampling.strategy import rows_of


def partners(
    table: Table, points: NDArray[np.float64], k: int, penalties: Mapping[str, float], *, distinct: bool,
    approximate: bool,
) -> NDArray[np.int64]:  # fmt: skip
    """Rows of the table (n, k) that are next to each, of its own group; -1 fills up.

    ``points`` (n, d) are its features in units of their scales; ``penalties`` say what a category that differs adds to a
    squared distance in each stratum. The approximate search knows no categories.
    """
    found = np.full((len(table), k), -1, np.int64)
    for g, key in enumerate(table.groups):
        rows = np.flatnonzero(table.which == g)
        if len(rows) <= k:
            continue
        mine = points if len(rows) == len(table) else points[rows]
        if approximate:
            local = nearby(mine, k, distinct=distinct)
        else:
            codes = np.ascontiguousarray(table.categories[:, rows].T)
            _, local = nearest(
                mine, mine, k, own=np.arange(len(rows)), distinct=distinct,
                categories=(codes, codes, penalties[key.stratum]) if len(table.categories) else None,
            )  # fmt: skip
        found[rows] = np.where(local >= 0, rows[local], -1)
    return found


def refuse_few(
    table: Table, strata: Collection[str], found: NDArray[np.int64], k: int, counts: Mapping[str, int], *, signed: bool
) -> None:
    """Raise for the first of these strata none of whose rows has a neighbour; ``found`` says how many each row has."""
    for stratum in strata:
        if found[table.of(stratum)].any():
            continue
        rows = {
            key.signs: int((table.which == g).sum()) for g, key in enumerate(table.groups) if key.stratum == stratum
        }
        if max(rows.values(), default=0) > k:
            raise ValueError(
                f"all rows of stratum {stratum!r} have the same features, so there is nothing between them: say "
                "distinct=False to copy them"
            )
        signs = f" (by sign of the weight: {rows})" if signed else ""
        raise ValueError(
            f"stratum {stratum!r} has {sum(rows.values())} rows{signs}; k_neighbors={k} needs {k + 1} of one sign: lower "
            f"k_neighbors, make coarser strata, or copy them with oversample {rows_of(counts)}"
        )
