"""Run samplers of imbalanced-learn on each stratum separately."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from dask_augment.events.strata import Bins, Strata
from dask_augment.fit_resample.features import column_of
from dask_augment.fit_resample.lazy import POSITION, TARGET, WEIGHT, Lazy, beside
from dask_augment.fit_resample.pairing import starts_of
from dask_augment.fit_resample.parameters import Parameters
from dask_augment.fit_resample.reading import Read
from dask_augment.fit_resample.tables import InMemory, is_lazy

_STRATUM = "\0stratum"


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

    Rows come out stratum by stratum, each as the sampler orders it, with an index of their own: 0, 1, 2, ..., of dask
    without labels that stand twice. Where the sampler refuses a stratum, the error names it.
    """

    sampler: Any
    strata: Any
    seed: int

    def __init__(self, sampler: Any, strata: Any, *, seed: int = 0) -> None:
        self._take({"sampler": sampler, "strata": strata, "seed": seed})
        Strata.of(strata)
        if not hasattr(sampler, "fit_resample"):
            raise TypeError(f"sampler must have fit_resample, got {sampler!r}")

    def fit_resample(self, X: Any, y: Any, sample_weight: None = None) -> tuple[Any, Any]:  # noqa: N803
        """The rows of X and y that the sampler leaves or makes, in the forms that X and y have, lazy where they are.

        Row i of X and entry i of y belong together, whatever their indices and partitions are. TypeError with
        ``sample_weight``: samplers of imbalanced-learn know no weights.
        """
        if sample_weight is not None:
            raise TypeError(
                f"PerStratum takes no sample_weight, as {type(self.sampler).__name__} would ignore it and made rows "
                "would have none; use Resampler, whose sample_weight_ are weights for training"
            )
        strata = Strata.of(self.strata)
        if is_lazy(X):
            lazy = Lazy.of(X, y)
            columns = self._columns(strata, lazy.names)
            result = self._together(lazy, columns)
            self._saw(lazy.labels, named=hasattr(X, "columns"))
            return lazy.back(result)
        rows = InMemory.of(X, y, None)
        columns = self._columns(strata, rows.names)
        frame = beside(rows.frame(), {TARGET: rows.target.values, POSITION: np.arange(len(rows.values))})
        result = self._resampled(frame, columns)
        self._saw(rows.labels, named=rows.named)
        return rows.back(result[rows.names], result[TARGET].array, pd.RangeIndex(len(result)))

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Do what ``fit_resample`` does, and remember the columns of X."""
        self.fit_resample(X, y)
        return self

    def _columns(self, strata: Strata, names: Sequence[str]) -> list[str]:
        """The columns that the sampler gets: all but those whose values are the strata."""
        known = {entry: column_of(entry, names) for entry in strata.uses()}
        fixed = {known[entry] for entry in strata.entries if not isinstance(entry, Bins)}
        return [name for name in names if name not in fixed]

    def _together(self, rows: Lazy, columns: Sequence[str]) -> Any:
        """The strata resampled, each brought to one partition by a shuffle; the index has no label twice."""
        strata, result = Strata.of(self.strata), rows.meta().drop(columns=[POSITION, WEIGHT])
        meta = result.assign(**{POSITION: np.zeros(0, np.int64), _STRATUM: np.zeros(0, np.int64)})
        marked = rows.mapped(_Marked(strata), rows.names, meta, clear=True)
        together = marked.shuffle(on=_STRATUM).drop(columns=[_STRATUM])
        numbers = starts_of([2**40] * together.npartitions)
        return together.map_partitions(
            self._of_part,
            columns,
            numbers,
            meta=result.set_axis(pd.Index([], dtype=np.int64), axis=0),
            align_dataframes=False,
        )

    def _of_part(self, part: Any, columns: Sequence[str], start: Any) -> Any:
        found = self._resampled(part, columns)
        return found.set_axis(pd.Index(int(start.iloc[0]) + np.arange(len(found))), axis=0)

    def _resampled(self, part: Any, columns: Sequence[str]) -> Any:
        """All strata of a pandas frame that holds each of them whole or not at all."""
        form = part.drop(columns=[POSITION])
        if not len(part):
            return form
        part, strata = part.sort_values(POSITION), Strata.of(self.strata)
        labels, which = _coded(part, strata)
        made = [self._stratum(form, part[which == g], label, columns) for g, label in enumerate(labels)]
        return pd.concat(made, ignore_index=True).astype(form.dtypes)

    def _stratum(self, form: Any, rows: Any, label: str, columns: Sequence[str]) -> Any:
        from sklearn.base import clone

        sampler = clone(self.sampler)
        if "random_state" in sampler.get_params():
            words = json.dumps([self.seed, label]).encode()
            sampler.set_params(random_state=int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "little"))
        try:
            found, target = sampler.fit_resample(rows[list(columns)], rows[TARGET])
        except Exception as error:
            has = ", ".join(f"{rows} of class {name!r}" for name, rows in rows[TARGET].value_counts().to_dict().items())
            raise ValueError(
                f"stratum {label!r} has {len(rows)} rows ({has}), and {type(sampler).__name__} refuses them: {error}"
            ) from error
        others = {name: rows[name].iloc[[0] * len(found)].array for name in form if name not in (*columns, TARGET)}
        return beside(found, others | {TARGET: target.array})[list(form)]


def _coded(frame: Any, strata: Strata) -> tuple[list[str], Any]:
    """Labels of the strata, and which of them each row is in."""
    from dask_augment.frames.pandas import events_of

    names = sorted(strata.uses())
    return strata.codes(events_of(Read(others=tuple(names)).frame(frame, {}), names))


class _Marked:
    """A partition with its classes and positions, and an integer that stands for each row's stratum."""

    sampler: Any
    strata: Any
    seed: int

    def __init__(self, strata: Strata) -> None:
        self._strata = strata

    def __call__(self, frame: Any, target: Any, start: Any) -> Any:
        """The partition."""
        words = np.zeros(0, np.int64)
        if len(frame):
            labels, which = _coded(frame, self._strata)
            hashes = [hashlib.blake2b(label.encode(), digest_size=7).digest() for label in labels]
            words = np.array([int.from_bytes(digest, "little") for digest in hashes], np.int64)[which]
        first = int(start.iloc[0])
        positions = np.arange(first, first + len(frame))
        return beside(frame, {TARGET: target.array, POSITION: positions, _STRATUM: words})

    def __dask_tokenize__(self) -> Any:
        return str(self._strata.as_plan())
