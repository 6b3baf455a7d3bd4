"""Every code block of README and docs runs as it stands, beside real NanoAOD files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import dask
import dask.threaded
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from typer.testing import CliRunner

from dask_augment.cli.commands import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


LONG = ("docs/first_week.md", "docs/frames.md")


@pytest.mark.nano
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page in LONG else []) for page in PAGES if blocks(page, "python")],
)
def test_python_blocks_run(page, nano, tmp_path, monkeypatch):
    if "import dask_awkward" in (ROOT / page).read_text():
        pytest.importorskip("dask_awkward", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    for name in ("nano_tt_v12", "nano_dy"):
        shutil.copy(nano(name), tmp_path / f"{name}.root")
    for text in blocks(page, "yaml"):
        (tmp_path / "plan.yaml").write_text(text)
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(ROOT / page)
    document.namespace["__name__"] = "__main__"  # where a reader would type it
    ran = 0
    # The workers of a client that an earlier test left connected would look for the file in a folder of their own.
    with dask.config.set(scheduler=dask.threaded.get):
        for example in document.examples():
            example.evaluate()
            ran += 1
    assert ran == len(blocks(page, "python"))


def commands(page: str) -> list[str]:
    lines = "".join(blocks(page, "bash")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.strip()]


@pytest.mark.parametrize("command", sorted({command for page in PAGES for command in commands(page)}))
def test_commands_exist(command):
    """make targets exist, and the command line knows every option that is named."""
    program, name, *words = command.split()
    if program == "make":
        assert subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True, check=False).returncode == 0
        return
    assert program == "dask-augment"
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(word in shown.output for word in words if word.startswith("--"))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_example_is_short():
    assert len(blocks("README.md", "python")[0].strip().splitlines()) <= 18
