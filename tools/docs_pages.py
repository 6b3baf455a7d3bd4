"""Make the pages of the documentation that say what the code says: each step, the gallery, the public names, examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import docs_pictures

import dask_augment
from dask_augment.augmenters import TABLE
from dask_augment.cli import manual
from dask_augment.contract.augmenter import Augmenter
from dask_augment.plans import registry

ROOT = Path(__file__).parents[1]

INCLUDED = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
    "shipped": "src/dask_augment/data/README.md",
}
"""Pages that are files of the project."""

WHAT_IS_DRAWN = """Each picture is what `da.preview` draws: some columns before and after the step, and for one that
changes rows their numbers in, dropped, made and out. The events are random, or come with the package."""

_MARKS = re.compile(r"([\\`*_<>\[\]|{}$#~])")


def steps() -> Mapping[str, type[Augmenter]]:
    """Our own steps by name: what else is installed beside us is no part of these pages."""
    return {name: registry.get(name) for name in sorted(TABLE)}


def pages() -> dict[str, str]:
    """All pages that are made: file name -> text."""
    made = {f"steps/{name}.md": step_page(name, kind) for name, kind in steps().items()}
    made |= {"steps/index.md": gallery(), "api.md": api(), "examples.md": examples()}
    return made | {f"{name}.md": included(ROOT / file) for name, file in INCLUDED.items()}


def write(folder: Path) -> None:
    """Write all pages and pictures into the folder; a page that stays the same is left alone."""
    (folder / "steps").mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    docs_pictures.draw_all(folder / "steps")


def step_page(name: str, kind: type[Augmenter]) -> str:
    """The manual of a step, as ``dask-augment show`` tells it, with its formulas and its picture."""
    page = manual.page(kind, name)
    rows, use, _ = manual.summary(kind)
    lines = [
        f"# `{name}`\n",
        f"Rows {rows}; use: {use}; event ids {'are' if kind.keyed else 'are not'} read.\n",
        directive("autoclass", f"dask_augment.{kind.__name__}"),
        *picture(name),
        "## In a plan\n",
        f"```yaml\nsteps:\n{_indented(page.example)}\n```\n",
        "## Options\n",
        *(
            f"- `{option}`"
            + (", needed: " if default == "needed" else f", unless given `{default}`: ")
            + plain(meaning)
            for option, default, meaning in page.options
        ),
    ]
    return "\n".join(lines) + "\n"


def picture(name: str) -> Iterator[str]:
    """The lines of a page that show a step before and after, or say where to look."""
    if name in docs_pictures.NOT_DRAWN:
        yield f"{docs_pictures.NOT_DRAWN[name]}\n"
    else:
        yield f"![Before and after {name}]({name}.png)\n"
        yield f"`{docs_pictures.PICTURES[name].said()}`\n"


def gallery() -> str:
    """All steps by what they are for, with a line and a picture of each."""
    lines = ["# Every step\n", f"{WHAT_IS_DRAWN}\n"]
    for purpose in manual.PURPOSES:
        lines.append(f"## {purpose.capitalize()}\n")
        for name, kind in steps().items():
            if manual.purpose(kind) == purpose:
                lines += [f"### [{name}]({name}.md)\n", f"{plain(manual.summary(kind)[2])}\n"]
                lines += [f"![Before and after {name}]({name}.png)\n"] if name in docs_pictures.PICTURES else []
    names = "\n".join(steps())
    return "\n".join([*lines, f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"])


def api() -> str:
    """The public names: classes and functions by themselves, steps by links to their pages."""
    pages = {kind.__name__: name for name, kind in steps().items()}
    mine = sorted(set(dask_augment.__all__) - {"__version__", *pages})
    classes = [name for name in mine if inspect.isclass(getattr(dask_augment, name))]
    lines = ["# Public names\n", "All of them are names of `dask_augment`.\n", "## Functions\n"]
    lines += [directive("autofunction", f"dask_augment.{name}") for name in mine if name not in classes]
    lines += [directive("autofunction", "dask_augment.laws.check"), "## Classes\n"]
    lines += [directive("autoclass", f"dask_augment.{name}", ":members:") for name in classes]
    lines += ["## Steps\n", *(f"- [{name}](steps/{pages[name]}.md)" for name in sorted(pages))]
    return "\n".join(lines) + "\n"


def examples() -> str:
    """The files of examples/, as they are."""
    lines = [
        "# Examples\n",
        "{download}`tutorial.ipynb <../../examples/tutorial.ipynb>`: from generated events to a tagger.\n",
    ]
    files = [file.name for file in sorted((ROOT / "examples").iterdir()) if file.suffix in {".py", ".yaml", ".json"}]
    lines += [f"## {file}\n\n```{{literalinclude}} ../../examples/{file}\n```\n" for file in files]
    return "\n".join(lines)


def included(file: Path) -> str:
    """The text of a file of the project, its links as they lead from its page."""
    return file.read_text(encoding="utf-8").replace("](docs/", "](../")


def directive(kind: str, name: str, *options: str) -> str:
    """A directive of autodoc in a page of Markdown."""
    return "\n".join(["```{eval-rst}", f".. {kind}:: {name}", *(f"   {option}" for option in options), "```", ""])


def plain(text: str) -> str:
    """A text without markup, so that Markdown shows it as it is."""
    return _MARKS.sub(r"\\\1", text)


def without_sections(lines: Sequence[str], titles: Collection[str]) -> list[str]:
    """A docstring without the sections of these titles."""
    kept: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        if line in titles and after.startswith("---"):
            inside = True
        elif inside and line and not line.startswith((" ", "---")) and not after.startswith(" ") and line != "::":
            inside = False  # neither a name with its meaning below it, nor part of one
        if not inside:
            kept.append(line)
    return kept


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
