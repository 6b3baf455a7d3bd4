from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest
from numpy.typing import NDArray

import dask_augment as da
from dask_augment.contract.draw import Draw
from dask_augment.events import columns as cols
from dask_augment.events.strata import UnknownStratum
from dask_augment.sampling import cutting
from sampling_toys import SETTING, applied, column, divided, taught, toy

STRATA = ["label", da.Bins("HT", [0, 200])]
LEARNERS = {
    "auto": da.BalancedEnsemble(strata=STRATA),
    "many": da.BalancedEnsemble(strata=["label"], sampling_strategy={"label=0": 100, "label=1": 7}, draws=64),
    "ratio": da.BalancedEnsemble(strata=["region"], sampling_strategy=1.0, draws=3, column="bag"),
}


def members(result: ak.Array, learner: Any) -> NDArray[np.bool_]:
    """Whether each row (first axis) is in each draw."""
    mask = column(result, learner.column)
    assert mask.dtype == np.uint64
    bits = mask[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)
    assert not bits[:, learner.draws :].any()
    return bits[:, : learner.draws].astype(bool)


@pytest.mark.parametrize("name", LEARNERS)
def test_exact_numbers_in_each_draw(name: str) -> None:
    events, learner = toy(), LEARNERS[name]
    result = applied(taught(learner, [events]), divided(events, 5))
    drawn = members(result, learner)
    labels, which = learner.strata.codes(cols.only(events, learner.strata.uses()))
    counts = dict(zip(labels, np.bincount(which).tolist(), strict=True))
    smallest = min(counts.values())
    wanted = counts | learner.sampling_strategy if name == "many" else dict.fromkeys(counts, smallest)
    for draw in range(learner.draws):
        assert dict(zip(labels, np.bincount(which, drawn[:, draw]).astype(int).tolist(), strict=True)) == wanted
    assert len({drawn[:, draw].tobytes() for draw in range(learner.draws)}) == learner.draws, "draws differ"


def test_draws_are_fair_and_independent() -> None:
    events = toy(400)
    learner = da.BalancedEnsemble(strata=(), sampling_strategy={"all": 100}, draws=64)
    drawn = members(applied(taught(learner, [events]), [events]), learner).astype(float)
    times = drawn.sum(axis=1)
    # Binomial(64, 1/4): mean 16, standard deviation 3.46.
    assert times.sum() == 6400
    assert np.all(np.abs(times - 16) < 5 * 3.46)
    assert 3.0 < times.std() < 3.9
    pairs = np.corrcoef(drawn.T)[np.triu_indices(64, 1)]
    # Of 400 rows a correlation is 0 +- 0.05.
    assert np.abs(pairs).max() < 0.25
    assert 0.045 < pairs.std() < 0.056


def test_more_draws_and_higher_quotas_keep_what_there_was() -> None:
    events = toy()
    few = da.BalancedEnsemble(strata=["label"], sampling_strategy={"label=0": 50}, draws=4)
    before = members(applied(taught(few, [events]), [events]), few)
    more = replace(few, draws=9)
    assert np.array_equal(members(applied(taught(more, [events]), [events]), more)[:, :4], before)
    larger = replace(few, sampling_strategy={"label=0": 80})
    after = members(applied(taught(larger, [events]), [events]), larger)
    assert np.all(after[before])
    assert after.sum() > before.sum()


def test_strata_taken_whole_or_not_at_all() -> None:
    events = toy()
    number = int(np.sum(column(events, "label") == 0))
    learner = da.BalancedEnsemble(strata=["label"], sampling_strategy={"label=0": number, "label=1": 0}, draws=2)
    drawn = members(applied(taught(learner, [events]), [events]), learner)
    assert np.array_equal(drawn.all(axis=1), column(events, "label") != 1)
    assert np.array_equal(drawn.any(axis=1), column(events, "label") != 1)


def test_a_window_that_misses_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    events = toy()
    expected = taught(LEARNERS["many"], [events])
    monkeypatch.setattr(cutting, "_SIGMAS", 0.05)
    assert taught(LEARNERS["many"], [events]) == expected


def test_equal_keys_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draw, "bits", lambda self, stream, **_: np.full(len(self), 2**62, np.uint64))
    learner = da.BalancedEnsemble(strata=(), sampling_strategy={"all": 3})
    with pytest.raises(ValueError, match="'all' have the same 64-bit random key"):
        taught(learner, [toy(12)])


def test_only_training_events_are_drawn() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    learner = LEARNERS["auto"]
    result = applied(taught(learner, divided(events, 3), setting), [events], setting)
    assert len(result) == len(events)
    assert not members(result[result.split != 0], learner).any()
    assert members(result[result.split == 0], learner).any()


def test_errors() -> None:
    events = toy()
    learner = taught(da.BalancedEnsemble(strata=["label"]), [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2'"):
        applied(learner, [events])
    with pytest.raises(ValueError, match="under-sampling cannot add any"):
        taught(da.BalancedEnsemble(strata=["label"], sampling_strategy={"label=2": 10**6}), [events])
    with pytest.raises(ValueError, match="there is but one"):
        taught(da.BalancedEnsemble(strata=["label"]), [events[events.label == 1]])
    with pytest.raises(ValueError, match="nothing to learn from"):
        taught(da.BalancedEnsemble(strata=["label"]), [events[:0]])


@pytest.mark.parametrize("draws", [0, 65, 1.5, True])
def test_wrong_number_of_draws(draws: Any) -> None:
    with pytest.raises(ValueError, match=r"draws must be a whole number in \[1, 64\], got"):
        da.BalancedEnsemble(strata=["label"], draws=draws)
