"""What objects of augmented NanoEvents refer to where arrays were concatenated, or objects stored within objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da

pytest.importorskip("coffea")
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from dask_augment.frames.global_indices import StaleReference
from dask_augment.frames.systematics import StaleVariation

pytestmark = pytest.mark.filterwarnings("ignore:Missing cross-reference", "ignore:Branch Photon")
ROTATE = da.PhiRotate(columns=("Jet.phi", "Electron.phi", "Muon.phi", "GenJet.phi", "GenPart.phi", "MET.phi"))
REPEAT = da.Repeat(n=1)
SETTING: dict[str, Any] = {"seed": 7, "split": None, "weights": ("genWeight",)}
STEPS = {"rotate": (ROTATE,), "repeat": (REPEAT,), "repeat, rotate": (REPEAT, ROTATE)}
Nano = Callable[[str], str]


@pytest.fixture
def tt(nano: Nano) -> str:
    return nano("nano_tt_v12")


def events_of(path: str, mode: str = "virtual") -> Any:
    factory = NanoEventsFactory.from_root(
        {path: "Events"}, schemaclass=NanoAODSchema, mode=mode, metadata={"dataset": "tt"}, entry_stop=60
    )
    return factory.events()


REFERENCES: dict[str, Callable[[Any], Any]] = {
    "matched_gen": lambda events: events.Electron.matched_gen,
    "matched_jet": lambda events: events.Electron.matched_jet,
    "parent": lambda events: events.GenPart.parent,
    "children": lambda events: events.GenPart.children,
    "lists": lambda events: events.Jet.matched_electrons,
    "masked": lambda events: events[ak.num(events.Electron) > 0].Electron.matched_gen,
    "firsts": lambda events: ak.firsts(events.Electron).matched_gen,
    "flat": lambda events: ak.flatten(events.Electron).matched_gen,
    "pairs": lambda events: ak.combinations(events.Jet, 2, fields=["one", "other"]).one.matched_gen,
}


@pytest.mark.parametrize("mode", ["virtual", "eager"])
@pytest.mark.parametrize("steps", ["rotate", "repeat"])
def test_concatenated_with_others(tt: str, mode: str, steps: str) -> None:
    """Whichever comes first: what objects refer to is looked for among the events of one of the arrays."""
    plain = events_of(tt, mode)
    augmented = da.augment(plain, *STEPS[steps], **SETTING)
    another = da.augment(plain, ROTATE, REPEAT, ("again", ROTATE), **SETTING)
    for arrays in ([augmented, plain], [plain, augmented], [augmented, another], [another, augmented]):
        both = ak.concatenate(arrays)
        for ask in REFERENCES.values():
            with pytest.raises(StaleReference, match="as after concatenating arrays"):
                ask(both)
    last = ak.concatenate([plain, augmented])[-1]  # which is one of the augmented events
    assert last.GenPart.parent.phi.to_list() == augmented[-1].GenPart.parent.phi.to_list()
    with pytest.raises(StaleReference, match="as after concatenating arrays"):
        _ = ak.concatenate([augmented, plain])[-1].GenPart.parent


@pytest.mark.parametrize("steps", STEPS)
def test_concatenated_with_itself(tt: str, steps: str) -> None:
    augmented = da.augment(events_of(tt), *STEPS[steps], **SETTING)
    odd = np.arange(len(augmented)) % 2 == 1
    for arrays in ([augmented, augmented], [augmented[odd], augmented[:0], augmented[~odd]]):
        both = ak.concatenate(arrays)
        for name, ask in REFERENCES.items():
            expected = ak.concatenate([ask(array).phi for array in arrays])
            assert ask(both).phi.to_list() == expected.to_list(), name
        turned = da.augment(both, ("again", ROTATE), **SETTING)
        electrons = turned.Electron
        before = ak.concatenate([array.Electron.delta_r(array.Electron.matched_gen) for array in arrays])
        assert ak.almost_equal(electrons.delta_r(electrons.matched_gen), before, atol=1e-4, check_parameters=False)


def test_concatenated_before_a_step(tt: str) -> None:
    """Places of events of a file among those of others would be told anew from others' rows."""
    plain = events_of(tt)
    columns = ["run", "luminosityBlock", "event", "genWeight", "Electron", "GenPart", "Jet"]
    both = ak.concatenate([da.augment(plain, ROTATE, **SETTING)[columns], plain[columns]])
    for step in (REPEAT, da.PhiRotate(columns=("Jet.phi", "Electron.phi", "GenPart.phi"))):
        result = da.augment(both, step, **SETTING)
        with pytest.raises(StaleReference, match="as after concatenating arrays"):
            result.Electron.matched_gen.phi.to_list()
        with pytest.raises(StaleReference, match="as after concatenating arrays"):
            result.Electron.genPartIdxG.to_list()


