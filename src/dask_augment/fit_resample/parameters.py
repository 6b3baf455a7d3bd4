"""Parameters as scikit-learn's ``clone`` and ``set_params`` want them, without scikit-learn."""

from __future__ import annotations

from typing import Any, Self


class Parameters:
    """What takes its parameters by name, and can be made again from them: a step of imbalanced-learn's ``Pipeline``."""

    _parameters: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """The parameters."""
        return dict(self._parameters)

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters."""
        self.__init__(**{**self._parameters, **parameters})  # type: ignore[misc]
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._parameters.items())
        return f"{type(self).__name__}({given})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type="sampler", target_tags=TargetTags(required=True))
