"""Steps inside steps: what tells them apart, how they learn, and how plans say them."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import awkward as ak
import numpy as np
import pytest
import yaml
from dask.base import tokenize

import dask_augment as da
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.nesting import holds_steps, types_of
from dask_augment.frames.steps import labelled
from dask_augment.laws import check
from dask_augment.plans import registry
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.plans.steps import step_from, step_to
from policy_toys import Centre, Chain, Choice, Down, LogUniform, Policy, Uniform, Up
from run_toys import columns, plan, read, write

SETTING: dict[str, Any] = {"seed": 7, "dataset": "toy", "split": None}


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys under names, as those of a plugin are."""
    toys = {"up": Up, "down": Down, "centre": Centre, "policy": Policy, "chain": Chain}
    table = {name: f"{kind.__module__}:{kind.__qualname__}" for name, kind in toys.items()}
    monkeypatch.setattr(registry, "TABLE", {**registry.TABLE, **table})


def events(rows: int = 30) -> ak.Array:
    given = columns(0, rows)
    met = ak.zip({"pt": given.pop("MET_pt"), "phi": given.pop("MET_phi")})
    return ak.Array({**given, "MET": met, "weight": np.ones(rows)})


def yaml_of(made: Plan) -> Plan:
    return Plan.from_dict(yaml.safe_load(yaml.safe_dump(made.to_dict())))


UNLIKE = [
    (Policy(ops=(Up(),)), Policy(ops=(Down(),))),
    (Policy(ops=(Up(),)), Policy(ops=(Up(by=2.0),))),
    (Policy(ops=(Up(), Down())), Policy(ops=(Down(), Up()))),
    (Policy(first=Up()), Policy(first=Down())),
    (Policy(ops=(("a", Up()),)), Policy(ops=(("a", Down()),))),
    (Policy(named={"x": Up()}), Policy(named={"x": Down()})),
    (Policy(choices=(Choice(Up()),)), Policy(choices=(Choice(Down()),))),
    (Policy(ops=(Policy(ops=(Up(),)),)), Policy(ops=(Policy(ops=(Down(),)),))),
    (Chain(ops=(Up(),)), Chain(ops=(Down(),))),
    (Chain(ops=(Chain(ops=(Up(),)),)), Chain(ops=(Chain(ops=(Down(),)),))),
    (Policy(spread=Uniform()), Policy(spread=LogUniform())),
    (Policy(spread=[Uniform(), LogUniform()]), Policy(spread=[LogUniform(), Uniform()])),
]


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_a_step_inside_is_told_by_its_class(one: Augmenter, other: Augmenter) -> None:
    assert one != other
    assert one.digest != other.digest
    assert tokenize(one) != tokenize(other)
    assert plan("x.root", steps=[]).digest != replace(plan("x.root", steps=[]), steps=[one]).digest
    assert (
        replace(plan("x.root", steps=[]), steps=[one]).digest != replace(plan("x.root", steps=[]), steps=[other]).digest
    )
    twin = pickle.loads(pickle.dumps(one))
    assert twin == one
    assert tokenize(twin) == tokenize(one)


def test_a_learned_step_inside_is_told_by_what_it_learned() -> None:
    taught = da.learn(events(), Centre(), **SETTING)
    other = da.learn(events(10), Centre(), **SETTING)
    assert Policy(ops=(taught,)) != Policy(ops=(other,))
    assert Policy(ops=(taught,)) == pickle.loads(pickle.dumps(Policy(ops=(taught,))))
    made = [replace(plan("x.root", steps=[]), steps=[Policy(ops=(one,))]) for one in (taught, other)]
    assert made[0].digest != made[1].digest
    with pytest.raises(
        PlanError, match=r"step 0 \(policy\): ops: step 0 \(centre\): what it learned .* published_plan"
    ):
        yaml_of(made[0])


def test_a_set_of_steps_is_refused() -> None:
    with pytest.raises(TypeError, match="in a tuple, which has an order"):
        _ = Policy(hidden={Up()}).digest


@pytest.mark.parametrize(("one", "other"), UNLIKE[:10])
def test_plans_read_what_they_write(one: Augmenter, other: Augmenter) -> None:
    made = replace(plan("x.root", steps=[]), steps=[one, ("second", other)])
    again = yaml_of(made)
    assert again.steps == made.steps
    assert again.digest == made.digest
    assert json.dumps(again.to_dict()) == json.dumps(made.to_dict())


