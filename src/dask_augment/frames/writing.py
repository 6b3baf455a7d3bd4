"""Events after a stage as the tables of a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import awkward as ak
import pyarrow as pa

from dask_augment.contract.account import Account
from dask_augment.dataset.schema import to_table
from dask_augment.events.layouts import SLICE_BYTES
from dask_augment.frames.stage import Slices, Stage


@dataclass
class Tables:
    """Events after a stage, piece by piece. An error of theirs is one of reading or of a step, not of who writes them."""

    stage: Stage
    schema: pa.Schema
    batches: Iterable[ak.Array]
    """The events before the stage."""
    columns: Sequence[str] | None = None
    """Those of the result to look at; None: all, of which the schema has some."""
    most: int = SLICE_BYTES
    account: Account = field(default_factory=Account)
    """What became of the rows so far."""
    error: BaseException | None = None

    def __iter__(self) -> Iterator[pa.Table]:
        slices = Slices(self.most)
        try:
            for events in self.batches:
                for piece in self.stage.pieces(events, self.account, slices):
                    yield to_table(piece if self.columns is None else piece[list(self.columns)], self.schema)
        except Exception as error:
            self.error = error
            raise
