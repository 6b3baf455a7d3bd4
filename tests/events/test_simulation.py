"""What metadata say of collision data, however they say it."""

from __future__ import annotations

from typing import Any

import pytest

from dask_augment.events.simulation import UnreadableMetadata, is_generator, is_known_weight, simulated
from dask_augment.inputs.filesets import metadata_of
from dask_augment.inputs.section import PlanError

DATA: list[dict[str, Any]] = [
    {"is_mc": False}, {"isMC": "False"}, {"isMc": 0}, {"IS_MC": "no"}, {"is_data": True}, {"isData": "true"}, {"isData": 1},
    {"isRealData": "1"}, {"isMC": "data"}, {"type": "data"}, {"data_type": "Data"}, {"sample": "DATA_SingleMuon", "era": "C"},
    {"is_mc": 0.0}, {"is_simulation": False}, {"mc": False}, {"data": True},
]  # fmt: skip
SIMULATION: list[dict[str, Any]] = [
    {"is_mc": True}, {"isMC": "True"}, {"is_data": False}, {"isData": "0"}, {"isMC": 1}, {"is_mc": "mc"}, {"type": "MC"},
]  # fmt: skip
NOTHING: list[dict[str, Any]] = [
    {},
    {"sample": "TTTo2L2Nu"},
    {"type": "signal"},
    {"data": {"era": "C"}},
    {"sample": "dataless"},
]


@pytest.mark.parametrize("said", DATA, ids=str)
def test_collision_data(said: dict[str, Any]) -> None:
    assert simulated("x", said) is False
    assert metadata_of("x", said)["is_mc"] is False


@pytest.mark.parametrize("said", SIMULATION, ids=str)
def test_simulation(said: dict[str, Any]) -> None:
    assert simulated("x", said) is True
    assert metadata_of("x", said)["is_mc"] is True


@pytest.mark.parametrize("said", NOTHING, ids=str)
def test_nothing_said(said: dict[str, Any]) -> None:
    assert simulated("x", said) is None


@pytest.mark.parametrize(
    "said", [{"is_mc": "maybe"}, {"isMC": None}, {"isData": 2}, {"is_data": []}, {"is_mc": ""}], ids=str
)
def test_what_cannot_be_read(said: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMetadata, match=r"data set 'x': .* must be true or false, 1 or 0, got"):
        simulated("x", said)
    with pytest.raises(PlanError, match="must be true or false"):
        metadata_of("x", said)


@pytest.mark.parametrize(
    "said", [{"is_mc": True, "isData": "True"}, {"isMC": "True", "sample": "DATA_EGamma"}], ids=str
)
def test_contradictions(said: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMetadata, match="both collision data and simulation"):
        simulated("x", said)


@pytest.mark.parametrize(
    "name",
    ["GenPart.pt", "genWeight", "LHEPdfWeight", "Jet.hadronFlavour", "nGenJet", "Jet_genJetIdx", "Generator_weight"],
)
def test_generator_columns(name: str) -> None:
    assert is_generator(name)


@pytest.mark.parametrize("name", ["Jet.pt", "MET.phi", "weight", "event"])
def test_other_columns(name: str) -> None:
    assert not is_generator(name)


@pytest.mark.parametrize(
    "name",
    [
        "genWeight",
        "Generator_weight",
        "LHEWeight_originalXWGTUP",
        "weight",
        "weight_central",
        "weightNominal",
        "genWeight64",
    ],
)
def test_known_weights(name: str) -> None:
    assert is_known_weight(name)


@pytest.mark.parametrize("name", ["train_weight", "weighted", "Jet_weight", "LHEPdfWeight", "class_weight"])
def test_no_physics_weights(name: str) -> None:
    assert not is_known_weight(name)


@pytest.mark.parametrize(
    "said",
    [
        {"process": "data"},
        {"group": "Data"},
        {"process": "data_obs"},
        {"MC": 0},
        {"sample": "Data2018A"},
        {"realData": True},
    ],
)
def test_what_frameworks_write_of_data(said: dict[str, Any]) -> None:
    assert simulated("x", said) is False


@pytest.mark.parametrize(
    "said", [{"process": "ttbar"}, {"data": "/store/data"}, {"sample": "dataset7"}, {"group": "QCD"}]
)
def test_what_says_nothing(said: dict[str, Any]) -> None:
    assert simulated("x", said) is None