def test_objects_of_two_arrays_put_together(tt: str) -> None:
    plain = events_of(tt)
    turned = da.augment(plain, ROTATE, **SETTING)
    pairs = ak.zip({"before": plain.Electron, "after": turned.Electron}, depth_limit=2)
    with pytest.raises(StaleReference, match="are not all of the events"):
        _ = pairs.before.matched_gen
    assert pairs.after.matched_gen.phi.to_list() == turned.Electron.matched_gen.phi.to_list()


def test_a_single_object_is_told_to_ask_as_a_list(tt: str) -> None:
    events = da.augment(events_of(tt), ROTATE, **SETTING)
    electrons = events[ak.num(events.Electron) > 0].Electron
    with pytest.raises(StaleReference, match="cannot be followed from a single object"):
        _ = electrons[0, 0].matched_gen
    assert electrons[0, :1].matched_gen.phi.to_list() == electrons.matched_gen.phi[0, :1].to_list()


def test_events_of_several_types(tt: str) -> None:
    plain = events_of(tt)
    both = ak.concatenate([plain, da.augment(plain, REPEAT, **SETTING)])
    with pytest.raises(ValueError, match=r"of 2 types, as awkward makes them .* choose the columns that all have"):
        da.augment(both, ROTATE, **SETTING)
    with pytest.raises(ValueError, match="of 2 types"):
        da.is_made(both)


# Objects stored within objects ------------------------------------------------------------------------------------------


def with_matches(events: Any) -> Any:
    events["Jet"] = ak.with_field(events.Jet, events.Jet.matched_gen, "gen")
    events["Jet"] = ak.with_field(events.Jet, events.Jet.matched_electrons, "electrons")
    events["Electron"] = ak.with_field(events.Electron, events.Electron.matched_gen, "gen")
    return events


@pytest.mark.parametrize("mode", ["virtual", "eager"])
@pytest.mark.parametrize("steps", STEPS)
def test_matches_that_were_stored(tt: str, mode: str, steps: str) -> None:
    """They stay with their objects; what a step made anew of their collection is refused."""
    events = da.augment(with_matches(events_of(tt, mode)), *STEPS[steps], **SETTING)
    for stored, now in ((events.Jet.gen, events.Jet.matched_gen), (events.Jet.electrons, events.Jet.matched_electrons)):
        assert ak.count(now.pt) > 3
        assert stored.pt.to_list() == now.pt.to_list()
        if ROTATE in STEPS[steps]:
            with pytest.raises(StaleVariation, match=r"'phi_rotate' made 'phi' of these objects anew, and 'Jet\."):
                stored.phi.to_list()
        else:
            assert stored.phi.to_list() == now.phi.to_list()
    if REPEAT in STEPS[steps]:
        with pytest.raises(StaleReference, match="since before a step that changed rows"):
            _ = events.Electron.gen.parent
    else:
        assert events.Electron.gen.parent.phi.to_list() == events.Electron.matched_gen.parent.phi.to_list()


def test_matches_that_were_stored_in_objects_that_no_step_changed(tt: str) -> None:
    events = da.augment(with_matches(events_of(tt)), da.PhiRotate(columns=("GenJet.phi", "GenPart.phi")), **SETTING)
    with pytest.raises(StaleVariation, match=r"'Jet.gen.phi' is another one from before the step"):
        events.Jet.gen.phi.to_list()
    assert events.Jet.electrons.phi.to_list() == events.Jet.matched_electrons.phi.to_list()
