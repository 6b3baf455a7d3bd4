from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dask_augment.contract.account import Account
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.manifest import Manifest, NotADataset, document
from dask_augment.dataset.receipt import Part, to_json
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dataset_toys import ROWS, account, finish, job, part, seal, snapshot, table, write

FILE = "dataset=ttbar/part-000000.parquet"
IDS = {"ids": {"columns": ["run", "luminosityBlock", "event"], "checked": True}}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    finish(job(tmp_path / "out"))
    return tmp_path / "out"


def rewrite(path: Path, change) -> None:
    pq.write_table(change(pq.read_table(path, partitioning=None)), path, compression="lz4", write_page_checksum=True)


def test_a_sound_data_set(out: Path) -> None:
    before = snapshot(out)
    for deep in (False, True):
        report = verify(out, deep=deep)
        assert report.ok
        assert report.rows == 4 * ROWS
        assert report.weights == Manifest.read(out).account.weights_out
        assert report.logical_hash == Manifest.read(out).logical_hash.hex()
        assert json.loads(json.dumps(report.to_dict()))["ok"] is True
    assert snapshot(out) == before


def test_missing_extra_and_cut_files(out: Path) -> None:
    (out / FILE).unlink()
    (out / "dataset=dy" / "part-000009.parquet").write_bytes(b"PAR1")
    other = out / "dataset=dy" / "part-000001.parquet"
    other.write_bytes(other.read_bytes()[:-1])
    faults = verify(out).faults
    assert f"{FILE} is missing" in faults
    assert "dataset=dy/part-000009.parquet is not in the manifest" in faults
    assert any(fault.startswith("dataset=dy/part-000001.parquet has") for fault in faults)
    assert any("part-000001.parquet cannot be opened" in fault for fault in faults)
    assert not verify(out, deep=True).ok


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    assert "has no _manifest.json" in verify(tmp_path).faults[0]
    (tmp_path / "_manifest.json").write_text("[]")
    assert "is damaged" in verify(tmp_path).faults[0]


def test_a_file_of_other_columns_or_rows(out: Path) -> None:
    rewrite(out / FILE, lambda t: t.slice(1).drop_columns(["HT"]))
    faults = verify(out).faults
    assert f"{FILE} has {ROWS - 1} rows, the manifest says {ROWS}" in faults
    assert f"{FILE} has other columns or types than the manifest" in faults


def forge(out: Path, change) -> None:
    """A manifest that is sealed anew over other values, as a faulty writer would leave it."""
    values = document(out)
    change(values)
    lists = {name: values.pop(name) for name in ("files", "parts")}
    manifest = Manifest.from_document({**values, **lists})
    (out / "_manifest.json").write_bytes(b"".join(manifest.lines(map(to_json, lists["parts"]))))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m["parts"].pop(), "do not add up to the totals"),
        (lambda m: m["parts"][0]["account"].update(rows_in=3), "does not add up"),
        (lambda m: m["totals"]["account"].update(rows_out=3), "the account has 3"),
        (lambda m: m["totals"]["account"]["weights_out"].update(weight=[1.0, 272.0]), "the weights_out of 'weight'"),
        (lambda m: m["totals"]["datasets"]["dy"]["weights_in"].clear(), "the total of data set 'dy' is None"),
        (lambda m: m["totals"]["datasets"]["dy"]["made"].update(repeat=1), "totals of data set 'dy'"),
        (lambda m: m["totals"].update(logical_hash="0" * 48), "logical hashes of the files do not add up"),
        (lambda m: m["totals"].update(parts=9), "4 parts of 9"),
    ],
)
def test_a_manifest_that_contradicts_itself(out: Path, change, fault: str) -> None:
    forge(out, change)
    assert any(fault in found for found in verify(out).faults)


