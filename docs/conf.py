"""How Sphinx builds these pages: ``make docs``. Nothing is fetched while they are built, nor when they are read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

import dask_augment

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tools"))
import docs_pages

project = "dask-augment"
author = copyright = "The dask-augment developers"
version = release = dask_augment.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"{project} {release}"
html_math_renderer = "mathml"
pygments_style = "friendly"
pygments_dark_style = "native"

smartquotes = False  # quotes in texts are those of code
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = False

LINKS = {"(../examples)": "(made/examples.md)", "(../src/dask_augment/data/README.md)": "(made/shipped.md)"}
"""What pages say of files outside this folder, where they are read as files -> the page made of it."""


def led_to_pages(app: Any, name: str, source: list[str]) -> None:
    """Links to files outside this folder, as links to the pages made of them."""
    for link, target in LINKS.items():
        source[0] = source[0].replace(link, target)


def without_options(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """The docstring of a step without what its page says in its own way: options, and the example of a plan."""
    if thing in docs_pages.steps().values():
        lines[:] = docs_pages.without_sections(lines, {"Parameters", "Example"})


def math(self: Any, node: Any) -> None:
    """A formula of a line as MathML, which browsers draw by themselves."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def math_block(self: Any, node: Any) -> None:
    """A formula of its own as MathML."""
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Make the pages that are made, and tell Sphinx of the above."""
    docs_pages.write(HERE / "made")
    app.connect("source-read", led_to_pages)
    app.connect("autodoc-process-docstring", without_options, priority=400)  # before napoleon reads the sections
    app.add_html_math_renderer("mathml", (math, None), (math_block, None))
