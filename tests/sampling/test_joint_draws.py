"""All random choices about a made row, read off what is told of it and tested together.

Which neighbour, how far towards it, which event it is made of, which of equally frequent categories, which copy, whether
found: each must be uniform, and independent of the others, of the place of its event, of its brothers, of the next
stratum and of another seed. Seeds are fixed, so that a test gives the same p-value each time; a right sampler is below
1e-4 in one of ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import cdist

import bundle_toys
import dask_augment as da
from dask_augment.contract.draw import Draw
from sampling_toys import column

LEAST = 1e-4
"""Of a p-value."""
FEW, MANY, MORE = 200, 600, 1500
"""Events of classes 1 and 2, of class 0, and rows to make of each of the former: seven of each event, and 100 more."""
K = 4
FEATURES = ["x", "y", "z"]


def events(distance: float, long: float = 1.0) -> ak.Array:
    """Three classes, ``long`` in z; ids in random order, two categories of two values that follow nothing."""
    rng = np.random.default_rng(17)
    label = rng.permutation(np.repeat(np.array([0, 1, 2], np.int8), [MANY, FEW, FEW]))
    n = len(label)
    columns = {name: rng.normal(size=n) + distance * (label > 0) * (1 + (label == 2)) for name in FEATURES}
    columns["z"] *= long
    columns |= {name: rng.integers(0, 2, n).astype(np.int16) for name in ("kind", "flag")}
    ids = {"run": np.ones(n, np.uint32), "luminosityBlock": np.ones(n, np.uint32)}
    return ak.Array(
        ids | columns | {"event": rng.permutation(n).astype(np.uint64), "label": label, "weight": np.ones(n)}
    )


CLOSE, APART, LONG = events(0.5), events(40.0), events(0.5, 100.0)
"""Where classes are apart, no cleaner drops a row that was made. Where z is long, it says who the neighbours are, and
their categories differ as if by chance."""
GIVEN: dict[str, Any] = {
    "features": FEATURES, "k_neighbors": K, "scale": None, "weights": (), "carry": "parent",
    "sampling_strategy": {"label=1": FEW + MORE, "label=2": FEW + MORE},
}  # fmt: skip
STRATA: dict[str, Any] = GIVEN | {"strata": ["label"]}
LABEL: dict[str, Any] = GIVEN | {"label": "label"}
STEPS: dict[str, tuple[ak.Array, Any]] = {
    "smote": (CLOSE, da.Smote(**STRATA)),
    "smote, iid": (CLOSE, da.Smote(**STRATA, allocation="iid")),
    "smotenc": (LONG, da.Smotenc(**STRATA, categorical=["kind", "flag"])),
    "borderline_smote": (CLOSE, da.BorderlineSmote(**LABEL)),
    "adasyn": (CLOSE, da.Adasyn(**LABEL)),
    "smote_enn": (APART, da.SmoteEnn(**LABEL)),
    "smote_tomek": (APART, da.SmoteTomek(**LABEL)),
    "smote_undersample": (APART, da.SmoteUndersample(**LABEL, undersampling_strategy={"label=0": 100})),
    "oversample": (CLOSE, da.Oversample(strata=["label"], sampling_strategy=GIVEN["sampling_strategy"])),
    "bootstrap": (
        CLOSE, da.Oversample(strata=["label"], sampling_strategy=GIVEN["sampling_strategy"], multiplicity="bootstrap"),
    ),
}  # fmt: skip
COPIED = {"oversample", "bootstrap"}
INTERPOLATED = sorted(set(STEPS) - COPIED)


@dataclass(frozen=True)
class Made:
    """The rows that were made of one class, in the order of their parents' ids."""

    times: NDArray[np.int64]
    """Of each event of the class."""
    base: NDArray[np.int64]
    """Place of the parent in the class."""
    nth: NDArray[np.int64]
    """Which row of its parent it is."""
    draws: dict[str, NDArray[Any]]
    """What was drawn of each row; -1 where there was no choice."""


