"""Features of a Lorentz Boost Network: combinations of objects, seen in each other's rest frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.augmenter import Augmenter, Output
from dask_augment.contract.draw import Draw
from dask_augment.events.four_vectors import Objects
from dask_augment.kernels import philox
from dask_augment.kernels.lorentz import PAIRS, SINGLES, boosted_features
from dask_augment.messages import unknown
from dask_augment.models.files import contents, tensors
from dask_augment.options import check_choices, check_count, is_finite, named_options

BOOSTS = ("exact", "lbn")
TENSORS = ("particle_weights", "restframe_weights")
_WEIGHTS = f"weights must be a file, {{random: 16, seed: 1}}, or {{{TENSORS[0]}: [[...]], {TENSORS[1]}: [[...]]}}"


@dataclass(frozen=True, kw_only=True, eq=False)
class LBN(Augmenter):
    r"""Compute the features of a Lorentz Boost Network with given weights (arXiv:1812.09722).

    Of N four-vectors :math:`x_n`, M combinations are formed and each is boosted into the rest frame of another one:

    .. math:: p_m = \sum_n W^p_{nm} x_n, \quad r_m = \sum_n W^r_{nm} x_n, \quad p_m \to \Lambda(r_m)\, p_m

    Training learns W. Here the features of a trained network become columns, for another model or for the rest of the
    same network. Random weights need no training, but are much less useful than trained ones.

    Features of each boosted combination: ``E``, ``px``, ``py``, ``pz`` [GeV]; ``p`` and ``pt`` [GeV], with squares of
    at least 1e-5; ``eta`` = artanh(pz / p), limited to [-6.1, 6.1]; ``phi`` in [-pi, pi); ``m`` [GeV]; ``beta`` = p / E
    and ``gamma`` = E / m, where E and m are at least 1e-5. Features of each pair of combinations: ``pair_cos``, the
    cosine of the angle between both, and ``pair_dr``, their distance in eta and phi. In an event with fewer than two
    objects a combination is at rest in its frame. Its remaining momentum, below 3 MeV, is rounding and has no meaning,
    and ``phi`` and ``pair_dr`` are functions of it: do not give them to a model for events with one object.

    Parameters
    ----------
    inputs
        The N objects, in the order of the rows of W: ``["Jet[:6]", "Electron[0]", "MET"]``, where MET is transverse,
        ``{objects: "Photon[:2]", mass: 0}`` for objects without a mass, and all other forms of
        :class:`dask_augment.events.four_vectors.Objects`. Missing objects are zeros; they must have been zeros in training too.
    weights
        A safetensors file with ``particle_weights`` and ``restframe_weights``, (N, M) each (see
        :func:`save_lbn_weights`); both as lists of N rows in a dictionary; or ``{random: M, seed: 1}``: normal with
        mean 0 and width 1 / M, as networks are initialised.
    sha256
        sha256 of that file; empty: that of the present file.
    features
        Which of the features above.
    boost
        ``"exact"``: a Lorentz transformation. A frame with a mass below :math:`p / \gamma_{max}` gets this mass; an
        empty frame is at rest. ``m`` is the mass of the combination, which a boost does not change. ``"lbn"``: the
        formulas of lbn 1.2.2, for networks trained with it: it boosts with
        :math:`\gamma = (1 - \beta^2 + 10^{-5})^{-1/2}`, so masses change, for light frames strongly. Empty frames,
        which give NaN there, are at rest here. In both, frames move with their momentum, even if negative weights make
        their energy negative.
    gamma_max
        Largest boost with ``"exact"``.
    abs_weights
        Take the absolute values of W, as lbn does.
    clip_weights
        Smallest value of W, applied after ``abs_weights``.
    prefix
        Prefix of the columns; not the name of a collection.

    Columns out, float32: ``lbn_E_0`` to ``lbn_E_{M-1}`` of each feature, and ``lbn_pair_cos_0_1``, ``_0_2``, ... of
    each pair; ``feature_names`` lists them all in the order of lbn's outputs. Rows are kept. The operations round the
    same on all CPUs: in float64, features of pairs from directions rounded to float32. NaN in an input column makes all
    features of its event NaN.

    Example
    -------
    ::

        - lbn: {inputs: ["Jet[:4]", "Muon[:1]", MET], weights: lbn.safetensors}
    """

    inputs: Any
    weights: str | Mapping[str, Any] = field(metadata={"file": True})
    sha256: str = ""
    features: Sequence[str] = ("E", "pt", "eta", "phi", "m", "pair_cos")
    boost: str = "exact"
    gamma_max: float = 1000.0
    abs_weights: bool = True
    clip_weights: float | None = None
    prefix: str = "lbn"

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", Objects.of(self.inputs))
        object.__setattr__(self, "features", _checked_features(self.features))
        check_choices(self, boost=BOOSTS)
        if not (is_finite(self.gamma_max) and self.gamma_max > 1):
            raise ValueError(f"gamma_max must be a finite number above 1, got {self.gamma_max!r}")
        if not (self.clip_weights is None or is_finite(self.clip_weights)):
            raise ValueError(f"clip_weights must be a finite number or None, got {self.clip_weights!r}")
        if not (isinstance(self.prefix, str) and self.prefix.isidentifier()):
            raise ValueError(f"prefix must be a name such as 'lbn', got {self.prefix!r}")
        if isinstance(self.weights, Mapping):
            if self.sha256:
                raise ValueError("sha256 is of a file of weights; these stand in the step itself: leave it out")
            object.__setattr__(self, "weights", _listed(self.weights))
        elif not isinstance(self.weights, (str, PathLike)):
            raise TypeError(f"{_WEIGHTS}; got {self.weights!r}")
        else:
            object.__setattr__(self, "weights", str(self.weights))
            # The file as it is now: this process may have read it when it was another one.
            found = hashlib.sha256(contents(self.weights, self.sha256)).hexdigest()
            object.__setattr__(self, "sha256", found)
        many = self.final_weights()[0].shape[1]
        if many < 2 and (pairs := [name for name in self.features if name in PAIRS]):
            raise ValueError(f"features has {pairs} of pairs, and the weights make 1 combination; leave them out")

    def final_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights of particles and of rest frames as they are used, (N, M) each, after ``abs_weights`` and the clip."""
        final = []
        for name, values in _given(self.weights, self.sha256, len(self.inputs)).items():
            array = np.asarray(values, np.float64)
            if array.ndim != 2 or len(array) != len(self.inputs) or not array.size:
                raise ValueError(
                    f"{name} of {_called(self.weights)} has shape {array.shape}, and inputs are {len(self.inputs)} "
                    f"objects ({', '.join(self.inputs.names)}): its shape must be ({len(self.inputs)}, M)"
                )
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{name} of {_called(self.weights)} holds NaN or infinity: train it anew")
            array = np.abs(array) if self.abs_weights else array
            final.append(array if self.clip_weights is None else np.maximum(array, self.clip_weights))
        if final[0].shape != final[1].shape:
            raise ValueError(
                f"{' and '.join(TENSORS)} of {_called(self.weights)} have shapes {final[0].shape} and {final[1].shape}: "
                "each combination needs one rest frame"
            )
        return final[0], final[1]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns that are made, in the order of lbn's outputs."""
        return _names(self.prefix, tuple(self.features), self.final_weights()[0].shape[1])

    def uses(self) -> Mapping[str, str]:
        """The columns of the objects, and what to do where these have no mass."""
        return {name: self.inputs.remedy(name) for name in self.inputs.uses()}

    def produces(self) -> Mapping[str, str | None]:
        """The features."""
        return dict.fromkeys(self.feature_names, "float32")

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:  # noqa: ARG002
        """Form the combinations, boost them, and read off the features."""
        particles, frames = self.final_weights()
        many = particles.shape[1]
        names = _names(self.prefix, tuple(self.features), many)
        rows = np.full(len(SINGLES) + len(PAIRS), -1)
        for feature in self.features:
            first = f"{self.prefix}_{feature}_0"
            rows[(*SINGLES, *PAIRS).index(feature)] = names.index(f"{first}_1" if feature in PAIRS else first)
        out = np.empty((len(names), len(events)), np.float32)
        exact = self.boost == "exact"
        boosted_features(self.inputs.four_vectors(events), particles, frames, exact, float(self.gamma_max), rows, out)
        return Output(dict(zip(names, out, strict=True)))


