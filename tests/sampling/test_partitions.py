"""Samplers that seek neighbours: one result for any partitions, order, frame and cluster."""

from __future__ import annotations

import hashlib
from typing import Any

import awkward as ak
import dask
import numpy as np
import pandas as pd
import pytest

import dask_augment as da
from dask_augment.contract import Learner
from interpolation_toys import FEATURES, classes, shuffled
from sampling_toys import applied, column, divided, taught

SAMPLERS: dict[str, Learner] = {
    "smote": da.Smote(strata=["label"], features=FEATURES),
    "smote, distinct, iid": da.Smote(strata=["label", "region"], features=FEATURES, distinct=True, allocation="iid"),
    "adasyn": da.Adasyn(features=FEATURES, strata=["region"], train_weight="balance"),
    "smotenc": da.Smotenc(features=["x", "z"], label="label", categorical=["region"], k_neighbors=4),
    "enn": da.EditedNearestNeighbours(features=FEATURES, sampling_strategy="majority"),
    "tomek": da.TomekLinks(features=FEATURES, sampling_strategy="all"),
    "borderline": da.BorderlineSmote(features=FEATURES, carry="parent"),
}


def one_hash(events: Any) -> str:
    """Of all rows and values, in the order of ids and copy numbers."""
    if not isinstance(events, ak.Array):
        events = ak.Array({name: np.asarray(events[name]) for name in events.columns})
    names = sorted(set(events.fields) - {"MET"})
    copies = column(events, "augment_copy") if "augment_copy" in names else np.zeros(len(events))
    order = np.lexsort((copies, column(events, "event")))
    digest = hashlib.sha256()
    for name in names:
        values = column(events, name)
        digest.update(f"{name} {values.dtype}".encode() + np.ascontiguousarray(values[order]).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def events() -> ak.Array:
    return classes(1200, negative=0.2)


@pytest.mark.parametrize("name", SAMPLERS)
def test_partitions_and_order(name: str, events: ak.Array) -> None:
    step = taught(SAMPLERS[name], [events])
    expected = one_hash(applied(step, [events]))
    for parts in (divided(events, 3), divided(events, 17), divided(shuffled(events), 5)):
        again = taught(SAMPLERS[name], parts)
        assert again.learned.digest == step.learned.digest
        assert one_hash(applied(again, parts)) == expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_partition_of_its_own(name: str, events: ak.Array) -> None:
    """The hash bites: neighbours of each partition alone give other rows."""
    parts = divided(events, 3)[1:]
    alone = ak.concatenate([applied(taught(SAMPLERS[name], [part]), [part]) for part in parts[-2:]])
    assert one_hash(alone) != one_hash(applied(taught(SAMPLERS[name], parts[-2:]), parts[-2:]))


SETTING: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}


@pytest.mark.parametrize("name", SAMPLERS)
def test_frames(name: str, events: ak.Array) -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    learner = SAMPLERS[name]
    with dask.config.set(scheduler="threads"):
        step = da.learn(events, learner, **SETTING)
        expected = one_hash(da.augment(events, step, **SETTING))
        lazy = dak.from_awkward(events, 4)
        again = da.learn(lazy, learner, **SETTING)
        assert again.learned is not None
        assert step.learned is not None
        assert again.learned.digest == step.learned.digest
        assert one_hash(da.augment(lazy, again, **SETTING).compute()) == expected
        frame = pd.DataFrame({field: np.asarray(events[field]) for field in events.fields})
        assert one_hash(da.augment(frame, da.learn(frame, learner, **SETTING), **SETTING)) == expected


def test_on_a_cluster(events: ak.Array, client: Any, tmp_path: Any) -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    assert client.scheduler_info()["workers"]
    lazy = dak.from_awkward(shuffled(events), 6)
    for learner in SAMPLERS.values():
        step = da.learn(lazy, learner, artefacts=str(tmp_path), **SETTING)
        here = da.augment(events, da.learn(events, learner, **SETTING), **SETTING)
        assert one_hash(da.augment(lazy, step, **SETTING).compute()) == one_hash(here)
