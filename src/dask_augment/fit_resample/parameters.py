"""Parameters as needed by ``clone`` and ``set_params`` of scikit-learn, without scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Parameters:
    """What takes its parameters by name, and can be made again from them: a step of imbalanced-learn's ``Pipeline``."""

    _names: tuple[str, ...] = ()
    n_features_in_: int

    def _take(self, parameters: dict[str, Any]) -> None:
        """Each parameter is an attribute of its name."""
        self._names = tuple(parameters)
        for name, value in parameters.items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; ``deep``: those of a parameter that has some too, as ``sampler__k_neighbors``."""
        found = {name: getattr(self, name) for name in self._names}
        if deep:
            for name, value in list(found.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    found |= {f"{name}__{key}": inner for key, inner in value.get_params().items()}
        return found

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters."""
        own = {name: value for name, value in parameters.items() if "__" not in name}
        self.__init__(**{**self.get_params(deep=False), **own})  # type: ignore[misc]
        for name, value in parameters.items():
            outer, inside, key = name.partition("__")
            if not inside:
                continue
            if outer not in self._names or not hasattr(getattr(self, outer), "set_params"):
                raise ValueError(f"there is no parameter {name!r}; there are {sorted(self.get_params())}")
            getattr(self, outer).set_params(**{key: value})
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params(deep=False).items())
        return f"{type(self).__name__}({given})"

    def _saw(self, columns: Sequence[Any], *, named: bool) -> None:
        """Remember how many columns X has, and their names where all are texts."""
        self.n_features_in_ = len(columns)
        self.__dict__.pop("feature_names_in_", None)
        if named and all(isinstance(name, str) for name in columns):
            self.feature_names_in_ = np.array(columns, dtype=object)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[Any]:
        """Names of the columns that ``fit_resample`` gives: those of X, ``x0``, ``x1``, ... where it has none."""
        if not hasattr(self, "n_features_in_"):
            raise AttributeError("names of columns are not known before fit_resample or fit; call one of them first")
        known = getattr(self, "feature_names_in_", None)
        if input_features is None:
            return np.array([f"x{i}" for i in range(self.n_features_in_)], object) if known is None else known
        names = np.asarray(input_features, dtype=object)
        if len(names) != self.n_features_in_:
            raise ValueError(
                f"input_features should have length equal to the number of columns of X, {self.n_features_in_}, got {len(names)}"
            )
        if known is not None and not np.array_equal(known, names):
            raise ValueError(f"input_features is not equal to feature_names_in_, {list(known)}; got {list(names)}")
        return names

    def __sklearn_tags__(self) -> Any:
        try:
            from imblearn import FunctionSampler
        except ImportError:
            from sklearn.utils import Tags, TargetTags

            return Tags(estimator_type="sampler", target_tags=TargetTags(required=True))
        tags = FunctionSampler().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags
