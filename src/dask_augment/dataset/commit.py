"""Publishing, on the client: open staging, check which parts are done, publish everything with one rename.

Publishing builds the final folder in a folder of its own inside staging, from hard links to the files that receipts
name, so a crash at any point leaves the final name as it was, and any number of clients may publish at once: one
rename wins, the others find the same plan published.
"""

from __future__ import annotations

import dataclasses
import errno
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dask_augment.contract.learned import Learned
from dask_augment.dataset.alive import living
from dask_augment.dataset.artefacts import Named, write_artefacts
from dask_augment.dataset.layout import ASIDE, MANIFEST, QUARANTINE, file_name
from dask_augment.dataset.ledger import Ledger
from dask_augment.dataset.manifest import Manifest, NotADataset, PublishedFile
from dask_augment.dataset.merge import Merged
from dask_augment.dataset.publication import AlreadyCommitted, Incomplete, Job, OtherPlan, RunFailed
from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import Receipt, Written, to_json
from dask_augment.dataset.sink import Sink
from dask_augment.dataset.staging import asides_in, bring_back, discard_staging, is_free
from dask_augment.dataset.store import files
from dask_augment.messages import counted


def open_staging(job: Job, *, resume: bool = True, replace: bool = False) -> Sink | AlreadyCommitted:
    """Make the staging folder, or find it from an earlier run, and return what the tasks write to.

    Where the final folder holds this plan already, the answer is AlreadyCommitted; where it holds anything else,
    OtherPlan is raised, unless ``replace`` says that :func:`publish` will replace it. A folder that is no data set is
    never replaced. RunFailed where an earlier run of this plan was cut off, unless ``resume`` goes on with it.
    """
    bring_back(job.path)
    standing = _standing(job, replace)
    if standing is not None:
        discard_staging(job)
        return AlreadyCommitted(standing)
    if not resume:
        _refuse_unfinished(job)
    for name in ("attempts", "receipts"):
        files.make_folder(job.staging / name)
    files.sync_folder(job.staging)
    files.sync_folder(job.path.parent)
    return job.sink


def _refuse_unfinished(job: Job) -> None:
    if not files.is_folder(job.staging):
        return
    done = sum(files.exists(job.sink.receipt_path(part.id)) for part in job.parts)
    waiting = next(iter(asides_in(job.staging)), None)
    if not done and waiting is None:
        return  # to go on with it is to begin anew
    parts = f"{done} of {counted(len(job.parts), 'part')} done"
    for client in living(job.staging):
        raise RunFailed(
            f"another client is at work on this plan, {client} ({parts}): wait until it is done, or help it with resume "
            "(--resume)"
        )
    # The only copy of a data set may be in there.
    other = f"remove {job.staging}" if waiting is None else f"see what {waiting} is, a data set that was being replaced"
    raise RunFailed(
        f"an earlier run of this plan was not finished ({parts}): go on with it with resume (--resume), or {other}"
    )


def each_receipt(job: Job) -> Iterator[Receipt]:
    """The receipts of the parts that are done, in the order of the plan: these parts need not be written again.

    The files of a receipt are checked for their size; where one is damaged, the receipt is withdrawn, so that the part
    is written again.
    """
    for part in job.parts:
        receipt = job.sink.receipt(part.id)
        if receipt is None:
            continue
        if all(files.size(job.sink.attempts / file.name) == file.bytes for file in receipt.files):
            # A hundred thousand receipts fit into memory if they share their inputs with the plan.
            yield dataclasses.replace(receipt, input=part.input)
        else:
            files.remove(job.sink.receipt_path(part.id))


def publish(
    job: Job,
    receipts: Mapping[str, Receipt] | None = None,
    *,
    merged: Sequence[Receipt] = (),
    quarantined: Sequence[Quarantined] = (),
    replace: bool = False,
    extra: Mapping[str, Any] | None = None,
    learned: Mapping[str, Learned] | None = None,
    named: Named | None = None,
) -> Manifest:
    """Check that every part is accounted for, and make the data set visible, whole, with one rename.

    ``receipts`` are read from staging if not given. The files of ``merged`` receipts (:mod:`dask_augment.dataset.merge`)
    are published in the place of those that they were made from. ``quarantined`` parts are listed with what is lost. ``extra`` goes
    into the manifest (the normalisation, versions). ``learned``, by the labels of steps, becomes files of the data set,
    which the manifest lists, and names under ``extra["learned"]``, and so do those that steps name, ``named``, under ``extra["files"]``. With ``replace`` a data set of another plan is swapped for this
    one, atomically on Linux. If this plan is published already, also by another client meanwhile, its manifest is
    returned. Errors: Incomplete, OtherPlan, ValueError for an account that does not add up.
    """
    standing = _standing(job, replace)
    if standing is None:
        try:
            ledger = Ledger(job, receipts, quarantined)
            standing = _build_and_rename(job, ledger, merged, replace, dict(extra or {}), learned, named or {})
        except (FileNotFoundError, Incomplete):
            # Another client may have published, and removed staging under us.
            standing = _standing(job, replace)
            if standing is None:
                raise
    discard_staging(job)
    return standing


