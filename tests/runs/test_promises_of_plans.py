"""What the frame refuses, a plan is refused for before an event is read; and what the manifest says of its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_toys as toys
from dask_augment import run
from dask_augment.runs.run import dry_run

FEW = {"strata": ["nJet"], "sampling_strategy": {"nJet=0": 3}}


def test_bits_are_in_the_manifest(tmp_path: Path) -> None:
    steps = [*toys.STEPS, {"split": {"train": 1.0}}, {"phi_rotate": {"columns": ["MET.phi"]}, "as": "turn"}]
    result = run(toys.plan(toys.write(tmp_path / "a.root"), steps=steps), tmp_path / "out")
    assert result.manifest.extra["changed_bits"] == {"turn": 2}
    assert set(toys.read(result).augment_changed.to_list()) == {1 << 2}


def test_further_weights_must_be_rescaled_too(tmp_path: Path) -> None:
    file = toys.write(tmp_path / "a.root", rows=24, more={"w_up": toys.columns(0, 24)["genWeight"] * 2})
    inputs = {"fileset": {"toy": {"files": [file]}}, "weights": ["w_up"]}
    plan = toys.plan(steps=[{"split": {"train": 1.0}}, {"undersample": FEW}], inputs=inputs)
    with pytest.raises(
        ValueError, match=r"'undersample' drops rows and rescales the weights \['weight'\], but not \['w_up'\]"
    ):
        dry_run(plan, tmp_path / "out")
    both = {"undersample": FEW | {"weights": ["weight", "w_up"]}}
    result = run(toys.plan(steps=[{"split": {"train": 1.0}}, both], inputs=inputs), tmp_path / "out")
    account = result.manifest.account
    assert account.rows_out < account.rows_in
    for name in ("weight", "w_up"):
        assert account.weights_out[name][0] == pytest.approx(account.weights_in[name][0], rel=1e-12)
