"""Check a published data set against its manifest: names, sizes and footers; on request every byte and value."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dask_augment.contract.account import Account
from dask_augment.dataset.artefacts import learned_faults
from dask_augment.dataset.hashing import LogicalHash, Words, row_words
from dask_augment.dataset.layout import QUARANTINE, hive_keys
from dask_augment.dataset.manifest import Manifest, NotADataset, PublishedFile, document
from dask_augment.dataset.parquet import hash_of, not_finite
from dask_augment.dataset.publication import digest_of
from dask_augment.dataset.receipt import Part, to_json
from dask_augment.dataset.schema import schema_list
from dask_augment.dataset.store import files
from dask_augment.events.own_columns import COPY
from dask_augment.files.folders import local_folder
from dask_augment.messages import counted
from dask_augment.options import named_options

# Sums of float64 in another order differ by less than this; a lost or doubled event by more.
_RELATIVE = 1e-9


@dataclass
class Report:
    """What :func:`verify` found."""

    path: str
    deep: bool
    faults: list[str] = field(default_factory=list)
    """One sentence each, naming the file; none if the data set is sound."""
    rows: int = 0
    weights: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Sum of w and of w squared of each weight column: from the files if deep, else from the manifest."""
    logical_hash: str = ""
    """From the files if deep, else from the manifest."""

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {"ok": self.ok, **self.__dict__}


@named_options
def verify(path: Path | str, *, deep: bool = False) -> Report:
    """Compare a published folder with its manifest.

    Always: the files are those of the manifest and have their sizes, those of what was learned their sha256, footers have the rows and the schema, the digest and
    the ids of the parts are those of the plan, inputs and schema that the manifest says, and the accounts of the parts add
    up to the totals of each data set and of all, in rows and in sums of weights. ``deep``
    reads everything: sha256, page checksums, logical hash, NaN counts, sums of weights, and that no row has the ids and
    the copy number of another of its data set, if the manifest says which columns are the ids (``extra["ids"]``).
    Never raises for a damaged data set; the report says what is wrong.
    """
    report = Report(str(path), deep)
    try:
        _verify(path, report)
    except (NotADataset, OSError) as error:
        report.faults.append(str(error))
    except Exception as error:  # noqa: BLE001  values of any type may stand in a manifest that was sealed anew
        report.faults.append(f"the manifest is damaged, or what it names: {error!r}")
    return report


def _verify(path: Path | str, report: Report) -> None:
    values = document(path)
    path = local_folder(path, "the data set")
    manifest = Manifest.from_document(values)
    report.faults += manifest.faults(path)
    report.faults += _quarantine_faults(Path(path, QUARANTINE), manifest)
    report.rows = sum(file.rows for file in manifest.files)
    report.weights = dict(manifest.account.weights_out)
    report.logical_hash = manifest.logical_hash.hex()
    report.faults += learned_faults(Path(path), manifest)
    report.faults += _identity_faults(manifest, values)
    report.faults += _account_faults(manifest, values["parts"])
    names = {column[0] for column in manifest.schema} - set(manifest.partition_by)
    schema = [list(column) for column in manifest.schema if column[0] in names]
    # A name may lead out of the folder, where nothing is opened.
    present = [
        file
        for file in manifest.files
        if ".." not in file.path.split("/") and files.size(Path(path, file.path)) is not None
    ]
    for file in present:
        report.faults += _footer_faults(Path(path), file, schema)
    if report.deep:
        _Deep(Path(path), manifest, report).run(present)


def _identity_faults(manifest: Manifest, values: Mapping[str, Any]) -> Iterator[str]:
    """Is the digest that of what the manifest says of plan, inputs and schema, and are the ids those of the parts."""
    parts = [Part.from_dict(part) for part in values["parts"]]
    for part in (*parts, *(entry.part for entry in manifest.quarantined)):
        if part.id != Part.of(part.dataset, part.input).id:
            yield f"the id of part {part.id} is not that of its data set and input"
    schema = hashlib.sha256(to_json(manifest.schema).encode()).hexdigest()
    if digest_of(manifest.plan, parts, schema, manifest.partition_by) != manifest.digest:
        yield "the digest is not that of the plan, the inputs, the schema and the folders that the manifest says"
    said = manifest.plan.get("normalisation")
    if said is not None and said != manifest.extra.get("normalisation"):
        yield "the normalisation is not that of the plan"
    if values["totals"]["rows"] != manifest.rows:
        yield f"the files have {counted(manifest.rows, 'row')}, the totals say {values['totals']['rows']}"