@named_options
def save_lbn_weights(path: str | Path, particle_weights: Any, restframe_weights: Any) -> None:
    """Write the weights of a trained network as a file that :class:`LBN` reads.

    Each is an array (N, M): row n belongs to input n, column m to combination m. Of lbn 1.2.2 these are the variables
    ``lbn.particle_weights.numpy()`` and ``lbn.restframe_weights.numpy()``; parameters of a torch module are detached
    first, ``.detach().numpy()``, and turned (``.T``) where their rows are combinations.
    """
    from safetensors.numpy import save_file

    arrays = [np.ascontiguousarray(values, np.float64) for values in (particle_weights, restframe_weights)]
    if arrays[0].ndim != 2 or arrays[0].shape != arrays[1].shape:
        raise ValueError(
            f"particle_weights and restframe_weights must both be (inputs, combinations), got {arrays[0].shape} and "
            f"{arrays[1].shape}"
        )
    save_file(dict(zip(TENSORS, arrays, strict=True)), path)


def _checked_features(features: Any) -> tuple[str, ...]:
    if isinstance(features, str) or not isinstance(features, Iterable):
        raise TypeError(f"features must be a list, got {features!r}; write [{features!r}]")
    names = tuple(features)
    if strange := [name for name in names if name not in (*SINGLES, *PAIRS)]:
        raise ValueError(f"features has unknown names {unknown(strange, (*SINGLES, *PAIRS))}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"features must name one or more of {[*SINGLES, *PAIRS]}, each once, got {list(names)}")
    return names


def _listed(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a dictionary as JSON would hold them."""
    if set(weights) in ({"random"}, {"random", "seed"}):
        return {"random": weights["random"], "seed": weights.get("seed", 0)}
    if set(weights) != set(TENSORS):
        raise ValueError(f"{_WEIGHTS}; got the keys {sorted(map(str, weights))}")
    try:
        return {name: np.asarray(weights[name], np.float64).tolist() for name in TENSORS}
    except (TypeError, ValueError):
        raise ValueError(f"weights: {' and '.join(TENSORS)} must each be rows of numbers, all of one length") from None


def _called(weights: str | Mapping[str, Any]) -> str:
    return repr(weights) if isinstance(weights, str) else "weights"


def _given(weights: str | Mapping[str, Any], sha256: str, inputs: int) -> Mapping[str, Any]:
    if isinstance(weights, str):
        stored = tensors(weights, sha256)
        if lacking := [name for name in TENSORS if name not in stored]:
            raise ValueError(
                f"{weights!r} has no {' and '.join(lacking)}, it has {sorted(stored)}; write it with save_lbn_weights"
            )
        return {name: stored[name] for name in TENSORS}
    if "random" in weights:
        return _random(inputs, weights["random"], weights["seed"])
    return weights


def _random(inputs: int, many: Any, seed: Any) -> Mapping[str, NDArray[np.float64]]:
    for name, value, least in (("random", many, 1), ("seed", seed, 0)):
        check_count(f"weights: {name}", value, least)
    key, chain, count = np.array([seed], np.uint64), np.zeros(1, np.uint64), np.array([inputs * many])
    return {
        name: philox.normals(philox.words(key, chain, count, stream, 1)[:, 0]).reshape(inputs, many) / many
        for stream, name in enumerate(TENSORS)
    }


@lru_cache(maxsize=64)
def _names(prefix: str, features: tuple[str, ...], many: int) -> tuple[str, ...]:
    names: list[str] = []
    for feature in features:
        if feature in PAIRS:
            names += [f"{prefix}_{feature}_{i}_{j}" for i in range(many) for j in range(i + 1, many)]
        else:
            names += [f"{prefix}_{feature}_{i}" for i in range(many)]
    return tuple(names)
