"""The examples run as they stand, beside a real NanoAOD file."""

from __future__ import annotations

import io
import json
import runpy
import shutil
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

import dask_augment as da
from dask_augment.inputs.find import find

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_plan(nano, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (EXAMPLES / "plan.yaml", EXAMPLES / "features.py", nano("nano_tt_v12")):
        shutil.copy(path, tmp_path)
    da.run(da.Plan.read("plan.yaml"), "out")
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


def test_open_data(nano, tmp_path, monkeypatch):
    """The plan over CMS Open Data, on local files of the same layout; the public ones need a network."""
    monkeypatch.chdir(tmp_path)
    plan = da.Plan.read(EXAMPLES / "open_data.yaml")
    sources, metadata = find(plan.inputs, base=str(plan.folder))
    assert all(source.path.startswith("root://eospublic.cern.ch//eos/opendata/cms/") for source in sources)
    assert all(source.path.endswith(".root") and source.kind.tree == "Events" for source in sources)
    local = {"TTToSemiLeptonic": nano("nano_tt_v12"), "DYJetsToLL_M-50": nano("nano_dy")}
    assert {source.dataset for source in sources} >= set(local)
    fileset = {name: {"files": {str(path): "Events"}, "metadata": metadata[name]} for name, path in local.items()}
    result = da.run(replace(plan, inputs=replace(plan.inputs, fileset=fileset)), tmp_path / "out")
    assert da.verify(tmp_path / "out", deep=True).ok
    read = pq.read_table(tmp_path / "out")
    assert result.rows == read.num_rows > 50
    assert set(read["dataset"].to_pylist()) == set(local)


@pytest.mark.slow
def test_tutorial(tmp_path, monkeypatch):
    """The cells of the notebook, one after the other; what it stores is what they print."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((EXAMPLES / "tutorial.ipynb").read_text())
    namespace: dict = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec("".join(cell["source"]), namespace)  # noqa: S102  the notebook of the project
        stored = "".join("".join(o["text"]) for o in cell["outputs"] if o.get("name") == "stdout")
        if "area under" in stored:
            # The trees of another release of scikit-learn may differ in the last digits.
            areas = [float(line.rsplit(" ", 1)[1]) for line in printed.getvalue().splitlines()]
            expected = [float(line.rsplit(" ", 1)[1]) for line in stored.splitlines()]
            np.testing.assert_allclose(areas, expected, atol=0.03)
            assert areas[1] > areas[0] + 0.15
        else:
            assert printed.getvalue() == stored
    matplotlib.pyplot.close("all")


def test_resampling(tmp_path):
    found = runpy.run_path(str(EXAMPLES / "resampling.py"))["main"](tmp_path)
    assert (tmp_path / "resampling.png").stat().st_size > 10_000
    assert set(found) == {"raw", "under-sampled", "SMOTE", "ADASYN"}
    for way, values in found.items():
        assert values["area"] > 0.75
        assert values["after"] < 0.06
        if way != "raw":
            # Balanced rows tell the classifier of a signal that is far more frequent than it is.
            assert values["before"] > 3 * values["after"]