def _quarantine_faults(path: Path, manifest: Manifest) -> Iterator[str]:
    try:
        text = files.read(path)
    except OSError:
        text = b""
    stated = to_json([part.to_dict() for part in manifest.quarantined]).encode() if manifest.quarantined else b""
    if text != stated:
        yield f"{path.name} does not list the parts in quarantine of the manifest"


def _account_faults(manifest: Manifest, parts: list[Mapping[str, Any]]) -> Iterator[str]:
    accounts = [Account.from_dict({**part["account"], "seconds": {}}) for part in parts if "account" in part]
    for part, account in zip((part for part in parts if "account" in part), accounts, strict=True):
        if not account.adds_up:
            yield f"the account of part {part['id']} does not add up"
    yield from _total_faults("the manifest", Account.total(accounts), manifest.account)
    of: dict[str, list[Account]] = {name: [] for name in manifest.datasets}
    for part, account in zip((part for part in parts if "account" in part), accounts, strict=True):
        of.setdefault(part["dataset"], []).append(account)
    for name, mine in sorted(of.items()):
        yield from _total_faults(f"data set {name!r}", Account.total(mine), manifest.datasets.get(name, Account()))
    if manifest.account.rows_out != manifest.rows:
        yield f"the files have {counted(manifest.rows, 'row')}, the account has {manifest.account.rows_out}"
    total_hash = sum((LogicalHash.from_hex(file.logical_hash) for file in manifest.files), LogicalHash())
    if total_hash != manifest.logical_hash:
        yield "the logical hashes of the files do not add up to that of the manifest"
    quarantined = {entry.part.id for entry in manifest.quarantined}
    if len(parts) != manifest.parts or {part["id"] for part in parts if "account" not in part} != quarantined:
        yield f"the manifest lists {counted(len(parts), 'part')} of {manifest.parts}, or others in quarantine than it says"


def _total_faults(name: str, found: Account, stated: Account) -> Iterator[str]:
    for count in ("rows_in", "rows_out", "dropped", "made", "doubted", "cut"):
        if getattr(found, count) != getattr(stated, count):
            yield f"the accounts of the parts do not add up to the totals of {name}"
            break
    for when, rows in (
        ("weights_in", stated.rows_in),
        ("weights_out", stated.rows_out),
        ("weights_cut", stated.rows_in),
    ):
        one, other = getattr(found, when), getattr(stated, when)
        for column in sorted(one.keys() | other.keys()):
            if column not in one or column not in other or not _same_sums(one[column], other[column], rows):
                yield (f"the {when} of {column!r} of the parts add up to {one.get(column)}, the total of {name} is "
                       f"{other.get(column)}")  # fmt: skip


def _same_sums(found: tuple[float, float], stated: tuple[float, float], rows: int) -> bool:
    """Whether two sums of w and of w squared are the same but for the order in which they were added up."""
    # Weights of both signs cancel, so the sum of w is compared on the scale of what was added up.
    scale = math.sqrt(stated[1] * max(rows, 1))
    return abs(found[0] - stated[0]) <= _RELATIVE * scale and abs(found[1] - stated[1]) <= _RELATIVE * stated[1]


def _footer_faults(path: Path, file: PublishedFile, schema: list[list[Any]]) -> Iterator[str]:
    try:
        footer = pq.ParquetFile(files.source(path / file.path))
    except Exception as error:  # noqa: BLE001  a damaged footer makes Arrow raise anything, UnicodeDecodeError too
        yield f"{file.path} cannot be opened: {error}"
        return
    with footer:
        rows = footer.metadata.num_rows
        if rows != file.rows:
            yield f"{file.path} has {counted(rows, 'row')}, the manifest says {file.rows}"
        if schema_list(footer.schema_arrow) != schema:
            yield f"{file.path} has other columns or types than the manifest"


