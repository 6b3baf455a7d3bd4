"""exp, log, sin, cos and the polar angle in float64, from + - * / alone, so that loops over them vectorise.

No branch, no table, no call of the C library, whose last bits differ between CPUs. The coefficients are those of
fdlibm (Sun Microsystems, 1993) and, for the arc tangent, of Cephes (S. Moshier). Each is good to two units in the last
place or 2e-16, whichever is larger; NaN gives NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

_ROUND = 1.5 * 2.0**52
"""A number of about this size has no bits behind the point: adding and taking it off again rounds to an integer."""
_ROUND_BITS = int(np.float64(_ROUND).view(np.int64))
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_INV_LN2 = 1.44269504088896338700
_SQRT_HALF_BITS = int(np.float64(np.sqrt(0.5)).view(np.int64))
_TWO_OVER_PI = 6.36619772367581382433e-01
_HALF_PI_1, _HALF_PI_2 = 1.57079632673412561417e00, 6.07710050630396597660e-11
_HALF_PI_3 = 2.02226624879595063154e-21
_MOST_ANGLE = 1e6
_MOST_EXPONENT = 700.0


def _reinterpret(source: Any, target: Any) -> Any:
    """An intrinsic that gives the bits of one type as another one."""

    @intrinsic
    def cast(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
        if value != source:
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

        return target(source), code

    return cast


bits_of = _reinterpret(types.float64, types.int64)
from_bits = _reinterpret(types.int64, types.float64)


@njit(nogil=True, cache=True, error_model="numpy")
def exp(x):  # type: ignore[no-untyped-def]
    """e**x; the exponent is cut at +-700."""
    x = max(x, -_MOST_EXPONENT)
    x = min(x, _MOST_EXPONENT)
    rounded = x * _INV_LN2 + _ROUND
    k = rounded - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    z = r * r
    c = r - z * (
        1.66666666666666019037e-01
        + z
        * (
            -2.77777777770155933842e-03
            + z * (6.61375632143793436117e-05 + z * (-1.65339022054652515390e-06 + z * 4.13813679705723846039e-08))
        )
    )
    power = from_bits((bits_of(rounded) - _ROUND_BITS + 1023) << 52)
    return (1.0 + (r * c / (2.0 - c) + r)) * power


@njit(nogil=True, cache=True, error_model="numpy")
def log(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a positive normal number: log(2**k m) with m in [sqrt(1/2), sqrt(2))."""
    bits = bits_of(x)
    k = (bits - _SQRT_HALF_BITS) >> 52
    f = from_bits(bits - (k << 52)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    series = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * series)
    series = z * (
        6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * series))
    )
    # The last term is 0, or NaN for NaN, of which the bits above say nothing.
    return k * _LN2_HIGH + (s * (2.0 + series) + k * _LN2_LOW) + (x - x)


@njit(nogil=True, cache=True, error_model="numpy")
def sin_cos(x):  # type: ignore[no-untyped-def]
    """Sine and cosine of an angle [rad] up to 1e6; NaN for a larger one, of which too few digits are left."""
    rounded = x * _TWO_OVER_PI + _ROUND
    k = rounded - _ROUND
    r = ((x - k * _HALF_PI_1) - k * _HALF_PI_2) - k * _HALF_PI_3
    r = r if abs(x) <= _MOST_ANGLE else np.nan
    z = r * r
    s = 2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
    s = r + r * z * (
        -1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * s))
    )
    c = -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
    c = 4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 + z * c))
    c = 1.0 - (0.5 * z - z * z * c)
    quarter = bits_of(rounded) & 3
    one = c if quarter & 1 else s
    other = s if quarter & 1 else c
    return -one if quarter & 2 else one, -other if (quarter + 1) & 2 else other


@njit(nogil=True, cache=True, error_model="numpy")
def polar_angle(y, x):  # type: ignore[no-untyped-def]
    """The angle of the point (x, y) in [-pi, pi]; 0 at the origin."""
    ax, ay = abs(x), abs(y)
    steep = ay > ax
    large, small = (ay, ax) if steep else (ax, ay)
    # arctan t = pi / 4 + arctan((t - 1) / (t + 1)) brings t below tan(pi / 8).
    upper = small > 0.41421356237309503 * large
    numerator = small - large if upper else small
    denominator = small + large if upper else large
    t = numerator / (1.0 if denominator == 0.0 else denominator)
    z = t * t
    p = -7.500855792314704667340e1 + z * (-1.615753718733365076637e1 + z * -8.750608600031904122785e-1)
    p = -6.485021904942025371773e1 + z * (-1.228866684490136173410e2 + z * p)
    q = 4.328810604912902668951e2 + z * (1.650270098316988542046e2 + z * (2.485846490142306297962e1 + z))
    q = 1.945506571482613964425e2 + z * (4.853903996359136964868e2 + z * q)
    angle = t + t * (z * p / q)
    angle = angle + 0.7853981633974483 if upper else angle
    angle = 1.5707963267948966 - angle if steep else angle
    angle = 3.141592653589793 - angle if x < 0.0 else angle
    return -angle if y < 0.0 else angle
