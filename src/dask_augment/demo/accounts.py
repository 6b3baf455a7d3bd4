"""Rows and weights of each stratum, counted in the input files and in the published data set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.dataset as ds

from dask_augment.augmenters.define import Define
from dask_augment.augmenters.split import Split
from dask_augment.augmenters.undersample import Undersample
from dask_augment.contract.flow import Flow, Step
from dask_augment.contract.setting import Setting
from dask_augment.events.names import flat
from dask_augment.events.own_columns import KIND, SPLIT, TRAIN_WEIGHT, WEIGHT
from dask_augment.events.strata import Strata
from dask_augment.frames import augment
from dask_augment.frames.steps import labelled
from dask_augment.inputs.section import DEFAULT_TREE
from dask_augment.plans.plan import Inputs, Plan
from dask_augment.runs.result import Result

_NOT_IDS = (WEIGHT, TRAIN_WEIGHT, SPLIT, KIND)


@dataclass(frozen=True)
class Stratum:
    """Rows and weights of one stratum."""

    name: str
    rows_in: int
    """Events in the input files."""
    train_in: int
    """Those of them that are for training."""
    made: int
    rows_out: int
    train_out: int
    """Rows of the data set that are for training."""
    weight_in: float
    weight_out: float
    """Sum of physics weights."""
    train_weight: float
    """Sum of training weights of the rows for training."""

    @property
    def label(self) -> str:
        """The name without the names of its columns: ``wz [170,250)``; NaN is the pT of a jet that is not there."""
        parts = [re.sub(r"^\w+(=|(?=[<>]))", "", part) for part in self.name.split("|")]
        return " ".join("no large jet" if part == "nan" else part for part in parts)

    @property
    def dropped(self) -> int:
        """Events that are not in the data set."""
        return self.rows_in + self.made - self.rows_out


def by_stratum(plan: Plan, result: Result) -> tuple[Stratum, ...]:
    """The account of each stratum of the plan's undersampling, in the order of their names."""
    steps = labelled(plan.steps)
    strata = next(step.augmenter.strata for step in steps if isinstance(step.augmenter, Undersample))
    before = _summed(_inputs(plan, steps, result), strata, _counts_in)
    after = _summed([_published(result.path, strata)], strata, _counts_out)
    none: dict[str, Any] = dict.fromkeys(("made", "rows_out", "train_out", "weight_out", TRAIN_WEIGHT), 0)
    return tuple(
        Stratum(name=name, **{**none, **counts, **after.get(name, {})}) for name, counts in sorted(before.items())
    )


def _inputs(plan: Plan, steps: Sequence[Step], result: Result) -> list[ak.Array]:
    """The events of each file with their stratum's columns, part and physics weight: the plan's own steps say them."""
    import uproot

    assert isinstance(plan.inputs, Inputs)
    mine = tuple(step for step in steps if isinstance(step.augmenter, (Define, Split)))
    needed = [(step.label, step.augmenter) for step in mine]
    columns = set(map(flat, Flow(mine, Setting()).missing()))
    found = []
    for name, entry in plan.inputs.datasets().items():
        factor = result.manifest.extra["normalisation"][name]["factor"]
        for path, tree in entry["files"].items():
            with uproot.open(path) as file:
                events = file[tree or plan.inputs.tree or DEFAULT_TREE].arrays(
                    [*columns, *plan.inputs.ids, plan.inputs.weight]
                )
            events[WEIGHT] = ak.values_astype(events[plan.inputs.weight], np.float64) * factor
            events["dataset"] = [name] * len(events)
            found.append(augment(events, *needed, seed=plan.seed, dataset=name))
    return found


def _published(path: Path, strata: Strata) -> ak.Array:
    table = ds.dataset(path, partitioning="hive").to_table(columns=[*strata.uses(), *_NOT_IDS])
    return ak.Array(
        {n: table[n].to_pylist() if table[n].type == "string" else table[n].to_numpy() for n in table.column_names}
    )


def _counts_in(rows: ak.Array) -> dict[str, float]:
    return {
        "rows_in": len(rows),
        "train_in": int(ak.sum(rows[SPLIT] == 0)),
        "weight_in": float(ak.sum(rows[WEIGHT])),
    }


def _counts_out(rows: ak.Array) -> dict[str, float]:
    train = rows[SPLIT] == 0
    return {
        "rows_out": len(rows),
        "train_out": int(ak.sum(train)),
        "made": int(ak.sum(rows[KIND] != 0)),
        "weight_out": float(ak.sum(rows[WEIGHT])),
        TRAIN_WEIGHT: float(ak.sum(rows[TRAIN_WEIGHT][train])),
    }


def _summed(parts: Sequence[ak.Array], strata: Strata, counts: Any) -> dict[str, dict[str, float]]:
    total: dict[str, dict[str, float]] = {}
    for rows in parts:
        names, which = strata.codes(rows)
        for code, name in enumerate(names):
            mine: Mapping[str, float] = counts(rows[which == code])
            before = total.get(name, {})
            total[name] = {key: before.get(key, 0) + value for key, value in mine.items()}
    return total
