"""Add a little noise to copies of events, in proportion to the spread of their stratum (smoothed bootstrap)."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import awkward as ak
import numpy as np

from dask_augment.contract.augmenter import Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.events.columns import number
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.simulation import is_known_weight
from dask_augment.events.strata import Strata
from dask_augment.options import check_columns, is_finite
from dask_augment.sampling.deviations import SpreadOfOriginals, standard_deviations


@dataclass(frozen=True, kw_only=True, eq=False)
class Smooth(Learner):
    r"""Add normal noise, as wide as a kernel, to the features of copies: after a bootstrap, the smoothed bootstrap.

    Each feature :math:`x_j` of a copy in stratum h moves by its own standard normal number z:

    .. math:: x_j' = x_j + s\, b_h\, \sigma_{hj}\, z_j, \qquad b_h = \left(\frac{4}{(d + 2)\, n_h}\right)^{1 / (d + 4)}

    with the number d of features, the number :math:`n_h` of original events and their standard deviations
    :math:`\sigma_{hj}`: Silverman's width of a normal kernel (Density Estimation, 1986, eq. 4.14). After
    ``oversample(multiplicity="bootstrap")`` the copies are drawn from the density that this kernel estimates, as
    imbalanced-learn's ``RandomOverSampler(shrinkage=...)`` does with the number of all rows in place of :math:`n_h`.
    The variance of a copy's feature is :math:`1 + s^2 b_h^2` times that of the originals, and correlations are weaker
    by that factor: the price of making all rows different. Originals stay as they are.

    Smoothed values may leave the allowed range: smooth the logarithm of a pt, not the pt. Angles do not wrap around. Do
    not smooth numbers of objects. Put steps that compute from the features (``define``) after it.

    Parameters
    ----------
    features
        Columns of one float for each event, in any units; no weights.
    strata
        Columns whose values are categories, ``"dataset"``, or ``Bins(column, edges)``: each has widths of its own.
    shrinkage
        The factor s; 0 moves nothing.
    originals
        Also move original rows when copies exist. By default only copies move.

    Columns in and out: the features, with the types they have. Rows are kept. Random numbers: one for each row and
    feature. Learns in one question.

    Example
    -------
    ::

        - smooth: {features: [HT, MET.pt], strata: [dataset]}
    """

    keyed = True
    use = "training"

    features: Sequence[str]
    strata: Any = ()
    shrinkage: float = 1.0
    originals: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "strata", Strata.of(self.strata))
        check_columns(self, "features", needed=True)
        if weights := [name for name in self.features if name == TRAIN_WEIGHT or is_known_weight(name)]:
            raise ValueError(
                f"features names the weights {weights}: copies have weight 0, and noise would change it; leave them out"
            )
        if not (is_finite(self.shrinkage) and self.shrinkage >= 0):
            raise ValueError(f"shrinkage must be a number, 0 or more, got {self.shrinkage!r}")

    def uses(self) -> frozenset[str]:
        """Strata and features."""
        strata: frozenset[str] = self.strata.uses()
        return strata | set(self.features)

    def produces(self) -> Mapping[str, str | None]:
        """The features."""
        return dict.fromkeys(self.features)

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """The standard deviations of the originals, times the width of the kernel."""
        features = tuple(self.features)
        spread = (yield from SpreadOfOriginals(strata=self.strata, variables=features).ask()).parts
        rows = {label: part.values[0] for label, part in spread[features[0]].parts.items()}
        if empty := sorted(label for label, number in rows.items() if not number):
            raise ValueError(
                f"strata {empty[:8]} have copies but no original events, whose spread sets the width of the noise; "
                "keep the originals, or make fewer strata"
            )
        strata = sorted(rows)
        sigmas = {name: standard_deviations(spread[name], name) for name in features}
        widths = [[self._width(rows[label]) * sigmas[name][label] for name in features] for label in strata]
        return Learned({"strata": np.array(strata), "widths": np.array(widths)})

    def _width(self, rows: int) -> float:
        """s times the width of the kernel in standard deviations; decimal powers are the same on every computer."""
        d = len(self.features)
        with localcontext(prec=30):
            return float(Decimal(self.shrinkage) * (Decimal(4) / ((d + 2) * rows)) ** (Decimal(1) / (d + 4)))

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Add a normal number to each feature."""
        assert draw is not None
        assert self.learned is not None
        widths = self.learned["widths"][self.strata.index(events, self.learned["strata"])]
        columns = {}
        for stream, name in enumerate(self.features):
            values = number(events, name, what="feature", kinds="f")
            columns[name] = (values + widths[:, stream] * draw.normal(stream)).astype(values.dtype)
        return Output(columns)
