from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_augment.dataset.layout import decode, encode, file_name, hive_folder, hive_keys, is_staging, staging_folder

HOSTILE = ["", ".", "..", "...", "../../../ESCAPED", "b/c", "a=b", "a%2Fb", "%", "__EMPTY__", "\u00fc \u2192", "nul\0", "a\nb",
           "C:\\x", "-_+.", "~", " "]  # fmt: skip
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(text)
@settings(max_examples=500, deadline=None)
def test_round_trip_and_no_escape(value: str) -> None:
    name = encode(value)
    assert decode(name) == value
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\=\0 \n")
    assert name.isascii()


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile(value: str) -> None:
    assert decode(encode(value)) == value
    assert len(PurePosixPath(encode(value)).parts) == 1
    assert hive_keys(hive_folder({"dataset": value, "s": "1"})) == {"dataset": value, "s": "1"}


@given(text, text)
@settings(max_examples=300, deadline=None)
def test_different_values_have_different_folders(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


def test_readable_names_stay_readable() -> None:
    assert hive_folder({"dataset": "ttbar"}) == "dataset=ttbar"
    assert hive_folder({"dataset": "DY_M-50+jets.v2", "stratum": "3"}) == "dataset=DY_M-50+jets.v2/stratum=3"
    assert hive_folder({}) == ""
    assert hive_keys("") == {}


def test_errors() -> None:
    with pytest.raises(ValueError, match="take it for a missing value"):
        encode("__HIVE_DEFAULT_PARTITION__")
    with pytest.raises(ValueError, match=r"256 letters|2\d\d letters"):
        hive_folder({"dataset": "x" * 250})
    with pytest.raises(ValueError, match="'plain' has no '='"):
        hive_keys("dataset=a/plain")
    assert hive_folder({"dataset": "x" * 247}) == "dataset=" + "x" * 247


def test_staging_is_a_hidden_sibling_that_no_reader_globs() -> None:
    folder = staging_folder(Path("/data/out"), "0123456789abcdef")
    assert folder == Path("/data/.out.staging-0123456789ab")
    assert is_staging(folder.name)
    assert is_staging(folder.name + ".gone-0123456789ab")
    assert not any(map(is_staging, ["out", ".out", ".out.staging-", "x.staging-0123456789ab", ".staging-0123456789ab"]))


def test_numbers_have_one_width() -> None:
    assert file_name(12, 40) == "part-000012.parquet"
    assert file_name(12, 2_000_000) == "part-0000012.parquet"
    assert file_name(999_999, 1_000_000) == "part-999999.parquet"
