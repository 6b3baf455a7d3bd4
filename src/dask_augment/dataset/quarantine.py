"""Failed parts: whether to try again, and the report on parts that were given up."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dask_augment.dataset.receipt import Part
from dask_augment.files.addresses import told

_NUMBERS = {
    errno.EAGAIN, errno.EBUSY, errno.ECOMM, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EDQUOT,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENETDOWN, errno.ENETRESET,
    errno.ENETUNREACH, errno.ENFILE, errno.ENOBUFS, errno.ENOLINK, errno.ENOMEM, errno.ENONET, errno.ENOSPC, errno.ENOTCONN,
    errno.EPIPE, errno.EPROTO, errno.EREMOTEIO, errno.ESHUTDOWN, errno.ESTALE, errno.ETIME, errno.ETIMEDOUT,
}  # fmt: skip

# Storage clients raise a plain OSError, or errors of their own, and only the text says what happened.
_TEXTS = re.compile(
    r"timed? ?out|expired|connection|socket|network|temporar|try again|try later|reset by peer|broken pipe|overload"
    r"|too many requests|slow.?down|throttl|service.?unavailable|bad gateway|gateway time|server error|server busy"
    r"|internal.?(server )?(error|failure)|http status 5\d\d|name resolution|name or service not known|stale file handle"
    r"|i/o error|input/output error|redirect limit|incomplete ?read|disconnected|end of stream|no servers"
)
# What a path is made of says nothing about the fault.
_PATH = re.compile(r"(?<![^\s'\"(=\[])(?:[\w+.-]+:)?/[^\s'\"]*|[^\s/]+/[^\s/]*/\S*")
# XRootD says [ERROR] or [FATAL] of whatever went wrong, with the number of the protocol where a server answered.
_XROOTD = re.compile(r"\[(?:error|fatal)\]")
_ANSWERED = re.compile(r"server responded with an error: \[(\d+)\]")
_XROOTD_FOR_GOOD = {
    3000, 3001, 3002, 3006,  # the request itself
    3010, 3022, 3023, 3028, 3030,  # not allowed
    3011, 3015, 3016, 3018,  # no such file, or no file
    3013, 3027, 3031,
}  # fmt: skip
_FOR_GOOD = re.compile(
    r"no such (file|key|bucket)|not found|does not exist|not authorized|permission denied|access.?denied|forbidden"
    r"|auth(entication)? failed|credential|certificate|invalid (arguments?|address|url)|not supported|unsupported"
)

_CLIENTS = {
    "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "http", "httpcore", "httpx", "requests", "s3fs", "urllib",
    "urllib3",
}  # fmt: skip
_PASSING_NAMES = re.compile(
    r"Timeout|Connect|Payload|Incomplete|Protocol|Stream|Chunked|Disconnect|BadStatusLine|Read|Retry|Resolution|Transient"
)
_NAMES_FOR_GOOD = re.compile(r"Certificate|SSL|Credential|URL|Schema|Param|NotFound|Redirect")
_SOON = {408, 423, 425, 429}
_NEVER = {501, 505}


def classify(error: BaseException) -> Literal["permanent", "transient"]:
    """Whether trying again can help.

    Transient are timeouts, lost connections, full disks and I/O errors of the system, and what clients of XRootD, HTTP and
    S3 say of an overloaded or restarting server; also as the cause of another error. All else is permanent: a missing,
    truncated or foreign file, a column that is not there, a type that does not fit, and any fault of a program, which
    would only be repeated.
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
    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in _CLIENTS]
    status = _status(error) if names else None
    if status is not None:
        return status in _SOON or (status >= 500 and status not in _NEVER)
    if not names and not isinstance(error, OSError):
        return False
    if getattr(error, "errno", None) is not None:
        return error.errno in _NUMBERS  # type: ignore[attr-defined]  # an OSError, or one of a client that is like it
    said = _of_text(_PATH.sub("", str(error).lower()))
    if said is not None or not names:
        return bool(said)
    return any(map(_PASSING_NAMES.search, names)) and not any(map(_NAMES_FOR_GOOD.search, names))


def _of_text(text: str) -> bool | None:
    """Whether the fault passes by what is said of it; None where nothing is said that is known."""
    answered = _ANSWERED.search(text)
    if answered:
        return int(answered[1]) not in _XROOTD_FOR_GOOD
    if _FOR_GOOD.search(text):
        return False
    return True if _XROOTD.search(text) or _TEXTS.search(text) else None


def _status(error: BaseException) -> int | None:
    """The number that a server of HTTP or S3 answered with; None where it did not answer."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, Mapping):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        said = (getattr(error, name, None) for name in ("status", "status_code", "code"))
        found = next((value for value in (*said, getattr(response, "status_code", None)) if value), None)
    try:
        return int(found) or None
    except (TypeError, ValueError):
        return None


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
        return cls(part, told(f"{type(error).__name__}: {error}")[:2000], entries)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**self.__dict__, "part": self.part.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Quarantined:
        """What :meth:`to_dict` wrote."""
        return cls(**{**values, "part": Part.from_dict(values["part"])})
