"""The documentation, and what stands in more than one file of the project: versions, targets, pins."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import dask_augment
from dask_augment.augmenters import TABLE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

sys.path.insert(0, str(ROOT / "tools"))
try:
    import docs_pages
    import docs_pictures
finally:
    sys.path.pop(0)

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def pinned(name: str) -> dict[str, str]:
    lines = [line.split("==") for line in (ROOT / "constraints" / name).read_text().splitlines() if "==" in line]
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in lines}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return docs_pages.pages()


def test_the_index_names_every_page(made: dict[str, str]) -> None:
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", (DOCS / "index.md").read_text(), re.MULTILINE | re.DOTALL)
    named = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    written = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    ours = {f"made/{name.removesuffix('.md')}" for name in made}
    assert sorted(named) == sorted(written | {name for name in ours if name.count("/") == 1 or name.endswith("/index")})


def test_links_of_made_pages(made: dict[str, str]) -> None:
    there = {(DOCS / "made" / name).resolve() for name in made}
    there |= {(DOCS / "made" / "steps" / f"{name}.png").resolve() for name in docs_pictures.PICTURES}
    for name, text in made.items():
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
            path = (DOCS / "made" / name).parent / target
            assert path.resolve() in there or path.resolve().exists(), f"{name}: {target}"


def test_every_step_has_a_page_and_a_picture(made: dict[str, str]) -> None:
    assert {f"steps/{name}.md" for name in TABLE} < set(made)
    assert docs_pictures.PICTURES.keys() | docs_pictures.NOT_DRAWN.keys() == set(TABLE)
    assert not docs_pictures.PICTURES.keys() & docs_pictures.NOT_DRAWN.keys()


def test_a_step_page_is_its_manual(made: dict[str, str]) -> None:
    page = made["steps/repeat.md"]
    assert "autoclass:: dask_augment.Repeat" in page
    assert "steps:\n  - repeat: {n: " in page
    assert "- `n`" in page
    assert "`da.Repeat(n=2)`" in page


def test_all_public_names_are_told(made: dict[str, str]) -> None:
    assert [
        name for name in dask_augment.__all__ if not re.search(rf"\b{name}\b", made["api.md"] + "__version__")
    ] == []


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    docs_pictures.PICTURES["select"].draw(tmp_path / "select.png")
    assert (tmp_path / "select.png").read_bytes().startswith(b"\x89PNG")


def test_sections_are_left_out() -> None:
    doc = "One.\n\nParameters\n----------\na, b\n    Two\n    lines.\n\n    More.\nc\n    Last.\n\nText.\n\nExample\n-------\n::\n\n    - x"
    assert docs_pages.without_sections(doc.splitlines(), {"Parameters", "Example"}) == ["One.", "", "Text.", ""]
    assert "\n".join(docs_pages.without_sections(doc.splitlines(), {"Other"})) == doc


def test_markup_is_shown_as_it_is() -> None:
    assert docs_pages.plain("w_i * |x| <b>") == r"w\_i \* \|x\| \<b\>"


def test_one_version() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/dask_augment/__init__.py"
    assert str(loaded("CITATION.cff")["version"]) == dask_augment.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## Unreleased" in changelog or f"## {dask_augment.__version__}" in changelog


def test_one_licence_and_title() -> None:
    citation = loaded("CITATION.cff")
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["title"] == PROJECT["project"]["name"]
    assert citation["url"] == PROJECT["project"]["urls"]["Documentation"]


def test_the_workflow_runs_what_ci_runs() -> None:
    (job,) = loaded(".github/workflows/check.yaml")["jobs"].values()
    targets = job["strategy"]["matrix"]["target"]
    groups = re.search(r"for group in (.*); do", (ROOT / ".ci/run").read_text())
    assert groups is not None
    assert set(targets) == {*groups[1].split(), "docs"} - {"env"}
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(targets) <= set(phony[1].split())


def test_hooks_have_the_pinned_ruff() -> None:
    (ruff,) = (repo for repo in loaded(".pre-commit-config.yaml")["repos"] if "ruff" in repo["repo"])
    assert ruff["rev"] == f"v{pinned('full.txt')['ruff']}"


def test_pins_of_the_documentation() -> None:
    full, docs = pinned("full.txt"), pinned("docs.txt")
    assert not full.keys() & docs.keys()
    needed = {re.split(r"[<>=!~ \[]", entry)[0] for entry in PROJECT["dependency-groups"]["docs"]}
    assert needed <= full.keys() | docs.keys()


def test_read_the_docs_builds_them() -> None:
    config = loaded(".readthedocs.yaml")
    assert (ROOT / config["sphinx"]["configuration"]).is_file()
    assert config["sphinx"]["fail_on_warning"] is True
    (install,) = (line for line in config["build"]["jobs"]["install"] if "--group" in line)
    makefile = (ROOT / "Makefile").read_text()
    assert "-c $(PINS) -c $(DOCS_PINS) -e . --group docs" in makefile
    assert re.findall(r"constraints/\S+", install) == [
        re.search(rf"^{name} := (\S+)", makefile, re.MULTILINE)[1] for name in ("PINS", "DOCS_PINS")
    ]
