"""The manifest of a published data set: its contents, their origin, and the account of all rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from dask_augment.contract.account import Account
from dask_augment.dataset.hashing import LogicalHash
from dask_augment.dataset.layout import MANIFEST, QUARANTINE
from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import to_json
from dask_augment.dataset.store import files
from dask_augment.files.folders import NoLocalFolder, local_folder
from dask_augment.messages import counted

VERSION = 1
# The last member is the sha256 of the text before it, so that a manifest that rotted is not believed.
_SEAL = ',\n"sha256":'


class NotADataset(ValueError):
    """A folder without a manifest that can be read."""


class PublishedFile(NamedTuple):
    """One file of a published data set; ``path`` is relative to its folder."""

    path: str
    rows: int
    bytes: int
    sha256: str
    logical_hash: str


class Artefact(NamedTuple):
    """A file of a published data set that holds what was learned, or that a step names; ``path`` is relative to its folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What ``_manifest.json`` says. The same plan gives the same manifest, so neither times nor workers are in it."""

    digest: str
    """sha256 of the plan, the parts and the schema."""
    plan: Mapping[str, Any]
    schema: Sequence[Sequence[Any]]
    """``[name, type, nullable]`` of each column."""
    partition_by: tuple[str, ...]
    files: tuple[PublishedFile, ...]
    parts: int
    """Number of parts in the plan."""
    account: Account
    """Of all parts, without seconds."""
    datasets: Mapping[str, Account]
    """The same for each data set."""
    logical_hash: LogicalHash
    not_finite: Mapping[str, int] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    new: bool = field(default=False, compare=False)
    """Whether it was written just now, and not read from a data set that stood."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the inputs, and of steps that were not made for them, before the rows are used."""
        found = list(self.extra.get("warnings", ()))
        for label, text in sorted(self.extra.get("doubts", {}).items()):
            for name, account in sorted(self.datasets.items()):
                if rows := account.doubted.get(label):
                    found.append(f"data set {name!r}, {counted(rows, 'row')}, step {label!r}: {text}")
        return tuple(found)

    @property
    def resampled(self) -> dict[str, list[dict[str, Any]]]:
        """The reports of steps that resampled, by label; none from releases that had no reports."""
        return dict(self.extra.get("resampled", {}))

    def lines(self, parts: Iterable[str]) -> Iterator[bytes]:
        """The manifest as the lines of a JSON file; ``parts`` are the JSON texts of what became of each part.

        One line for each file and each part, one after the other: 100,000 parts as one text are too much memory.
        """
        head = {
            "version": VERSION,
            "digest": self.digest,
            "plan": self.plan,
            "schema": self.schema,
            "partition_by": self.partition_by,
            "totals": {
                "rows": self.rows,
                "parts": self.parts,
                "account": account_dict(self.account),
                "datasets": {name: account_dict(account) for name, account in self.datasets.items()},
                "logical_hash": self.logical_hash.hex(),
                "not_finite": dict(self.not_finite),
            },
            "quarantined": [part.to_dict() for part in self.quarantined],
            **({"artefacts": [file._asdict() for file in self.artefacts]} if self.artefacts else {}),
            "extra": dict(self.extra),
        }
        seal = hashlib.sha256()
        lists = {"files": (to_json(file._asdict()) for file in self.files), "parts": parts}
        for piece in _joined(to_json(head)[:-1], lists):
            line = piece.encode()
            seal.update(line)
            yield line
        yield f'{_SEAL}"{seal.hexdigest()}"}}\n'.encode()

    @classmethod
    def read(cls, path: Path | str) -> Manifest:
        """The manifest of a published folder; NotADataset if there is none or it cannot be read."""
        return cls.from_document(document(path))

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> Manifest:
        """The manifest from its JSON values; NotADataset where they are not those of one."""
        try:
            return cls._from(values)
        except Exception as error:
            raise NotADataset(f"the manifest is damaged: {error!r}; publish the data set again") from error

    @classmethod
    def _from(cls, values: Mapping[str, Any]) -> Manifest:
        totals = values["totals"]
        return cls(
            digest=values["digest"],
            plan=values["plan"],
            schema=values["schema"],
            partition_by=tuple(values["partition_by"]),
            files=tuple(PublishedFile(**file) for file in values["files"]),
            parts=totals["parts"],
            account=Account.from_dict(totals["account"]),
            datasets={name: Account.from_dict(account) for name, account in totals["datasets"].items()},
            logical_hash=LogicalHash.from_hex(totals["logical_hash"]),
            not_finite=totals["not_finite"],
            quarantined=tuple(Quarantined.from_dict(part) for part in values["quarantined"]),
            artefacts=tuple(Artefact(**file) for file in values.get("artefacts", ())),
            extra=values["extra"],
        )

    def faults(self, path: Path | str, foreign: Sequence[str] = ("*",)) -> list[str]:
        """Files that are missing, of another size, or not of the data set; reads names and sizes only.

        Of files that are not of the data set, those whose names match one of ``foreign`` are told.
        """
        return self.differences(files.sizes(Path(path)), foreign)

    def differences(self, found: Mapping[str, int | str], foreign: Sequence[str] = ("*",)) -> list[str]:
        """The same of files that were listed: their bytes, or why these cannot be told, by their paths."""
        left = {name: size for name, size in found.items() if PurePath(name).name not in (MANIFEST, QUARANTINE)}
        faults = []
        published: list[PublishedFile | Artefact] = [*self.files, *self.artefacts]
        for file in published:
            size = left.pop(file.path, None)
            if size is None:
                faults.append(f"{file.path} is missing")
            elif isinstance(size, str):
                faults.append(f"{file.path} cannot be read: {size}")
            elif size != file.bytes:
                faults.append(f"{file.path} has {size} bytes, the manifest says {file.bytes}")
        return faults + [
            f"{name} is not in the manifest" for name in sorted(left) if any(map(PurePath(name).match, foreign))
        ]


def _joined(head: str, lists: Mapping[str, Iterable[str]]) -> Iterator[str]:
    yield head
    for name, items in lists.items():
        yield f',\n"{name}":['
        for number, item in enumerate(items):
            yield (",\n" if number else "\n") + item
        yield "\n]"


def account_dict(account: Account) -> dict[str, Any]:
    """An account as JSON-able values, without the seconds, which differ from run to run."""
    return {name: value for name, value in account.__dict__.items() if name != "seconds"}


def document(path: Path | str) -> dict[str, Any]:
    """``_manifest.json`` of a published folder as it stands, with a line for each part."""
    try:
        file = local_folder(path, "the data set") / MANIFEST
    except NoLocalFolder as error:
        raise NotADataset(str(error)) from None
    try:
        data = files.read(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotADataset(f"{path} has no {MANIFEST}: it was not published by dask-augment") from error
    return parsed(data, str(file))


def parsed(data: bytes, file: str) -> dict[str, Any]:
    """The values of a manifest that was read; NotADataset, which names the file, where it is damaged."""
    try:
        text = data.decode()
        values = json.loads(text)
        if hashlib.sha256(text.rpartition(_SEAL)[0].encode()).hexdigest() != values["sha256"]:
            raise NotADataset(f"{file} is damaged: its text is not that of its sha256; publish the data set again")
        if values["version"] != VERSION:
            raise NotADataset(f"{file} has the version {values['version']}, this release reads version {VERSION}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, NotADataset):
            raise
        raise NotADataset(f"{file} is damaged: {error}; publish the data set again") from error
    return dict(values)
