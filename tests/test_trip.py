"""A run goes through the package in few calls: nothing is asked again for each step, column or slice without need."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import trip


@pytest.mark.parametrize(
    ("make", "most"),
    [(lambda folder: trip.plan_of_six(folder), 7_000), (lambda _: trip.one_step(), 500)],
    ids=["run", "augment"],
)
def test_calls(make: Callable[[Path], Callable[[], Any]], most: int, tmp_path: Path) -> None:
    take = make(tmp_path)
    take()
    calls = trip.counted(take)
    assert calls.total() <= most, f"{calls.total():,} calls; see python tools/trip.py --most 40"
    assert calls.total() > most / 3, "it is not what is counted"
    asked = {f"{file}:{name}": times for (file, name), times in calls.items() if name.endswith((".uses", ".produces"))}
    assert max(asked.values()) <= 40, f"a step is asked once for its columns, and no more for each slice: {asked}"
