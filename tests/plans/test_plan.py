"""Plans in Python, as dictionaries and as YAML: the same thing in the same words, and what is refused."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import dask_augment as da
from dask_augment.augmenters.select import Select
from dask_augment.plans.plan import Inputs, Plan, PlanError, Target

FUNCTION = """
from dask_augment import augmenter

@augmenter(uses=["MET.pt"], produces={"twice": "float32"})
def twice(events):
    return events.MET.pt * 2
"""
FULL = """
inputs:
  fileset: {ttbar: {files: {a.root: Events}, metadata: {xsec: 830.0, is_mc: true}}, dy: [b.root, c.root]}
  ids: [run, event]
  weights: [LHEWeight]
  lumi: 1000
seed: 7
steps:
  - select: nJet >= 4
  - define: {HT: sum(Jet.pt)}
  - my_file.py:twice
  - split: {train: 0.8}
  - repeat: {n: 2}
    as: more
  - phi_rotate
  - phi_rotate: {columns: [MET.phi], originals: true}
output: {path: out/, partition_by: [dataset, split], keep: ["Jet.*", MET_pt]}
"""
SMALL: dict[str, Any] = {"inputs": {"a": ["a.root"]}, "seed": 1, "steps": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_file.py").write_text(FUNCTION)
    (tmp_path / "plan.yaml").write_text(FULL)
    return tmp_path


def test_yaml_dictionary_and_python_say_the_same(folder: Path) -> None:
    read = Plan.read(folder / "plan.yaml")
    assert Plan.from_dict(read.to_dict(), folder=folder) == read
    assert Plan.from_dict(yaml.safe_load(yaml.safe_dump(read.to_dict())), folder=folder) == read
    assert Plan.from_dict(json.loads(json.dumps(read.to_dict())), folder=folder).digest == read.digest
    written = Plan(
        inputs=Inputs(
            fileset={"ttbar": {"files": {"a.root": "Events"}, "metadata": {"xsec": 830.0, "is_mc": True}}, "dy": ["b.root", "c.root"]},
            ids=("run", "event"),
            weights=("LHEWeight",),
            lumi=1000,
        ),
        seed=7,
        steps=[
            da.Select("nJet >= 4"),
            da.Define(HT="sum(Jet.pt)"),
            da.Function.from_file("my_file.py:twice", folder),
            da.Split(train=0.8),
            ("more", da.Repeat(n=2)),
            da.PhiRotate(),
            da.PhiRotate(columns=("MET.phi",), originals=True),
        ],
        output=Target(path="out/", partition_by=("dataset", "split"), keep=("Jet.*", "MET_pt")),
    )  # fmt: skip
    assert written.to_dict() == read.to_dict()
    assert written.digest == read.digest


def test_dictionary_is_as_a_person_writes_it(folder: Path) -> None:
    steps = Plan.read(folder / "plan.yaml").to_dict()["steps"]
    assert steps[0] == {"select": "nJet >= 4"}
    assert steps[1] == {"define": {"HT": "sum(Jet.pt)"}}
    assert list(steps[2]) == ["my_file.py:twice"]
    assert list(steps[2]["my_file.py:twice"]) == ["sha256"]
    assert steps[4] == {"repeat": {"n": 2}, "as": "more"}
    assert steps[5] == {"phi_rotate": {}}


def test_function_that_changed_is_refused(folder: Path) -> None:
    plan = Plan.read(folder / "plan.yaml")
    (folder / "my_file.py").write_text(FUNCTION.replace("* 2", "* 3"))
    with pytest.raises(PlanError, match=r"step 2 \(my_file.py:twice\): its file has changed"):
        Plan.from_dict(plan.to_dict(), folder=folder)
    assert Plan.read(folder / "plan.yaml").digest != plan.digest


def test_function_made_in_python_cannot_be_read_back() -> None:
    made = da.augmenter(uses=["MET.pt"], produces={"x": "float32"})(_met)
    plan = Plan(inputs={"a": ["a.root"]}, seed=1, steps=[made])
    with pytest.raises(PlanError, match=r"made in Python; in a plan it is named by its file"):
        Plan.from_dict(plan.to_dict())


def _met(events: Any) -> Any:
    return events.MET.pt


@pytest.mark.parametrize("said", ["none", None])
def test_no_split(said: str | None) -> None:
    plan = Plan.from_dict({**SMALL, "split": said})
    assert plan.split is None
    assert Plan.from_dict(plan.to_dict()) == plan
    assert "split" not in Plan.from_dict(SMALL).to_dict()


@given(st.permutations(["inputs", "seed", "steps", "output"]), st.booleans())
def test_digest_is_of_the_meaning(order: list[str], spelled: bool) -> None:
    values: dict[str, Any] = {
        "inputs": {"files": "a.root", "dataset": "tt"},
        "seed": 1,
        "steps": [{"define": {"b": "MET.pt", "a": "MET.phi"}}, "phi_rotate"],
        "output": {"keep": ["MET.pt"]},
    }
    digest = Plan.from_dict(values).digest
    if spelled:
        values["inputs"] = {
            "tree": "Events",
            "dataset": "tt",
            "files": "a.root",
            "ids": ["run", "luminosityBlock", "event"],
        }
        values["steps"] = [{"define": {"a": "MET.phi", "b": "MET.pt"}}, {"phi_rotate": {"originals": False}}]
        values["split"] = "split"
    assert Plan.from_dict({name: values[name] for name in (*order, *(values.keys() - order))}).digest == digest


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"steps": ["phi_rotate"]},
        {"inputs": {"a": ["b.root"]}},
        {"inputs": {"fileset": {"a": ["a.root"]}, "weight": "w"}},
        {"output": {"keep": ["a"]}},
        {"split": "none"},
    ],
)
def test_digest_changes_with_each_word(other: dict[str, Any]) -> None:
    assert Plan.from_dict({**SMALL, **other}).digest != Plan.from_dict(SMALL).digest


def test_for_analysis_drops_training_steps(folder: Path) -> None:
    kinds = [type(step).__name__ for _, step in Plan.read(folder / "plan.yaml").for_analysis().steps]
    assert kinds == ["Select", "Define", "Function", "Split"]


def test_for_analysis_keeps_labels() -> None:
    """Random numbers are keyed by the label: without the training step, the second one must not become the first."""

    def noise(use: str) -> Any:
        @da.augmenter(uses=[], produces={"noise": "float64"}, keyed=True, use=use, name="noise")
        def noise(events: Any, draw: Any) -> Any:
            return draw.uniform(0)

        return noise

    plan = Plan.from_dict({**SMALL, "steps": []})
    plan = replace(plan, steps=[noise("training"), noise("always"), ("mine", noise("always"))])
    assert [label for label, _ in plan.for_analysis().steps] == ["noise_2", "mine"]


STEP_ERRORS = {
    "unknown name": ("phi_rotat", r"step 0 \(phi_rotat\): no augmenter is named 'phi_rotat'; did you mean 'phi_rotate'"),
    "unknown option": ({"repeat": {"m": 2}}, r"step 0 \(repeat\): unknown options \['m'\]; there are \['keep_original', 'n'\]"),
    "misspelt option": ({"undersample": {"strate": []}}, r"unknown options \['strate'\]; did you mean 'strata'\? There are \['"),
    "option that is needed": ("repeat", r"step 0 \(repeat\): the options \['n'\] are needed; there are"),
    "wrong value": ({"repeat": {"n": 0}}, r"step 0 \(repeat\): n must be a whole number of at least 1"),
    "options that are no dictionary": ({"repeat": 2}, r"step 0 \(repeat\): options must be a dictionary, got 2"),
    "two names": ({"select": "a", "define": {}}, r"step 0 must be one name with its options, got \['define', 'select'\]"),
    "a number": (3, r"step 0 must be a name"),
    "a file that is not there": ("gone.py:f", r"step 0 \(gone.py:f\): .*cannot be read"),
    "a function that is not there": ("my_file.py:thrice", r"'thrice' is not in it.*augmenters in my_file.py: twice"),
    "options of a function": ({"my_file.py:twice": {"n": 1}}, r"has no options but the sha256"),
    "a file that does not run": ("broken.py:f", r"step 0 \(broken.py:f\): broken.py cannot be run: ZeroDivisionError"),
    "learned arrays": ({"undersample": {"learned": {}}}, r"unknown options \['learned'\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", STEP_ERRORS)
def test_step_that_is_refused(case: str, folder: Path) -> None:
    entry, sentence = STEP_ERRORS[case]
    (folder / "broken.py").write_text("1 / 0")
    with pytest.raises(PlanError, match=sentence) as error:
        Plan.from_dict({**SMALL, "steps": [entry]}, folder=folder)
    assert "\n" not in str(error.value)


ERRORS: dict[str, tuple[Any, str]] = {
    "no dictionary": ([], "a plan is a dictionary with inputs, seed, steps and output, got list"),
    "unknown key": ({**SMALL, "step": []}, r"the plan has unknown keys \['step'\]; did you mean 'steps'\? There are \['inputs', 'output'"),
    "key that is no name": ({**SMALL, 1: []}, r"the plan has unknown keys \['1'\]"),
    "missing keys": ({"inputs": {}}, "the plan does not say its seed and steps"),
    "steps that are no list": ({**SMALL, "steps": "phi_rotate"}, "steps must be a list, got 'phi_rotate'"),
    "seed that is no number": ({**SMALL, "seed": "7"}, "seed must be a whole number, got '7'"),
    "seed that is true": ({**SMALL, "seed": True}, "seed must be a whole number, got True"),
    "split that is no name": ({**SMALL, "split": False}, "split must name the column .* got False"),
    "inputs that are no dictionary": ({**SMALL, "inputs": "a.json"}, "inputs must be a dictionary, got 'a.json'"),
    "unknown input key": (
        {**SMALL, "inputs": {"files": "a", "dataset": "b", "tre": "c"}}, r"inputs has unknown keys \['tre'\]; did you mean 'tree'\? There are",
    ),
    "misspelt shorthand": ({**SMALL, "inputs": {"flies": "a.root", "datset": "b"}}, "inputs has the key 'flies'; did you mean 'files'"),
    "misspelt output": ({**SMALL, "output": {"kep": []}}, r"output has unknown keys \['kep'\]; did you mean 'keep'\? There"),
    "two kinds of inputs": (
        {**SMALL, "inputs": {"files": "a", "folder": "b", "dataset": "c"}}, "exactly one of fileset, files, folder; got",
    ),
    "no inputs": ({**SMALL, "inputs": {"tree": "Events"}}, "exactly one of .* got none of them"),
    "no data set name": ({**SMALL, "inputs": {"files": "a.root"}}, "need the name of their data set"),
    "ids of one column": ({**SMALL, "inputs": {"fileset": {}, "ids": "event"}}, 'ids must be a list of columns or "position"'),
    "no ids": ({**SMALL, "inputs": {"fileset": {}, "ids": []}}, "ids must name one column at least"),
    "weights as text": ({**SMALL, "inputs": {"fileset": {}, "weights": "w"}}, "inputs: weights must be a list of names, got 'w'"),
    "luminosity as text": ({**SMALL, "inputs": {"fileset": {}, "lumi": "1"}}, "inputs: lumi must be a number, without quotes and unit, got '1'"),
    "metadata beside a fileset": (
        {**SMALL, "inputs": {"fileset": {"a": ["b"]}, "metadata": {"xsec": 1.0}}}, "says their metadata itself",
    ),
    "data set of a folder": ({**SMALL, "inputs": {"folder": "a", "dataset": "b"}}, "leave dataset out"),
    "output that is no dictionary": ({**SMALL, "output": 5}, "output must be a dictionary, got 5"),
    "keep as text": ({**SMALL, "output": {"keep": "Jet.*"}}, "output: keep must be a list of names, got 'Jet"),
    "folders as text": ({**SMALL, "output": {"partition_by": "dataset"}}, "output: partition_by must be a list"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_plan_that_is_refused(case: str) -> None:
    values, sentence = ERRORS[case]
    with pytest.raises(PlanError, match=sentence) as error:
        Plan.from_dict(values)
    assert "\n" not in str(error.value)


OPTION_ERRORS: dict[str, tuple[Any, str]] = {
    "a list that is a dictionary": ({"phi_rotate": {"columns": {"MET.phi": 1}}}, r"columns must be .*list of names, got {'MET.phi': 1}"),
    "a list of numbers": ({"smote": {"features": [1], "strata": ["dataset"]}}, "features must be a list of names, got"),
    "a truth that is a list": ({"phi_rotate": {"columns": ["MET.phi"], "originals": [1]}}, "originals must be true or false, got"),
    "a truth that is a text": ({"phi_rotate": {"columns": ["MET.phi"], "originals": "no"}}, "originals must be true or false, got 'no'"),
    "infinite": ({"oversample": {"strata": ["dataset"], "sampling_strategy": {"a": float("inf")}}}, "an option is NaN or infinite"),
    "a very long number": ({"smooth": {"features": ["HT"], "shrinkage": 10**400}}, "shrinkage must be a number, 0 or more"),
    "a key of strata": ({"undersample": {"strata": [{"column": "HT", "edges": [0, 1], "edgse": 2}]}}, "edgse"),
    "a key of objects": ({"lbn": {"inputs": [{"objects": "Jet[:2]", "mss": "m"}], "weights": "a"}}, "mss"),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTION_ERRORS)
def test_option_that_is_refused(case: str) -> None:
    step, sentence = OPTION_ERRORS[case]
    with pytest.raises(PlanError, match=sentence) as error:
        Plan.from_dict({**SMALL, "steps": [step]})
    assert "\n" not in str(error.value)


def test_steps_of_python_are_augmenters() -> None:
    for steps, says in (
        (["split"], "step 0 is 'split', not an augmenter; a plan of dictionaries, .* Plan.from_dict"),
        ([Select], r"not an augmenter; give its options, Select\(\.\.\.\)"),
        ([lambda events: events], r"a function becomes one by @augmenter\(uses="),
        ([[Select("x > 1")]], r"one after the other, \*steps"),
        (Select("x > 1"), r"steps must be a list of augmenters, got Select\(.*; write \[\.\.\.\] around it"),
    ):
        with pytest.raises(PlanError, match=says):
            Plan(inputs={"a": ["a.root"]}, seed=1, steps=steps)  # type: ignore[arg-type]


def test_file_that_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plan '.*gone.yaml' is not there \(read from"):
        Plan.read(tmp_path / "gone.yaml")
    (tmp_path / "bad.yaml").write_text("inputs: [")
    with pytest.raises(PlanError, match="is not YAML"):
        Plan.read(tmp_path / "bad.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.read(tmp_path / "binary.yaml")
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.read(tmp_path)


# Filesets ------------------------------------------------------------------------------------------------------------

ONE = {"tt": {"files": {"a.root": "Events"}, "metadata": {"xsec": 2.0}}}


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())], ids=["json", "gzip"])
def test_fileset_from_a_file(pack: Any, tmp_path: Path) -> None:
    (tmp_path / "fileset.json").write_bytes(pack(json.dumps(ONE)))
    assert Inputs(fileset=str(tmp_path / "fileset.json")).datasets() == Inputs(fileset=ONE).datasets() == ONE


def preprocessed(steps: Any = ((0, 50), (50, 120)), **more: Any) -> dict[str, Any]:
    """What coffea 2026's ``preprocess`` returns."""
    file = {"object_path": "Events", "steps": [list(step) for step in steps], "num_entries": 120, "format": "root",
            "lfn": None, "pfn": None, "uuid": "1", "num_selected_entries": 120}  # fmt: skip
    return {"tt": {"files": {"a.root": file | more}, "metadata": {"xsec": 2.0}, "format": "root", "form": None,
                   "compressed_form": None, "did": None}}  # fmt: skip


