"""Samplers of imbalanced-learn on the rows of each stratum by themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from dask_augment.fit_resample.parameters import Parameters
from dask_augment.fit_resample.tables import CLASS, ROW, TARGET, table_of
from dask_augment.strata import Bins, Strata


class PerStratum(Parameters):
    """A sampler of imbalanced-learn, or any with its ``fit_resample``, on the rows of each stratum by themselves.

    Each stratum is brought together on one worker, in the order of rows, and must fit there; strata may lie on different
    workers. The result does not depend on partitions. What else holds is what the sampler promises: physics weights and
    provenance are not kept, so this is for training tables, and no step of a plan. Prefer ``Resampler`` where it has the
    method.

    Parameters
    ----------
    sampler
        Is cloned for each stratum; where it has a ``random_state``, that is made of ``seed`` and the stratum's label.
    strata
        Columns of X, or ``Bins`` of one. Columns of categories are no features of the sampler: made rows have those of
        their stratum. A column in bins is a feature, and made rows may lie in another bin.
    seed
        Of the random states.

    Rows come out stratum by stratum, each as the sampler orders it.
    """

    def __init__(self, sampler: Any, strata: Any, *, seed: int = 0) -> None:
        self._parameters = {"sampler": sampler, "strata": strata, "seed": seed}
        self._strata = Strata.of(strata)
        if not hasattr(sampler, "fit_resample"):
            raise TypeError(f"sampler must have fit_resample, got {sampler!r}")

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:  # noqa: N803
        """The rows of X and y that the sampler leaves or makes: of the kind that X and y are, lazy where they are."""
        table = table_of(X)
        frame, columns = table.frame(X, y, None)
        frame = table.numbered(frame).drop(columns=[CLASS])
        result = table.by_stratum(frame, self._strata, lambda part: self._resampled(part, columns))
        return table.back(result, columns, X), table.column(result, TARGET, y)

    def _resampled(self, part: Any, columns: Sequence[str]) -> Any:
        """All strata of a pandas frame that holds each of them whole or not at all."""
        import pandas as pd

        from dask_augment.frames.pandas import events_of

        if not len(part):
            return part.drop(columns=[ROW])
        part = part.sort_values(ROW)
        labels, which = self._strata.codes(events_of(part, sorted(self._strata.uses())))
        made = [self._stratum(part[which == g], label, columns) for g, label in enumerate(labels)]
        return pd.concat(made, ignore_index=True).astype(part.drop(columns=[ROW]).dtypes)

    def _stratum(self, rows: Any, label: str, columns: Sequence[str]) -> Any:
        from sklearn.base import clone

        fixed = [entry for entry in self._strata.entries if not isinstance(entry, Bins)]
        sampler = clone(self._parameters["sampler"])
        if "random_state" in sampler.get_params():
            words = json.dumps([self._parameters["seed"], label]).encode()
            sampler.set_params(random_state=int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "little"))
        try:
            found, target = sampler.fit_resample(rows[[name for name in columns if name not in fixed]], rows[TARGET])
        except Exception as error:
            error.add_note(f"in stratum {label!r}, which has {len(rows)} rows")
            raise
        found = found.assign(**{name: rows[name].iloc[0] for name in fixed}, **{TARGET: np.asarray(target)})
        return found[[*columns, TARGET]]
