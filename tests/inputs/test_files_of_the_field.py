"""Files as other programs write them: names with dots, RNTuples, records, categories, addresses, trees after a colon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import awkward as ak
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from dask_augment.dataset.publication import RunFailed
from dask_augment.inputs.find import find
from dask_augment.inputs.paths import with_tree
from dask_augment.inputs.root_files import Root, Tree
from dask_augment.inputs.sources import Source
from dask_augment.plans.plan import Inputs, Plan, PlanError
from dask_augment.runs.pools import Iterative
from dask_augment.runs.prepare import prepare
from dask_augment.runs.run import dry_run, run
from run_toys import columns, plan, read, write

SPLIT = ({"split": {"train": 0.5}},)
LISTS = ak.Array([[50.0, 10.0, 40.0], [], [5.0], [60.0]])
IDS = {"run": np.ones(4, "u4"), "luminosityBlock": np.ones(4, "u4"), "event": np.arange(4, dtype="u8")}


def outcome(tmp_path: Path, *files: Any, steps: Any = (), keep: Any = None, **inputs: Any) -> ak.Array:
    """The rows that a plan over these files publishes."""
    output = {} if keep is None else {"keep": list(keep)}
    given = {"files": [str(file) for file in files], "dataset": "toy", **inputs}
    return read(run(plan(inputs=given, steps=[*steps, *SPLIT], output=output), tmp_path / "out"))


def written(path: Path, **values: Any) -> Path:
    """Four events as a flat tree."""
    values = {**IDS, **values}
    with uproot.recreate(path) as file:
        kinds = {name: v.dtype if isinstance(v, np.ndarray) else v.type.content for name, v in values.items()}
        file.mktree("Events", kinds)
        file["Events"].extend(values)
    return path


def in_parquet(path: Path, **values: Any) -> Path:
    """Four events as Parquet."""
    pq.write_table(pa.table({**{name: pa.array(v) for name, v in IDS.items()}, **values}), path)
    return path


# Names ---------------------------------------------------------------------------------------------------------------


def test_branches_with_dots_are_read_kept_and_read_back(tmp_path: Path) -> None:
    met = np.arange(4.0)
    path = written(tmp_path / "a.root", **{"Fat.PT": LISTS, "MissingET.MET": met, "A.b.c": met * 2})
    steps = [
        {"define": {"HT": "sum(Fat.PT)", "twice": "MissingET.MET * 2", "x": "A.b.c + Fat_PT[0] * 0"}},
        {"select": "nFat > 0"},
    ]
    rows = outcome(tmp_path, path, steps=steps[:1], keep=["Fat.*", "MissingET.MET", "A.b.c"])
    assert rows.HT.to_list() == [100, 0, 5, 60]
    assert rows.twice.to_list() == [0, 2, 4, 6]
    assert rows.Fat_PT.to_list() == LISTS.to_list()
    assert {"MissingET_MET", "A_b_c", "nFat"} <= set(rows.fields)
    # The published names are read by the names that the file had.
    steps = [{"define": {"again": "MissingET.MET + A.b.c"}}, {"select": "nFat > 0"}]
    result = run(plan(inputs={"folder": str(tmp_path / "out")}, steps=[*steps, *SPLIT]), tmp_path / "again")
    assert read(result).again.to_list() == [0.0, 6.0, 9.0]


def test_ids_and_weights_with_dots(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.root", **{"Event.Number": np.arange(4), "Event.Weight": np.array([1.0, 2.0, 3.0, 4.0])}
    )
    given = {"files": str(path), "dataset": "toy", "ids": ["Event.Number"], "weight": "Event.Weight"}
    result = run(plan(inputs=given, steps=SPLIT), tmp_path / "out")
    rows = ak.from_parquet(str(tmp_path / "out"))
    assert sorted(rows.Event_Number.to_list()) == [0, 1, 2, 3]
    assert sorted(rows.weight.to_list()) == [1, 2, 3, 4]
    assert result.manifest.extra["ids"]["columns"] == ["Event.Number"]


def test_two_branches_of_one_flat_name_are_refused_only_where_they_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.root", **{"Jet.pt": LISTS, "Jet_pt": LISTS, "x": np.arange(4.0)})
    assert len(outcome(tmp_path, path, keep=["x"])) == 4
    with pytest.raises(
        PlanError, match=r"column 'Jet\.pt' .* cannot be read: 'Jet\.pt' and 'Jet_pt' would both be named"
    ):
        outcome(tmp_path, path, steps=[{"define": {"HT": "sum(Jet.pt)"}}])


def test_a_name_is_never_proposed_for_itself_and_names_are_shown_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path / "a.root", **{"lead_pt": np.arange(4.0), "is_signal": np.ones(4, bool), "Fat.PT": LISTS})
    for name, near in (("lead_ptt", "lead_pt"), ("is_signl", "is_signal"), ("Fat.PTT", "Fat.PT")):
        with pytest.raises(PlanError, match=f"no input file has a column '{name}'; the nearest are {near}"):
            outcome(tmp_path, path, steps=[{"define": {"x": f"{name} * 2"}}])


def test_a_branch_that_cannot_be_read_fails_only_who_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.root", x=np.arange(4.0), bad=np.arange(4.0))
    real = Tree._form

    def form(tree: Tree, key: str) -> Any:
        if key == "bad":
            raise NotImplementedError("no interpretation")
        return real(tree, key)

    monkeypatch.setattr(Tree, "_form", form)
    given = {"files": str(path), "dataset": "toy"}
    result = run(plan(inputs=given, steps=SPLIT, output={"keep": ["*"]}), tmp_path / "out")
    assert "x" in read(result).fields
    assert "bad" not in read(result).fields
    assert "bad: NotImplementedError: no interpretation" in result.warnings[0]
    with pytest.raises(PlanError, match=r"column 'bad' of input file .* cannot be read: NotImplementedError"):
        outcome(tmp_path, path, steps=[{"define": {"y": "bad * 2"}}])


def test_pandas_columns_of_two_levels(tmp_path: Path) -> None:
    values = {("ak8Pt", "0"): [1.0, 2.0], ("ak8Pt", "1"): [3.0, 4.0], ("event", ""): [7, 8]}
    pd.DataFrame(values).to_parquet(tmp_path / "a.parquet")
    rows = outcome(
        tmp_path,
        tmp_path / "a.parquet",
        ids=["event"],
        steps=[{"define": {"s": "ak8Pt_0 + ak8Pt_1"}}],
        keep=["ak8Pt_*"],
    )
    assert rows.s.to_list() == [4.0, 6.0]
    assert rows.ak8Pt_1.to_list() == [3.0, 4.0]


# Numbers beside lists, records, categories --------------------------------------------------------------------------


def test_a_number_and_a_flag_beside_lists(tmp_path: Path) -> None:
    number, flag = np.array([3, 0, 1, 1], "u4"), np.array([True, False, False, True])
    path = written(tmp_path / "a.root", lep_n=number, lep_pt=LISTS, lep_trig=flag)
    steps = [{"define": {"x": "sum(lep.pt) + lep.n"}}]
    rows = outcome(tmp_path, path, steps=[{"select": "lep.n >= 1"}, {"select": "nlep >= 1"}, *steps], keep=["lep.*"])
    assert rows.x.to_list() == [103, 6, 61]
    assert rows.lep_n.to_list() == [3, 1, 1]
    assert rows.lep_trig.to_list() == [True, False, True]
    assert rows.lep_pt.to_list() == [[50, 10, 40], [5], [60]]
    assert rows.nlep.to_list() == [3, 1, 1]


NESTED = ak.Array(
    {
        **IDS,
        "Jet": ak.zip({"pt": LISTS, "phi": LISTS / 100, "track": ak.zip({"x": LISTS * 2})}),
        "MET": ak.zip({"pt": np.arange(4.0)}),
    }
)


@pytest.mark.parametrize("kind", ["parquet", "rntuple"])
def test_records_and_lists_of_records_are_collections(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{'parquet' if kind == 'parquet' else 'root'}"
    if kind == "parquet":
        ak.to_parquet(NESTED, path, row_group_size=3)
    else:
        with uproot.recreate(path) as file:
            file.mkrntuple("Events", {name: NESTED[name] for name in NESTED.fields})
    steps = [{"define": {"HT": "sum(Jet.pt)", "m": "MET.pt * 2", "t": "sum(Jet.track.x)"}}, {"select": "nJet != 1"}]
    given = {"files": str(path), "dataset": "toy"}
    for chunksize in (1, 3, 100):
        result = run(
            plan(inputs=given, steps=[*steps, *SPLIT], output={"keep": ["Jet.*", "MET.*"]}), tmp_path / f"out{chunksize}",
            chunksize=chunksize,
        )  # fmt: skip
        rows = read(result)
        assert rows.HT.to_list() == [100, 0]
        assert rows.m.to_list() == [0, 2]
        assert rows.t.to_list() == [200, 0]
        assert rows.Jet_track_x.to_list() == [[100, 20, 80], []]
        assert rows.nJet.to_list() == [3, 0]
    # The number of objects alone is known too.
    rows = outcome(tmp_path, path, steps=[{"select": "nJet == 1"}])
    assert len(rows) == 2


def test_missing_records_are_missing_values(tmp_path: Path) -> None:
    jets = pa.array([[{"pt": 1.0}, None], [], None, [{"pt": None}]], pa.list_(pa.struct([("pt", pa.float64())])))
    met = pa.array([{"pt": 1.0}, None, {"pt": 2.0}, {"pt": None}])
    path = in_parquet(tmp_path / "a.parquet", Jet=jets, MET=met)
    rows = outcome(tmp_path, path, keep=["Jet.pt", "MET.pt"])
    assert rows.Jet_pt.to_list() == [[1.0, None], [], None, [None]]
    assert rows.MET_pt.to_list() == [1.0, None, 2.0, None]


def test_records_without_a_missing_value_are_not_nullable(tmp_path: Path) -> None:
    kind = pa.list_(pa.struct([("pt", pa.float64())]))
    path = in_parquet(tmp_path / "a.parquet", Jet=pa.array([[{"pt": 1.0}], [], [], [{"pt": 2.0}]], kind))
    result = run(
        plan(inputs={"files": str(path), "dataset": "t"}, steps=SPLIT, output={"keep": ["Jet.pt"]}), tmp_path / "out"
    )
    assert result.manifest.schema[0] == ["Jet_pt", "list<double not null>", False]


@pytest.mark.parametrize("codes", ["uint8", "uint32", "int16"])
def test_categories_of_any_codes_are_texts(codes: str, tmp_path: Path) -> None:
    kind = pa.dictionary(getattr(pa, codes)(), pa.string())
    era = pa.array(["A", "B", "A", "B"]).dictionary_encode().cast(kind)
    in_parquet(tmp_path / "a.parquet", era=era, tags=pa.ListArray.from_arrays([0, 2, 2, 3, 4], era))
    in_parquet(tmp_path / "b.parquet", era=pa.array(["C"] * 4), tags=pa.array([["D"]] * 4))
    inputs = {"fileset": {"a": [str(tmp_path / "a.parquet")], "b": [str(tmp_path / "b.parquet")]}}
    result = run(plan(inputs=inputs, steps=SPLIT, output={"keep": ["era", "tags"]}), tmp_path / "out")
    rows = ak.concatenate([ak.from_parquet(str(tmp_path / "out" / file.path)) for file in result.manifest.files])
    assert sorted(rows.era.to_list()) == ["A", "A", "B", "B", "C", "C", "C", "C"]
    assert rows[:4].tags.to_list() == [["A", "B"], [], ["A"], ["B"]]


def test_ntuples_and_trees_in_one_plan(tmp_path: Path) -> None:
    values = columns(12, 9)
    pt = ak.values_astype(values["Jet"].pt, np.float64)
    with uproot.recreate(tmp_path / "b.root") as file:
        flat = {name: value for name, value in values.items() if name != "Jet"}
        file.mkrntuple("Events", {**flat, "Jet_pt": pt, "unread": np.arange(9)})
    files = [write(tmp_path / "a.root", 0, 12), str(tmp_path / "b.root")]
    for ids in (["run", "luminosityBlock", "event"], "position"):
        given = {"files": files, "dataset": "toy", "ids": ids}
        hashes = set()
        for chunksize in (5, 100):
            asked = plan(
                inputs=given, steps=[{"define": {"HT": "sum(Jet.pt)"}}, *SPLIT], output={"keep": ["Jet.pt", "event"]}
            )
            result = run(asked, tmp_path / f"out{chunksize}{len(ids)}", chunksize=chunksize)
            hashes.add(result.manifest.logical_hash)
        rows = read(result)
        assert len(hashes) == 1
        assert rows.event.to_list() == list(range(21))
        expected = [*ak.sum(columns(0, 12)["Jet"].pt, axis=1), *ak.sum(pt, axis=1)]
        np.testing.assert_allclose(np.asarray(rows.HT), expected, rtol=1e-6)
        assert ["Jet_pt", "list<double not null>", False] in result.manifest.schema


# Addresses, trees and bases ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_parquet_by_url_pattern_and_folder(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = in_parquet(tmp_path / "in" / "a.parquet", x=np.arange(4.0))
    root = f"file://{tmp_path}/in" if scheme == "file" else f"memory://{tmp_path.name}"
    if scheme == "memory":
        with fsspec.open(f"{root}/a.parquet", "wb") as stream:
            stream.write(path.read_bytes())
    for number, inputs in enumerate(
        [
            {"files": f"{root}/a.parquet"},
            {"files": f"{root}/*.parquet"},
            {"files": [f"{root}/a.parquet"]},
            {"folder": root},
        ]
    ):
        given = inputs if "folder" in inputs else {**inputs, "dataset": "toy"}
        result = run(plan(inputs=given, steps=[{"define": {"y": "x * 2"}}, *SPLIT]), tmp_path / f"out{number}")
        assert read(result).y.to_list() == [0, 2, 4, 6]
    with pytest.raises(PlanError, match=r"no file matches '.*/b\*\.parquet'"):
        find(Inputs(files=f"{root}/b*.parquet", dataset="toy"))
    with pytest.raises(PlanError, match=r"folder '.*/gone' is not there"):
        find(Inputs(folder=f"{root}/gone"))
    with pytest.raises(RunFailed, match="FileNotFoundError"):
        outcome(tmp_path, f"{root}/gone.parquet")


@pytest.mark.parametrize(
    ("said", "expected"),
    [("a.root:Events", ("a.root", "Events")), ("/d/a.root:dir/tree", ("/d/a.root", "dir/tree")), ("a.root", ("a.root", None)),
     ("root://host:1094//x.root:Events", ("root://host:1094//x.root", "Events")),
     ("root://host:1094//x.root", ("root://host:1094//x.root", None)), ("root://host:1094", ("root://host:1094", None)),
     ("root://host//x.root", ("root://host//x.root", None)), ("https://a.b/x.root?t=1:2", ("https://a.b/x.root?t=1:2", None)),
     ("D.pool.root.1:CollectionTree", ("D.pool.root.1", "CollectionTree")), ("a:b/c.parquet", ("a:b/c.parquet", None)),
     ("*.root:Events", ("*.root", "Events")), ("file:///d/x.root:T", ("file:///d/x.root", "T"))],
)  # fmt: skip
def test_tree_after_a_colon(said: str, expected: tuple[str, str | None]) -> None:
    assert with_tree(said, ".") == expected


def test_a_file_whose_name_has_a_colon_is_that_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root:b", 0, 4)
    assert with_tree(path, ".") == (path, None)
    assert len(outcome(tmp_path, path)) == 4


def test_tree_after_a_colon_is_read_and_may_not_contradict(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", 0, 4, tree="Other")
    assert len(outcome(tmp_path, f"{path}:Other")) == 4
    assert find(Inputs(files=f"{tmp_path}/*.root:Other", dataset="toy", tree="Other"))[0] == [
        Source("toy", path, Root("Other"))
    ]
    with pytest.raises(PlanError, match="names the tree 'Other', and the plan says 'Third' of the same file"):
        outcome(tmp_path, f"{path}:Other", tree="Third")
    with pytest.raises(PlanError, match="names the tree 'Other', and the plan says 'Third' of the same file"):
        find(Inputs(fileset={"toy": {f"{path}:Other": "Third"}}))
    with pytest.raises(PlanError, match="names the tree 'Other', and the plan says 'Events' of the same file"):
        outcome(tmp_path, f"{path}:Other", tree="Events")
    with pytest.raises(PlanError, match=r"is a folder: name its files by a pattern"):
        outcome(tmp_path, tmp_path)
    with pytest.raises(PlanError, match="a Parquet file has no trees"):
        find(Inputs(files=f"{tmp_path}/x.parquet:Events", dataset="toy"))


def test_a_tree_that_no_file_has_is_a_fault_of_the_plan(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.root", 4 * at, 4, tree="Other") for at, name in enumerate("ab")]
    for most in (0, 5):
        with pytest.raises(PlanError, match=r"has no tree 'Events'; it has \['Other'\].*inputs: \{tree"):
            run(plan(*files, steps=SPLIT), tmp_path / "out", max_bad_files=most)


def test_one_base_for_all_that_a_plan_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "analysis", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    write(folder / "a.root", 0, 4)
    (folder / "fileset.json").write_text('{"toy": ["a.root"]}')
    (folder / "mine.py").write_text(
        "import dask_augment as da\n@da.augmenter(uses=['MET.pt'], produces={'x': 'float32'})\ndef x(events):\n    return events.MET.pt\n"
    )
    digests = set()
    for inputs in ("{files: a.root, dataset: toy}", "{files: '*.root', dataset: toy}", "{fileset: fileset.json}"):
        (folder / "plan.yaml").write_text(
            f"inputs: {inputs}\nseed: 1\nsteps: [mine.py:x]\nsplit: none\noutput: {{path: out}}\n"
        )
        for where, named in (
            (folder, "plan.yaml"),
            (elsewhere, "../analysis/plan.yaml"),
            (tmp_path, folder / "plan.yaml"),
        ):
            monkeypatch.chdir(where)
            result = run(named)
            assert result.path == folder / "out"
            assert result.rows == 4
            digests.add((inputs, result.manifest.digest))
        os.rename(folder / "out", tmp_path / f"out{len(digests)}")
    # Where a plan lies is no part of what it is.
    assert len(digests) == 3
    monkeypatch.chdir(elsewhere)
    assert run(folder / "plan.yaml", "here").path == elsewhere / "here"


def test_a_file_that_lies_in_the_working_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plans").mkdir()
    write(tmp_path / "a.root", 0, 4)
    monkeypatch.chdir(tmp_path)
    for files in ("a.root", "'*.root'"):
        (tmp_path / "plans" / "p.yaml").write_text(
            f"inputs: {{files: {files}, dataset: toy}}\nseed: 1\nsteps: [split: {{train: 0.5}}]\n"
        )
        with pytest.raises(
            PlanError, match=r"it lies in the working directory, but .* counts from the folder of that file"
        ):
            dry_run(Plan.read("plans/p.yaml"), tmp_path / "out")


def test_paths_of_the_session_are_those_of_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a task gets does not depend on the directory that it runs in; what is hashed is the path as it is named."""
    write(tmp_path / "a.root", 0, 4)
    monkeypatch.chdir(tmp_path)
    work = prepare(plan("a.root", steps=SPLIT), tmp_path / "out", Iterative(), chunksize=10)
    monkeypatch.chdir("/")
    assert len(work.reader(work.parts[0])) == 4
    assert [part.input["file"] for part in work.parts] == ["a.root"]


