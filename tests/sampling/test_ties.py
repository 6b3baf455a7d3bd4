"""Of equal distances the row with the smaller ids is nearer, whatever the scale of the features."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.sampling.gathering import inverse
from sampling_toys import applied, column, taught

SPACING = {"whole": 1.0, "halves": 0.5, "thirds in float32": float(np.float32(1 / 3)), "GeV": 91.1875}


def lattice(seed: int, features: int, spacing: float, n: int = 120) -> ak.Array:
    """Events on a lattice, many of them at one place, ids in any order."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "event": rng.permutation(n).astype(np.uint64),
        "label": rng.choice(np.array([0, 1], np.int8), n, p=[0.7, 0.3]),
    }
    for number in range(features):
        columns[f"x{number}"] = rng.integers(-9, 40, n) * spacing
    return ak.Array(columns)


def kept(events: ak.Array, **options: Any) -> list[int]:
    """Events that are left by edited nearest neighbours."""
    names = [name for name in events.fields if name.startswith("x")]
    step = da.EditedNearestNeighbours(
        label="label", features=names, weights=(), sampling_strategy="all", kind_sel="mode", **options
    )
    return sorted(column(applied(taught(step, [events]), [events]), "event").tolist())


@pytest.mark.parametrize("spacing", SPACING)
def test_one_feature_has_the_same_neighbours_in_any_unit(spacing: str) -> None:
    for seed in range(12):
        events = lattice(seed, 1, SPACING[spacing])
        plain = kept(events, scale=None)
        assert kept(events, scale="std") == plain
        assert kept(events, scale=[0.1 + seed / 7]) == plain
        assert len(plain) < len(events)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_several_features_against_all_pairs(dtype: Any) -> None:
    for seed in range(8):
        events = lattice(seed, 3, 1.0)
        for name in ("x0", "x1", "x2"):
            events = ak.with_field(events, column(events, name).astype(dtype), name)
        order = np.argsort(column(events, "event"))
        points = np.stack([column(events, f"x{number}")[order].astype(np.float64) for number in range(3)], axis=1)
        label = column(events, "label")[order]
        away = points[:, None] - points[None]
        distance = np.zeros(away.shape[:2])
        for feature, unit in enumerate(inverse(points.std(axis=0))):
            distance += (away[:, :, feature] * unit) ** 2
        np.fill_diagonal(distance, np.inf)
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :3]
        stays = (label[nearest] == label[:, None]).sum(axis=1) >= 2
        assert kept(events, scale="std") == np.flatnonzero(stays).tolist()


def test_units_are_the_scales() -> None:
    scales = np.array([1.0, 3.0, 0.1, 1e-12, 1e12, 1e-310])
    assert np.allclose(inverse(scales[:5]) * scales[:5], 1, rtol=2.0**-24, atol=0)
    assert inverse(scales)[0] == 1
    assert np.all(np.isfinite(inverse(scales)))
