"""What objects of NanoEvents refer to after every kind of step, in virtual, eager and dask mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da

pytest.importorskip("coffea")
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory, PFNanoAODSchema
from coffea.nanoevents.trace import trace

from dask_augment.frames.global_indices import StaleReference
from dask_augment.frames.systematics import StaleVariation

pytestmark = pytest.mark.filterwarnings("ignore:Missing cross-reference", "ignore:Branch Photon")
ROTATE = da.PhiRotate(columns=("Jet.phi", "Electron.phi", "Muon.phi", "GenJet.phi", "GenPart.phi", "MET.phi"))
SETTING: dict[str, Any] = {"seed": 7, "split": None, "weights": ("genWeight",)}
SELECT = da.Select("nJet >= 7")
CHAINS = {
    "rotate": (ROTATE,),
    "define": (da.Define(**{"Jet.pt2": "Jet.pt * 2"}),),
    "select": (SELECT,),
    "repeat": (da.Repeat(n=2),),
    "repeat, rotate": (da.Repeat(n=2), ROTATE),
    "rotate, select": (ROTATE, SELECT),
    "rotate, select, repeat, rotate": (ROTATE, SELECT, da.Repeat(n=1), ("again", ROTATE)),
}
Nano = Callable[[str], str]


def events_of(path: str, mode: str = "virtual", log: list[Any] | None = None, schema: Any = NanoAODSchema) -> Any:
    options = {"access_log": log} if log is not None else {}
    return NanoEventsFactory.from_root(
        {path: "Events"}, schemaclass=schema, mode=mode, metadata={"dataset": "tt"}, **options
    ).events()


def by_hand(events: Any, objects: Any, field: str, target: str) -> Any:
    """What objects refer to by the number within their event that the file has."""
    number = objects[field]
    return events[target][ak.mask(number, number >= 0)]


def same(found: Any, expected: Any) -> bool:
    assert ak.count(expected) > 10
    return bool(found.to_list() == expected.to_list())


def check(events: Any) -> None:
    """Every kind of reference leads to the objects of its own event, as they are now."""
    for name, accessor, field, target in (
        ("Electron", "matched_gen", "genPartIdx", "GenPart"),
        ("Electron", "matched_jet", "jetIdx", "Jet"),
        ("Jet", "matched_gen", "genJetIdx", "GenJet"),
        ("GenPart", "parent", "genPartIdxMother", "GenPart"),
    ):
        found, hand = getattr(events[name], accessor), by_hand(events, events[name], field, target)
        assert same(found.phi, hand.phi), (name, accessor)
        assert found.fields == hand.fields
    # The first of the children's parents is the particle itself, with the angle that it has now.
    children = events.GenPart.children
    assert same(children.parent.phi, ak.broadcast_arrays(events.GenPart.phi, children.phi)[0])
    pairs = events.Jet.matched_electrons
    hand = by_hand(events, events.Jet, "electronIdx1", "Electron")
    assert same(pairs[..., 0].phi, hand.phi)


@pytest.fixture
def tt(nano: Nano) -> str:
    return nano("nano_tt_v12")


@pytest.mark.parametrize("mode", ["virtual", "eager"])
@pytest.mark.parametrize("name", CHAINS)
def test_after_every_kind_of_step(tt: str, mode: str, name: str) -> None:
    check(da.augment(events_of(tt, mode), *CHAINS[name], **SETTING))


def test_one_step_after_the_other_and_slices_between(tt: str) -> None:
    events = events_of(tt)
    events = events[ak.num(events.Jet) >= 5]
    events = da.augment(events, ROTATE, **SETTING)
    check(events)
    events = events[np.arange(len(events))[::-1]]
    events = da.augment(events, da.Repeat(n=1), **SETTING)
    check(events)
    check(da.augment(events[events.augment_kind == 1], ROTATE, **SETTING))
    flat = ak.flatten(events.GenPart.pt)
    places = ak.flatten(events.Electron.genPartIdxG)
    assert same(flat[places[places >= 0]], ak.drop_none(ak.flatten(events.Electron.matched_gen.pt)))


def test_angles_survive_a_common_rotation(tt: str) -> None:
    events = events_of(tt)
    for step in (ROTATE, SELECT, da.Repeat(n=1), ROTATE):
        rows = {int(event): row for row, event in enumerate(events.event)}
        after = da.augment(events, step, **SETTING)
        source = [rows[int(event)] for event in after.event]
        for name in ("Electron", "Jet"):
            before = events[name].delta_r(events[name].matched_gen)[source]
            gap = ak.flatten(after[name].delta_r(after[name].matched_gen) - before)
            assert np.max(np.abs(ak.drop_none(gap))) < 1e-5
        events = after


@pytest.mark.parametrize(("file", "schema"), [("nano_dy", NanoAODSchema), ("pfnano", PFNanoAODSchema)])
def test_other_files(nano: Nano, file: str, schema: Any) -> None:
    turn = da.PhiRotate(columns=("FatJet.phi", "SubJet.phi", "GenJetAK8.phi", "GenPart.phi", "Muon.phi"))
    for steps in ((turn,), (da.Repeat(n=1), turn)):
        events = da.augment(events_of(nano(file), schema=schema), *steps, **SETTING)
        hand = by_hand(events, events.FatJet, "subJetIdx1", "SubJet")
        assert events.FatJet.subjets[..., 0].phi.to_list() == hand.phi.to_list()
        hand = by_hand(events, events.Muon, "genPartIdx", "GenPart")
        assert events.Muon.matched_gen.phi.to_list() == hand.phi.to_list()


def test_nothing_is_read_for_references(tt: str) -> None:
    log: list[Any] = []
    events = da.augment(events_of(tt, log=log), da.Repeat(n=1), **SETTING)
    # Those that are 0 on made rows.
    assert {entry.branch for entry in log} == {"genWeight", "Generator_weight", "LHEWeight_originalXWGTUP"}
    events.Electron.genPartIdxG.to_list()
    assert {"GenPart_phi", "Jet_pt"}.isdisjoint(entry.branch for entry in log)


def test_what_is_assigned_later_is_referred_to(tt: str) -> None:
    events = da.augment(events_of(tt), da.Repeat(n=1), **SETTING)
    events["Jet"] = ak.with_field(events.Jet, events.Jet.pt * 2, "twice")
    hand = by_hand(events, events.Electron, "jetIdx", "Jet")
    assert same(events.Electron.matched_jet.twice, hand.twice)


def test_references_of_one_collection_outlive_the_events(tt: str) -> None:
    electrons = da.augment(events_of(tt), ROTATE, **SETTING).Electron
    assert ak.mean(electrons.delta_r(electrons.matched_gen)) < 0.05


def test_the_events_that_were_given_stay_as_they_are(tt: str) -> None:
    events = events_of(tt)
    before = events.Electron.matched_gen.phi.to_list()
    da.augment(events, ROTATE, **SETTING)
    assert "@original_array" not in events.attrs
    assert events.Electron.matched_gen.phi.to_list() == before


@pytest.mark.parametrize("change", ["left out", "sorted"])
@pytest.mark.parametrize("steps", [(ROTATE,), (da.Repeat(n=1),)], ids=["rotate", "repeat"])
def test_objects_that_were_left_out_or_sorted_are_refused(tt: str, change: str, steps: Any) -> None:
    events = events_of(tt)[:100]
    jets = events.Jet
    events["Jet"] = jets[jets.pt > 30] if change == "left out" else jets[ak.argsort(jets.eta)]
    result = da.augment(events, *steps, **SETTING)
    with pytest.raises(StaleReference, match="objects of Jet were left out or put in another order before the step"):
        result.Electron.matched_jet.pt.to_list()
    assert same(result.Electron.matched_gen.phi, by_hand(result, result.Electron, "genPartIdx", "GenPart").phi)


def test_a_collection_cut_in_place_is_refused(tt: str) -> None:
    events = events_of(tt)
    events["Jet"] = events.Jet[events.Jet.pt > 30]
    result = da.augment(events, da.Repeat(n=1), **SETTING)
    with pytest.raises(StaleReference, match="objects of Jet were left out"):
        result.Electron.matched_jet.pt.to_list()


def test_corrected_values_are_no_other_objects(tt: str) -> None:
    events = events_of(tt)[:100]
    events["Jet"] = ak.with_field(events.Jet, events.Jet.pt * np.float32(1.01), "pt")
    result = da.augment(events, ROTATE, **SETTING)
    assert same(result.Electron.matched_jet.pt, by_hand(result, result.Electron, "jetIdx", "Jet").pt)


def test_a_collection_that_is_gone_is_named(tt: str) -> None:
    events = events_of(tt)[["run", "luminosityBlock", "event", "Jet", "Electron"]]
    result = da.augment(events, da.PhiRotate(columns=("Jet.phi", "Electron.phi")), **SETTING, dataset="tt")
    with pytest.raises(StaleReference, match="the events had no GenPart when they were augmented"):
        _ = result.Electron.matched_gen
    assert same(result.Electron.matched_jet.pt, by_hand(result, result.Electron, "jetIdx", "Jet").pt)


def test_interpolated_rows_refer_to_nothing(tt: str) -> None:
    events = events_of(tt)
    strata = da.Strata([da.Bins("MET.pt", [0, 40, 1000])])
    smote = da.Smote(
        features=["MET.pt", "PuppiMET.pt"], strata=strata, k_neighbors=3, weights=("genWeight",), carry="parent"
    )
    smote = da.learn(events, smote, **SETTING)
    result = da.augment(events, smote, **SETTING)
    assert ak.sum(result.augment_kind == 2) > 0
    assert "genPartIdxG" not in result.Electron.fields
    for _ in range(2):
        with pytest.raises(StaleReference, match="rows that were interpolated lie between two events"):
            _ = result.Electron.matched_gen
        result = da.augment(result, ROTATE, **SETTING)


def test_packed_rows_keep_their_places(tt: str) -> None:
    events = da.augment(events_of(tt), SELECT, ROTATE, **SETTING)
    assert same(ak.to_packed(events.Electron).jetIdxG, events.Electron.jetIdxG)


def test_tracing(tt: str) -> None:
    def process(events: Any) -> Any:
        return da.augment(events, ROTATE, da.Repeat(n=1), **SETTING).Electron.matched_gen.eta

    assert {"Electron_genPartIdx", "GenPart_eta", "genWeight"} <= trace(process, events_of(tt))


# Systematics ----------------------------------------------------------------------------------------------------------


def with_systematic(events: Any, what: Any = "pt", kind: str = "UpDownSystematic") -> Any:
    jets = events.Jet
    jets.add_systematic("JES", kind, what, lambda values: ak.concatenate([values[:, None], values[:, None]], axis=1))
    events["Jet"] = jets
    return events


@pytest.mark.parametrize("mode", ["virtual", "eager", pytest.param("dask", marks=pytest.mark.slow)])
def test_variations_follow_what_is_not_varied(tt: str, mode: str) -> None:
    if mode == "dask":
        pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = with_systematic(events_of(tt, mode))
    events = da.augment(events, ROTATE, da.Repeat(n=1), **SETTING)
    defined = (da.Define(**{"Jet.turned": "abs(Jet.phi)"}), da.Define(**{"Jet.twice": "Jet.pt * 2"}))
    events = da.augment(events, *defined, **SETTING)
    up = events.Jet.systematics.JES.up
    if mode == "dask":
        assert "twice" not in up.fields
    else:
        with pytest.raises(StaleVariation, match=r"made 'Jet.twice' from nominal values"):
            up.twice.to_list()
    for name in ("phi", "turned", "genJetIdxG"):
        one, other = up[name], events.Jet[name]
        one, other = (one.compute(), other.compute()) if mode == "dask" else (one, other)
        assert same(one, other)
    gap = up.delta_r(up.matched_gen)
    assert ak.mean(gap.compute() if mode == "dask" else gap) < 0.05


def test_variations_of_several_fields(tt: str) -> None:
    events = with_systematic(events_of(tt), ["pt", "mass"], "UpDownMultiSystematic")
    events = da.augment(events, ROTATE, **SETTING)
    assert same(events.Jet.systematics.JES.down.phi, events.Jet.phi)


def test_what_a_step_made_of_a_varied_column_is_refused(tt: str) -> None:
    events = with_systematic(events_of(tt))
    events = da.augment(events, da.Define(**{"Jet.mass": "Jet.pt * 0.1"}), **SETTING)
    with pytest.raises(StaleVariation, match=r"'define' made 'Jet.mass' from nominal values, and the systematic 'JES'"):
        events.Jet.systematics.JES.up.mass.to_list()
    assert same(events.Jet.systematics.JES.up.pt, events.Jet.pt)


def test_variations_of_events(tt: str) -> None:
    events = events_of(tt)
    events.add_systematic("PU", "UpDownSystematic", "weight", lambda one: np.stack([one * 1.1, one * 0.9], axis=1))
    events = da.augment(events, ROTATE, da.Repeat(n=1), **SETTING)
    up = events.systematics.PU.up
    assert same(up.Jet.phi, events.Jet.phi)
    assert same(up.genWeight, events.genWeight)
    assert set(up.weight_PU.to_list()) == {1.1}


# dask mode ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CHAINS, "masked, rotate", "one after the other"])
def test_dask_mode(tt: str, name: str) -> None:
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = events_of(tt, "dask")
    if name == "masked, rotate":
        events = da.augment(events[ak.num(events.Jet) >= 7], ROTATE, **SETTING)
    elif name == "one after the other":
        for step in (ROTATE, SELECT, da.Repeat(n=1), ROTATE):
            events = da.augment(events, step, **SETTING)
    else:
        events = da.augment(events, *CHAINS[name], **SETTING)
    import dask

    electrons = events.Electron
    found = dask.compute(electrons.matched_gen.phi, electrons.matched_jet.phi, events[["Electron", "Jet", "GenPart"]])
    whole = found[2]
    for values, field, target in ((found[0], "genPartIdx", "GenPart"), (found[1], "jetIdx", "Jet")):
        assert same(values, by_hand(whole, whole.Electron, field, target).phi)


def test_dask_mode_reads_no_more_than_it_needs(tt: str) -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = da.augment(events_of(tt, "dask"), SELECT, **SETTING)
    (needed,) = dak.necessary_columns(events.Electron.phi).values()
    assert needed == {"nJet", "nElectron", "Electron_phi"}
    events = da.augment(events_of(tt, "dask"), ROTATE, **SETTING)
    (needed,) = dak.necessary_columns(events.MET.phi).values()
    assert "Electron_genPartIdx" not in needed


def test_dask_mode_refuses_objects_that_were_left_out(tt: str) -> None:
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = events_of(tt, "dask")
    events["Jet"] = events.Jet[events.Jet.pt > 30]
    events = events[ak.num(events.Jet) > 3]
    events = da.augment(events, ROTATE, **SETTING)
    assert len(events.Electron.compute()) > 10
    with pytest.raises(StaleReference, match="objects of Jet were left out"):
        events.Electron.matched_jet.pt.compute()


def test_dask_mode_interpolated_rows(tt: str) -> None:
    pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = events_of(tt, "dask")
    strata = da.Strata([da.Bins("MET.pt", [0, 40, 1000])])
    smote = da.Smote(
        features=["MET.pt", "PuppiMET.pt"], strata=strata, k_neighbors=3, weights=("genWeight",), carry="parent"
    )
    result = da.augment(events, da.learn(events, smote, **SETTING), **SETTING)
    assert "genPartIdxG" not in result.Electron.fields
    with pytest.raises(StaleReference, match="rows that were interpolated"):
        _ = result.Electron.matched_gen


def test_a_schema_without_references(tmp_path: Path) -> None:
    import frame_toys as toys

    path = toys.write_toy(tmp_path / "toy.root", rows=30)
    events = events_of(str(path), schema=toys.schema_class(path))
    result = da.augment(events, da.Repeat(n=1), da.PhiRotate(columns=("Jet.phi",)), **SETTING)
    assert len(result) == 60


@pytest.mark.parametrize("mode", ["virtual", "eager"])
def test_varied_weights_of_made_rows_are_0(tt: str, mode: str) -> None:
    events = events_of(tt, mode)
    shifts = np.array([1.1, 0.9])[None, :]
    events.add_systematic("PU", "UpDownSystematic", "genWeight", lambda w: shifts * ak.to_numpy(w)[:, None])
    more = da.augment(events, da.Repeat(n=1), **SETTING)
    assert ak.sum(more.genWeight) == pytest.approx(ak.sum(events.genWeight))
    assert ak.sum(more.systematics.PU.up.genWeight) == pytest.approx(1.1 * ak.sum(events.genWeight), rel=1e-5)


def test_generator_weights_follow_those_that_a_step_rescales(tt: str) -> None:
    events = events_of(tt)
    events["w64"] = ak.values_astype(events.genWeight, "float64")
    setting = SETTING | {"weights": ("w64",)}
    under = da.learn(events, da.Undersample(strata=[da.Bins("MET.pt", [0, 50, 1000])], weights=("w64",)), **setting)
    fewer = da.augment(events, under, **setting)
    assert len(fewer) < len(events)
    assert ak.sum(fewer.w64) == ak.sum(events.w64)
    assert str(fewer.genWeight.type) == f"{len(fewer)} * float32" or "float32" in str(fewer.genWeight.type)
    for one, other in ((fewer.genWeight, events.genWeight), (fewer.Generator.weight, events.Generator.weight)):
        assert float(ak.sum(one)) == pytest.approx(float(ak.sum(other)), rel=1e-5)


def test_a_choice_of_columns_is_still_collision_data(tt: str) -> None:
    events = NanoEventsFactory.from_root(
        {tt: "Events"}, schemaclass=NanoAODSchema, metadata={"dataset": "tt", "is_mc": False}
    ).events()
    few = events[["run", "luminosityBlock", "event", "MET"]]
    with pytest.raises(ValueError, match="'tt' is collision data"):
        da.augment(few, da.Repeat(n=1), seed=7, split=None, weights="none")


@pytest.mark.parametrize("mode", ["virtual", "eager"])
@pytest.mark.parametrize("masked", [False, True])
def test_collections_that_were_assigned_before_a_step(tt: str, mode: str, masked: bool) -> None:
    """Cut and sorted jets are not those that electrons refer to; jets with another pt are."""
    cut, in_order, scaled = events_of(tt, mode), events_of(tt, mode), events_of(tt, mode)
    cut["Jet"] = cut.Jet[cut.Jet.pt > 40]
    in_order["Jet"] = in_order.Jet[ak.argsort(in_order.Jet.eta, axis=1)]
    scaled["Jet"] = ak.with_field(scaled.Jet, scaled.Jet.pt * 2, "pt")
    for events in (cut, in_order):
        chosen = events[ak.num(events.Jet) > 2] if masked else events
        turned = da.augment(chosen, ROTATE, **SETTING)
        before, after = (e.Jet.delta_r(e.Jet.matched_gen) for e in (chosen, turned))
        assert ak.almost_equal(before, after, atol=1e-3, check_parameters=False)
        with pytest.raises(StaleReference, match="objects of Jet were left out or put in another order"):
            turned.Electron.matched_jet.pt
    chosen = scaled[ak.num(scaled.Jet) > 2] if masked else scaled
    turned = da.augment(chosen, ROTATE, **SETTING)
    assert same(turned.Electron.matched_jet.pt, chosen.Electron.matched_jet.pt)


@pytest.mark.parametrize("again", [False, True])
def test_collections_that_are_assigned_after_a_step(tt: str, again: bool) -> None:
    turned = da.augment(events_of(tt), ROTATE, **SETTING)
    turned["Jet"] = turned.Jet[ak.argsort(turned.Jet.eta, axis=1)]
    result = da.augment(turned, ("again", ROTATE), **SETTING) if again else turned
    with pytest.raises(StaleReference, match="objects of Jet were left out or put in another order"):
        result.Electron.matched_jet.pt


@pytest.mark.parametrize("mode", ["virtual", "eager"])
def test_records_within_objects_follow_them(tt: str, mode: str) -> None:
    """Jet corrections put whole varied jets into each jet."""
    events = events_of(tt, mode)
    up = ak.with_field(events.Jet, events.Jet.pt * 2, "pt")
    jets = ak.with_field(events.Jet, ak.zip({"up": up}, depth_limit=2), "JES")
    events["Jet"] = ak.with_field(jets, ak.zip({"phi": events.Jet.phi / 2}), "other")
    more = da.augment(events, da.Repeat(n=1), ROTATE, **SETTING)
    assert more.Jet.JES.up.phi.to_list() == more.Jet.phi.to_list()
    assert more.Jet.JES.up.pt.to_list() == (more.Jet.pt * 2).to_list()
    with pytest.raises(StaleVariation, match=r"'Jet.other.phi' is another one from before the step"):
        more.Jet.other.phi.to_list()


def test_partitions_that_were_concatenated(tt: str) -> None:
    dak = pytest.importorskip("dask_awkward", exc_type=ImportError)
    events = events_of(tt, "dask")
    both = dak.concatenate([da.augment(events, ROTATE, **SETTING), events])
    with pytest.raises(StaleReference, match="take what is referred to before you concatenate"):
        both.Electron.matched_gen
