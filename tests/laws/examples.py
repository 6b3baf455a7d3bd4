"""Configurations that the laws are tried on: for each registered name, the constructor's arguments."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "define": [{"ST": "HT + MET.pt", "Jet.px": "Jet.pt * cos(Jet.phi)", "many": "nJet >= 4"}],
    "oversample": [{"strata": ["label"]}],
    "phi_rotate": [{}, {"columns": ["MET.phi"], "originals": True}],
    "repeat": [{"n": 2}],
    "select": [{"condition": "nJet >= 2 and HT > 60"}],
    "split": [{"train": 0.6, "validation": 0.2}],
    "undersample": [
        {"strata": ["label"]},
        {"strata": ["dataset", "label", {"column": "MET.pt", "edges": [0, 30]}], "sampling_strategy": "all"},
    ],
}
