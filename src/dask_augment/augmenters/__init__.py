"""The augmenters, one file each, and the table of their names."""

from __future__ import annotations

from collections.abc import Mapping

TABLE: Mapping[str, str] = {
    "active_select": "dask_augment.augmenters.active_select:ActiveSelect",
    "adasyn": "dask_augment.augmenters.adasyn:Adasyn",
    "balanced_ensemble": "dask_augment.augmenters.balanced_ensemble:BalancedEnsemble",
    "borderline_smote": "dask_augment.augmenters.borderline_smote:BorderlineSmote",
    "class_weights": "dask_augment.augmenters.class_weights:ClassWeights",
    "define": "dask_augment.augmenters.define:Define",
    "edited_nearest_neighbours": "dask_augment.augmenters.edited_nearest_neighbours:EditedNearestNeighbours",
    "fast_sim": "dask_augment.augmenters.fast_sim:FastSim",
    "jet_zoom": "dask_augment.augmenters.jet_zoom:JetZoom",
    "lbn": "dask_augment.augmenters.lbn:LBN",
    "oversample": "dask_augment.augmenters.oversample:Oversample",
    "phi_rotate": "dask_augment.augmenters.phi_rotate:PhiRotate",
    "positive_resample": "dask_augment.augmenters.positive_resample:PositiveResample",
    "repeat": "dask_augment.augmenters.repeat:Repeat",
    "select": "dask_augment.augmenters.select:Select",
    "smooth": "dask_augment.augmenters.smooth:Smooth",
    "smote": "dask_augment.augmenters.smote:Smote",
    "smote_enn": "dask_augment.augmenters.smote_enn:SmoteEnn",
    "smote_tomek": "dask_augment.augmenters.smote_tomek:SmoteTomek",
    "smote_undersample": "dask_augment.augmenters.smote_undersample:SmoteUndersample",
    "smotenc": "dask_augment.augmenters.smotenc:Smotenc",
    "split": "dask_augment.augmenters.split:Split",
    "tomek_links": "dask_augment.augmenters.tomek_links:TomekLinks",
    "undersample": "dask_augment.augmenters.undersample:Undersample",
    "unweight": "dask_augment.augmenters.unweight:Unweight",
}
"""Name of each augmenter -> "module:Class"; nothing is imported until it is asked for."""
