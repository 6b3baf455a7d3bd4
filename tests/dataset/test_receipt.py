from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_augment.contract.account import Account
from dask_augment.dataset.hashing import LogicalHash
from dask_augment.dataset.receipt import Part, Receipt, Written, check_account, to_json

numbers = st.integers(0, 2**60)
names = st.text(max_size=8)
sums = st.dictionaries(
    names, st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e300)), max_size=3
)
counts = st.dictionaries(names, numbers, max_size=3)
accounts = st.builds(
    Account,
    numbers,
    numbers,
    counts,
    counts,
    sums,
    sums,
    st.dictionaries(names, st.floats(0, 9)),
    counts,
    numbers,
    sums,
)
hashes = st.builds(LogicalHash, numbers, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
files = st.lists(st.builds(Written, names, names, numbers, numbers, names, hashes), max_size=3).map(tuple)


@given(st.builds(Receipt, names, names, files, accounts, names, counts, st.dictionaries(names, names), names, numbers))
def test_json_round_trip_is_exact_and_deterministic(receipt: Receipt) -> None:
    text = receipt.to_json()
    assert Receipt.from_json(text) == receipt
    assert Receipt.from_json(text).to_json() == text
    assert to_json(json.loads(text)) == text
    for wrong in (text.replace('"pid":', '"pid":1'), text[:-1]):
        with pytest.raises(ValueError, match=r"not a receipt|Expecting"):
            Receipt.from_json(wrong)
    assert receipt.rows == sum(file.rows for file in receipt.files)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"part": 1}', '{"files": [], "account": {}}'])
def test_not_a_receipt(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a receipt|Expecting"):
        Receipt.from_json(text)


def test_the_id_of_a_part_is_its_input() -> None:
    one = Part.of("tt", {"file": "a", "start": 0})
    assert one == Part.of("tt", {"start": 0, "file": "a"})
    assert one.id == "6714afb069c1067aef1c9fb76b70f485"
    assert len({one.id, Part.of("dy", one.input).id, Part.of("tt", {"file": "a", "start": 1}).id}) == 3
    assert Part.from_dict(json.loads(to_json(one.to_dict()))) == one


def test_json_is_strict() -> None:
    assert to_json({"b": [1, 0.1], "a": "\u00fc"}) == '{"a":"\u00fc","b":[1,0.1]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"a": math.nan})


def test_check_account() -> None:
    good = Account(rows_in=5, rows_out=7, dropped={"cut": 1}, made={"copy": 3}, weights_in={"w": (1.0, 2.0)})
    check_account(good, 7, "x")
    with pytest.raises(ValueError, match="of part 3 does not add up: 5 rows in, 1 dropped, 3 made, 7 out, 6 written"):
        check_account(good, 6, "part 3")
    lost = Account(rows_in=5, rows_out=7, dropped={"cut": 1}, made={"copy": 2})
    with pytest.raises(ValueError, match="of part 3 does not add up: 5 rows in, 1 dropped, 2 made, 7 out, 7 written"):
        check_account(lost, 7, "part 3")
    good.weights_in["w"] = (math.inf, 2.0)
    with pytest.raises(ValueError, match="'w' of part 3"):
        check_account(good, 7, "part 3")
