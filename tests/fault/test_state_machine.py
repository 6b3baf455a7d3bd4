"""Attempts, late attempts, clients, crashes, I/O errors and rotten bits in any order: the published folder is either
not there or exactly that of a run without faults."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any
from unittest import mock
from unittest.mock import ANY

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dask_augment.contract.account import Account
from dask_augment.dataset import commit, posix
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.publication import AlreadyCommitted, Incomplete, Job, OtherPlan
from dask_augment.dataset.sink import StagingGone
from dask_augment.dataset.store import files
from dask_augment.dataset.verify import verify
from dataset_toys import job, part, receipts, snapshot
from faults import Crash, FaultyOs

PARTS = [part(0, 6), part(1, 6), part(2, 0)]
SCHEMA = pa.schema([pa.field("event", pa.uint64(), nullable=False), pa.field("x", pa.float32(), nullable=False)])

parts = st.sampled_from(PARTS)
# A part takes about 20 operations and publishing about 40; where a fault lies beyond the end, none happens.
faults = st.tuples(st.integers(0, 45), st.sampled_from(["crash", errno.ENOSPC, errno.EIO]))


bits = st.integers(0, 10**6)


def turned(content: bytes, bit: int) -> bytes:
    """The same bytes with one bit turned."""
    wrong = bytearray(content)
    wrong[bit // 8 % len(wrong)] ^= 1 << bit % 8
    return bytes(wrong)


def rows(each: Any) -> pa.Table:
    entries = range(each.input["start"], each.input["stop"])
    return pa.table({"event": list(entries), "x": [entry / 3 for entry in entries]}, schema=SCHEMA)


def write(work: Job, each: Any, meanwhile: Any = lambda: None) -> None:
    table = rows(each)

    def pieces():
        yield table.slice(0, 2)
        meanwhile()
        yield table.slice(2)

    work.sink.write_part(each, pieces(), lambda: Account(rows_in=table.num_rows, rows_out=table.num_rows))


class DataSet(RuleBasedStateMachine):
    reference: dict[str, bytes]
    names_differ = True

    def __init__(self) -> None:
        super().__init__()
        # The names of attempts are those of no other, but the same in every run of one example.
        numbers = itertools.count(1) if self.names_differ else itertools.repeat(1)
        self.names = mock.patch("uuid.uuid4", side_effect=(uuid.UUID(int=number << 80) for number in numbers))
        self.names.start()
        self.home = Path(tempfile.mkdtemp(prefix="state-"))
        self.work = job(self.home / "out", PARTS, schema=SCHEMA)
        self.published = False

    def teardown(self) -> None:
        """However it went, one more run without faults does the rest."""
        try:
            assert self.faulty(os, self.the_rest), "what earlier runs left stands in the way"
            assert snapshot(self.home) == {
                f"{folder}/{name}": data for folder in ("out", "plain") for name, data in self.reference.items()
            }, "nothing else is left"
        finally:
            self.names.stop()
            shutil.rmtree(self.home)

    def the_rest(self) -> None:
        if not isinstance(open_staging(self.work), AlreadyCommitted):
            done = receipts(self.work)
            for each in PARTS:
                if each.id not in done:
                    write(self.work, each)
        publish(self.work)

    @initialize()
    def start(self) -> None:
        plain = job(self.home / "plain", PARTS, schema=SCHEMA)
        open_staging(plain)
        for each in PARTS:
            write(plain, each)
        publish(plain)
        type(self).reference = snapshot(self.home / "plain")

    def faulty(self, system: Any, call: Any) -> bool:
        """Whether the call came to its end under a failing system."""
        posix.os = system
        try:
            call()
        except (Crash, OSError, StagingGone, Incomplete):
            return False
        finally:
            posix.os = os
        return True

    def client(self) -> None:
        """One run of the client: whatever is done is checked, and published if it is all there."""
        opened = open_staging(self.work)
        if not isinstance(opened, AlreadyCommitted):
            publish(self.work, receipts(self.work))
        self.published = True

    @rule(each=parts)
    def attempt(self, each: Any) -> None:
        self.faulty(os, lambda: write(self.work, each))

    @rule(each=parts, fault=faults)
    def failing_attempt(self, each: Any, fault: Any) -> None:
        self.faulty(FaultyOs(*fault), lambda: write(self.work, each))

    @rule(each=parts, other=parts)
    def late_attempt(self, each: Any, other: Any) -> None:
        """Another attempt, and a client, come and go while this one is at work."""

        def meanwhile() -> None:
            self.faulty(os, lambda: write(self.work, each))
            self.faulty(os, lambda: write(self.work, other))
            self.faulty(os, self.client)

        self.faulty(os, lambda: write(self.work, each, meanwhile))

    @rule()
    def open_again(self) -> None:
        open_staging(self.work)

    @rule(fault=faults)
    def failing_client(self, fault: Any) -> None:
        self.faulty(FaultyOs(*fault), self.client)

    @rule()
    def publishing(self) -> None:
        self.faulty(os, self.client)

    @rule(point=st.integers(0, 45))
    def two_clients(self, point: int) -> None:
        def other() -> None:
            self.faulty(os, self.client)
            posix.os = system

        system = FaultyOs(point, other)
        self.faulty(system, self.client)

    @rule(fault=faults)
    def everything(self, fault: Any) -> None:
        """All parts, so that long runs are often published; with a fault somewhere."""
        self.faulty(FaultyOs(*fault), self.write_all)

    def write_all(self) -> None:
        open_staging(self.work)
        for each in PARTS:
            write(self.work, each)

    @rule(bit=bits, number=st.integers(0, 10))
    def rot(self, bit: int, number: int) -> None:
        """One bit of a receipt turns, or some file of staging loses its end."""
        found = sorted(self.home.glob(".out.*/*/*"))
        found = [path for path in found if path.stat().st_size and path.stat().st_nlink == 1]
        assume(found)
        path = found[number % len(found)]
        content = path.read_bytes()
        turns = bit % 2 and path.suffix == ".json"
        path.write_bytes(turned(content, bit) if turns else content[: len(content) // 2])

    @rule(bit=bits, number=st.integers(0, 10))
    def rot_just_before_publishing(self, bit: int, number: int) -> None:
        assume(not self.work.path.exists())
        self.faulty(os, self.write_all)
        self.rot(bit, number)
        self.faulty(os, self.client)

    @rule(number=st.integers(0, 10), bit=bits)
    def rot_published(self, number: int, bit: int) -> None:
        assume(self.work.path.exists())
        names = sorted(snapshot(self.work.path))
        path = self.work.path / names[number % len(names)]
        good = path.read_bytes()
        path.write_bytes(turned(good, bit))
        assert not verify(self.work.path, deep=True).ok
        path.write_bytes(good)

    @invariant()
    def not_there_or_whole(self) -> None:
        if self.work.path.exists():
            assert snapshot(self.work.path) == self.reference
        else:
            assert not self.published


def run(examples: int, steps: int, **options: Any) -> None:
    run_state_machine_as_test(
        DataSet,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), **options,
        ),
    )  # fmt: skip


def test_three_hundred_steps() -> None:
    run(12, 25)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_steps() -> None:
    run(200, 50)


def fixed_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataSet, "names_differ", False)


def no_completeness(monkeypatch: pytest.MonkeyPatch) -> None:
    real = commit.Ledger.entries

    def entries(self):
        try:
            yield from real(self)
        except Incomplete:
            return

    monkeypatch.setattr(commit.Ledger, "entries", entries)


def receipts_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "size", lambda path: ANY if path.exists() else None)


@pytest.mark.parametrize("mutant", [fixed_names, no_completeness, receipts_believed])
def test_a_protocol_without_a_safeguard_is_found(monkeypatch, mutant) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, OtherPlan)):
        run(100, 30, phases=[Phase.generate], derandomize=True)