def test_fileset_as_coffea_preprocesses_it() -> None:
    assert Inputs(fileset=preprocessed()).datasets() == ONE
    assert Inputs(fileset=preprocessed(object_path=None)).datasets()["tt"]["files"] == {"a.root": None}


@pytest.mark.parametrize("entry", ["a.root", ["a.root"], {"a.root": None}, {"files": ["a.root"]}])
def test_fileset_in_its_short_forms(entry: Any) -> None:
    assert Inputs(fileset={"tt": entry}).datasets() == {"tt": {"files": {"a.root": None}, "metadata": {}}}


def test_files_named_by_paths() -> None:
    """A path is its text: in what the plan says, and in its digest."""
    text = Plan.from_dict({**SMALL, "inputs": {"files": "data/a.root", "dataset": "tt"}})
    assert Plan(inputs=Inputs(files=Path("data/a.root"), dataset="tt"), seed=1, steps=[]).digest == text.digest
    assert Inputs(files=Path("a.root"), dataset="tt").datasets()["tt"]["files"] == {"a.root": None}
    assert Inputs(files=[Path("a.root"), "b.root"], dataset="tt") == Inputs(files=["a.root", "b.root"], dataset="tt")
    assert Inputs(folder=Path("data")) == Inputs(folder="data")
    assert Inputs(fileset={"tt": [Path("a.root")]}).datasets()["tt"]["files"] == {"a.root": None}
    assert Inputs(fileset={"tt": {"files": {Path("a.root"): "Events"}}}) == Inputs(
        fileset={"tt": {"files": {"a.root": "Events"}}}
    )


