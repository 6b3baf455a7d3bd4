"""Neighbours by an index that may miss some: how many it finds, what it may not change, and where it is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

import dask_augment as da
from dask_augment.kernels.neighbours import nearest
from dask_augment.plans.steps import Steps
from dask_augment.sampling import approximate
from dask_augment.sampling.approximate import nearby
from interpolation_toys import FEATURES, classes, shuffled
from run_toys import plan, write
from sampling_toys import applied, divided, table, taught

CLASS = "label=1"
COMPOUNDS: list[Any] = [da.SmoteEnn, da.SmoteTomek, da.SmoteUndersample]


def cloud(n: int, d: int = 4, seed: int = 1) -> NDArray[np.float64]:
    """Points with tails, in units of all sizes, far from 0."""
    rng = np.random.default_rng(seed)
    return np.exp(0.5 * rng.normal(size=(n, d))) + 1e4


def exactly(points: NDArray[np.float64], k: int, *, distinct: bool = False) -> NDArray[np.int64]:
    return nearest(points, points, k, own=np.arange(len(points)), distinct=distinct)[1]


def recall(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """The share of the true neighbours that are found."""
    return float(np.mean([(found == column[:, None]).any(axis=1) for column in exact.T]))


def smote(**options: Any) -> da.Smote:
    return da.Smote(**{"strata": ["label"], "features": FEATURES, "neighbors": "approximate"} | options)


# The search ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_most_neighbours_are_found(unit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    points = cloud(6000) * unit
    found, exact = nearby(points, 5), exactly(points, 5)
    assert recall(found, exact) > 0.97
    monkeypatch.setattr(approximate, "PROBES", 1)
    assert recall(nearby(points, 5), exact) < 0.9


def test_ranked_by_exact_distance_and_row() -> None:
    points = np.round(cloud(8000, 3) * 20) / 20  # many distances are equal, some points too
    found = nearby(points, 6)
    distances = np.zeros(found.shape)
    for values in points.T:
        distances += (values[:, None] - values[found]) ** 2
    assert found.min() >= 0
    assert not (found == np.arange(len(points))[:, None]).any()
    before, after = (distances[:, :-1], found[:, :-1]), (distances[:, 1:], found[:, 1:])
    assert ((before[0] < after[0]) | ((before[0] == after[0]) & (before[1] < after[1]))).all()
    assert (before[0] == after[0]).any()
    # Where the index found the places of all true neighbours, ties are as they are in the exact search.
    assert (found == exactly(points, 6)).all(axis=1).mean() > 0.9


@pytest.mark.parametrize("distinct", [False, True])
def test_few_points_are_searched_exactly(distinct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    points = np.repeat(cloud(approximate.FEW - 1, 2), 2, axis=0)
    assert np.array_equal(nearby(points, 4, distinct=distinct), exactly(points, 4, distinct=distinct))
    with pytest.raises(ImportError, match="faiss"):
        nearby(cloud(approximate.FEW), 4)


@pytest.mark.parametrize("distinct", [False, True])
def test_many_rows_at_one_point(distinct: bool) -> None:
    points = cloud(6000)
    points[::2] = points[0]
    found = nearby(points, 5, distinct=distinct)
    alike = (points[found] == points[:, None]).all(axis=2)
    assert found.min() >= 0
    if distinct:
        assert not alike.any()
        assert recall(found, exactly(points, 5, distinct=True)) > 0.97
    else:
        assert alike[::2].all()
        assert found[0].tolist() == [2, 4, 6, 8, 10]
        assert found[4].tolist() == [0, 2, 6, 8, 10]


def test_where_the_index_finds_too_few_the_search_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    points = cloud(3000)
    assert len(points) ** 0.5 < 200  # points of a list
    monkeypatch.setattr(approximate, "PROBES", 1)
    assert np.array_equal(nearby(points, 200), exactly(points, 200))


def test_one_thread_and_then_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = faiss.omp_get_max_threads(), []

    def index(*arguments: Any) -> Any:
        seen.append(faiss.omp_get_max_threads())
        raise MemoryError

    monkeypatch.setattr(faiss, "IndexIVFFlat", index)
    try:
        faiss.omp_set_num_threads(2)
        with pytest.raises(MemoryError):
            nearby(cloud(approximate.FEW), 3)
        assert (seen, faiss.omp_get_max_threads()) == ([1], 2)
    finally:
        faiss.omp_set_num_threads(before)


def test_coordinates_too_large() -> None:
    with pytest.raises(ValueError, match=r"features in units of their scales must be finite, .* 1e\+150"):
        nearby(cloud(approximate.FEW) * 1e150, 3)


# The samplers -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of few points too, and one that misses many."""
    monkeypatch.setattr(approximate, "FEW", 50)
    monkeypatch.setattr(approximate, "PROBES", 2)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("distinct", [False, True])
