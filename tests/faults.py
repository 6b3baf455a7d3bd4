"""A file system that fails on demand: the module `files` of dask_augment.dataset reaches the system through this."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

CHANGING = frozenset({"open", "write", "fsync", "link", "rename", "mkdir", "unlink", "rmdir"})


class Crash(BaseException):
    """The process ends here: no handler of errors may act on it, and nothing after it reaches the disk."""


class FaultyOs:
    """Stands in for `os`; counts the operations that change the disk, and at number ``at`` does ``what``.

    "crash": a write is cut in half, then this and every later operation raises Crash. An errno: the operation raises
    that OSError once (a write is cut in half too). A function: it is called first, then the operation goes on.
    """

    def __init__(self, at: int = -1, what: str | int | Callable[[], Any] = "crash") -> None:
        self.count = 0
        self.log: list[str] = []
        self._at = at
        self._what = what
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CHANGING:
            return real

        def operation(*arguments: Any, **options: Any) -> Any:
            if self._dead:
                raise Crash
            number, self.count = self.count, self.count + 1
            self.log.append(name)
            if number == self._at:
                self._fail(name, arguments)
            return real(*arguments, **options)

        return operation

    def _fail(self, name: str, arguments: tuple[Any, ...]) -> None:
        if callable(self._what):
            self._what()
            return
        if name == "write":
            descriptor, data = arguments
            os.write(descriptor, bytes(data[: len(data) // 2]))
        if self._what == "crash":
            self._dead = True
            raise Crash
        raise OSError(self._what, os.strerror(self._what))


ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
