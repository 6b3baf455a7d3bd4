"""Transforms between physical quantities and the numbers of a network: logarithms, ratios, differences, scales.

Everything here is float64 NumPy on contiguous arrays, one entry at a time, so that no entry depends on another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.mantissa import FULL, rounded
from dask_augment.options import is_finite

Floats = NDArray[np.float64]

INPUT_KINDS = ("identity", "abs", "log")
OUTPUT_KINDS = ("identity", "log", "ratio", "log_ratio", "difference", "wrapped_difference")
RELATIVE = OUTPUT_KINDS[2:]
"""Those that relate an output to a column of the generated object."""


@dataclass(frozen=True, kw_only=True)
class Input:
    r"""A column of the generated objects that a model is conditional on: u = (f(v) - mean) / std.

    f(v) is v (``identity``), \|v\| (``abs``) or log(v + offset) (``log``). ``range`` is where the model was trained, both ends included,
    in the column's unit. What lies outside is flagged, and the model is given the nearest value of the range.
    """

    column: str
    unit: str = ""
    transform: str = "identity"
    offset: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    range: tuple[float, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "range", tuple(float(edge) for edge in self.range))
        _check(self, INPUT_KINDS)
        if not (len(self.range) == 2 and self.range[0] < self.range[1] and np.all(np.isfinite(self.range))):
            raise ValueError(f"input {self.column!r}: range must be two numbers, the lower one first, got {self.range}")
        if self.transform == "log" and self.range[0] + self.offset <= 0:
            raise ValueError(
                f"input {self.column!r}: range begins at {self.range[0]} and offset is {self.offset}; the logarithm "
                "needs a positive sum"
            )

    def inside(self, values: Floats) -> NDArray[np.bool_]:
        """Whether values lie in the training range; NaN does not."""
        inside: NDArray[np.bool_] = (values >= self.range[0]) & (values <= self.range[1])
        return inside

    def raw(self, values: Floats) -> Floats:
        """f(v), of values put into the training range; NaN stays NaN."""
        clipped = np.clip(values, *self.range)
        if self.transform == "log":
            return np.log(clipped + self.offset)
        return np.abs(clipped) if self.transform == "abs" else clipped

    def standardised(self, values: Floats) -> Floats:
        """u, which the network sees."""
        result: Floats = (self.raw(values) - self.mean) / self.std
        return result


@dataclass(frozen=True, kw_only=True)
class Output:
    r"""A column that a model makes: u = (f(v) - mean) / std, with v the reconstructed value and g the generated one.

    ==================== ==========================================
    transform            f(v)
    ==================== ==========================================
    identity             v
    log                  log(v + offset)
    ratio                v / g
    log_ratio            log((v + offset) / (g + offset))
    difference           v - g
    wrapped_difference   v - g in [-pi, pi), v in [-pi, pi) [rad]
    ==================== ==========================================

    ``of`` names the column of g. ``type`` is the number type that v is stored as; ``minimum``: what is below is put
    there (a mass below 0 by a rounding). ``bits`` of the mantissa of float32 are kept, as many as the values that the
    model learned from were stored with; null: all. An object with v, as stored, below ``threshold`` is not found: there
    were none in the sample.
    """

    column: str
    unit: str = ""
    type: str = "float32"
    transform: str = "identity"
    of: str = ""
    offset: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    minimum: float | None = None
    bits: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        _check(self, OUTPUT_KINDS)
        if not isinstance(self.of, str):
            raise ValueError(f"output {self.column!r}: of must be the name of a column, got {self.of!r}")  # noqa: TRY004
        for name in ("minimum", "threshold"):
            number = getattr(self, name)
            if number is not None and not is_finite(number):
                raise ValueError(f"output {self.column!r}: {name} must be a finite number or null, got {number!r}")
        if self.type not in ("float32", "float64"):
            raise ValueError(f"output {self.column!r}: type must be 'float32' or 'float64', got {self.type!r}")
        if self.bits is not None and not (type(self.bits) is int and 1 <= self.bits < FULL and self.type == "float32"):
            raise ValueError(
                f"output {self.column!r}: bits must be a whole number in [1, {FULL - 1}], of float32, or null, got "
                f"{self.bits!r} of {self.type}"
            )
        if (self.transform in RELATIVE) != bool(self.of):
            raise ValueError(
                f"output {self.column!r}: transform {self.transform!r} "
                + ("needs of=, a column of the source" if self.transform in RELATIVE else f"has no of={self.of!r}")
            )

    def raw(self, values: Floats, generated: Mapping[str, Floats]) -> Floats:
        """f(v)."""
        g = generated[self.of] if self.of else values
        match self.transform:
            case "log":
                return np.log(values + self.offset)
            case "ratio":
                return values / g
            case "log_ratio":
                return np.log((values + self.offset) / (g + self.offset))
            case "difference":
                return values - g
            case "wrapped_difference":
                return wrapped(values - g)
        return values

    def standardised(self, values: Floats, generated: Mapping[str, Floats]) -> Floats:
        """u, which the network is trained to make."""
        return (self.raw(values, generated) - self.mean) / self.std

    def value(self, standardised: NDArray[Any], generated: Mapping[str, Floats]) -> NDArray[Any]:
        """v of u, in the type and with the bits that it is stored with."""
        x = np.ascontiguousarray(standardised, np.float64) * self.std + self.mean
        g = generated[self.of] if self.of else x
        match self.transform:
            case "log":
                x = np.exp(x) - self.offset
            case "ratio":
                x = x * g
            case "log_ratio":
                x = np.exp(x) * (g + self.offset) - self.offset
            case "difference":
                x = g + x
            case "wrapped_difference":
                return self._angle(wrapped(g + x).astype(self.type))
        if self.minimum is not None:
            x = np.maximum(x, self.minimum)
        return self._stored(x.astype(self.type))

    def _stored(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self.bits is None else rounded(values, self.bits)

    def _angle(self, phi: NDArray[Any]) -> NDArray[Any]:
        """Rounding may end on pi or beyond: with all bits that is -pi, else the last number inside is taken."""
        if self.bits is None:
            phi[phi >= np.pi] = -np.pi
            return phi
        last = np.float32(_last_before_pi(self.bits))
        return np.clip(rounded(phi, self.bits), -last, last)

    def found(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether objects with these values, as stored, were in the sample; NaN was not."""
        return np.ones(len(values), np.bool_) if self.threshold is None else np.asarray(values >= self.threshold)


def wrapped(angle: Floats) -> Floats:
    """The angle in [-pi, pi)."""
    result: Floats = (angle + np.pi) % (2 * np.pi) - np.pi
    return result


def _last_before_pi(bits: int) -> float:
    """The largest number below pi that so many bits of a mantissa hold: pi lies in [2, 4)."""
    step = 2.0 ** (1 - bits)
    return float(np.floor(np.pi / step) * step)


def _check(entry: Input | Output, kinds: tuple[str, ...]) -> None:
    what = f"{type(entry).__name__.lower()} {entry.column!r}"
    if not isinstance(entry.column, str) or not entry.column.isidentifier():
        raise ValueError(f"{what}: column must be the name of a field, such as 'pt'")
    if entry.transform not in kinds:
        raise ValueError(f"{what}: transform must be one of {', '.join(kinds)}, got {entry.transform!r}")
    for name in ("offset", "mean", "std"):
        number = getattr(entry, name)
        if not is_finite(number):
            raise ValueError(f"{what}: {name} must be a finite number, got {number!r}")
    if entry.std <= 0:
        raise ValueError(f"{what}: std must be positive, got {entry.std!r}")
