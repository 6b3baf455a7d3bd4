"""A trained model as a folder: ``manifest.json``, which describes it, and ``weights.safetensors``.

The network is rebuilt from the manifest; nothing is unpickled. The manifest pins the weights by their sha256, so the
sha256 of the manifest pins the whole bundle.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dask_augment.models import files
from dask_augment.models.sample import Sample
from dask_augment.models.transforms import Input, Output
from dask_augment.options import check_choices, check_count

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
SIZES: Mapping[str, tuple[str, ...]] = {"mixture": ("components", "hidden", "layers")}
"""Kinds of models, and the sizes that each is built from beside its numbers of inputs and outputs."""


LATER = frozenset({"bits", "threshold", "sample"})
"""Fields that the manifests of older bundles have not: nothing is known, and nothing done."""


class BundleError(ValueError):
    """A folder is no model bundle, or not one that this version can read."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is to be known of a model but its weights.

    Parameters
    ----------
    kind, sizes
        What network it is; with the numbers of inputs and outputs they say every shape.
    inputs, outputs
        Columns of the generated objects in, columns of the reconstructed objects out, with units and transforms.
    efficiency
        Whether the network also says how probable it is that the object is reconstructed at all; else all are.
    trained_on
        What it was trained on: at least ``sample`` (in words) and ``objects`` (how many).
    licence
        Of the weights.
    package_version
        Of the package that trained it.
    weights_sha256
        Of the file with the weights.
    sample
        What code knows of the events that it was trained on; None: nothing.
    """

    kind: str
    sizes: Mapping[str, int]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    efficiency: bool
    trained_on: Mapping[str, Any]
    licence: str
    package_version: str
    weights_sha256: str = ""
    sample: Sample | None = None
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format is {self.format!r}; this version of the package reads {FORMAT}")
        check_choices(self, kind=SIZES)
        if set(self.sizes) != set(SIZES[self.kind]):
            raise ValueError(f"sizes of a {self.kind} are {list(SIZES[self.kind])}, got {sorted(self.sizes)}")
        for name, size in self.sizes.items():
            check_count(f"sizes: {name}", size, most=65536)
        for name, entries in (("inputs", self.inputs), ("outputs", self.outputs)):
            columns = [entry.column for entry in entries]
            if not columns or len(set(columns)) < len(columns):
                raise ValueError(f"{name} must be one or more columns, each named once, got {columns}")
        if len(bounded := [entry.column for entry in self.outputs if entry.threshold is not None]) > 1:
            raise ValueError(f"one of the outputs may have a threshold, got those of {bounded}")
        if not isinstance(self.efficiency, bool):
            raise ValueError(f"efficiency must be true or false, got {self.efficiency!r}")  # noqa: TRY004
        if not {"sample", "objects"} <= set(self.trained_on):
            raise ValueError(f"trained_on must say at least sample and objects, got {sorted(self.trained_on)}")

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the generated objects that the model reads."""
        return frozenset({entry.column for entry in self.inputs} | {entry.of for entry in self.outputs if entry.of})

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The manifest that a text says; ValueError tells what is wrong with it."""
        values = _mapping("the manifest", json.loads(text), cls)
        for name, kind in (("inputs", Input), ("outputs", Output)):
            if not isinstance(values[name], list):
                raise ValueError(f"{name} must be a list, got {values[name]!r}")  # noqa: TRY004
            values[name] = tuple(kind(**_mapping(f"an entry of {name}", entry, kind)) for entry in values[name])
        if values["sample"] is not None:
            values["sample"] = Sample(**_mapping("sample", values["sample"], Sample))
        for name in ("sizes", "trained_on"):
            if not isinstance(values[name], dict):
                raise ValueError(f"{name} must be a dictionary, got {values[name]!r}")  # noqa: TRY004
        return cls(**values)


def _mapping(what: str, values: Any, kind: type) -> dict[str, Any]:
    """A dictionary with exactly the fields of this class; those that it got later may be absent."""
    names = {entry.name for entry in fields(kind)}
    values = dict.fromkeys(names & LATER) | values if isinstance(values, dict) else values
    if not isinstance(values, dict):
        raise ValueError(f"{what} must be a dictionary, got {values!r}")  # noqa: TRY004
    if set(values) != names:
        lacking, unknown = sorted(names - set(values)), sorted(map(str, set(values) - names))
        raise ValueError(f"{what} lacks {lacking or 'nothing'} and has unknown keys {unknown or 'not at all'}")
    return dict(values)


def sha256_of(bundle: str) -> str:
    """sha256 of the manifest of a bundle, by which plans pin it."""
    return hashlib.sha256(_contents(bundle)).hexdigest()


@lru_cache(maxsize=64)
def manifest(bundle: str, sha256: str) -> Manifest:
    """The manifest of a bundle (a folder, or ``shipped:NAME``), if it is the one that ``sha256`` names.

    Raises FileNotFoundError where there is none, ValueError for another one than ``sha256`` names, and
    :class:`BundleError` for one that cannot be used.
    """
    text = _contents(bundle, sha256)
    try:
        return Manifest.from_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"{_file(bundle, MANIFEST)!r} is not the manifest of a model bundle: {error}") from None


def _contents(bundle: str, sha256: str = "") -> bytes:
    return files.contents(_file(bundle, MANIFEST), sha256)


def weights(bundle: str, sha256: str) -> Mapping[str, NDArray[Any]]:
    """The arrays of a bundle, if they are those that its manifest names."""
    pinned = manifest(bundle, sha256).weights_sha256
    name = _file(bundle, WEIGHTS)
    found = files.sha256_of(name)
    if found != pinned:
        raise BundleError(
            f"{name!r} is not the file that {MANIFEST} beside it was written for: its sha256 is {found}, the manifest "
            f"says {pinned}; copy the folder again, whole"
        )
    return files.tensors(name, pinned)


def copied(name: str, sha256: str) -> dict[str, bytes]:
    """The files of what a configuration names, a bundle or one file, by names that tell their contents; none of what is shipped.

    Raises as :func:`manifest` and :func:`dask_augment.models.files.contents` do.
    """
    if name.startswith(files.SHIPPED):
        return {}
    if files.located(name).is_dir():
        weights_sha256 = manifest(name, sha256).weights_sha256
        return {
            f"{sha256}/{MANIFEST}": _contents(name, sha256),
            f"{sha256}/{WEIGHTS}": files.contents(_file(name, WEIGHTS), weights_sha256),
        }
    suffix = Path(name).suffix
    return {f"{sha256}{suffix if suffix[1:].isalnum() else ''}": files.contents(name, sha256)}


def is_there(name: str, sha256: str) -> bool:
    """Whether a bundle or a file is there as it was."""
    try:
        return bool(files.contents(_file(name, MANIFEST) if files.located(name).is_dir() else name, sha256))
    except (FileNotFoundError, ValueError):
        return False


def _file(bundle: str, name: str) -> str:
    return f"{bundle.rstrip('/')}/{name}"


def write(folder: str | Path, about: Manifest, arrays: Mapping[str, NDArray[Any]]) -> Manifest:
    """Write a bundle whole or not at all; returns the manifest with the sha256 of the weights.

    FileExistsError where the folder is there already: a bundle that plans may have pinned is not changed.
    """
    from safetensors.numpy import save

    target = Path(folder)
    stored = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    finished = replace(about, weights_sha256=hashlib.sha256(stored).hexdigest())
    if target.exists():
        raise FileExistsError(f"{str(target)!r} is there already: name another folder, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        staging.chmod(0o755)
        (staging / WEIGHTS).write_bytes(stored)
        (staging / MANIFEST).write_text(finished.to_json(), encoding="utf-8")
        staging.rename(target)  # fails where another process has written it meanwhile
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return finished
