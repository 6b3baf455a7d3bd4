"""Files that a configuration names: pinned by their sha256, read once per process, never unpickled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.files import pinned

SHIPPED = "shipped:"
"""What a name begins with that stands for a file of the package."""


def located(name: str) -> Path:
    """The file or folder that a configuration names: a path, or ``shipped:NAME`` for what comes with the package.

    ValueError for a NAME that leaves the package.
    """
    if not name.startswith(SHIPPED):
        return Path(name)
    data = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
    path = os.path.normpath(os.path.join(data, name.removeprefix(SHIPPED)))
    if path != data and not path.startswith(data + os.sep):
        raise ValueError(
            f"{name!r} leaves the package: what is shipped is named by its place in it, shipped:bundles/jets"
        )
    return Path(path)


def contents(name: str, sha256: str = "") -> bytes:
    """The bytes of a file, if they are those that ``sha256`` names (empty: any).

    FileNotFoundError and ValueError name the file and what to do.
    """
    path = located(name)
    try:
        return pinned.contents(path, sha256)
    except OSError as error:
        if name.startswith(SHIPPED):
            shipped = sorted(f"{SHIPPED}bundles/{entry.name}" for entry in located(f"{SHIPPED}bundles").iterdir())
            raise FileNotFoundError(
                f"{name!r} does not come with the package; what does is {', '.join(shipped)}"
            ) from None
        raise FileNotFoundError(
            f"{name!r} cannot be read ({error.strerror}): workers must see the file at this path, on a shared file system"
        ) from None
    except pinned.Changed as other:
        raise ValueError(
            f"{name!r} has changed: its sha256 is {other.found}, the plan was made with {sha256}; take the old file, or the "
            "sha256 out of the plan"
        ) from None


def sha256_of(name: str) -> str:
    """sha256 of a file's contents."""
    return hashlib.sha256(contents(name)).hexdigest()


@lru_cache(maxsize=32)
def tensors(name: str, sha256: str) -> Mapping[str, NDArray[Any]]:
    """The arrays of a safetensors file, read-only, read once per process."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    stored = contents(name, sha256)
    try:
        arrays: dict[str, NDArray[np.generic]] = load(stored)
    except SafetensorError as error:
        raise ValueError(f"{name!r} is not a safetensors file: {error}") from None
    except KeyError as error:
        raise ValueError(
            f"{name!r} holds numbers of the type {error.args[0]}, which NumPy has not; store them as float32"
        ) from None
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)
