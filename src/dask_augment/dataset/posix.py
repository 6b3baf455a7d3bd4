"""Data sets on a file system: hard links and renames, all through `os`, so that a test can fail each of them."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, cast
from uuid import uuid4

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class NewFile(io.RawIOBase):
    """A file that did not exist, hashed while it is written.

    ``sha256`` and ``size`` describe the bytes written so far. After :meth:`discard` writing does nothing, so that a
    Parquet writer on top can be closed after an error without touching the disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._discarded = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def writable(self) -> bool:
        """True: it is a file to write."""
        return True

    def write(self, data: Any) -> int:
        """Write all of ``data``; OSError as the system gives it (disk full, quota, I/O error)."""
        view = memoryview(data).cast("B")
        if self._discarded:
            return len(view)
        done = 0
        while done < len(view):
            done += os.write(self._descriptor, view[done:])
        self.sha256.update(view)
        self.size += len(view)
        return len(view)

    def sync(self) -> None:
        """Wait until the bytes are on the disk."""
        os.fsync(self._descriptor)

    def buffered(self) -> BinaryIO:
        """A writer that hands it large blocks: Parquet writes one small header per page."""
        return cast("BinaryIO", io.BufferedWriter(self, 1 << 20))

    def discard(self) -> None:
        """Drop whatever is still written."""
        self._discarded = True

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        if not self.closed:
            super().close()
            os.close(self._descriptor)


class Posix:
    """A file system of this machine."""

    def write_new(self, path: Path, pieces: Iterable[bytes]) -> None:
        """Write a file that must not exist, piece by piece, down to the disk."""
        with self.create(path) as raw, raw.buffered() as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            raw.sync()

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, where they are missing."""
        missing = [path, *path.parents]
        for folder in reversed([folder for folder in missing if not folder.exists()]):
            try:
                os.mkdir(folder)
            except FileExistsError:
                continue

    def make_below(self, base: Path, path: Path) -> None:
        """Make a folder below one that is there, with those between them; FileNotFoundError where ``base`` is not there."""
        folder = base
        for name in path.relative_to(base).parts:
            folder = folder / name
            try:
                os.mkdir(folder)
            except FileExistsError:
                continue

    def link_first(self, source: Path, target: Path) -> bool:
        """Give ``source`` the name ``target`` if nothing has that name: True for the first, False for all later ones.

        Where the file system has no hard links, the name is taken by a rename instead, and the last one wins; the
        commit stays right, because a receipt names its own attempt's files.
        """
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.rename(source, target)
        return True

    def link_or_copy(self, source: Path, target: Path) -> None:
        """A second name for a finished file, or a copy of it where the file system has no hard links."""
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with open(source, "rb") as old, self.create(target) as new:
                shutil.copyfileobj(old, new, 1 << 20)
                new.sync()

    def rename(self, source: Path, target: Path) -> None:
        """Rename, atomically; a folder onto a folder that is not empty is an OSError (ENOTEMPTY or EEXIST)."""
        os.rename(source, target)

    def exchange(self, one: Path, other: Path) -> bool:
        """Swap two names atomically (Linux, ``renameat2``); False where the system or the file system cannot."""
        try:
            call = ctypes.CDLL(None, use_errno=True).renameat2
        except (AttributeError, OSError):
            return False
        if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
            return True
        code = ctypes.get_errno()
        if code in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}:
            return False
        raise OSError(code, os.strerror(code), str(one), None, str(other))

    def remove(self, path: Path) -> None:
        """Remove a file, or do nothing if it is gone."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def remove_folder(self, path: Path) -> None:
        """Remove a folder with all it holds; what vanishes meanwhile is no error, and links are not followed."""
        try:
            entries = list(os.scandir(path))
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                self.remove_folder(Path(entry.path))
            else:
                self.remove(Path(entry.path))
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return

    def now(self, folder: Path) -> float:
        """The time by the clock of the file system that a folder is on, in seconds: that of this machine may be another."""
        probe = folder / f".now-{uuid4().hex[:12]}"
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            return os.stat(probe).st_mtime
        finally:
            self.remove(probe)

    def sync_tree(self, path: Path) -> None:
        """Make the names in a folder and in all folders below it durable."""
        for folder, _, _ in os.walk(path):
            self.sync_folder(Path(folder))

    def create(self, path: Path) -> NewFile:
        """A new file of the file system."""
        return NewFile(path)

    def read(self, path: Path) -> bytes:
        """All bytes of a file."""
        with open(path, "rb") as file:
            return file.read()

    def source(self, path: Path) -> str:
        """The path: pyarrow opens it itself."""
        return str(path)

    def size(self, path: Path) -> int | None:
        """Bytes of a file; None where there is none, and for a link that leads nowhere."""
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if S_ISREG(found.st_mode) else None

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder of this path, or a link to one."""
        return os.path.isdir(path)

    def exists(self, path: Path) -> bool:
        """Whether a file or a folder has this path."""
        return os.path.exists(path)

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, sorted; none where it is not there."""
        try:
            return sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def sizes(self, folder: Path) -> Mapping[str, int | str]:
        """Bytes of each file below a folder; of a link that leads nowhere, or on a disk that does not answer, why not."""
        found: dict[str, int | str] = {}
        for at, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(at, name)
                try:
                    found[os.path.relpath(path, folder)] = os.stat(path).st_size
                except OSError as error:
                    found[os.path.relpath(path, folder)] = str(error.strerror)
        return found

    def real(self, path: Path) -> Path:
        """The path without links."""
        return Path(os.path.realpath(path))

    def changed(self, path: Path) -> float:
        """When a file was last written or touched."""
        return os.stat(path).st_mtime

    def touch(self, path: Path) -> None:
        """Say that a file was changed now."""
        os.utime(path)

    def last_change(self, folder: Path) -> float:
        """When a name was last made or removed in a folder or in one below it: that changes the folder's time."""
        return max((os.stat(at).st_mtime for at, _, _ in os.walk(folder)), default=float("inf"))

    def sha256(self, path: Path) -> str:
        """The sha256 of a file, in hexadecimal."""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
