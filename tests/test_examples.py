"""The examples run as they stand, beside a real NanoAOD file."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import uproot

import dask_augment as da

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_plan(nano, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(nano("nano_tt_v12"), "nano_tt_v12.root")
    da.run(da.Plan.read(EXAMPLES / "plan.yaml"), "out")
    assert da.verify("out", deep=True).ok
    table = pq.read_table("out", columns=["m12", "augment_kind", "weight", "HT"])
    made = table["augment_kind"].to_numpy() != 0
    assert made.sum() > 0
    assert np.all(table["weight"].to_numpy()[made] == 0)
    assert np.all(table["m12"].to_numpy() > 0)


def test_processor(nano):
    histogram = runpy.run_path(str(EXAMPLES / "processor.py"))["main"](nano("nano_tt_v12"))
    jets = uproot.open(nano("nano_tt_v12"))["Events"]["nJet"].array(library="np")
    assert histogram.sum(flow=True) == np.count_nonzero(jets >= 4)