# Columns that only some files have ----------------------------------------------------------------------------------


@pytest.fixture
def era(tmp_path: Path) -> list[str]:
    """Two files, of which the second has one trigger, one field of jets and one collection more."""
    flag = np.arange(4) % 2 == 0
    first = {"HLT_Old": flag, "Jet_pt": LISTS}
    second = {
        **first,
        "HLT_New": flag,
        "Jet_tag": LISTS / 10,
        "GenJet_pt": LISTS,
        "event": np.arange(4, 8).astype("u8"),
    }
    return [str(written(tmp_path / "a.root", **first)), str(written(tmp_path / "b.root", **second))]


def test_a_pattern_means_what_all_files_have_and_one_warning_lists_the_rest(era: list[str], tmp_path: Path) -> None:
    given = {"files": era, "dataset": "toy"}
    asked = plan(inputs=given, steps=SPLIT, output={"keep": ["HLT.*", "Jet.*", "GenJet.*"]})
    result = run(asked, tmp_path / "out")
    assert set(read(result).fields) >= {"HLT_Old", "Jet_pt"}
    assert not {"HLT_New", "Jet_tag", "GenJet_pt"} & set(read(result).fields)
    (warning,) = result.warnings
    assert "3 columns" in warning
    assert all(name in warning for name in ("HLT_New", "Jet_tag", "GenJet_pt"))
    assert warning in repr(result)
    assert dry_run(asked, tmp_path / "other")["warnings"] == [warning]


