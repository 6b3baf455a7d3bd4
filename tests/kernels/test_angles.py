from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.kernels.angles import rotated

angles = st.floats(-np.pi, np.pi, exclude_max=True)


@given(st.lists(angles, min_size=1), st.floats(0, 2 * np.pi, exclude_max=True), st.sampled_from(["f4", "f8"]))
def test_rotation(phi: list[float], alpha: float, dtype: str) -> None:
    before = np.array(phi, dtype)
    after = rotated(before, np.array([0, len(phi)]), np.array([alpha]))
    assert after.dtype == before.dtype
    assert np.all((after >= -np.pi - 1e-6) & (after < np.pi))
    tolerance = 1e-6 if dtype == "f4" else 1e-14
    np.testing.assert_allclose(np.exp(1j * after), np.exp(1j * (before.astype(float) + alpha)), atol=tolerance)


def test_each_event_has_its_angle_and_nan_stays() -> None:
    phi = np.array([0.0, 1.0, np.nan, 3.0])
    after = rotated(phi, np.array([0, 2, 2, 4]), np.array([1.0, 2.0, 0.5]))
    np.testing.assert_allclose(after, [1.0, 2.0, np.nan, 3.5 - 2 * np.pi])


def test_never_pi_itself() -> None:
    """The float32 next to pi is above it."""
    for dtype in ("f4", "f8"):
        after = rotated(np.zeros(2, dtype), np.array([0, 1, 2]), np.array([np.nextafter(np.pi, 0), np.pi]))
        assert np.all(after < np.pi)
        np.testing.assert_allclose(np.abs(after), np.pi, rtol=1e-7)
