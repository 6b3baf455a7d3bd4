"""Data augmentation for collider physics on Dask: the same rows and values on any number of partitions."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Augmenter": "contract.augmenter",
    "Learner": "contract.augmenter",
    "Compound": "contract.compound",
    "Measure": "contract.augmenter",
    "Output": "contract.augmenter",
    "Learned": "contract.learned",
    "augment": "frames",
    "learn": "frames",
    "is_made": "frames",
    "ActiveSelect": "augmenters.active_select",
    "Adasyn": "augmenters.adasyn",
    "BalancedEnsemble": "augmenters.balanced_ensemble",
    "BorderlineSmote": "augmenters.borderline_smote",
    "ClassWeights": "augmenters.class_weights",
    "Define": "augmenters.define",
    "EditedNearestNeighbours": "augmenters.edited_nearest_neighbours",
    "FastSim": "augmenters.fast_sim",
    "Function": "augmenters.function",
    "augmenter": "augmenters.function",
    "JetZoom": "augmenters.jet_zoom",
    "LBN": "augmenters.lbn",
    "save_lbn_weights": "augmenters.lbn",
    "Oversample": "augmenters.oversample",
    "PhiRotate": "augmenters.phi_rotate",
    "PositiveResample": "augmenters.positive_resample",
    "Repeat": "augmenters.repeat",
    "Select": "augmenters.select",
    "Smooth": "augmenters.smooth",
    "Smote": "augmenters.smote",
    "SmoteEnn": "augmenters.smote_enn",
    "SmoteTomek": "augmenters.smote_tomek",
    "SmoteUndersample": "augmenters.smote_undersample",
    "Smotenc": "augmenters.smotenc",
    "Split": "augmenters.split",
    "TomekLinks": "augmenters.tomek_links",
    "Undersample": "augmenters.undersample",
    "Unweight": "augmenters.unweight",
    "Bins": "events.strata",
    "Strata": "events.strata",
    "Expression": "events.expression",
    "generate": "generator.generate",
    "PerStratum": "fit_resample.per_stratum",
    "Resampler": "fit_resample.resampler",
    "closure": "validation.closure",
    "preview": "validation.preview",
    "Plan": "plans.plan",
    "run": "runs.run",
    "published_plan": "runs.run",
    "verify": "dataset.verify",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from dask_augment.messages import meant

        alike = [known for known in _HOME if known.lower() == name.replace("_", "").lower()]
        hint = f"did you mean {alike[0]!r}?" if alike else meant([name], _HOME)
        raise AttributeError(
            f"module 'dask_augment' has no attribute {name!r}; {hint or 'there are ' + ', '.join(sorted(_HOME))}"
        )
    return getattr(import_module(f"dask_augment.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