def test_what_is_filled_is_there(era: list[str], tmp_path: Path) -> None:
    fill = {"HLT.New": False, "Jet_tag": -1, "GenJet.pt": []}
    rows = outcome(
        tmp_path, *era, keep=["HLT.*", "Jet.*", "GenJet.*"], fill=fill, steps=[{"define": {"n": "HLT.New + 0"}}]
    )
    assert rows.HLT_New.to_list() == [False] * 4 + [True, False, True, False]
    assert rows.Jet_tag[:4].to_list() == [[-1, -1, -1], [], [-1], [-1]]
    assert rows.Jet_tag[4:].to_list() == (LISTS / 10).to_list()
    assert rows.GenJet_pt.to_list() == [[]] * 4 + LISTS.to_list()
    assert rows.nGenJet.to_list() == [0] * 4 + [3, 0, 1, 1]
    assert "?" not in str(rows.type)
    assert rows.n.to_list() == [0, 0, 0, 0, 1, 0, 1, 0]


def test_a_column_of_no_file_is_made_where_keep_names_it(era: list[str], tmp_path: Path) -> None:
    rows = outcome(tmp_path, *era, keep=["HLT.Never"], fill={"HLT.Never": False})
    assert rows.HLT_Never.to_list() == [False] * 8


@pytest.mark.parametrize(
    ("fill", "sentence"),
    [({"HLT.New": 2}, r"fill gives 'HLT_New' 2, but the column is bool"), ({"HLT.New": None}, "must give 'HLT.New' one number"),
     ({"HLT.New": []}, "gives 'HLT_New' no objects, but it is bool"), ({"Jet.tag": []}, "but '.*a.root' has 'Jet_pt'"),
     ({"GenJet.pt": 0}, "no column of 'GenJet' is read"), ({"HLT.Nwe": False}, "which no input file has"), ({"MET.pt": 0}, "which no step uses"),
     ({"HLT.New": float("nan")}, "must give 'HLT.New' one number")],
)  # fmt: skip
def test_fill_that_does_not_fit_is_refused(fill: Any, sentence: str, era: list[str], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=sentence):
        outcome(tmp_path, *era, keep=["HLT.*", "Jet.*", "GenJet.*"], fill=fill)


