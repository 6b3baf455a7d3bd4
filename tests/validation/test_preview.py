from __future__ import annotations

import subprocess
import sys

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.events.columns import MissingColumn
from dask_augment.laws.sample import flattened, sample_events

pytest.importorskip("matplotlib")

EVENTS = sample_events(200, seed=8)


def panels(figure: object) -> dict[str, dict[str, np.ndarray]]:
    """The entries of the histograms of each panel, by column and label."""
    found = {}
    for axes in figure.axes:
        if axes.get_visible() and axes.get_xlabel():
            found[axes.get_xlabel()] = {
                patch.get_label(): np.asarray(patch.get_data().values) for patch in axes.patches
            }
    return found


def test_before_and_after() -> None:
    found = panels(da.preview(EVENTS, da.Define({"MET.pt": "MET.pt * 2", "HT2": "sum(Jet.pt)"}), bins=10))
    assert set(found) == {"MET.pt", "HT2"}
    assert set(found["HT2"]) == {"after: 200"}
    before, after = found["MET.pt"]["before: 200"], found["MET.pt"]["after: 200"]
    pt = np.asarray(EVENTS.MET.pt, dtype=float)
    edges = np.linspace(pt.min(), 2 * pt.max(), 11)
    np.testing.assert_array_equal(before, np.histogram(pt, edges)[0])
    np.testing.assert_array_equal(after, np.histogram(2 * pt, edges)[0])


def test_objects_and_what_is_not_finite() -> None:
    found = panels(da.preview(flattened(EVENTS), da.Define({"Jet.x": "Jet.btag / 0"}), "Jet.btag"))
    values = ak.flatten(EVENTS.Jet.btag)
    bad = int(ak.sum(~np.isfinite(values)))
    assert bad > 0
    assert set(found) == {"Jet.btag"}
    assert set(found["Jet.btag"]) == {f"{when}: {len(values) - bad}, {bad} not finite" for when in ("before", "after")}


def test_infinite_values_are_left_out() -> None:
    found = panels(da.preview(EVENTS, da.Define(x="1 / (nJet - 1)")))["x"]
    one = int(ak.sum(ak.num(EVENTS.Jet) == 1))
    assert found[f"after: {200 - one}, {one} not finite"].sum() == 200 - one


def test_whole_numbers_have_a_bin_each() -> None:
    figure = da.preview(EVENTS, da.Define(x="nJet > 2"))
    np.testing.assert_array_equal(figure.axes[0].patches[0].get_data().edges, [-0.5, 0.5, 1.5])


def test_rows() -> None:
    figure = da.preview(EVENTS, da.Select("nJet >= 2"))
    kept = int(ak.sum(ak.num(EVENTS.Jet) >= 2))
    assert [text.get_text() for text in figure.axes[1].texts] == ["200", str(200 - kept), "0", str(kept)]
    assert sum(panels(figure)["nJet"][f"after: {kept}"]) == kept


def test_random_step_with_ids_and_a_label() -> None:
    step = ("turned", da.PhiRotate(columns=("MET.phi",)))
    figure = da.preview(EVENTS, step, seed=3)
    assert figure.get_suptitle() == "turned"
    turned = da.augment(EVENTS, step, seed=3, dataset="preview", split=None)
    edges = figure.axes[0].patches[1].get_data().edges
    np.testing.assert_array_equal(
        panels(figure)["MET.phi"]["after: 200"], np.histogram(np.asarray(turned.MET.phi, dtype=float), edges)[0]
    )


def test_all_rows_unless_a_split_is_given() -> None:
    made = [
        int(da.preview(EVENTS, da.Repeat(n=1), split=split).axes[0].texts[2].get_text()) for split in (None, "split")
    ]
    assert made == [200, int(ak.sum(EVENTS.split == 0))]


def test_yields_are_drawn_with_weights() -> None:
    """Copies weigh 0: numbers of entries change, yields do not, of events and of objects."""
    step = da.Repeat(n=2)
    for column, per in (("HT", np.ones(200, int)), ("Jet.pt", np.asarray(ak.num(EVENTS.Jet)))):
        values = np.asarray(ak.flatten(EVENTS[tuple(column.split("."))], axis=None), dtype=float)
        weights = np.repeat(np.asarray(EVENTS.weight), per)
        found = panels(figure := da.preview(EVENTS, step, column, weights=["weight"]))[column]
        before, after = found[f"before: {per.sum()}"], found[f"after: {3 * per.sum()}"]
        edges = figure.axes[0].patches[0].get_data().edges
        np.testing.assert_allclose(before, np.histogram(values, edges, weights=weights)[0])
        np.testing.assert_allclose(after, before)
        assert figure.axes[0].get_ylabel() == "sum of weight"
        found = panels(da.preview(EVENTS, step, column))[column]
        np.testing.assert_array_equal(found[f"after: {3 * per.sum()}"], 3 * found[f"before: {per.sum()}"])
    with pytest.raises(TypeError, match=r"write weights=\['weight'\]"):
        da.preview(EVENTS, step, weights="weight")


def test_nothing_finite() -> None:
    assert panels(da.preview(EVENTS, da.Define(x="0 / 0")))["x"]["after: 0, 200 not finite"].sum() == 0


def test_it_can_be_saved(tmp_path) -> None:
    da.preview(EVENTS, da.Define(a="1", b="2", c="3", d="4")).savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_errors() -> None:
    with pytest.raises(TypeError, match="awkward events in memory, got dict"):
        da.preview({}, da.Repeat(n=1))
    with pytest.raises(MissingColumn, match="no column 'nothing'"):
        da.preview(EVENTS, da.Repeat(n=1), "nothing")

    @da.augmenter(uses=[], produces={})
    def nothing(events):
        return {}

    with pytest.raises(ValueError, match="'nothing' has no columns to draw"):
        da.preview(EVENTS, nothing)
    texts = ak.with_field(EVENTS, ["a"] * 200, "text")
    with pytest.raises(TypeError, match="'text' holds no numbers"):
        da.preview(texts, da.Repeat(n=1), "text")


def test_without_matplotlib() -> None:
    script = "import sys; sys.modules['matplotlib.figure'] = None; import dask_augment as da; da.preview(None, None)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ImportError: preview draws with matplotlib: pip install 'dask-augment[demo]'" in done.stderr
