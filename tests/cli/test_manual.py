"""The manual of a step as a terminal shows it: no markup, formulas as text, and every option with its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pytest
import yaml

from dask_augment import Augmenter
from dask_augment.augmenters import TABLE
from dask_augment.cli.manual import formula, page, purpose, readable, summary
from dask_augment.plans import registry

FORMULAS = {
    r"\phi \to \phi + \alpha, \quad \alpha \sim U[0, 2\pi) \text{, the same}": "φ → φ + α, α ~ U[0, 2π), the same",
    r"w_i' = w_i \, \frac{\sum_{j \in h} w_j}{N_h}": "w_i' = w_i (Σ_(j ∈ h) w_j)/N_h",
    r"\lfloor M_h / N_h \rfloor \bmod 2": "⌊ M_h / N_h ⌋ mod 2",
    r"\mathrm{clip}\!\left(\frac{R\,p_T}{2m},\; z_{min}\right)": "clip((R p_T)/2m, z_min)",
    r"\sqrt{x^2 + y^2} \le \Delta\lambda": "√(x^2 + y^2) ≤ Δλ",
    r"\frac12 \sin \theta": "1/2 sin θ",
    r"a_{": "a_()",
    r"\unknown{x}": "unknown x",
}


@pytest.mark.parametrize("tex", FORMULAS)
def test_formula(tex: str) -> None:
    assert formula(tex) == FORMULAS[tex]


def test_text() -> None:
    assert readable("Of :math:`N_h` events, ``x`` is a :class:`~a.b.Thing` or :func:`a.f` of \\|w\\|.") == (
        "Of N_h events, x is a Thing or a.f of |w|."
    )
    assert readable(".. math:: a\n    + b") == "    a + b"


@dataclass(frozen=True, kw_only=True, eq=False)
class Toy(Augmenter):
    """Do ``nothing`` at all.

    Two lines
    of one paragraph.

    Parameters
    ----------
    low, high
        Bounds [GeV] of
        ``x``.

        And more of them.
    names
        Some names.

    Columns: none.

    Raises
    ------
    ValueError
        Never.
    """

    low: float = 0.5
    high: float
    names: tuple[str, ...] = ("a", "b")
    said: str | None = None

    def uses(self) -> frozenset[str]:
        return frozenset()

    def produces(self) -> Mapping[str, str | None]:
        return {}

    def apply(self, events: Any, draw: Any) -> Any:
        raise NotImplementedError


def test_page() -> None:
    manual = page(Toy, "toy")
    assert manual.text == (
        "Do nothing at all.\n\nTwo lines of one paragraph.\n\nColumns: none.\n\nRaises:\nValueError\n    Never."
    )
    meaning = "Bounds [GeV] of x. And more of them."
    assert manual.options == (
        ("low", "0.5", meaning),
        ("high", "needed", meaning),
        ("names", "[a, b]", "Some names."),
        ("said", "null", "str | None"),
    )
    assert manual.example == "- toy: {high: ...}", "what has no default"
    assert summary(Toy) == ("kept", "always", "Do nothing at all.")


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_step_has_a_readable_manual(name: str) -> None:
    """Options are documented under their names; else their type alone would stand there."""
    kind = registry.get(name)
    manual = page(kind, name)
    said = "\n".join([manual.text, *(meaning for _, _, meaning in manual.options)])
    assert not any(mark in said for mark in ("``", ":math:", ":class:", ".. math", "----", "\\"))
    types = {entry.name: str(entry.type) for entry in fields(kind)}
    assert [option for option, _, meaning in manual.options if meaning == types[option]] == []


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_step_has_lines_to_copy(name: str) -> None:
    from dask_augment.plans.plan import Plan

    example = page(registry.get(name), name).example
    entries = yaml.safe_load(example)
    assert list(entries[0]) == [name]
    if name not in ("fast_sim", "lbn"):  # name files that are not there
        Plan.from_dict({"inputs": {"files": "a.root", "dataset": "tt"}, "seed": 1, "steps": entries})


def test_purposes() -> None:
    named = {name: purpose(registry.get(name)) for name in TABLE}
    assert {named[name] for name in ("define", "lbn", "split", "fast_sim", "jet_zoom")} == {"new columns"}
    assert {named[name] for name in ("phi_rotate", "class_weights")} == {"changes for training"}
    assert {named[name] for name in ("select", "undersample", "tomek_links")} == {"rows that stay"}
    assert {named[name] for name in ("repeat", "smote", "oversample", "smote_enn")} == {"rows that are made"}
