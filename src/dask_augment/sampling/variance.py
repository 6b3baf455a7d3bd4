"""How much smaller the variance of rows between neighbours is than that of the originals: the moment law of SMOTE.

A made row s = x + u (x' - x), with u uniform in [0, 1), x the source and x' a neighbour, has

    E s = (E x + E x') / 2,   Var s = (Var x + Var x' + Cov(x, x')) / 3 + (E x' - E x)**2 / 12

over sources, each as often as rows are made of it, and their neighbours, each as likely.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.interpolation_moments import variance, variance_between
from dask_augment.sampling.gathering import Table


def variance_ratios(
    table: Table, neighbours: NDArray[np.int32], found: NDArray[np.int32], children: NDArray[np.int64],
    strata: Sequence[str], more: Collection[str],
) -> NDArray[np.float64]:  # fmt: skip
    """Var s of each stratum and feature (H, d), in units of the variance of all rows of the stratum.

    NaN in strata without made rows (those not in ``more``), and of a feature that does not vary.
    """
    ratios = np.full((len(strata), len(table.features)), np.nan)
    for h, stratum in enumerate(strata):
        if stratum not in more:
            continue
        rows = table.of(stratum)
        for f, values in enumerate(table.features):
            width = variance(values, rows)
            if width > 0:
                ratios[h, f] = variance_between(values, rows, children, neighbours, found) / width
    return ratios
