"""Output folders on file systems of this machine; any other address is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# `Path` makes one slash of two, so an address that was one already has one.
_SCHEME = re.compile(r"([A-Za-z][\w+.-]*):/|([A-Za-z][\w+.-]*)::")
_VARIABLE = re.compile(r"(?:^|/)\$\{?[A-Za-z_]")


class NoLocalFolder(ValueError):
    """An address that is no folder on a file system of this machine."""


def local_folder(address: Any, what: str) -> Path:
    """The folder that an address names: a path, ``~/out`` or ``file:///data/out``.

    NoLocalFolder, which names ``what`` it is the address of, for other addresses with a scheme (``s3://``, ``root://``),
    for a home that is not there, a variable of the shell, and text that no file system takes.
    """
    if not isinstance(address, (str, os.PathLike)):
        raise NoLocalFolder(f"{what} must be a path, got {address!r}")
    text = os.fspath(address)
    if not isinstance(text, str) or not text or "\0" in text:
        raise NoLocalFolder(f"{what} must be a path, which is text, not empty, without the letter NUL, got {text!r}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise NoLocalFolder(f"{what} {text!r} is no path: it cannot be encoded ({error.reason})") from None
    if text.lower().startswith("file:/"):
        text = _of_file_url(text, what)
    found = _SCHEME.match(text)
    if found or "://" in text:
        scheme = (found[1] or found[2]) if found else text.partition("://")[0]
        raise NoLocalFolder(
            f"{what} {text!r} is an address ({scheme}:), and only folders on a file system of this machine can be used: "
            "give a path (a mounted /eos is one), and copy the finished data set from there"
        )
    if _VARIABLE.search(text):
        raise NoLocalFolder(f"{what} {text!r} holds a variable of the shell, which is not put in here: write it out")
    home = os.path.expanduser(text)
    if home.startswith("~"):
        raise NoLocalFolder(f"{what} {text!r} begins with a home folder that is not there: write the whole path")
    return Path(home)


def _of_file_url(text: str, what: str) -> str:
    """The path that ``file:///data/out`` names; NoLocalFolder for one of another machine."""
    if not text[5:].startswith("//") or text[5:].startswith("///"):
        return unquote("/" + text[5:].lstrip("/"))
    parts = urlsplit(text)
    if parts.netloc != "localhost":
        raise NoLocalFolder(f"{what} {text!r} is on the machine {parts.netloc!r}: write file:///... for this one")
    return unquote(parts.path)


def refuse_mount_point(path: Path) -> None:
    """NoLocalFolder for a mount point: a finished data set takes its name by one rename, which no mount point allows."""
    if os.path.ismount(path):
        raise NoLocalFolder(
            f"output {str(path)!r} is a mount point, whose name a finished data set cannot take: name a folder inside it, "
            f"{str(path / 'out')!r}"
        )
