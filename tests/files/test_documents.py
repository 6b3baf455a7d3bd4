"""YAML and JSON: what would be lost or read otherwise than it was meant is refused in one sentence."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from dask_augment.files.documents import PlanError, read_json, read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]\n" for i in range(1, 9)
)
YAML_ERRORS = {
    "key twice": ("seed: 7\nsteps: []\nseed: 8\n", r"'seed' stands twice in one place, in lines 1 and 3"),
    "key twice in a flow map": ("a:\n  {x: 1, y: 2, x: 1}", r"'x' stands twice in one place, in lines 2 and 2"),
    "key twice in a list": ("- b: 1\n  b: 2", r"'b' .* in lines 1 and 2"),
    "key twice, once in quotes": ("'a': 1\na: 2", r"'a' .* in lines 1 and 2"),
    "two merges": ("<<: {x: 1}\n<<: {y: 2}", r"'<<' .* in lines 1 and 2"),
    "one key of two that are merged": ("b: &b {x: 1}\nd: &d {x: 2}\nc: {<<: [*b, *d]}", r"'x' .* in lines 1 and 2"),
    "octal": ("seed: 010", r"line 1: 010 is an octal number for some and a decimal one for others: write it in quotes"),
    "octal as key": ("a: 1\n0012: 1", "line 2: 0012 is an octal"),
    "no octal": ("a: 089", "line 1: 089 is an octal"),
    "octal of YAML 1.2": ("a: 0o10", "octal for some and text for others"),
    "yes": ("a: yes", "yes is true or false for some and text for others"),
    "Off": ("a: [1, Off]", "Off is true or false"),
    "time": ("a: 12:30:00", "12:30:00 is a number to the base 60 for some"),
    "date": ("a: 2020-01-01", "2020-01-01 is a date for some"),
    "anchor twice": ("a: &x 1\nb: &x 2", "duplicate anchor 'x'"),
    "list in itself": ("a: &a [1, *a]", "line 1: an alias refers to a value that contains it"),
    "map in itself": ("a: &a {b: {c: *a}}", "an alias refers to a value that contains it"),
    "aliases of aliases": (BOMB, "its aliases come to more than 2,000,000 values"),
    "brackets": ("[" * 5000, "nested too deep"),
    "deep and whole": ("[" * 150 + "]" * 150, "nested too deep"),
    "NUL": ("a: \0", "is not YAML: unacceptable character"),
    "code": ("!!python/object/apply:os.getcwd []", "is not YAML: could not determine a constructor"),
    "list as key": ("? [1]\n: 2", "is not YAML: .*unhashable key"),
    "very long number": ("a: " + "9" * 5000, "Exceeds the limit"),
}


@pytest.mark.parametrize("case", YAML_ERRORS)
def test_yaml_that_is_refused(case: str, tmp_path: Path) -> None:
    text, sentence = YAML_ERRORS[case]
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(PlanError, match=sentence) as error:
        read_yaml(tmp_path / "plan.yaml")
    assert "\n" not in str(error.value)
    assert "plan.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e3", {"a": 1000.0}),
        ("a: -1E-3", {"a": -0.001}),
        ("a: 1_000", {"a": 1000}),
        ("a: [0, 0.5, 10, '010', 'yes', \"12:30\", f.py:g]", {"a": [0, 0.5, 10, "010", "yes", "12:30", "f.py:g"]}),
        ("b: &b {x: 1, z: 3}\nc: {<<: *b, x: 2}", {"b": {"x": 1, "z": 3}, "c": {"x": 2, "z": 3}}),
        ("a: &a [1]\nb: [*a, *a]", {"a": [1], "b": [[1], [1]]}),
        ("a: {x: 1}\nb: {x: 1}", {"a": {"x": 1}, "b": {"x": 1}}),
        ("", None),
    ],
)
def test_yaml_that_is_read(text: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    assert read_yaml(tmp_path / "plan.yaml") == value


JSON_ERRORS = {
    "key twice": (
        b'{"tt": 1,\n "b": {"x": 1,\n\n "x": 2}}',
        r"the key 'x' stands twice in one place, in lines 2 and 4",
    ),
    "key twice, with brackets in texts": (
        b'{"a": "{\\"a\\": [", "b": [{"c": 1}, {"c": 2}],\n"a": 2}',
        "'a' .* lines 1 and 2",
    ),
    "key twice, written in two ways": (b'{"a": 1, "\\u0061": 2}', "'a' stands twice"),
    "brackets": (b"[" * 100_000, "nested too deep"),
    "cut short": (gzip.compress(b'{"a": 1}' * 1000)[:-5], "cannot be read: Compressed file ended"),
    "no gzip": (b"\x1f\x8bxxxxxxxx", "cannot be read"),
    "no JSON": (b"{", "is not JSON: Expecting property name"),
    "not UTF-8": (b'{"a": "\xe9"}', "cannot be read: it is not UTF-8 text"),
    "very long number": (b"[" + b"9" * 5000 + b"]", "is not JSON: Exceeds the limit"),
}


@pytest.mark.parametrize("case", JSON_ERRORS)
def test_json_that_is_refused(case: str, tmp_path: Path) -> None:
    data, sentence = JSON_ERRORS[case]
    (tmp_path / "fileset.json").write_bytes(data)
    with pytest.raises(PlanError, match=sentence) as error:
        read_json(tmp_path / "fileset.json")
    assert "\n" not in str(error.value)


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plan .* cannot be read: embedded null"):
        read_yaml("a\0b")
    with pytest.raises(PlanError, match=r"fileset .* cannot be read: Is a directory"):
        read_json(tmp_path)
    with pytest.raises(PlanError, match=r"fileset .* is not there"):
        read_json(tmp_path / "gone")
