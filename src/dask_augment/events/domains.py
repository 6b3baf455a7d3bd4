"""Checks of the values of columns: each check sees all values once, and names what is wrong in one sentence.

What is odd and may be right is let through: negative weights, slightly negative masses, angles in [0, 2 pi]. NaN and
infinity are no values of another unit: steps say themselves what becomes of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels.angles import first_outside
from dask_augment.messages import counted

_TURN = 6.29
"""A full turn [rad] as files round it, with 10 bits of mantissa."""
_PI = 3.1416 + 1e-4
"""pi as files round it: 3.1416016, with 12 bits, lies 9e-6 beyond."""
_FINITE = float(np.finfo(np.float64).max)


def refuse_no_angle(phi: NDArray[np.floating], name: str) -> None:
    """ValueError where an azimuthal angle is more than a full turn, as degrees are, and as -999 is for what is missing."""
    if (bad := first_outside(phi, _TURN, _FINITE)) >= 0:
        raise ValueError(
            f"column {name!r} holds {phi[bad]:.7g}, and azimuthal angles in radians are no more than 2 pi: "
            f"{_remedy(phi, bad, name)}"
        )


def refuse_no_rotation(phi: NDArray[np.floating], name: str) -> None:
    """ValueError where a value lies outside [-pi, pi] by more than rounding, which the result of a rotation must not."""
    if (bad := first_outside(phi, _PI, np.inf)) >= 0:
        raise ValueError(
            f"column {name!r} holds {phi[bad]:.7g}, and phi_rotate turns azimuthal angles in [-pi, pi] [rad]: leave "
            f"{name!r} out of columns, or, {_remedy(phi, bad, name)}"
        )


def _remedy(phi: NDArray[np.floating], bad: int, name: str) -> str:
    """What to do about angles of another range, by how large they are."""
    largest = max(float(np.abs(phi[np.isfinite(phi)]).max(initial=0.0)), abs(float(phi[bad])))
    if largest <= _TURN:
        return f"if it is an angle of another range, bring it there with a define step before, delta_phi({name}, 0)"
    if largest <= 360:
        return (
            "if these are degrees, bring them to radians with a define step before, "
            f"delta_phi({name} * {np.pi!r} / 180, 0)"
        )
    return "if this number marks a missing value, leave it out with its object, or fill it with 0 where pt is 0"


def refuse_below(values: NDArray[np.floating], least: float, name: str, what: str) -> None:
    """ValueError where a value lies below the least that such a quantity can have; -inf is none."""
    if len(values) and np.fmin.reduce(values) < least:
        low = values[(values < least) & (values > -np.inf)]
        if len(low):
            raise ValueError(
                f"column {name!r} holds {low[0]:.7g}, and {what}: if this number marks a missing value, leave it out "
                "with its object, or fill it with 0"
            )


def refuse_broken_weights(name: str, values: NDArray[np.floating]) -> None:
    """ValueError where a weight is NaN or infinite: every sum with it would be lost. Negative ones are right."""
    if broken := int(np.count_nonzero(~np.isfinite(values))):
        raise broken_of(name, broken, len(values))


def broken_of(name: str, broken: int, rows: int) -> ValueError:
    """The error that says that so many of some rows have a weight that is no number."""
    return ValueError(
        f"weight column {name!r} is NaN or infinite in {broken:,} of {counted(rows, 'row')}: repair these weights where they "
        "are computed, or leave these events out of the input"
    )


def broken_feature(name: str, broken: int) -> ValueError:
    """The error that says that so many rows have no place in the space of features, or no part in a spread."""
    return ValueError(
        f"feature {name!r} is NaN or infinite in {counted(broken, 'row')}: take another, or select the other rows before, "
        f"select: abs({name}) < 1e300"
    )
