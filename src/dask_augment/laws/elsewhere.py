"""Laws about storage and other processes: events written and read again, steps run in another process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import awkward as ak
import cloudpickle
import pyarrow.parquet as pq
from awkward.contents import Content

from dask_augment.augmenters.repeat import Repeat
from dask_augment.contract.augmenter import Learner
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.events import columns as cols
from dask_augment.laws.case import Case, LawBroken, Probe
from dask_augment.laws.compare import by_key, columns_of, content_bytes, difference

HASH_SEEDS = ("1", "4242")


def goes_on_from_parquet(case: Case) -> None:
    """Its result, written as flat Parquet and read by awkward or coffea, goes on to the same rows and numbers."""
    prepared = case.after(("once", Repeat(n=2)))
    middle = prepared.run(prepared.events)
    after = [("twice", Repeat(n=2)), ("probe", Probe())]
    straight = _lists(columns_of(by_key(case.chain(middle, *after), case.setting.ids)))
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "stage.parquet")
        pq.write_table(to_table(middle, schema_of(middle)), file)
        for reader, events in _readers(file):
            back = _lists(columns_of(by_key(case.chain(events, *after), case.setting.ids)))
            if found := difference(back, straight, straight):
                raise case.broken(f"written as Parquet and read by {reader}, {found}")


def _lists(columns: dict[str, Content]) -> dict[str, Content]:
    """Lists of a fixed length as other lists, which is how Parquet holds them."""
    return {name: cols.plain(ak.from_regular(ak.Array(content), axis=None).layout) for name, content in columns.items()}


def _readers(file: str) -> Iterator[tuple[str, ak.Array]]:
    yield "awkward", ak.drop_none(ak.from_parquet(file))
    if find_spec("coffea") is None:
        return
    from coffea.nanoevents import BaseSchema, NanoAODSchema, NanoEventsFactory

    for schema in (NanoAODSchema, BaseSchema):
        with warnings.catch_warnings():
            # No file has all the cross references that NanoAODSchema knows of.
            warnings.filterwarnings("ignore", "Missing cross-reference", RuntimeWarning)
            yield f"coffea's {schema.__name__}", NanoEventsFactory.from_parquet(file, schemaclass=schema).events()


def same_in_another_process(case: Case, *more: Case) -> None:
    """Nothing depends on the order of sets and hashes, which differs from process to process (PYTHONHASHSEED).

    Starting processes takes seconds: give all cases at once where there are many.
    """
    cases = (case, *more)
    payload = cloudpickle.dumps([(c.augmenter, c.events, c.setting) for c in cases])
    with ThreadPoolExecutor(len(HASH_SEEDS)) as pool:
        answers = list(pool.map(lambda seed: _answer(payload, seed), HASH_SEEDS))
    for asked, one, other in zip(cases, *answers, strict=True):
        differing = [what for what in one if one[what] != other[what]]
        if differing:
            raise asked.broken(f"its {' and '.join(differing)} depend on the process (PYTHONHASHSEED): sort sets")


def _answer(payload: bytes, hash_seed: str) -> list[dict[str, str]]:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", "from dask_augment.laws.elsewhere import answer; answer()"]
    done = subprocess.run(command, input=payload, capture_output=True, env=environment, check=False)
    if done.returncode:
        raise LawBroken(f"another process cannot run it: {done.stderr.decode().strip().rpartition(chr(10))[2]}")
    answers: list[dict[str, str]] = json.loads(done.stdout.decode().splitlines()[-1])
    return answers


def answer() -> None:
    """Read cases from standard input and print their fingerprints as one line of JSON."""
    cases = [Case(*parts) for parts in cloudpickle.loads(sys.stdin.buffer.read())]
    print(json.dumps([fingerprint(case) for case in cases]))  # noqa: T201 -- the other process reads it


def fingerprint(case: Case) -> dict[str, str]:
    """Digests of what must be the same in every process."""
    result = case.run(case.events)
    values = hashlib.sha256()
    for name, content in columns_of(result).items():
        values.update(name.encode() + content_bytes(content))
    learned = case.ready.learned if isinstance(case.ready, Learner) else None
    return {
        "digest": case.augmenter.digest,
        "order of columns": json.dumps(result.fields),
        "values": values.hexdigest(),
        "learned arrays": learned.digest if learned else "",
    }
