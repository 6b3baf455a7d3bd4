"""What a step assumes of its events is told once of a layer, by a process that remembers a bounded number of layers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pytest

import dask_augment as da
from dask_augment.frames import assumptions
from dask_augment.frames.steps import labelled


@dataclass(frozen=True, kw_only=True, eq=False)
class Doubtful(da.Repeat):
    """A step that has a doubt."""

    def doubt(self):
        return "look at your events"


def test_told_once_of_a_layer_and_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(assumptions, "_told", {})
    steps = labelled([("mine", Doubtful(n=1))])
    for layer in range(assumptions._MOST + 5):
        with assumptions.inside(str(layer)), pytest.warns(UserWarning, match="'mine': look at your events"):
            assumptions.tell(steps, {"mine": 1})
    with assumptions.inside(str(layer)), warnings.catch_warnings():
        warnings.simplefilter("error")
        assumptions.tell(steps, {"mine": 1})
    assert len(assumptions._told) == assumptions._MOST