DIGEST = "the digest is not that of the plan, the inputs, the schema and the folders"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m["plan"].update(seed=8), DIGEST),
        (lambda m: m.update(digest="0" * 64), DIGEST),
        (lambda m: m["schema"][0].__setitem__(0, "HT2"), DIGEST),
        (lambda m: m["parts"][0]["input"].update(file="other.root"), "is not that of its data set and input"),
        (lambda m: m["parts"][0]["input"].update(file="other.root"), DIGEST),
        (lambda m: m["parts"][1].update(id="0" * 32), "the id of part 0000"),
        (lambda m: m["parts"][1].pop("id"), "the manifest is damaged"),
        (lambda m: m["totals"].update(rows=3), "the files have 160 rows, the totals say 3"),
        (lambda m: m["plan"].update(normalisation={"dy": {"sumw": 1}}), "the normalisation is not that of the plan"),
        (lambda m: m["parts"][0].update(dataset=["dy"]), "the manifest is damaged"),
        (lambda m: m["files"][0].update(path="../../elsewhere.parquet"), "../../elsewhere.parquet is missing"),
    ],
)
def test_a_manifest_that_was_edited_and_sealed_anew(out: Path, change, fault: str) -> None:
    values = document(out)
    seal(out, values)
    assert verify(out, deep=True).ok, "sealed as it was"
    change(values)
    seal(out, values)
    for deep in (False, True):
        found = verify(out, deep=deep).faults
        assert any(fault in each for each in found), found


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "nul", "1e999", "{}", '"x"', ""]
)
def test_a_manifest_of_anything(out: Path, text: str) -> None:
    (out / "_manifest.json").write_text(text)
    assert "is damaged" in verify(out).faults[0]
    with pytest.raises(NotADataset, match="is damaged"):
        Manifest.read(out)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to each value of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere(out: Path, data: st.DataObject) -> None:
    """Never an error, and never without a fault where what counts is another; without ``deep``, no file is read."""
    good = (out / "_manifest.json").read_text()
    try:
        values = document(out)
        *way, last = data.draw(st.sampled_from(places(values)[1:]))
        holder = values
        for key in way:
            holder = holder[key]
        before, holder[last] = holder[last], data.draw(ANYTHING)
        after = holder[last]
        seal(out, values)
        report = verify(out)
        told_by_deep = {"sha256", "not_finite", "extra", "version"} & {*way, last}
        assert not report.ok or before == after or told_by_deep or _means_the_same(before, after), (
            way,
            last,
            before,
            after,
        )
        json.dumps(report.to_dict(), default=str)
    finally:
        (out / "_manifest.json").write_text(good)


def _means_the_same(before: Any, after: Any) -> bool:
    """No rows dropped by nobody, and none: an account says both."""
    return isinstance(before, dict) and not before and not after


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m["totals"].update(not_finite={"HT": 1}), "NaN and infinite values"),
        (lambda m: m["files"][0].update(sha256="0" * 64), "another sha256"),
    ],
)
def test_deep_compares_values(out: Path, change, fault: str) -> None:
    forge(out, change)
    assert verify(out).ok
    assert any(fault in found for found in verify(out, deep=True).faults)


def test_a_changed_value_is_found_though_every_checksum_is_right(out: Path) -> None:
    rewrite(out / FILE, lambda t: t.set_column(0, t.schema.field(0), pa.array([1e9] * t.num_rows)))
    size, sha = (out / FILE).stat().st_size, hashlib.sha256((out / FILE).read_bytes()).hexdigest()

    def forget(m):
        next(f for f in m["files"] if f["path"] == FILE).update(bytes=size, sha256=sha)

    forge(out, forget)
    assert verify(out).ok
    faults = verify(out, deep=True).faults
    assert f"{FILE} has another logical hash than the manifest" in faults
    assert "the logical hash of the values is not that of the manifest" in faults


def test_a_file_moved_to_another_partition(out: Path) -> None:
    def move(m):
        entry = next(f for f in m["files"] if f["path"] == FILE)
        entry["path"] = "dataset=dy/part-000000.parquet"

    (out / FILE).rename(out / "dataset=dy" / "part-000000.parquet")
    forge(out, move)
    assert verify(out).ok
    assert "the logical hash of the values is not that of the manifest" in verify(out, deep=True).faults


def test_wrong_sums_in_every_account(out: Path) -> None:
    """The parts and the totals agree, and the files say otherwise."""

    def change(m):
        for each in (m["totals"]["account"], m["totals"]["datasets"]["dy"], m["parts"][1]["account"]):
            each["weights_out"]["weight"][0] += 1

    forge(out, change)
    assert verify(out).ok
    assert any("the sums of 'weight' are" in found for found in verify(out, deep=True).faults)


