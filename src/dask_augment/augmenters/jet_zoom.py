"""Jet zooming: trim jets, and magnify them by their boost, so that decays look alike at any momentum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.constituents import Constituents, Particles, hint, numbers
from dask_augment.kernels import zooming
from dask_augment.kernels.clustering import clustered
from dask_augment.options import check_choices, is_finite

_W_MASS = 80.3692
_REFERENCES = ("fixed", "jet", "column")
_OPTIONS = {"coordinates": ("rapidity", "eta"), "center": ("leading_subjet", "jet"), "rotate": ("subjet", "none")}
_KT = 1.0


class ZoomStatus(IntFlag):
    """What ``zoom_status`` says of a jet; its bits add up."""

    NO_CONSTITUENTS = zooming.NO_CONSTITUENTS
    """No particle is stored for it: zoom 1, zeros, no zoomed constituents."""
    NOT_FINITE = zooming.NOT_FINITE
    """A particle has NaN, infinity, a negative pT, or a negative mass beyond its momentum: as without constituents."""
    ONE_SUBJET = zooming.ONE_SUBJET
    """Trimming leaves one subjet: dr12 is 0, and the principal axis is turned down."""
    NO_MASS = zooming.NO_MASS
    """The reference mass is 0, negative or not finite: zoom 1."""
    AT_MINIMUM = zooming.AT_MINIMUM
    """The zoom was below ``z_min``."""
    AT_MAXIMUM = zooming.AT_MAXIMUM
    """The zoom was above ``z_max``."""
    NO_AXIS = zooming.NO_AXIS
    """Neither a second subjet nor a principal axis, as for one particle: not rotated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JetZoom(Augmenter):
    r"""Trim jets, turn them to one orientation, and magnify them by their boost (1609.00607).

    The decay products of a particle of mass m and transverse momentum :math:`p_T` are about :math:`2m/p_T` apart;
    after zooming by

    .. math:: z = \mathrm{clip}\!\left(\frac{R\,p_T}{2m},\; z_{min},\; z_{max}\right)

    they are about R apart at any :math:`p_T`. A network trained on zoomed jets need not learn how images shrink. It
    also works at other momenta, and with ``reference="jet"`` at other masses (2111.06047), than those of its training.

    Jets are trimmed (0912.1342): their particles are clustered into kt subjets of radius ``r_sub``, and subjets with
    :math:`p_T >` ``f_cut`` times that of the jet are kept, the hardest one always. :math:`(\Delta y, \Delta\phi)` of
    the kept particles, relative to ``center``, is rotated and flipped (see the options) and multiplied by z. Particles
    closer than ``r_sub`` form one subjet: W bosons above :math:`2 m_W / r_{sub}` (536 GeV at 0.3) need a smaller
    ``r_sub``.

    Momenta are those of the stored particles; corrections of the jet's energy are not applied. Zooming is not a Lorentz
    transformation: masses of zoomed jets have no meaning.

    Parameters
    ----------
    jets
        The collection of jets.
    constituents
        Where their particles are: ``"nano_v15"`` (``FatJetPFCand`` -> ``PFCand``), ``"pfnano"`` (``FatJetPFCands`` ->
        ``PFCands``, with ``puppiWeight``), or the fields of :class:`dask_augment.events.constituents.Constituents`:
        ``{candidates: FatJetConstituent}`` is a collection whose entries have ``jetIdx``.
    radius
        R of the jets: 0.8 for AK8.
    r_sub
        Radius of the subjets, at most R.
    f_cut
        Keep subjets with more than this fraction of the ungroomed jet's :math:`p_T`.
    reference
        The scale: ``"fixed"``, the mass of the signal over the ungroomed :math:`p_T`, which makes only signal jets look
        the same at any momentum; ``"jet"``, mass over :math:`p_T` of each trimmed jet, which does the same for
        background too; ``"column"``, a mass of the jets over the ungroomed :math:`p_T`.
    mass
        The fixed mass [GeV]; by default that of the W boson.
    column
        The field of the jets that is their mass [GeV], ``msoftdrop``, with ``reference="column"``.
    z_min
        Least zoom: 1 does not shrink jets.
    z_max
        Most zoom.
    coordinates
        ``"rapidity"``, in which distances are kept by boosts along the beam, or ``"eta"``, as in 1609.00607. Subjets are
        always found in rapidity.
    center
        The origin: ``"leading_subjet"``, or ``"jet"``, the axis of the trimmed jet.
    rotate
        ``"subjet"``: the direction from the first to the second subjet becomes :math:`-\pi/2` (down); with one subjet,
        the axis of the largest spread of pT, with more pT below the origin. ``"none"``: no rotation.
    flip
        Mirror x so that the third subjet is on the right, or the larger sum of pT if there is no third.
    output
        Name of the new collection; ``{jets}`` stands for the name of the jets. None: only fields of the jets.

    Columns out, of the jets: ``zoom``, ``dr12`` (distance of the two hardest subjets; 0 with one) and ``dr12_zoomed``,
    ``trimmed_mass`` and ``trimmed_pt`` [GeV] float32, ``n_subjets`` (that are kept) int32, ``zoom_status`` uint8, a
    sum of :class:`ZoomStatus`: 1 no constituents, 2 not finite, 4 one subjet, 8 no mass, 16 at z_min, 32 at z_max, 64 no
    axis. New collection, the particles of kept subjets, jet by jet in the order in which they are stored: ``x`` (from
    :math:`\Delta y`), ``y`` (from :math:`\Delta\phi`), ``pt`` [GeV] float32, ``jetIdx`` and ``candIdx`` int32, the
    numbers of their jet and of the candidate in the event. Rows are kept. Random numbers: none.

    Raises
    ------
    ValueError
        For an index beyond the jets or candidates of its event, and for angles of candidates beyond a full turn, as
        degrees are.

    Example
    -------
    ::

        - jet_zoom: {jets: FatJet, reference: fixed, mass: 80.37}
    """

    takes_missing = True

    jets: str = "FatJet"
    constituents: Any = "nano_v15"
    radius: float = 0.8
    r_sub: float = 0.3
    f_cut: float = 0.05
    reference: str = "fixed"
    mass: float = _W_MASS
    column: str | None = None
    z_min: float = 1.0
    z_max: float = 10.0
    coordinates: str = "rapidity"
    center: str = "leading_subjet"
    rotate: str = "subjet"
    flip: bool = True
    output: str | None = "{jets}Zoomed"

    def __post_init__(self) -> None:
        if not (isinstance(self.jets, str) and self.jets.isidentifier()):
            raise ValueError(f"jets must be the name of a collection, such as 'FatJet', got {self.jets!r}")
        if not isinstance(self.constituents, str):
            object.__setattr__(self, "constituents", Constituents.of(self.constituents, self.jets))
        for name in ("radius", "r_sub", "f_cut", "mass", "z_min", "z_max"):
            object.__setattr__(self, name, _finite(name, getattr(self, name)))
        check_choices(self, **_OPTIONS, reference=_REFERENCES)
        if not isinstance(self.flip, bool):
            raise ValueError(f"flip must be true or false, got {self.flip!r}")  # noqa: TRY004  as the other options
        if not 0 < self.r_sub <= self.radius:
            raise ValueError(f"r_sub must lie in (0, radius], got r_sub={self.r_sub:g} and radius={self.radius:g}")
        if not 0 <= self.f_cut < 1:
            raise ValueError(f"f_cut, a fraction of the jet's pT, must lie in [0, 1), got {self.f_cut:g}")
        if not 0 < self.z_min <= self.z_max:
            raise ValueError(f"0 < z_min <= z_max must hold, got z_min={self.z_min:g} and z_max={self.z_max:g}")
        if not self.mass > 0:
            raise ValueError(f"mass must be positive, got {self.mass:g} GeV")
        self._check_reference()
        self._check_output()

    def _check_reference(self) -> None:
        if (self.reference == "column") != (self.column is not None):
            raise ValueError(
                f"reference is {self.reference!r} and column is {self.column!r}: a column is given with "
                'reference="column", and only then'
            )
        if self.reference != "fixed" and self.mass != _W_MASS:
            raise ValueError(
                f'mass is {self.mass:g}, but reference is {self.reference!r}; it is used only with "fixed"'
            )

    def _check_output(self) -> None:
        where = self._where
        name = self._output
        if name is None:
            return
        if not (isinstance(self.output, str) and name.isalnum()):
            raise ValueError(f"output must be the name of a collection, of letters and digits, got {self.output!r}")
        if name in (self.jets, where.candidates, where.links):
            raise ValueError(f"output must be a new collection, got {name!r}, which is read; give it another name")

    @property
    def _where(self) -> Constituents:
        return Constituents.of(self.constituents, self.jets)

    @property
    def _output(self) -> str | None:
        return None if self.output is None else str(self.output).replace("{jets}", self.jets)

    @property
    def _jet_column(self) -> str:
        """A column of the jets: their mass where it is read, else any."""
        return f"{self.jets}.{self.column or 'pt'}"

    def uses(self) -> Mapping[str, str]:
        """The constituents, each with the layouts of them that there are, and a column of the jets."""
        return dict.fromkeys(self._where.columns(), hint(self.constituents, self.jets)) | {self._jet_column: ""}

    def produces(self) -> Mapping[str, str | None]:
        """Fields of the jets, and the new collection."""
        types = {"n_subjets": "int32", "zoom_status": "uint8"}
        types |= dict.fromkeys(("zoom", "dr12", "dr12_zoomed", "trimmed_mass", "trimmed_pt"), "float32")
        found = {f"{self.jets}.{name}": kind for name, kind in types.items()}
        if self._output is not None:
            kinds = dict.fromkeys(("x", "y", "pt"), "float32") | dict.fromkeys(("jetIdx", "candIdx"), "int32")
            found |= {f"{self._output}.{name}": f"var * {kind}" for name, kind in kinds.items()}
        return found

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Cluster, trim, zoom."""
        particles = self._where.of_jets(events, self._jet_column)
        labels = clustered(particles.p4, particles.offsets, self.r_sub, _KT)
        zoomed = zooming.zoomed(particles.p4, labels, particles.offsets, self._masses(events, particles), self._how())
        columns = {f"{self.jets}.{name}": _jagged(values, particles.jets) for name, values in _fields(zoomed).items()}
        if self._output is not None:
            columns |= {f"{self._output}.{name}": values for name, values in _kept(particles, zoomed).items()}
        return Output(columns)

    def _how(self) -> zooming.How:
        return zooming.How(
            radius=self.radius,
            f_cut=self.f_cut,
            z_min=self.z_min,
            z_max=self.z_max,
            own_mass=self.reference == "jet",
            eta=self.coordinates == "eta",
            jet_centre=self.center == "jet",
            rotate=self.rotate == "subjet",
            flip=self.flip,
        )

    def _masses(self, events: ak.Array, particles: Particles) -> NDArray[np.float64]:
        if self.reference == "column":
            return numbers(events, self._jet_column)
        return np.full(len(particles.offsets) - 1, self.mass)


def _finite(name: str, value: Any) -> float:
    if not is_finite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _fields(zoomed: zooming.Zoomed) -> dict[str, NDArray[Any]]:
    """The fields of the jets, flat."""
    return {
        "zoom": zoomed.zoom.astype(np.float32),
        "n_subjets": zoomed.n_subjets.astype(np.int32),
        "dr12": zoomed.dr12.astype(np.float32),
        "dr12_zoomed": (zoomed.dr12 * zoomed.zoom).astype(np.float32),
        "trimmed_mass": zoomed.trimmed_mass.astype(np.float32),
        "trimmed_pt": zoomed.trimmed_pt.astype(np.float32),
        "zoom_status": zoomed.status.astype(np.uint8),
    }


def _kept(particles: Particles, zoomed: zooming.Zoomed) -> dict[str, ListOffsetArray]:
    """The new collection: the particles of the subjets that are kept."""
    kept = zoomed.kept
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    offsets = before[particles.offsets[particles.jets]]
    jet = np.arange(len(particles.offsets) - 1) - np.repeat(particles.jets[:-1], np.diff(particles.jets))
    flat: dict[str, NDArray[Any]] = {
        "x": zoomed.x[kept].astype(np.float32),
        "y": zoomed.y[kept].astype(np.float32),
        "pt": zoomed.pt[kept].astype(np.float32),
        "jetIdx": np.repeat(jet, np.diff(before[particles.offsets])).astype(np.int32),
        "candIdx": particles.candidate[kept].astype(np.int32),
    }
    return {name: _jagged(values, offsets) for name, values in flat.items()}


def _jagged(values: NDArray[Any], offsets: NDArray[np.int64]) -> ListOffsetArray:
    return ListOffsetArray(Index64(offsets), NumpyArray(values))
