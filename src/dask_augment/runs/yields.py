"""Which sums of weights a plan keeps, and which it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from dask_augment.contract.account import Account
from dask_augment.contract.flow import Step
from dask_augment.events.columns import dotted
from dask_augment.events.simulation import is_known_weight
from dask_augment.events.strata import strata_of


def apart(steps: Sequence[Step], datasets: Collection[str]) -> list[str]:
    """A warning for each step that keeps sums of weights of strata in which several data sets are together."""
    warnings = []
    for step in steps if len(set(datasets)) > 1 else ():
        augmenter = step.augmenter
        hands_on = augmenter.use == "training" and augmenter.rescales() and augmenter.keeps_weight != "on average"
        if not hands_on or "dataset" in strata_of(augmenter).entries:
            continue
        how = "kept on average only" if augmenter.keeps_weight == "exactly" else "not kept"
        warnings.append(
            f"step {step.label!r}: strata do not contain dataset: sums of each data set are {how}; say strata: [dataset, "
            "...] to keep them exactly"
        )
    return warnings


def overwritten(steps: Iterable[Step], weights: Collection[str], columns: Iterable[str]) -> dict[str, list[str]]:
    """By the label of each step that gives physics weights other values, their names; ``columns`` are those read.

    Training steps are none of these: their promise is to keep sums.
    """
    there = {dotted(name) for name in (*weights, *filter(is_known_weight, columns))}
    found = {step.label: sorted(there & step.products) for step in steps if step.augmenter.use == "always"}
    return {label: names for label, names in found.items() if names}


def remarks_on_overwritten(names: Mapping[str, Sequence[str]]) -> list[str]:
    """What is said of them before a sum is known."""
    return [
        f"step {label!r} overwrites the physics weight {name!r}: yields use its new sums; rename the column if it is "
        "not a physics weight"
        for label, columns in names.items()
        for name in columns
    ]


def moved(dataset: str, account: Account, names: Mapping[str, Sequence[str]]) -> list[str]:
    """What became of the sums of overwritten weights in a data set, where they are others than before."""
    said = []
    for name in dict.fromkeys(column for columns in names.values() for column in columns):
        sums = (account.weights_in, account.weights_cut, account.weights_out)
        before, cut, after = (part.get(name, (0.0, 0.0))[0] for part in sums)
        if name in account.weights_in and abs(before - cut - after) > 1e-6 * max(map(abs, (before, cut, after))):
            cuts = f", cuts took {cut:.6g}," if cut else ""
            by = " and ".join(repr(label) for label, columns in names.items() if name in columns)
            said.append(
                f"data set {dataset!r}: the sum of {name!r} was {before:.6g}{cuts} and is {after:.6g}: {by} overwrites it"
            )
    return said
