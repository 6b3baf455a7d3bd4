from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events import columns as cols
from dask_augment.events.strata import UnknownStratum
from dask_augment.sampling import cutting
from sampling_toys import SETTING, applied, column, divided, table, taught, toy, units

STRATA = ["label", da.Bins("HT", [0, 200])]
LEARNERS = {
    "auto": da.Undersample(strata=STRATA),
    "dictionary": da.Undersample(strata=["label"], sampling_strategy={"label=0": 100, "label=1": 3}),
    "balance": da.Undersample(strata=STRATA, train_weight="balance"),
    "two weights": da.Undersample(
        strata=["region", "label"], sampling_strategy="not minority", weights=["weight", "weight_up"]
    ),
    "proportional": da.Undersample(strata=STRATA, allocation="proportional", size=500, minimum=20),
    "neyman": da.Undersample(strata=STRATA, allocation="neyman", variable="HT", size=500),
}
COLUMNS = ("weight", "weight_up", "train_weight")


def test_exact_numbers() -> None:
    events = toy()
    result = applied(taught(LEARNERS["auto"], [events]), [events])
    strata = da.Strata.of(STRATA)
    before, after = ({label: int(n) for label, n in counted(strata, e).items()} for e in (events, result))
    assert set(after.values()) == {min(before.values())}
    assert set(after) == set(before)
    result = applied(taught(LEARNERS["dictionary"], [events]), [events])
    rest = counted(da.Strata.of("label"), events)["label=2"]
    assert counted(da.Strata.of("label"), result) == {"label=0": 100, "label=1": 3, "label=2": rest}
    for name in ("proportional", "neyman"):
        assert len(applied(taught(LEARNERS[name], [events]), [events])) == 500


def counted(strata: da.Strata, events: ak.Array) -> dict[str, int]:
    labels, which = strata.codes(cols.only(events, strata.uses()))
    return dict(zip(labels, np.bincount(which).tolist(), strict=True))


@pytest.mark.parametrize("name", ["auto", "dictionary", "balance", "two weights", "neyman"])
def test_weights_are_kept_in_integers(name: str) -> None:
    events = toy()
    learner = taught(LEARNERS[name], divided(events, 3))
    result = applied(learner, divided(events, 5))
    arrays = learner.learned
    dropped = 0
    for g, (label, signs) in enumerate(zip(arrays["strata"], arrays["signs"], strict=True)):
        for i, weight in enumerate(learner.weights):
            exponent = int(arrays["exponents"][g, i])
            before, after = (column(e, weight)[in_group(learner, e, str(label), str(signs))] for e in (events, result))
            assert units(before, exponent) == units(after, exponent)
            assert np.all(np.sign(after) == {"-": -1, "0": 0, "+": 1}[signs[i]])
            if len(after) < len(before):
                dropped += 1
                # Such sums are exact in float64, in any order.
                assert float(after.sum()) == float(after[::-1].sum()) == np.ldexp(units(after, exponent), exponent)
            else:
                assert np.array_equal(np.sort(before), np.sort(after)), "what is kept whole stays as it is"
    assert dropped > 0


