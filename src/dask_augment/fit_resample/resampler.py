"""``Resampler``: the samplers of this package with ``fit_resample(X, y)``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from dask_augment.contract.augmenter import Augmenter, Learner
from dask_augment.contract.compound import Compound
from dask_augment.contract.setting import Setting
from dask_augment.events.own_columns import TRAIN_WEIGHT
from dask_augment.events.simulation import is_known_weight
from dask_augment.events.strata import Bins, Strata
from dask_augment.fit_resample.features import ROW, categorical_of, column_of, is_ours, nothing_between
from dask_augment.fit_resample.matrix import Matrix
from dask_augment.fit_resample.parameters import Parameters
from dask_augment.fit_resample.strategies import CLASS, of_classes, of_strata
from dask_augment.fit_resample.tables import InMemory, is_lazy
from dask_augment.fit_resample.targets import classes
from dask_augment.frames import learn
from dask_augment.options import refuse_unknown
from dask_augment.plans import registry
from dask_augment.sampling.cleaning import Cleaner

if TYPE_CHECKING:
    from dask_augment.fit_resample.lazy import Lazy

_NOT_HERE = {"label", "learned", "weights", "carry"}
"""Options of samplers that ``fit_resample`` says itself."""
_Columns: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Names of the columns of X that are features, categories, and strata or ids."""


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
        All other options of the sampler. ``features`` are by default all columns of X but those named as ``categorical``,
        ``strata`` or ``ids``, and those that have the name of one of ours (``weight``, ``train_weight``, ``split``,
        ``augment_...``); columns of NumPy and dask arrays are named ``x0``, ``x1``, ... Of ``smotenc``, ``categorical``
        are names, positions, a mask of all columns, or ``"auto"``, the columns of type category: integers, texts,
        categories, booleans, or codes in a matrix of floats. ``scale`` is ``"std"`` by default, and imbalanced-learn
        has no units of features: neighbours are its own with ``scale=None``.

    Row i of X, entry i of y and of ``sample_weight`` belong together. What comes back has the forms of X and y: lists,
    arrays of NumPy (y also with one column, or one-vs-all), frames and series of pandas, collections of dask; and their
    types: made rows are rounded to float16, to a nullable or a sparse type, where a column has it. In columns that are no
    features a made row has its source's values, those of ``weight`` and ``split`` too: a table that is to give yields, or
    that holds test rows, goes through ``augment``. A warning says which physics weights are repeated, known by their names
    (``weight``, ``genWeight``). Where rows are made the index is new, as it would have labels twice:
    0, 1, 2, ..., of dask 2^20 times the position of the source, and a number. A sampler that drops rows keeps the index.

    After ``fit_resample``: ``step_``, the sampler with what it learned; ``sample_indices_``, the position in X of each
    row, or for a made row, of its source; ``sample_weight_``, weights for training, whose sums in each class are, as
    integers, those given as ``sample_weight`` (or 1 for each row); ``n_features_in_``, ``feature_names_in_``, and
    without ``strata`` also ``sampling_strategy_``, as imbalanced-learn's samplers have them.

    Unlike imbalanced-learn's samplers it keeps the order of rows, with those made of a row after it, and takes no sparse
    matrix.
    """

    method: str
    sampling_strategy: Any
    seed: int
    strata: Any
    ids: Sequence[str] | None

    def __init__(
        self, method: str, *, sampling_strategy: Any = "auto", seed: int = 0, strata: Any = (),
        ids: Sequence[str] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self._take(
            {"method": method, "sampling_strategy": sampling_strategy, "seed": seed, "strata": strata, "ids": ids}
            | options
        )
        kind = self._kind
        known = {field.name for field in fields(kind)}
        if kind.keeps_rows or not {"strata", "sampling_strategy"} <= known:
            raise ValueError(f"method must be a sampler, which has strata and a sampling_strategy, got {method!r}")
        refuse_unknown(f"{method}: ", set(options) - _NOT_HERE, known - _NOT_HERE)
        if given := sorted(_NOT_HERE & set(options)):
            raise ValueError(
                f"fit_resample has no option {given[0]!r}: y says the classes, rows are weighed by sample_weight alone, and "
                "made rows have their source's values in columns that are no features"
            )

    @property
    def _kind(self) -> type[Augmenter]:
        try:
            return registry.get(self.method)
        except KeyError as error:
            raise ValueError(error.args[0]) from None

    @property
    def _sampling_type(self) -> str:
        """What imbalanced-learn's ensembles ask a sampler."""
        if self._kind.makes:
            return "over-sampling"
        return "clean-sampling" if issubclass(self._kind, Cleaner) else "under-sampling"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if getattr(tags, "sampler_tags", None) is not None:
            tags.sampler_tags.sample_indices = True
        # Without features, values are never looked at.
        tags.input_tags.string = tags.input_tags.allow_nan = "features" not in self._kind.__dataclass_fields__
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Learn what ``fit_resample`` learns, and check X and y."""
        self.fit_resample(X, y, sample_weight)
        return self

    def fit_resample(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any]:  # noqa: N803
        """The rows of X and y that are left or made, in the forms that X and y have, lazy where they are.

        Row i of X, entry i of y and of ``sample_weight`` belong together, whatever their indices and partitions are;
        ValueError where they are not equally many, or where indices say that they are in different orders.
        """
        if is_lazy(X):
            from dask_augment.fit_resample.lazy import Lazy

            return self._of_lazy(Lazy.of(X, y, sample_weight), y)
        rows = InMemory.of(X, y, sample_weight)
        codes, values, named = classes(rows.target.values), rows.values, rows.named
        # Kernels know no half or long floats, no bytes in another order, and categories are no floats.
        if (
            not named
            and values.dtype.isnative
            and values.dtype.char in "?bBhHiIlLqQfd"
            and not self._has("categorical")
        ):
            step, _, setting = self._prepared(rows.labels, [values.dtype] * len(rows.names), y)
            self.step_, matrix = Matrix.of(values, codes, rows.weight).resampled(step, Setting(**setting))
            taken, at, weight = matrix.values, matrix.beside[ROW], matrix.beside[TRAIN_WEIGHT]
        else:
            from dask_augment.fit_resample.parts import Part
            from dask_augment.fit_resample.reading import Read

            frame = rows.frame()
            step, columns, setting = self._prepared(rows.labels, list(frame.dtypes), y)
            self._warn_of_weights(frame.dtypes, columns)
            part = Part(Read(*columns).of_all(frame), step, setting)
            work = part.work(frame, codes, 0, rows.weight)
            self.step_ = learn(work, step, **setting) if isinstance(step, (Learner, Compound)) else step
            taken, at, weight = part.acted(frame, work, self.step_)
        self._saw(rows.labels, named=named)
        self._told(rows.target.counts(), y)
        self.sample_indices_, self.sample_weight_ = at, weight
        index = rows.index_of(at, made=bool(self._kind.makes))
        return rows.back(taken, rows.target.values.take(at), index)

    def _of_lazy(self, rows: Lazy, y: Any) -> tuple[Any, Any]:
        import pandas as pd

        from dask_augment.fit_resample.lazy import POSITION, WEIGHT
        from dask_augment.fit_resample.parts import Part, no_rows
        from dask_augment.fit_resample.reading import Read

        codes, counts = rows.counted()
        step, (features, categorical, others), setting = self._prepared(rows.labels, list(rows.frame.dtypes), y)
        self._warn_of_weights(rows.frame.dtypes, (features, categorical, others))
        part = Part(Read(features, categorical, others, rows.distinct(categorical)), step, setting, codes)
        columns = part.read.names or rows.names[:1]
        work = rows.mapped(part.lazy_work, columns, part.lazy_work(*no_rows(rows, columns)), clear=False)
        self.step_ = learn(work, step, **setting) if isinstance(step, (Learner, Compound)) else step
        made = bool(self._kind.makes)
        acting = Part(part.read, self.step_, setting, codes)
        meta = rows.meta(pd.Index([], dtype="int64") if made else None)
        result = rows.mapped(acting.lazy_result, rows.names, meta, clear=made)
        self._saw(rows.labels, named=hasattr(rows.like, "columns"))
        self._told(counts, y)
        self.sample_indices_, self.sample_weight_ = (result[name].to_dask_array() for name in (POSITION, WEIGHT))
        return rows.back(result)

    def _warn_of_weights(self, dtypes: Any, columns: _Columns) -> None:
        """Say which columns of X, physics weights by their names, made rows repeat."""
        from pandas.api.types import is_numeric_dtype

        read = {name for names in columns for name in names}
        found = [name for name, kind in dtypes.items() if is_known_weight(name) and is_numeric_dtype(kind)]
        if repeated := [name for name in found if name not in read and self._kind.makes]:
            warnings.warn(
                f"made rows have their source's values in {repeated}, so that sums of these weights grow: for yields use "
                "augment, which gives made rows 0, or set it yourself where pandas.Series(sample_indices_).duplicated(); "
                "weights for training are sample_weight_",
                UserWarning,
                stacklevel=4,
            )

    def _has(self, option: str) -> bool:
        return option in self._kind.__dataclass_fields__

    def _told(self, counts: dict[Any, int], y: Any) -> None:
        """``sampling_strategy_``, where the strata are the classes alone."""
        self.__dict__.pop("sampling_strategy_", None)
        if not Strata.of(self.strata).entries:
            strategy = of_strata(self.sampling_strategy, y, alone=True)
            self.sampling_strategy_ = of_classes(strategy, counts, self._sampling_type)

    def _prepared(
        self, labels: Sequence[Any], dtypes: Sequence[Any], y: Any
    ) -> tuple[Augmenter, _Columns, dict[str, Any]]:
        """The sampler with y among its strata, the columns that it reads, and the setting."""
        options = self.get_params(deep=False)
        seed, ids = options.pop("seed"), options.pop("ids")
        del options["method"]
        names = [str(label) for label in labels]
        strata = list(Strata.of(options["strata"]).entries)
        for name in sorted(Strata.of(strata).uses()):
            column_of(name, names)
        for name in {"sampling_strategy", "undersampling_strategy"} & set(options):
            options[name] = of_strata(options[name], y, alone=not strata)
        if self._has("label"):
            options |= {"strata": strata, "label": CLASS}
        else:
            options["strata"] = [*strata, CLASS]
        ids = [ROW] if ids is None else list(ids)
        categorical: list[str] = []
        if self._has("categorical"):
            categorical = [names[at] for at in categorical_of(options.get("categorical", ()), labels, dtypes)]
            options["categorical"] = categorical
        if self._has("features"):
            fixed = {*categorical, *ids, *(entry for entry in strata if not isinstance(entry, Bins))}
            options.setdefault("features", [name for name in names if name not in fixed and not is_ours(name)])
            if not options["features"]:
                raise ValueError(
                    f"there is no feature among the columns of X, {names[:12]}: distances need one number for each row at "
                    "least; name it in features, or use a sampler without neighbours (oversample, undersample)"
                )
        options |= {name: value for name, value in (("weights", ()), ("carry", "parent")) if self._has(name)}
        step = self._kind(**options)
        features = [column_of(name, names) for name in options.get("features", ())]
        for name in features:
            if getattr(dtypes[names.index(name)], "kind", "") in "iubcmM":
                raise nothing_between(name, dtypes[names.index(name)])
        others = sorted({*step.uses(), *ids} - {*features, *categorical, CLASS, ROW, TRAIN_WEIGHT})
        columns = (tuple(features), tuple(categorical), tuple(column_of(name, names) for name in others))
        setting = {
            "seed": seed, "dataset": None if "dataset" in others else "fit_resample", "ids": ids, "weights": "none", "split": None,
        }  # fmt: skip
        return step, columns, setting
