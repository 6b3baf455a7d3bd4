"""Check published data sets among the inputs against their manifests, before they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dask_augment.addresses import told
from dask_augment.dataset.layout import MANIFEST
from dask_augment.dataset.manifest import Manifest, NotADataset
from dask_augment.documents import PlanError
from dask_augment.inputs.parquet_files import Parquet
from dask_augment.inputs.paths import PARQUET, is_url, path_of
from dask_augment.inputs.sources import Source
from dask_augment.words import counted


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
        warnings.append(
            f"{told(where)} is read by its address, where no manifest is asked, so nothing vouches for its files: whether some "
            "are missing, cut short or foreign is not known"
        )
    elif where is not None:
        # Of a data set of which every file is gone no source is left.
        roots |= {manifest.parent.absolute() for manifest in Path(base, where).rglob(MANIFEST)}
    for root in sorted(roots):
        if (root / MANIFEST).exists():
            _hold(root)
        elif folder is not None:
            warnings.append(
                f"{_shown(root)}/ has no {MANIFEST}, so nothing vouches for its files: whether some are missing, cut short or "
                "foreign is not known"
            )
    return warnings


def _root(file: Path) -> Path:
    """The folder of the data set that a file would be of: the first one above it that is no hive folder."""
    return next(folder for folder in file.parents if "=" not in folder.name)


def _shown(root: Path) -> Path:
    here = Path.cwd()
    return root.relative_to(here) if here in root.parents else root


def _hold(root: Path) -> None:
    try:
        faults = Manifest.read(root).faults(root, foreign=tuple(f"*{end}" for end in PARQUET))
    except NotADataset as error:
        raise PlanError(f"{_shown(root)}/ is read as an input, and {error}") from error
    if faults:
        more = f" (the first of {counted(len(faults), 'fault')})" if len(faults) > 1 else ""
        raise PlanError(
            f"{_shown(root)}/ is not what its manifest says: {faults[0]}{more}; publish it again, or bring back what was published"
        )
