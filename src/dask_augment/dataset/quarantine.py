"""Parts that could not be done: is it worth trying again, and what is said about what was given up."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dask_augment.dataset.receipt import Part

_TRANSIENT = {
    errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EDQUOT, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENETDOWN, errno.ENETRESET, errno.ENETUNREACH,
    errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EPIPE, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip
# Storage clients (XRootD, HTTP) raise a plain OSError, and only its text says what happened.
_TRANSIENT_TEXTS = (
    "timed out", "timeout", "time out", "operation expired", "connection", "socket", "temporarily", "try again",
    "too many requests", "service unavailable", "server error",
)  # fmt: skip


def classify(error: BaseException) -> Literal["permanent", "transient"]:
    """Whether trying again can help.

    Transient are timeouts, lost connections, full disks and I/O errors of the system, also as the cause of another
    error. All else is permanent: a missing, truncated or foreign file, a column that is not there, a type that does
    not fit, and any fault of a program, which would only be repeated.
    """
    return "transient" if any(_is_transient(link) for link in _chain(error)) else "permanent"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    if not isinstance(error, OSError) or isinstance(error, FileNotFoundError):
        return False
    if error.errno is not None:
        return error.errno in _TRANSIENT
    return any(text in str(error).lower() for text in _TRANSIENT_TEXTS)


@dataclass(frozen=True)
class Quarantined:
    """A part that was given up: why, and how many entries of the input are lost."""

    part: Part
    error: str
    entries: int | None
    """None where the input could not even be opened, so that nobody knows."""

    @classmethod
    def of(cls, part: Part, error: BaseException, entries: int | None) -> Quarantined:
        """With the error's type and its first 2,000 letters."""
        return cls(part, f"{type(error).__name__}: {error}"[:2000], entries)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**self.__dict__, "part": self.part.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Quarantined:
        """What :meth:`to_dict` wrote."""
        return cls(**{**values, "part": Part.from_dict(values["part"])})
