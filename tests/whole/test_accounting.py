"""Rows and weights are accounted for, in each part, in each data set and in all, whatever the parts are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

import dask_augment as da
import whole_toys
from dask_augment.dataset.manifest import document
from dask_augment.runs.run import run

STEPS = (
    da.Split(train=0.7),
    da.Select("nJet >= 2"),
    da.Define(HT="sum(Jet.pt)"),
    da.Oversample(strata=["dataset", da.Bins("HT", [0, 200, 400])]),
    da.Undersample(strata=["dataset"], sampling_strategy={"dataset=background": 800, "dataset=signal": 500}),
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return whole_toys.fileset(tmp_path_factory.mktemp("inputs"), 2000)


def weights_of(inputs: dict[str, Any], name: str) -> np.ndarray[Any, Any]:
    """What the weights of a data set must be: xsec / sum of generator weights, one after the other."""
    found = [uproot.open(path)["Events/genWeight"].array(library="np") for path in inputs[name]["files"]]
    weights = np.concatenate(found).astype(np.float64)
    return weights * (inputs[name]["metadata"]["xsec"] / math.fsum(weights))


@pytest.mark.parametrize("chunksize", [100_000, 90])
@pytest.mark.parametrize("steps", [STEPS[:4], STEPS], ids=["oversample", "both"])
def test_rows_and_weights(inputs: dict[str, Any], tmp_path: Path, steps: tuple[Any, ...], chunksize: int) -> None:
    result = run(whole_toys.plan(inputs, steps), tmp_path / "out", chunksize=chunksize)
    accounts = [part["account"] for part in document(tmp_path / "out")["parts"]]
    accounts += [vars(account) for account in (*result.manifest.datasets.values(), result.manifest.account)]
    assert len(accounts) == result.manifest.parts + 3
    for account in accounts:
        dropped, made = sum(account["dropped"].values()), sum(account["made"].values())
        assert account["rows_in"] - dropped + made == account["rows_out"]
    parts = document(tmp_path / "out")["parts"]
    assert sum(part["account"]["rows_out"] for part in parts) == result.rows
    published = whole_toys.table(tmp_path / "out", "dataset", "weight", "augment_kind")
    assert published.num_rows == result.rows
    names = np.asarray(published["dataset"].to_pylist())
    for name, account in result.manifest.datasets.items():
        expected = weights_of(inputs, name)
        out = published["weight"].to_numpy()[names == name]
        for (w, w2), values in ((account.weights_in["weight"], expected), (account.weights_out["weight"], out)):
            assert abs(w - math.fsum(values)) <= 1e-12 * math.fsum(np.abs(values))
            assert abs(w2 - math.fsum(values**2)) <= 1e-12 * math.fsum(values**2)
        assert account.rows_in == len(expected)
        assert account.rows_out == len(out)
    kinds = published["augment_kind"].to_numpy()
    made = sum(result.manifest.account.made.values())
    assert made >= np.count_nonzero(kinds) > 0
    assert (published["weight"].to_numpy()[kinds != 0] == 0).all()
    assert (made == np.count_nonzero(kinds)) == (steps is not STEPS), "some copies were dropped again"


def test_a_wrong_account_is_refused(inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that counts one row too many cannot publish anything."""
    from dask_augment.frames import apply_step

    real = apply_step._count
    monkeypatch.setattr(apply_step, "_count", lambda counts, label, number: real(counts, label, number + (number > 0)))
    with pytest.raises(Exception, match="does not add up"):
        run(whole_toys.plan(inputs, STEPS[:2]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
