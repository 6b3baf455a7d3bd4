"""Toy events for the tests of quotas, and the sums that these are held to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Learner
from dask_augment.contract.flow import Step
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.frames.learning import Events, teach
from dask_augment.frames.stage import Stage

SETTING = Setting(seed=7, dataset="toy", split=None)


def toy(n: int = 3000, seed: int = 3, *, negative: float = 0.2) -> ak.Array:
    """``n`` events: ``label`` 0, 1 or 2 (few), ``region``, ``HT`` and ``weight`` (some negative, of any size)."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0.0, 1.0, n) * np.where(rng.random(n) < negative, -1.0, 1.0)
    columns = {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": (np.arange(n) // 100).astype(np.uint32),
        "event": rng.permutation(n).astype(np.uint64),
        "label": rng.choice(np.array([0, 1, 2], np.int8), n, p=[0.7, 0.25, 0.05]),
        "region": rng.choice(np.array(["barrel", "endcap"]), n),
        "HT": rng.exponential(200.0, n).astype(np.float32),
        "weight": weight,
        "weight_up": weight * rng.uniform(0.9, 1.2, n),
    }
    return ak.Array({name: ak.Array(values) for name, values in columns.items()})


def divided(events: ak.Array, parts: int) -> list[ak.Array]:
    """The events in ``parts`` partitions of different size, the first one empty where there are several."""
    borders = (np.linspace(0, 1, parts + 1) ** 2 * len(events)).astype(int)
    pieces = [events[start:stop] for start, stop in pairwise(borders)]
    return pieces if parts == 1 else [events[:0], *pieces]


def taught(learner: Any, parts: Sequence[ak.Array], setting: Setting = SETTING) -> Any:
    """The learner, taught by these partitions."""
    assert isinstance(learner, Learner)
    data = Events(Stage((Step("step", learner),), setting), lambda questions: questions.over(parts))
    return teach(data, check="step" if learner.keyed else None).stage.steps[0].augmenter


def applied(learner: Any, parts: Sequence[ak.Array], setting: Setting = SETTING) -> ak.Array:
    """What the taught learner makes of these partitions, in one array."""
    stage = Stage((Step("step", learner),), setting)
    return ak.concatenate([stage.run(part) for part in parts])


def column(events: ak.Array, name: str) -> NDArray[Any]:
    """A flat column."""
    return np.asarray(cols.plain(cols.column(events, name)).data)


def table(events: ak.Array, *names: str) -> list[tuple[Any, ...]]:
    """Sorted rows of (event, copy, columns)."""
    copies = column(events, "augment_copy") if cols.has(events, "augment_copy") else np.zeros(len(events), int)
    values = [column(events, name).tolist() for name in names]
    return sorted(zip(column(events, "event").tolist(), copies.tolist(), *values, strict=True))


def units(values: NDArray[np.float64], exponent: int) -> int:
    """The sum of values as multiples of 2**exponent, each to the nearest."""
    return sum(int(unit) for unit in np.rint(np.ldexp(values, -exponent)))
