"""Rotate whole events about the beam by a random angle."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import IndexedOptionArray, ListOffsetArray, NumpyArray, RegularArray
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import column, dotted, flat, plain
from dask_augment.events.domains import refuse_no_rotation
from dask_augment.kernels.angles import rotated
from dask_augment.options import check_columns

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NO_ANGLE = frozenset(
    {"d", "delta", "diff", "err", "error", "unc", "sigma", "cov", "res", "bin", "min", "max", "sin", "cos", "ori"}
)
"""Words beside phi in the names of differences, uncertainties and the like, which do not turn."""
_NO_AZIMUTH = frozenset({"eta", "theta", "pt", "mass", "energy", "rapidity", "px", "py", "pz", "dphi", "deltaphi"})
"""Words in the names of what is no azimuthal angle, though its values may lie in [-pi, pi]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PhiRotate(Augmenter):
    r"""Rotate whole events about the beam by one random angle each.

    .. math:: \phi \to \phi + \alpha, \quad \alpha \sim U[0, 2\pi) \text{, the same for all objects of an event}

    and back into [-pi, pi). The laws of physics and a collider with an unpolarised beam have this symmetry; a detector
    has it only as far as its response does not depend on phi, so this is not for studies of dead regions.

    Parameters
    ----------
    columns
        The azimuthal angles to rotate [rad], of objects (``Jet.phi``) or of the event (``MET.phi``); wildcards,
        ``*.phi`` or ``*_phi``, match the columns of the events, in a plan the columns that it reads, except counters
        (``nJet_phi``). Names that say eta, pt, px, py or a difference of angles are refused. List all angles that later
        steps use together: an angle left out is not rotated with the event. ValueError if a value lies outside [-pi,
        pi] by more than rounding (1e-4, as NanoAOD rounds). NaN stays NaN, and missing values stay missing.
    originals
        Also rotate original rows when copies exist. By default only copies rotate then.

    Columns in and out: those named, with the types they have. Rows are kept. Random numbers: one for each row.

    Example
    -------
    ::

        - phi_rotate: {columns: [Jet.phi, Muon.phi, MET.phi]}
    """

    use = "training"
    keyed = True
    takes_missing = True

    columns: Sequence[str] = ("Jet.phi", "Electron.phi", "Muon.phi", "MET.phi")
    originals: bool = False

    def __post_init__(self) -> None:
        check_columns(self, "columns")
        if wrong := [name for name in self.columns if _is_no_azimuth(name)]:
            raise ValueError(
                f"columns names {wrong}, and phi_rotate turns azimuthal angles alone: differences of angles, eta, pt, px "
                "and py do not turn by adding an angle; leave them out"
            )

    def uses(self) -> frozenset[str]:
        """The angles."""
        return frozenset(name for name in self.columns if not _is_pattern(name))

    def produces(self) -> Mapping[str, str | None]:
        """The angles, rotated."""
        return dict.fromkeys(name for name in self.columns if not _is_pattern(name))

    def matched(self, columns: Collection[str]) -> Augmenter:
        """The step with the names of the angles that its wildcards match; ValueError where one matches none."""
        if not any(map(_is_pattern, self.columns)):
            return self
        named: dict[str, None] = {}
        for pattern in self.columns:
            found = _matching(columns, pattern) if _is_pattern(pattern) else [pattern]
            if not found:
                angles = sorted(filter(is_azimuth, columns))
                there = f"the angles are {', '.join(angles[:8])}" if angles else "no column that is read is an angle"
                raise ValueError(f"phi_rotate: no column matches {pattern!r}; {there}")
            named |= dict.fromkeys(found)
        return replace(self, columns=tuple(named))

    def remark(self, columns: Collection[str]) -> str:
        """The angles that are left where others turn."""
        turned = {dotted(name) for name in self.columns}
        left = sorted(name for name in {dotted(name) for name in columns} - turned if is_azimuth(name))
        if not left:
            return ""
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        return (
            f"turns {', '.join(self.columns)} and leaves {', '.join(left[:8])}{more} as they are, so that the angles of an "
            'event no longer belong together: turn all that are used together, columns: ["*.phi"], or leave those out'
        )

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Add one angle to all of them."""
        assert draw is not None
        if any(map(_is_pattern, self.columns)):
            raise ValueError(
                f"phi_rotate: the wildcards of {list(self.columns)} are matched by augment and by plans; name the columns here"
            )
        alpha = draw.uniform(0) * (2 * np.pi)
        return Output({name: _rotated(column(events, name), alpha, name) for name in self.columns})


@lru_cache(8192)
def is_azimuth(name: str) -> bool:
    """Whether a column looks like a number that turns with the event: an angle phi, or px and py."""
    words = [word.lower() for word in _WORD.findall(name)]
    return (words.count("phi") == 1 and not _NO_ANGLE & {*words}) or words[-1:] in (["px"], ["py"])


def _is_no_azimuth(name: str) -> bool:
    """Whether a name says that its values are others than azimuthal angles."""
    words = {word.lower() for word in _WORD.findall(name.rpartition(".")[2])}
    return bool(words & _NO_AZIMUTH) or ("phi" in words and bool((_NO_ANGLE - {"bin", "min", "max", "ori"}) & words))


def _matching(columns: Collection[str], pattern: str) -> list[str]:
    """The columns that a wildcard matches, as a name with a dot or flat; a counter ``nJet_phi`` is none of them."""
    names = [name for name in sorted(columns) if fnmatchcase(name, pattern) or fnmatchcase(flat(name), pattern)]
    return [name for name in names if not (name.startswith("n") and name[1:] in columns)]


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _rotated(phi: Any, alpha: NDArray[np.float64], name: str) -> Any:
    """The angles of some entries, one or a list for each; alpha has one for each entry."""
    phi = phi.to_RegularArray() if phi.is_numpy else phi
    if phi.is_option:
        index = np.asarray(phi.to_IndexedOptionArray64().index)
        there = index >= 0
        places = np.where(there, np.cumsum(there) - 1, -1)
        return IndexedOptionArray(Index64(places), _rotated(plain(phi.project()), alpha[there], name))
    if isinstance(phi, RegularArray):
        inner = _rotated(phi.content, np.repeat(alpha, phi.size), name)
        return RegularArray(inner, phi.size, zeros_length=phi.length)
    if phi.is_list and not phi.content.is_numpy:
        inner = _rotated(phi.content, np.repeat(alpha, np.diff(phi.offsets.data)), name)
        return ListOffsetArray(phi.offsets, inner)
    if phi.is_list:
        return ListOffsetArray(phi.offsets, NumpyArray(_turned(phi.content, phi.offsets.data, alpha, name)))
    return NumpyArray(_turned(phi, np.arange(phi.length + 1), alpha, name))


def _turned(phi: Any, offsets: NDArray[np.int64], alpha: NDArray[np.float64], name: str) -> NDArray[Any]:
    if not phi.is_numpy or phi.data.ndim != 1 or phi.data.dtype.kind != "f":
        raise TypeError(f"{name!r} has the type {phi.form.type}, and phi_rotate turns angles, floating numbers [rad]")
    refuse_no_rotation(phi.data, name)
    turned: NDArray[Any] = rotated(phi.data, offsets, alpha)
    return turned
