"""What a plan says of angles that do not turn with the others, and what wildcards of steps match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import run_toys as toys
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import run


def turned(tmp_path: Path, columns: list[str], keep: Any, *before: Any, after: Any = (), name: str = "out") -> Any:
    lead = {"lead_phi": np.linspace(-3, 3, 12, dtype=np.float32)}
    file = toys.write(tmp_path / "a.root", more=lead)
    steps = [*before, {"phi_rotate": {"columns": columns}}, *after]
    return run(toys.plan(file, steps=steps, output={"keep": keep}, split="none", seed=3), tmp_path / name)


def test_angles_that_are_kept_and_do_not_turn(tmp_path: Path) -> None:
    (said,) = turned(tmp_path, ["Jet.phi"], ["Jet.*", "MET.*"]).warnings
    assert said.startswith("step 'phi_rotate' turns Jet.phi and leaves MET.phi as they are")


def test_angles_that_steps_use_and_do_not_turn(tmp_path: Path) -> None:
    after = [{"define": {"far": "abs(delta_phi(MET.phi, first(Jet.phi, 0))) > 1"}}]
    (said,) = turned(tmp_path, ["Jet.phi"], ["Jet.phi"], after=after).warnings
    assert "leaves MET.phi as" in said


def test_nothing_is_said_where_all_turn(tmp_path: Path) -> None:
    after = [{"define": {"Jet.axis_phi": "Jet.phi * 1"}}]
    assert turned(tmp_path, ["Jet.phi", "MET.phi"], ["Jet.*", "MET.*"], after=after).warnings == ()
    assert turned(tmp_path, ["Jet.phi"], ["Jet.*"], name="jets").warnings == ()


def test_wildcards_match_what_is_read(tmp_path: Path) -> None:
    result = turned(tmp_path, ["*.phi"], ["Jet.*", "MET.*"])
    (said,) = result.warnings
    assert said == "step 'phi_rotate' has wildcards, which match Jet.phi, MET.phi"
    named = turned(tmp_path, ["Jet.phi", "MET.phi"], ["Jet.*", "MET.*"], name="named")
    one, other = (ak.from_parquet(str(tmp_path / name)) for name in ("out", "named"))
    for column in ("Jet_phi", "MET_phi", "Jet_pt"):
        assert one[column].to_list() == other[column].to_list()
    assert named.warnings == ()
    made = [{"define": {"my_phi": "MET.phi * 1"}}]
    (said,) = turned(tmp_path, ["*phi"], ["MET.*"], *made, name="made").warnings
    assert said.endswith(("match MET.phi, my.phi", "match MET.phi, my_phi"))


def test_a_wildcard_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no column matches 'Tau.\*'; the angles are Jet.phi"):
        turned(tmp_path, ["Tau.*"], ["Jet.*"])