@pytest.mark.parametrize("fill", [["HLT.New"], {1: 2}, "x"])
def test_fill_of_another_form_is_refused(fill: Any) -> None:
    with pytest.raises(PlanError, match="fill must say what fills each column"):
        Inputs(files="a.root", dataset="toy", fill=fill)


def test_names_that_are_missing_are_told_all_at_once(era: list[str], tmp_path: Path) -> None:
    with pytest.raises(PlanError) as told:
        outcome(tmp_path, *era, keep=["HLT.New", "Jet.tag"], steps=[{"define": {"x": "HLT.Never + MET.pt"}}])
    for name in ("HLT.New", "Jet.tag"):
        assert f"column {name!r} is not in every input file" in str(told.value)
        assert f"fill: {{{name}: ...}}" in str(told.value)
    for name in ("HLT.Never", "MET.pt"):
        assert f"no input file has a column {name!r}" in str(told.value)


def test_the_last_pattern_that_names_a_column_decides(era: list[str], tmp_path: Path) -> None:
    given = {"files": era[1:], "dataset": "toy"}

    def kept(*keep: str) -> set[str]:
        work = dry_run(plan(inputs=given, steps=SPLIT, output={"keep": list(keep)}), tmp_path / "out")
        return {name for name in work["columns"] if name.startswith(("HLT", "Jet"))}

    assert kept("HLT.*", "!HLT.N*") == {"HLT_Old"}
    assert kept("HLT.*", "!HLT.*", "HLT.New") == {"HLT_New"}
    assert kept("*", "!Jet.tag", "!GenJet*") == {"HLT_Old", "HLT_New", "Jet_pt"}
    with pytest.raises(PlanError, match=r"keep begins with '!Jet\.\*', and nothing is kept before it"):
        kept("!Jet.*")
    with pytest.raises(PlanError, match=r"keep names 'Jte\.\*', which is no column"):
        kept("HLT.*", "!Jte.*")
    for name in ("event", "split"):
        with pytest.raises(PlanError, match=f"keep leaves out '{name}', which is always written"):
            kept("*", f"!{name}")


