"""The laws that every augmenter obeys, for our own and for those of other packages.

In a test of a package that brings augmenters::

    import pytest
    from dask_augment.laws import LAWS, Case

    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    def test_laws(law):
        law(Case(MyAugmenter(...)))

or all at once, ``check(MyAugmenter(...))``. A law says nothing of physics: an augmenter that obeys them all can be run
on any number of partitions, again and elsewhere, with the same result and without harm to a yield.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import awkward as ak

from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.setting import Setting
from dask_augment.events.columns import MissingColumn
from dask_augment.laws import elsewhere, learning, promises, references, rows, spectra
from dask_augment.laws.case import SETTING, Case, LawBroken, case_of
from dask_augment.laws.compare import columns_of
from dask_augment.laws.sample import flattened, sample_events
from dask_augment.plans.registry import as_a_step

__all__ = ["LAWS", "Case", "Held", "Law", "LawBroken", "check", "flattened", "sample_events"]

Law = Callable[[Case], None]
"""A law raises :class:`LawBroken`, with a sentence that says what is broken, or the error of the augmenter itself."""

LAWS: tuple[Law, ...] = (
    promises.says_what_it_is,
    promises.reads_what_it_declares,
    promises.same_again,
    promises.leaves_its_input_alone,
    promises.keeps_its_types,
    promises.keeps_the_counts,
    promises.columns_are_contiguous,
    promises.form_is_known_before,
    promises.form_needs_no_rows,
    promises.needs_no_other_column,
    promises.same_from_flat_events,
    promises.configuration_is_all_of_it,
    rows.same_in_slices,
    rows.same_in_any_order,
    rows.data_sets_may_be_mixed,
    rows.copies_are_told_apart,
    rows.copies_vary,
    rows.rows_are_accounted_for,
    rows.weight_is_not_lost,
    rows.made_rows_add_no_yield,
    rows.leaves_test_events_alone,
    spectra.spectra_stay_on_average,
    learning.learns_the_same_from_any_partitions,
    learning.repeated_ids_are_refused,
    learning.broken_weights_are_refused,
    references.refers_to_its_own_event,
    elsewhere.goes_on_from_parquet,
    elsewhere.same_in_another_process,
)
"""All laws; those that do not concern an augmenter let it pass."""


class Held(tuple[str, ...]):
    """The names of the laws that an augmenter obeys."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{len(self)} laws held: {', '.join(self)}"


def check(
    augmenter: Augmenter,
    events: ak.Array | None = None,
    *,
    seed: int = 1,
    setting: Setting | None = None,
    without: Collection[str] = (),
) -> Held:
    """Hold an augmenter to all the laws; raises :class:`LawBroken`, which says the law and what is broken.

    Returns the names of the laws that held; printed, it says how many there are.

    Parameters
    ----------
    augmenter
        A learner need not have learned. Of a compound each step is held to the laws, after those before it.
    events
        Nested events with the columns that it uses and ids, as ``dask_augment.events.columns.only(events, names)`` takes them
        out of NanoEvents or flat branches; ``weight`` and ``split`` are made where they lack. A few hundred do.
        None: :func:`sample_events`.
    seed
        Of the sample events and of the random numbers.
    setting
        Names of the ids, weights and split of ``events``, where they are others.
    without
        Names of laws that the augmenter breaks on purpose, such as ``weight_is_not_lost``.
    """
    given: object = augmenter
    if not isinstance(given, Augmenter):
        raise TypeError(f"check holds an augmenter to the laws, got {given!r}; {as_a_step(given)}")
    unknown = set(without) - {law.__name__ for law in LAWS}
    if unknown:
        raise ValueError(f"without names no laws: {sorted(unknown)}; there are {[law.__name__ for law in LAWS]}")
    chosen = Setting(seed, SETTING.dataset) if setting is None else setting
    whole = case_of(augmenter, sample_events(seed=seed) if events is None else events, chosen)
    try:
        laws = [law for law in LAWS if law.__name__ not in without]
        for case in whole.apart():
            for law in laws:
                _hold(case, law)
    except MissingColumn as error:
        if events is not None:
            raise
        raise MissingColumn(
            f"{error}; the events that laws are tried on have {', '.join(columns_of(whole.events))}: give your own with "
            "events="
        ) from error
    return Held(law.__name__ for law in laws)


def _hold(case: Case, law: Law) -> None:
    try:
        law(case)
    except LawBroken as broken:
        raise LawBroken(f"{law.__name__}: {broken}") from broken
