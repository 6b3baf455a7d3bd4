"""Check published data sets among the inputs against their manifests, before they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec

from dask_augment.dataset.layout import MANIFEST
from dask_augment.dataset.manifest import Manifest, NotADataset, parsed
from dask_augment.dataset.store import files
from dask_augment.files.addresses import told
from dask_augment.files.documents import PlanError
from dask_augment.inputs.parquet_files import Parquet
from dask_augment.inputs.paths import PARQUET, is_http, is_url, path_of
from dask_augment.inputs.sources import Source
from dask_augment.messages import counted


def held_to_manifests(sources: Iterable[Source], folder: str | Path | None, base: str = ".") -> list[str]:
    """Compare every published data set that the sources are of with its manifest; returns what to warn of.

    Names and sizes are compared, which costs no more than to list them. PlanError where a file is missing, of another
    size or not of the data set; also where a plan names only some files of it, since nobody knows what else is wrong.
    A warning says of the ``folder`` of a plan that nothing vouches for its files, where it has no manifest.
    """
    local = (path_of(source.location) for source in sources if isinstance(source.kind, Parquet))
    roots = {_root(Path(base, path).absolute()) for path in local if not is_url(path)}
    where = None if folder is None else path_of(str(folder))
    warnings = []
    if where is not None and is_url(where):
        return _held_afar(where, [source.location for source in sources])
    if where is not None:
        # Of a data set of which every file is gone no source is left.
        roots |= {manifest.parent.absolute() for manifest in Path(base, where).rglob(MANIFEST)}
    for root in sorted(roots):
        if files.exists(root / MANIFEST):
            _hold(f"{_shown(root)}", str(root / MANIFEST), files.read(root / MANIFEST), files.sizes(root))
        elif folder is not None:
            warnings.append(_unvouched(f"{_shown(root)}"))
    return warnings


def _held_afar(folder: str, locations: Iterable[str]) -> list[str]:
    """The same of a folder by its address; a hive folder is held with the data set that it is of."""
    address = _root_of(f"{folder.rstrip('/')}/file")
    system, top = fsspec.core.url_to_fs(address)
    listed = {_below(name, top): entry for name, entry in system.find(top, detail=True).items()}
    roots = {name.rpartition("/")[0] for name in listed if name.rpartition("/")[2] == MANIFEST}
    roots |= {_root_of(_below(system._strip_protocol(location), top)) for location in locations}
    warnings = []
    for root in sorted(roots):
        start = f"{root}/" if root else ""
        mine = {name.removeprefix(start): entry for name, entry in listed.items() if name.startswith(start)}
        shown = told(f"{address}/{root}".rstrip("/"))
        if MANIFEST in mine:
            data = system.cat_file(mine[MANIFEST]["name"])
            _hold(shown, f"{shown}/{MANIFEST}", data, {name: _size(system, entry) for name, entry in mine.items()})
        else:
            warnings.append(_unvouched(shown))
    return warnings


def _below(name: str, top: str) -> str:
    """The path of a file from a folder on, as it was published: addresses of HTTP have some letters as numbers."""
    found = name.removeprefix(top).strip("/")
    return unquote(found) if is_http(name) else found


def _size(system: Any, entry: Mapping[str, Any]) -> int | str:
    """Bytes of a file as it was listed, or else as it says itself."""
    size = entry.get("size")
    size = system.size(entry["name"]) if size is None else size
    return "its size is not told" if size is None else int(size)


def _root_of(file: str) -> str:
    """As :func:`_root`, of an address."""
    folder = file.rpartition("/")[0]
    while "=" in folder.rpartition("/")[2]:
        folder = folder.rpartition("/")[0]
    return folder


def _root(file: Path) -> Path:
    """The folder of the data set that a file would be of: the first one above it that is no hive folder."""
    return next(folder for folder in file.parents if "=" not in folder.name)


def _shown(root: Path) -> Path:
    here = Path.cwd()
    return root.relative_to(here) if here in root.parents else root


def _unvouched(shown: str) -> str:
    return (
        f"{shown}/ has no {MANIFEST}, so its files cannot be checked: missing, truncated or foreign ones are not "
        "noticed"
    )


def _hold(shown: str, file: str, data: bytes, sizes: Mapping[str, int | str]) -> None:
    try:
        manifest = Manifest.from_document(parsed(data, file))
    except NotADataset as error:
        raise PlanError(f"{shown}/ is read as an input, and {error}") from error
    faults = manifest.differences(sizes, foreign=tuple(f"*{end}" for end in PARQUET))
    if faults:
        more = f" (the first of {counted(len(faults), 'fault')})" if len(faults) > 1 else ""
        raise PlanError(
            f"{shown}/ is not what its manifest says: {faults[0]}{more}; publish it again, or bring back what was published"
        )
