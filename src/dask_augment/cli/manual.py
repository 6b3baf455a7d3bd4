"""The manual of a step for a terminal: text, formulas and options from its docstring."""

from __future__ import annotations

import contextlib
import inspect
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.configuration import plain
from dask_augment.options import parameters

_EXAMPLE = "Example\n-------\n"
_NEEDED = "needed"


@dataclass(frozen=True)
class Page:
    """The manual of one augmenter."""

    text: str
    """What it does, its paragraphs one line each."""
    options: tuple[tuple[str, str, str], ...]
    """Name, default as a plan would say it, and meaning."""
    example: str
    """Lines of YAML, to copy into the steps of a plan."""


def summary(kind: type[Augmenter]) -> tuple[str, str, str]:
    """What becomes of rows, when it is used, and what it does in a line."""
    rows = "kept" if kind.keeps_rows else f"made ({kind.makes})" if kind.makes else "dropped"
    return rows, kind.use, readable((kind.__doc__ or "").strip().partition("\n")[0])


PURPOSES = ("new columns", "changes for training", "rows that stay", "rows that are made")
"""What steps are for, in the order of :func:`purpose`."""


def purpose(kind: type[Augmenter]) -> str:
    """What a step is for, one of ``PURPOSES``, as far as its promises tell."""
    if kind.makes:
        return PURPOSES[3]
    if not kind.keeps_rows:
        return PURPOSES[2]
    return PURPOSES[1] if kind.use == "training" else PURPOSES[0]


def page(kind: type[Augmenter], name: str) -> Page:
    """What the docstring of an augmenter and its fields say."""
    doc, _, example = (inspect.getdoc(kind) or "").partition(_EXAMPLE)
    text, meanings = _sections(doc)
    known = [entry for entry in fields(kind) if entry.name != "learned"]
    options = tuple((entry.name, _default(entry), meanings.get(entry.name, str(entry.type))) for entry in known)
    lines = inspect.cleandoc(example.strip().removeprefix("::"))
    return Page("\n\n".join(map(readable, _paragraphs(text))), options, lines or _skeleton(name, options))


def _skeleton(name: str, options: Sequence[tuple[str, str, str]]) -> str:
    """A step whose author gave no example: its name, and the options that have no default."""
    needed = ", ".join(f"{option}: ..." for option, default, _ in options if default == _NEEDED)
    return f"- {name}" + (f": {{{needed}}}" if needed else "")


def print_names(out: Console, kinds: Mapping[str, type[Augmenter]]) -> None:
    """A line for each step, by purpose."""
    widest = max(map(len, kinds), default=0)
    for number, title in enumerate(PURPOSES):
        mine = {name: kind for name, kind in kinds.items() if purpose(kind) == title}
        if not mine:
            continue
        out.print(("\n" if number else "") + title, style="bold", highlight=False)
        for name, kind in mine.items():
            out.print(f"  {name:<{widest}}  {summary(kind)[2]}", markup=False, highlight=False, soft_wrap=True)


def print_page(out: Console, name: str, kind: type[Augmenter]) -> None:
    """All that is said of a step."""
    manual = page(kind, name)
    out.print(f"[bold]{name}[/bold]  ({kind.__module__}.{kind.__qualname__})\n", highlight=False)
    out.print(manual.text, highlight=False, markup=False)
    out.print("\nIn a plan", style="bold", highlight=False)
    out.print(f"steps:\n{textwrap.indent(manual.example, '  ')}\n", highlight=False, markup=False, soft_wrap=True)
    table = Table("option", "default", "meaning", title="Options in a plan", show_lines=True)
    for row in manual.options:
        table.add_row(*map(escape, row))
    out.print(table)
    with contextlib.suppress(TypeError, ValueError):
        example = kind()
        makes = (f"{column} ({said or 'of the type it has'})" for column, said in example.produces().items())
        text = f"Reads {', '.join(sorted(example.uses())) or 'no column'}; makes {', '.join(makes) or 'no column'}."
        out.print(text, markup=False, soft_wrap=True)
    rows, use, _ = summary(kind)
    out.print(f"Rows {rows}; use: {use}; event ids {'are' if kind.keyed else 'are not'} read.")


def _default(entry: Any) -> str:
    if entry.default is MISSING and entry.default_factory is MISSING:
        return _NEEDED
    value = entry.default if entry.default is not MISSING else entry.default_factory()
    # One line of YAML; a number or name alone is followed by the mark that a document ends.
    return str(yaml.safe_dump(plain(value), default_flow_style=True, width=10_000)).removesuffix("...\n").strip()


