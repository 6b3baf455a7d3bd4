"""tools/mutants.py: all its mutants apply, it never touches the checkout, and two are killed for real."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dask_augment"


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants_tool", ROOT / "tools" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOL = tool()
KNOWN: dict[str, Any] = TOOL.mutants()


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_mutant_applies(name: str) -> None:
    """Its old text stands once in its file, what it becomes is Python, and its tests are there."""
    mutant = KNOWN[name]
    compile(mutant.changed(PACKAGE), str(mutant.file), "exec")
    for test in mutant.tests:
        file, *function = test.split("::")
        assert (ROOT / file).is_file()
        assert not function or f"def {function[0].partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")


def test_a_change_that_does_not_apply_names_its_mutant() -> None:
    mutant = KNOWN["iid_no_seed"]
    for old, times in (("nowhere to be found", 0), ("number", r"\d+")):
        with pytest.raises(TOOL.CannotRun, match=rf"iid_no_seed: its old text stands {times} times in {mutant.file}"):
            replace(mutant, old=old).changed(PACKAGE)
    with pytest.raises(TOOL.CannotRun, match=r"iid_no_seed: there is no file sampling/elsewhere.py .*\[files\]"):
        replace(mutant, file=Path("sampling/elsewhere.py")).changed(PACKAGE)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('says="a"\nfile="f"\nold="a"\nnew="a"\ntests=["t"]', "odd: it changes nothing"),
        ('says="a"\nfile="f"\nold="a"\nnew="b"\ntests=[]', "odd: .*names no tests"),
        ('says="a"\nfile="f"\nold="a"\ntests=["t"]', "odd: it must have .*'new'"),
        ('says="a"\nfile="f"\nold="a"\nnew="b"\ntests=["u"]', r"odd: 'u' is not in \[tests\]"),
        ('says="a"\nfile="g"\nold="a"\nnew="b"\ntests=["t"]', r"odd: .*'g' not in \[files\]"),
    ],
)
def test_a_table_that_is_wrong(entry: str, words: str, tmp_path: Path) -> None:
    table = tmp_path / "mutants.toml"
    table.write_text(f'[files]\nf="f.py"\n[tests]\nt="test_f.py"\n[mutants.odd]\n{entry}\n', encoding="utf-8")
    with pytest.raises(TOOL.CannotRun, match=words):
        TOOL.mutants(table)


def test_the_choice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def noted(some: Any) -> bool:
        asked.append([mutant.name for mutant in some])
        return len(some) < 5

    monkeypatch.setattr(TOOL, "tried", noted)
    assert TOOL.main(["--random", "4", "--seed", "1"]) == TOOL.main(["--random", "4", "--seed", "1"]) == 0
    assert TOOL.main(["--random", "5", "--seed", "2"]) == TOOL.main(["--all"]) == 1
    assert asked[0] == asked[1] != asked[2][:4]
    assert asked[3] == list(KNOWN)
    assert TOOL.main(["iid_no_seed", "enn_ties"]) == 0
    assert asked[-1] == ["iid_no_seed", "enn_ties"]
    assert TOOL.main(["nobody"]) == 2
    assert "there is no mutant 'nobody'" in capsys.readouterr().err
    assert TOOL.main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(KNOWN)


def test_a_run_tells_killed_from_survived(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant survives if any of its tests passes with it; where tests fail without it, nothing is said."""
    one, other = (
        KNOWN["iid_no_seed"],
        replace(KNOWN["enn_ties"], tests=("tests/cli/test_commands.py", "tests/contract/test_draw.py")),
    )
    seen: list[str] = []

    def run(tests: list[str], source: Path) -> tuple[int, str]:
        mutated = source != ROOT / "src"
        if mutated:
            seen.append((source / "dask_augment/sampling/allotment.py").read_text(encoding="utf-8"))
        return int(mutated and tests != ["tests/contract/test_draw.py"]), "printed"

    monkeypatch.setattr(TOOL, "run", run)
    assert TOOL.tried([one])
    assert one.new in seen[0]
    assert one.new not in (PACKAGE / one.file).read_text(encoding="utf-8")
    assert not TOOL.tried([one, other])
    assert "1 of 2 killed; survived: enn_ties" in capsys.readouterr().out
    monkeypatch.setattr(TOOL, "run", lambda tests, source: (1, "1 failed"))
    with pytest.raises(TOOL.CannotRun, match=r"(?s)fails without any change.*1 failed"):
        TOOL.tried([one])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_are_killed_and_a_harmless_change_is_not() -> None:
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in PACKAGE.rglob("*.py")}
    assert TOOL.main(["iid_no_seed", "train_rows_test_too"]) == 0
    harmless = replace(KNOWN["iid_no_seed"], new="seed = int(np.bitwise_xor.reduce(keys)) + 0")
    assert TOOL.survives(harmless)
    with pytest.raises(TOOL.CannotRun, match="pytest ends with code 4"):
        TOOL.survives(replace(harmless, tests=("tests/test_nowhere.py",)))
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in PACKAGE.rglob("*.py")}
