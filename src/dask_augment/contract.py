"""The contract: an augmenter is a function from the columns it names to new columns, and to the row that each came from.

Dask can project columns because they are named, knows the form of the result before any data is read because the new
columns have declared types, can run a partition again because the function has no state and no randomness of its own,
and can account for every row because each new row has a source.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.draw import Draw
from dask_augment.learned import Learned
from dask_augment.options import NamedOptions

T = TypeVar("T")
A = TypeVar("A", bound="Augmenter")
L = TypeVar("L", bound="Learner")


class Other(NamedTuple):
    """The second parents of rows that were interpolated: what tells m rows apart, and which of them is whose."""

    ids: Mapping[str, NDArray[np.uint64]]
    """Their ids (m,), under the names and in the order that ``draw.ids`` has."""
    dataset: NDArray[np.uint64]
    """The words of their data sets (m,), :func:`dask_augment.identity.file_word` of the name."""
    copy: NDArray[np.int64]
    """Their copy numbers (m,)."""
    row: NDArray[np.integer[Any]]
    """Which of the m each output row has (n_out,); what stands at rows that are not made does not count."""
    share: NDArray[np.float64]
    """How far the row lies on the way from the source row to it (n_out,): 0 at the source row, 1 there."""
    columns: Mapping[str, NDArray[Any]]
    """Their values (m,) of the columns ``between``."""


class Output(NamedTuple):
    """New columns, for each output row the input row it came from, and which of its children it is.

    source: int64 (n_out,); None says one row out for each row in, in order.
    nth: int32 (n_out,); 0 is the source row itself, n > 0 the n-th row made from it; None: all 0.
    other: of a step that interpolates, the second parents.
    Columns not in ``columns`` are carried over from the source row.
    """

    columns: Mapping[str, Any]
    source: NDArray[np.int64] | None = None
    nth: NDArray[np.int32] | None = None
    other: Other | None = None


def plain(value: Any) -> Any:
    """A configuration value as JSON would hold it: lists, dictionaries with sorted keys, numbers, strings, None.

    A step is told by its class and digest: by its fields alone it would equal others that have the same fields.
    """
    if isinstance(value, Augmenter):
        return {"step": f"{type(value).__module__}:{type(value).__qualname__}", "digest": value.digest}
    if is_dataclass(value) and not isinstance(value, type):
        as_plan = getattr(value, "as_plan", None)
        return plain(as_plan() if as_plan else {field.name: getattr(value, field.name) for field in fields(value)})
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (set, frozenset)):
        if any(isinstance(entry, Augmenter) for entry in value):
            raise TypeError(f"a step holds steps in a tuple, which has an order, not in a set: {value!r}")
        return sorted(plain(entry) for entry in value)
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a configuration holds numbers, strings, lists and dictionaries, not {type(value).__name__}: {value!r}"
    )


def _classes(value: Any) -> list[str]:
    """The classes of values that are told by their fields: others may have the same fields."""
    if isinstance(value, Mapping):
        return [name for key in sorted(value, key=str) for name in _classes(value[key])]
    if isinstance(value, (list, tuple)):
        return [name for entry in value for name in _classes(entry)]
    if not is_dataclass(value) or isinstance(value, (type, Augmenter)) or hasattr(value, "as_plan"):
        return []
    own = f"{type(value).__module__}:{type(value).__qualname__}"
    return [own, *(name for field in fields(value) for name in _classes(getattr(value, field.name)))]


class Promises:
    """What a step says of itself: class attributes, or fields of those whose options decide."""

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
    sums: str = "exactly"
    """How a training step that drops rows keeps sums of physics weights: "exactly", or "on average"."""
    spectra: str = "on average"
    """How a training step that drops rows or changes physics weights keeps histograms inside a stratum: "on average", but
    for the ``weight_bias`` that its ``report()`` tells; or "not", where who is dropped has to do with what is filled."""
    takes_missing: bool = False
    """True: ``apply`` also gets missing values (option types). Else they are refused, with the column named."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Augmenter(Promises, NamedOptions, ABC):
    """One way to augment events. Its fields are its whole configuration.

    It holds no data, no random state and no open model, so it can be compared, tokenised, written to a footer and
    shipped. Two augmenters are equal when their class, configuration and learned arrays are.
    """

    shorthand: ClassVar[str] = ""
    """The field that a plan may give alone: ``select: nJet >= 4``."""
    files: ClassVar[tuple[str, ...]] = ()
    """Fields that are paths of files; a plan file names them relative to itself."""

    @abstractmethod
    def uses(self) -> frozenset[str]:
        """Columns that the step needs, also to learn, by their dotted names: ``{"Jet.pt", "weight"}``."""

    @abstractmethod
    def produces(self) -> Mapping[str, str | None]:
        """Columns that ``apply`` returns, with the awkward type of one entry: ``{"lbn": "24 * float32"}``.

        An entry is one event, or for a field of a collection that the events already have (``"Jet.zoom": "float32"``)
        one object. None stands for the type that the column has.
        """

    def remedy(self, name: str) -> str:  # noqa: ARG002
        """What to do where the events have no column of this name, one of ``uses``; the error says it."""
        return ""

    def carries(self) -> frozenset[str] | None:
        """Columns that the result has beside those that the step produces, ids, weights, split and provenance.

        None: all that the events have. A step whose made rows differ from their source names those that are true of
        them.
        """
        return None

    def between(self) -> frozenset[str]:
        """Of a step that interpolates, the columns that lie between those of two rows, x + share (y - x), in made rows.

        The frame computes them, and ``apply`` gives those of second parents as ``Output.other``.
        """
        return frozenset()

    def sees(self) -> frozenset[str]:
        """The columns among ``uses`` that ``apply`` gets."""
        return self.uses()

    def resources(self) -> Mapping[str, float]:
        """What a worker must have free to run ``apply`` on one partition: ``{"GPU": 1}``."""
        return {}

    @abstractmethod
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Augment one slice of events.

        ``events`` holds what it ``sees`` and no more, nested (``events.Jet.pt``), is never empty and never changed in place.
        The result may not depend on how the events were sliced.
        """

    def matched(self, columns: Collection[str]) -> Augmenter:  # noqa: ARG002
        """The step with its wildcards replaced by those of the events' columns, dotted, that they match."""
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

    def report(self) -> list[dict[str, Any]]:
        """What it learned about the rows that it makes or leaves, one entry for each stratum; empty if there is nothing.

        Plain values, from ``learned`` alone; a data set's manifest has them.
        """
        return []

    def configuration(self) -> dict[str, Any]:
        """The fields as JSON would hold them, without what was learned."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self) if field.name != "learned"}

    @property
    def digest(self) -> str:
        """sha256 of class, configuration and learned arrays: the identity of this augmenter."""
        learned: Learned | None = getattr(self, "learned", None)
        return self._digest(learned.digest if learned else None)

    def _digest(self, learned: Any) -> str:
        kind = type(self)
        identity = [kind.__module__, kind.__qualname__, self.configuration(), learned]
        if values := [name for field in fields(self) for name in _classes(getattr(self, field.name))]:
            identity.append(values)
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Augmenter) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __dask_tokenize__(self) -> str:
        return self.digest


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure(ABC, Generic[T]):
    """One question to all the data. Its totals are added up in any order and grouping, so ``T`` has ``+``.

    Sums that decide about rows are integers: sums of floats depend on the partitioning.
    """

    keyed: ClassVar[bool] = False
    """True: event ids are read and ``draw`` is given."""

    @abstractmethod
    def uses(self) -> frozenset[str]:
        """Columns that ``measure`` reads."""

    @abstractmethod
    def measure(self, events: ak.Array, draw: Draw | None) -> T:
        """The answer of one slice of events, never empty; only training rows are measured."""

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


def taught(learner: L, ask: Callable[[Measure[Any]], Any]) -> L:
    """The learner with what it learned; ``ask`` puts one question to all the data and returns the total."""
    questions = learner.learning()
    try:
        question = next(questions)
        while True:
            question = questions.send(ask(question))
    except StopIteration as stop:
        return replace(learner, learned=stop.value)