def test_a_plan_says_steps_inside_in_the_words_of_steps() -> None:
    entry = {"policy": [{"up": {"by": 2.0}}, "down", {"up": {}, "as": "late"}]}
    made = step_from(entry, 0, Path())
    assert made == Policy(ops=(Up(by=2.0), Down(), ("late", Up())))
    assert step_to(made) == {"policy": [{"up": {"by": 2.0}}, {"down": {}}, {"up": {}, "as": "late"}]}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ops": [{"up": {"bye": 1}}]}, r"step 2 \(policy\): ops: step 0 \(up\): unknown options .*bye"),
        ({"ops": ["up", {"up": {"by": "much"}}]}, r"ops: step 1 \(up\): by must be a number, got 'much'"),
        ({"ops": [{"up": {"by": float("nan")}}]}, r"ops: step 0 \(up\): an option is NaN"),
        ({"ops": ["upp"]}, r"ops: step 0 \(upp\): no augmenter is named 'upp'"),
        ({"ops": "up"}, r"ops: must be a list of steps, got 'up'"),
        ({"ops": [3]}, r"ops: step 0 must be a name"),
        ({"first": {"up": {}, "as": "x"}}, r"first: step 0 takes no label"),
        ({"first": ["up"]}, r"first: step 0 must be a name"),
        ({"first": 3}, r"first: .*3"),
        ({"named": ["up"]}, r"named: must be a dictionary of steps"),
        ({"choices": ["up"]}, r"choices: must be a dictionary of the fields of Choice"),
    ],
)
def test_options_of_steps_inside_are_checked(options: Any, fault: str) -> None:
    with pytest.raises(PlanError, match=fault):
        step_from({"policy": options}, 2, Path())


def test_a_field_that_does_not_say_that_it_holds_steps_is_refused() -> None:
    made = replace(plan("x.root", steps=[]), steps=[Policy(hidden=[Up()])])
    with pytest.raises(PlanError, match=r"'hidden' of Policy holds steps.*tuple\[Augmenter, \.\.\.\]"):
        made.to_dict()


def test_types_that_hold_steps() -> None:
    said = {name: holds_steps(kind) for name, kind in types_of(Policy).items()}
    assert {name for name, holds in said.items() if holds} == {"ops", "first", "named", "choices"}


def test_files_of_steps_inside_count_from_the_folder_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import dask_augment as da\n\n\n@da.augmenter(uses=['MET.pt'], produces={'twice': 'float32'})\n"
        "def twice(events):\n    return 2 * events.MET.pt\n"
    )
    made = step_from({"policy": ["mine.py:twice"]}, 0, tmp_path)
    assert isinstance(made, Policy)
    assert step_from(step_to(made), 0, tmp_path) == made
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("2 *", "3 *"))
    assert step_from({"policy": ["mine.py:twice"]}, 0, tmp_path) != made
    with pytest.raises(PlanError, match=r"ops: step 0 \(mine.py:twice\): its file has changed"):
        step_from(step_to(made), 0, tmp_path)
    values = {"inputs": {"files": "x.root", "dataset": "toy"}, "seed": 7, "steps": [{"policy": ["mine.py:twice"]}]}
    with pytest.raises(PlanError, match="the manifest does not say the sha256"):
        Plan.published(values, folder=tmp_path)


def test_files_that_are_options_of_steps_inside(tmp_path: Path) -> None:
    weights = tmp_path / "nothing.safetensors"
    with pytest.raises(PlanError, match=f"ops: step 0.*{weights.name}"):
        step_from({"policy": [{"lbn": {"inputs": ["Jet[:2]"], "weights": weights.name}}]}, 0, tmp_path)


