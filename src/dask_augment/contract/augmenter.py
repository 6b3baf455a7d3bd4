"""The contract: an augmenter is a function from the columns it names to new columns and the row each came from.

Dask can project columns because they are named, knows the form of the result before any data is read because the new
columns have declared types, can run a partition again because the function has no state and no randomness of its own,
and can account for every row because each new row has a source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.configuration import Configured
from dask_augment.contract.draw import Draw
from dask_augment.contract.learned import Learned
from dask_augment.contract.second_parents import SecondParents
from dask_augment.options import check_choices

T = TypeVar("T")


class Output(NamedTuple):
    """New columns, for each output row the input row it came from, and which of its children it is.

    source: int64 (n_out,); None says one row out for each row in, in order.
    nth: int32 (n_out,); 0 is the source row itself, n > 0 the n-th row made from it; None: all 0.
    second: of a step that interpolates, the second parents.
    Columns not in ``columns`` are carried over from the source row.
    """

    columns: Mapping[str, Any]
    source: NDArray[np.int64] | None = None
    nth: NDArray[np.int32] | None = None
    second: SecondParents | None = None


class Promises:
    """What a step says of itself: attributes of its class, or fields where its options decide."""

    keeps_rows: bool = True
    """False: rows may be dropped, copied or made."""
    makes: str = ""
    """What rows with nth > 0 are: "copies", "interpolated" or "generated"; they are made for training only."""
    keyed: bool = False
    """True: event ids are read and ``draw`` is given."""
    use: str = "always"
    """Or "training": acts on training rows only, and runs neither in an analysis pass nor on collision data."""
    originals: bool = True
    """False: of a step for training that keeps rows, original ones are left as they are where there are others."""
    keeps_weight: str = "exactly"
    """Of a training step that drops rows or changes physics weights, what stays of these in a stratum: "exactly", their
    sum, and histograms on average (but for the ``weight_bias`` of its report); "on average", both; "in sum", the sum,
    but no histogram, where who is dropped has to do with what is filled."""
    takes_missing: bool = False
    """True: ``apply`` also gets missing values (option types). Else they are refused, with the column named."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Augmenter(Promises, Configured, ABC):
    """One way to augment events. Its fields are its whole configuration.

    It holds no data, no random state and no open model, so it can be compared, tokenised, written to a footer and
    shipped. Two augmenters are equal when their class, configuration and learned arrays are.

    The metadata of a field may say ``{"shorthand": True}``, for the one that a plan may give alone, ``select: nJet >= 4``,
    and ``{"file": True}``, for the path of a file, which a plan file names relative to itself. Where
    the field ``sha256`` tells its contents (of a model bundle, those of its manifest), data sets keep a copy of it.
    """

    @abstractmethod
    def uses(self) -> AbstractSet[str] | Mapping[str, str]:
        """Columns that the step needs, also to learn, by their dotted names: ``{"Jet.pt", "weight"}``.

        Or each with what to do where the events have no such column, which the error then says.
        """

    @abstractmethod
    def produces(self) -> Mapping[str, str | None]:
        """Columns that ``apply`` returns, with the awkward type of one entry: ``{"lbn": "24 * float32"}``.

        An entry is one event, or for a field of a collection that the events already have (``"Jet.zoom": "float32"``)
        one object. None stands for the type that the column has.
        """

    def rescales(self) -> tuple[str, ...]:
        """The physics weights, among what it produces, that it multiplies by a factor for each event.

        Other weights of whole events get the factor of the first where the step drops rows.
        """
        return ()

    def resources(self) -> Mapping[str, float]:
        """What a worker must have free to run ``apply`` on one partition: ``{"GPU": 1}``."""
        return {}

    @abstractmethod
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Augment one slice of events.

        ``events`` holds what it ``uses`` (of a learner, what it ``reads_to_apply``) and no more, nested
        (``events.Jet.pt``), is never empty and never changed in place. The result may not depend on how the events were
        sliced.
        """

    def matched(self, columns: Collection[str]) -> Augmenter:  # noqa: ARG002
        """The step with its wildcards replaced by those of the events' columns, dotted, that they match.

        ValueError where it would be wrong with such columns.
        """
        return self

    def remark(self, columns: Collection[str]) -> str:  # noqa: ARG002
        """What a person should know of the events' columns, dotted, that the step leaves as they are; empty: nothing."""
        return ""

    def doubt(self) -> str:
        """What it assumes of events that its formulas alone do not make sure of, and how to check; empty: nothing.

        Said once, where ``doubted`` finds rows: as a warning, and of a plan in its dry run, its result and its manifest.
        """
        return ""

    def doubted(self, draw: Draw) -> int:  # noqa: ARG002
        """How many of these rows, by their ids, the assumption does not hold for. Only of a keyed step with a doubt."""
        return 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure(ABC, Generic[T]):
    """One question to all the data. Its totals are added up in any order and grouping, so ``T`` has ``+``.

    Sums that decide about rows are integers: sums of floats depend on the partitioning.
    """

    keyed: ClassVar[bool] = False
    """True: event ids are read and ``draw`` is given."""
    rows: str = "train"
    """Which rows it is about, as ``split`` says: "train", "test" (validation and test rows) or "all"."""
    after: tuple[Augmenter, ...] = ()
    """Steps that are done before it is asked, behind those that the step comes after: such as what it learned so far."""

    def __post_init__(self) -> None:
        check_choices(self, rows=("train", "test", "all"))

    @abstractmethod
    def uses(self) -> frozenset[str]:
        """Columns that ``measure`` reads."""

    @abstractmethod
    def measure(self, events: ak.Array, draw: Draw | None) -> T:
        """The answer of one slice of the rows that it is about, never empty."""

    def ask(self) -> Generator[Measure[Any], Any, T]:
        """Yield the question and return its total: ``total = yield from Count(...).ask()``."""
        total: T = yield self
        return total


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner(Augmenter):
    """An augmenter that must see all the data before it can apply; it is refused while ``learned`` is None."""

    learned: Learned | None = None

    @abstractmethod
    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        """Ask as many questions as it needs and return what was learned: the same for any partitioning."""

    def reads_to_apply(self) -> frozenset[str]:
        """The columns among ``uses`` that ``apply`` gets; the others are asked about while it learns."""
        return frozenset(self.uses())

    def report(self) -> list[dict[str, Any]]:
        """What it learned about the rows that it makes or leaves, one entry for each stratum; empty if there is nothing.

        Plain values, from ``learned`` alone; a data set's manifest has them.
        """
        return []
