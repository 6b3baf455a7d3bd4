"""The interface to storage: all operations that publishing needs; nothing else in this folder touches files.

Another storage is one more class with these methods. What they promise of crashes and races, the fault tests hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from dask_augment.dataset.posix import NewFile, Posix


class Store(Protocol):
    """Files and folders by their paths; OSError as the storage gives it, FileNotFoundError where something is not there."""

    # Create, if nothing has the name.

    def create(self, path: Path) -> NewFile:
        """A file that must not exist, to write."""

    def write_new(self, path: Path, pieces: Iterable[bytes]) -> None:
        """Write a file that must not exist, piece by piece, so that it stays."""

    def link_first(self, source: Path, target: Path) -> bool:
        """Give a file the name ``target`` if nothing has that name: True for the first, False for all later ones."""

    def link_or_copy(self, source: Path, target: Path) -> None:
        """A second name for a finished file, or a copy of it."""

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, where they are missing."""

    def make_below(self, base: Path, path: Path) -> None:
        """Make a folder below one that is there, with those between them."""

    # Read and list.

    def read(self, path: Path) -> bytes:
        """All bytes of a file."""

    def source(self, path: Path) -> Any:
        """What pyarrow reads a file from."""

    def sha256(self, path: Path) -> str:
        """The sha256 of a file, in hexadecimal."""

    def size(self, path: Path) -> int | None:
        """Bytes of a file; None where there is none."""

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder of this path."""

    def exists(self, path: Path) -> bool:
        """Whether a file or a folder has this path."""

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, sorted; none where it is not there."""

    def sizes(self, folder: Path) -> Mapping[str, int | str]:
        """Bytes of each file below a folder, by its path from there, or why it cannot be told."""

    # Publish.

    def real(self, path: Path) -> Path:
        """The path without links: a rename cannot take the place of one."""

    def rename(self, source: Path, target: Path) -> None:
        """Rename, atomically; a folder onto one that is not empty is an OSError (ENOTEMPTY or EEXIST)."""

    def exchange(self, one: Path, other: Path) -> bool:
        """Swap two names atomically; False where the storage cannot."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""

    def sync_tree(self, path: Path) -> None:
        """Make the names in a folder and in all folders below it durable."""

    # Remove.

    def remove(self, path: Path) -> None:
        """Remove a file, or do nothing if it is gone."""

    def remove_folder(self, path: Path) -> None:
        """Remove a folder with all it holds; what vanishes meanwhile is no error, and links are not followed."""

    # Who is at work, by the clock of the storage.

    def now(self, folder: Path) -> float:
        """The time in seconds, by the clock of where a folder is: that of this machine may be another."""

    def changed(self, path: Path) -> float:
        """When a file or folder was last written or touched, in seconds."""

    def touch(self, path: Path) -> None:
        """Say that a file was changed now."""

    def last_change(self, folder: Path) -> float:
        """When a name was last made or removed in a folder or in one below it."""


files: Store = Posix()
"""Where all data sets are."""
