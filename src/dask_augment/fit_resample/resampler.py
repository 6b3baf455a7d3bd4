"""Our samplers with ``fit_resample(X, y)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from dask_augment import registry
from dask_augment.contract import Augmenter, Compound, Learner
from dask_augment.fit_resample.matrix import Matrix
from dask_augment.fit_resample.parameters import Parameters
from dask_augment.fit_resample.tables import CLASS, ROW, TARGET, table_of
from dask_augment.frames import augment, learn
from dask_augment.frames.steps import Setting
from dask_augment.sampling.census import TRAIN_WEIGHT
from dask_augment.strata import Strata

_NOT_HERE = {"label", "learned", "weights"}
"""Options of samplers that ``fit_resample`` says itself."""


class Resampler(Parameters):
    """One of our samplers, by name, with ``fit_resample(X, y)``: the classes of y are its strata.

    Parameters
    ----------
    method
        Name of a sampler: ``"undersample"``, ``"oversample"``, ``"smote"``, ...
    sampling_strategy
        As in imbalanced-learn, all forms that it has for the kind of sampler: a name, a ratio, numbers of rows of classes
        ``{class: rows}``, a list of classes to clean, or a function of y that returns one of these.
    seed
        Of the random numbers. The same rows come out whenever X and y are the same, whatever their partitions.
    strata
        Columns of X (or ``Bins``) that divide the rows beside y: a stratum is then a class in one of their values,
        ``region=barrel|class=1``, also in ``sampling_strategy``.
    ids
        Columns of X that identify a row. Without it rows are told apart by their position: the same for any partitions,
        but not for another order of rows.
    options
        All other options of the sampler. ``features`` are all columns of X where it wants any; columns of NumPy and dask
        arrays are named ``x0``, ``x1``, ...

    After ``fit_resample``: ``step_``, the sampler with what it learned; ``sample_indices_``, the position in X of each
    row, or for a made row, of its source; ``sample_weight_``, weights for training, whose sums in each class are, as
    integers, those given as ``sample_weight`` (or 1 for each row).

    Unlike imbalanced-learn's samplers it keeps the order of rows, with those made of a row after it.
    """

    def __init__(
        self, method: str, *, sampling_strategy: Any = "auto", seed: int = 0, strata: Any = (),
        ids: Sequence[str] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self._parameters = {
            "method": method, "sampling_strategy": sampling_strategy, "seed": seed, "strata": strata, "ids": ids,
            **options,
        }  # fmt: skip
        self._kind = registry.get(method)
        known = {field.name for field in fields(self._kind)}
        if self._kind.keeps_rows or not {"strata", "sampling_strategy"} <= known:
            raise ValueError(f"method must be a sampler, which has strata and a sampling_strategy, got {method!r}")
        if unknown := sorted(set(options) - known):
            raise ValueError(f"{method} has no options {unknown}; there are {sorted(known - _NOT_HERE)}")
        if given := sorted(_NOT_HERE & set(options)):
            raise ValueError(
                f"fit_resample has no option {given[0]!r}: y says the classes, and rows are weighed by sample_weight alone"
            )

    def fit_resample(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any]:  # noqa: N803
        """The rows of X and y that are left or made: of the kind that X and y are, lazy where they are."""
        own = self._parameters["ids"]
        setting: dict[str, Any] = {
            "seed": self._parameters["seed"], "dataset": "fit_resample", "ids": [ROW] if own is None else list(own),
            "weights": (), "split": None,
        }  # fmt: skip
        table = table_of(X)
        # Kernels know no half or long floats, and no bytes in another order: those go the way of frames.
        if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.isnative and X.dtype.char in "?bBhHiIlLqQfd":
            return self._of_matrix(Matrix.of(X, y, sample_weight), y, Setting(**setting))
        frame, columns = table.frame(X, y, sample_weight)
        if own is None:
            frame = table.numbered(frame)
        step = self._step(columns, y)
        self.step_: Augmenter = learn(frame, step, **setting) if isinstance(step, (Learner, Compound)) else step
        result = augment(frame, self.step_, **setting)
        self.sample_indices_ = table.column(result, ROW) if own is None else None
        self.sample_weight_ = table.column(result, TRAIN_WEIGHT)
        return table.back(result, columns, X), table.column(result, TARGET, y)

    def _of_matrix(self, rows: Matrix, y: Any, setting: Setting) -> tuple[Any, Any]:
        """The same of numbers in memory, which need not become a frame and a matrix again."""
        self.step_, rows = rows.resampled(self._step(rows.columns, y), setting)
        self.sample_indices_ = rows.beside[ROW]
        self.sample_weight_ = rows.beside[TRAIN_WEIGHT]
        taken = y.iloc[self.sample_indices_] if hasattr(y, "iloc") else np.asarray(y)[self.sample_indices_]
        return rows.values, taken

    def _step(self, columns: Sequence[str], y: Any) -> Augmenter:
        """The sampler with y among its strata."""
        known = {field.name for field in fields(self._kind)}
        options = {name: value for name, value in self._parameters.items() if name not in ("method", "seed", "ids")}
        strata = list(Strata.of(options["strata"]).entries)
        for name in {"sampling_strategy", "undersampling_strategy"} & set(options):
            options[name] = _strategy(options[name], y, alone=not strata)
        if "label" in known:
            options |= {"strata": strata, "label": CLASS}
        else:
            options["strata"] = [*strata, CLASS]
        if "features" in known:
            categorical = options.get("categorical", ())
            options.setdefault("features", [name for name in columns if name not in categorical])
        if "weights" in known:
            options["weights"] = ()
        if "carry" in known:
            options.setdefault("carry", "parent")
        return self._kind(**options)


def _strategy(strategy: Any, y: Any, *, alone: bool) -> Any:
    """The sampling strategy with labels of strata in place of classes."""
    if callable(strategy):
        strategy = strategy(y)
    if isinstance(strategy, Mapping):
        return {_label(key) if alone else str(key): rows for key, rows in strategy.items()}
    if isinstance(strategy, (list, tuple)):
        return [_label(key) if alone else str(key) for key in strategy]
    return strategy


def _label(key: Any) -> str:
    value: Any = int(key) if isinstance(key, (float, np.floating, bool, np.bool_)) else key
    return f"{CLASS}={str(value).replace('%', '%25').replace('|', '%7C')}"
