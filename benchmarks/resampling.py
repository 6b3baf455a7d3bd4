"""Exact resampling against imbalanced-learn: processor time in one process, taken in turns.

``python benchmarks/resampling.py [--json] [case ...]``; all of it takes about a quarter of an hour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import awkward as ak
import numpy as np
from _report import Figure, in_turns, show
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from imblearn.under_sampling import EditedNearestNeighbours, RandomUnderSampler, TomekLinks
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

import dask_augment as da
from dask_augment.contract import Learner
from dask_augment.kernels.neighbours import nearest

FEATURES = [f"x{i}" for i in range(20)]
SETTING: dict[str, Any] = {"seed": 7, "dataset": "events", "split": None, "weights": ()}


def table(rows: int, minority: float, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """20 features that six hidden ones decide, with tails as of momenta, and a label."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < minority).astype(np.int8)
    mixing = np.random.default_rng(0).normal(size=(6, len(FEATURES)))
    hidden = rng.normal(size=(rows, 6)) + 0.5 * label[:, None]
    values = np.exp(0.25 * (hidden @ mixing)) + 0.1 * rng.normal(size=(rows, len(FEATURES)))
    return (values / values.std(axis=0)).astype(np.float32), label


def events(values: NDArray[np.float32], label: NDArray[np.int8]) -> ak.Array:
    """The table as events with ids."""
    number = np.arange(len(label), dtype=np.uint64)
    ids = {
        "run": np.ones(len(label), np.uint32),
        "luminosityBlock": (number // 1000).astype(np.uint32),
        "event": number,
    }
    columns = {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(FEATURES)}
    return ak.Array({name: ak.Array(column) for name, column in (ids | columns | {"label": label}).items()})


def resampled(data: ak.Array, learner: Learner) -> ak.Array:
    """What the sampler makes of the events: learning and acting."""
    return da.augment(data, da.learn(data, learner, **SETTING), **SETTING)


def against(
    case: str, learner: Learner, peer: Any, values: NDArray[np.float32], label: NDArray[np.int8], goal: float, limit: str,
    *, rounds: int = 3, same: bool = False,
) -> Figure:  # fmt: skip
    """One sampler against the one of imbalanced-learn; ``same``: the rows that are left must be the same."""
    data = events(values, label)
    if same:
        peer.fit_resample(values, label)
        left = np.asarray(resampled(data, learner).event).astype(np.int64)
        assert np.array_equal(np.sort(left), np.sort(peer.sample_indices_)), "the sets differ"
    ours, theirs, ratio = in_turns(lambda: resampled(data, learner), lambda: peer.fit_resample(values, label), rounds)
    return Figure(case, ours, theirs, f"imbalanced-learn's {type(peer).__name__}", ratio, "CPU s", goal, limit)


OPTIONS: dict[str, Any] = {"features": FEATURES, "scale": None, "weights": ()}


def smote_1e6_5pct() -> Figure:
    """A million rows, one in twenty of the minority."""
    limit = "products of float32 matrices over all pairs of the minority, then a Philox block for each made row"
    return against("smote_1e6_5pct", da.Smote(strata=["label"], **OPTIONS), SMOTE(), *table(10**6, 0.05), 1 / 3, limit)


def smote_1e6_1pct() -> Figure:
    """A million rows, one in a hundred of the minority."""
    limit = "ids and random keys of all rows, and the columns of the result"
    learner = da.Smote(strata=["label"], **OPTIONS)
    return against("smote_1e6_1pct", learner, SMOTE(), *table(10**6, 0.01), 1 / 2.5, limit)


def smote_isotropic() -> Figure:
    """The neighbours alone, where no direction is better than another and no tree helps."""
    points = np.random.default_rng(2).normal(size=(20_000, 20)).astype(np.float32)
    exact = points.astype(np.float64)
    own = np.arange(len(points))
    seek = NearestNeighbors(n_neighbors=6).fit(points)
    assert np.array_equal(nearest(exact, exact, 5, own=own)[1], seek.kneighbors(points, return_distance=False)[:, 1:])
    ours, theirs, ratio = in_turns(
        lambda: nearest(exact, exact, 5, own=own), lambda: seek.kneighbors(points, return_distance=False), rounds=5
    )
    limit = "one product of float32 matrices over all pairs"
    return Figure("smote_isotropic", ours, theirs, "sklearn's NearestNeighbors", ratio, "CPU s", 1 / 1.8, limit)


def adasyn_neighbours() -> Figure:
    """300,000 rows, one in fifty of the minority, whose neighbours among all rows are sought."""
    limit = "products of float32 matrices over all pairs of minority and all"
    return against("adasyn_neighbours", da.Adasyn(**OPTIONS), ADASYN(), *table(300_000, 0.02), 1 / 3, limit)


def borderline_neighbours() -> Figure:
    """The same for the events in danger."""
    limit = "products of float32 matrices over all pairs of minority and all"
    learner = da.BorderlineSmote(**OPTIONS)
    return against("borderline_neighbours", learner, BorderlineSMOTE(), *table(300_000, 0.02), 1 / 3, limit)


def enn_1e5() -> Figure:
    """100,000 rows, one in twenty of the minority; the rows that are left must be the same."""
    learner, peer = da.EditedNearestNeighbours(**OPTIONS), EditedNearestNeighbours()
    limit = "the nearest minority row of each row; leaves of a tree prove the rest"
    return against("enn_1e5", learner, peer, *table(100_000, 0.05), 1 / 10, limit, rounds=1, same=True)


def tomek_1e5() -> Figure:
    """The same for Tomek links."""
    limit = "the nearest row of each minority row"
    return against(
        "tomek_1e5", da.TomekLinks(**OPTIONS), TomekLinks(), *table(100_000, 0.05), 1 / 15, limit, rounds=1, same=True
    )


def undersample_1e6() -> Figure:
    """A million rows, one in twenty of the minority."""
    learner = da.Undersample(strata=["label"], weights=(), train_weight="unit")
    limit = "ids, a random key for each row in each of the questions"
    return against("undersample_1e6", learner, RandomUnderSampler(), *table(10**6, 0.05), 1 / 2, limit, rounds=5)


def twice_partitions() -> Figure:
    """SMOTE of 300,000 rows in 32 partitions against the same in 16."""
    import dask
    import dask_awkward as dak

    data = events(*table(300_000, 0.05))

    def work(parts: int) -> Callable[[], object]:
        lazy = dak.from_awkward(data, parts)
        return lambda: resampled(lazy, da.Smote(strata=["label"], **OPTIONS)).compute()

    with dask.config.set(scheduler="sync"):
        ours, theirs, ratio = in_turns(work(32), work(16), rounds=5)
    limit = "what each partition costs: five questions and the result"
    return Figure("twice_partitions", ours, theirs, "16 partitions", ratio, "CPU s", 1.1, limit)


CASES = (
    smote_1e6_5pct, smote_1e6_1pct, smote_isotropic, adasyn_neighbours, borderline_neighbours, enn_1e5, tomek_1e5,
    undersample_1e6, twice_partitions,
)  # fmt: skip


def figures() -> Iterator[Figure]:
    """All of them, or those that are named, in turn."""
    named = {argument for argument in sys.argv[1:] if not argument.startswith("-")}
    for case in CASES:
        if not named or case.__name__ in named:
            yield case()


if __name__ == "__main__":
    show("Exact resampling", figures())
