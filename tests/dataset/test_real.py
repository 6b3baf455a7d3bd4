"""Real NanoAOD through the schema, the writer and the readers."""

from __future__ import annotations

import warnings
from pathlib import Path

import awkward as ak
import pytest
import uproot

from dask_augment.contract.account import Account
from dask_augment.dataset.commit import open_staging, publish
from dask_augment.dataset.publication import Job
from dask_augment.dataset.receipt import Part
from dask_augment.dataset.schema import schema_of, to_table, unify
from dask_augment.dataset.verify import verify


@pytest.mark.parametrize("name", ["nano_dy", "nano_tt_v12"])
def test_flat_branches_published_and_read_back(nano, name: str, tmp_path: Path) -> None:
    nanoevents = pytest.importorskip("coffea.nanoevents")
    with uproot.open(nano(name)) as file:
        events = file["Events"].arrays(
            filter_name="/^(n?(Jet|Muon|FatJet|GenPart)(_.*)?|MET_.*|run|event|luminosityBlock|HLT_IsoMu24)$/"
        )
    schema = schema_of(events)
    assert not any(field.type == "string" for field in schema)
    assert {"nJet", "nMuon", "Jet_pt", "event"} <= set(schema.names)
    part = Part.of(name, {"file": name})
    job = Job(tmp_path / "out", {}, (part,), schema)
    table = to_table(events, schema)
    open_staging(job).write_part(part, [table], lambda: Account(rows_in=len(events), rows_out=len(events)))
    (written,) = publish(job).files
    assert verify(job.path, deep=True).ok
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NanoAODSchema: "Missing cross-reference" of branches not kept
        back = nanoevents.NanoEventsFactory.from_parquet(
            str(job.path / written.path), schemaclass=nanoevents.NanoAODSchema, mode="virtual"
        ).events()
        assert ak.array_equal(ak.num(back.Jet.pt), ak.num(events.Jet_pt))
        assert ak.sum(back.Jet.pt) == ak.sum(events.Jet_pt)
        assert ak.to_list(back.event) == ak.to_list(events.event)


def test_nested_and_flat_events_give_one_schema(nano) -> None:
    nanoevents = pytest.importorskip("coffea.nanoevents")
    keep = ["pt", "eta", "phi", "mass", "jetId"]
    with uproot.open(nano("nano_dy")) as file:
        flat = file["Events"].arrays(filter_name=[f"Jet_{name}" for name in keep])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nested = nanoevents.NanoEventsFactory.from_root(
            {nano("nano_dy"): "Events"}, schemaclass=nanoevents.NanoAODSchema, mode="virtual"
        ).events()
        jets = ak.Array({"Jet": ak.zip({name: nested.Jet[name] for name in keep})})
        assert schema_of(jets).equals(schema_of(flat))
        assert to_table(jets, schema_of(flat)).equals(to_table(flat, schema_of(flat)))


def test_versions_of_nano_unify(nano) -> None:
    events = {}
    for name in ("nano_dy", "nano_tt_v12"):
        with uproot.open(nano(name)) as file:
            events[name] = file["Events"].arrays(filter_name=["Jet_pt", "Jet_jetId", "Jet_nElectrons"])
    found = {name: schema_of(each) for name, each in events.items()}
    assert len({str(schema) for schema in found.values()}) == 2, "the two versions do differ"
    common = unify(found)
    for each in events.values():
        assert to_table(each, common).schema.equals(common)
