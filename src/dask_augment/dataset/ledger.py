"""The receipts of all parts together: check that all are there and add up, and write the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dask_augment.contract.account import Account
from dask_augment.dataset.hashing import LogicalHash
from dask_augment.dataset.manifest import Artefact, Manifest, PublishedFile, account_dict
from dask_augment.dataset.publication import Incomplete, Job
from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import Part, Receipt, check_account, to_json
from dask_augment.dataset.schema import schema_digest, schema_list
from dask_augment.messages import counted


@dataclass
class Ledger:
    """Goes through the receipts once, in the order of the plan, and keeps only what the manifest needs."""

    job: Job
    receipts: Mapping[str, Receipt] | None
    quarantined: Sequence[Quarantined]
    files: list[PublishedFile] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=lambda: {""})
    not_finite: dict[str, int] = field(default_factory=dict)
    hash: LogicalHash = field(default_factory=LogicalHash)
    accounts: dict[str, list[Account]] = field(default_factory=dict)

    def entries(self) -> Iterator[tuple[Receipt, int]]:
        """Each receipt with the position of its part, checked; Incomplete names the parts that have none."""
        given_up = {entry.part.id for entry in self.quarantined}
        unknown = given_up.difference(part.id for part in self.job.parts)
        if unknown:
            raise ValueError(f"part {min(unknown)} is in the quarantine but not in the plan")
        missing: list[Part] = []
        for index, part in enumerate(self.job.parts):
            receipt = self._find(part)
            if part.id in given_up:
                if receipt is not None:
                    raise ValueError(f"part {part.id} is in the quarantine and has a receipt; it is one or the other")
                self.lines.append(to_json({**part.to_dict(), "quarantined": True}))
            elif receipt is None:
                missing.append(part)
            elif not missing:
                self._enter(part, receipt)
                yield receipt, index
        if missing:
            first = f"{missing[0].dataset!r} {dict(missing[0].input)}"
            raise Incomplete(f"{len(missing)} of {counted(len(self.job.parts), 'part')} not written, the first is {first}; "
                             "run them, or put them in the quarantine")  # fmt: skip

    def _find(self, part: Part) -> Receipt | None:
        return self.job.sink.receipt(part.id) if self.receipts is None else self.receipts.get(part.id)

    def _enter(self, part: Part, receipt: Receipt) -> None:
        if receipt.part != part.id or receipt.schema != self._schema:
            raise ValueError(f"the receipt for part {part.id} is of part {receipt.part} and schema "
                             f"{receipt.schema[:12]}, the plan's schema is {self._schema[:12]}")  # fmt: skip
        check_account(receipt.account, receipt.rows, f"part {part.id}")
        self.hash += receipt.logical_hash
        for column, count in receipt.not_finite.items():
            self.not_finite[column] = self.not_finite.get(column, 0) + count
        values = {**part.to_dict(), "account": account_dict(receipt.account)}
        self.lines.append(to_json(values))
        known = self.accounts.setdefault(part.dataset, [])
        known.append(receipt.account)
        if len(known) >= 1000:
            # Folded in the order of the plan, so that the sums do not depend on the order of the work.
            known[:] = [Account.total(known)]

    @cached_property
    def _schema(self) -> str:
        return schema_digest(self.job.schema)

    def manifest(self, extra: dict[str, Any], artefacts: tuple[Artefact, ...] = ()) -> Manifest:
        """The manifest of all entries, of the files that were given to them, and of those of what was learned."""
        if not self.files:
            raise Incomplete("no part has a file: nothing would be published; see the quarantine, or whether a cut "
                             "drops every event")  # fmt: skip
        datasets = {name: Account.total(accounts) for name, accounts in sorted(self.accounts.items())}
        total = Account.total(datasets.values())
        check_account(total, sum(file.rows for file in self.files), "the data set")
        return Manifest(
            digest=self.job.digest,
            plan=json.loads(to_json(dict(self.job.plan))),
            schema=schema_list(self.job.schema),
            partition_by=self.job.partition_by,
            files=tuple(sorted(self.files)),
            parts=len(self.job.parts),
            account=total,
            datasets=datasets,
            logical_hash=self.hash,
            not_finite=self.not_finite,
            quarantined=tuple(self.quarantined),
            artefacts=artefacts,
            extra=json.loads(to_json(extra)),
            new=True,
        )
