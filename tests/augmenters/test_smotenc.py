from __future__ import annotations

from typing import Any

import awkward as ak
import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.neighbors import NearestNeighbors

import dask_augment as da
from interpolation_toys import classes, in_order, matrix, shuffled
from sampling_toys import applied, column, divided, taught

NUMBERS = ["x", "y", "z"]


def toy(n: int = 1200) -> ak.Array:
    """Events with two categories, one of them following x."""
    events = in_order(classes(n))
    rng = np.random.default_rng(9)
    kind = np.clip(np.rint(column(events, "x") + rng.normal(0, 0.5, n)), -2, 3).astype(np.int16)
    return ak.with_field(ak.with_field(events, kind, "kind"), rng.random(n) < 0.3, "flag")


def smotenc(**options: Any) -> da.Smotenc:
    return da.Smotenc(**{"strata": ["label"], "features": NUMBERS, "categorical": ["kind", "flag"]} | options)


def encoded(events: ak.Array, label: int) -> np.ndarray[Any, Any]:
    """Numbers and categories of a class as imbalanced-learn puts them before its search."""
    mine = events[column(events, "label") == label]
    points = matrix(mine, NUMBERS)
    unit = np.median(points.std(axis=0)) / np.sqrt(2)
    hot = [unit * (column(mine, name)[:, None] == np.unique(column(events, name))) for name in ("kind", "flag")]
    return np.concatenate([points, *hot], axis=1)


def test_neighbours_are_those_of_one_column_for_each_value() -> None:
    events = toy()
    step = taught(smotenc(scale=None, sampling_strategy={"label=1": 900}), divided(shuffled(events), 3))
    points = encoded(events, 1)
    theirs = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    assert np.array_equal(step.learned["neighbours"], theirs)


def test_categories_are_the_most_frequent_of_the_neighbours() -> None:
    events = toy()
    step = taught(smotenc(), [events])
    result = applied(step, divided(events, 3))
    assert np.bincount(column(result, "label")).tolist() == [np.bincount(column(events, "label")).max()] * 3
    new = result[column(result, "augment_kind") == 2]
    where = {int(words[3]): row for row, words in enumerate(step.learned["words"])}
    base = np.array([where[event] for event in column(new, "event").tolist()])
    ties = 0
    for c, name in enumerate(("kind", "flag")):
        near = step.learned["categories"][c][step.learned["neighbours"][base]]
        for values, got in zip(near, column(new, name).tolist(), strict=True):
            found, times = np.unique(values, return_counts=True)
            assert got in found[times == times.max()]
            ties += (times == times.max()).sum() > 1
        assert column(new, name).dtype == column(events, name).dtype
    assert ties > 10


def test_ties_fall_either_way() -> None:
    events = toy()
    result = applied(taught(smotenc(k_neighbors=2, sampling_strategy={"label=2": 2000}), [events]), [events])
    new = result[column(result, "augment_kind") == 2]
    kinds = {}
    for event, kind in zip(column(new, "event").tolist(), column(new, "kind").tolist(), strict=True):
        kinds.setdefault(event, []).append(kind)
    several = [np.unique(found, return_counts=True)[1] for found in kinds.values() if len(set(found)) == 2]
    assert len(several) > 5
    assert 0.35 < sum(times[0] for times in several) / sum(times.sum() for times in several) < 0.65


def test_errors() -> None:
    events = toy(600)
    with pytest.raises(TypeError, match="categorical column 'x' has type float32"):
        taught(smotenc(features=["y"], categorical=["x"]), [events])
    for names, says in (
        ([], "must name at least one column"),
        (["x"], r"names \['x'\], which are features, strata or the label"),
        (["label"], r"names \['label'\], which are features, strata or the label"),
        (["kind", "kind"], "names a column twice"),
    ):
        with pytest.raises(ValueError, match=f"categorical {says}"):
            smotenc(categorical=names)
    with pytest.raises(TypeError, match=r"write categorical=\['kind'\]"):
        smotenc(categorical="kind")


LETTERS = np.array(["ee", "\u00b5\u00b5", "e\0", "a|b", ""], dtype=object)


