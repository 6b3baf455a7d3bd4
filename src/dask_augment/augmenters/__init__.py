"""One file for each augmenter, and the table that names them."""

from __future__ import annotations

from collections.abc import Mapping

TABLE: Mapping[str, str] = {
    "phi_rotate": "dask_augment.augmenters.phi_rotate:PhiRotate",
    "repeat": "dask_augment.augmenters.repeat:Repeat",
    "split": "dask_augment.augmenters.split:Split",
}
"""Name of each augmenter -> "module:Class"; nothing is imported until it is asked for."""
