"""Where a plan is run: one value, and the same data set, digest and refusals whatever it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import dask_augment as da
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.verify import verify
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.runs.cluster_pool import Cluster
from dask_augment.runs.pools import CORES, Futures, Iterative
from dask_augment.runs.run import dry_run, run
from dask_augment.runs.where import by_former_names, chunk_at, opened
from run_toys import plan, read, write

STEPS: tuple[Any, ...] = (
    da.Split(train=0.7),
    ("fewer", da.Undersample(strata=["dataset", da.Bins("MET.pt", [0, 3])], allocation="proportional", size=30)),
    da.Repeat(n=2),
    ("more", da.Oversample(strata=["dataset"])),
)


def runner(executor: Any = None, **options: Any) -> Any:
    processor = pytest.importorskip("coffea.processor")
    from coffea.nanoevents import BaseSchema

    return processor.Runner(
        executor or processor.IterativeExecutor(), **{"schema": BaseSchema, "chunksize": 7, **options}
    )


@pytest.fixture
def asked(tmp_path: Path) -> Plan:
    """Two data sets whose events have the same numbers, one of them in two files."""
    one, two = write(tmp_path / "a.root", 0, 40), write(tmp_path / "b.root", 40, 23)
    fileset = {"tt": {"files": [one, two], "metadata": {"xsec": 2.0}}, "dy": [write(tmp_path / "c.root", 0, 50)]}
    return replace(plan(inputs={"fileset": fileset}, output={"keep": ["Jet.*", "genWeight"]}), steps=STEPS)


@pytest.mark.parametrize(
    ("where", "kind", "workers"),
    [(None, Iterative, 1), ("synchronous", Iterative, 1), ("threads", Futures, CORES), ("processes", Futures, CORES)],
)
def test_places_of_this_machine(where: Any, kind: type, workers: int) -> None:
    with opened(where) as pool:
        assert type(pool) is kind
        assert pool.workers == workers
        if where != "processes":  # which start with the first task
            assert sorted(pool.map(abs, [-2, -1])) == [(-2, 2), (-1, 1)]


def test_an_executor_of_ones_own_lives_on() -> None:
    with ThreadPoolExecutor(3) as executor:
        with opened(executor) as pool:
            assert pool.workers == 3
            assert list(pool.map(abs, [-1])) == [(-1, 1)]
        assert executor.submit(abs, -1).result() == 1


@pytest.mark.parametrize("how", [lambda client: client, lambda client: client.cluster,
                                 lambda client: client.scheduler.address], ids=["client", "cluster", "address"])  # fmt: skip
def test_places_of_dask(how: Any, client: Any) -> None:
    with opened(how(client)) as pool:
        assert isinstance(pool, Cluster)
        assert pool.workers == 2
        assert sorted(pool.map(abs, [-2, -1])) == [(-2, 2), (-1, 1)]
    assert client.status == "running"


def test_worker_processes_by_their_number(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    asked: list[int] = []

    class Connected:
        def __init__(self, **options: Any) -> None:
            asked.append(options["workers"])

        def __enter__(self) -> Any:
            return client

        def __exit__(self, *error: object) -> None:
            """Nothing."""

    monkeypatch.setattr("dask_augment.runs.where.connected", Connected)
    for where in (3, "3"):  # as a program and as a command line say it
        with opened(where):
            pass
    assert asked == [3, 3]


@pytest.mark.parametrize("where", ["spark", "iterative", 0, True, 2.5, object(), ["tcp://a:1"], "-1"])
def test_what_is_no_place(where: Any, asked: Plan, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^where must be a Dask client, cluster or address .*, got "):
        run(asked, tmp_path / "out", where=where)
    with pytest.raises(ValueError, match=r"^where must be"):
        dry_run(asked, tmp_path / "out", where=where)
    assert not (tmp_path / "out").exists()


def test_events_from_nothing_on_workers(client: Any, tmp_path: Path) -> None:
    """The function that makes them travels with the tasks."""

    @da.augmenter(uses=[], produces={"MET.pt": "float64"}, keyed=True)
    def toys(events, draw):
        return 50 * draw.uniform(0)

    made = plan(inputs={"toys": {"make": toys, "events": 20, "seed": 3}}, steps=[{"define": {"x": "MET.pt"}}])
    here, there = (
        run(made, tmp_path / name, chunksize=9, where=where) for name, where in (("here", None), ("there", client))
    )
    assert here.manifest.logical_hash == there.manifest.logical_hash


# coffea ---------------------------------------------------------------------------------------------------------------


def test_executors_of_coffea(client: Any) -> None:
    processor = pytest.importorskip("coffea.processor")
    with opened(processor.IterativeExecutor(desc="mine", status=False, retries=0)) as pool:
        assert isinstance(pool, Iterative)
    with opened(processor.DaskExecutor(client=client, status=False)) as cluster:
        assert isinstance(cluster, Cluster)
    with opened(processor.FuturesExecutor(workers=2, pool=ThreadPoolExecutor)) as pool:
        assert isinstance(pool, Futures)
        assert pool.workers == 2
        assert list(pool.map(abs, [-1])) == [(-1, 1)]
    with (
        ThreadPoolExecutor(3) as executor,
        opened(runner(processor.FuturesExecutor(workers=2, pool=executor))) as pool,
    ):
        assert pool.workers == 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: runner(maxchunks=1), "the Runner says maxchunks=1, which a plan does not use: leave it out, and take"),
        (lambda p: runner(skipbadfiles=True), "says skipbadfiles=True, .* leave it out, and say max_bad_files$"),
        (lambda p: runner(savemetrics=True), "says savemetrics=True, .* the result has the seconds of each step"),
        (lambda p: runner(align_clusters=True), "says align_clusters=True, which a plan does not use: leave it out$"),
        (lambda p: runner(p.DaskExecutor(client=1, priority=5)), "the DaskExecutor says priority=5"),
        (lambda p: p.DaskExecutor(), "the DaskExecutor has no client: give it one"),
        (lambda p: p.FuturesExecutor(recoverable=True), "the FuturesExecutor says recoverable=True"),
        (lambda p: p.ParslExecutor(), "where is a ParslExecutor, .* give an executor of concurrent.futures"),
    ],
)  # fmt: skip
def test_options_that_a_plan_would_not_heed(make: Any, said: str, asked: Plan, tmp_path: Path) -> None:
    where = make(pytest.importorskip("coffea.processor"))
    with pytest.raises(ValueError, match=said):
        run(asked, tmp_path / "out", where=where)
    assert not (tmp_path / "out").exists()


def test_a_runner_says_how_much_is_read_at_once() -> None:
    assert chunk_at(runner(chunksize=9)) == 9
    assert chunk_at(runner(chunksize=9), 5) == 5
    assert chunk_at("threads") == 100_000
    for chunksize in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="chunksize must be a whole number of at least 1, got"):
            chunk_at(None, chunksize)


@pytest.mark.parametrize("with_coffea", [False, True])
def test_some_steps_of_a_file_are_read_nowhere(with_coffea: bool, tmp_path: Path) -> None:
    """Weights are normalised to all events of a file, so a fileset that has a part of them is refused."""
    files = {write(tmp_path / "a.root", rows=12): {"object_path": "Events", "steps": [[0, 5]]}}
    with pytest.raises(
        PlanError, match=r"the fileset has only some steps of .*, entries 0 to 5 of 12; whole files are read"
    ):
        run(
            plan(inputs={"fileset": {"tt": {"files": files}}}),
            tmp_path / "out",
            where=runner() if with_coffea else None,
        )


def test_same_digest_rows_and_manifest(asked: Plan, tmp_path: Path) -> None:
    """Learners over two data sets that share ids; made rows have 0 in the generator weight too, which is kept."""
    ours = run(asked, tmp_path / "ours", chunksize=20)
    theirs = run(asked, tmp_path / "theirs", where=runner(chunksize=20))
    for result in (ours, theirs):
        rows = read(result)
        made = rows.augment_kind > 0
        assert np.any(made)
        assert not np.any(rows.genWeight[made])
        assert not np.any(rows.weight[made])
        assert verify(result.path, deep=True).ok
    assert theirs.manifest.logical_hash == ours.manifest.logical_hash
    assert theirs.manifest.digest == ours.manifest.digest
    assert theirs.manifest.extra == ours.manifest.extra
    assert theirs.manifest.account.weights_out == ours.manifest.account.weights_out
    assert run(asked, tmp_path / "ours", where=runner(chunksize=9)).already


def test_what_was_done_is_not_done_again(asked: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was learned in one place serves in another."""
    asked = replace(asked, steps=STEPS[:3])
    quiet = run(asked, tmp_path / "quiet")

    def full(self: Any, *args: Any) -> Any:
        raise RuntimeError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr(Sink, "write_part", full)
        with pytest.raises(RuntimeError, match="stopped here"):
            run(asked, tmp_path / "out", where=runner())
    monkeypatch.setattr("dask_augment.runs.tasks.Tasks.ask", full)
    result = run(asked, tmp_path / "out", resume=True, where="threads", chunksize=7)
    assert result.manifest.logical_hash == quiet.manifest.logical_hash


