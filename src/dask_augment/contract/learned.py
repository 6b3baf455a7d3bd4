"""Learned arrays: named by their contents, stored once, loaded once per process."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import uuid4

import fsspec
import numpy as np
from numpy.typing import NDArray

from dask_augment.files import pinned

_KEY = "__key__"
# Arrays of a file that are not larger travel whole: the machines that they go to need not see it.
_WHOLE = 2**20


class _File(NamedTuple):
    """Where arrays lie that may not have been read: an archive, its sha256, and digest and size of what is in it."""

    path: str
    sha256: str
    digest: str
    nbytes: int

    def read(self) -> Learned:
        """The arrays; nothing of the file is looked at before its sha256 was compared."""
        try:
            archive = pinned.contents(self.path, self.sha256)
        except OSError as error:
            raise RuntimeError(  # no OSError, which coffea would take for an input file that is bad
                f"what a step learned is gone: {self.path} cannot be read ({error.strerror}). Bring back the file of the data "
                "set, on every machine that runs the step, or learn again"
            ) from None
        except pinned.Changed:
            raise ValueError(
                f"{self.path} has another sha256 than its data set says; bring back the file, or learn again"
            ) from None
        learned = Learned.from_bytes(archive)
        if learned.digest != self.digest:
            raise ValueError(
                f"{self.path} has other contents than its data set says; bring back the file, or learn again"
            )
        return learned


class Learned(Mapping[str, NDArray[Any]]):
    """Named arrays, read-only, compared and tokenised by the sha256 of their contents.

    ``put(url)`` stores them under that digest; once put, they pickle as (url, digest), some hundred bytes, and each
    process loads them once. Put what is large before any collection is built with it. ``key`` says which random numbers
    the arrays hold for, empty for any; it is kept with them, and is part of the digest.
    """

    def __init__(self, arrays: Mapping[str, Any], key: str = "") -> None:
        if _KEY in arrays:
            raise ValueError(f"a learned array cannot be named {_KEY!r}, which the archive keeps for itself: rename it")
        held = {name: np.array(arrays[name], order="C") for name in sorted(arrays)}
        self._held: tuple[dict[str, NDArray[Any]], str] | None = (held, key)
        self._folder: str | None = None
        self._file: _File | None = None
        content = hashlib.sha256(key.encode())
        for name, array in held.items():
            if array.dtype.hasobject:
                raise TypeError(f"learned array {name!r} has dtype object; numbers, booleans and strings can be stored")
            array.setflags(write=False)
            content.update(json.dumps([name, array.dtype.str, array.shape]).encode())
            content.update(array.tobytes())
        self.digest: str = content.hexdigest()

    @classmethod
    def in_file(cls, path: str, sha256: str, digest: str, nbytes: int) -> Learned:
        """The arrays of a file, an archive of ``nbytes`` of arrays; it is read when they are first asked for.

        RuntimeError then where it cannot be read, ValueError where it has another sha256 or other contents.
        """
        unread = cls.__new__(cls)
        unread._held, unread._folder = None, None
        unread._file = _File(path, sha256, digest, nbytes)
        unread.digest = digest
        return unread

    def _content(self) -> tuple[dict[str, NDArray[Any]], str]:
        if self._held is None:
            assert self._file is not None
            self._held = self._file.read()._content()
        return self._held

    @property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        return self._content()[0]

    @property
    def key(self) -> str:
        """Which random numbers the arrays hold for, empty for any."""
        return self._content()[1]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return (self._held or self._content())[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Learned) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        if self._held is None and self._file is not None:
            return f"Learned(in {self._file.path})"
        arrays = ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in self._arrays.items())
        return f"Learned({arrays})"

    def __dask_tokenize__(self) -> str:
        return self.digest

    def __reduce__(self) -> tuple[Any, ...]:
        if self._folder is not None:
            return (load, (self._folder, self.digest))
        if self._file is not None and self._file.nbytes > _WHOLE:
            return (_in_file, self._file)
        return (Learned, (self._arrays, self.key))

    def under(self, key: str) -> Learned:
        """The same arrays, for the random numbers of this key alone."""
        return Learned(self._arrays, key)

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        return self._file.nbytes if self._file else sum(array.nbytes for array in self._arrays.values())

    def to_bytes(self) -> bytes:
        """The arrays as a NumPy archive (npz)."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = self._arrays | ({_KEY: np.array(self.key)} if self.key else {})
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, archive: bytes) -> Learned:
        """The arrays of a NumPy archive; nothing in it is unpickled."""
        with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
            key = str(arrays[_KEY]) if _KEY in arrays.files else ""
            return cls({name: arrays[name] for name in arrays.files if name != _KEY}, key)

    def put(self, folder: str) -> Learned:
        """Store the arrays as ``folder/<digest>.npz`` (any fsspec URL); putting the same arrays twice writes once."""
        folder = str(folder).rstrip("/")
        filesystem, path = fsspec.core.url_to_fs(f"{folder}/{self.digest}.npz")
        if not filesystem.exists(path):
            filesystem.makedirs(filesystem._parent(path), exist_ok=True)
            # Under a name of its own first: a reader never sees half a file.
            part = f"{path}.{uuid4().hex[:12]}.part"
            filesystem.pipe_file(part, self.to_bytes())
            filesystem.mv(part, path)
        self._folder = folder
        return self


@lru_cache(maxsize=64)
def _in_file(path: str, sha256: str, digest: str, nbytes: int) -> Learned:
    """The arrays of a file, once per process."""
    return Learned.in_file(path, sha256, digest, nbytes)


@lru_cache(maxsize=64)
def load(folder: str, digest: str) -> Learned:
    """The arrays that :meth:`Learned.put` stored, once per process; refuses other contents than ``digest`` names."""
    url = f"{folder}/{digest}.npz"
    try:
        with fsspec.open(url, "rb") as stream:
            learned = Learned.from_bytes(stream.read())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"learned arrays {url} are not there; workers must see the folder they were put into (a shared file system)"
        ) from None
    if learned.digest != digest:
        raise ValueError(f"learned arrays {url} have digest {learned.digest}, expected {digest}; learn again")
    learned._folder = folder
    return learned