def texts(events: ak.Array) -> ak.Array:
    """The events with a category as texts."""
    return ak.with_field(events, ak.Array(LETTERS[column(events, "kind") % 5].tolist()), "channel")


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("categorical", [False, True])
def test_texts_are_categories(parts: int, categorical: bool) -> None:
    events = texts(toy(600))
    if categorical:
        events = ak.with_field(events, ak.str.to_categorical(events.channel), "channel")
    # As many categories that differ, so the same neighbours.
    numbered = ak.with_field(events, column(events, "kind") % 5, "number")
    expected = taught(smotenc(categorical=["number"]), [numbered])
    step = taught(smotenc(categorical=["channel"]), divided(events, parts))
    assert np.array_equal(step.learned["neighbours"], expected.learned["neighbours"])
    result = applied(step, [events] if categorical else divided(events, 3))  # awkward does not concatenate categories
    assert result.channel.type.content == events.channel.type.content
    of = dict(zip(column(events, "event").tolist(), events.channel.tolist(), strict=True))
    where = {int(words[3]): row for row, words in enumerate(step.learned["words"])}
    for event, kind, got in zip(
        result.event.tolist(), result.augment_kind.tolist(), result.channel.tolist(), strict=True
    ):
        if kind:
            near = [of[int(step.learned["words"][at][3])] for at in step.learned["neighbours"][where[event]]]
            assert near.count(got) == max(map(near.count, near))
        else:
            assert got == of[event]


TYPES = {
    "object": object, "str": "str", "category": "category", "arrow": pd.ArrowDtype(pa.string()),
    "dictionary": pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("lazy", [False, True])
def test_texts_in_frames(name: str, lazy: bool) -> None:
    setting: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}
    events, step = texts(toy(300)), smotenc(categorical=["channel", "flag"])
    expected = da.augment(events, da.learn(events, step, **setting), **setting)
    frame = pd.DataFrame({field: column(events, field) for field in events.fields if field != "channel"})
    frame["channel"] = pd.Series(events.channel.tolist(), dtype=object).astype(TYPES[name])
    given = dd.from_pandas(frame, npartitions=3) if lazy else frame
    result = da.augment(given, da.learn(given, step, **setting), **setting)
    (found,) = dask.compute(result)
    assert found["channel"].tolist() == expected.channel.tolist()
    assert found["channel"].dtype == given.dtypes["channel"] == result.dtypes["channel"]


@pytest.mark.parametrize("categorical", [False, True])
def test_texts_of_validation_rows_stay(categorical: bool) -> None:
    events = ak.with_field(texts(toy(300)), (np.arange(300) % 3 == 0).astype(np.int8), "split")
    if categorical:
        events = ak.with_field(events, ak.str.to_categorical(events.channel), "channel")
    setting: dict[str, Any] = {"seed": 7, "dataset": "toy"}
    result = da.augment(events, da.learn(events, smotenc(categorical=["channel"]), **setting), **setting)
    assert result.channel.type.content == events.channel.type.content
    for split in (0, 1):
        kept = result[(column(result, "augment_kind") == 0) & (column(result, "split") == split)]
        assert kept.channel.tolist() == events[column(events, "split") == split].channel.tolist()
    assert not np.any(column(result, "split")[column(result, "augment_kind") > 0])


@pytest.mark.parametrize("lazy", [False, True])
def test_categories_of_numbers_stay_categories(lazy: bool) -> None:
    setting: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}
    events = toy(300)
    frame = pd.DataFrame({field: column(events, field) for field in events.fields})
    frame["kind"] = frame["kind"].astype(pd.CategoricalDtype(np.arange(-2, 5, dtype=np.int16)))
    given = dd.from_pandas(frame.astype({"flag": "category"}), npartitions=3) if lazy else frame
    result = da.augment(given, da.learn(given, smotenc(), **setting), **setting)
    (found,) = dask.compute(result)
    expected = da.augment(events, da.learn(events, smotenc(), **setting), **setting)
    for name in ("kind", "flag"):
        assert found[name].dtype == given.dtypes[name] == result.dtypes[name]
        assert found[name].tolist() == column(expected, name).tolist()
    counted = da.augment(frame, da.Define(kind="kind * 10"), dataset="toy")["kind"]
    assert counted.tolist() == (frame["kind"].astype(int) * 10).tolist()


def test_other_texts_than_were_learned_are_refused() -> None:
    events = texts(toy(300))
    step = taught(smotenc(categorical=["channel"]), [events])
    with pytest.raises(ValueError, match="'channel' has texts, or had them while learning, and not both"):
        applied(step, [ak.with_field(events, column(events, "kind"), "channel")])
    step = taught(smotenc(categorical=["kind"]), [events])
    with pytest.raises(ValueError, match="'kind' has texts, or had them while learning"):
        applied(step, [ak.with_field(events, events.channel, "kind")])
    holes = ak.with_field(events, ak.mask(events.channel, column(events, "kind") > 0), "channel")
    with pytest.raises(ValueError, match=r"'channel' has .* missing values, .* with a text of their own"):
        taught(smotenc(categorical=["channel"]), [holes])