def _collision_data(case: str, path: Path) -> tuple[Any, Any]:
    """A file of collision data, and the steps of a plan on it."""
    more = {"Jet_hadronFlavour": np.zeros(9, "i4")} if case == "a generator column is there" else {}
    file = write(path, rows=9, without=("genWeight",), more=more)
    made = {"define": {"Jet.hadronFlavour": "Jet.pt * 0"}}
    steps = {
        "a generator column is there": [],
        "a step makes one": [made, {"define": {"n": "sum(Jet.hadronFlavour)"}}],
        "a step reads one": [{"define": {"x": "GenMET.pt"}}, made],
        "trained on": [{"repeat": {"n": 1}}],
    }
    return file, [{"split": {"train": 0.5}}, *steps[case]]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("a generator column is there", "'Jet_hadronFlavour' of '.*' is a generator column"),
        ("a step makes one", None),
        ("a step reads one", "'GenMET.pt' is a generator column"),
        ("trained on", "'repeat' is a training step"),
    ],
)
def test_collision_data_are_judged_alike(case: str, said: str | None, tmp_path: Path) -> None:
    file, steps = _collision_data(case, tmp_path / "a.root")
    inputs = {"fileset": {"mu": {"files": [file], "metadata": {"is_mc": False}}}}
    asked = plan(inputs=inputs, steps=steps)
    ways = (None, runner())
    events = rows_of(file)
    if said is None:
        ours, theirs = (run(asked, tmp_path / str(number), where=where) for number, where in enumerate(ways))
        assert ours.manifest.logical_hash == theirs.manifest.logical_hash
        da.augment(events, *asked.steps, seed=1, split=None)
        return
    sentences = []
    for where in ways:
        with pytest.raises(PlanError, match=f"'mu' is collision data .*{said}") as refused:
            run(asked, tmp_path / "out", where=where)
        sentences.append(str(refused.value))
    with pytest.raises(ValueError, match="'mu' is collision data") as refused_in_a_frame:
        da.augment(events, *asked.steps, seed=1, split=None)
    # A frame does not know the file.
    assert [str(refused_in_a_frame.value)] * 2 == [sentence.replace(f" of {file!r}", "") for sentence in sentences]