@pytest.mark.parametrize("deep", [False, True])
def test_what_cannot_be_read_is_a_fault(out: Path, deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(path))

    other = out / "dataset=dy" / "more.parquet"
    other.symlink_to(out / "nowhere")
    (out / FILE).unlink()
    (out / FILE).symlink_to(out / "nowhere")
    monkeypatch.setattr(files, "sha256", broken)
    (out / "_quarantine.json").mkdir()
    faults = verify(out, deep=deep).faults
    assert f"{FILE} cannot be read: No such file or directory" in faults
    assert "dataset=dy/more.parquet is not in the manifest" in faults
    assert any("dataset=dy/part-000001.parquet cannot be read: [Errno 5]" in fault for fault in faults) == deep
    (out / "_manifest.json").unlink()
    (out / "_manifest.json").mkdir()
    assert "Is a directory" in verify(out, deep=deep).faults[0]


@pytest.mark.parametrize("column", ["event", "augment_copy"])
def test_repeated_events(tmp_path: Path, column: str) -> None:
    """Two parts that hold the same events: a fault, unless they say that they are copies."""
    work = job(tmp_path / "out", [part(0), part(2)])
    sink = open_staging(work)
    write(sink, part(0))
    again = table(part(0))
    if column == "augment_copy":
        field = again.schema.field("augment_copy")
        again = again.set_column(again.schema.names.index("augment_copy"), field, pa.array([1] * ROWS, pa.int32()))
    sink.write_part(part(2), [again], lambda: account(again))
    publish(work, extra=IDS)
    assert verify(work.path).ok
    faults = verify(work.path, deep=True).faults
    expected = [f"{ROWS} rows of 'ttbar' repeat another row's run, luminosityBlock, event and augment_copy"]
    assert faults == (expected if column == "event" else [])


def test_the_same_event_numbers_in_two_data_sets_are_two_events(tmp_path: Path) -> None:
    work = job(tmp_path / "out", [part(0), part(1)])
    sink = open_staging(work)
    write(sink, part(0))
    rows = table(part(0))
    sink.write_part(part(1), [rows], lambda: account(rows))
    publish(work, extra=IDS)
    assert verify(work.path, deep=True).ok


@pytest.mark.parametrize(
    ("ids", "keys", "dataset", "found"),
    [
        (IDS, ("dataset", "event"), "ttbar", True),
        (IDS, ("stratum",), "ttbar", True),
        (IDS, ("stratum",), "dy", False),
        ({"ids": {"columns": ["event", "stratum"], "checked": True}}, ("dataset", "stratum"), "ttbar", True),
        ({"ids": {"columns": ["event"], "checked": False}}, ("dataset",), "ttbar", False),
        ({}, ("dataset",), "ttbar", False),
    ],
    ids=["an id is a folder", "one data set", "data sets unknown", "ids of one's own", "not checked", "none said"],
)
def test_ids_of_the_manifest(tmp_path: Path, ids: Any, keys: tuple[str, ...], dataset: str, found: bool) -> None:
    """Rows are told apart by the columns that the manifest names, wherever these are, if anybody made sure of it."""
    second = Part.of(dataset, part(2).input)
    work = job(tmp_path / "out", [part(0), second], partition_by=keys)
    sink = open_staging(work)
    rows = table(part(0))
    for each in work.parts:
        sink.write_part(each, [rows], lambda: account(rows))
    publish(work, extra=ids)
    faults = verify(work.path, deep=True).faults
    columns = ", ".join(ids.get("ids", {}).get("columns", []))
    assert faults == ([f"{ROWS} rows of 'ttbar' repeat another row's {columns} and augment_copy"] if found else [])


def test_weights_of_both_signs_and_columns_not_kept(tmp_path: Path) -> None:
    work = job(tmp_path / "out", [part(0)])
    rows = table(part(0))
    stated = dataclasses.replace(
        account(rows), weights_out={"weight": account(rows).weights_out["weight"], "x.y": (1, 2)}
    )
    open_staging(work).write_part(part(0), [rows], lambda: stated)
    publish(work)
    assert verify(work.path, deep=True).ok


def test_empty(tmp_path: Path) -> None:
    work = job(tmp_path / "out", [part(0, 0)])
    open_staging(work).write_part(part(0, 0), [], Account)
    publish(work)
    report = verify(work.path, deep=True)
    assert report.ok
    assert report.rows == 0
