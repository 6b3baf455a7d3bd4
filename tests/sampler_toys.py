"""Every sampler, in all its ways, with the events that it is tried on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.contract.augmenter import Augmenter
from interpolation_toys import FEATURES, classes
from sampling_toys import column

SETTING: dict[str, Any] = {"seed": 7, "dataset": "toy"}
STRATA = ["label", da.Bins("HT", [0, 200])]


def sampled(n: int = 360) -> ak.Array:
    """Events with the columns that samplers want; one in six is a test event, some weights are negative, scores equal."""
    events = classes(n, fractions=(0.6, 0.25, 0.15), negative=0.2)
    rng = np.random.default_rng(11)
    p = rng.beta(0.5, 0.5, n)
    more = {
        "HT": rng.exponential(200.0, n).astype(np.float32),
        "weight_up": column(events, "weight") * rng.integers(9, 12, n) / 8,
        "p": np.where(p < 0.2, np.round(p, 1), p),
        "split": (np.arange(n) % 6 == 5).astype(np.int8),
    }
    for name, values in more.items():
        events = ak.with_field(events, values, name)
    return events


@dataclass(frozen=True)
class Sampler:
    """A sampler and the steps before it."""

    step: Any
    before: tuple[Augmenter, ...] = ()

    def learned(self, events: Any, **options: Any) -> Any:
        """The sampler, taught by these events in whatever frame they are."""
        return da.learn(events, self.step, *self.before, **SETTING, **options)

    def run(self, events: Any, step: Any) -> Any:
        """What the taught sampler makes of these events."""
        return da.augment(events, *self.before, step, **SETTING)


LABEL: dict[str, Any] = {"label": "label", "features": FEATURES}
BOTH = ["weight", "weight_up"]
SAMPLERS: dict[str, Sampler] = {
    "undersample": Sampler(da.Undersample(strata=STRATA)),
    "oversample": Sampler(da.Oversample(strata=["label", "region"])),
    "bootstrap": Sampler(da.Oversample(strata=["label", "region"], multiplicity="bootstrap")),
    "smooth": Sampler(da.Smooth(features=["HT", "z"], strata=["label"]), (da.Repeat(n=2),)),
    "smote": Sampler(da.Smote(strata=["label"], features=FEATURES)),
    "smotenc": Sampler(da.Smotenc(**LABEL | {"features": ["x", "z"]}, categorical=["region"], k_neighbors=4)),
    "borderline_smote": Sampler(da.BorderlineSmote(**LABEL, carry="parent")),
    "adasyn": Sampler(da.Adasyn(**LABEL, strata=["region"], train_weight="balance", k_neighbors=3)),
    "edited_nearest_neighbours": Sampler(da.EditedNearestNeighbours(**LABEL, n_neighbors=1)),
    "tomek_links": Sampler(da.TomekLinks(**LABEL, sampling_strategy="all")),
    "smote_undersample": Sampler(
        da.SmoteUndersample(
            **LABEL, sampling_strategy="minority", undersampling_strategy={"label=0": 90, "label=1": 60}
        )
    ),
    "smote_enn": Sampler(da.SmoteEnn(**LABEL, n_neighbors=2, kind_sel="mode")),
    "smote_tomek": Sampler(da.SmoteTomek(**LABEL, strata=["region"], k_neighbors=3)),
    "balanced_ensemble": Sampler(da.BalancedEnsemble(strata=STRATA)),
    "unweight": Sampler(da.Unweight(strata=STRATA)),
    "positive_resample": Sampler(da.PositiveResample(strata=["label"], keep="uncertainty", weights=BOTH)),
    "active_select": Sampler(da.ActiveSelect(score="p", size=40, strata=["label"])),
    "class_weights": Sampler(da.ClassWeights(strata=STRATA)),
}
"""One way of each, by its name."""
WAYS: dict[str, Sampler] = SAMPLERS | {
    "undersample, dictionary": Sampler(
        da.Undersample(strata=["label"], sampling_strategy={"label=0": 50, "label=1": 3})
    ),
    "undersample, balance": Sampler(da.Undersample(strata=STRATA, train_weight="balance")),
    "undersample, two weights": Sampler(
        da.Undersample(strata=["region", "label"], sampling_strategy="not minority", weights=BOTH)
    ),
    "undersample, no weights": Sampler(da.Undersample(strata=STRATA, weights=(), train_weight="unit")),
    "undersample, proportional": Sampler(
        da.Undersample(strata=STRATA, allocation="proportional", size=150, minimum=20)
    ),
    "undersample, neyman": Sampler(da.Undersample(strata=STRATA, allocation="neyman", variable="HT", size=150)),
    "oversample, dictionary": Sampler(
        da.Oversample(strata=["label"], sampling_strategy={"label=1": 301, "label=2": 177})
    ),
    "oversample, balance": Sampler(da.Oversample(strata=["label", "region"], train_weight="balance")),
    "oversample, unit": Sampler(
        da.Oversample(strata=[da.Bins("HT", [0, 200])], sampling_strategy=1.0, train_weight="unit")
    ),
    "bootstrap, balance": Sampler(
        da.Oversample(
            strata=["label"], sampling_strategy={"label=2": 177}, multiplicity="bootstrap", train_weight="balance"
        )
    ),
    "smooth, originals": Sampler(da.Smooth(features=["HT"], shrinkage=0.5, originals=True)),
    "smote, distinct, iid": Sampler(
        da.Smote(strata=["label", "region"], features=FEATURES, distinct=True, allocation="iid", k_neighbors=3)
    ),
    "edited_nearest_neighbours, mode": Sampler(
        da.EditedNearestNeighbours(**LABEL, kind_sel="mode", sampling_strategy="majority", strata=["region"])
    ),
    "balanced_ensemble, 64": Sampler(
        da.BalancedEnsemble(strata=["label"], sampling_strategy={"label=0": 60, "label=1": 7}, draws=64)
    ),
    "balanced_ensemble, ratio": Sampler(
        da.BalancedEnsemble(strata=["region"], sampling_strategy=1.0, draws=3, column="bag")
    ),
    "unweight, quantile": Sampler(da.Unweight(strata=["label"], quantile=0.95, weights=BOTH)),
    "unweight, number": Sampler(da.Unweight(max_weight=1.5)),
    "positive_resample, sum": Sampler(da.PositiveResample(strata=["label"], weights=BOTH)),
    "active_select, ties": Sampler(da.ActiveSelect(score="p", size=200, informative="lowest")),
    "active_select, named": Sampler(
        da.ActiveSelect(score="HT", size={"label=2": 30}, strata=["label"], informative="highest", column="chosen")
    ),
    "class_weights, effective": Sampler(da.ClassWeights(strata=STRATA, class_weight="effective", beta=0.999)),
    "class_weights, costs": Sampler(da.ClassWeights(strata=["label"], class_weight={"label=1": 2.5, "label=2": 0})),
    "class_weights, matrix": Sampler(
        da.ClassWeights(
            strata=["label"], class_weight={"label=0": {"label=1": 1, "label=2": 4}, "label=2": {"label=0": 0.1}}
        )
    ),
}
"""All ways."""


def some(*names: str) -> list[Any]:
    """All samplers as the parameters of a test: it is quick for these, and slow for the others."""
    return [pytest.param(name, marks=[] if name in names else [pytest.mark.slow]) for name in SAMPLERS]


def one_hash(events: Any) -> str:
    """Of all rows, values and types, in the order of ids and copy numbers; of awkward arrays, frames and tables."""
    names = sorted(getattr(events, "fields", None) or events.columns)
    values = {name: column(events, name) if hasattr(events, "layout") else np.asarray(events[name]) for name in names}
    copies = values.get("augment_copy", np.zeros(len(events)))
    order = np.lexsort((copies, values["event"]))
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name} {values[name].dtype}".encode() + np.ascontiguousarray(values[name][order]).tobytes())
    return digest.hexdigest()
