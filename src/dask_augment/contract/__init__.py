"""What a step is and promises: the contract, the draws, what is learned, the ids of rows, and the account of a stage."""

from __future__ import annotations

from dask_augment.contract.augmenter import Augmenter, Learner, Measure, Output
from dask_augment.contract.compound import Compound
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned

__all__ = ["Augmenter", "Compound", "Draw", "Learned", "Learner", "Measure", "Output"]
