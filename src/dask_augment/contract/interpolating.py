"""Steps that make rows on the way from one row to another."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from dask_augment.contract.augmenter import Augmenter


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolating(Augmenter):
    """A step whose made rows lie between two others, and differ from both.

    ``apply`` says of which two rows, and how far from the first: ``Output.source`` and ``Output.second``. The frame
    computes the columns ``between``, writes both parents into provenance, and leaves the columns that are true of such rows.
    """

    keeps_rows = False
    makes = "interpolated"
    use = "training"

    @abstractmethod
    def between(self) -> tuple[str, ...]:
        """The columns, among those it produces, that lie between those of two rows, x + share (y - x), in made rows.

        ``apply`` does not return them, but gives those of second parents.
        """

    @abstractmethod
    def carries(self) -> frozenset[str] | None:
        """Columns that are true of made rows too, beside those that it produces, ids, weights, split and provenance.

        The result has these and no others. None: it has all, and made rows have those of their first parent.
        """