def test_types_that_differ_leave_a_column_out_of_a_pattern_but_not_of_names(tmp_path: Path) -> None:
    files = [in_parquet(tmp_path / "a.parquet", x=pa.array([1.0] * 4), y=pa.array([1] * 4)),
             in_parquet(tmp_path / "b.parquet", x=pa.array(["t"] * 4), y=pa.array([1] * 4))]  # fmt: skip
    inputs = {"fileset": {"a": [str(files[0])], "b": [str(files[1])]}}
    result = run(plan(inputs=inputs, steps=SPLIT, output={"keep": ["*"]}), tmp_path / "out")
    assert "x: column 'x' is string in" in result.warnings[0]
    with pytest.raises(PlanError, match="column 'x' is string in"):
        dry_run(plan(inputs=inputs, steps=SPLIT, output={"keep": ["x"]}), tmp_path / "out2")


def test_generator_columns_of_simulation_beside_data(tmp_path: Path) -> None:
    data = written(tmp_path / "data.root", Jet_pt=LISTS)
    simulation = written(tmp_path / "mc.root", Jet_pt=LISTS, Jet_flavour=LISTS, genWeight=np.ones(4, "f4"))
    fileset = {"data": {"files": [str(data)], "metadata": {"is_mc": False}}, "mc": {"files": [str(simulation)]}}
    asked = plan(inputs={"fileset": fileset, "fill": {"Jet.flavour": 0}}, steps=SPLIT, output={"keep": ["Jet.*"]})
    result = run(asked, tmp_path / "out")
    rows = {name: ak.from_parquet(str(tmp_path / "out" / f"dataset={name}")) for name in fileset}
    assert rows["data"].Jet_flavour.to_list() == [[0, 0, 0], [], [0], [0]]
    assert rows["mc"].Jet_flavour.to_list() == LISTS.to_list()
    assert result.warnings == ()


