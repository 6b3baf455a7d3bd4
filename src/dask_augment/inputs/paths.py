"""Paths of input files: the base of relative paths, trees after a colon, patterns, and URLs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import fsspec

from dask_augment.files.documents import PlanError
from dask_augment.messages import one_line

PARQUET = (".parquet", ".pq", ".parq")
"""How the names of Parquet files end; all others are ROOT files."""

_NOT_PUT_IN = re.compile(r"~|(?:.*/)?\$\{?[A-Za-z_]")

_TREE = re.compile(r"[A-Za-z_][\w/;-]*")
_HOST = re.compile(r"[A-Za-z][\w+.-]*:/*[^/]*")


def is_url(path: str) -> bool:
    """Whether this is an address that fsspec or uproot opens, and no path."""
    return "://" in path


def is_http(path: str) -> bool:
    """Whether this is an address of HTTP, which has some letters of a name as numbers: %3D for =."""
    return path.lower().startswith(("http:", "https:"))


def located(path: str, base: str) -> str:
    """Where a file is that a plan names: a relative path counts from ``base``."""
    return path if is_url(path) else os.path.join(base, path)


def with_tree(path: str, base: str) -> tuple[str, str | None]:
    """The file and the tree of ``file.root:Events``, as uproot takes them; the tree is None where none is said.

    A port (``root://host:1094//x.root``) is none, nor what follows a query or is in the name of a file that exists.
    """
    file, colon, tree = path.rpartition(":")
    if not colon or not _TREE.fullmatch(tree) or tree.endswith(PARQUET):
        return path, None
    if is_url(path):
        return (path, None) if _HOST.fullmatch(file) or "?" in file else (file, tree)
    return (path, None) if os.path.exists(located(path, base)) else (file, tree)


def matching(pattern: str, base: str, dataset: str) -> list[str]:
    """The files that a path or pattern names, as the plan would name each; PlanError where a pattern names none.

    A file of exactly this name is that file, whatever letters of patterns are in it.
    """
    # Other letters of patterns stand in addresses for what they are: ? begins a query.
    magic = "*" in pattern if is_url(pattern) else glob.has_magic(pattern)
    if not magic or (not is_url(pattern) and os.path.exists(located(pattern, base))):
        _refuse_other_base(pattern, base, dataset)
        if not is_url(pattern) and os.path.isdir(located(pattern, base)):
            raise PlanError(
                f"data set {dataset!r}: {pattern!r} is a folder: name its files by a pattern, {os.path.join(pattern, '*.root')!r}, "
                "or a published data set by inputs: {folder: ...}"
            )
        return [pattern]
    found = _matching_urls(pattern, dataset) if is_url(pattern) else glob.glob(pattern, root_dir=base, recursive=True)
    if not found:
        _refuse_shell(f"data set {dataset!r}: the pattern", pattern, base)
        seen = "" if is_url(pattern) else f" (seen from {os.path.abspath(base)}){_elsewhere(pattern, base)}"
        raise PlanError(f"data set {dataset!r}: no file matches {pattern!r}{seen}")
    return sorted(found)


def _refuse_shell(what: str, path: str, base: str) -> None:
    """Refuse what only a shell would put in; workers elsewhere may have another home."""
    if not is_url(path) and _NOT_PUT_IN.match(path) and not os.path.exists(located(path, base)):
        raise PlanError(f"{what} {path!r} holds what only a shell puts in (~ or a variable): write the whole path")


def _refuse_other_base(path: str, base: str, dataset: str) -> None:
    _refuse_shell(f"data set {dataset!r}: the file", path, base)
    if not is_url(path) and not os.path.exists(located(path, base)) and (other := _elsewhere(path, base)):
        raise PlanError(f"data set {dataset!r}: there is no file {path!r} (seen from {os.path.abspath(base)}){other}")


def _elsewhere(path: str, base: str) -> str:
    """That a file lies in the working directory, where relative paths of a plan do not count from."""
    if os.path.isabs(path) or os.path.realpath(base) == os.path.realpath(os.getcwd()):
        return ""
    if not glob.glob(path if glob.has_magic(path) else glob.escape(path), recursive=True):
        return ""
    return "; it lies in the working directory, but what a plan's file names counts from the folder of that file"


def _matching_urls(pattern: str, dataset: str) -> list[str]:
    try:
        system, path = fsspec.core.url_to_fs(pattern)
        return [system.unstrip_protocol(name) for name in system.glob(path)]
    except (ImportError, ValueError, NotImplementedError) as error:
        raise PlanError(
            f"data set {dataset!r}: files cannot be listed by the pattern {pattern!r} ({one_line(error)}): install what "
            "fsspec needs for such addresses (fsspec-xrootd for root://), or name each file"
        ) from None
    except OSError as error:
        raise PlanError(f"data set {dataset!r}: files cannot be listed by {pattern!r}: {one_line(error)}") from None


def below(folder: str, base: str) -> list[tuple[str, Sequence[str]]]:
    """The Parquet files below a folder, as the plan would name them, each with the parts of its path from there.

    What begins with ``.`` or ``_`` is left out, where readers of hive folders look for no data.
    """
    root = path_of(located(folder, base))
    names: list[str] | None = None
    if is_url(root):
        system, top = fsspec.core.url_to_fs(root)
        if system.isdir(top):
            names = [name[len(top) :].strip("/") for name in system.find(top)]
    elif os.path.isdir(root):
        names = []
        for at, folders, files in os.walk(root):
            names += [os.path.relpath(os.path.join(at, name), root) for name in files]
            _refuse_links(root, at, folders)
    if names is None:
        _refuse_shell("folder", folder, base)
        where = "" if is_url(root) else f" (seen from {os.path.abspath(base)}){_elsewhere(folder, base)}"
        raise PlanError(f"folder {folder!r} is not there{where}")
    parts = sorted(name.split("/") for name in names if name.endswith(PARQUET))
    kept = [path for path in parts if not any(part.startswith((".", "_")) for part in path)]
    plain = unquote if is_http(root) else str
    return [
        (f"{folder.rstrip('/')}/{'/'.join(p)}" if is_url(folder) else str(Path(folder, *p)), [*map(plain, p)])
        for p in kept
    ]


def _refuse_links(root: str, at: str, folders: Sequence[str]) -> None:
    """Refuse links to folders: nobody follows them, and what lies there would be lost."""
    for name in folders:
        path = os.path.join(at, name)
        if os.path.islink(path) and not name.startswith((".", "_")):
            raise PlanError(
                f"folder {root!r} holds {os.path.relpath(path, root)!r}, a link to a folder, which is not followed: put the files "
                "themselves there, or name them in a fileset"
            )


def opened(location: str) -> BinaryIO:
    """The bytes of a file, by path or by URL."""
    if is_url(location):
        stream: BinaryIO = fsspec.open(location, "rb").open()
        return stream
    return open(location, "rb")


def path_of(location: str) -> str:
    """The path of a file of this machine that a URL names; other URLs as they are."""
    if location.startswith(("file:", "local:")):
        return str(fsspec.core.url_to_fs(location)[1])
    return location