def learned(name: str, seed: int) -> ak.Array:
    data, step = STEPS[name]
    setting: dict[str, Any] = {"seed": seed, "dataset": "toy", "split": None}
    return da.augment(data, da.learn(data, step, **setting), **setting)


@cache
def made(name: str, seed: int, label: int) -> Made:
    data = STEPS[name][0]
    result = learned(name, seed)
    data, result = data[data.label == label], result[(result.label == label) & (result.augment_kind > 0)]
    data = data[np.argsort(column(data, "event"))]
    ids = column(data, "event")
    base = np.searchsorted(ids, column(result, "event"))
    order = np.argsort(base, kind="stable")
    result, base = result[order], base[order]
    times = np.bincount(base, minlength=len(ids))
    nth = np.arange(len(base)) - np.repeat(np.cumsum(times) - times, times)
    draws: dict[str, NDArray[Any]] = {}
    if name in INTERPOLATED:
        near = neighbours(data, name == "smotenc")
        other = np.searchsorted(ids, column(result, "augment_other_event"))
        rows, rank = np.nonzero(near[base] == other[:, None])
        assert np.array_equal(rows, np.arange(len(base))), "the other parent is one of the k nearest"
        draws = {"rank": rank, "share": column(result, "augment_share")}
        for category in ("kind", "flag") if name == "smotenc" else ():
            tied = column(data, category)[near].sum(axis=1) == K // 2
            draws[category] = np.where(tied[base], column(result, category), -1)
    return Made(times, base, nth, draws)


def neighbours(data: ak.Array, categories: bool) -> NDArray[np.int64]:
    """The k nearest of each event of one class, in order, from the definition of the distance."""
    points = np.stack([column(data, name) for name in FEATURES], axis=1)
    squared = cdist(points, points, "sqeuclidean")
    if categories:
        penalty = np.median(points.std(axis=0)) ** 2
        for values in (column(data, "kind"), column(data, "flag")):
            squared += penalty * (values[:, None] != values)
    np.fill_diagonal(squared, np.inf)
    return np.argsort(squared, axis=1)[:, :K]


def together(one: NDArray[Any], other: NDArray[Any], bins: int = 6) -> float:
    """p-value of chi2 for independence: numbers in bins of equal contents, values of choices as they are."""
    codes = []
    for values in (one, other):
        if values.dtype.kind == "f" or len(np.unique(values)) > bins:
            values = np.searchsorted(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]), values)
        codes.append(np.unique(values, return_inverse=True)[1])
    table = np.zeros((codes[0].max() + 1, codes[1].max() + 1))
    np.add.at(table, tuple(codes), 1)
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def low(found: dict[str, float]) -> dict[str, float]:
    """Those p-values that are too small; NaN is."""
    return {name: p for name, p in found.items() if not p > LEAST}


