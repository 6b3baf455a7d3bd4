"""Nothing that is for training acts on, learns from or makes rows of validation and test events, in any step."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.frames.row_columns import training_rows
from sampler_toys import SAMPLERS, SETTING, sampled
from sampling_toys import column

FIRST = 320
EVENTS = sampled(480)
"""The first are for training, then one of two is for validation and one for testing; none of these is like them."""


def marked(change: float) -> ak.Array:
    """The events; those that are not for training have other features, weights and scores by a factor."""
    events = EVENTS
    split = np.where(np.arange(len(events)) < FIRST, 0, 1 + np.arange(len(events)) % 2)
    events = ak.with_field(events, split.astype(np.int8), "split")
    for name in ("x", "y", "z", "HT", "p", "weight", "weight_up"):
        values = column(events, name)
        events = ak.with_field(events, np.where(split > 0, values * change, values).astype(values.dtype), name)
    return events


@pytest.mark.parametrize("code", [1, 2])
def test_only_zero_is_for_training(code: int) -> None:
    events = ak.Array({"split": np.array([0, code, 0], np.int8)})
    found = training_rows(events, "split")
    assert found is not None
    assert found.tolist() == [True, False, True]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_samplers_leave_the_others_alone(name: str) -> None:
    """Rows, values and what was learned are the same whatever the others are like, and these stay as they are."""
    sampler = SAMPLERS[name]
    results = []
    for change in (1.0, 1.25):
        events = marked(change)
        step = sampler.learned(events)
        out = sampler.run(events, step)
        others = out[out.split > 0]
        assert np.array_equal(column(others, "event"), column(events, "event")[FIRST:])
        # Columns that one step makes anew, such as marks, say nothing of them; those that they have stay.
        for kept in set(out.fields) & set(events.fields):
            assert np.array_equal(column(others, kept), column(events, kept)[FIRST:]), kept
        results.append((step.learned, out[out.split == 0]))
    (learned, rows), (again, same) = results
    assert learned == again
    assert rows.tolist() == same.tolist()
    if "augment_other_event" in rows.fields:
        made = rows[rows.augment_kind == 2]
        assert len(made)
        assert set(column(made, "augment_other_event").tolist()) <= set(column(marked(1.0), "event")[:FIRST].tolist())


@pytest.mark.parametrize(
    "steps",
    [
        (da.Repeat(n=2),),
        (da.Repeat(n=1, keep_original=False),),
        (da.PhiRotate(columns=["phi"], originals=True),),
        (da.Repeat(n=1), da.PhiRotate(columns=["phi"], originals=True)),
    ],
    ids=lambda steps: ", ".join(type(step).__name__ for step in steps),
)
def test_copies_and_rotations_leave_the_others_alone(steps: Any) -> None:
    events = ak.with_field(marked(1.0), np.linspace(-3, 3, len(EVENTS)), "phi")
    out = da.augment(events, *steps, **SETTING)
    others, training = out[out.split > 0], out[out.split == 0]
    assert np.array_equal(column(others, "event"), column(events, "event")[FIRST:])
    assert np.array_equal(column(others, "phi"), column(events, "phi")[FIRST:])
    for name in {"augment_kind", "augment_copy", "augment_changed"} & set(out.fields):
        assert not np.any(column(others, name)), name
    assert training.tolist() != events[:FIRST].tolist() or len(training) != FIRST
