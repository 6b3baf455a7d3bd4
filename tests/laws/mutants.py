"""Wrong augmenters, and frames that forget a duty: each breaks the law that it is listed under."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pytest

from dask_augment import Augmenter, Learned, Measure, Output, Repeat
from dask_augment.contract.draw import Draw
from dask_augment.contract.ids import RepeatedIds
from dask_augment.events import columns, forms
from dask_augment.frames import apply_step, eager, learning, planning, references, step_inputs
from dask_augment.frames.stage import Stage
from laws.toys import Centre, Feature, Generate, JetField, Mean, Smear, Sums, Thin, met_pt


class Misspelled(Smear):
    use = "train"


class KeepsAndMakes(Feature):
    makes = "copies"


class WritesProvenance(Feature):
    def produces(self) -> Mapping[str, str | None]:
        return {"augment_kind": "int8"}


class WantsNothing(Feature):
    def resources(self) -> Mapping[str, float]:
        return {"GPU": 0}


class UndeclaredColumn(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": met_pt(events) * np.cos(np.asarray(events.MET.phi, np.float64))})


class UndeclaredDraw(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": draw.uniform(0)})  # type: ignore[union-attr]


class UndeclaredMeasure(Mean):
    def measure(self, events: ak.Array, draw: Draw | None) -> Sums:
        return Sums(len(events), int(np.count_nonzero(events.label)))


class NamesAList(Feature):
    def uses(self) -> Any:
        return ["MET.pt"]


class FieldThatIsNowhere(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": np.asarray(events.MET.eta, np.float64)})


class RandomOfItsOwn(Smear):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        factor = np.random.default_rng().normal(1, 0.1, len(events))
        return Output({"MET.pt": (met_pt(events) * factor).astype(np.float32)})


class AsksUndeclared(Centre):
    def question(self) -> Measure[Sums]:
        return UndeclaredMeasure()


class AsksForMore(Centre):
    """Its question is about a column that a plan would not have read."""

    def uses(self) -> frozenset[str]:
        return frozenset()

    def reads_to_apply(self) -> frozenset[str]:
        return frozenset({"MET.pt"})


class ChangesInput(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        pt = met_pt(events)
        pt *= 2
        return Output({"feature": pt.astype(np.float64)})


class ChangesIds(Smear):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert draw is not None
        draw.ids["event"][:] += 1
        return super().apply(events, draw)


class MeasuresInPlace(Mean):
    def measure(self, events: ak.Array, draw: Draw | None) -> Sums:
        met_pt(events)[:] = 0
        return super().measure(events, draw)


class LearnsInPlace(Centre):
    def question(self) -> Measure[Sums]:
        return MeasuresInPlace()


class AlwaysDouble(Smear):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"MET.pt": met_pt(events).astype(np.float64)})


class AlwaysSingle(Smear):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"MET.pt": met_pt(events).astype(np.float32)})


class TypeOfInput(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": met_pt(events)})


class OtherCounts(JetField):
    def halves(self, events: ak.Array) -> Any:
        counts = (np.asarray(ak.num(events.Jet, axis=1)) + 1) // 2
        return ak.unflatten(np.zeros(counts.sum(), np.float32), counts)


class OnePerEvent(JetField):
    def halves(self, events: ak.Array) -> Any:
        return np.zeros(len(events), np.float32)


class HidesField(Feature):
    def configuration(self) -> dict[str, Any]:
        return {}


class Recomputed(Feature):
    def configuration(self) -> dict[str, Any]:
        return {"factor": self.factor + 1}


class DigestWithoutLearned(Centre):
    @property
    def digest(self) -> str:
        return "the same always"


class GeneratorPerPartition(Smear):
    def normal(self, draw: Draw) -> np.ndarray[Any, Any]:
        return np.random.default_rng(len(draw)).normal(size=len(draw))


class MeanOfPartition(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": met_pt(events) - met_pt(events).mean(dtype=np.float64)})


CALLS = itertools.count()


class CountsCalls(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": np.full(len(events), float(next(CALLS)))})


class PreviousRow(Feature):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"feature": np.roll(met_pt(events), 1).astype(np.float64)})


class SameForCopies(Smear):
    def normal(self, draw: Draw) -> np.ndarray[Any, Any]:
        return draw.of_originals().normal(0)


class SameForChildren(Generate):
    def exponential(self, draw: Draw, source: Any, nth: Any) -> np.ndarray[Any, Any]:
        return -np.log1p(-draw.uniform(0)[source])


class DropsWeight(Thin):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({}, np.flatnonzero(np.asarray(events.weight) > 0))


class KeepsAFewAsTheyAre(Thin):
    """Says that sums of weights stay on average, and does not hand on the weight of the rows that go."""

    keeps_weight = "on average"

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({}, np.flatnonzero(np.arange(len(events)) % 8 == 0))


class EqualWeights(Thin):
    """Takes half of the rows, whatever they weigh, and gives all the same weight: the sum stays, the spectrum does not."""

    keyed = True

    def produces(self) -> Mapping[str, str | None]:
        return {"weight": None}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        weight = np.asarray(events.weight)
        source = np.flatnonzero(draw.uniform(0) < 0.5)
        return Output({"weight": np.full(len(source), weight.sum() / max(len(source), 1))}, source)


class ForgetsHowProbable(EqualWeights):
    """Takes rows in proportion to their weight, and leaves the weights as they are."""

    keeps_weight = "on average"

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        source = np.flatnonzero(draw.uniform(0) * 40 < np.abs(np.asarray(events.weight)))
        return Output({"weight": np.asarray(events.weight)[source]}, source)


class KeepsSumsRoughly(Thin):
    keeps_weight = "roughly"


class BetweenWithoutParents(Generate):
    makes = "interpolated"


class MovesOriginals(Generate):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        output = super().apply(events, draw)
        return output._replace(columns={"MET.pt": output.columns["MET.pt"] * np.float32(1.5)})


class CopiesTestEvents(Repeat):
    use = "always"


class CopiesIntoTraining(Repeat):
    def uses(self) -> frozenset[str]:
        return frozenset({"split"})

    def produces(self) -> Mapping[str, str | None]:
        return {"split": None}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        _, source, nth, _ = super().apply(events, draw)
        assert source is not None
        assert nth is not None
        return Output({"split": np.where(nth == 0, np.asarray(events.split)[source], np.int8(0))}, source, nth)


class FloatSums(Centre):
    def question(self) -> Measure[Sums]:
        return Mean(exact=False)


@dataclass
class First(Sums):
    def __add__(self, other: Sums) -> Sums:
        return self


class AsksFirst(Mean):
    def measure(self, events: ak.Array, draw: Draw | None) -> Sums:
        sums = super().measure(events, draw)
        return First(sums.rows, sums.total)


class FirstPartition(Centre):
    def question(self) -> Measure[Sums]:
        return AsksFirst()


class TakesAnyWeight(Centre):
    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt", "weight"})


class BlamesNobody(TakesAnyWeight):
    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        if not np.all(np.isfinite(events.weight)):
            raise ValueError("there are numbers that are none")
        return super().apply(events, draw)


class DependsOnProcess(Centre):
    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        learned = yield from super().learning()
        return Learned({**learned, "labels": np.array(list({"signal", "background", "data", "other"}))})

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        return Output({"centred": np.full(len(events), float(hash("centred") % 1000))})


class Mutant(NamedTuple):
    law: str
    says: str
    """A part of the sentence, so that it is refused for what is wrong with it."""
    augmenter: Augmenter


MUTANTS = [
    Mutant("says_what_it_is", "use is 'train'", Misspelled()),
    Mutant("says_what_it_is", "says keeps_rows = True", KeepsAndMakes()),
    Mutant("says_what_it_is", "keeps_weight is 'roughly'", KeepsSumsRoughly()),
    Mutant("says_what_it_is", 'does not say use = "training"', CopiesTestEvents(n=1)),
    Mutant("says_what_it_is", "which the frame writes", WritesProvenance()),
    Mutant("says_what_it_is", "positive amounts", WantsNothing()),
    Mutant("says_what_it_is", r"uses\(\) is a set of names of columns.*got \['MET.pt'\]", NamesAList()),
    Mutant("reads_what_it_declares", "reads a column that uses.. does not name.*eta", FieldThatIsNowhere()),
    Mutant(
        "same_again", "run twice on the same events, column 'MET.pt'.*take random numbers from `draw`", RandomOfItsOwn()
    ),
    Mutant("reads_what_it_declares", "does not name.*phi", UndeclaredColumn()),
    Mutant("reads_what_it_declares", "without keyed = True", UndeclaredDraw()),
    Mutant("reads_what_it_declares", "UndeclaredMeasure.measure.*does not name.*label", AsksUndeclared()),
    Mutant("reads_what_it_declares", r"Mean asks about \['MET.pt'\]", AsksForMore()),
    Mutant("leaves_its_input_alone", "apply changed the events", ChangesInput()),
    Mutant("leaves_its_input_alone", "changed the ids", ChangesIds()),
    Mutant("leaves_its_input_alone", "MeasuresInPlace.measure changed", LearnsInPlace()),
    Mutant("keeps_its_types", "promised 'MET.pt' as float32 and returned float64", AlwaysDouble()),
    Mutant("keeps_its_types", "promised 'MET.pt' as float64 and returned float32", AlwaysSingle()),
    Mutant("keeps_its_types", "promised 'feature' as float64 and returned float32", TypeOfInput()),
    Mutant("keeps_the_counts", "Jet.half has other numbers of entries", OtherCounts()),
    Mutant("keeps_the_counts", "Jet.half has other numbers of entries", OnePerEvent()),
    Mutant("configuration_is_all_of_it", "another result: column 'feature'", HidesField(factor=3.0)),
    Mutant("configuration_is_all_of_it", "it is not equal", Recomputed()),
    Mutant("configuration_is_all_of_it", "does not tell what it learned", DigestWithoutLearned()),
    Mutant("same_in_slices", "another result than among others", GeneratorPerPartition()),
    Mutant("same_in_slices", "another result than among others", MeanOfPartition()),
    Mutant("same_in_slices", "rows 0 to 400 alone", CountsCalls()),
    Mutant("same_in_any_order", "column 'feature' differs", PreviousRow()),
    Mutant("copies_vary", "all copies have the same values", SameForCopies()),
    Mutant("copies_vary", "all copies have the same values", SameForChildren()),
    Mutant("weight_is_not_lost", "the sum of 'weight' was", DropsWeight()),
    Mutant("weight_is_not_lost", "the sum of 'weight' was", KeepsAFewAsTheyAre()),
    Mutant("spectra_stay_on_average", "rows of weight 40 have", EqualWeights()),
    Mutant("spectra_stay_on_average", "rows of weight 8 have", ForgetsHowProbable()),
    Mutant("says_what_it_is", "if it is derived from Interpolating, and only then", BetweenWithoutParents()),
    Mutant("made_rows_add_no_yield", r"histogram of MET.pt weighted by 'weight'\*\*1 changes", MovesOriginals()),
    Mutant("broken_weights_are_refused", "it takes a 'weight' that is nan", TakesAnyWeight()),
    Mutant("broken_weights_are_refused", "without naming the column: there are numbers", BlamesNobody()),
    Mutant("learns_the_same_from_any_partitions", "from 3 partitions", FloatSums()),
    Mutant("learns_the_same_from_any_partitions", "from 3 partitions", FirstPartition()),
    Mutant("same_in_another_process", "its values and learned arrays depend", DependsOnProcess()),
]


# Frames that forget a duty ---------------------------------------------------------------------------------------

Patch = Callable[[pytest.MonkeyPatch], None]


def leaves_strides(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(columns, "as_content", lambda values: ak.to_layout(values, regulararray=True))


def tells_old_form(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stage, "shape_only", lambda stage, events: events)


def forgets_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forms, "empty", lambda events: ak.Array(events.layout.form.length_zero_array())[["run"]])


def forgets_ids(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planning, "reads", lambda step, events, setting: step.uses)


def places_dotted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(columns, "_place", lambda contents, name, new, *rest: contents.__setitem__(name, new))


def numbers_copies_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_step, "composed", lambda copies, label, nth: np.where(nth == 0, copies, nth).astype(np.int64))


def forgets_data_sets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(step_inputs, "dataset_codes", lambda events, dataset: ([dataset or "one"], None))


def counts_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_step, "_count", lambda counts, label, number: None)


def keeps_weights(patch: pytest.MonkeyPatch) -> None:
    written = apply_step.made_columns

    def without_weights(*arguments: Any) -> Any:
        return {name: new for name, new in written(*arguments).items() if name != "weight"}

    patch.setattr(apply_step, "made_columns", without_weights)


def acts_on_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_step, "acting_rows", lambda step, events, setting: None)


def asks_no_ids(patch: pytest.MonkeyPatch) -> None:
    asked = learning.refuse_repeated_ids

    def unheeded(names: Any) -> Iterator[Any]:
        with suppress(RepeatedIds):
            yield from asked(names)

    patch.setattr(learning, "refuse_repeated_ids", unheeded)


def sees_flat_copies_alone(patch: pytest.MonkeyPatch) -> None:
    def copy_numbers(events: ak.Array) -> Any:
        known = "augment_copy" in events.fields
        return np.asarray(events.augment_copy, np.int64) if known else np.zeros(len(events), np.int64)

    for module in (apply_step, step_inputs):
        patch.setattr(module, "copy_numbers", copy_numbers)


def refers_to_what_was_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(eager, "referring", lambda events, result, stage: result)


def keeps_places(patch: pytest.MonkeyPatch) -> None:
    def unchanged(result: ak.Array, base: ak.Array, stamp: str | None, *, later: bool) -> ak.Array:
        return result

    patch.setattr(references, "retold", unchanged)


class FrameMutant(NamedTuple):
    law: str
    says: str
    augmenter: Augmenter
    patch: Patch


FRAME_MUTANTS = [
    FrameMutant("columns_are_contiguous", "'first' comes out strided", JetField(), leaves_strides),
    FrameMutant("form_is_known_before", "the form told before", Feature(), tells_old_form),
    FrameMutant("form_needs_no_rows", "no events give the form", Feature(), forgets_empty),
    FrameMutant("needs_no_other_column", "no column 'run'", Smear(), forgets_ids),
    FrameMutant("same_from_flat_events", "dotted names", JetField(), places_dotted),
    FrameMutant("copies_are_told_apart", "same ids and copy number", Feature(), numbers_copies_alone),
    FrameMutant("data_sets_may_be_mixed", "a data set alone gives another result", Smear(), forgets_data_sets),
    FrameMutant("rows_are_accounted_for", "does not add up", Repeat(n=2), counts_nothing),
    FrameMutant("made_rows_add_no_yield", "other than 0", Repeat(n=2), keeps_weights),
    FrameMutant("weight_is_not_lost", "the sum of 'weight' was", Repeat(n=2), keeps_weights),
    FrameMutant("leaves_test_events_alone", "changes events with split != 0", Smear(), acts_on_all),
    FrameMutant("leaves_test_events_alone", "changes events with split != 0", Repeat(n=2), acts_on_all),
    FrameMutant("leaves_test_events_alone", "makes rows from events", CopiesIntoTraining(n=1), acts_on_all),
    FrameMutant("repeated_ids_are_refused", "stands twice, in two partitions", Centre(), asks_no_ids),
    FrameMutant("refers_to_its_own_event", "Jet.phi differs", Smear(), refers_to_what_was_read),
    FrameMutant("refers_to_its_own_event", "differs", Repeat(n=2), keeps_places),
    FrameMutant("refers_to_its_own_event", "does not have Jet.half", JetField(), refers_to_what_was_read),
    FrameMutant("goes_on_from_parquet", "read by coffea's NanoAODSchema", Feature(), sees_flat_copies_alone),
]
