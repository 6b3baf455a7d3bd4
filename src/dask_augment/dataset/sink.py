"""Write one part: tables streamed into row groups of attempt-unique files, and a receipt of the first to finish.

Any number of attempts of a part may run, at once or later; none sees another's files. What was written counts only
once its receipt is published, by a hard link, after the files are on the disk and their footers were read back.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from llvmlite import binding

from dask_augment.contract.account import Account, peak_memory
from dask_augment.dataset.hive import check_keys, split
from dask_augment.dataset.parquet import JoinedFile, PartFile, Settings
from dask_augment.dataset.receipt import Part, Receipt, Written, check_account
from dask_augment.dataset.schema import SchemaError, fit, schema_digest, without
from dask_augment.dataset.store import files

MOST_FOLDERS = 1000


class StagingGone(RuntimeError):
    """The staging folder is no longer there: the plan was published or given up, and this attempt comes too late."""


@dataclass(frozen=True)
class Sink:
    """Where the parts of one plan are written; small and picklable, it travels to the workers.

    ``partition_by`` columns leave the files and become hive folders; ``dataset`` may be one of them without being a
    column, and is then the part's data set.
    """

    staging: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ("dataset",)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        check_keys(self.schema, self.partition_by)

    @property
    def attempts(self) -> Path:
        """Folder of the files of all attempts."""
        return Path(self.staging, "attempts")

    def receipt_path(self, part: str) -> Path:
        """Where the receipt of a part is, once it is published."""
        return Path(self.staging, "receipts", f"{part}.json")

    def receipt(self, part: str) -> Receipt | None:
        """The published receipt of a part, by the part's id, or None.

        One that cannot be read, or whose text is not what was written, is withdrawn: the part is to be written again.
        """
        path = self.receipt_path(part)
        try:
            return Receipt.from_json(files.read(path))
        except FileNotFoundError:
            return None
        except ValueError:
            files.remove(path)
            return None

    def write_part(self, part: Part, pieces: Iterable[pa.Table], account: Callable[[], Account]) -> Receipt:
        """Write all pieces of a part and publish its receipt; the receipt that stands is returned.

        ``pieces`` are consumed one by one, and no more than one row group and one piece are held. ``account`` is asked
        after the last piece. A part that has a receipt already is not written again. Errors: StagingGone when the plan
        was published meanwhile; SchemaError for a piece that does not fit; ValueError for an account that does not
        add up; OSError as the system gives it, when nothing is published and what was written is removed.
        """
        return self._attempted(part, lambda attempt: attempt.write(pieces), account)

    def join_part(self, part: Part, folder: str, members: Sequence[Written], account: Callable[[], Account]) -> Receipt:
        """As :meth:`write_part`, of one file that has the row groups of ``members``, copied as they are."""
        return self._attempted(part, lambda attempt: attempt.join(folder, members), account)

    def _attempted(self, part: Part, fill: Callable[[_Attempt], None], account: Callable[[], Account]) -> Receipt:
        try:
            files.changed(self.attempts)
            known = self.receipt(part.id)
            return known if known is not None else _Attempt(self, part).run(fill, account)
        except FileNotFoundError as error:
            if files.exists(self.attempts):
                raise
            raise StagingGone(
                f"part {part.id} was not written: {self.staging} is gone, so its plan was published or given up; "
                "open the staging folder again if the part is still wanted"
            ) from error


class _Attempt:
    """One attempt at one part."""

    def __init__(self, sink: Sink, part: Part) -> None:
        self._sink = sink
        self._part = part
        self._id = uuid.uuid4().hex[:12]
        self._open: dict[str, PartFile] = {}
        self._joined: list[JoinedFile] = []
        self._schema = without(sink.schema, sink.partition_by)
        self._started = time.perf_counter(), time.thread_time()

    def write(self, pieces: Iterable[pa.Table]) -> None:
        """Take the rows of all pieces."""
        for piece in pieces:
            self._add(piece)
        if not self._open and set(self._sink.partition_by) <= {"dataset"}:
            # Nothing came out, which is a fact: a file without rows keeps the schema for every reader.
            self._add(self._sink.schema.empty_table())

    def join(self, folder: str, members: Sequence[Written]) -> None:
        """Take the row groups of finished files."""
        sources = [(self._sink.attempts / member.name, member) for member in members]
        path = self._sink.attempts / f"{self._part.id}.{self._id}"
        self._joined.append(JoinedFile(path, folder, self._schema, sources))

    @property
    def _files(self) -> list[PartFile | JoinedFile]:
        return [*self._open.values(), *self._joined]

    def run(self, fill: Callable[[_Attempt], None], account: Callable[[], Account]) -> Receipt:
        """Write what ``fill`` takes, and publish the receipt."""
        try:
            fill(self)
            for file in self._files:
                file.finish()
            receipt = self._receipt(account())
            files.write_new(self._draft, [receipt.to_json().encode()])
            files.sync_folder(self._sink.attempts)
        except BaseException:
            self._abort()
            raise
        return self._publish(receipt)

    @property
    def _draft(self) -> Path:
        return self._sink.attempts / f"{self._part.id}.{self._id}.json"

    def _add(self, piece: pa.Table) -> None:
        constant = {"dataset": self._part.dataset}
        for folder, table in split(fit(piece, self._sink.schema), self._sink.partition_by, constant):
            if folder not in self._open:
                self._open[folder] = self._new_file(folder)
            self._open[folder].add(table)
        settings, files_open = self._sink.settings, self._open.values()
        # With several folders open, the fullest gives up its rows, so that memory does not grow with their number.
        while (
            sum(file.pending for file in files_open) >= settings.row_group_bytes
            or sum(file.rows for file in files_open) >= settings.row_group_rows
        ):
            max(files_open, key=lambda file: (file.pending, file.rows)).flush()

    def _new_file(self, folder: str) -> PartFile:
        count = len(self._open)
        if count >= MOST_FOLDERS:
            raise SchemaError(
                f"partition_by {list(self._sink.partition_by)} gives more than {MOST_FOLDERS} folders in one part; "
                "partition by a column with fewer values"
            )
        name = f"{self._part.id}.{self._id}" + (f".{count}" if count else "")
        return PartFile(self._sink.attempts / name, folder, self._schema, self._sink.settings)

    def _receipt(self, account: Account) -> Receipt:
        written = tuple(file.written() for file in self._files)
        check_account(account, sum(file.rows for file in written), f"part {self._part.id}")
        not_finite: dict[str, int] = {}
        for file in self._files:
            for column, count in file.not_finite.items():
                not_finite[column] = not_finite.get(column, 0) + count
        wall, cpu = self._started
        return Receipt(
            part=self._part.id,
            attempt=self._id,
            files=written,
            account=account,
            schema=schema_digest(self._sink.schema),
            not_finite=not_finite,
            input=self._part.input,
            host=socket.gethostname(),
            cpu=binding.get_host_cpu_name(),
            pid=os.getpid(),
            wall_seconds=time.perf_counter() - wall,
            cpu_seconds=time.thread_time() - cpu,
            peak_bytes=peak_memory(),
        )

    def _publish(self, receipt: Receipt) -> Receipt:
        """Take the name of the part's receipt, or return the one of the attempt that has it."""
        path, standing = self._sink.receipt_path(self._part.id), None
        while standing is None:
            # A receipt that holds the name but cannot be read is withdrawn, and the name is free again.
            standing = receipt if files.link_first(self._draft, path) else self._sink.receipt(self._part.id)
        if standing.attempt != self._id:
            # Looking at who holds the name, and not at the answer of `link`, is what NFS needs: it may repeat a
            # request that had succeeded and then report that the name exists.
            self._remove()
            return standing
        files.sync_folder(path.parent)
        files.remove(self._draft)
        return receipt

    def _abort(self) -> None:
        for file in self._files:
            file.abandon()
        for path in (*(file.path for file in self._files), self._draft):
            # The error that brought us here is the one to show.
            with suppress(OSError):
                files.remove(path)

    def _remove(self) -> None:
        for file in self._files:
            files.remove(file.path)
        files.remove(self._draft)
