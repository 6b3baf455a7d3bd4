"""One part of the work, and the receipt of a finished part."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b, sha256
from sys import intern
from typing import Any

from dask_augment.contract.account import Account
from dask_augment.dataset.hashing import LogicalHash
from dask_augment.files.addresses import told

_SHARED = {"schema", "folder", "host", "cpu"}


def to_json(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces, no NaN (ValueError), UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def check_account(account: Account, rows: int, what: str) -> None:
    """ValueError unless the account adds up, ends at ``rows`` rows, and its sums of weights are finite."""
    if rows != account.rows_out or not account.adds_up:
        raise ValueError(
            f"the account of {what} does not add up: {account.rows_in} rows in, {sum(account.dropped.values())} "
            f"dropped, {sum(account.made.values())} made, {account.rows_out} out, {rows} written"
        )
    for column, sums in [*account.weights_in.items(), *account.weights_out.items()]:
        if not all(map(math.isfinite, sums)):
            raise ValueError(f"the sums of {column!r} of {what} are {sums}; a weight is NaN or infinite")


@dataclass(frozen=True, slots=True)
class Part:
    """One unit of work of a plan: a data set's name and where the events come from (file, uuid, first and last entry)."""

    id: str
    dataset: str
    input: Mapping[str, Any]

    @classmethod
    def of(cls, dataset: str, input: Mapping[str, Any]) -> Part:  # noqa: A002  the field's name
        """The part with its id: 32 hexadecimal digits of BLAKE2b over the JSON of its data set and input.

        The input is what may be told of it: an address without user and query.
        """
        input = told(input)  # noqa: A001  the field's name
        data = to_json({"dataset": dataset, "input": dict(input)}).encode()
        return cls(blake2b(data, digest_size=16).hexdigest(), dataset, input)

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON-able values."""
        return {"id": self.id, "dataset": self.dataset, "input": dict(self.input)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Part:
        """The part that :meth:`to_dict` wrote."""
        return cls(values["id"], values["dataset"], values["input"])


@dataclass(frozen=True, slots=True)
class Written:
    """One finished Parquet file of an attempt."""

    name: str
    """Name in the staging folder's ``attempts``, unique to the attempt."""
    folder: str
    """Hive folder that it belongs to, ``dataset=ttbar``; empty without partitioning."""
    rows: int
    bytes: int
    sha256: str
    logical_hash: LogicalHash
    """Of the rows with the hive keys as columns."""

    def to_dict(self) -> dict[str, Any]:
        """The file as JSON-able values."""
        return {**_values(self), "logical_hash": self.logical_hash.hex()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Written:
        """The file that :meth:`to_dict` wrote."""
        return cls(**{**values, "logical_hash": LogicalHash.from_hex(values["logical_hash"])})


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that one part was written: by which attempt, into which files, and what became of its rows."""

    part: str
    """Id of the part."""
    attempt: str
    files: tuple[Written, ...]
    account: Account
    schema: str
    """Digest of the schema."""
    not_finite: Mapping[str, int] = field(default_factory=dict)
    """Number of NaN and infinite values of each column that has any."""
    input: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    cpu: str = ""
    """Class of the processor, ``znver5``: values of floats are the same bits on one class."""
    pid: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    """Most memory that the worker's process has had so far."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def logical_hash(self) -> LogicalHash:
        """Of all rows."""
        return sum((file.logical_hash for file in self.files), LogicalHash())

    def to_json(self) -> str:
        """The receipt as JSON, the same for equal receipts, with the sha256 of all else it says."""
        values = _values(self)
        values["files"] = [file.to_dict() for file in self.files]
        values["account"] = self.account.to_dict()
        values["not_finite"], values["input"] = dict(self.not_finite), dict(self.input)
        return to_json({**values, "sha256": _seal(values)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Receipt:
        """The receipt that :meth:`to_json` wrote; ValueError if ``text`` is not one, or is damaged."""
        try:
            values = json.loads(text, object_pairs_hook=_interned)
            if values.pop("sha256") != _seal(values):
                raise ValueError("not a receipt: its text is not that of its sha256")
            values["files"] = tuple(Written.from_dict(file) for file in values["files"])
            values["account"] = Account.from_dict(values["account"])
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a receipt: {error!r}") from error


def _seal(values: Mapping[str, Any]) -> str:
    return sha256(to_json(values).encode()).hexdigest()


def _values(record: Written | Receipt) -> dict[str, Any]:
    return {column.name: getattr(record, column.name) for column in fields(record)}


def _interned(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary that shares its keys, and texts like digests of the schema, with those of all other receipts."""
    return {intern(key): intern(value) if key in _SHARED and type(value) is str else value for key, value in pairs}
