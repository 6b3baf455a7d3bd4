"""What is promised of every sampler alike: numbers, weights, bad input, laziness and provenance."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from functools import cache
from typing import Any

import awkward as ak
import dask
import numpy as np
import pandas as pd
import pytest
from dask.callbacks import Callback
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import NDArray

import dask_augment as da
from dask_augment.events.strata import UnknownStratum
from interpolation_toys import FEATURES, classes, matrix, shuffled
from sampler_toys import SAMPLERS, one_hash, sampled, some
from sampling_toys import column, units

OPEN: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}
OVER = ("oversample", "bootstrap", "smote", "smotenc", "borderline_smote", "adasyn")
BETWEEN = ("smote", "smotenc", "borderline_smote", "adasyn", "smote_undersample", "smote_enn", "smote_tomek")
CLEAN = ("edited_nearest_neighbours", "tomek_links")
SEEK = (*BETWEEN, *CLEAN)


@cache
def events(n: int = 900) -> ak.Array:
    """Events that are all for training."""
    return ak.without_field(sampled(n), "split")


def changed(name: str, **options: Any) -> Any:
    """The sampler with these options, on the classes alone."""
    step = SAMPLERS[name].step
    where: dict[str, Any] = (
        {"strata": []} if "label" in {field.name for field in fields(step)} else {"strata": ["label"]}
    )
    if name == "smote":
        where = {"strata": [], "label": "label"}
    return replace(step, **where | options)


def made_by(step: Any, rows: ak.Array, *before: Any) -> ak.Array:
    return da.augment(rows, *before, da.learn(rows, step, *before, **OPEN), **OPEN)


def numbers(rows: ak.Array) -> dict[int, int]:
    return dict(Counter(column(rows, "label").tolist()))


# Numbers (as imbalanced-learn's; all forms by hypothesis in test_strategy and fit_resample) ------------------------------------

STRATEGIES: list[Any] = ["auto", "minority", "not minority", "not majority", "all", {0: 600, 2: 200}, {1: 300}, 0.75]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("name", OVER)
def test_numbers_of_over_samplers(name: str, strategy: Any) -> None:
    rows = events() if not isinstance(strategy, float) else events()[column(events(), "label") != 1]
    theirs = RandomOverSampler(sampling_strategy=strategy)
    _, expected = theirs.fit_resample(matrix(rows), column(rows, "label"))
    ours = {f"label={c}": n for c, n in strategy.items()} if isinstance(strategy, dict) else strategy
    assert numbers(made_by(changed(name, sampling_strategy=ours), rows)) == dict(Counter(expected.tolist()))


@pytest.mark.parametrize(
    "strategy", ["auto", "majority", "not minority", "not majority", "all", {0: 60, 2: 20}, 0.75], ids=str
)
@pytest.mark.parametrize("name", ["undersample", "balanced_ensemble"])
def test_numbers_of_under_samplers(name: str, strategy: Any) -> None:
    rows = events() if not isinstance(strategy, float) else events()[column(events(), "label") != 1]
    _, expected = RandomUnderSampler(sampling_strategy=strategy).fit_resample(matrix(rows), column(rows, "label"))
    ours = {f"label={c}": n for c, n in strategy.items()} if isinstance(strategy, dict) else strategy
    result = made_by(changed(name, sampling_strategy=ours), rows)
    draws = [result]
    if name == "balanced_ensemble":
        mask = column(result, "ensemble")
        draws = [result[mask >> np.uint64(t) & np.uint64(1) == 1] for t in range(SAMPLERS[name].step.draws)]
    assert all(numbers(draw) == dict(Counter(expected.tolist())) for draw in draws)


# Weights ---------------------------------------------------------------------------------------------------------------------

WITH_POLICY = [name for name, sampler in SAMPLERS.items() if hasattr(sampler.step, "train_weight")]


def sums(rows: ak.Array, name: str, exponent: int) -> dict[int, int]:
    labels, values = column(rows, "label"), column(rows, name)
    return {c: units(values[labels == c], exponent) for c in range(3)}


@pytest.mark.parametrize("policy", ["conserve", "balance", "unit"])
@pytest.mark.parametrize("name", WITH_POLICY)
def test_sums_of_train_weight_are_integers(name: str, policy: str) -> None:
    had = np.random.default_rng(2).integers(0, 2**40, len(events())) * 2.0**-32
    rows = ak.with_field(events(), had, "train_weight")
    result = made_by(changed(name, train_weight=policy), rows)
    before, after = (sums(e, "train_weight", -32) for e in (rows, result))
    assert np.all(column(result, "train_weight") * 2.0**32 % 1 == 0)
    assert one_hash(result) != one_hash(rows)
    if policy == "conserve":
        assert after == before
    elif policy == "balance":
        assert set(after.values()) == {sum(before.values()) // 3}
    else:
        assert set(column(result, "train_weight").tolist()) == {1.0}


KEEP_SUMS = ("undersample", "positive_resample", "edited_nearest_neighbours", "tomek_links", "smote_undersample", "smote_enn",
             "smote_tomek")  # fmt: skip


@pytest.mark.parametrize("policy", ["conserve", "balance", "unit"])
@pytest.mark.parametrize("name", KEEP_SUMS)
def test_sums_of_physics_weights_are_integers(name: str, policy: str) -> None:
    """Of each class, and of each sign in it where signs stay; negative weights among them."""
    policies = {} if name == "positive_resample" else {"train_weight": policy}
    result = made_by(changed(name, **policies), events())
    exponent = math.frexp(np.abs(column(events(), "weight")).min())[1] - 100
    assert sums(result, "weight", exponent) == sums(events(), "weight", exponent)
    if name != "positive_resample":
        for sign in (-1, 1):
            parts = [e[np.sign(column(e, "weight")) == sign] for e in (events(), result)]
            assert sums(parts[0], "weight", exponent) == sums(parts[1], "weight", exponent)


@pytest.mark.parametrize("name", [*OVER, "smooth", "balanced_ensemble", "active_select", "class_weights"])
def test_no_histogram_changes(name: str) -> None:
    """Sums of w and of w squared in each bin of three variables, where nothing is dropped: bit for bit."""
    sampler = SAMPLERS[name]
    options = {"carry": "parent"} if hasattr(sampler.step, "carry") else {}
    result = made_by(replace(sampler.step, **options), events(), *sampler.before)
    if name in (*OVER, "smooth"):
        assert len(result) > len(events())
    for variable in ("HT", "y", "p"):
        edges = np.quantile(column(events(), variable), np.linspace(0, 1, 12))
        for power in (1, 2):
            before, after = (binned(e, variable, edges, power) for e in (events(), result))
            assert before == after
            assert len(before) > 10


def binned(rows: ak.Array, variable: str, edges: NDArray[Any], power: int) -> list[int]:
    """Sums of a power of the weight in bins, in units of which all are multiples."""
    at, weight = np.digitize(column(rows, variable), edges), column(rows, "weight")
    return [units(weight[at == b] ** power, -40) for b in range(len(edges) + 1)]


# Defects of imbalanced-learn (copies of twins, equal draws of classes: test_smote; totals of ADASYN: test_adasyn) --------------


def test_another_order_of_rows_makes_the_same_rows() -> None:
    rows, other = events(), shuffled(events(), 2)
    theirs = [SMOTE(random_state=0).fit_resample(matrix(e), column(e, "label"))[0][len(e) :] for e in (rows, other)]
    there = set(map(tuple, theirs[0].tolist()))
    same = sum(tuple(row) in there for row in theirs[1].tolist())
    assert same < 0.1 * len(theirs[0]), "the defect is still there"
    step = changed("smote")
    assert one_hash(made_by(step, rows)) == one_hash(made_by(step, other))


def test_the_order_of_rows_stays() -> None:
    labels = column(events(), "label")
    _, theirs = RandomUnderSampler(random_state=0).fit_resample(matrix(events()), labels)
    assert np.all(np.diff(theirs) >= 0), "the defect is still there: grouped by class"
    for name in ("undersample", *CLEAN):
        kept = column(made_by(changed(name), events()), "event")
        at = {event: i for i, event in enumerate(column(events(), "event").tolist())}
        assert np.all(np.diff([at[event] for event in kept.tolist()]) > 0)


def test_every_row_of_a_class_is_a_source() -> None:
    rows = classes(900, fractions=(0.6, 0.4))
    few = np.flatnonzero(column(rows, "label") == 1)
    result = made_by(da.Smote(label="label", features=FEATURES, sampling_strategy={"label=1": 2 * len(few)}), rows)
    sources = Counter(column(result[column(result, "augment_kind") == 2], "event").tolist())
    assert set(sources.values()) == {1}
    assert set(sources) == set(column(rows, "event")[few].tolist())


# Provenance ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BETWEEN)
def test_every_made_row_is_recomputed_bit_for_bit(name: str) -> None:
    step = SAMPLERS[name].step
    result = made_by(step, events(), *SAMPLERS[name].before)
    new = result[column(result, "augment_kind") == 2]
    at = {event: i for i, event in enumerate(column(events(), "event").tolist())}
    first, second = ([at[e] for e in column(new, key).tolist()] for key in ("event", "augment_other_event"))
    share = column(new, "augment_share")
    assert len(new) > 20
    assert np.all(column(new, "augment_base_copy") == 0)
    assert np.all((share >= 0) & (share < 1))
    for feature in step.features:
        values = column(events(), feature)
        x, y = values[first].astype(np.float64), values[second].astype(np.float64)
        between = np.clip(x + share * (y - x), np.minimum(x, y), np.maximum(x, y)).astype(values.dtype)
        assert np.array_equal(column(new, feature), between)
    signs = np.sign(column(events(), "weight"))
    assert np.array_equal(signs[first], signs[second]), "weights of one sign"
    assert np.array_equal(column(events(), "label")[first], column(events(), "label")[second])


# Bad input -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_events(name: str) -> None:
    sampler = SAMPLERS[name]
    with pytest.raises(ValueError, match="nothing to learn from: there are no events"):
        da.learn(events()[:0], sampler.step, *sampler.before, **OPEN)
    step = da.learn(events(), sampler.step, *sampler.before, **OPEN)
    none, some = (da.augment(rows, *sampler.before, step, **OPEN) for rows in (events()[:0], events()))
    assert len(none) == 0
    assert {f: str(none[f].type.content) for f in none.fields} == {f: str(some[f].type.content) for f in some.fields}


@pytest.mark.parametrize("name", some("undersample", "smote", "tomek_links"))
def test_partitions_of_one_row(name: str) -> None:
    sampler = SAMPLERS[name]
    step = da.learn(events(), sampler.step, *sampler.before, **OPEN)
    few = events()[:40]
    whole = da.augment(few, *sampler.before, step, **OPEN)
    parts = [da.augment(few[i : i + 1], *sampler.before, step, **OPEN) for i in range(len(few))]
    assert one_hash(ak.concatenate(parts)) == one_hash(whole)


ALONE: dict[str, str] = {
    "smote": "has but one class", "smotenc": "has but one class", "borderline_smote": "has but one class",
    "adasyn": "has but one class", "smote_undersample": "has but one class", "smote_enn": "has but one class",
    "smote_tomek": "has but one class", "edited_nearest_neighbours": "has but one class",
    "tomek_links": "has but one class", "undersample": "there is but one", "oversample": "there is but one",
    "bootstrap": "there is but one", "balanced_ensemble": "there is but one",
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_class_only(name: str) -> None:
    """What balances classes says that there is nothing to balance; what does not, goes on."""
    rows = events()[column(events(), "label") == 0]
    step, before = (SAMPLERS[name].step, SAMPLERS[name].before) if name == "smooth" else (changed(name), ())
    if name in ALONE:
        with pytest.raises(ValueError, match=ALONE[name]):
            made_by(step, rows, *before)
    else:
        assert len(made_by(step, rows, *before)) > 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_stratum_that_was_not_there_while_learning(name: str) -> None:
    sampler = SAMPLERS[name]
    options = (
        {"sampling_strategy": {"label=1": 500}, "undersampling_strategy": {"label=0": 200}}
        if name == "smote_undersample"
        else {}
    )
    step = replace(sampler.step, **options)
    known = events()[column(events(), "label") != 2]
    step = da.learn(known, step, *sampler.before, **OPEN)
    assert len(da.augment(known, *sampler.before, step, **OPEN)) > 0
    with pytest.raises(UnknownStratum, match="label=2"):
        da.augment(events(), *sampler.before, step, **OPEN)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in ("smooth", "active_select")])
def test_a_bin_without_events_changes_nothing(name: str) -> None:
    """An edge beyond all events is a stratum that is not there: no error, and the rows are those without it."""
    rows = ak.with_field(events(), np.abs(column(events(), "HT")) + 1, "HT")
    results = []
    for edges in ([0, 1e6], [0, 1e6, 2e6]):
        step = SAMPLERS[name].step
        options: dict[str, Any] = {"strata": [da.Bins("HT", edges), *([] if hasattr(step, "label") else ["label"])]}
        if name == "smote":
            options = {"strata": [da.Bins("HT", edges)], "label": "label"}
        if name == "smote_undersample":
            options |= {"undersampling_strategy": "auto"}
        results.append(one_hash(made_by(replace(step, **options), rows)))
    assert results[0] == results[1]


def holes(name: str) -> ak.Array:
    values = column(events(), name).astype(np.float64 if name != "x" else np.float32).copy()
    values[:3] = np.nan
    return ak.with_field(events(), values, name)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *((name, "x") for name in SEEK),
        *((name, "weight") for name in (*KEEP_SUMS, "unweight")),
        ("smooth", "HT"),
        ("active_select", "p"),
        *((name, "train_weight") for name in ("undersample", "oversample", "bootstrap", "smote", "class_weights")),
    ],
)  # fmt: skip
def test_nan(name: str, where: str) -> None:
    sampler = SAMPLERS[name]
    rows = holes(where) if where != "train_weight" else ak.with_field(events(), np.full(len(events()), np.nan), where)
    with pytest.raises(ValueError, match=f"{where}.*(NaN|infinite|finite|number)"):
        da.learn(rows, sampler.step, *sampler.before, **OPEN)


@pytest.mark.parametrize("name", SEEK)
def test_whole_numbers_have_nothing_between_them(name: str) -> None:
    rows = ak.with_field(events(), np.rint(column(events(), "x")).astype(np.int8), "x")
    with pytest.raises(TypeError, match="feature 'x' has type int8"):
        da.learn(rows, SAMPLERS[name].step, **OPEN)


# Laziness --------------------------------------------------------------------------------------------------------------------

PARTITIONS = 16


class Tasks(Callback):
    """Counts the tasks of each computation."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        super().__init__(start=lambda dsk: self.counts.append(len(dsk)))