def _unique_ids(manifest: Manifest) -> tuple[str, ...]:
    """The columns by which rows must differ within a data set; none where nobody looked, or the rows do not say theirs."""
    said = manifest.extra.get("ids", {})
    told = "dataset" in {*manifest.partition_by, *(column[0] for column in manifest.schema)}
    return tuple(said["columns"]) if said.get("checked") and (told or len(manifest.datasets) == 1) else ()


class _Deep:
    """Reads every file once, row group by row group."""

    def __init__(self, path: Path, manifest: Manifest, report: Report) -> None:
        self._path = path
        self._manifest = manifest
        self._report = report
        self._hash = LogicalHash()
        self._not_finite: dict[str, int] = {}
        self._sums: dict[str, list[tuple[float, float]]] = {}
        self._ids: dict[str, list[Words]] = {}
        self._id_columns = _unique_ids(manifest)
        self._only = ", ".join(manifest.datasets)

    def run(self, present: list[PublishedFile]) -> None:
        for file in present:
            self._read(file)
        report, manifest = self._report, self._manifest
        report.logical_hash = self._hash.hex()
        if self._hash != manifest.logical_hash:
            report.faults.append("the logical hash of the values is not that of the manifest")
        if self._not_finite != manifest.not_finite:
            report.faults.append(f"NaN and infinite values: {self._not_finite}, the manifest says "
                                 f"{dict(manifest.not_finite)}")  # fmt: skip
        self._compare_weights()
        for dataset, ids in self._ids.items():
            keys = np.concatenate(ids)
            repeated = len(keys) - len(np.unique(keys))
            if repeated:
                report.faults.append(f"{counted(repeated, 'row')} of {dataset!r} {'repeats' if repeated == 1 else 'repeat'} another row's {', '.join(self._id_columns)} "
                                     f"and {COPY}")  # fmt: skip

    def _read(self, file: PublishedFile) -> None:
        path = self._path / file.path
        try:
            known = files.sha256(path) == file.sha256
        except OSError as error:
            self._report.faults.append(f"{file.path} cannot be read: {error}")
            return
        if not known:
            # Bytes that are known to be wrong are not decoded.
            self._report.faults.append(f"{file.path} has another sha256 than the manifest")
            return
        keys = hive_keys(str(Path(file.path).parent)) if "/" in file.path else {}
        found = LogicalHash()
        try:
            with pq.ParquetFile(files.source(path), page_checksum_verification=True) as parquet:
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group)
                    found += hash_of(table, keys)
                    self._measure(table, keys)
        except Exception as error:  # noqa: BLE001  likewise
            self._report.faults.append(f"{file.path} cannot be read: {error}")
        self._hash += found
        if found.hex() != file.logical_hash:
            self._report.faults.append(f"{file.path} has another logical hash than the manifest")

    def _measure(self, table: pa.Table, keys: Mapping[str, str]) -> None:
        for column, count in not_finite(table).items():
            self._not_finite[column] = self._not_finite.get(column, 0) + count
        for column in self._manifest.account.weights_out:
            flat = column.replace(".", "_")
            if flat in table.schema.names:
                w = table.column(flat).to_numpy().astype(np.float64)
                self._sums.setdefault(column, []).append((math.fsum(w), math.fsum(w * w)))
        if self._id_columns and {*table.schema.names, *keys} >= set(self._id_columns):
            names = (*self._id_columns, COPY, "dataset")
            inside = table.select([name for name in names if name in table.schema.names])
            words = row_words(inside, {name: keys[name] for name in names if name in keys})
            self._ids.setdefault(keys.get("dataset", self._only), []).append(words)

    def _compare_weights(self) -> None:
        for column, parts in self._sums.items():
            found = math.fsum(w for w, _ in parts), math.fsum(w2 for _, w2 in parts)
            stated = self._manifest.account.weights_out[column]
            self._report.weights[column] = found
            if not _same_sums(found, stated, self._report.rows):
                self._report.faults.append(f"the sums of {column!r} are {found}, the manifest says {stated}")