def rows_of(file: str) -> Any:
    """The events of a file with what coffea would say of them."""
    with uproot.open(file) as opened:
        events = opened["Events"].arrays()
    return ak.Array(ak.with_parameter(events, "metadata", {"dataset": "mu", "is_mc": False}).layout)


def test_former_names_say_where_too(asked: Plan, tmp_path: Path) -> None:
    """What was written for ``client``, ``runner``, ``scheduler``, ``executor`` and ``workers`` goes on, and is told of."""
    with pytest.warns(DeprecationWarning, match="runner: say where="):
        by_runner = run(asked, tmp_path / "runner", runner=runner())
    with pytest.warns(DeprecationWarning, match="executor, workers: say where="):
        by_name = run(asked, tmp_path / "name", executor="iterative", workers=2)
    assert by_runner.manifest.logical_hash == by_name.manifest.logical_hash
    with ThreadPoolExecutor(2) as pool, pytest.warns(DeprecationWarning, match="executor: say where="):
        assert dry_run(asked, tmp_path / "dry", executor=pool)
    with pytest.raises(TypeError, match="said more than once where to run, by client, executor"):
        run(asked, tmp_path / "two", client=object(), executor=runner().executor)
    with pytest.raises(TypeError, match="said more than once where to run, by client, executor"):
        run(asked, tmp_path / "two", client=object(), executor="iterative")
    with pytest.raises(TypeError, match="said more than once where to run, by executor, workers"):
        run(asked, tmp_path / "two", executor="threads", workers=3)
    with pytest.raises(TypeError, match="said more than once where to run, by workers, where"):
        run(asked, tmp_path / "two", workers=2, where="threads")


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"executor": "futures", "workers": 3}, 3),
        ({"executor": "dask", "scheduler": "tcp://a:1"}, "tcp://a:1"),
        ({"executor": "futures"}, "processes"),
        ({"scheduler": "tcp://a:1", "workers": 2}, "tcp://a:1"),
    ],
)
def test_what_former_names_meant(said: dict[str, Any], where: Any) -> None:
    @by_former_names
    def taken(where: Any = None) -> Any:
        return where

    with pytest.warns(DeprecationWarning, match="say where="):
        assert taken(**said) == where
