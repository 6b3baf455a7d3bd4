"""The same plan again, more or fewer parts, other parameters, drift: what is published stays as it was."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.publication import AlreadyCommitted, OtherPlan
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import SchemaError, unify
from dataset_toys import SCHEMA, account, finish, job, part, receipts, snapshot, table, write


@pytest.mark.parametrize(
    "change",
    [
        {"parts": [part(0), part(1)]},
        {"parts": [part(n) for n in range(6)]},
        {"plan": {"seed": 8}},
        {"partition_by": ()},
        {"schema": SCHEMA.set(0, pa.field("HT", pa.float32(), nullable=False))},
    ],
    ids=["fewer parts", "more parts", "seed", "folders", "schema"],
)
def test_another_plan_is_refused_and_changes_nothing(tmp_path: Path, change) -> None:
    finish(job(tmp_path / "out"))
    before = snapshot(tmp_path)
    other = job(tmp_path / "out", **change)
    with pytest.raises(OtherPlan):
        open_staging(other)
    with pytest.raises(OtherPlan):
        publish(other)
    assert snapshot(tmp_path) == before
    assert isinstance(open_staging(job(tmp_path / "out")), AlreadyCommitted)


def test_plans_do_not_share_their_staging(tmp_path: Path) -> None:
    """Half of one plan, then another plan: nothing of the first gets into the second."""
    half = job(tmp_path / "out")
    write(open_staging(half), part(0))
    other = job(tmp_path / "out", plan={"seed": 8})
    open_staging(other)
    assert receipts(other) == {}
    finish(other)
    assert receipts(half).keys() == {part(0).id}
    with pytest.raises(OtherPlan):
        publish(half)


def test_one_part_drifts(tmp_path: Path) -> None:
    work = job(tmp_path / "out")
    sink = open_staging(work)
    for number in (0, 1, 2):
        write(sink, part(number))
    drifted = table(part(3)).drop_columns(["HT"])
    with pytest.raises(SchemaError, match="'HT' is in the schema but not in the table"):
        sink.write_part(part(3), [drifted], lambda: account(table(part(3))))
    assert not work.path.exists()
    with pytest.raises(SchemaError, match=r"'HT' is in 'a\.root' but not in 'b\.root'"):
        unify({"a.root": SCHEMA, "b.root": drifted.schema})


@pytest.mark.parametrize("name", ["../../../ESCAPED", "..", "/etc", "a/b", "nul\0", "\u00fc", "a=b"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    home = tmp_path / "a" / "b" / "c" / "d"
    finish(job(home / "out", [Part.of(name, part(0).input)]))
    assert [path.parent.parent for path in tmp_path.rglob("*.parquet")] == [home / "out"]
    assert [path.name for path in home.iterdir()] == ["out"]
