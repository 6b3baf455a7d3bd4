from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.events.strata import Bins, Strata
from dask_augment.frames.questions import Question, Questions
from dask_augment.frames.stage import Stage
from dask_augment.frames.step_inputs import draw_of, only
from dask_augment.kernels.allocation import rescaled
from dask_augment.sampling import cutting as sampling
from dask_augment.sampling.carried import balanced, exponents_of
from dask_augment.sampling.census import STREAM, Census, Groups, Ints, Key, Slice, Window
from dask_augment.sampling.cutting import cuts
from dask_augment.sampling.deviations import Spread, standard_deviations
from dask_augment.sampling.quotas import counted
from dask_augment.sampling.units import as_units, unit_exponent
from sampling_toys import SETTING, column, divided, toy

STAGE = Stage((), SETTING)
GROUPS = Groups(Strata.of(["label", "region"]), ("weight", "weight_up"))


def asked(measure: Any, parts: list[ak.Array]) -> Any:
    """The total of these partitions."""
    return Questions((Question(STAGE, measure, "step"),)).over(parts).answers[0]


def driven(questions: Any, parts: list[ak.Array], seen: list[Any] | None = None) -> Any:
    """What a generator of questions returns; ``seen`` gets the questions."""
    try:
        question = next(questions)
        while True:
            if seen is not None:
                seen.append(question)
            question = questions.send(asked(question, parts))
    except StopIteration as stop:
        return stop.value


