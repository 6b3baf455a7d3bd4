"""Compounds: one name for two steps, with the rows of these done by hand and of imbalanced-learn."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from imblearn.under_sampling import EditedNearestNeighbours, TomekLinks

import dask_augment as da
from dask_augment.contract.compound import Compound
from dask_augment.contract.ids import RepeatedIds
from dask_augment.contract.interpolating import Interpolating
from dask_augment.inputs.section import PlanError
from dask_augment.plans import registry
from interpolation_toys import FEATURES, classes, matrix, shuffled
from run_toys import plan, read, write
from sampling_toys import column

SETTING: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}
SMOTE: dict[str, Any] = {"label": "label", "features": FEATURES, "k_neighbors": 4}
CLEAN: dict[str, Any] = {"label": "label", "features": FEATURES, "sampling_strategy": "all"}
FEW = {"label=2": 150, "label=1": 260}
PAIRS: dict[str, tuple[Compound, tuple[Any, Any]]] = {
    "smote_enn": (
        da.SmoteEnn(**SMOTE, scale=None, n_neighbors=2),
        (
            ("smote_enn.smote", da.Smote(**SMOTE, scale=None)),
            (
                "smote_enn.edited_nearest_neighbours",
                da.EditedNearestNeighbours(**CLEAN, scale=None, n_neighbors=2),
            ),
        ),
    ),
    "smote_tomek": (
        da.SmoteTomek(**SMOTE, scale=None, strata=["region"], train_weight="balance"),
        (
            ("smote_tomek.smote", da.Smote(**SMOTE, scale=None, strata=["region"], train_weight="balance")),
            ("smote_tomek.tomek_links", da.TomekLinks(**CLEAN, scale=None, strata=["region"], train_weight="balance")),
        ),
    ),
    "smote_undersample": (
        da.SmoteUndersample(**SMOTE, sampling_strategy=FEW, undersampling_strategy={"label=0": 300}, allocation="iid"),
        (
            ("smote_undersample.smote", da.Smote(**SMOTE, sampling_strategy=FEW, allocation="iid")),
            (
                "smote_undersample.undersample",
                da.Undersample(strata=["label"], sampling_strategy={"label=0": 300}),
            ),
        ),
    ),
}


def rows(events: ak.Array) -> list[tuple[Any, ...]]:
    """All that is told of each row, sorted."""
    names = sorted(events.fields)
    keys = ["event", "augment_copy", *(name for name in names if name not in ("event", "augment_copy"))]
    return sorted(zip(*(column(events, name).tolist() for name in keys), strict=True), key=lambda row: row[:2])


@pytest.fixture(scope="module")
def events() -> ak.Array:
    return classes(900, negative=0.2)


@pytest.mark.parametrize("name", PAIRS)
def test_as_two_steps_by_hand(name: str, events: ak.Array) -> None:
    compound, (first, second) = PAIRS[name]
    first = (first[0], da.learn(events, first, **SETTING))
    second = (second[0], da.learn(events, second, first, **SETTING))
    expected = da.augment(events, first, second, **SETTING)
    taught = da.learn(events, compound, **SETTING)
    assert taught.parts == (first[1], second[1])
    result = da.augment(events, taught, **SETTING)
    assert rows(result) == rows(expected)
    assert len(result) < len(da.augment(events, first, **SETTING))
    assert np.any(column(result, "augment_kind") == 2)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("kind_sel", ["all", "mode"])
def test_enn_drops_what_imbalanced_learn_drops_of_our_rows(events: ak.Array, k: int, kind_sel: str) -> None:
    theirs = EditedNearestNeighbours(sampling_strategy="all", n_neighbors=k, kind_sel=kind_sel)
    compound = da.SmoteEnn(**SMOTE, scale=None, n_neighbors=k, kind_sel=kind_sel)
    assert_same_rows(events, compound, theirs)


def test_tomek_drops_what_imbalanced_learn_drops_of_our_rows(events: ak.Array) -> None:
    assert_same_rows(events, da.SmoteTomek(**SMOTE, scale=None), TomekLinks(sampling_strategy="all"))


def assert_same_rows(events: ak.Array, compound: Any, theirs: Any) -> None:
    taught = da.learn(events, compound, **SETTING)
    full = da.augment(events, (f"{registry.name_of(compound)}.smote", taught.parts[0]), **SETTING)
    points, labels = matrix(full), column(full, "label")
    assert len(np.unique(points, axis=0)) == len(points), "no ties"
    theirs.fit_resample(points, labels)
    expected = full[np.sort(theirs.sample_indices_)]
    kept = [set(zip(*(column(e, n).tolist() for n in ("event", "augment_copy")), strict=True)) for e in (
        expected, da.augment(events, taught, **SETTING)
    )]  # fmt: skip
    assert kept[0] == kept[1]
    assert len(kept[0]) < len(full)
    dropped = np.delete(labels, theirs.sample_indices_)
    assert len(set(dropped.tolist())) == 3, "all classes are cleaned"


def test_undersample_takes_the_numbers_asked_for(events: ak.Array) -> None:
    two = events[column(events, "label") != 2]
    compound = da.SmoteUndersample(**SMOTE, sampling_strategy=0.5, undersampling_strategy=0.8)
    result = da.augment(two, da.learn(two, compound, **SETTING), **SETTING)
    small = np.sum(column(two, "label") == 0) // 2
    assert np.bincount(column(result, "label")).tolist() == [int(small / 0.8), small]


# What it is ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_it_says_what_its_steps_say(name: str) -> None:
    compound, _ = PAIRS[name]
    kind, steps = type(compound), compound.steps()
    assert registry.get(name) is kind
    assert kind.keeps_rows == all(step.keeps_rows for step in steps)
    assert kind.keyed == any(step.keyed for step in steps)
    assert kind.makes == next(step.makes for step in steps if step.makes)
    assert kind.use == "training"
    assert {step.use for step in steps} == {"training"}
    assert set(compound.uses()) == {
        "label",
        "weight",
        "train_weight",
        *FEATURES,
        *([] if name != "smote_tomek" else ["region"]),
    }
    assert set(compound.produces()) == {*FEATURES, "weight", "train_weight"}
    assert [step.carries() for step in steps if isinstance(step, Interpolating)] == [
        {"label"} | ({"region"} if name == "smote_tomek" else set())
    ]
    with pytest.raises(TypeError, match=f"{kind.__name__} is several steps"):
        compound.apply(classes(3), None)


def test_equal_by_configuration_and_what_was_learned(events: ak.Array) -> None:
    one, same = da.SmoteEnn(label="label", features=FEATURES), da.SmoteEnn(label="label", features=tuple(FEATURES))
    taught = da.learn(events, one, **SETTING)
    assert one == same
    assert one.digest == same.digest != taught.digest
    assert taught == pickle.loads(pickle.dumps(taught)) == da.learn(shuffled(events), same, **SETTING)
    assert da.SmoteEnn(label="label", features=FEATURES, n_neighbors=4) != one


def test_labels() -> None:
    labels = [label for label, _ in registry.with_labels([PAIRS["smote_enn"][0], ("mine", PAIRS["smote_tomek"][0])])]
    assert labels == ["smote_enn.smote", "smote_enn.edited_nearest_neighbours", "mine.smote", "mine.tomek_links"]
    twice = [label for label, _ in registry.with_labels([PAIRS["smote_enn"][0]] * 2)]
    assert twice[2:] == ["smote_enn_2.smote", "smote_enn_2.edited_nearest_neighbours"]
    with pytest.raises(ValueError, match=r"two steps are named 'smote_enn\.smote'"):
        registry.with_labels([PAIRS["smote_enn"][0], PAIRS["smote_enn"][1][0]])


def test_artefacts_are_put(events: ak.Array, tmp_path: Path) -> None:
    taught = da.learn(events, PAIRS["smote_enn"][0], artefacts=str(tmp_path), **SETTING)
    assert len(list(tmp_path.glob("*.npz"))) >= 2
    assert len(pickle.dumps(taught)) < 4000
    assert pickle.loads(pickle.dumps(taught)) == taught


# Bad input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"features": []}, "features must name at least one column"),
        ({"n_neighbors": 0}, "n_neighbors must be a whole number"),
        ({"kind_sel": "none"}, "kind_sel must be one of"),
        ({"sampling_strategy": "majority"}, "over-sampling must be one of"),
        ({"train_weight": "none"}, "train_weight must be one of"),
        ({"strata": ["label"]}, "label and strata both name 'label': .* leave it out of strata"),
    ],
)
def test_wrong_options(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        da.SmoteEnn(**{"label": "label", "features": ["x"]} | options)


def test_wrong_under_sampling() -> None:
    with pytest.raises(ValueError, match="sampling_strategy of under-sampling must be one of"):
        da.SmoteUndersample(features=["x"], undersampling_strategy="minority")


def test_errors_name_the_compound(events: ak.Array) -> None:
    label = column(events, "label")
    with pytest.raises(ValueError, match="has but one class") as error:
        da.learn(events[label == 0], PAIRS["smote_enn"][0], **SETTING)
    assert "in step 'smote_enn.smote'" in error.value.__notes__[0]
    crowd = events[np.r_[np.flatnonzero(label == 0)[:60], np.flatnonzero(label == 1)[:3]]]
    with pytest.raises(ValueError, match="k_neighbors=4 needs 5") as error:
        da.learn(crowd, ("few", PAIRS["smote_enn"][0]), **SETTING)
    assert "in step 'few.smote'" in error.value.__notes__[0]
    alike = ak.with_field(events, np.zeros(len(events), np.float32), "x")
    lost = da.SmoteEnn(label="label", features=["x"], scale=None)
    with pytest.raises(ValueError, match="are dropped") as error:
        da.learn(alike, lost, **SETTING)
    assert "in step 'smote_enn.edited_nearest_neighbours'" in error.value.__notes__[0]
    with pytest.raises(RuntimeError, match=r"step 'smote_enn\.smote' has not learned yet"):
        da.augment(events, PAIRS["smote_enn"][0], **SETTING)
    with pytest.raises(RepeatedIds):
        da.learn(ak.concatenate([events, events[:1]]), PAIRS["smote_enn"][0], **SETTING)
    taught = da.learn(events, PAIRS["smote_enn"][0], **SETTING)
    with pytest.raises(ValueError, match=r"step 'smote_enn\.smote' learned under .* and is to act under"):
        da.augment(events, taught, **{**SETTING, "seed": 8})


# Plans --------------------------------------------------------------------------------------------------------------------


def steps(compound: Any) -> list[Any]:
    define = {"HT": "sum(Jet.pt)", "noise": "MET.phi * MET.pt", "few": "nJet < 1"}
    return [{"define": define}, {"split": {"train": 0.7}}, compound]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    return [write(folder / "a.root", 0, 150), write(folder / "b.root", 150, 90)]


OPTIONS = {"label": "few", "features": ["HT", "MET.pt", "noise"], "k_neighbors": 3, "n_neighbors": 1}


def test_a_plan_names_it_once(files: list[str], tmp_path: Path) -> None:
    asked = plan(*files, steps=steps({"smote_enn": OPTIONS}))
    assert asked.to_dict()["steps"][-1] == {"smote_enn": OPTIONS | {"strata": []}}
    done = da.run(asked, tmp_path / "one")
    cut = da.run(asked, tmp_path / "cut", chunksize=31)
    assert done.manifest.logical_hash == cut.manifest.logical_hash
    labels = ["define", "split", "smote_enn.smote", "smote_enn.edited_nearest_neighbours"]
    assert set(done.manifest.extra["learned"]) == set(labels[2:])
    made = Counter(label for account in done.manifest.datasets.values() for label in account.made)
    dropped = {label for account in done.manifest.datasets.values() for label in account.dropped}
    assert set(made) == {"smote_enn.smote"}
    assert dropped == {"smote_enn.edited_nearest_neighbours"}
    assert np.any(read(done).augment_kind == 2)
    published = da.published_plan(done.path)
    assert [label for label, _ in published.steps] == labels
    assert [label for label, _ in published.for_analysis().steps] == labels[:2]
    again = da.run(da.Plan(inputs=published.inputs, steps=published.steps, seed=7), tmp_path / "again")
    assert again.manifest.logical_hash == done.manifest.logical_hash


def test_a_plan_refuses_wrong_options(files: list[str]) -> None:
    with pytest.raises(PlanError, match=r"step 2 \(smote_enn\): n_neighbors must be a whole number"):
        plan(*files, steps=steps({"smote_enn": OPTIONS | {"n_neighbors": 0}}))
    with pytest.raises(PlanError, match=r"step 2 \(smote_enn\): unknown options \['allowance'\]"):
        plan(*files, steps=steps({"smote_enn": OPTIONS | {"allowance": 0}}))
    with pytest.raises(PlanError, match=r"uses 'Jet\.pt', which is not there after step 'smote_enn\.smote'"):
        plan(*files, steps=[*steps({"smote_enn": OPTIONS}), {"select": "sum(Jet.pt) > 1"}])


def test_analysis_and_preview(events: ak.Array) -> None:
    pytest.importorskip("matplotlib")
    taught = da.learn(events, PAIRS["smote_enn"][0], **SETTING)
    figure = da.preview(events, taught, seed=7, dataset="toy")
    assert figure.get_suptitle() == "smote_enn"
    assert len(figure.axes) >= len(FEATURES) + 1


@pytest.mark.parametrize("name", PAIRS)
def test_fit_resample(name: str) -> None:
    rng = np.random.default_rng(3)
    y = rng.choice([0, 1], 300, p=[0.8, 0.2])
    x = rng.normal(size=(300, 2)) + y[:, None]
    options: dict[str, Any] = {"sampling_strategy": 0.5} if name == "smote_undersample" else {"scale": None}
    resampler = da.Resampler(name, seed=3, **options)
    made, labels = resampler.fit_resample(x, y)
    assert len(made) == len(labels) == len(resampler.sample_indices_)
    assert np.array_equal(y[resampler.sample_indices_], labels)
    assert np.sum(labels == 1) > 0.3 * np.sum(y == 0)
    assert da.Resampler(name, seed=3, **options).fit_resample(x, y)[0].tobytes() == made.tobytes()
