"""One file for each augmenter, and the table that names them."""

from __future__ import annotations

from collections.abc import Mapping

TABLE: Mapping[str, str] = {
    "define": "dask_augment.augmenters.define:Define",
    "oversample": "dask_augment.augmenters.oversample:Oversample",
    "phi_rotate": "dask_augment.augmenters.phi_rotate:PhiRotate",
    "repeat": "dask_augment.augmenters.repeat:Repeat",
    "select": "dask_augment.augmenters.select:Select",
    "split": "dask_augment.augmenters.split:Split",
    "undersample": "dask_augment.augmenters.undersample:Undersample",
}
"""Name of each augmenter -> "module:Class"; nothing is imported until it is asked for."""