@pytest.mark.parametrize("name", sorted(LEARNERS))
@pytest.mark.parametrize("negative", [0.0, 0.2])
def test_what_rounding_leaves_is_the_same_without_a_pass_of_its_own(
    name: str, negative: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of few rows are gathered; those of many are asked for once more."""
    parts = divided(toy(negative=negative), 3)
    gathered = taught(LEARNERS[name], parts)
    monkeypatch.setattr(cutting, "MOST_GATHERED", 0)
    assert taught(LEARNERS[name], parts).learned == gathered.learned


def in_group(learner: Any, events: ak.Array, label: str, signs: str) -> Any:
    groups = replace(learner, train_weight="unit")._groups
    keys, which = groups.of(cols.only(events, groups.uses()))
    return which == keys.index((label, signs))


@pytest.mark.parametrize(
    ("policy", "weighted"), [("conserve", False), ("conserve", True), ("balance", True), ("unit", True)]
)
def test_train_weight(policy: str, weighted: bool) -> None:
    events = toy()
    if weighted:
        values = np.random.default_rng(2).integers(0, 2**40, len(events)) * 2.0**-32
        events = ak.with_field(events, values, "train_weight")
    learner = taught(da.Undersample(strata=["label"], sampling_strategy={"label=0": 50}, train_weight=policy), [events])
    result = applied(learner, divided(events, 3))
    values = column(result, "train_weight")
    assert np.all(values * 2.0**32 == np.rint(values * 2.0**32))
    before, after = {}, {}
    for label in range(3):
        had = column(events, "train_weight") if weighted else np.ones(len(events))
        before[label] = units(had[column(events, "label") == label], -32)
        after[label] = units(values[column(result, "label") == label], -32)
    if policy == "conserve":
        assert after == before
    elif policy == "balance":
        assert set(after.values()) == {sum(before.values()) // 3}
    else:
        assert set(values.tolist()) == {1.0}


def test_a_higher_quota_takes_the_same_events_and_more() -> None:
    events = toy()
    taken: set[int] = set()
    for rows in (10, 11, 40, 200, 600):
        learner = da.Undersample(strata=["label"], sampling_strategy={"label=0": rows, "label=1": rows})
        more = set(column(applied(taught(learner, [events]), [events]), "event").tolist())
        assert taken < more
        taken = more
    taken = set()
    for size in range(20, 60, 3):
        learner = da.Undersample(strata=STRATA, allocation="proportional", size=size)
        more = set(column(applied(taught(learner, [events]), [events]), "event").tolist())
        assert len(more) == size
        assert taken < more
        taken = more


def test_variations_take_the_same_events() -> None:
    events = toy()
    learner = taught(da.Undersample(strata=["label"]), [events])
    nominal = applied(learner, [events])
    shifted = ak.with_field(events, events.HT * 1.1, "HT")
    shifted = ak.with_field(shifted, events.weight * 1.02, "weight")
    result = applied(learner, divided(shifted, 3))
    assert np.array_equal(np.sort(column(result, "event")), np.sort(column(nominal, "event")))
    one, other = (np.array([row[2] for row in table(e, "weight")]) for e in (nominal, result))
    assert np.allclose(other, one * 1.02, rtol=1e-12)


def test_histograms_stay_on_average() -> None:
    events = toy(400)
    learner = da.Undersample(strata=["label"], sampling_strategy={"label=0": 60, "label=1": 60})
    edges = np.array([0.0, 100, 200, 400, 5000])
    expected = np.histogram(column(events, "HT"), edges, weights=column(events, "weight"))[0]
    found = []
    for seed in range(60):
        setting = replace(SETTING, seed=seed)
        result = applied(taught(learner, [events], setting), [events], setting)
        found.append(np.histogram(column(result, "HT"), edges, weights=column(result, "weight"))[0])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(error > 0)
    assert np.all(np.abs(np.mean(found, axis=0) - expected) < 4 * error)


def test_every_event_is_taken_as_often() -> None:
    events = toy(60)
    learner = da.Undersample(strata=(), sampling_strategy={"all": 20}, weights=())
    times = np.zeros(60)
    for seed in range(150):
        setting = replace(SETTING, seed=seed)
        result = applied(taught(learner, [events], setting), [events], setting)
        times[column(result, "event").astype(int)] += 1
    # binomial(150, 1/3): standard deviation 5.8
    assert times.sum() == 150 * 20
    assert np.all(np.abs(times - 50) < 5 * 5.8)
    assert 3.5 < times.std() < 8


def test_only_training_events_go() -> None:
    events = ak.with_field(toy(), np.repeat(np.array([0, 1, 2], np.int8), 1000), "split")
    setting = replace(SETTING, split="split")
    learner = taught(da.Undersample(strata=["label"]), divided(events, 3), setting)
    result = applied(learner, [events], setting)
    assert table(result[result.split != 0], "weight") == table(events[events.split != 0], "weight")
    assert set(column(result[result.split != 0], "train_weight").tolist()) == {0.0}
    training = counted(da.Strata.of("label"), result[result.split == 0])
    assert set(training.values()) == {min(counted(da.Strata.of("label"), events[events.split == 0]).values())}


def test_after_copies() -> None:
    events = toy(1000)
    copied = da.augment(events, da.Repeat(n=3), seed=1, dataset="toy", split=None)
    learner = taught(da.Undersample(strata=["label"]), [copied])
    result = applied(learner, divided(copied, 5))
    counts = counted(da.Strata.of("label"), result)
    assert set(counts.values()) == {min(counted(da.Strata.of("label"), copied).values())}
    assert np.sum(column(result, "weight")) == pytest.approx(np.sum(column(events, "weight")), rel=1e-12)
    assert np.all(column(result, "weight")[column(result, "augment_kind") == 1] == 0)


def test_public_functions_and_plan_form() -> None:
    events = toy()
    step = da.Undersample(strata=["dataset", "region", da.Bins("HT", [0, 200])])
    assert da.Undersample(**json.loads(json.dumps(step.configuration()))) == step
    ready = da.learn(events, step, seed=7, dataset="toy", split=None)
    result = da.augment(events, ready, seed=7, dataset="toy", split=None)
    assert "dataset=toy|region=barrel|HT=[0,200)" in ready.learned["strata"]
    assert len(result) < len(events)
    with pytest.raises(RuntimeError, match="has not learned yet"):
        da.augment(events, step, seed=7, dataset="toy", split=None)


def test_several_data_sets() -> None:
    events = toy()
    names = np.array(["dy", "ttbar"])[(column(events, "event") % 4 == 0).astype(int)]
    setting = replace(SETTING, dataset=None)
    events = ak.with_field(events, ak.Array(names), "dataset")
    learner = taught(da.Undersample(strata=["dataset"]), divided(events, 3), setting)
    result = applied(learner, divided(events, 4), setting)
    assert counted(da.Strata.of("dataset"), result) == {"dataset=dy": 750, "dataset=ttbar": 750}


def test_unknown_strata_and_signs() -> None:
    events = toy()
    learner = taught(da.Undersample(strata=["label"]), [events[events.label != 2]])
    with pytest.raises(UnknownStratum, match="'label=2', and there were none while learning; there were 2 strata"):
        applied(learner, [events])
    learner = taught(da.Undersample(strata=["label"]), [events[events.weight > 0]])
    with pytest.raises(UnknownStratum, match=r"'label=[0-2]' with weights of sign '-'"):
        applied(learner, [events])


def test_too_few_to_carry_the_weights() -> None:
    events = toy()
    with pytest.raises(
        ValueError, match=r"'label=0' gets 1 event, and needs 2 to carry its weights \(signs '\+', '-'\)"
    ):
        taught(da.Undersample(strata=["label"], sampling_strategy={"label=0": 1}), [events])
    nothing = da.Undersample(strata=["label"], sampling_strategy={"label=0": 0}, weights=())
    with pytest.raises(ValueError, match="'label=0' gets 0 events, and needs 1"):
        taught(nothing, [events])
    result = applied(taught(replace(nothing, train_weight="unit"), [events]), [events])
    assert "label=0" not in counted(da.Strata.of("label"), result)
    one = da.Undersample(strata=["label"], sampling_strategy={"label=0": 1}, weights=())
    result = applied(taught(one, [events]), [events])
    assert column(result[result.label == 0], "train_weight").tolist() == [np.sum(column(events, "label") == 0)]


def test_what_cannot_be_learned_from() -> None:
    events = toy()
    with pytest.raises(ValueError, match="nothing to learn from: there are no events"):
        taught(LEARNERS["auto"], [events[:0]])
    with pytest.raises(ValueError, match="there is but one"):
        taught(da.Undersample(strata=["label"]), [events[events.label == 1]])
    with pytest.raises(cols.MissingColumn, match=r"no weight column 'weight'.*weights=\["):
        taught(LEARNERS["auto"], [cols.only(events, set(events.fields) - {"weight"})])
    broken = ak.with_field(events, np.where(events.event < 4, np.nan, 1.0), "weight")
    with pytest.raises(ValueError, match=r"'weight' is NaN or infinite in 4 of [\d,]+ rows"):
        taught(LEARNERS["auto"], divided(broken, 3))
    with pytest.raises(ValueError, match="size must lie between"):
        taught(da.Undersample(strata=["label"], allocation="proportional", size=10**6), [events])
    learner = taught(LEARNERS["auto"], [events])
    with pytest.raises(ValueError, match=r"'weight' has values.*far larger than those"):
        applied(learner, [ak.with_field(events, events.weight * 1e9, "weight")])


@pytest.mark.parametrize("size", [2.0**12, 2.0**60])
def test_one_row_carries_all_train_weight(size: float) -> None:
    events = ak.with_field(toy(), np.full(3000, size), "train_weight")
    learner = da.Undersample(strata=(), sampling_strategy={"all": 1}, weights=())
    result = applied(taught(learner, [events]), [events])
    assert column(result, "train_weight").tolist() == [3000 * size]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"weights": "weight"}, TypeError, r"weights=\['weight'\]"),
        ({"train_weight": "keep"}, ValueError, "conserve"),
        ({"sampling_strategy": "minority"}, ValueError, "under-sampling"),
        ({"allocation": "optimal", "size": 3}, ValueError, "allocation must be one of"),
        ({"allocation": "proportional"}, ValueError, "size and allocation go together"),
        ({"size": 3}, ValueError, "size and allocation go together"),
        ({"allocation": "proportional", "size": 3, "sampling_strategy": "all"}, ValueError, "not both"),
        ({"allocation": "neyman", "size": 3}, ValueError, "needs one"),
        ({"variable": "HT"}, ValueError, "variable is for"),
        ({"allocation": "proportional", "size": -3}, ValueError, "size must be a whole number of at least 0"),
        ({"minimum": 1.5}, ValueError, "minimum must be a whole number of at least 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        da.Undersample(strata=["label"], **arguments)


@pytest.mark.parametrize("parts", [1, 4])
def test_lazy_is_eager(parts: int) -> None:
    dak = pytest.importorskip("dask_awkward")
    events = toy()
    lazy = dak.from_awkward(events, npartitions=parts)
    step = da.Undersample(strata=STRATA, train_weight="balance")
    one, other = (da.learn(e, step, seed=7, dataset="toy", split=None) for e in (events, lazy))
    assert one == other
    eager = da.augment(events, one, seed=7, dataset="toy", split=None)
    result = da.augment(lazy, other, seed=7, dataset="toy", split=None)
    assert result._meta.type.content == eager.type.content
    assert table(result.compute(), *COLUMNS) == table(eager, *COLUMNS)


def skewed(n: int = 40) -> ak.Array:
    """Events with positive weights, three of them far larger than the others."""
    return ak.with_field(toy(n, negative=0.0), np.where(np.arange(n) < 3, 50.0, 1.0 + np.arange(n) % 2), "weight")


def spectra(keep: str, seeds: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[dict[str, Any]]]:
    """Sums of small and large weights, of each seed and before, and what the step reports."""
    events = skewed()
    large = set(column(events, "event")[column(events, "weight") > 2].tolist())
    learner = da.Undersample(sampling_strategy={"all": 10}, keep=keep)
    found = []
    for seed in range(seeds):
        setting = replace(SETTING, seed=seed)
        learned = taught(learner, [events], setting)
        result = applied(learned, [events], setting)
        which = np.isin(column(result, "event"), list(large)).astype(int)
        found.append(np.bincount(which, column(result, "weight"), 2))
    weight = column(events, "weight")
    return np.array(found), np.bincount((weight > 2).astype(int), weight, 2), learned.report()


def test_every_histogram_stays_on_average_with_keep_average() -> None:
    found, before, (told,) = spectra("average", 100)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - before) < 4 * error)
    assert np.ptp(found.sum(axis=1)) > 10  # The sum is not kept.
    assert told["weight_bias"] == 0


def test_the_bias_of_exact_sums_is_told() -> None:
    found, before, (told,) = spectra("sum", 100)
    assert np.allclose(found.sum(axis=1), before.sum(), rtol=1e-12)
    weight = column(skewed(), "weight")
    cv = np.std(weight) / np.mean(weight)
    assert told["weight_cv"] == pytest.approx(cv, rel=1e-6)
    assert told["weight_bias"] == pytest.approx(cv**2 * (1 / 10 - 1 / 40), rel=1e-6)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    off = found.mean(axis=0) - before
    assert off[0] > 4 * error[0], "small weights get too much"
    assert off[0] < 1.5 * told["weight_bias"] * before.sum() + 4 * error[0]


def test_what_is_kept_whole_has_no_bias() -> None:
    events = toy(400)
    (told,) = taught(da.Undersample(sampling_strategy={"all": 400}), [events]).report()
    assert "weight_bias" not in told
    (told,) = taught(da.Undersample(sampling_strategy={"all": 100}, weights=()), [events]).report()
    assert "weight_bias" not in told


def test_a_stratum_that_is_too_small_is_told_with_all_others() -> None:
    with pytest.raises(
        ValueError, match=r"'label=1' gets 1 event, and needs 2 .*'label=0': \d+, 'label=1': \d+, 'label=2'"
    ):
        taught(da.Undersample(strata=["label"], sampling_strategy={"label=1": 1}), [toy()])
