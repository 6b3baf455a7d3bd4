"""Warn of lost inputs: unreadable files, data sets that are gone, sums of weights that skims lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dask_augment.dataset.quarantine import Quarantined
from dask_augment.dataset.receipt import Part
from dask_augment.inputs.normalisation import Normalisation
from dask_augment.inputs.sources import BadInput, Source
from dask_augment.inputs.sums import UNSELECTED
from dask_augment.messages import counted


def bad_files(bad: Mapping[str, BadInput], most: int) -> str:
    """The sentences of a run that more files than it may leave out stop."""
    lines = [f"  {error}" for _, error in sorted(bad.items())[:10]]
    more = [f"  and {len(bad) - 10} more"] if len(bad) > 10 else []
    allowed = f"{most} may be" if most else "none may be"
    return "\n".join(
        [
            f"{counted(len(bad), 'input file')} cannot be read ({allowed}: max_bad_files); nothing was published:",
            *lines,
            *more,
        ]
    )


def quarantined_of(sources: Sequence[Source], bad: Mapping[str, BadInput]) -> tuple[Quarantined, ...]:
    """The files that are left out, as the manifest lists them."""
    return tuple(
        Quarantined.of(Part.of(s.dataset, {"file": s.path, "tree": s.kind.tree}), bad[s.path], bad[s.path].entries)
        for s in sources
        if s.path in bad
    )


def losses(
    sources: Sequence[Source], bad: Mapping[str, BadInput], normalisation: Mapping[str, Normalisation]
) -> list[str]:
    """What a person must know of data sets that are not whole, a sentence for each."""
    found = []
    for name in sorted({source.dataset for source in sources}):
        mine = [source.path for source in sources if source.dataset == name]
        gone = [path for path in mine if path in bad]
        if gone and len(gone) == len(mine):
            found.append(
                f"data set {name!r} has no readable file, and is missing from the result: {counted(len(gone), 'file')} left out, "
                f"{gone[0]!r} is one"
            )
        elif gone:
            found.append(
                f"data set {name!r} is read without {len(gone)} of {counted(len(mine), 'file')}, which cannot be read: rows "
                f"and sums of weights are those of the others; {gone[0]!r} is one"
            )
        how = normalisation.get(name)
        if how is not None and how.xsec is not None and UNSELECTED in how.sumw_from:
            found.append(
                f"data set {name!r} is normalised to the {how.sumw_from}, because not every file has the sum of all "
                "events before a skim (no Runs tree with genEventSumw): if the files are a skim, all weights are too "
                "large, by the part that the skim dropped; read the files before the skim, or multiply its xsec by "
                "the share of the sum of weights that is left"
            )
    return found
