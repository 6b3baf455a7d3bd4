"""The conventions of docs/conventions.md, one test for each line."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pyarrow as pa
import pytest

import dask_augment as da
from dask_augment.contract.ids import IDS
from dask_augment.dataset.layout import encode
from dask_augment.dataset.schema import schema_of, to_table
from dask_augment.events.columns import dotted, flat, has
from dask_augment.events.own_columns import KINDS, PROVENANCE, TRAIN


@pytest.fixture
def events():
    return ak.Array(
        {
            "run": np.ones(6, np.uint32),
            "luminosityBlock": np.ones(6, np.uint32),
            "event": np.arange(6, dtype=np.uint64),
            "weight": np.full(6, 2.0),
            "Jet_pt": ak.values_astype(ak.Array([[50.0, 30.0], [], [40.0], [20.0, 20.0, 20.0], [], [60.0]]), "float32"),
            "MET_phi": np.linspace(-np.pi, 3.1, 6).astype(np.float32),
        }
    )


def augmented(events, *steps, **options):
    return da.augment(events, *steps, seed=1, dataset="ttbar", **{"split": None, **options})


def test_convention_column_names():
    assert dotted("Jet_pt") == "Jet.pt"
    assert dotted("HLT_IsoMu24_v1") == "HLT.IsoMu24_v1"
    assert flat("Jet.btag_score") == "Jet_btag_score"


def test_convention_number_of_objects(events):
    assert has(events, "nJet")
    assert augmented(events, da.Define(n="nJet")).n.to_list() == [2, 0, 1, 3, 0, 1]


def test_convention_azimuth(events):
    phi = augmented(events, da.PhiRotate(columns=["MET.phi"])).MET_phi.to_numpy()
    assert np.all((phi >= np.float32(-np.pi)) & (phi < np.float32(np.pi)))


def test_convention_bins():
    labels, which = da.Strata([da.Bins("x", [0, 1, 2])]).codes(ak.Array({"x": [0.0, 0.999, 1.0]}))
    assert labels[which[0]] == labels[which[1]] != labels[which[2]]


def test_convention_event_ids():
    assert IDS == ("run", "luminosityBlock", "event")


def test_convention_split(events):
    split = augmented(events, da.Split(train=0.5, validation=0.25)).split
    assert split.type.content.primitive == "int8"
    assert set(split.to_list()) <= {0, 1, 2}
    assert TRAIN == 0
    assert set(augmented(events, da.Split(train=1)).split.to_list()) == {0}
    assert set(augmented(events, da.Split(train=0, validation=1)).split.to_list()) == {1}
    assert set(augmented(events, da.Split(train=0)).split.to_list()) == {2}


def test_convention_weight_of_made_rows(events):
    out = augmented(events, da.Repeat(n=1))
    assert out.weight.to_list() == [2.0, 0.0] * 6


def test_convention_train_weight(events):
    step = da.learn(events, da.Oversample(strata=["nJet"]), seed=1, dataset="ttbar", split=None)
    weights = augmented(events, step).train_weight.to_numpy()
    assert np.all(weights * 2.0**32 == np.rint(weights * 2.0**32))
    assert weights.sum() == 6.0


def test_convention_augment_kind(events):
    assert KINDS == {"": 0, "copies": 1, "interpolated": 2, "generated": 3}
    assert PROVENANCE == {"augment_kind": "int8", "augment_copy": "int64"}
    assert augmented(events, da.Repeat(n=2)).augment_kind.to_list() == [0, 1, 1] * 6


def test_convention_augment_copy(events):
    copies = augmented(events, da.Repeat(n=2), da.Repeat(n=2)).augment_copy.to_numpy().reshape(6, 9)
    assert all(len(set(row)) == 9 and row[0] == 0 for row in copies)


def test_convention_augment_changed(events):
    out = augmented(events, da.Define(HT="sum(Jet.pt)"), da.PhiRotate(columns=["MET.phi"]))
    assert set(out.augment_changed.to_list()) == {1 << 1}


def test_convention_random_numbers(events):
    def numbers(events=events, seed=1, dataset="ttbar", label="noise", ids=IDS):
        @da.augmenter(uses=[], produces={"x": "float64"}, keyed=True, name="noise")
        def noise(events, draw):
            return draw.uniform(0)

        return da.augment(events, (label, noise), seed=seed, dataset=dataset, ids=ids, split=None).x.to_numpy()

    first = numbers()
    assert np.all((first >= 0) & (first < 1))
    assert np.all(numbers(events[::-1]) == first[::-1])
    renamed = events[["run", "luminosityBlock", "event"]]
    renamed["augment_copy"] = np.full(6, 1)
    for other in (
        numbers(seed=2), numbers(dataset="dy"), numbers(label="other"), numbers(ids=("run", "event")), numbers(renamed),
    ):  # fmt: skip
        assert len(np.intersect1d(first, other)) == 0


def test_convention_lists_in_parquet(events):
    table = to_table(events, schema_of(events))
    assert table.column_names == sorted(table.column_names)
    assert table.schema.field("Jet_pt").type == pa.list_(pa.float32()) or pa.types.is_list(
        table.schema.field("Jet_pt").type
    )
    assert table["nJet"].to_pylist() == [2, 0, 1, 3, 0, 1]


def test_convention_folder_names():
    assert encode("TTbar_13.6TeV-v1+x") == "TTbar_13.6TeV-v1+x"
    assert encode("a/b=c") == "a%2Fb%3Dc"
