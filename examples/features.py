"""Features of one's own: plain functions of the columns that they name."""

from __future__ import annotations

import awkward as ak
import numpy as np

import dask_augment as da


@da.augmenter(uses=["Jet.pt", "Jet.eta", "Jet.phi"], produces={"m12": "float32"})
def pair_mass(events):
    """Mass of the two leading jets as massless objects [GeV]; 0 where there are fewer."""
    first, second = (ak.firsts(events.Jet[:, i : i + 1]) for i in (0, 1))
    m2 = 2 * first.pt * second.pt * (np.cosh(first.eta - second.eta) - np.cos(first.phi - second.phi))
    return ak.fill_none(np.sqrt(np.maximum(m2, 0)), np.float32(0))