def matched(one: Made, other: Made, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """A draw of the rows with the same place of the parent and the same number in two sets of made rows."""
    keys = [made.base * 10**6 + made.nth for made in (one, other)]
    _, mine, theirs = np.intersect1d(*keys, return_indices=True)
    pair = one.draws[name][mine], other.draws[name][theirs]
    free = (pair[0] >= 0) & (pair[1] >= 0)
    assert free.sum() > 50
    return pair[0][free], pair[1][free]


@pytest.mark.parametrize("name", INTERPOLATED)
def test_each_draw_is_uniform(name: str) -> None:
    found = {}
    for label in (1, 2):
        draws = made(name, 3, label).draws
        found[f"rank {label}"] = stats.chisquare(np.bincount(draws["rank"], minlength=K)).pvalue
        found[f"share {label}"] = stats.kstest(draws["share"], "uniform").pvalue
        for category in set(draws) - {"rank", "share"}:
            chosen = draws[category][draws[category] >= 0]
            found[f"{category} {label}"] = stats.chisquare(np.bincount(chosen, minlength=2)).pvalue
    assert not low(found)


@pytest.mark.parametrize("name", INTERPOLATED)
def test_draws_of_a_row_are_independent(name: str) -> None:
    """Of each other, of the place of the parent, and of which of its rows it is."""
    found = {}
    for label in (1, 2):
        rows = made(name, 3, label)
        of = rows.draws | {"base": rows.base, "odd": rows.nth % 2}
        for i, first in enumerate(of):
            for second in list(of)[i + 1 :]:
                free = (of[first] >= 0) & (of[second] >= 0)
                if {first, second} != {"base", "odd"}:
                    found[f"{first}, {second}, {label}"] = together(of[first][free], of[second][free])
    assert not low(found)


@pytest.mark.parametrize("name", INTERPOLATED)
def test_rows_of_one_event_are_independent(name: str) -> None:
    """One and the next of an event, which differ in nothing but their number."""
    found = {}
    for label in (1, 2):
        rows = made(name, 3, label)
        for draw in ("rank", "share"):
            values, next_to = rows.draws[draw], np.flatnonzero(rows.base[1:] == rows.base[:-1])
            found[f"{draw} {label}"] = together(values[next_to], values[next_to + 1])
            if draw == "share":
                assert len(np.unique(values)) == len(values)
    assert not low(found)


@pytest.mark.parametrize("name", INTERPOLATED)
def test_another_seed_and_another_stratum_draw_by_themselves(name: str) -> None:
    found = {}
    for what, other in (("seed", made(name, 4, 1)), ("stratum", made(name, 3, 2))):
        for draw in made(name, 3, 1).draws:
            found[f"{draw}, {what}"] = together(*matched(made(name, 3, 1), other, draw))
        assert not set(made(name, 3, 1).draws["share"].tolist()) & set(other.draws["share"].tolist())
    assert not low(found)


# Which events more rows are made of --------------------------------------------------------------------------------------

LABELS = {"smote_enn": "smote_enn.smote", "smote_tomek": "smote_tomek.smote"} | {
    "smote_undersample": "smote_undersample.smote"
}


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"smote, iid", "bootstrap", "adasyn"}))
def test_one_more_of_those_with_the_smallest_keys(name: str) -> None:
    """The events that get one more are those with the smallest random keys; adasyn goes by who the neighbours are."""
    for label in (1, 2):
        times = made(name, 3, label).times
        some = np.flatnonzero(times)
        least, number = times[some].min(), int((times[some] > times[some].min()).sum())
        assert set(times[some].tolist()) == {least, least + 1}
        data = STEPS[name][0]
        data = data[data.label == label]
        data = data[np.argsort(column(data, "event"))]
        ids = {key: column(data, key).astype(np.uint64) for key in ("run", "luminosityBlock", "event")}
        keys = Draw(3, LABELS.get(name, name), ["toy"], ids, np.zeros(len(data), np.int64)).bits(0)
        smallest = some[np.argsort(keys[some])[:number]]
        assert np.array_equal(np.sort(smallest), np.flatnonzero(times == least + 1))


@pytest.mark.parametrize("name", ["smote", "smote, iid", "oversample", "bootstrap"])
def test_parents_follow_nothing(name: str) -> None:
    """Neither the place of an event, nor what the next stratum or another seed takes."""
    one, stratum, seed = made(name, 3, 1).times, made(name, 3, 2).times, made(name, 4, 1).times
    found = {
        "place": together(np.arange(FEW), one), "stratum": together(one, stratum), "seed": together(one, seed),
    }  # fmt: skip
    if name in ("smote, iid", "bootstrap"):
        spread = stats.chi2(FEW - 1).cdf(stats.chisquare(one).statistic)
        found["multinomial"] = 2 * min(spread, 1 - spread)
    assert not np.array_equal(one, stratum)
    assert not np.array_equal(one, seed)
    assert not low(found)


