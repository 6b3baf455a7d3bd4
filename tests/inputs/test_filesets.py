"""Filesets: steps, metadata and names that nobody would heed are refused, and say what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dask_augment.inputs.filesets import FileSaid, check_file, dataset, metadata_of
from dask_augment.plans.plan import Inputs, Plan, PlanError


def said(**more: Any) -> FileSaid:
    files: dict[str, FileSaid] = dataset("tt", {"a.root": {"object_path": "Events", **more}})["files"]
    return files["a.root"]


WHOLE = [
    [[0, 10], [10, 20]],
    [[10, 20], [0, 10]],
    [(0, 20)],
    [0, 10, 20],
    (0, 20),
    [[0, 0], [0, 20]],
    [[np.int64(0), np.int64(20)]],
]


@pytest.mark.parametrize("steps", WHOLE)
@pytest.mark.parametrize("more", [{}, {"num_entries": 20}])
def test_steps_of_whole_files(steps: Any, more: dict[str, Any]) -> None:
    assert said(steps=steps, **more) == FileSaid("Events", 20)


PARTIAL = {
    "the first": ([[0, 10]], "only some steps of 'a.root', entries 0 to 10 of 20"),
    "borders up to the middle": ([0, 10], "only some steps"),
    "the last": ([[10, 20]], "leave out entries 0 to 10"),
    "a gap": ([[0, 5], [10, 20]], "leave out entries 5 to 10"),
    "borders from the middle": ([10, 20], "leave out entries 0 to 10"),
    "none": ([], "only some steps of 'a.root', entries 0 to 0 of 20"),
    "too many": ([[0, 30]], "go up to entry 30, but num_entries is 20"),
    "twice": ([[0, 10], [5, 20]], "overlap at entry 5, which would be read twice"),
    "backwards": ([[10, 0]], r"a step must end after its start, got \[10, 0\]"),
    "borders backwards": ([20, 10, 0], "borders must grow"),
    "negative": ([[-1, 20]], "must be whole numbers that are not negative, got -1"),
    "floats": ([[0.0, 20.0]], "must be whole numbers"),
    "true": ([[False, True]], "must be whole numbers"),
    "three": ([[0, 10, 20]], "must be a list such as"),
    "mixed": ([[0, 10], 20], "must be a list such as"),
    "text": ("0:20", "must be a list such as"),
    "number": (20, "must be a list such as"),
}


@pytest.mark.parametrize("case", PARTIAL)
def test_steps_that_are_refused(case: str) -> None:
    steps, sentence = PARTIAL[case]
    with pytest.raises(PlanError, match=sentence) as error:
        said(steps=steps, num_entries=20)
    assert "data set 'tt'" in str(error.value)
    assert "steps" in str(error.value)
    assert "'a.root'" in str(error.value)


def test_file_that_is_not_as_the_fileset_says() -> None:
    check_file("tt", "a.root", FileSaid(None, 20, "u"), 20, "u")
    check_file("tt", "a.parquet", FileSaid(None, None, "u"), 20, None)
    with pytest.raises(
        PlanError, match=r"data set 'tt': the fileset has only some steps of 'a.root', entries 0 to 10 of 20"
    ):
        check_file("tt", "a.root", FileSaid(None, 10), 20, "u")
    with pytest.raises(PlanError, match=r"says steps of 'a.root' up to entry 30, but it has 20"):
        check_file("tt", "a.root", FileSaid(None, 30), 20, "u")
    with pytest.raises(PlanError, match="has the uuid v, but it has u: it is another file now"):
        check_file("tt", "a.root", FileSaid(None, 20, "v"), 20, "u")


def test_key_of_a_file_that_nobody_reads() -> None:
    with pytest.raises(PlanError, match=r"'a.root' has unknown keys \['step'\]; did you mean 'steps'"):
        said(step=[[0, 10]])
    with pytest.raises(PlanError, match=r"uuid of 'a.root' must be a text, got 5"):
        said(uuid=5)


@pytest.mark.parametrize(
    "key",
    [
        "xs",
        "XS",
        "cross_section",
        "crossSection",
        "cross-section",
        "CrossSection",
        "XSEC",
        "Xsec",
        "xsection",
        "xsec_pb",
        "xsecs",
        "sigma",
        "kfactor",
        "kFactor",
        "k_factor",
        "br",
        "BR",
        "branching_ratio",
        "filter_eff",
        "filterEff",
        "gen_filter_efficiency",
        "lumi_mask",
        "luminosity",
        "int_lumi",
        "Lumi",
        "goldenJSON",
        "nevents",
        "nEvents",
        "nevts",
        "n_events",
        "num_entries",
        "sumw",
        "sum_w",
        "sumOfWeights",
        "genEventSumw",
        "sum_genweights",
        "genweight",
        "weight",
        "norm",
        "normalization",
        "scale_factor",
        "xsce",
        "lumy",
        "events",
        "xs_nlo",
    ],
)
def test_metadata_that_weights_would_depend_on(key: str) -> None:
    with pytest.raises(PlanError, match=f"data set 'tt' has metadata '{key}', which has no meaning here: ") as error:
        metadata_of("tt", {"xsec": 830.0, key: 1.0})
    assert len(str(error.value)) < 300


def test_metadata_of_ones_own() -> None:
    own = {
        "year": "2018",
        "era": "B",
        "process": "ttbar",
        "sample": "TTTo2L2Nu",
        "part": 1,
        "das_names": ["/a/b"],
        "short": None,
    }
    assert metadata_of("tt", {**own, "xsec": np.float32(2), "is_mc": True}) == {**own, "xsec": 2.0, "is_mc": True}
    assert metadata_of("tt", None) == {}


METADATA_ERRORS: dict[str, tuple[Any, str]] = {
    "a list": ([1], r"metadata must be a dictionary such as \{xsec: 830.0\}, got \[1\]"),
    "true": (True, "metadata must be a dictionary"),
    "false": (False, "metadata must be a dictionary"),
    "a number": (5, "metadata must be a dictionary"),
    "a text": ("x", "metadata must be a dictionary"),
    "zero": ({"xsec": 0}, "xsec must be above 0, got 0: with it no event would count"),
    "negative": ({"lumi": -1.0}, "lumi must be above 0"),
    "NaN": ({"xsec": float("nan")}, "xsec must be a number, got nan"),
    "infinite": ({"xsec": float("inf")}, "xsec must be a number, got inf"),
    "text": ({"xsec": "1e3"}, "xsec must be a number, without quotes and unit, got '1e3'"),
    "list": ({"xsec": [1.0]}, r"xsec must be a number, got \[1.0\]"),
    "400 digits": ({"xsec": 10**400}, "xsec must be a number, got one of 401 digits"),
    "NaN elsewhere": (
        {"foo": {"bar": float("nan")}},
        "metadata: foo: bar is nan, which is no number that could be stored",
    ),
    "an object": ({"foo": {1, 2}}, "metadata: foo must be a text, a number"),
    "a key that is no text": ({2018: 1}, "metadata has the key 2018, which must be a text"),
}


@pytest.mark.parametrize("case", METADATA_ERRORS)
def test_metadata_that_are_refused(case: str) -> None:
    given, sentence = METADATA_ERRORS[case]
    with pytest.raises(PlanError, match=f"data set 'tt': {sentence}"):
        Inputs(fileset={"tt": {"files": ["a.root"], "metadata": given}}).datasets()
    with pytest.raises(PlanError, match=sentence):
        Inputs(files="a.root", dataset="tt", metadata=given)


@pytest.mark.parametrize("name", [5, 2018, ["a"], True, "", "a\0b"])
def test_data_set_whose_name_is_no_text(name: Any) -> None:
    with pytest.raises(PlanError, match="name of a data set must"):
        Inputs(files="a.root", dataset=name)
    if not isinstance(name, list):
        with pytest.raises(PlanError, match="name of a data set must"):
            Inputs(fileset={name: ["a.root"]}).datasets()


@pytest.mark.parametrize("more", [{"weight": None}, {"weight": ["a"]}, {"tree": 5}, {"weight": ""}])
def test_options_of_inputs_that_are_no_names(more: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=r"inputs: (weight|tree) must be a name, got"):
        Inputs(files="a.root", dataset="tt", **more)


@pytest.mark.parametrize("files", [5, [5], [""], "a\0.root", {"a.root": "Events", 5: "Events"}])
def test_files_that_are_no_paths(files: Any) -> None:
    with pytest.raises(PlanError, match="data set 'tt'"):
        Inputs(files=files, dataset="tt").datasets()


@pytest.mark.parametrize("path", [["a"], 5, "", "a\0b"])
def test_output_that_is_no_path(path: Any) -> None:
    with pytest.raises(PlanError, match="output: path must be a path"):
        Plan(inputs={"a": ["a.root"]}, steps=[], seed=1, output={"path": path})
    assert Plan(inputs={"a": ["a.root"]}, steps=[], seed=1, output={"path": Path("x")}).to_dict()["output"] == {
        "path": "x"
    }


def test_models_of_coffea() -> None:
    specs = pytest.importorskip("coffea.dataset_tools.filespec")
    file = {"object_path": "Events", "steps": [[0, 10], [10, 20]], "num_entries": 20, "uuid": "u", "format": "root"}
    group = specs.DataGroupSpec({"tt": {"files": {"a.root": file}, "metadata": {"xsec": 2.0}}})
    described = Inputs(fileset=group).described()
    assert described == {"tt": {"files": {"a.root": FileSaid("Events", 20, "u")}, "metadata": {"xsec": 2.0}}}
    with pytest.raises(PlanError, match="only some steps"):
        Inputs(fileset=group.limit_steps(1)).described()


BELOW = {
    "xsec": {"mc": {"xsec": 3.0}},
    "lumi": {"periods": [{"lumi": 3.0}]},
    "is_mc": {"about": {"is_mc": False}},
    "isData": {"about": {"deep": {"isData": True}}},
    "cross_section": {"sample": {"cross_section": 3}},
    "nevents": {"das": [{"nevents": 3}]},
}


@pytest.mark.parametrize("key", BELOW)
def test_what_weights_depend_on_is_not_read_below_other_keys(key: str) -> None:
    with pytest.raises(PlanError, match=f"data set 'tt' has (metadata )?'{key}'"):
        Inputs(fileset={"tt": {"files": ["a.root"], "metadata": BELOW[key]}}).datasets()
    harmless = {"das": {"name": "/TT/x", "years": [2018]}, "triggers": ["HLT_A"]}
    assert Inputs(fileset={"tt": {"files": ["a.root"], "metadata": harmless}}).datasets()["tt"]["metadata"] == harmless


@pytest.mark.parametrize(
    "key", ["prescale", "HLT_prescale", "pu_weight", "weight_scale", "ngen", "N_gen", "nGenerated"]
)
def test_what_would_scale_weights_is_refused(key: str) -> None:
    with pytest.raises(PlanError, match=f"'{key}', which has no meaning here"):
        Inputs(fileset={"tt": {"files": ["a.root"], "metadata": {key: 3}}}).datasets()


def test_data_sets_inside_data_sets() -> None:
    with pytest.raises(PlanError, match=r"data set 'tt' holds another one, 'nominal'.* 'tt_nominal'"):
        Inputs(fileset={"tt": {"nominal": {"files": ["a.root"]}}}).datasets()
