"""Rotate whole events about the beam by a random angle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray

from dask_augment.columns import column
from dask_augment.contract import Augmenter, Output
from dask_augment.draw import Draw
from dask_augment.kernels.angles import rotated


@dataclass(frozen=True, kw_only=True, eq=False)
class PhiRotate(Augmenter):
    r"""Rotate whole events about the beam by one random angle each.

    .. math:: \phi \to \phi + \alpha, \quad \alpha \sim U[0, 2\pi) \text{, the same for all objects of an event}

    and back into [-pi, pi). The laws of physics and a collider with an unpolarised beam have this symmetry; a detector
    has it only as far as its response does not depend on phi, so this is not for studies of dead regions.

    Parameters
    ----------
    columns
        The azimuthal angles to rotate [rad], of objects (``Jet.phi``) or of the event (``MET.phi``).
        All angles that later steps use together belong here: one left out is no longer in the same event frame.
    originals
        Also rotate original rows where there are copies of them. As a rule only copies vary.

    Columns in and out: those named, with the types they have. Rows are kept. Random numbers: one for each row.

    Example
    -------
    ::

        - phi_rotate: {columns: [Jet.phi, Muon.phi, MET.phi]}
    """

    use: ClassVar[str] = "training"
    keyed: ClassVar[bool] = True

    columns: Sequence[str] = ("Jet.phi", "Electron.phi", "Muon.phi", "MET.phi")
    originals: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.columns, str):
            raise TypeError(f"columns must be a list, got {self.columns!r}; write [{self.columns!r}]")
        object.__setattr__(self, "columns", tuple(self.columns))

    def uses(self) -> frozenset[str]:
        """The angles."""
        return frozenset(self.columns)

    def produces(self) -> Mapping[str, str | None]:
        """The angles, rotated."""
        return dict.fromkeys(self.columns)

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Add one angle to all of them."""
        assert draw is not None
        alpha = draw.uniform(0) * (2 * np.pi)
        return Output({name: _rotated(column(events, name), alpha) for name in self.columns})


def _rotated(phi: Any, alpha: np.ndarray[Any, Any]) -> Any:
    if phi.is_list:
        return ListOffsetArray(phi.offsets, NumpyArray(rotated(phi.content.data, phi.offsets.data, alpha)))
    return rotated(phi.data, np.arange(phi.length + 1), alpha)
