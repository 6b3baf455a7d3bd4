"""Data augmentation for collider physics on Dask: the same rows and values on any number of partitions."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Augmenter": "contract",
    "Learner": "contract",
    "Measure": "contract",
    "Output": "contract",
    "Learned": "learned",
    "augment": "frames",
    "learn": "frames",
    "Define": "augmenters.define",
    "Function": "augmenters.function",
    "augmenter": "augmenters.function",
    "Oversample": "augmenters.oversample",
    "PhiRotate": "augmenters.phi_rotate",
    "Repeat": "augmenters.repeat",
    "Select": "augmenters.select",
    "Split": "augmenters.split",
    "Undersample": "augmenters.undersample",
    "Bins": "strata",
    "Strata": "strata",
    "Expression": "expression",
    "preview": "pictures",
    "Plan": "plan",
    "run": "runs.run",
    "published_plan": "runs.run",
    "verify": "dataset.verify",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dask_augment' has no attribute {name!r}; there are {', '.join(sorted(_HOME))}")
    return getattr(import_module(f"dask_augment.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