@given(st.data())
def test_rescaled_is_the_floor_of_the_exact_product(data: st.DataObject) -> None:
    present = data.draw(st.integers(0, 2**63 - 1))
    wanted = data.draw(st.integers(0, 2**63 - 1))
    most = 2**53 if wanted == 0 else min(2**53, (2**63 - 1) * present // wanted)
    units = data.draw(st.lists(st.integers(0, most), min_size=1, max_size=5))
    got = rescaled(np.array(units), np.zeros(len(units), np.int64), np.array([wanted]), np.array([present]))
    assert got.tolist() == [unit * wanted // present if present else 0 for unit in units]


@given(st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=50))
def test_unit_holds_all_of_a_stratum(weights: list[float]) -> None:
    events = ak.zip({"run": [1] * len(weights), "luminosityBlock": 1, "event": range(len(weights)), "weight": weights})
    groups = Groups(Strata(), ("weight",), train=False)
    census = driven(counted(groups), [events])
    (exponent,) = exponents_of(census, groups)["all"]
    units = as_units(np.abs(np.array(weights)), exponent, "weight")
    total = sum(int(unit) for unit in units)
    assert total < 2**53
    if any(weights):
        # and no more is rounded away than has to be
        assert total >= 2**50 or exponent == -1074
    assert sum(count.rows for count in census.values()) == len(weights)


def test_unit_of_nothing() -> None:
    assert unit_exponent(0) == 0


def test_census_is_the_same_for_any_partitioning() -> None:
    events = toy()
    whole = driven(counted(GROUPS), [events])
    for parts in (3, 17):
        assert driven(counted(GROUPS), divided(events, parts)) == whole
    assert driven(counted(GROUPS), [events[np.random.default_rng(1).permutation(len(events))]]) == whole
    keys = list(whole)
    assert keys == sorted(keys)
    assert {key.signs for key in keys} == {"--", "++"}
    label, weight = column(events, "label"), column(events, "weight")
    one = [whole[key] for key in keys if key.stratum.startswith("label=1|") and key.signs == "++"]
    assert sum(count.rows for count in one) == np.sum((label == 1) & (weight > 0))
    assert sum(count.train for count in whole.values()) == len(events) << 32


def test_zero_weights_are_a_group_of_their_own() -> None:
    events = ak.with_field(toy(30), np.where(np.arange(30) < 10, 0.0, 1.0), "weight")
    census = driven(counted(Groups(Strata(), ("weight",))), [events])
    assert {key.signs: count.rows for key, count in census.items()} == {"0": 10, "+": 20}


@pytest.mark.parametrize("column_name", ["weight", "train_weight"])
def test_broken_weights_are_counted_over_all_partitions(column_name: str) -> None:
    events = ak.with_field(toy(300), np.ones(300), column_name)
    values = np.ones(300)
    values[[3, 250, 299]] = [np.nan, np.inf, -np.inf]
    events = ak.with_field(events, values, column_name)
    with pytest.raises(ValueError, match=f"weight column '{column_name}' is NaN or infinite in 3 of 300 rows"):
        driven(counted(Groups(Strata(), ("weight",))), divided(events, 5))


def test_wrong_weights() -> None:
    events = ak.with_field(toy(30), np.ones(30, np.float32), "weight")
    with pytest.raises(TypeError, match=r"'weight' has type float32; .*float64: convert it first"):
        driven(counted(Groups(Strata(), ("weight",))), [events])
    events = ak.with_field(toy(30), np.linspace(-1, 1, 30), "train_weight")
    with pytest.raises(ValueError, match="15 rows have a negative train_weight"):
        driven(counted(Groups(Strata())), [events])
    with pytest.raises(ValueError, match="'w' has values, nan is the first"):
        as_units(np.array([1.0, np.nan]), 0, "w")


def quotas_for(census: Any) -> dict[Key, int]:
    """Nothing, one row, all but one, all, or a part of the groups in turn."""
    sizes = [lambda n: n // 3, lambda n: 1, lambda n: n - 1, lambda n: n, lambda n: 0]
    return {key: sizes[i % 5](count.rows) for i, (key, count) in enumerate(census.items())}


@pytest.mark.parametrize("parts", [1, 3, 17])
def test_cuts_take_the_smallest_keys(parts: int) -> None:
    events = toy()
    pieces = divided(events, parts)
    census = driven(counted(GROUPS), pieces)
    quotas, exponents = quotas_for(census), exponents_of(census, GROUPS)
    seen: list[Any] = []
    found = driven(cuts(GROUPS, census, quotas, exponents), pieces, seen)
    assert len(seen) == 1, "one question"
    keys, which = GROUPS.of(only(events, GROUPS.uses(), STAGE.setting))
    bits = draw_of("step", events, STAGE.setting).bits(STREAM)
    assert set(found) == {key for key, quota in quotas.items() if 0 < quota < census[key].rows}
    for key, cut in found.items():
        rows = which == keys.index(key)
        taken = rows & (bits <= np.uint64(cut.threshold))
        assert cut.threshold == int(np.sort(bits[rows])[quotas[key] - 1])
        assert taken.sum() == quotas[key]
        for i, name in enumerate(GROUPS.weights):
            units = as_units(np.abs(column(events, name)), exponents[key.stratum][i], name)
            assert (cut.every[i], cut.taken[i]) == (units[rows].sum(), units[taken].sum())
        assert cut.taken[2] == quotas[key] << 32


def test_a_window_that_misses_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [toy()]
    census = driven(counted(GROUPS), events)
    quotas, exponents = quotas_for(census), exponents_of(census, GROUPS)
    expected = driven(cuts(GROUPS, census, quotas, exponents), events)
    monkeypatch.setattr(sampling, "_SIGMAS", 1e-6)
    seen: list[Any] = []
    assert driven(cuts(GROUPS, census, quotas, exponents), events, seen) == expected
    assert len(seen) > 2


def test_little_is_sent() -> None:
    events = toy(20_000, negative=0.0)
    groups = Groups(Strata(), ("weight",), train=False)
    census = driven(counted(groups), [events])
    (key,) = census
    window = sampling.key_window(20_000, 5_000, 1.0)
    total = asked(Window(groups=groups, windows={key: window}, exponents=exponents_of(census, groups)), [events])
    assert len(total.parts[key].keys) < 1500


def test_equal_keys_are_refused() -> None:
    keys = np.array([5, 9, 9, 12], np.uint64)
    found = Slice(0, Ints(()), Ints(()), ((keys, np.zeros((0, 4), np.int64)),))
    key = Key("label=1", "")
    with pytest.raises(ValueError, match=r"'label=1' have the same 64-bit random key.*change the seed"):
        sampling._cut(key, found, 2)
    assert sampling._cut(key, found, 3) is not None
    assert sampling._cut(key, found, 5) is None


def test_equal_first_keys_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = asked(Census(groups=Groups(Strata())), [toy(10)])
    monkeypatch.setattr(Census, "measure", lambda self, events, draw: one)
    with pytest.raises(ValueError, match="change the seed"):
        driven(counted(Groups(Strata())), [toy(10), toy(10, seed=4)])


def test_balanced_train_weight() -> None:
    groups = Groups(Strata.of("label"), ("weight",))
    census = driven(counted(groups), [toy()])
    assert balanced(census, groups, "conserve").units == {key: count.rows << 32 for key, count in census.items()}
    wanted, powers = balanced(census, groups, "balance")
    assert set(powers.values()) == {-32}
    sums = {s: sum(n for key, n in wanted.items() if key.stratum == s) for s in ("label=0", "label=1", "label=2")}
    assert set(sums.values()) == {(3000 << 32) // 3}
    assert min(wanted.values()) > 0


def test_standard_deviations() -> None:
    events = toy()
    bins = Strata.of([Bins("HT", [0, 100, 300])])
    whole = standard_deviations(asked(Spread(strata=bins, variable="weight"), [events]), "weight")
    for parts in (3, 17):
        assert (
            standard_deviations(asked(Spread(strata=bins, variable="weight"), divided(events, parts)), "weight")
            == whole
        )
    values, ht = column(events, "weight"), column(events, "HT")
    assert whole["HT=[100,300)"] == pytest.approx(np.std(values[(ht >= 100) & (ht < 300)]), rel=1e-8)
    same = ak.with_field(events, np.full(len(events), -91.19), "weight")
    assert set(standard_deviations(asked(Spread(strata=bins, variable="weight"), [same]), "weight").values()) == {0.0}


def test_standard_deviation_of_broken_values() -> None:
    events = ak.with_field(toy(10), np.where(np.arange(10) < 2, np.nan, 1.0), "x")
    with pytest.raises(ValueError, match="'x' is NaN or infinite in 2 rows"):
        standard_deviations(asked(Spread(strata=Strata(), variable="x"), divided(events, 3)), "x")
    with pytest.raises(TypeError, match="'region' must be one number"):
        asked(Spread(strata=Strata(), variable="region"), [toy(10)])
