"""Checkpoints between passes: events of each part stored as flat Parquet, so that no round computes them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import pyarrow as pa

from dask_augment.contract.account import Account
from dask_augment.contract.flow import read_for
from dask_augment.dataset.parquet import Settings
from dask_augment.dataset.receipt import Part, Receipt
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.store import files
from dask_augment.events.layouts import SLICE_BYTES
from dask_augment.inputs.parquet_files import ParquetFile
from dask_augment.inputs.reader import as_events


def checkpoint_sink(folder: Path, schema: pa.Schema) -> Sink:
    """A sink for parts that only this run reads, in a folder that is made in one inside its staging."""
    for name in ("attempts", "receipts"):
        files.make_below(folder.parent, folder / name)
    return Sink(str(folder), schema, (), Settings())


@dataclass(frozen=True)
class CheckpointReader:
    """Reads what a stage stored, part by part."""

    sink: Sink
    columns: tuple[str, ...]

    def batches(self, part: Part, most: int = SLICE_BYTES) -> Iterator[ak.Array]:
        """The events of one part after the stage, as many at a time as are about ``most`` bytes."""
        (written,) = self._receipt(part).files
        if not self.columns or not written.rows:
            yield as_events({}, (), self.sink.schema, written.rows) if not self.columns else self.form()
            return
        file = ParquetFile(str(self.sink.attempts / written.name))
        for start, stop, events in file.batches(self.columns, 0, written.rows, most, self.sink.schema):
            yield as_events(events, self.columns, self.sink.schema, stop - start)

    def account(self, part: Part) -> Account:
        """What became of the rows of this part up to here."""
        return self._receipt(part).account

    def narrowed(self, needed: Iterable[str]) -> CheckpointReader:
        """The reader with no more columns than these need."""
        kinds = self.sink.schema
        columns = read_for(needed, self.columns, lambda name: bool(pa.types.is_list(kinds.field(name).type)))
        return replace(self, columns=columns)

    def form(self) -> ak.Array:
        """No events, of the form that parts have."""
        table = self.sink.schema.empty_table().select(list(self.columns))
        return as_events(ak.from_arrow(table), self.columns, self.sink.schema, 0)

    def _receipt(self, part: Part) -> Receipt:
        receipt = self.sink.receipt(part.id)
        if receipt is None:
            raise FileNotFoundError(f"part {part.id} was not stored in {self.sink.staging}; run the plan again")
        return receipt
