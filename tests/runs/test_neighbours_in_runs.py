"""Plans with samplers that seek neighbours: published data sets, checkpoints, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.inputs.section import PlanError
from run_toys import plan, read, write

FEATURES = ["HT", "MET.pt", "noise"]


def steps(**options: Any) -> list[Any]:
    """Made columns, a split, SMOTE, and a step after it."""
    define = {"HT": "sum(Jet.pt)", "noise": "MET.phi * MET.pt", "few": "nJet < 1"}
    return [
        {"define": define},
        {"split": {"train": 0.7}},
        {"smote": {"strata": ["few"], "features": FEATURES, "k_neighbors": 3} | options},
        {"define": {"ratio": "HT / MET.pt"}},
        {"tomek_links": {"label": "few", "features": ["noise"]}},
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    return [write(folder / "a.root", 0, 150), write(folder / "b.root", 150, 90)]


def rows(result: ak.Array) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ak.to_list(result)
    return sorted(found, key=lambda row: (row["event"], row["augment_copy"]))


def test_one_result_for_any_parts(files: list[str], tmp_path: Path) -> None:
    whole = da.run(plan(*files, steps=steps()), tmp_path / "whole")
    parts = da.run(plan(*files, steps=steps()), tmp_path / "parts", chunksize=31)
    published = read(whole)
    assert rows(published) == rows(read(parts))
    training = published[published.split == 0]
    assert np.all(published.split[published.augment_kind == 2] == 0)
    assert len(set(np.asarray(training.augment_share).tolist())) > 20
    assert np.array_equal(published.ratio, published.HT / published.MET_pt)
    assert "Jet_pt" not in published.fields
    assert da.verify(tmp_path / "whole").ok


def test_all_columns_on_request(files: list[str], tmp_path: Path) -> None:
    wide = da.run(plan(*files, steps=steps(carry="parent"), output={"keep": ["Jet.*"]}), tmp_path / "out")
    assert "Jet_pt" in read(wide).fields
    assert "'carry': 'parent'" in str(wide.manifest.plan["steps"])


def test_what_is_gone_is_refused_before_any_event_is_read(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"step 'select' uses 'Jet\.pt', which is not there after step 'smote'"):
        plan(*files, steps=[*steps(), {"select": "sum(Jet.pt) > 1"}])
    with pytest.raises(PlanError, match=r"keep names 'Jet\.\*', and no such column is left after step 'smote'"):
        da.run(plan(*files, steps=steps(), output={"keep": ["Jet.*"]}), tmp_path / "out")


def test_an_analysis_has_no_made_rows(files: list[str], tmp_path: Path) -> None:
    done = da.run(plan(*files, steps=steps()), tmp_path / "out")
    kept = [step for _, step in da.published_plan(done.path).for_analysis().steps]
    assert [type(step).__name__ for step in kept] == ["Define", "Split", "Define"]
