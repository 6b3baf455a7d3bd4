"""What is known of a sample: which events are its like, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bundle_toys
from dask_augment.models import bundle
from dask_augment.models.sample import Sample

EFFECTS = {"wz": {"unmatched": 0.03, "objects": -0.03, "scalar_sum": -0.02}}
SAMPLE = Sample(source="GenJet", detector="a toy", events_per_block=1000, effects=EFFECTS)


def ids(**columns: list[int]) -> dict[str, Any]:
    return {name: np.array(values, np.uint64) for name, values in columns.items()}


def test_known_by_numbers() -> None:
    numbers = ids(run=[1] * 5, luminosityBlock=[3, 3, 3, 0, 2**40], event=[2999, 3000, 3999, 999, 1000 * 2**40])
    assert SAMPLE.known("GenJet", numbers, 5).tolist() == [False, True, True, True, True]
    assert not SAMPLE.known("GenJetAK8", numbers, 5).any()
    assert not SAMPLE.known("GenJet", ids(event=[3000]), 1).any()
    assert SAMPLE.known("GenJet", ids(luminosityBlock=[], event=[]), 0).shape == (0,)
    anything = Sample(detector="a toy", effects={})
    assert anything.known("Particle", ids(uuid=[1, 2]), 2).all()


def test_written_and_read(tmp_path: Path) -> None:
    name = bundle_toys.write(tmp_path / "toy", bundle_toys.manifest(sample=SAMPLE))
    assert bundle.manifest(name, bundle.sha256_of(name)).sample == SAMPLE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"events_per_block": 0}, "events_per_block must be a positive whole number or null, got 0"),
        ({"events_per_block": 1.5}, "events_per_block must be a positive whole number or null, got 1.5"),
        ({"detector": ""}, "detector must say in words whose response it is, got ''"),
        ({"source": None}, "source must be the name of a collection, got None"),
        ({"effects": []}, r"effects must be a dictionary for each process, got \[\]"),
        ({"effects": {"wz": {"objects": 1}}}, "effects of 'wz' must be .*, got {'objects': 1}"),
        ({"more": 1}, r"sample lacks nothing and has unknown keys \['more'\]"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    name = bundle_toys.write(tmp_path / "toy", bundle_toys.manifest(sample=SAMPLE))
    file = Path(name) / bundle.MANIFEST
    values = json.loads(file.read_text())
    values["sample"] |= changes
    file.write_text(json.dumps(values))
    with pytest.raises(bundle.BundleError, match=says):
        bundle.manifest(name, bundle.sha256_of(name))
