from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_augment.contract.draw import Draw
from dask_augment.contract.ids import (
    IdSpans,
    RepeatedIds,
    copy_numbers,
    dataset_codes,
    file_word,
    refuse_repeated_ids,
    row_ids,
)
from dask_augment.events.columns import MissingColumn
from dask_augment.laws.sample import flattened, sample_events

EVENTS = sample_events(60, seed=9)
NAMES = ("run", "luminosityBlock", "event")


@pytest.mark.parametrize("events", [EVENTS, flattened(EVENTS)], ids=["nested", "flat"])
def test_row_ids(events: ak.Array) -> None:
    ids = row_ids(events, NAMES)
    assert list(ids) == list(NAMES)
    for name in NAMES:
        assert ids[name].dtype == np.uint64
        assert ids[name].tolist() == EVENTS[name].to_list()


def test_negative_ids_have_words_too() -> None:
    assert row_ids(ak.Array({"event": [-1, 1]}), ["event"])["event"].tolist() == [2**64 - 1, 1]


def test_row_ids_errors() -> None:
    with pytest.raises(MissingColumn, match=r"'evnt'.* as ids \(now \['evnt'\]\)"):
        row_ids(EVENTS, ["evnt"])
    with pytest.raises(TypeError, match="'HT' must be one integer for each event, it is float32"):
        row_ids(EVENTS, ["HT"])
    with pytest.raises(TypeError, match="one integer for each event"):
        row_ids(EVENTS, ["Jet.pt"])


def test_copy_numbers() -> None:
    assert copy_numbers(EVENTS).tolist() == [0] * 60
    assert copy_numbers(ak.Array({"augment_copy": [0, 7], "augment_kind": [0, 1]})).tolist() == [0, 7]
    with pytest.raises(MissingColumn, match="keep both columns"):
        copy_numbers(ak.Array({"augment_kind": [0, 1]}))


def test_data_sets() -> None:
    assert dataset_codes(EVENTS, "ttbar") == (["ttbar"], None)
    names, codes = dataset_codes(ak.Array({"dataset": ["b", "a", "b"]}), None)
    assert [names[code] for code in codes] == ["b", "a", "b"]
    with pytest.raises(MissingColumn, match="Pass dataset="):
        dataset_codes(EVENTS, None)


def test_file_words_differ() -> None:
    words = {file_word(str(i)) for i in range(1000)}
    assert len(words) == 1000
    assert all(0 <= word < 2**64 for word in words)


def draw_of(rows: list[tuple[int, int, int]], datasets: list[int] | None = None) -> Draw:
    """A draw of rows (run, event, copy)."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    ids = {"run": table[:, 0].astype(np.uint64), "event": table[:, 1].astype(np.uint64)}
    codes = None if datasets is None else np.array(datasets)
    return Draw(1, "x", ["a", "b"], ids, table[:, 2], codes)


def refuse(parts: list[Draw]) -> int:
    """Ask the questions of all parts; the number of questions."""
    questions = refuse_repeated_ids(["run", "event"])
    question, asked = next(questions), 1
    try:
        while True:
            answers: list[Any] = [question.measure(ak.Array([]), part) for part in parts if len(part)]
            question, asked = questions.send(reduce(add, answers)), asked + 1
    except StopIteration:
        return asked


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8), st.integers(0, 1)), min_size=1, max_size=12),
       st.integers(1, 4), st.randoms())  # fmt: skip
@settings(max_examples=200)
def test_repeats_are_found_in_any_partition(rows: list[tuple[int, int, int]], parts: int, random: Any) -> None:
    random.shuffle(rows)
    pieces = [draw_of(rows[i::parts]) for i in range(parts)]
    if len(set(rows)) == len(rows):
        refuse(pieces)
    else:
        with pytest.raises(RepeatedIds):
            refuse(pieces)


def test_one_question_where_spans_are_apart() -> None:
    assert refuse([draw_of([(1, 1, 0), (1, 5, 0)]), draw_of([(1, 6, 0), (2, 1, 0)])]) == 1
    assert refuse([draw_of([(1, 1, 0), (1, 5, 0)]), draw_of([(1, 4, 0), (1, 7, 0)])]) == 2


def test_same_ids_in_two_data_sets_are_two_events() -> None:
    rows = [(1, 1, 0), (1, 1, 0)]
    refuse([draw_of(rows, [0, 1])])
    with pytest.raises(RepeatedIds, match=r"data set 'b' has 2 events with \{'run': 1, 'event': 1\}"):
        refuse([draw_of(rows, [1, 1])])
    with pytest.raises(RepeatedIds):
        refuse([draw_of(rows[:1], [1]), draw_of(rows[:1], [1])])


def test_spans_add_up_in_any_order() -> None:
    spans = [IdSpans().measure(ak.Array([]), draw_of(rows)) for rows in ([(1, 1, 0)], [(1, 3, 0)], [(2, 2, 0)])]
    forth, back = reduce(add, spans), reduce(add, spans[::-1])
    assert {key: sorted(value) for key, value in forth.spans.items()} == {
        key: sorted(value) for key, value in back.spans.items()
    }
    assert forth.overlapping() == frozenset()
