"""One result of every sampler: for any partitions, order, frame, scheduler, cluster and executor of coffea."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import awkward as ak
import dask
import numpy as np
import pandas as pd
import pytest
import uproot

import dask_augment as da
from dask_augment.dataset.schema import schema_of
from dask_augment.plans import registry
from frame_toys import Coffea, Partitions, read_back, sink_at
from interpolation_toys import shuffled
from sampler_toys import SAMPLERS, SETTING, WAYS, one_hash, sampled, some
from sampling_toys import column

events = cache(sampled)


@cache
def expected(name: str) -> tuple[Any, ak.Array, str]:
    """The sampler, taught by all the events at once, what it makes of them, and the hash of that."""
    step = WAYS[name].learned(events())
    result = WAYS[name].run(events(), step)
    return step, result, one_hash(result)


def frame() -> pd.DataFrame:
    return pd.DataFrame({name: column(events(), name) for name in events().fields})


def divided(rows: ak.Array, parts: int) -> Partitions:
    """Partitions of different size, some of them empty where there are many."""
    borders = np.rint(np.linspace(0, 1, parts + 1) ** 2 * len(rows)).astype(int)
    return Partitions(rows[start:stop] for start, stop in pairwise(borders))


def agrees(name: str, rows: Any, *, finish: Callable[[Any], Any] = lambda result: result, **options: Any) -> None:
    """Assert that as much is learned from these rows and made of them as of all at once."""
    taught = WAYS[name].learned(rows, **options)
    step, _, wanted = expected(name)
    assert taught == step, "it learns something else"
    assert one_hash(finish(WAYS[name].run(rows, taught))) == wanted


def in_one(parts: Any) -> ak.Array:
    return ak.concatenate([part for part in parts if len(part)])


def test_every_sampler_is_here() -> None:
    """Whatever changes rows or weights for training, or is exact over all the data, and is no sampler of single rows."""
    kinds = {name: registry.get(name) for name in registry.names()}
    learners = {name for name, kind in kinds.items() if any(field == "learned" for field in kind.__dataclass_fields__)}
    assert {registry.name_of(sampler.step) for sampler in SAMPLERS.values()} == learners


@pytest.mark.parametrize("name", WAYS)
def test_something_happens(name: str) -> None:
    """A hash of what was left as it is would say nothing; test events are left as they are."""
    _, result, found = expected(name)
    assert found != one_hash(events())
    rest = result[column(result, "split") == 1]
    assert np.array_equal(np.sort(column(rest, "event")), np.sort(column(events(), "event")[5::6]))


@pytest.mark.parametrize("name", WAYS)
def test_partitions_and_order(name: str) -> None:
    agrees(name, divided(shuffled(events(), 3), 17), finish=in_one)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_more_partitions_and_orders(name: str) -> None:
    other = shuffled(events(), 3)
    for parts in (divided(events(), 3), divided(events(), 17), divided(other, 1), divided(other, 5)):
        agrees(name, parts, finish=in_one)


FRAMES = ("dask-awkward", "pandas", "cluster", "coffea")
ON = {frame: [*SAMPLERS][number :: len(FRAMES)] for number, frame in enumerate(FRAMES)}
"""The samplers that quick tests try on each frame: a frame knows nothing of samplers, and each is tried once."""


@pytest.mark.parametrize("name", some("undersample", "smote"))
def test_200_partitions(name: str) -> None:
    parts = divided(shuffled(events(), 1), 200)
    assert sum(len(part) == 0 for part in parts) > 5
    assert max(map(len, parts)) < 5
    agrees(name, parts, finish=in_one)


@pytest.mark.parametrize("name", some("undersample", "bootstrap", "smote", "tomek_links"))
def test_the_hash_bites(name: str) -> None:
    """Partitions that know nothing of one another would give other rows."""

    def alone(part: ak.Array) -> ak.Array:
        return WAYS[name].run(part, WAYS[name].learned(part))

    many = sampled(1200)
    assert one_hash(ak.concatenate([alone(many[:600]), alone(many[600:])])) != one_hash(alone(many))


# Frames and schedulers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", some(*ON["dask-awkward"]))
def test_dask_awkward_in_threads(name: str) -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    with dask.config.set(scheduler="threads"):
        agrees(name, dak.from_awkward(events(), 4), finish=lambda lazy: lazy.compute())


@pytest.mark.parametrize("name", some(*ON["pandas"]))
def test_pandas_and_dask_dataframe_in_threads(name: str) -> None:
    import dask.dataframe as dd

    agrees(name, frame())
    with dask.config.set(scheduler="threads"):
        lazy = dd.from_pandas(frame().sample(frac=1.0, random_state=5), npartitions=3, sort=False)
        agrees(name, lazy, finish=lambda lazy: lazy.compute())


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Two processes that all tests share; a fork of this one would have its threads' locks."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
def test_processes(name: str, processes: Any) -> None:
    import dask.dataframe as dd

    with dask.config.set(scheduler="processes", pool=processes):
        agrees(name, dd.from_pandas(frame(), npartitions=3, sort=False), finish=lambda lazy: lazy.compute())


@pytest.mark.parametrize("name", some(*ON["cluster"]))
def test_on_a_cluster(name: str, client: Any, tmp_path: Path) -> None:
    import dask.dataframe as dd

    with client.as_current():
        lazy = dd.from_pandas(frame().sample(frac=1.0, random_state=6), npartitions=2, sort=False)
        agrees(name, lazy, finish=lambda lazy: lazy.compute(), artefacts=str(tmp_path))


# coffea ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samplers") / "toy.root"
    columns = {name: column(events(), name) for name in events().fields}
    with uproot.recreate(path) as root:
        root.mktree("Events", {name: values.dtype for name, values in columns.items()}).extend(columns)
    return path


def through_coffea(name: str, source: Coffea) -> None:
    """Learn, augment and write by coffea's Runner, and read what was written."""
    from dask_augment.frames.coffea import AugmentProcessor, Chunks

    sampler, (step, result, wanted) = WAYS[name], expected(name)
    taught = da.learn(Chunks(source.runner(), source.fileset), sampler.step, *sampler.before, seed=SETTING["seed"])
    assert taught == step
    sink = sink_at(source.folder, schema_of(result))
    processor = AugmentProcessor(*sampler.before, taught, purpose="training", sink=sink, seed=SETTING["seed"])
    out = source.runner()(source.fileset, processor)
    written = read_back(sink, out[source.dataset]).to_pandas()
    assert len(out[source.dataset]) == 3
    assert one_hash(written) == wanted


@pytest.mark.parametrize("name", some(*ON["coffea"]))
def test_coffea(name: str, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("coffea")
    through_coffea(name, Coffea(file, tmp_path, chunk=130))


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
def test_coffea_with_processes(name: str, file: Path, tmp_path: Path, processes: Any) -> None:
    processor = pytest.importorskip("coffea.processor")
    executor = processor.FuturesExecutor(pool=processes, status=False)
    through_coffea(name, Coffea(file, tmp_path, chunk=130, executor=executor))