# What counts as unreadable -------------------------------------------------------------------------------------------


def test_position_alone_knows_the_number_of_events(tmp_path: Path) -> None:
    path = written(tmp_path / "a.root", x=np.arange(4.0))
    given = {"files": str(path), "dataset": "toy", "ids": "position"}
    assert run(plan(inputs=given, steps=SPLIT), tmp_path / "out").rows == 4
    assert dry_run(plan(inputs=given, steps=SPLIT), tmp_path / "other")["datasets"]["toy"]["entries"] == 4


@pytest.mark.parametrize("most", [0, 5])
def test_mistakes_in_a_plan_are_no_faults_of_files(most: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.root", **{"Jet.pt": LISTS, "x": np.arange(4.0), "genWeight": np.ones(4)})
    for wrong, sentence in (
        ({"ids": ["Jet.pt"]}, r"ids names 'Jet\.pt', which is list<.*one whole number for each event"),
        ({"ids": ["x"]}, "ids names 'x', which is double; an id is one whole number"),
        ({"ids": ["never"]}, "no input file has a column 'never'"),
        ({"tree": "Evnts"}, "has no tree 'Evnts'"),
        ({"weight": "Jet.pt"}, "must be one number for each event"),
        ({"weight": "nope"}, "no input file has the weight 'nope'"),
    ):
        given = {"files": str(path), "dataset": "toy", **wrong}
        with pytest.raises(PlanError, match=sentence):
            run(plan(inputs=given, steps=SPLIT), tmp_path / "out", max_bad_files=most)
    for wrong in ({"weight": None}, {"tree": 3}, {"tree": ""}, {"weight": 3}):
        with pytest.raises(PlanError, match="must be a name, got"):
            Inputs(files="a.root", dataset="toy", **wrong)


def test_what_is_no_root_file_is_a_fault_of_the_file(tmp_path: Path) -> None:
    good, bad = written(tmp_path / "a.root"), tmp_path / "b.root"
    bad.write_bytes(good.read_bytes()[:300])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 no more")
    files = [str(good), str(bad), str(tmp_path / "c.parquet"), str(tmp_path / "gone.root")]
    result = run(plan(inputs={"files": files, "dataset": "toy"}, steps=SPLIT), tmp_path / "out", max_bad_files=3)
    assert result.rows == 4
    assert {lost.part.input["file"] for lost in result.manifest.quarantined} == set(files[1:])


# Sums that skims keep ------------------------------------------------------------------------------------------------


def skim(path: Path, first: int, presel: str | None, **values: Any) -> str:
    ids = {**IDS, "event": np.arange(first, first + 4).astype("u8")}
    table = pa.table({**{name: pa.array(v) for name, v in {**ids, **values}.items()}})
    pq.write_table(table.replace_schema_metadata({} if presel is None else {"sum_genw_presel": presel}), path)
    return str(path)


def test_the_sum_of_weights_in_the_metadata_of_skims_normalises(tmp_path: Path) -> None:
    files = [skim(tmp_path / f"{n}.parquet", 4 * n, "100.5", genWeight=np.full(4, 2.0)) for n in range(2)]
    fileset = {"signal": {"files": files, "metadata": {"xsec": 402.0}}}
    result = run(plan(inputs={"fileset": fileset}, steps=SPLIT), tmp_path / "out")
    said = result.manifest.extra["normalisation"]["signal"]
    assert (said["sumw"], said["sumw_from"], said["factor"]) == (201.0, "sum_genw_presel", 2.0)
    assert read(result).weight.to_list() == [4.0] * 8


def test_the_sum_of_skims_whose_weights_are_taken_as_they_are_is_kept(tmp_path: Path) -> None:
    files = [skim(tmp_path / f"{n}.parquet", 4 * n, "100.5", weight=np.full(4, 2.0)) for n in range(2)]
    result = run(plan(*files, steps=SPLIT), tmp_path / "out")
    said = result.manifest.extra["normalisation"]["toy"]
    assert said["sumw"] == 201.0
    assert "as it is; sum_genw_presel is kept" in said["sumw_from"]
    fileset = {"signal": {"files": files, "metadata": {"xsec": 402.0}}}
    result = run(plan(inputs={"fileset": fileset, "weight": "weight"}, steps=SPLIT), tmp_path / "scaled")
    assert read(result).weight.to_list() == [4.0] * 8


def test_skims_of_which_only_some_keep_their_sum_are_refused(tmp_path: Path) -> None:
    files = [skim(tmp_path / f"{n}.parquet", 4 * n, said, genWeight=np.ones(4)) for n, said in enumerate(["9", None])]
    with pytest.raises(PlanError, match="a sum over both would be wrong"):
        run(plan(*files, steps=SPLIT), tmp_path / "out")
    # What says that it is data says no sum.
    data = skim(tmp_path / "d.parquet", 0, "Data")
    assert run(plan(data, steps=SPLIT), tmp_path / "data").manifest.extra["normalisation"]["toy"]["sumw"] is None


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.binary(2), pa.list_(pa.binary())], ids=lambda kind: str(kind)
)
def test_bytes_of_parquet_come_back(tmp_path: Path, kind: pa.DataType) -> None:
    one: Any = [b"\xff\x00"] if pa.types.is_list(kind) else b"\xff\x00"
    path = in_parquet(tmp_path / "a.parquet", raw=pa.array([one] * 4, kind))
    result = run(plan(str(path), steps=(), output={"keep": ["raw"]}), tmp_path / "out")
    assert pq.read_table(result.path / result.manifest.files[0].path)["raw"].to_pylist() == [one] * 4


def test_a_time_zone_is_not_lost(tmp_path: Path) -> None:
    path = in_parquet(tmp_path / "a.parquet", at=pa.array([0] * 4, pa.timestamp("us", tz="Europe/Zurich")))
    with pytest.raises(PlanError, match=r"'at'.*have the zone 'Europe/Zurich', which would be lost"):
        run(plan(str(path), steps=(), output={"keep": ["at"]}), tmp_path / "out")