def published(job: Job) -> Manifest | None:
    """The manifest of this plan where its data set stands whole, by whatever client; None else."""
    try:
        return _standing(job, replace=True)
    except (OtherPlan, OSError):
        return None


def _standing(job: Job, replace: bool) -> Manifest | None:
    """The manifest of this plan if it is published and whole, None if the place is free or to be replaced."""
    if is_free(job.path):
        return None
    try:
        manifest = Manifest.read(job.path)
    except NotADataset as error:
        raise OtherPlan(f"{job.path} holds something that is not a data set of ours ({error}); choose another path or "
                        "remove it yourself") from error  # fmt: skip
    if manifest.digest != job.digest:
        if replace:
            return None
        raise OtherPlan(f"{job.path} holds the plan {manifest.digest[:12]}, this one is {job.digest[:12]}; choose "
                        "another path, or replace it (--replace)")  # fmt: skip
    faults = manifest.faults(job.path)
    if faults and not replace:
        raise OtherPlan(f"{job.path} holds this plan but is damaged: {faults[0]} ({counted(len(faults), 'fault')}); write it "
                        "again with replace (--replace)")  # fmt: skip
    return None if faults else manifest


def _build_and_rename(
    job: Job,
    ledger: Ledger,
    merged: Sequence[Receipt],
    replace: bool,
    extra: dict[str, Any],
    learned: Mapping[str, Learned] | None,
    named: Named,
) -> Manifest:
    data = job.staging / f"data.{uuid.uuid4().hex[:12]}"
    if not files.is_folder(job.staging):
        raise Incomplete(f"nothing was written for {job.path}: there is no staging folder {job.staging.name}")
    files.make_folder(data)
    inside = Merged(merged)
    for receipt, index in ledger.entries():
        for file in receipt.files:
            if not inside.holds(file, index):
                _link(job, data, file, index, ledger)
    for receipt, index in inside.entries():
        for file in receipt.files:
            _link(job, data, file, index, ledger)
    artefacts, said = write_artefacts(data, learned or {}, named)
    manifest = ledger.manifest(extra if learned is None and not named else {**extra, **said}, artefacts)
    files.write_new(data / MANIFEST, manifest.lines(ledger.lines))
    if manifest.quarantined:
        listed = [part.to_dict() for part in manifest.quarantined]
        files.write_new(data / QUARANTINE, [to_json(listed).encode()])
    files.sync_tree(data)
    return _swap_in(job, data, manifest, replace)


def _link(job: Job, data: Path, file: Written, index: int, ledger: Ledger) -> None:
    """Give a file of a receipt its final name."""
    source, folder = job.sink.attempts / file.name, data / file.folder
    if file.folder not in ledger.folders:
        files.make_folder(folder)
        ledger.folders.add(file.folder)
    if files.size(source) != file.bytes:
        raise Incomplete(f"{source.name} is missing or not the {file.bytes} bytes of its receipt; go through each_receipt() "
                         "again and write the part anew")  # fmt: skip
    target = folder / file_name(index, len(job.parts))
    files.link_or_copy(source, target)
    name = target.relative_to(data).as_posix()
    ledger.files.append(PublishedFile(name, file.rows, file.bytes, file.sha256, file.logical_hash.hex()))


def _swap_in(job: Job, data: Path, manifest: Manifest, replace: bool) -> Manifest:
    """The one rename. What took the name is looked at: a folder of which somebody removed files does not keep it."""
    old: Path | None = None
    try:
        files.rename(data, job.path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        standing = _standing(job, replace)
        if standing is not None:
            return standing
        old = _replace(job, data)
    faults = manifest.faults(job.path)
    if faults:
        _take_back(job, old, faults[0])
    files.sync_folder(job.path.parent)
    return manifest


def _take_back(job: Job, old: Path | None, fault: str) -> None:
    """Take back a data set that is not whole, and put the one before it, which is at ``old``, in its place."""
    spoiled = job.path.with_name(f"{job.staging.name}.gone-{uuid.uuid4().hex[:12]}")
    what = (
        f"{job.path} was not whole as it was published, {fault}: somebody removed files of its staging folder meanwhile"
    )
    try:
        if old is None or not files.exchange(old, job.path):
            files.rename(job.path, spoiled)
            if old is not None:
                files.rename(old, job.path)
        files.sync_folder(job.path.parent)
    except OSError as error:
        raise Incomplete(
            f"{what}; and it could not be taken back ({error}): remove it, and run the plan again"
        ) from error
    files.remove_folder(spoiled)
    raise Incomplete(f"{what}; it was taken back, run the plan again with resume (--resume)")


def _replace(job: Job, data: Path) -> Path:
    """Swap the old data set for the new one; returns where the old one is now, in staging, with which it goes."""
    if files.exchange(data, job.path):
        return data
    # Without an atomic swap there is a moment with neither; the old one comes back if the new one cannot take over.
    aside = job.staging / f"{ASIDE}{uuid.uuid4().hex[:12]}"
    files.rename(job.path, aside)
    try:
        files.rename(data, job.path)
    except OSError:
        files.rename(aside, job.path)
        raise
    return aside