# Which events stay, or are marked -----------------------------------------------------------------------------------------

WHO_STAYS: dict[str, Callable[[dict[str, int]], Any]] = {
    "undersample": lambda half: da.Undersample(strata=["label"], sampling_strategy=half, weights=()),
    "unweight": lambda _: da.Unweight(max_weight=2.0),
    "positive_resample": lambda _: da.PositiveResample(strata=["label"], keep="uncertainty"),
    "balanced_ensemble": lambda half: da.BalancedEnsemble(strata=["label"], sampling_strategy=half, draws=2),
    "split": lambda _: da.Split(train=0.5),
}


def stays(name: str, seed: int, label: int) -> NDArray[np.int64]:
    """What becomes of each event of a class, in the order of ids: 0 or 1, or the bits of its two draws."""
    data = CLOSE[CLOSE.label == label]
    if name == "positive_resample":
        data = ak.with_field(data, np.where(np.arange(FEW) % 8 == 0, -1.0, 1.0), "weight")
    data = data[np.argsort(column(data, "event"))]
    setting: dict[str, Any] = {"seed": seed, "dataset": "toy", "split": None}
    step = WHO_STAYS[name]({f"label={label}": FEW // 2})
    step = da.learn(data, step, **setting) if hasattr(step, "learning") else step
    out = da.augment(data, step, **setting)
    if name in ("balanced_ensemble", "split"):
        return column(out, "split" if name == "split" else "ensemble").astype(np.int64)
    return np.isin(column(data, "event"), column(out, "event")).astype(np.int64)


@pytest.mark.parametrize("name", sorted(WHO_STAYS))
def test_who_stays_follows_nothing(name: str) -> None:
    """Neither the place of an event, nor the one before it, another seed or stratum, nor another draw of an ensemble."""
    one, stratum, seed = stays(name, 3, 1), stays(name, 3, 2), stays(name, 4, 1)
    found = {
        "place": together(np.arange(FEW), one), "next": together(one[1:], one[:-1]),
        "stratum": together(one, stratum), "seed": together(one, seed),
    }  # fmt: skip
    if name == "balanced_ensemble":
        found["draws"] = together(one & 1, one >> 1)
    assert not low(found)


# Copies that are varied, and fast simulation --------------------------------------------------------------------------------


def turned(n: int, seed: int, dataset: str) -> list[NDArray[Any]]:
    """The angle of each event's copies."""
    steps = [da.Repeat(n=2), da.PhiRotate(columns=["phi"])]
    out = da.augment(copied(n), *steps, seed=seed, dataset=dataset, split=None)
    angle = np.mod(column(out, "phi"), 2 * np.pi) / (2 * np.pi)
    assert np.all(angle[::3] == 0), "originals stay"
    return [angle[1::3], angle[2::3]]


def smoothed(n: int, seed: int, dataset: str) -> list[NDArray[Any]]:
    """By how much each feature of each event's copies moved, as the probability of less."""
    setting: dict[str, Any] = {"seed": seed, "dataset": dataset, "split": None}
    repeat = da.Repeat(n=2)
    data = copied(n)
    step = da.learn(data, da.Smooth(features=["u", "v"]), repeat, **setting)
    out = da.augment(data, repeat, step, **setting)
    moved = []
    for name, width in zip(("u", "v"), step.learned["widths"][0], strict=True):
        values = column(out, name)
        moved += [stats.norm.cdf((values[i::3] - values[::3]) / width) for i in (1, 2)]
    return moved


def copied(n: int) -> ak.Array:
    rng = np.random.default_rng(5)
    columns = {"phi": np.zeros(n), "u": rng.normal(size=n), "v": 30 * rng.normal(size=n)}
    ids = {name: np.ones(n, np.uint32) for name in ("run", "luminosityBlock")}
    return ak.Array(ids | columns | {"event": np.arange(n, dtype=np.uint64), "weight": np.ones(n)})


@pytest.mark.parametrize("way", [turned, smoothed])
def test_copies_are_varied_by_themselves(way: Callable[[int, int, str], list[NDArray[Any]]]) -> None:
    """Uniform, and independent of the other copy, the other feature, the next event, another seed and data set."""
    n = 3000
    drawn = way(n, 3, "a")
    others = {"seed": way(n, 4, "a"), "data set": way(n, 3, "b")}
    found = {}
    for i, one in enumerate(drawn):
        found[f"{i}"] = stats.kstest(one, "uniform").pvalue
        found[f"{i}, next"] = together(one[1:], one[:-1])
        found[f"{i}, place"] = together(np.arange(n), one)
        found |= {f"{i}, {j}": together(one, drawn[j]) for j in range(i)}
        found |= {f"{i}, {what}": together(one, other[i]) for what, other in others.items()}
    assert not low(found)


def test_fast_objects_are_drawn_by_themselves(tmp_path: Path) -> None:
    """Component, distances from its mean and being found: of one object, of its neighbour, and with another seed."""
    pytest.importorskip("torch")
    about = bundle_toys.manifest(sizes={"components": 2, "hidden": 8, "layers": 1})
    # Two components ten widths apart, and half of the objects are found.
    mean = np.array([[-2.5, 0, 0], [2.5, 0, 0]])
    model = bundle_toys.write(tmp_path / "two", about, mean=mean, log_sigma=np.log(0.25))
    n = 3000
    jets = {name: np.full((n, 2), value) for name, value in (("pt", 50.0), ("eta", 0.0), ("phi", 0.0))}
    ids = {"run": np.ones(n, np.uint32), "luminosityBlock": np.ones(n, np.uint32)}
    given = ak.Array({
        **ids, "event": np.arange(n, dtype=np.uint64),
        "GenJet": ak.zip({name: ak.from_regular(ak.Array(values)) for name, values in jets.items()}),
    })  # fmt: skip
    drawn = [found_objects(given, model, seed) for seed in (3, 4)]
    here, pt, eta, phi = drawn[0]
    component = pt > 50 * np.exp(-0.02)
    p = {
        "found": stats.binomtest(int(here.sum()), 2 * n, 0.5).pvalue,
        "component": stats.binomtest(int(component[here].sum()), int(here.sum()), 0.5).pvalue,
        "found of both": together(here[:, 0], here[:, 1]),
        "found, seed": together(here.ravel(), drawn[1][0].ravel()),
    }
    for name, value in {"pt": pt, "eta": eta, "phi": phi}.items():
        both = here.all(axis=1)
        p[f"{name} of both"] = together(value[both, 0], value[both, 1])
        p[f"{name}, first or second"] = together(np.nonzero(here)[1], value[here])
        if name != "pt":
            p[f"{name}, component"] = together(value[here], component[here])
    p["eta, phi"] = together(eta[here], phi[here])
    again = here & drawn[1][0]
    p["eta, seed"] = together(eta[again], drawn[1][2][again])
    p["component, seed"] = together(component[again], drawn[1][1][again])
    assert not low(p)


def found_objects(given: ak.Array, model: str, seed: int) -> list[NDArray[Any]]:
    """Which of two generated objects of each event are found (n, 2), and their pt, eta and phi, NaN of others."""
    out = da.augment(given, da.FastSim(model=model, batch=1024), seed=seed, dataset="a", split=None).FastJet
    event = np.repeat(np.arange(len(given)), ak.to_numpy(ak.num(out)))
    at = event, ak.to_numpy(ak.flatten(out.genJetIdx))
    here = np.zeros((len(given), 2), np.bool_)
    here[at] = True
    values = []
    for name in ("pt", "eta", "phi"):
        value = np.full((len(given), 2), np.nan)
        value[at] = ak.to_numpy(ak.flatten(out[name]))
        values.append(value)
    return [here, *values]
