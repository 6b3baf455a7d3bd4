"""Make reconstructed objects from generated ones, with a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, ListOffsetArray, NumpyArray
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.columns import column
from dask_augment.events.domains import refuse_below, refuse_no_angle
from dask_augment.kernels.ordering import descending
from dask_augment.models import bundle
from dask_augment.models.inference import network, refuse_batch, sample

DEVICES = ("cpu", "cuda")
SHIPPED = "shipped:bundles/jets"
"""The model that is taken where none is named."""
_LEAST = {"pt": (0.0, "a transverse momentum is 0 or more"), "mass": (-5.0, "a mass is 0 or more, but for rounding")}
"""By the names of quantities. E**2 - p**2 of a jet of 7 TeV, from float32, is below 0 by as much as (2 GeV)**2."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FastSim(Augmenter):
    r"""Make reconstructed objects from generated ones, as a detector would, with a model trained on pairs of both.

    For each object of ``source`` with quantities g, the model gives the probability :math:`\varepsilon(g)` that it is
    reconstructed, and the density of the reconstructed quantities v:

    .. math:: \text{found with probability } \varepsilon(g), \quad v \sim p(v \mid g)

    A generated object gives one reconstructed object or none. There are no fakes and no pile-up, and objects do not
    affect each other. So use it where many events with a detector's resolution and efficiency are needed, not to study
    overlaps, fakes or rare tails beyond the training sample. Statistical errors stay those of the generated events:
    copies of an event (``repeat``) draw new numbers but remain correlated. Method: arXiv:2010.01835, arXiv:2402.13684.

    Parameters
    ----------
    model
        A bundle: a folder with manifest.json and weights.safetensors, or ``shipped:bundles/jets``. Its manifest
        describes the model, its training sample, columns, units and ranges. Empty: ``shipped:bundles/jets``, which is
        only for events of :func:`dask_augment.generate`; other events give a warning.
    sha256
        sha256 of the manifest, which pins the weights; empty: that of the present file.
    source
        The collection of generated objects.
    target
        The new collection.
    device
        ``cpu`` or ``cuda``. On one kind of CPU the values are the same bits for any slicing. A GPU, or another kind of
        CPU, rounds differently: values agree to the precision of float32, except for a rare object just between two
        components of a mixture, or at the border of its efficiency.
    batch
        Rows of one pass of the network, a multiple of 256; the last batch is filled up with zeros. A GPU is faster with
        larger batches. The last bits of values may depend on it.

    Values have the precision and the threshold of the training sample (``bits`` and ``threshold`` of the manifest's
    outputs): an object below the threshold counts as not found, also in the efficiency.

    Columns in: those of ``source`` that the manifest names. Columns out: ``target`` with the manifest's outputs (for
    jets pt, eta, phi, mass [GeV, radians], float32), the index of the generated object in its event (``genJetIdx`` for
    GenJet, int32), and ``in_range`` (bool). Objects are ordered by descending pT; objects of equal pT keep the order of
    the source. Rows are kept. Random numbers: for each object as many normal ones as outputs, and two uniform ones.

    ``in_range`` is false where a quantity lies outside the training range. Such objects are kept, with the response at
    the nearest values inside. It is also false for all objects of events that are not of the model's sample, if the
    manifest says how to recognise its events: those of ``shipped:bundles/jets`` by their numbers (event // 1,000,000 is
    the luminosity block), so with other ids (``ids: position``) no event is recognised. :func:`dask_augment.closure`
    measures whether a model holds for a sample with both kinds of objects. Objects with a number that is not finite are
    kept, not in range, with NaN in all outputs, after all others; missing (masked) objects are left out.

    Raises
    ------
    ValueError
        For angles beyond a full turn (degrees, or -999 for what is missing), a negative pt, or a mass below -5 GeV.

    Example
    -------
    ::

        - fast_sim: {model: bundles/jets, source: GenJet, target: FastJet}
    """

    keyed = True
    takes_missing = True

    model: str = field(default="", metadata={"file": True})
    sha256: str = ""
    source: str = "GenJet"
    target: str = "FastJet"
    device: str = "cpu"
    batch: int = 1024

    def __post_init__(self) -> None:
        for name in ("source", "target"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.isalnum():
                raise ValueError(f"{name} must be the name of a collection, such as 'GenJet', got {value!r}")
        if self.source == self.target:
            raise ValueError(f"target must be a new collection, got {self.target!r}, which is the source")
        if self.device not in DEVICES:
            raise ValueError(f"device must be 'cpu' or 'cuda', got {self.device!r}")
        refuse_batch(self.batch)
        object.__setattr__(self, "model", str(self.model or ""))
        if not self.sha256:
            object.__setattr__(self, "sha256", bundle.sha256_of(self._name))
        made = [entry.column for entry in self.about.outputs]
        if "pt" not in made:
            raise bundle.BundleError(
                f"the bundle {self._name!r} makes {made} and no 'pt', by which objects are put in order"
            )

    @property
    def _name(self) -> str:
        return self.model or SHIPPED

    @property
    def about(self) -> bundle.Manifest:
        """What the manifest of its model says."""
        return bundle.manifest(self._name, self.sha256)

    @property
    def index(self) -> str:
        """The field of the target that is the number of the generated object in its event."""
        return f"{self.source[0].lower()}{self.source[1:]}Idx"

    def uses(self) -> Mapping[str, str]:
        """The columns of the source that the model needs, all for one reason."""
        columns = sorted(self.about.columns)
        remedy = (
            f"the model {self._name!r} needs {', '.join(columns)} of the generated objects in source, {self.source}: "
            "simulated events have them, collision data do not"
        )
        return {f"{self.source}.{name}": remedy for name in columns}

    def produces(self) -> Mapping[str, str | None]:
        """The new collection."""
        types = {entry.column: entry.type for entry in self.about.outputs} | {self.index: "int32", "in_range": "bool"}
        return {f"{self.target}.{name}": f"var * {kind}" for name, kind in types.items()}

    def doubt(self) -> str:
        """That the shipped model was taken, which nobody named, and what it knows; empty of a model that was named."""
        sample = self.about.sample
        if self.model or sample is None:
            return ""
        other = sample.source not in ("", self.source)
        what = f"{self.source}, unlike {sample.source}, is" if other else "these events are"
        return (
            f"no model= is named, so {SHIPPED!r} is taken, and {what} not of its sample. Efficiency, resolution and "
            f"mass of {self.target} would be those of {sample.detector}, not those of your detector; in_range is "
            "false. Measure the difference with da.closure(events, step), if the events have reconstructed objects; "
            f"name a model that was trained on events like yours, or model={SHIPPED!r} if you want this one"
        )

    def doubted(self, draw: Draw) -> int:
        """How many events are not of the sample that the shipped model knows."""
        return int(np.count_nonzero(~self._known(draw)))

    def _known(self, draw: Draw) -> NDArray[np.bool_]:
        """Which events are of the model's sample, as far as its manifest tells."""
        sample = self.about.sample
        return np.ones(len(draw), np.bool_) if sample is None else sample.known(self.source, draw.ids, len(draw))

    def resources(self) -> Mapping[str, float]:
        """One GPU, where the model runs on one."""
        return {"GPU": 1} if self.device == "cuda" else {}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        """Draw a reconstructed object of each generated one, and keep those that are found."""
        assert draw is not None
        generated, there, offsets = self._generated(events)
        counts = np.diff(offsets)
        values, found = self._reconstructed(generated, draw, counts)
        values[self.index] = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)).astype(np.int32)
        order, ends = descending(values["pt"], found & there, offsets)
        return Output(
            {
                f"{self.target}.{name}": ListOffsetArray(Index64(ends), NumpyArray(array[order]))
                for name, array in values.items()
            }
        )

    def _generated(
        self, events: ak.Array
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_], NDArray[np.int64]]:
        """The columns of the source, flat, which of its objects are there, and the offsets of its events."""
        found = {}
        present = []
        offsets = np.zeros(1, np.int64)
        for name in sorted(self.about.columns):
            content = column(events, f"{self.source}.{name}")
            lists = content.to_ListOffsetArray64(True) if content.is_list else content
            numbers = _numbers(lists.content) if content.is_list else None
            if numbers is None:
                raise TypeError(
                    f"{self.source}.{name} has type {content.form.type} for each event; a list of numbers is needed"
                )
            found[name], there = numbers
            present.append(there)
            offsets = np.asarray(lists.offsets.data)
        self._refuse_what_cannot_be(found)
        return found, np.logical_and.reduce(present), offsets

    def _refuse_what_cannot_be(self, generated: Mapping[str, NDArray[np.float64]]) -> None:
        """ValueError for a quantity that no generated object has: it is of another unit, or stands for a missing one."""
        for name in {output.of for output in self.about.outputs if output.transform == "wrapped_difference"}:
            refuse_no_angle(generated[name], f"{self.source}.{name}")
        for name, (least, what) in _LEAST.items():
            if name in generated:
                refuse_below(generated[name], least, f"{self.source}.{name}", what)

    def _reconstructed(
        self, generated: Mapping[str, NDArray[np.float64]], draw: Draw, counts: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
        """The outputs of all objects with ``in_range``, and which of them are found."""
        about = self.about
        whole: NDArray[np.bool_] = np.logical_and.reduce([np.isfinite(values) for values in generated.values()])
        in_range: NDArray[np.bool_] = whole & np.repeat(self._known(draw), counts)
        for entry in about.inputs:
            in_range &= entry.inside(generated[entry.column])
        cond = np.stack([entry.standardised(generated[entry.column]) for entry in about.inputs], 1)
        cond[~whole] = 0
        normal = draw.normal(0, counts=counts, size=len(about.outputs))
        uniform = draw.uniform(1, counts=counts, size=2)
        x, efficiency = self._sampled(cond, normal, uniform[:, 0], generated, whole)
        values: dict[str, NDArray[Any]] = {"in_range": in_range}
        found = uniform[:, 1] < efficiency
        with np.errstate(over="ignore", invalid="ignore"):
            for i, output in enumerate(about.outputs):
                values[output.column] = output.value(x[:, i], generated)
                values[output.column][~whole] = np.nan
                found &= output.found(values[output.column])
        return values, found | ~whole

    def _sampled(
        self, cond: NDArray[Any], normal: NDArray[Any], uniform: NDArray[Any],
        generated: Mapping[str, NDArray[np.float64]], whole: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
        if len(cond) == 0:
            return np.zeros(normal.shape, np.float32), np.zeros(0, np.float32)
        net = network(self._name, self.sha256, self.device)
        bounded: dict[str, Any] = {}
        for i, entry in enumerate(self.about.outputs):
            if entry.threshold is not None:
                with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                    border = entry.standardised(np.full(len(cond), entry.threshold), generated)
                bounded = {"border": np.where(whole, border, 0.0), "bounded": i}
        return sample(net, cond, normal, uniform, batch=self.batch, device=self.device, **bounded)


def _numbers(content: Content) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Numbers with NaN where one is missing, and which are there; None for what is no list of numbers."""
    there = np.ones(content.length, np.bool_)
    if content.is_option:
        there = np.asarray(content.mask_as_bool(valid_when=True), np.bool_)
        content = content.project()
    elif content.is_indexed:
        content = content.project()
    if not content.is_numpy:
        return None
    values = np.full(len(there), np.nan)
    values[there] = np.asarray(content.data, np.float64)
    return values, there
