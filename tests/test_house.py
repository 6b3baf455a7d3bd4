"""House rules that a script can check. ``make public-names`` writes the list of public names anew."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import budget

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PUBLIC_NAMES = Path(__file__).with_name("public_names.json")
MOST_LINES_IN_A_FILE = 350
MOST_LINES_IN_A_FUNCTION = 60

# Texts stand on their own: no machine's paths, no tracker's numbers, no promises to finish later.
UNWANTED = re.compile(r"/work/|/tmp/|/home/\w|/root/|\bissues? #|\bDESIGN\.md|\bTODO\b|\bFIXME\b|\bXXX\b|\bAI\b")
TEXTS = {".cfg", ".ini", ".json", ".md", ".py", ".rst", ".sh", ".toml", ".txt", ".yaml", ".yml"}
FOLDERS = ["benchmarks", "constraints", "docs", "examples", "src", "tests", "tools"]
MOST_BYTES_IN_A_FILE = 3_000_000

USES_DASK = re.compile(r'^ *(import|from) (dask|distributed)\b|importorskip\("dask\.|\bclient: Any', re.MULTILINE)
NOT_ON_THE_NEWEST = {
    "tests/augmenters/test_fast_sim_sample.py", "tests/augmenters/test_phi_rotate.py", "tests/fault/test_memory.py",
    "tests/frames/test_dask_awkward.py", "tests/frames/test_references.py", "tests/generator/test_jobs.py",
    "tests/whole/test_one_hash_after_death.py",
}  # fmt: skip
"""Their tests that use Dask are slow ones, or use dask-awkward as well."""


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def long_functions(source: str) -> list[str]:
    """The functions of a module that are too long, decorators and docstring not counted."""
    found = []
    for node in functions(ast.parse(source)):
        first = node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
        lines = (node.end_lineno or 0) - first.lineno + 1
        if lines > MOST_LINES_IN_A_FUNCTION:
            found.append(f"{node.name} has {lines} lines")
    return found


def class_hooks(source: str) -> list[str]:
    """What acts when a class is made: metaclasses and ``__init_subclass__``.

    cloudpickle makes classes anew on a worker, so a registry filled that way differs between processes.
    """
    tree = ast.parse(source)
    hooks = [node.name for node in functions(tree) if node.name == "__init_subclass__"]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            hooks += [f"{node.name}(metaclass=...)" for keyword in node.keywords if keyword.arg == "metaclass"]
            hooks += [f"{node.name}(type)" for base in node.bases if isinstance(base, ast.Name) and base.id == "type"]
    return hooks


def texts() -> list[Path]:
    """The project's own text files, this one left out: it names what is unwanted; what a demo left here is not ours."""
    left = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name not in left]
    for folder in FOLDERS:
        files += (ROOT / folder).rglob("*")
    return sorted(path for path in files if path.suffix in TEXTS and path != Path(__file__) and path.is_file())


def forgotten(tests: Mapping[str, str], named: str) -> list[str]:
    """Files of tests that use Dask, and are not among the names of those that run on the newest one."""
    there = {name.partition("::")[0] for name in named.split()}
    return sorted(name for name, text in tests.items() if USES_DASK.search(text) and name not in there)


def unwanted(text: str) -> list[str]:
    """The lines with words that do not belong in the project, with their numbers."""
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if UNWANTED.search(line)]


def tracked() -> dict[str, int]:
    """The files that git has, by their paths below the root, and their bytes."""
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return {name: (ROOT / name).lstat().st_size for name in names if (ROOT / name).is_file()}


def strays(files: Mapping[str, int]) -> list[str]:
    """Files that are too large for a repository, or in a folder at its root that is not the project's."""
    known = {*FOLDERS, ".ci", ".github"}
    found = [f"{name} has {size:,} bytes" for name, size in files.items() if size > MOST_BYTES_IN_A_FILE]
    heads = {name.partition("/")[0] for name in files if "/" in name}
    return found + [f"{head}/ is no folder of the project" for head in sorted(heads - known)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_file(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    length = source.count("\n")
    assert length <= MOST_LINES_IN_A_FILE
    assert long_functions(source) == []
    assert class_hooks(source) == []


def test_words() -> None:
    found = {str(path.relative_to(ROOT)): unwanted(path.read_text(encoding="utf-8")) for path in texts()}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a copy of the files, without their history")
def test_nothing_strays_into_the_repository() -> None:
    files = tracked()
    assert "pyproject.toml" in files
    assert strays(files) == []


def test_the_dearest_files_are_there() -> None:
    """Those that are run first, so that the last ones are short."""
    assert [name for name in budget.DEAREST if not (ROOT / "tests" / name).is_file()] == []


def test_what_uses_dask_is_tried_on_the_newest() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (named,) = re.findall(r"^DASK_TESTS := (.*)$", makefile, re.MULTILINE)
    files = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")}
    assert set(forgotten(files, named)) == NOT_ON_THE_NEWEST
    assert [name for name in named.split() if name.partition("::")[0] not in files] == []


def test_public_names() -> None:
    import dask_augment

    assert sorted(dask_augment.__all__) == json.loads(PUBLIC_NAMES.read_text()), "run `make public-names` if meant"
    assert [name for name in dask_augment.__all__ if not hasattr(dask_augment, name)] == []
    assert set(dask_augment.__all__) <= set(dir(dask_augment))


def test_rules_refuse() -> None:
    body = "\n".join(["    x = 1"] * (MOST_LINES_IN_A_FUNCTION + 1))
    assert long_functions(f"def f():\n    '''Doc.'''\n{body}") == [f"f has {MOST_LINES_IN_A_FUNCTION + 1} lines"]
    assert long_functions(f"def f():\n{body[10:]}") == []
    assert class_hooks("class A(metaclass=M): ...") == ["A(metaclass=...)"]
    assert class_hooks("class M(type): ...") == ["M(type)"]
    assert class_hooks("class A:\n    def __init_subclass__(cls): ...") == ["__init_subclass__"]
    assert class_hooks("class A(ABC): ...") == []
    assert unwanted("fine\nsee issue #7") == ["2: see issue #7"]
    assert forgotten(
        {"a.py": "import dask", "b.py": "import dask_augment", "c.py": "  from dask.x import y"}, "a.py::t"
    ) == ["c.py"]
    assert strays({"README.md": 9, "src/a.py": MOST_BYTES_IN_A_FILE}) == []
    assert strays({"src/a.root": 3_000_001}) == ["src/a.root has 3,000,001 bytes"]
    assert strays({"tmp1a/out/.ours-2.staging-1/b": 1}) == ["tmp1a/ is no folder of the project"]


if __name__ == "__main__":
    import dask_augment

    PUBLIC_NAMES.write_text(json.dumps(sorted(dask_augment.__all__), indent=2) + "\n")


def test_our_columns_have_one_home() -> None:
    """Names of columns that steps write about rows stand in own_columns.py alone, and everyone imports them."""
    named = re.compile(r"[\"'](augment_(kind|copy|changed|base|other|share)\w*|train_weight)[\"']")
    found = {path.name for path in SOURCES if named.search(path.read_text(encoding="utf-8"))}
    assert found == {"own_columns.py"}


def test_steps_have_no_hooks_but_those_declared() -> None:
    """Nobody asks a step for what its contract does not name: getattr with a name in quotes."""
    asked = re.compile(r"getattr\((?:\w+\.)*(?:augmenter|step|learner|ready|inner|part)\b,\s*[\"']")
    assert {path.name for path in SOURCES if asked.search(path.read_text(encoding="utf-8"))} == set()
    assert asked.search('getattr(step.augmenter, "weights", ())')