@pytest.mark.parametrize("name", some("undersample", "smote", "smote_enn", "balanced_ensemble", "positive_resample"))
def test_nothing_is_read_before_it_is_asked_for(name: str) -> None:
    import dask.dataframe as dd

    frame = pd.DataFrame({field: column(events(), field) for field in events().fields})
    read: list[int] = []

    def part(number: int, sampler: str = name) -> pd.DataFrame:  # dask knows it by its name and its defaults
        read.append(number)
        rows = -(-len(frame) // PARTITIONS)
        return frame.iloc[number * rows : (number + 1) * rows]

    sampler = SAMPLERS[name]
    lazy = dd.from_map(part, range(PARTITIONS), meta=frame.iloc[:0])
    with dask.config.set(scheduler="sync"), Tasks() as tasks:
        step = da.learn(lazy, sampler.step, *sampler.before, **OPEN)
        questions = len(tasks.counts)
        assert questions <= 16
        assert len(read) == questions * PARTITIONS, "each question reads each partition once"
        assert max(tasks.counts) <= 3 * PARTITIONS + math.log2(PARTITIONS)
        read.clear()
        result = da.augment(lazy, *sampler.before, step, **OPEN)
        assert read == []
        assert result.npartitions == PARTITIONS
        assert len(result.optimize().dask) <= 3 * PARTITIONS
        result.compute()
        assert sorted(read) == list(range(PARTITIONS))


# Threads ---------------------------------------------------------------------------------------------------------------------

IN_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
sys.path[:0] = {path!r}
import dask_augment as da
from sampler_toys import SAMPLERS, sampled
rows = sampled(500)
names = [*SAMPLERS] * 2
with ThreadPoolExecutor(2) as pool:
    digests = list(pool.map(lambda name: SAMPLERS[name].learned(rows).digest, names))
assert digests[: len(names) // 2] == digests[len(names) // 2 :]
print("all alike")
"""


def test_two_threads_under_any_layer_of_numba() -> None:
    """Parallel kernels would end the process there (workqueue): ours are not, threads are those of Dask."""
    environment = os.environ | {"NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run(
        [sys.executable, "-c", IN_THREADS.format(path=[path for path in sys.path if path])],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "all alike"
