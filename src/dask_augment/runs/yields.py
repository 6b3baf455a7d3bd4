"""Which sums of weights a plan keeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dask_augment.frames.steps import Step
from dask_augment.strata import Strata


def apart(steps: Sequence[Step], datasets: Collection[str]) -> list[str]:
    """A warning for each step that keeps sums of weights of strata in which several data sets are together."""
    warnings = []
    for step in steps if len(set(datasets)) > 1 else ():
        augmenter = step.augmenter
        strata = getattr(augmenter, "strata", None)
        hands_on = augmenter.use == "training" and bool(
            set(getattr(augmenter, "weights", ())) & set(augmenter.produces())
        )
        if not hands_on or not isinstance(strata, Strata) or augmenter.sums != "exactly":
            continue
        if "dataset" in (*strata.entries, getattr(augmenter, "label", None)):
            continue
        how = "kept on average only" if augmenter.spectra == "on average" else "not kept"
        warnings.append(
            f"step {step.label!r}: strata do not contain dataset: sums of each data set are {how}; say strata: [dataset, "
            "...] to keep them exactly"
        )
    return warnings
