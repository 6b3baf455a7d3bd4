"""Input files and their contents, and the error for a file that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from dask_augment import messages
from dask_augment.dataset.quarantine import classify
from dask_augment.dataset.receipt import Part
from dask_augment.files.addresses import told
from dask_augment.inputs.columns_of_files import Kind, NoTree, Opened
from dask_augment.inputs.filesets import NOTHING_SAID, FileSaid
from dask_augment.inputs.made import MakerFailed
from dask_augment.inputs.paths import located


class BadInput(RuntimeError):
    """An input file that cannot be read, now or ever; says which, and how many entries are lost."""

    def __init__(self, message: str, path: str, entries: int | None, no_tree: bool = False) -> None:
        super().__init__(told(message), told(path), entries, no_tree)
        self.path, self.entries, self.no_tree = told(path), entries, no_tree

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Source:
    """One input file of a data set."""

    dataset: str
    path: str
    kind: Kind
    said: FileSaid = NOTHING_SAID
    """What the fileset says of it."""
    address: str = field(default="", repr=False)
    """Where it is read, if that is not its path: with what may not be told."""

    @property
    def location(self) -> str:
        """Where it is read."""
        return self.address or self.path

    def part(self, content: Content, start: int, stop: int) -> Part:
        """One range of its entries."""
        where = {"file": self.path, "uuid": content.uuid, "tree": self.kind.tree, "start": start, "stop": stop}
        return Part.of(self.dataset, where)


@dataclass(frozen=True)
class Content:
    """What one input file holds."""

    uuid: str
    entries: int
    schema: pa.Schema | None
    """Types of the columns asked for that it has; None for a file without any entries or tree of its own."""
    columns: frozenset[str]
    """Names of all its columns, flat."""
    sumw: float | None = None
    """Sum of generator weights of ALL events that were processed to make it; None where it has no such weight."""
    sumw_from: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    """What the file itself calls columns whose flat name is another one."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Why columns that are asked for cannot be read."""
    carriers: frozenset[str] = frozenset()
    """Columns that are read only since they say how many objects there are."""

    def called(self, name: str) -> str:
        """The name that the file has for a column, or for the one of this flat name."""
        return self.own.get(name, name)

    def has(self, name: str) -> bool:
        """Whether it has a column of this flat name that can be read."""
        return name in self.columns and name not in self.faults


Files = Mapping[Source, Content]


@contextmanager
def reading(path: str, entries: int | None) -> Iterator[None]:
    """Errors of the file become :class:`BadInput`, unless trying again may help; those of the user's code do not."""
    try:
        yield
    except (BadInput, MakerFailed):
        raise
    except Exception as error:
        if classify(error) == "transient" or isinstance(error, MemoryError):
            raise
        path = told(path)
        why = messages.one_line(error).removesuffix(f" in file {path}").removesuffix(f" for file path {path}")
        text = f"input file {path!r} cannot be read: {type(error).__name__}: {why}"
        raise BadInput(text, path, entries) from None


def open_source(source: Source, base: str) -> Opened:
    """An input file, opened; :class:`BadInput` where it cannot be, or has no such tree."""
    location = located(source.location, base)
    with reading(source.path, None):
        try:
            return source.kind.open(location)
        except NoTree as error:
            raise BadInput(f"input file {source.path!r} {error}", source.path, None, no_tree=True) from None
