from __future__ import annotations

import dataclasses
import errno
import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from dask_augment.contract.account import Account
from dask_augment.dataset import commit, posix
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.manifest import Manifest, NotADataset, document
from dask_augment.dataset.publication import AlreadyCommitted, Incomplete, Job, OtherPlan, RunFailed
from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.sink import StagingGone
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dataset_toys import ROWS, SCHEMA, account, finish, job, part, receipts, snapshot, table, write


def test_what_is_published(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    manifest = finish(work, extra={"normalisation": {"ttbar": (12.5,)}})
    assert [file.path for file in manifest.files] == [
        "dataset=dy/part-000001.parquet",
        "dataset=dy/part-000003.parquet",
        "dataset=ttbar/part-000000.parquet",
        "dataset=ttbar/part-000002.parquet",
    ]
    assert set(snapshot(tmp_path)) == {f"out/{file.path}" for file in manifest.files} | {"out/_manifest.json"}
    assert Manifest.read(tmp_path / "out") == manifest
    assert manifest.rows == 4 * ROWS == manifest.account.rows_out
    assert manifest.extra == {"normalisation": {"ttbar": [12.5]}}
    assert {name: found.rows_out for name, found in manifest.datasets.items()} == {"dy": 2 * ROWS, "ttbar": 2 * ROWS}
    hashes = (logical_hash(table(p), {"dataset": p.dataset}) for p in work.parts)
    assert manifest.logical_hash == sum(hashes, LogicalHash())
    listed = document(tmp_path / "out")["parts"]
    assert [entry["id"] for entry in listed] == [p.id for p in work.parts]
    assert listed[0]["account"]["weights_out"] == {"weight": list(account(table(part(0))).weights_out["weight"])}
    assert verify(tmp_path / "out", deep=True).ok


def test_the_manifest_is_the_same_for_the_same_plan(tmp_path: Path) -> None:
    finish(job(tmp_path / "a"))
    sink = open_staging(job(tmp_path / "b"))
    for number in (2, 0, 3, 1):
        write(sink, part(number))
    publish(job(tmp_path / "b"))
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_the_digest_names_all_that_decides(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    others = [
        dataclasses.replace(work, plan={"seed": 8}),
        dataclasses.replace(work, parts=work.parts[:3]),
        dataclasses.replace(work, parts=work.parts[::-1]),
        dataclasses.replace(work, partition_by=()),
        dataclasses.replace(work, schema=SCHEMA.set(0, SCHEMA.field(0).with_nullable(True))),
    ]
    assert len({work.digest, *(other.digest for other in others)}) == 6
    assert job(tmp_path / "elsewhere").digest == work.digest


def test_a_part_twice_and_no_parts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'ttbar' .*'start': 0.* twice"):
        job(tmp_path / "out", [part(0), part(0)])
    with pytest.raises(ValueError, match="no parts"):
        job(tmp_path / "out", [])


def test_missing_parts_are_named(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    write(open_staging(work), part(0))
    with pytest.raises(Incomplete, match=r"3 of 4 parts not written, the first is 'dy'"):
        publish(work)
    assert not work.path.exists()
    assert finish(work).rows == 4 * ROWS
    with pytest.raises(Incomplete, match="no staging folder"):
        publish(job(tmp_path / "never", [part(0)]), {})


def test_resume_keeps_what_is_done(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    done = {part(n).id: write(sink, part(n)) for n in (1, 3)}
    assert receipts(work) == done
    open_staging(work)
    assert receipts(work) == done


def test_an_unfinished_run_is_gone_on_with_only_on_request(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    write(open_staging(work, resume=False), part(0))
    with pytest.raises(RunFailed, match=rf"not finished \(1 of 4 parts done\).*, or remove {work.staging}$"):
        open_staging(work, resume=False)
    assert receipts(work).keys() == {part(0).id}


def test_a_published_plan_is_no_unfinished_run(tmp_path: Path, monkeypatch) -> None:
    """The client died after the rename, before it removed staging."""
    work = job(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(commit, "discard_staging", lambda job: None)
        manifest = finish(work)
    assert work.staging.exists()
    assert open_staging(work, resume=False) == AlreadyCommitted(manifest)
    assert not work.staging.exists()


def test_the_only_copy_of_a_data_set_comes_back_first(tmp_path: Path) -> None:
    """The client died between the two renames of a replacement, on a system that cannot swap two names."""
    manifest = finish(job(tmp_path / "out", plan={"seed": 6}))
    work = job(tmp_path / "out")
    open_staging(work, replace=True)
    aside = work.staging / "old.0123456789ab"
    (tmp_path / "out").rename(aside)
    open_staging(work, resume=False, replace=True)
    assert Manifest.read(tmp_path / "out") == manifest
    # With something else in its place it stays where it is, and nobody is told to remove it.
    (tmp_path / "out").rename(aside)
    finish(job(tmp_path / "elsewhere", plan={"seed": 5}))
    (tmp_path / "elsewhere").rename(tmp_path / "out")
    with pytest.raises(RunFailed, match=rf"or see what {aside} is, a data set that was being replaced$"):
        open_staging(work, resume=False, replace=True)
    assert Manifest.read(aside) == manifest


@pytest.mark.parametrize("sizes", [(80,), (40, 40), (7, 33, 40)])
def test_the_digest_does_not_depend_on_how_entries_are_cut(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    def cut(*sizes: int) -> Job:
        borders = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
        ranges = pairwise(borders)
        return job(tmp_path / "out", [Part.of("tt", {"file": "a.root", "start": a, "stop": b}) for a, b in ranges])

    assert cut(*sizes).digest == cut(20, 60).digest
    assert cut(*sizes).staging != cut(20, 60).staging
    assert cut(*sizes).digest != cut(*sizes, 1).digest


def test_a_damaged_part_is_written_again(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for each in work.parts:
        write(sink, each)
    path = sink.attempts / sink.receipt(part(0).id).files[0].name
    path.write_bytes(path.read_bytes()[:-1])
    (sink.receipt_path(part(1).id)).write_text("{")
    assert set(receipts(work)) == {part(2).id, part(3).id}
    assert finish(work).rows == 4 * ROWS
    assert verify(work.path, deep=True).ok


def test_a_receipt_without_its_file(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for each in work.parts:
        write(sink, each)
    (sink.attempts / sink.receipt(part(2).id).files[0].name).unlink()
    with pytest.raises(Incomplete, match=rf"^{part(2).id}\S+ is missing or not the \d+ bytes"):
        publish(work)
    assert not work.path.exists()
    assert part(2).id not in receipts(work)
    assert finish(work).rows == 4 * ROWS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": part(9).id}, "is of part"),
        ({"schema": "0" * 64}, "schema 000000000000"),
        ({"account": Account(rows_in=ROWS, rows_out=ROWS - 1)}, "does not add up"),
        ({"account": Account(rows_in=ROWS, rows_out=ROWS, weights_in={"w": (float("inf"), 1.0)})}, "NaN or infinite"),
        ({"files": ()}, "does not add up"),
    ],
)
def test_a_wrong_receipt_is_refused(tmp_path: Path, change, message) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    found = {each.id: write(sink, each) for each in work.parts}
    found[part(1).id] = dataclasses.replace(found[part(1).id], **change)
    with pytest.raises(ValueError, match=message):
        publish(work, found)
    assert not work.path.exists()


def test_the_same_plan_again(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    manifest = finish(work)
    before = snapshot(tmp_path)
    assert open_staging(job(tmp_path / "out")) == AlreadyCommitted(manifest)
    assert publish(job(tmp_path / "out")) == manifest
    assert publish(job(tmp_path / "out"), replace=True) == manifest
    assert snapshot(tmp_path) == before


def test_another_plan_is_refused(tmp_path: Path) -> None:
    finish(job(tmp_path / "out"))
    before = snapshot(tmp_path)
    other = job(tmp_path / "out", plan={"seed": 8})
    with pytest.raises(OtherPlan, match=rf"this one is {other.digest[:12]}; choose another path"):
        open_staging(other)
    with pytest.raises(OtherPlan, match="choose another path"):
        publish(other)
    assert snapshot(tmp_path) == before


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    for replace in (False, True):
        with pytest.raises(OtherPlan, match="not a data set of ours"):
            open_staging(job(tmp_path / "out"), replace=replace)
    (tmp_path / "out" / "thesis.tex").unlink()
    assert finish(job(tmp_path / "out")).rows == 4 * ROWS, "an empty folder is no hindrance"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big" / "run1")
    finish(job(tmp_path / "out"))
    assert (tmp_path / "out").is_symlink()
    assert verify(tmp_path / "big" / "run1").ok


@pytest.mark.parametrize("swap", ["exchange", "aside"])
def test_replace(tmp_path: Path, swap: str, monkeypatch) -> None:
    if swap == "aside":
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    finish(job(tmp_path / "out"))
    other = job(tmp_path / "out", [part(0)], plan={"seed": 8})
    manifest = finish(other, replace=True)
    assert Manifest.read(tmp_path / "out") == manifest
    assert manifest.rows == ROWS
    assert os.listdir(tmp_path) == ["out"], "neither the old data set nor staging is left"
    assert verify(tmp_path / "out", deep=True).ok


def test_the_old_data_set_comes_back_if_the_new_cannot_take_over(tmp_path: Path, monkeypatch) -> None:
    finish(job(tmp_path / "out"))
    before = snapshot(tmp_path)
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    real, final = files.rename, tmp_path / "out"

    def rename(source: Path, target: Path) -> None:
        if target == final and source.name.startswith("data.") and not final.exists():
            raise OSError(errno.EIO, "input/output error")
        real(source, target)

    monkeypatch.setattr(files, "rename", rename)
    with pytest.raises(OSError, match="input/output error"):
        finish(job(final, plan={"seed": 8}), replace=True)
    assert snapshot(final) == {name.removeprefix("out/"): data for name, data in before.items()}


def test_a_damaged_data_set_of_this_plan(tmp_path: Path) -> None:
    manifest = finish(job(tmp_path / "out"))
    (tmp_path / "out" / manifest.files[0].path).unlink()
    with pytest.raises(OtherPlan, match=r"damaged: dataset=dy/part-000001\.parquet is missing"):
        open_staging(job(tmp_path / "out"))
    assert finish(job(tmp_path / "out"), replace=True) == manifest
    assert verify(tmp_path / "out", deep=True).ok


def test_two_clients(tmp_path: Path, monkeypatch) -> None:
    """The other client publishes at the worst moment: just before our rename."""
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for each in work.parts:
        write(sink, each)
    real = commit._swap_in
    other = []

    def swap_in(job: Job, *rest):
        monkeypatch.setattr(commit, "_swap_in", real)
        other.append(publish(work))
        return real(job, *rest)

    monkeypatch.setattr(commit, "_swap_in", swap_in)
    assert publish(work) == other[0]
    assert verify(work.path, deep=True).ok
    assert os.listdir(tmp_path) == ["out"]


def test_the_other_client_removed_staging_meanwhile(tmp_path: Path, monkeypatch) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for each in work.parts:
        write(sink, each)
    real = commit._link

    def link(*arguments):
        monkeypatch.setattr(commit, "_link", real)
        publish(work)
        real(*arguments)

    monkeypatch.setattr(commit, "_link", link)
    assert publish(work) == Manifest.read(work.path)


def test_a_zombie_after_publishing_changes_nothing(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    finish(work)
    before = snapshot(tmp_path)
    with pytest.raises(StagingGone):
        write(sink, part(0))
    assert snapshot(tmp_path) == before


def test_quarantine(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for number in (0, 1, 2):
        write(sink, part(number))
    lost = Quarantined.of(part(3), OSError("not a ROOT file"), ROWS)
    manifest = publish(work, quarantined=[lost])
    assert manifest.rows == 3 * ROWS
    assert Manifest.read(work.path).quarantined == (lost,)
    assert json.loads((work.path / "_quarantine.json").read_text()) == [lost.to_dict()]
    assert verify(work.path, deep=True).ok
    (work.path / "_quarantine.json").write_text("[]")
    assert verify(work.path).faults == ["_quarantine.json does not list the parts in quarantine of the manifest"]


def test_quarantine_of_what_is_there_or_unknown(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for each in work.parts:
        write(sink, each)
    with pytest.raises(ValueError, match="in the quarantine and has a receipt"):
        publish(work, quarantined=[Quarantined(part(0), "x", None)])
    with pytest.raises(ValueError, match="in the quarantine but not in the plan"):
        publish(work, quarantined=[Quarantined(part(9), "x", None)])


def test_nothing_at_all(tmp_path: Path) -> None:
    work = job(tmp_path / "out", [part(0)], partition_by=("stratum",))
    open_staging(work).write_part(part(0), [], Account)
    with pytest.raises(Incomplete, match="no part has a file"):
        publish(work)


def test_no_hard_links(tmp_path: Path, monkeypatch) -> None:
    def link(source, target):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(posix.os, "link", link)
    assert finish(job(tmp_path / "out")).rows == 4 * ROWS
    assert verify(tmp_path / "out", deep=True).ok


def test_manifest_that_rotted(tmp_path: Path) -> None:
    finish(job(tmp_path / "out"))
    path = tmp_path / "out" / "_manifest.json"
    good = path.read_text()
    path.write_text(good.replace('"seed":7', '"seed":9'))
    with pytest.raises(NotADataset, match="is damaged"):
        Manifest.read(tmp_path / "out")
    path.write_text(good[:100])
    with pytest.raises(NotADataset, match="is damaged"):
        Manifest.read(tmp_path / "out")
    path.unlink()
    with pytest.raises(NotADataset, match=r"has no _manifest\.json"):
        Manifest.read(tmp_path / "out")


def test_a_run_of_which_nothing_was_done_is_begun_anew(tmp_path):
    work = job(tmp_path / "out", [part(0), part(1)])
    open_staging(work)
    write(open_staging(work, resume=False), part(0))
    with pytest.raises(RunFailed, match=r"was not finished \(1 of 2 parts done\)"):
        open_staging(work, resume=False)
