"""Input files: found, opened once, read in parts of any size; what is wrong with them is said before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from dask_augment.contract.ids import RepeatedIds, file_word
from dask_augment.dataset.publication import RunFailed
from dask_augment.dataset.verify import verify
from dask_augment.inputs.columns_of_files import Wanted, is_kept
from dask_augment.inputs.contents import inspect, parts_of
from dask_augment.inputs.find import find
from dask_augment.inputs.parquet_files import Parquet
from dask_augment.inputs.root_files import Root
from dask_augment.inputs.sources import BadInput, Content, Source
from dask_augment.plans.plan import Inputs, PlanError
from dask_augment.runs.run import dry_run, published_plan, run
from run_toys import columns, plan, read, write

SPLIT = ({"split": {"train": 0.5}},)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    return write(tmp_path / "a.root", 0, 12), write(tmp_path / "b.root", 12, 9)


# Which files there are -----------------------------------------------------------------------------------------------


def test_files_by_list_glob_and_fileset(two: tuple[str, str], tmp_path: Path) -> None:
    expected = [Source("toy", path, Root("Events")) for path in two]
    for files in (list(two), str(tmp_path / "*.root"), str(tmp_path / "**" / "?.root"), [str(tmp_path / "[ab].root")]):
        assert find(Inputs(files=files, dataset="toy"))[0] == expected
        assert find(Inputs(fileset={"toy": files}))[0] == expected
    assert find(Inputs(fileset={"b": [two[0]], "a": {two[1]: "Other"}}))[0] == [
        Source("a", two[1], Root("Other")), Source("b", two[0], Root("Events")),
    ]  # fmt: skip
    assert find(Inputs(files="x.parquet", dataset="toy", tree="T"))[0] == [Source("toy", "x.parquet", Parquet())]


def test_limit_files_is_for_each_data_set(two: tuple[str, str]) -> None:
    fileset = {"x": list(two), "y": [two[1], two[0]]}
    found, _ = find(Inputs(fileset=fileset), limit_files=1)
    assert [(source.dataset, source.path) for source in found] == [("x", two[0]), ("y", two[1])]


def test_what_is_not_found(two: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"data set 'toy': no file matches '.*\*\.parquet' \(seen from"):
        find(Inputs(files=str(tmp_path / "*.parquet"), dataset="toy"))
    with pytest.raises(PlanError, match=r"folder '.*gone' is not there"):
        find(Inputs(folder=str(tmp_path / "gone")))
    with pytest.raises(PlanError, match="holds no Parquet files"):
        find(Inputs(folder=str(tmp_path)))
    with pytest.raises(PlanError, match="data set 'toy' lists a file twice; its events would be doubled"):
        find(Inputs(files=[two[0], str(tmp_path / "a*")], dataset="toy"))


def test_folder_of_other_hive_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset=a%3Db" / "split=0").mkdir(parents=True)
    (tmp_path / "_tmp").mkdir()
    path = tmp_path / "dataset=a%3Db" / "x.parquet"
    for where in (path, tmp_path / "_tmp" / "y.parquet"):
        pq.write_table(pa.table({"event": [1]}), where)
    assert find(Inputs(folder=str(tmp_path)))[0] == [Source("a=b", str(path), Parquet())]
    path.rename(tmp_path / "dataset=a%3Db" / "split=0" / "x.parquet")
    with pytest.raises(PlanError, match=r"columns that are only names of folders \(split\)"):
        find(Inputs(folder=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "pattern", "kept"),
    [("Jet_pt", "Jet.*", True), ("Jet_pt", "Jet_pt", True), ("Jet_pt", "Jet.pt", True), ("Jet_btag_x", "Jet.btag_x", True),
     ("FatJet_pt", "Jet.*", False), ("event", "event", True), ("nJet", "Jet.*", False), ("HLT_Mu", "HLT_*", True)],
)  # fmt: skip
def test_patterns(name: str, pattern: str, kept: bool) -> None:
    assert is_kept(name, [pattern]) is kept


@pytest.mark.parametrize("entries", [1, 5, 12, 100])
@pytest.mark.parametrize("chunksize", [1, 4, 12, 1000])
def test_parts_cover_all_entries_once(entries: int, chunksize: int) -> None:
    source = Source("toy", "a.root", Root("Events"))
    parts = parts_of(source, Content("1", entries, None, frozenset()), chunksize)
    sizes = [part.input["stop"] - part.input["start"] for part in parts]
    assert [i for part in parts for i in range(part.input["start"], part.input["stop"])] == list(range(entries))
    assert max(sizes) <= chunksize
    assert max(sizes) - min(sizes) <= 1


# What is in them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "weight", "expected"),
    [({"genEventSumw": 40.0, "genEventCount": 3.0}, "genWeight", (40.0, "Runs.genEventSumw")),
     ({"genEventSumw_": 41.0}, "genWeight", (41.0, "Runs.genEventSumw_")),
     ({"run": 1.0}, "genWeight", (8.0, "unselected sum of genWeight")),
     (None, "genWeight", (8.0, "unselected sum of genWeight")),
     ({"genEventSumw": 40.0}, "MET_pt", (27.0, "unselected sum of MET_pt")),
     ({"genEventSumw": 40.0}, "none", (None, ""))],
)  # fmt: skip
def test_sum_of_weights(runs: Any, weight: str, expected: Any, tmp_path: Path) -> None:
    content = inspect(
        Source("toy", write(tmp_path / "a.root", runs=runs), Root("Events")), Wanted.of(["event"], ()), weight
    )
    assert (content.sumw, content.sumw_from) == expected
    assert content.entries == 12
    assert content.schema is not None
    assert set(content.schema.names) == {"event", weight} - {"none"}


def _damaged(kind: str, path: Path) -> str:
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "junk":
        path.write_bytes(bytes(range(256)) * 20)
    elif kind == "truncated":
        path.write_bytes(Path(write(path)).read_bytes()[:700])
    elif kind == "tree":
        write(path, tree="Other")
    elif kind == "parquet":
        path = path.with_suffix(".parquet")
        path.write_bytes(b"PAR1 and no more")
    return str(path)


DAMAGES = ["missing", "empty", "junk", "truncated", "tree", "parquet"]


@pytest.mark.parametrize("kind", DAMAGES)
def test_unreadable_file_fails_or_is_left_out_and_listed(kind: str, two: tuple[str, str], tmp_path: Path) -> None:
    bad = _damaged(kind, tmp_path / "bad.root")
    source = find(Inputs(files=bad, dataset="toy"))[0][0]
    with pytest.raises(BadInput, match=r"input file '.*bad\.") as error:
        inspect(source, Wanted.of(["event"], ()), "genWeight")
    assert "\n" not in str(error.value)
    fileset = {"toy": {"files": [*two, bad], "metadata": {"xsec": 3.0}}}
    asked = plan(inputs={"fileset": fileset}, steps=SPLIT)
    with pytest.raises(
        RunFailed, match=r"1 input file cannot be read \(none may be: max_bad_files\); nothing was published"
    ):
        run(asked, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
    result = run(asked, tmp_path / "out", max_bad_files=1)
    assert result.rows == 21
    assert [lost.part.input["file"] for lost in result.manifest.quarantined] == [bad]
    without = run(
        plan(inputs={"fileset": {"toy": {**fileset["toy"], "files": list(two)}}}, steps=SPLIT), tmp_path / "out2"
    )
    assert ak.all(read(result).weight == read(without).weight)
    assert result.manifest.extra["normalisation"] == without.manifest.extra["normalisation"]


def test_missing_tree_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no tree 'Events'; it has \['Other'\]"):
        inspect(
            Source("toy", write(tmp_path / "a.root", tree="Other"), Root("Events")),
            Wanted.of(["event"], ()),
            "genWeight",
        )


@pytest.mark.parametrize("steps", [(), SPLIT], ids=["while writing", "while learning"])
@pytest.mark.parametrize("basket", [0, 1], ids=["at once", "later"])
def test_file_whose_events_are_damaged(basket: int, steps: Any, two: tuple[str, str], tmp_path: Path) -> None:
    """It opens, and only reading the events shows what is wrong."""
    bad = write(tmp_path / "bad.root", 40, 30, runs={"genEventSumw": 1000.0}, baskets=2)
    with uproot.open(bad) as file:
        branch = file["Events"]["event"]
        where, size = (int(branch.member(name)[basket]) for name in ("fBasketSeek", "fBasketBytes"))
    data = bytearray(Path(bad).read_bytes())
    data[where + size - 20 : where + size] = b"?" * 20
    Path(bad).write_bytes(data)
    fileset = {"toy": {"files": [*two, bad], "metadata": {"xsec": 3.0}}}
    asked = plan(inputs={"fileset": fileset}, steps=steps)
    with pytest.raises(RunFailed, match="1 input file cannot be read"):
        run(asked, tmp_path / "out", chunksize=10)
    result = run(asked, tmp_path / "out", chunksize=10, max_bad_files=1, resume=True)
    assert result.rows == 21
    assert [lost.entries for lost in result.manifest.quarantined] == [30]
    assert result.manifest.extra["normalisation"]["toy"]["sumw"] == 14.0


def test_listed_twice_under_two_names(two: tuple[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "copy.root"
    copy.write_bytes(Path(two[0]).read_bytes())
    with pytest.raises(
        PlanError, match=r"lists '.*a.root' and '.*copy.root', which are one file \(uuid .*would be doubled"
    ):
        run(plan(*two, str(copy), steps=SPLIT), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_column_that_only_some_files_have(two: tuple[str, str], tmp_path: Path) -> None:
    other = write(tmp_path / "c.root", 30, 5, without=("MET_pt",))
    for output, steps in (({"keep": ["MET.pt"]}, ()), ({}, [{"define": {"x": "MET.pt"}}])):
        with pytest.raises(
            PlanError, match=r"column 'MET[_.]pt' is not in every input file: '.*c.root' has none \(1 of 3 files\)"
        ):
            run(plan(*two, other, steps=steps, output=output), tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"steps": [{"define": {"x": "sum(Jet.ptt)"}}]}, "step 'define': no input file has a column 'Jet.ptt'; the nearest are Jet.pt"),
     ({"inputs": {"ids": ["run", "evnt"]}, "steps": SPLIT}, "inputs: ids: no input file has a column 'evnt'; the nearest are event"),
     ({"inputs": {"weights": ["LHEWeight"]}}, "no input file has a column 'LHEWeight'"),
     ({"inputs": {"weight": "genWeigth"}}, "no input file has the weight 'genWeigth' .*; the nearest are genWeight"),
     ({"output": {"keep": ["Jets.*"]}}, r"output: keep names 'Jets.\*', which is no column; the nearest are Jet"),
     ({"output": {"partition_by": ["era"]}}, "output: partition_by names 'era', which is not among the columns")],
)  # fmt: skip
def test_column_that_no_file_has(options: Any, sentence: str, two: tuple[str, str], tmp_path: Path) -> None:
    options = dict(options)
    options["inputs"] = {"fileset": {"toy": list(two)}, **options.get("inputs", {})}
    with pytest.raises(PlanError, match=sentence):
        dry_run(plan(**options), tmp_path / "out")


# Empty ones ----------------------------------------------------------------------------------------------------------


def test_file_without_events_counts_in_the_normalisation(two: tuple[str, str], tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.root", rows=0, runs={"genEventSumw": 92.0}, without=("MET_pt", "genWeight"))
    full = write(tmp_path / "full.root", runs={"genEventSumw": 8.0})
    inputs = {"fileset": {"toy": {"files": [full, empty], "metadata": {"xsec": 50.0}}}}
    result = run(plan(inputs=inputs, steps=[{"define": {"x": "MET.pt"}}]), tmp_path / "out")
    assert result.rows == 12
    assert result.manifest.extra["normalisation"]["toy"]["sumw"] == 100.0
    assert read(result).weight.tolist() == [0.5, 1.0, -0.5] * 4


def test_no_events_at_all(tmp_path: Path) -> None:
    empty = write(tmp_path / "a.root", rows=0)
    result = run(plan(empty, steps=[*SPLIT, {"repeat": {"n": 2}}, {"define": {"x": "sum(Jet.pt)"}}]), tmp_path / "out")
    assert result.rows == 0
    table = pq.read_table(tmp_path / "out")
    assert {"split", "x", "augment_copy", "weight"} <= set(table.column_names)


# Types ---------------------------------------------------------------------------------------------------------------


def test_integers_are_those_of_the_widest_file(tmp_path: Path) -> None:
    """NanoAOD v12 has uint32 counters, v15 has int32 ones; other columns became narrower too."""
    narrow = {"n": np.arange(12, dtype=np.int16), "nJetClean": np.arange(12, dtype=np.uint32)}
    wide = {"n": np.arange(9, dtype=np.int32) + 2**20, "nJetClean": np.arange(9, dtype=np.int32)}
    files = [write(tmp_path / "a.root", 0, 12, more=narrow), write(tmp_path / "b.root", 12, 9, more=wide)]
    rows = read(run(plan(*files, output={"keep": ["n", "nJetClean"]}), tmp_path / "out"))
    assert ak.type(rows.n).content.primitive == "int32"
    assert ak.type(rows.nJetClean).content.primitive == "int64"
    assert rows.n.tolist() == [*range(12), *range(2**20, 2**20 + 9)]


@pytest.mark.parametrize("keep", [None, ["MET.pt"], ["Jet.pt"], ["nJet"]])
def test_counter_alone(keep: Any, two: tuple[str, str], tmp_path: Path) -> None:
    """nJet is a column of its own where no jet is read, and else the number of them."""
    asked = plan(*two, steps=[{"select": "nJet >= 2"}], output={"keep": keep})
    rows = read(run(asked, tmp_path / "out"))
    assert rows.event.tolist() == [event for event in range(21) if event % 4 >= 2]
    if keep == ["Jet.pt"]:
        assert ak.num(rows.Jet_pt).tolist() == rows.nJet.tolist() == [event % 4 for event in rows.event.tolist()]


def test_parquet_of_others(tmp_path: Path) -> None:
    """Most writers allow for missing values; text stays text, and what is missing stays missing."""
    values = {"event": [0, 1, 2], "weight": [1.0, 2.0, 3.0], "era": ["B", "C", "B"], "good": [True, False, True],
              "Jet_pt": [[1.0], [], [2.0, 3.0]], "hole": [1, None, 3]}  # fmt: skip
    pq.write_table(pa.table(values), tmp_path / "a.parquet")
    inputs = {"files": str(tmp_path / "a.parquet"), "dataset": "toy", "ids": ["event"]}
    asked = plan(inputs=inputs, output={"keep": ["era", "good", "hole", "Jet.pt"]})
    rows = read(run(asked, tmp_path / "out", chunksize=2))
    assert {name: rows[name].tolist() for name in values} == values
    assert rows.HT.tolist() == [1.0, 0.0, 5.0]
    assert [str(rows[name].type.content) for name in ("good", "hole", "Jet_pt")] == ["bool", "?int64", "var * float64"]


def wide(path: Path, first: float) -> str:
    """A Parquet file whose footer is longer than 64 kB; its last columns are the same whatever the first is."""
    values = {"event": [0, 1], "genWeight": [first, 1.0]} | {f"x{i}": [0.0, 1.0] for i in range(700)}
    pq.write_table(pa.table(values), path)
    return str(path)


def test_wide_parquet_files_are_told_apart(tmp_path: Path) -> None:
    """By their whole footers: these differ in one value at their beginning."""
    one, other = wide(tmp_path / "a.parquet", 2.0), wide(tmp_path / "b.parquet", 3.0)
    assert Path(one).read_bytes()[-(1 << 16) :] == Path(other).read_bytes()[-(1 << 16) :]
    first, second = (
        inspect(Source("toy", path, Parquet()), Wanted.of(["x1"], ()), "genWeight").uuid for path in (one, other)
    )
    assert first != second
    copy = Path(one).rename(tmp_path / "c.parquet")
    assert inspect(Source("toy", str(copy), Parquet()), Wanted.of(["x1"], ()), "genWeight").uuid == first


def test_parquet_file_that_changes_after_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wide(tmp_path / "a.parquet", 2.0)
    inputs = {"files": path, "dataset": "toy", "ids": ["event"]}

    def changed(*arguments: Any, **options: Any) -> Any:
        parts = parts_of(*arguments, **options)
        wide(tmp_path / "a.parquet", 3.0)
        return parts

    monkeypatch.setattr("dask_augment.runs.prepare.parts_of", changed)
    with pytest.raises(RunFailed, match=r"a\.parquet' has changed since the plan was made"):
        run(plan(inputs=inputs, steps=[], output={"keep": ["x1"]}), tmp_path / "out")


def test_nulls_are_found_in_the_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No column is read whose statistics say it; lists with empty ones are, and columns without statistics."""
    values = {"event": [0, 1], "hole": [None, 1], "full": [1.0, 2.0], "Jet_pt": [[1.0], [2.0]], "Mu_pt": [[1.0], []],
              "El_pt": [[1.0], None], "Tau_pt": [[1.0], [None]]}  # fmt: skip
    table = pa.table({name: pa.array(column) for name, column in values.items()})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=1, write_statistics=["event", "full"])
    asked: set[str] = set()
    real = pq.ParquetFile.iter_batches

    def watched(file: Any, *size: int, **options: Any) -> Any:
        asked.update(column.partition(".")[0] for column in options["columns"])
        return real(file, *size, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    for name, read_ in (("a", {"Mu_pt", "El_pt", "Tau_pt"}), ("b", {"hole", "Jet_pt", "Mu_pt", "El_pt", "Tau_pt"})):
        asked.clear()
        schema = inspect(
            Source("toy", str(tmp_path / f"{name}.parquet"), Parquet()), Wanted.of(list(values), ()), "w"
        ).schema
        assert schema is not None
        assert asked == read_
        assert {field.name for field in schema if field.nullable} == {"hole", "El_pt", "Tau_pt"}


@pytest.mark.parametrize("chunksize", [1, 5, 12, 100])
def test_chunks_of_any_size_give_the_same_rows(chunksize: int, two: tuple[str, str], tmp_path: Path) -> None:
    asked = plan(
        *two, steps=[*SPLIT, {"repeat": {"n": 1}}, {"phi_rotate": {"columns": ["Jet.phi"]}}], output={"keep": ["*"]}
    )
    result = run(asked, tmp_path / "out", chunksize=chunksize)
    whole = run(asked, tmp_path / "whole")
    assert result.manifest.logical_hash == whole.manifest.logical_hash
    assert result.manifest.schema == whole.manifest.schema


@pytest.mark.parametrize(
    ("keep", "expected"),
    [(None, {"Jet_pt", "HT"}), (["MET.*"], {"MET_pt", "MET_phi", "HT"}), (["Jet_phi", "MET.pt"], {"Jet_phi", "MET_pt", "HT"}),
     (["Jet.*"], {"Jet_pt", "Jet_phi", "HT"}), (["HT"], {"HT"}), ([], {"HT"})],
)  # fmt: skip
def test_columns_that_are_kept(keep: Any, expected: set[str], two: tuple[str, str], tmp_path: Path) -> None:
    always = {"run", "luminosityBlock", "event", "weight"}
    written = set(dry_run(plan(*two, output={"keep": keep}), tmp_path / "out")["columns"])
    assert written - {"nJet"} == expected | always


def test_column_that_a_step_alters_is_kept(two: tuple[str, str], tmp_path: Path) -> None:
    asked = plan(*two, steps=[{"phi_rotate": {"columns": ["MET.phi"]}}], output={"keep": ["MET.pt"]}, split="none")
    assert "MET_phi" in dry_run(asked, tmp_path / "out")["columns"]


# A folder as we publish it -------------------------------------------------------------------------------------------


def test_published_folder_is_an_input(two: tuple[str, str], tmp_path: Path) -> None:
    inputs = {"fileset": {"tt": {"files": [two[0]], "metadata": {"xsec": 16.0}}, "dy": [two[1]]}, "weights": ["MET_pt"]}
    steps = [*SPLIT, {"repeat": {"n": 2}}]
    first = run(plan(inputs=inputs, steps=steps, output={"keep": ["Jet.*"]}), tmp_path / "first")
    again = {"folder": str(tmp_path / "first"), "weights": ["MET_pt"]}
    copied = run(plan(inputs=again, steps=[], output={"keep": ["Jet.*"]}), tmp_path / "copied", chunksize=5)
    assert copied.manifest.logical_hash == first.manifest.logical_hash
    assert set(copied.manifest.datasets) == {"tt", "dy"}
    assert copied.manifest.extra["normalisation"]["tt"]["sumw_from"] == "column weight, as it is"
    rotated = run(plan(inputs=again, steps=[{"phi_rotate": {"columns": ["Jet.phi"]}}]), tmp_path / "rotated")
    before, after = read(first), read(rotated)
    for name in ("event", "weight", "MET_pt", "split", "augment_kind", "augment_copy"):
        assert ak.all(before[name] == after[name]), name
    turned = after[ak.num(after.Jet_phi) > 0]
    made = turned[turned.augment_kind == 1]
    angles = [
        (event, round(phi, 5)) for event, phi in zip(made.event.tolist(), made.Jet_phi[:, 0].tolist(), strict=True)
    ]
    assert len(set(angles)) == len(made) > 4
    assert ak.all(before.Jet_phi[before.augment_kind == 0] == after.Jet_phi[after.augment_kind == 0])
    assert published_plan(tmp_path / "rotated").to_dict()["inputs"] == again


# Ids -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [3, 100])
@pytest.mark.parametrize("where", ["two files", "one file"])
def test_repeated_ids(where: str, chunksize: int, tmp_path: Path) -> None:
    if where == "two files":
        files = [write(tmp_path / "a.root", 0, 12), write(tmp_path / "b.root", 8, 9)]
    else:
        files = [write(tmp_path / "a.root", without=("event",), more={"event": (np.arange(12) % 8).astype(np.uint64)})]
    with pytest.raises(
        RepeatedIds, match=r"'toy' has 2 events with \{'run': 1, 'luminosityBlock': 7, 'event'.*say ids: position"
    ):
        run(plan(*files, steps=SPLIT), tmp_path / "out", chunksize=chunksize)
    assert not (tmp_path / "out").exists()
    with pytest.raises(RepeatedIds):
        run(plan(*files, steps=SPLIT), tmp_path / "out", chunksize=chunksize, resume=True)
    with pytest.raises(RepeatedIds):
        run(plan(*files, steps=()), tmp_path / "plain", chunksize=chunksize)
    inputs = {"fileset": {"toy": files}, "ids": "position"}
    result = run(plan(inputs=inputs, steps=()), tmp_path / "plain", chunksize=chunksize)
    assert result.manifest.extra["ids"] == {"columns": ["position_file", "position_entry"], "checked": True}
    assert verify(result.path, deep=True).faults == []
    assert result.rows == sum(len(columns(0, rows)["event"]) for rows in ([12, 9] if where == "two files" else [12]))


def test_position_tells_events_apart_whose_ids_repeat(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.root", 0, 200), write(tmp_path / "b.root", 0, 200)]
    inputs = {"fileset": {"toy": files}, "ids": "position"}
    asked = plan(inputs=inputs, steps=[{"split": {"train": 0.5}}], output={"keep": ["event"]})
    rows = read(run(asked, tmp_path / "out", chunksize=7))
    assert set(rows.position_file.tolist()) == {
        file_word(inspect(Source("toy", f, Root("Events")), Wanted.of([], ()), "").uuid) for f in files
    }
    assert sorted(rows.position_entry.tolist()) == sorted([*range(200)] * 2)
    words = np.asarray(rows.position_file)
    first, second = (rows[words == word] for word in np.unique(words))
    assert ak.all(first.event == first.position_entry)
    assert 50 < ak.sum(first.split != second.split) < 150


def test_position_is_refused_where_no_file_is_known() -> None:
    import dask_augment as da

    with pytest.raises(ValueError, match='ids="position" works in plans and in coffea'):
        da.augment(ak.Array({"event": [1]}), da.Split(train=0.5), seed=1, dataset="toy", ids="position")
