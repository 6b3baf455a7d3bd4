"""Exact resampling against imbalanced-learn: processor time in one process, taken in turns, and memory.

Samplers get the same matrix and labels and give the same: ``fit_resample`` of both.

``python benchmarks/resampling.py [--json] [case ...]``; all of it takes about a quarter of an hour.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _resampling_memory
import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _report import Figure, in_turns, show
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from imblearn.under_sampling import EditedNearestNeighbours, RandomUnderSampler, TomekLinks
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

import dask_augment as da
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


def against(
    case: str, method: str, peer: Any, values: NDArray[np.float32], label: NDArray[np.int8], goal: float, limit: str,
    *, rounds: int = 3, same: bool = False, **options: Any,
) -> Figure:  # fmt: skip
    """``fit_resample`` of ours and of imbalanced-learn's; ``same``: the rows that are left must be the same."""
    sampler = da.Resampler(method, train_weight="unit", **options)
    if same:
        for one in (peer, sampler):
            one.fit_resample(values, label)
        assert np.array_equal(sampler.sample_indices_, np.sort(peer.sample_indices_)), "the sets differ"
    ours, theirs, ratio = in_turns(
        lambda: sampler.fit_resample(values, label), lambda: peer.fit_resample(values, label), rounds
    )
    return Figure(case, ours, theirs, f"imbalanced-learn's {type(peer).__name__}", ratio, "CPU s", goal, limit)


def smote_1e6_5pct() -> Figure:
    """A million rows, one in twenty of the minority."""
    limit = "the neighbours of 50,000 rows, then a Philox block for each made row"
    return against("smote_1e6_5pct", "smote", SMOTE(), *table(10**6, 0.05), 1 / 3, limit, scale=None)


def smote_1e6_1pct() -> Figure:
    """A million rows, one in a hundred of the minority."""
    limit = "memory that the result is written to, and random keys of all rows"
    return against("smote_1e6_1pct", "smote", SMOTE(), *table(10**6, 0.01), 1 / 2.5, limit, rounds=5, scale=None)


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
    limit = "a tree of all rows, and products of float32 matrices where it leaves out too little"
    return against("adasyn_neighbours", "adasyn", ADASYN(), *table(300_000, 0.02), 1 / 3, limit, scale=None)


def borderline_neighbours() -> Figure:
    """The same for the events in danger."""
    limit = "a tree of all rows, and products of float32 matrices where it leaves out too little"
    peer = BorderlineSMOTE()
    return against("borderline_neighbours", "borderline_smote", peer, *table(300_000, 0.02), 1 / 3, limit, scale=None)


def enn_1e5() -> Figure:
    """100,000 rows, one in twenty of the minority; the rows that are left must be the same."""
    limit = "the nearest minority row of each row; leaves of a tree prove the rest"
    return against(
        "enn_1e5", "edited_nearest_neighbours", EditedNearestNeighbours(), *table(100_000, 0.05), 1 / 10, limit,
        same=True, scale=None,
    )  # fmt: skip


def tomek_1e5() -> Figure:
    """The same for Tomek links."""
    limit = "the nearest row of each minority row"
    peer = TomekLinks()
    return against("tomek_1e5", "tomek_links", peer, *table(100_000, 0.05), 1 / 15, limit, same=True, scale=None)


def undersample_1e6() -> Figure:
    """A million rows, one in twenty of the minority."""
    limit = "a random key for each row in each of three passes"
    return against("undersample_1e6", "undersample", RandomUnderSampler(), *table(10**6, 0.05), 1 / 2, limit, rounds=9)


def twice_partitions() -> Figure:
    """SMOTE of a million events in 20 partitions against 10, of the 100,000 events that a run reads at once."""
    import dask
    import dask_awkward as dak

    data = events(*table(10**6, 0.05))
    learner = da.Smote(strata=["label"], features=FEATURES, scale=None, weights=())

    def work(parts: int) -> Callable[[], object]:
        lazy = dak.from_awkward(data, parts)
        return lambda: da.augment(lazy, da.learn(lazy, learner, **SETTING), **SETTING).compute()

    with dask.config.set(scheduler="sync"):
        ours, theirs, ratio = in_turns(work(20), work(10), rounds=7)
    limit = "what each partition costs: three questions and the result"
    return Figure("twice_partitions", ours, theirs, "10 partitions", ratio, "CPU s", 1.1, limit)


def memory(case: str) -> Callable[[], Figure]:
    """A case of :mod:`_resampling_memory`, over the table of ``smote_1e6_5pct``."""

    def measured() -> Figure:
        with tempfile.TemporaryDirectory(prefix="dask-augment-resampling-") as folder:
            for name, rows in ((".", 10**6), ("small", 10**4)):
                write(Path(folder, name), *table(rows, 0.05))
            return _resampling_memory.figure(case, Path(folder))

    measured.__name__ = case
    return measured


def write(folder: Path, values: NDArray[np.float32], label: NDArray[np.int8]) -> None:
    """The table as matrices, and as Parquet files of events."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "values.npy", values)
    np.save(folder / "label.npy", label)
    found = events(values, label)
    columns = {name: np.asarray(found[name]) for name in found.fields} | {"weight": np.ones(len(label))}
    for number, rows in enumerate(np.array_split(np.arange(len(label)), _resampling_memory.PARTS)):
        part = pa.table({name: column[rows[0] : rows[-1] + 1] for name, column in columns.items()})
        pq.write_table(part, folder / f"part-{number:02}.parquet")


CASES = (
    smote_1e6_5pct, smote_1e6_1pct, smote_isotropic, adasyn_neighbours, borderline_neighbours, enn_1e5, tomek_1e5,
    undersample_1e6, twice_partitions, *map(memory, _resampling_memory.CASES),
)  # fmt: skip


def figures() -> Iterator[Figure]:
    """All of them, or those that are named, in turn."""
    named = {argument for argument in sys.argv[1:] if not argument.startswith("-")}
    for case in CASES:
        if not named or case.__name__ in named:
            yield case()


if __name__ == "__main__":
    show("Exact resampling", figures())