def test_fileset_file_named_by_a_path(tmp_path: Path) -> None:
    (tmp_path / "fileset.json").write_text(json.dumps(ONE))
    assert Inputs(fileset=tmp_path / "fileset.json").datasets() == ONE


FILESET_ERRORS: dict[str, tuple[Any, str]] = {
    "empty": ({}, "a fileset maps names of data sets to their files, got {}"),
    "unknown key": ({"tt": {"files": ["a"], "xsec": 1}}, r"'tt' has unknown keys \['xsec'\]; there are files and metadata"),
    "listed twice": ({"tt": ["a.root", "a.root"]}, "data set 'tt' lists a file twice; its events would be doubled"),
    "no files": ({"tt": []}, "data set 'tt' has no files"),
    "a number": ({"tt": 3}, "data set 'tt' must list its files, got 3"),
    "some steps only": (preprocessed(((0, 50),)), "the fileset has only some steps of 'a.root'"),
    "a tree that is no name": ({"tt": {"a.root": 1}}, "'a.root' needs the name of its tree, got 1"),
    "is_mc as text": ({"tt": {"files": ["a"], "metadata": {"is_mc": "perhaps"}}}, "is_mc must be true or false, 1 or 0, got 'perhaps'"),
    "xsec as text": ({"tt": {"files": ["a"], "metadata": {"xsec": "830"}}}, "data set 'tt': xsec must be a number, without quotes and unit, got '830'"),
    "infinite": ({"tt": {"files": ["a"], "metadata": {"lumi": float("inf")}}}, "lumi must be a number, got inf"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILESET_ERRORS)
def test_fileset_that_is_refused(case: str) -> None:
    fileset, sentence = FILESET_ERRORS[case]
    with pytest.raises(PlanError, match=sentence):
        Inputs(fileset=fileset).datasets()


def test_fileset_file_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="is not there"):
        Inputs(fileset=str(tmp_path / "gone.json")).datasets()
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(PlanError, match="is not JSON"):
        Inputs(fileset=str(tmp_path / "bad.json")).datasets()