def test_the_code_of_classes_inside_is_part_of_the_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "far_away_op.py").write_text(Path(sys.modules[Up.__module__].__file__ or "").read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    import far_away_op  # type: ignore[import-not-found]

    assert isinstance(far_away_op, ModuleType)
    made = replace(plan("x.root", steps=[]), steps=[Policy(ops=(far_away_op.Up(),))])
    assert {"policy_toys", "far_away_op"} <= set(made.code())
    assert made.digest != replace(made, steps=[Policy(ops=(Up(),))]).digest
    monkeypatch.delitem(sys.modules, "far_away_op")


def test_plans_without_steps_inside_are_as_they_were() -> None:
    made = plan("x.root", steps=[{"define": {"HT": "sum(Jet.pt)"}}, {"undersample": {"strata": ["region"]}}])
    assert made.digest == "4a031dc5527f017e85c4defbb4e75cf29bf242d13da0ee1353f9f57796561778"
    assert made.code() == {}
    assert (
        da.Undersample(strata=["region"]).digest == "e9e99176f0ff5f7bfc6cd8fea4ce8dc03b74e0b795c9b65ca5d60d8c6ebcd3a8"
    )


def test_compounds_in_compounds_learn() -> None:
    given = events()
    chain = Chain(ops=(Up(), Chain(ops=(Centre(), Chain(ops=(Up(by=2.0), Centre(to="again")))))))
    assert [step.label for step in labelled([chain])] == [
        "chain.up", "chain.chain.centre", "chain.chain.chain.up", "chain.chain.chain.centre",
    ]  # fmt: skip
    learned = da.learn(given, chain, **SETTING)
    out = da.augment(given, learned, **SETTING)
    pt = np.asarray(given.MET.pt).astype(np.float64)
    np.testing.assert_allclose(out.centred, pt + 1 - np.sum(pt + 1), rtol=1e-5)
    np.testing.assert_allclose(out.again, pt + 3 - np.sum(pt + 3), rtol=1e-5)
    assert pickle.loads(pickle.dumps(learned)) == learned
    assert learned != chain
    assert learned != da.learn(given[:7], chain, **SETTING)
    before = da.learn(given, chain, Up(by=5.0), **SETTING)
    assert before != learned


def test_two_compounds_of_a_kind_inside_one_have_labels_of_their_own() -> None:
    chain = Chain(ops=(Chain(ops=(Centre(to="a"),)), Chain(ops=(Centre(to="b"),))))
    labels = [step.label for step in labelled([("outer", chain), chain])]
    assert labels == ["outer.chain.centre", "outer.chain_2.centre", "chain.chain.centre", "chain.chain_2.centre"]
    learned = da.learn(events(), chain, **SETTING)
    assert {"a", "b"} <= set(da.augment(events(), learned, **SETTING).fields)


@pytest.mark.slow
def test_smote_enn_in_a_chain() -> None:
    rng = np.random.default_rng(3)
    given = ak.Array(
        {
            "x": rng.normal(size=200),
            "y": rng.normal(size=200),
            "label": (np.arange(200) % 10 == 0).astype(int),
            "event": np.arange(200),
            "run": np.ones(200, int),
            "luminosityBlock": np.ones(200, int),
            "weight": np.ones(200),
        }
    )
    options: dict[str, Any] = {"label": "label", "features": ["x", "y"]}
    chain = Chain(ops=(da.SmoteEnn(**options),))
    learned = da.learn(given, chain, **SETTING)
    out = da.augment(given, learned, **SETTING)
    parts = labelled([("chain.smote_enn", da.learn(given, ("chain.smote_enn", da.SmoteEnn(**options)), **SETTING))])
    alone = da.augment(given, *[(step.label, step.augmenter) for step in parts], **SETTING)
    assert ak.almost_equal(out, alone)
    assert int(ak.sum(da.is_made(out))) > 0


def test_a_step_that_holds_an_unlearned_one_is_refused(tmp_path: Path) -> None:
    for step, name in [
        (Policy(ops=(Centre(),)), "centre"),
        (Policy(ops=(Policy(ops=(Centre(),)),)), "centre"),
        (Policy(ops=(Chain(ops=(Centre(),)),)), "chain.centre"),
    ]:
        with pytest.raises(RuntimeError, match=rf"holds the step '{name}', which has not learned"):
            da.augment(events(), step, **SETTING)
        with pytest.raises(PlanError, match="which has not learned"):
            replace(plan("x.root", steps=[]), steps=[step])


def test_run_and_published_plan(tmp_path: Path) -> None:
    file = write(tmp_path / "a.root", rows=30)
    made = plan(file, steps=[{"policy": ["up", {"up": {"by": 2.0}}]}])
    result = da.run(made, tmp_path / "out", quiet=True)
    assert da.published_plan(tmp_path / "out").to_dict()["steps"][0]["policy"] == [{"up": {}}, {"up": {"by": 2.0}}]
    other = plan(file, steps=[{"policy": ["down", {"up": {"by": 2.0}}]}])
    with pytest.raises(Exception, match="holds the plan"):
        da.run(other, tmp_path / "out", quiet=True)
    assert da.run(made, tmp_path / "out", quiet=True).already
    assert len(read(result)) == 30


def test_published_plan_has_what_steps_inside_learned(tmp_path: Path) -> None:
    file = write(tmp_path / "a.root", rows=30)
    taught = da.learn(events(), Centre(), **SETTING)
    chain = Chain(ops=(Chain(ops=(Centre(to="of_all"), Up())),))
    steps = [Policy(ops=(("mine", taught),), first=Up()), chain]
    result = da.run(replace(plan(file, steps=[]), steps=steps, split=None), tmp_path / "out", quiet=True)
    again = da.published_plan(tmp_path / "out")
    assert dict(again.steps)["policy"] == steps[0]  # type: ignore[arg-type]
    out = da.augment(events(), *again.steps, **SETTING)
    for name in ("centred", "of_all"):
        np.testing.assert_array_equal(np.sort(out[name]), np.sort(read(result)[name]))
    other = Policy(ops=(("mine", da.learn(events(10), Centre(), **SETTING)),), first=Up())
    with pytest.raises(Exception, match="holds the plan"):
        da.run(replace(plan(file, steps=[]), steps=[other, chain], split=None), tmp_path / "out", quiet=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Meta(Centre):
    """A learner that teaches the learner that it holds."""

    inner: Centre

    def learning(self) -> Any:
        return (yield from self.inner.learning())


def test_a_learner_may_teach_the_one_that_it_holds() -> None:
    meta = da.learn(events(), Meta(inner=Centre()), **SETTING)
    assert meta.learned == da.learn(events(), Centre(), **SETTING).learned
    assert "centred" in da.augment(events(), meta, **SETTING).fields


@pytest.mark.slow
def test_laws_hold_for_steps_inside() -> None:
    assert check(Policy(ops=(Up(), ("b", Down(by=3.0)))))
