"""Quantities to network numbers and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.models.transforms import OUTPUT_KINDS, RELATIVE, Input, Output

POSITIVE = st.floats(0.01, 1e4)


def output(transform: str, **more: Any) -> Output:
    of = "g" if transform in RELATIVE else ""
    return Output(column="v", type="float64", transform=transform, of=of, mean=0.3, std=1.7, **more)


@pytest.mark.parametrize("transform", [kind for kind in OUTPUT_KINDS if kind != "wrapped_difference"])
@given(v=POSITIVE, g=POSITIVE, offset=st.sampled_from([0.0, 1.0]))
def test_value_undoes_standardised(transform: str, v: float, g: float, offset: float) -> None:
    entry, values, generated = output(transform, offset=offset), np.array([v]), {"g": np.array([g])}
    back = entry.value(entry.standardised(values, generated), generated)
    np.testing.assert_allclose(back, values, rtol=1e-9, atol=1e-9)


@given(v=st.floats(-3.14, 3.14), g=st.floats(-10, 10))
def test_angles(v: float, g: float) -> None:
    entry = Output(column="v", type="float64", transform="wrapped_difference", of="g")
    generated = {"g": np.array([g])}
    difference = entry.standardised(np.array([v]), generated)
    assert -np.pi <= difference[0] < np.pi
    assert entry.value(difference, generated)[0] == pytest.approx(v, abs=1e-9)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_angles_end_before_pi(kind: str) -> None:
    entry = Output(column="v", type=kind, transform="wrapped_difference", of="g")
    phi = entry.value(np.array([0.0, -1e-9, 1e-9, 0.0]), {"g": np.array([np.pi, np.pi, -np.pi, 7 * np.pi])})
    assert phi.dtype == kind
    assert (phi < np.pi).all()
    np.testing.assert_allclose(np.abs(phi), np.pi, rtol=1e-6)


def test_formulae() -> None:
    v, generated = np.array([30.0]), {"g": np.array([20.0])}
    assert Output(column="v", transform="log", offset=2).raw(v, generated)[0] == np.log(32)
    assert Output(column="v", transform="ratio", of="g").raw(v, generated)[0] == 1.5
    assert Output(column="v", transform="log_ratio", of="g", offset=2).raw(v, generated)[0] == np.log(32 / 22)
    assert Output(column="v", transform="difference", of="g").raw(v, generated)[0] == 10
    entry = Input(column="v", transform="log", offset=1, mean=2, std=4, range=(0, 100))
    assert entry.standardised(v)[0] == (np.log(31) - 2) / 4


def test_inputs_are_put_into_the_range() -> None:
    values = np.array([-9.0, -2.0, 0.5, 2.0, 9.0, np.nan, np.inf])
    entry = Input(column="eta", transform="abs", range=(-2, 2))
    assert entry.inside(values).tolist() == [False, True, True, True, False, False, False]
    np.testing.assert_array_equal(entry.standardised(values), [2, 2, 0.5, 2, 2, np.nan, 2])


def test_minimum() -> None:
    entry = Output(column="m", transform="difference", of="g", minimum=0)
    np.testing.assert_array_equal(entry.value(np.array([-3.0, 1.0]), {"g": np.array([2.0, 2.0])}), [0, 3])


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (Input, {"range": (3, 1)}, r"input 'v': range must be two numbers, the lower one first, got \(3\.0, 1\.0\)"),
        (Input, {"range": (0, float("nan"))}, "range must be two numbers"),
        (Input, {"range": (0, 9), "transform": "log"}, r"range begins at 0\.0 and offset is 0\.0; the logarithm"),
        (Input, {"range": (0, 9), "transform": "sqrt"}, "transform must be one of identity, abs, log, got 'sqrt'"),
        (Input, {"range": (0, 9), "std": 0.0}, "std must be positive, got 0.0"),
        (Output, {"mean": float("inf")}, "output 'v': mean must be a finite number, got inf"),
        (Output, {"transform": "ratio"}, "transform 'ratio' needs of=, a column of the source"),
        (Output, {"transform": "ratio", "of": 5}, "output 'v': of must be the name of a column, got 5"),
        (Output, {"minimum": "0"}, "output 'v': minimum must be a finite number or null, got '0'"),
        (Output, {"of": "pt"}, "transform 'identity' has no of='pt'"),
        (Output, {"type": "int32"}, "type must be 'float32' or 'float64', got 'int32'"),
        (Output, {"column": "a.b"}, "column must be the name of a field"),
    ],
)
def test_refused(kind: type, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        kind(**{"column": "v", **options})


def test_bits_of_what_was_stored() -> None:
    entry = Output(column="v", mean=20.0, std=5.0, minimum=0.0, bits=10)
    v = entry.value(np.array([0.0, 0.001, -9.0, np.nan]), {})
    assert v.dtype == np.float32
    np.testing.assert_array_equal(v, np.array([20.0, 20.0, 0.0, np.nan], np.float32))
    assert entry.value(np.array([0.003]), {})[0] == 20 + 2**-6


@given(st.floats(-4, 4), st.sampled_from([8, 10, 12, 16]))
def test_rounded_angles_stay_inside(phi: float, bits: int) -> None:
    """Near pi the lattice has no number on the other side that is the same angle: the last one inside is taken."""
    entry = Output(column="v", transform="wrapped_difference", of="g", bits=bits)
    found = entry.value(np.array([phi, np.pi - 1e-6, -np.pi]), {"g": np.zeros(3)})
    assert (np.abs(found) < np.pi).all()
    expected = (np.array([phi, np.pi, -np.pi]) + np.pi) % (2 * np.pi) - np.pi
    away = np.abs((found - expected + np.pi) % (2 * np.pi) - np.pi)
    assert (away <= 2.0 ** (1 - bits)).all()
    assert (found * 2.0 ** (bits + 8) % 1 == 0)[np.abs(found) > 2.0**-8].all()


def test_threshold() -> None:
    entry = Output(column="v", threshold=15.0, bits=10)
    assert entry.found(np.array([14.98, 15.0, 16, np.nan], np.float32)).tolist() == [False, True, True, False]
    assert Output(column="v").found(np.array([-1.0, np.nan])).tolist() == [True, True]


@pytest.mark.parametrize("bits", [0, 23, True, 10.0, "10"])
def test_bits_that_are_refused(bits: Any) -> None:
    with pytest.raises(ValueError, match=r"output 'v': bits must be a whole number in \[1, 22\], of float32, or null"):
        Output(column="v", bits=bits)
    with pytest.raises(ValueError, match="got 10 of float64"):
        Output(column="v", type="float64", bits=10)


def test_threshold_that_is_refused() -> None:
    with pytest.raises(ValueError, match="output 'v': threshold must be a finite number or null, got nan"):
        Output(column="v", threshold=float("nan"))