def _sections(doc: str) -> tuple[str, dict[str, str]]:
    """The text without its table of parameters, and what that says of each of them."""
    before, entries, after = parameters(doc)
    meanings = {
        name.strip(" *"): readable(" ".join(text.split()))
        for names, text in entries.items()
        for name in names.split(",")
    }
    return before + re.sub(r"^(\w+)\n-+\n", r"\1:\n", after, flags=re.MULTILINE), meanings


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, each on one line where nothing in it is indented."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        yield paragraph if re.search(r"^\s", paragraph, re.MULTILINE) else " ".join(paragraph.split())


def readable(text: str) -> str:
    """Text without the markup of Sphinx."""
    text = re.sub(r"^\.\. math::\s*(.*)", lambda found: "    " + formula(found[1]), text, flags=re.DOTALL)
    text = re.sub(r":math:`([^`]*)`", lambda found: formula(found[1]), text)
    text = re.sub(r":\w+:`~(?:[\w.]*\.)?(\w+)`", r"\1", text)
    text = re.sub(r":\w+:`([^`]*)`|``([^`]*)``", lambda found: found[1] or found[2], text)
    return re.sub(r"\\([|*_`])", r"\1", text)


_SIGNS = {
    "sum": "Σ", "prod": "Π", "int": "∫", "infty": "∞", "partial": "∂", "nabla": "∇", "hbar": "ħ", "lfloor": "⌊", "rfloor": "⌋",
    "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "ldots": "...", "dots": "...", "varepsilon": "ε",
    "varphi": "φ", "vartheta": "θ", "quad": " ", "qquad": " ", "left": "", "right": "", "!": "", ",": " ", ";": " ", ":": " ",
    " ": " ", "\\": "; ",
}  # fmt: skip
_BETWEEN = {
    "to": "→", "sim": "~", "in": "∈", "times": "×", "cdot": "·", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠",
    "neq": "≠", "approx": "≈", "equiv": "≡", "propto": "∝", "pm": "±", "mp": "∓", "ll": "≪", "gg": "≫", "mid": "|",
    "cup": "∪", "cap": "∩", "subset": "⊂", "bmod": "mod",
}  # fmt: skip
_AS_THEY_ARE = {"text", "mathrm", "mathbf", "mathit", "mathcal", "operatorname", "boldsymbol", "mbox", "textrm"}
_SIMPLE = re.compile(r"[\w.'∞*+-]+")


def formula(tex: str) -> str:
    """A formula of LaTeX as a line of text: ``\\frac{a}{b} \\le \\phi'`` is a/b ≤ φ'."""
    tokens = iter(re.findall(r"\\[a-zA-Z]+|\\.|[^\\]", tex.replace("\n", " ")))
    return " ".join("".join(_pieces(tokens)).split()).replace(" ,", ",")


def _pieces(tokens: Iterator[str]) -> Iterator[str]:
    """The text of tokens up to the end of their group."""
    for token in tokens:
        if token == "}":
            return
        yield _piece(token, tokens)


def _piece(token: str, tokens: Iterator[str]) -> str:
    if token == "{":
        return "".join(_pieces(tokens))
    if token in ("_", "^"):
        return token + _argument(tokens)
    if not token.startswith("\\"):
        return " " if token == "~" else token
    name = token[1:]
    if name in _AS_THEY_ARE:
        return _piece(next(tokens, ""), tokens)
    if name == "frac":
        return f"{_argument(tokens)}/{_argument(tokens)}"
    if name == "sqrt":
        return f"√{_argument(tokens)}"
    if name in _BETWEEN:
        return f" {_BETWEEN[name]} "
    return _SIGNS[name] if name in _SIGNS else _greek(name)


def _argument(tokens: Iterator[str]) -> str:
    """What comes next, in brackets where it is more than a name or a number."""
    token = next(tokens, "")
    while token == " ":
        token = next(tokens, "")
    text = _piece(token, tokens).strip()
    return text if _SIMPLE.fullmatch(text) else f"({text})"


def _greek(name: str) -> str:
    """A Greek letter, else the name of a function: sin, exp, hat."""
    size = "CAPITAL" if name[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}")
    except KeyError:
        return f"{name} "
