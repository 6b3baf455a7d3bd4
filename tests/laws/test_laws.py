"""Every registered augmenter obeys the laws, on random and on real events; every law refuses its mutants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from dask_augment import Augmenter, Compound, Repeat, Select
from dask_augment.events import columns
from dask_augment.laws import LAWS, Case, Law, LawBroken, check, sample_events
from dask_augment.plans import registry
from laws.examples import EXAMPLES
from laws.mutants import FRAME_MUTANTS, MUTANTS, FrameMutant, Mutant
from laws.toys import HONEST, Feature, Thin

CONSTITUENTS = ("FatJet", "FatJetPFCand", "PFCand")
ELSEWHERE = "same_in_another_process"
BY_NAME = {law.__name__: law for law in LAWS}
HERE = [law for law in LAWS if law.__name__ != ELSEWHERE]


def parts_of(name: str, options: dict[str, Any]) -> int:
    """Steps that it is taken apart into."""
    kind = registry.get(name)
    return len(kind(**options).steps()) if issubclass(kind, Compound) else 1


NAMED = [
    (name, number, part)
    for name in registry.names()
    for number, options in enumerate(EXAMPLES.get(name, ()))
    for part in range(parts_of(name, options))
]


FILES = ("nano_tt_v12", "nano_dy", "pfnano")


def is_plain(named: tuple[str, int, int]) -> bool:
    """Whether it is the first example of a step by itself."""
    name, number, _ = named
    return number == 0 and not issubclass(registry.get(name), Compound)


def tried() -> Iterator[Any]:
    """Every law on the first example of each step; of others, and of the steps in compounds, every second law is slow."""
    for place, named in enumerate(NAMED):
        for number, law in enumerate(HERE):
            quick = is_plain(named) or (place + number) % 2 == 0
            yield pytest.param(
                named, law, id=f"{named_as(named)}-{law.__name__}", marks=[] if quick else [pytest.mark.slow]
            )


def tried_on_files() -> Iterator[Any]:
    """The first example of each step by itself on one of the files, in turn; all others are slow."""
    names = registry.names()
    for name, number, part in NAMED:
        for file in FILES if part == 0 else ():
            quick = is_plain((name, number, part)) and file == FILES[names.index(name) % len(FILES)]
            marks = [] if quick else [pytest.mark.slow]
            yield pytest.param(name, number, file, id=f"{named_as((name, number, part))}-{file}", marks=marks)


def named_as(named: tuple[str, int, int]) -> str:
    name, number, part = named
    return f"{name}-{number}" + (f"-{part}" if issubclass(registry.get(name), Compound) else "")


def case(name: str, number: int, part: int, rows: int = 0) -> Case:
    augmenter = registry.get(name)(**EXAMPLES[name][number])
    return (Case(augmenter, sample_events(rows)) if rows else Case(augmenter)).apart()[part]


example = cache(case)


def test_every_augmenter_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(registry.names()), "add constructor arguments to tests/laws/examples.py"


@pytest.mark.parametrize(("named", "law"), list(tried()))
def test_registered(named: tuple[str, int, int], law: Law) -> None:
    law(example(*named))


@pytest.mark.parametrize("law", HERE, ids=lambda law: law.__name__)
@pytest.mark.parametrize("augmenter", HONEST, ids=lambda augmenter: type(augmenter).__name__)
def test_honest(augmenter: Augmenter, law: Law) -> None:
    law(Case(augmenter))


def test_in_another_process() -> None:
    few = sample_events(60)
    cases = [case(*named, rows=150) for named in NAMED] + [Case(augmenter, few) for augmenter in HONEST]
    BY_NAME[ELSEWHERE](*cases)


@cache
def real_events(path: str) -> ak.Array:
    """Nested real events with the columns of random ones."""
    made = ("HT", "label", "weight", "split")
    branches = [n.replace(".", "_") for n in wanted() if n not in made and n.partition(".")[0] not in CONSTITUENTS]
    with uproot.open(path) as file:
        flat = file["Events"].arrays([*branches, "genWeight"])
    nested = columns.only(flat, {name for name in wanted() if columns.has(flat, name)})
    nested["HT"] = ak.values_astype(ak.sum(nested.Jet.pt, axis=1), np.float32)
    nested["label"] = ak.values_astype(ak.num(nested.Jet) > np.median(ak.num(nested.Jet)), np.int8)
    nested["weight"] = ak.values_astype(flat.genWeight, np.float64)
    nested["split"] = np.array([0, 0, 1, 0, 2], np.int8)[np.arange(len(flat)) % 5]
    for name in CONSTITUENTS:
        # Files of these versions have no constituents of large jets, or have them under other names.
        nested[name] = sample_events(len(flat))[name]
    return nested


def wanted() -> list[str]:
    names = []
    for name in sample_events(3).fields:
        fields = sample_events(3)[name].fields
        names += [f"{name}.{field}" for field in fields if field != "btag"] or [name]
    return names


@pytest.mark.parametrize(("name", "number", "file"), list(tried_on_files()))
def test_real_events(name: str, number: int, file: str, nano: Callable[[str], str]) -> None:
    check(registry.get(name)(**EXAMPLES[name][number]), real_events(nano(file)), without=[ELSEWHERE])


def named_after(mutant: Any) -> str:
    patch = getattr(mutant, "patch", None)
    return f"{mutant.law}-{patch.__name__ if patch else type(mutant.augmenter).__name__}"


def test_every_law_has_a_mutant() -> None:
    assert {mutant.law for mutant in (*MUTANTS, *FRAME_MUTANTS)} == set(BY_NAME)


@pytest.mark.parametrize("mutant", MUTANTS, ids=named_after)
def test_mutant_is_refused(mutant: Mutant) -> None:
    events = sample_events(60) if mutant.law == ELSEWHERE else sample_events()
    with pytest.raises(LawBroken, match=mutant.says):
        BY_NAME[mutant.law](Case(mutant.augmenter, events))


@pytest.mark.parametrize("mutant", FRAME_MUTANTS, ids=named_after)
def test_frame_mutant_is_refused(mutant: FrameMutant, monkeypatch: pytest.MonkeyPatch) -> None:
    if mutant.law == "goes_on_from_parquet":
        pytest.importorskip("coffea")
    BY_NAME[mutant.law](Case(mutant.augmenter))
    mutant.patch(monkeypatch)
    with pytest.raises(LawBroken, match=mutant.says):
        BY_NAME[mutant.law](Case(mutant.augmenter))


def test_check_names_the_law() -> None:
    drops = Repeat(n=2, keep_original=False)
    with pytest.raises(LawBroken, match=r"^weight_is_not_lost: repeat: the sum of 'weight' was"):
        check(drops, without=[ELSEWHERE])
    without = (ELSEWHERE, "weight_is_not_lost", "spectra_stay_on_average")
    held = check(drops, without=without)
    assert held == tuple(law.__name__ for law in LAWS if law.__name__ not in without)
    assert repr(held).startswith(f"{len(LAWS) - 3} laws held: says_what_it_is, ")
    with pytest.raises(ValueError, match=r"without names no laws: \['nonsense'\]"):
        check(drops, without=["nonsense"])


def test_check_takes_a_step() -> None:
    with pytest.raises(TypeError, match=r"^check holds an augmenter to the laws, got .*; give its options, Repeat"):
        check(Repeat)  # type: ignore[arg-type]


def test_check_says_what_the_sample_lacks() -> None:
    with pytest.raises(
        columns.MissingColumn, match=r"'PuppiMET.pt'.*are tried on have .*MET.pt.*: give your own with events="
    ):
        check(Select("PuppiMET.pt > 3"), without=[ELSEWHERE])


def test_check_makes_weight_and_split() -> None:
    bare = sample_events(80)[["run", "luminosityBlock", "event", "MET"]]
    check(Feature(), bare, without=[ELSEWHERE])
    check(Thin(), bare, without=[ELSEWHERE])


def test_errors_of_the_augmenter_stay() -> None:
    class Fails(Feature):
        def apply(self, events: ak.Array, draw: Any) -> Any:
            raise ZeroDivisionError

    for law in ("reads_what_it_declares", "same_in_slices"):
        with pytest.raises(ZeroDivisionError):
            BY_NAME[law](Case(Fails()))


def test_sample_has_what_is_rare() -> None:
    events = sample_events()
    assert len(np.unique(np.asarray(events.event))) == len(events)
    assert np.asarray(events.event).max() > 2**53
    assert np.isnan(columns.flatten(events.Jet.btag)).any()
    assert (np.asarray(events.weight) < 0).any()
    assert np.array_equal(np.asarray(events.weight) * 2**10 % 1, np.zeros(len(events)))
    assert {0, 1, 2} == set(np.asarray(events.split).tolist())
    assert min(ak.num(events.Jet)) == 0 < max(ak.num(events.Jet))