def test_one_result_for_any_partitions_and_order(distinct: bool) -> None:
    events = classes(negative=0.2)
    step = taught(smote(distinct=distinct), [events])
    columns = [*FEATURES, "label", "train_weight", "augment_other_event"]
    expected = table(applied(step, [events]), *columns)
    for parts in (3, 17):
        other = taught(smote(distinct=distinct), divided(shuffled(events, parts), parts))
        assert other == step
        assert table(applied(other, divided(events, parts)), *columns) == expected
    exact = taught(smote(distinct=distinct, neighbors="exact"), [events])
    found, true = step.learned["neighbours"], exact.learned["neighbours"]
    assert 0.3 < recall(found, true) < 0.99, "it is the index that was asked"
    assert table(applied(exact, [events]), *columns) != expected


def test_few_rows_are_those_of_the_exact_step() -> None:
    events = classes()
    exact = taught(smote(neighbors="exact"), [events])
    step = taught(smote(), [events])
    assert np.array_equal(step.learned["neighbours"], exact.learned["neighbours"])
    assert step.digest != exact.digest, "the configuration tells what was asked for"


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", COMPOUNDS)
def test_compounds_pass_it_on(kind: Any) -> None:
    assert kind(features=FEATURES).steps()[0].neighbors == "exact"
    compound = kind(features=FEATURES, neighbors="approximate")
    assert compound.steps()[0].neighbors == "approximate"
    assert compound.steps()[0] != kind(features=FEATURES).steps()[0]


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("name", ["smote", "smote_undersample"])
def test_plan_and_manifest_say_so(name: str, tmp_path: Path) -> None:
    define = {"few": "event % 3 == 0", "noise": "MET.phi * MET.pt"}
    options = {"label": "few", "features": ["MET.phi", "noise"], "neighbors": "approximate", "weights": []}
    asked = plan(write(tmp_path / "a.root", 0, 240), steps=[{"define": define}, {name: options}], split=None)
    assert asked.to_dict()["steps"][-1][name]["neighbors"] == "approximate"
    done = da.run(asked, tmp_path / "one")
    assert done.manifest.logical_hash == da.run(asked, tmp_path / "cut", chunksize=31).manifest.logical_hash
    told = [next(iter(step.values())) for step in done.manifest.plan["steps"]]
    assert [options["neighbors"] for options in told if "neighbors" in options] == ["approximate"]


# Refused ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smotenc", "adasyn", "borderline_smote"])
def test_others_are_exact(name: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"unknown options .*neighbors"):
        Steps(tmp_path).build(name, {"features": ["x"], "neighbors": "approximate"})


def test_an_unknown_way() -> None:
    with pytest.raises(ValueError, match=r"neighbors must be one of \['exact', 'approximate'\], got 'ann'"):
        smote(neighbors="ann")
    with pytest.raises(ValueError, match="neighbors must be one of"):
        da.SmoteUndersample(features=FEATURES, neighbors="ann")


@pytest.mark.parametrize("kind", [da.Smote, *COMPOUNDS])
def test_faiss_is_missed_before_the_data_is_read(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    learner = kind(features=FEATURES, label="label", neighbors="approximate")
    first = learner.steps()[0] if kind in COMPOUNDS else learner
    with pytest.raises(ImportError, match=r"which is not installed: pip install 'dask-augment\[faiss\]'"):
        next(first.learning())


def test_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    events = classes()
    limits = "dask_augment.sampling.gathering."
    monkeypatch.setattr(limits + "MOST_ROWS", 100)
    assert len(applied(taught(smote(), [events]), [events])) > len(events)
    with pytest.raises(
        ValueError,
        match=rf"stratum '{CLASS}' has \d+ rows, and neighbours are sought exactly among 100 at most: make more strata, "
        r'.* or say neighbors="approximate" .*dask-augment\[faiss\]',
    ):
        taught(smote(neighbors="exact"), [events])
    with pytest.raises(ValueError, match="exactly among 100 at most: make more strata") as error:
        taught(da.Adasyn(features=FEATURES, label="label"), [events])
    assert "approximate" not in str(error.value)
    monkeypatch.setattr(limits + "MOST_APPROXIMATE", 150)
    with pytest.raises(ValueError, match="by an index among 150 at most: make more strata") as error:
        taught(smote(), [events])
    assert "approximate" not in str(error.value)
