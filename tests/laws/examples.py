"""Configurations that the laws are tried on: for each registered name, the constructor's arguments."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "adasyn": [{"features": ["HT", "MET.pt"], "k_neighbors": 3}],
    "borderline_smote": [{"features": ["MET.pt"], "k_neighbors": 3, "m_neighbors": 9}],
    "define": [{"ST": "HT + MET.pt", "Jet.px": "Jet.pt * cos(Jet.phi)", "many": "nJet >= 4"}],
    "edited_nearest_neighbours": [{"features": ["HT", "MET.pt"], "n_neighbors": 1}],
    "fast_sim": [
        {"model": "shipped:bundles/jets"},
        {"model": "shipped:bundles/jets", "target": "Smeared", "batch": 256},
    ],
    "jet_zoom": [
        {},
        {"reference": "jet", "coordinates": "eta", "center": "jet", "output": None},
        {
            "constituents": {"links": "FatJetPFCand", "index": "pfCandIdx", "candidates": "PFCand"},
            "reference": "column",
            "column": "mass",
            "rotate": "none",
        },
    ],
    "lbn": [
        {"inputs": ["Jet[:3]", "Electron[0]", "Muon[:1]", "MET"], "weights": {"random": 3, "seed": 1}},
        {
            "inputs": [{"objects": "Jet[1:3]", "mass": 5}, {"pt": "HT", "eta": 0, "phi": "MET.phi", "E": "HT"}],
            "weights": {"particle_weights": [[1, 0], [1, 1], [0, 1]], "restframe_weights": [[1, 1], [1, 0], [1, -0.5]]},
            "features": ["px", "pair_dr"],
            "boost": "lbn",
        },
    ],
    "oversample": [{"strata": ["label"]}, {"strata": ["label"], "multiplicity": "bootstrap"}],
    "phi_rotate": [{}, {"columns": ["MET.phi"], "originals": True}],
    "repeat": [{"n": 2}],
    "select": [{"condition": "nJet >= 2 and HT > 60"}],
    "smote": [
        {"strata": ["label"], "features": ["HT", "MET.pt"], "k_neighbors": 3},
        {
            "label": "label",
            "features": ["MET.pt"],
            "k_neighbors": 2,
            "allocation": "iid",
            "carry": "parent",
            "scale": None,
        },
    ],
    "smote_enn": [{"features": ["HT", "MET.pt"], "k_neighbors": 3, "n_neighbors": 1}],
    "smote_tomek": [{"features": ["HT", "MET.pt"], "k_neighbors": 3, "carry": "parent"}],
    "smote_undersample": [{"features": ["HT"], "k_neighbors": 3, "sampling_strategy": "minority"}],
    "smotenc": [{"strata": ["label"], "features": ["HT", "MET.pt"], "categorical": ["split"], "k_neighbors": 3}],
    "split": [{"train": 0.6, "validation": 0.2}],
    "tomek_links": [{"features": ["HT", "MET.pt"]}],
    "undersample": [
        {"strata": ["label"]},
        {"strata": ["dataset", "label", {"column": "MET.pt", "edges": [0, 30]}], "sampling_strategy": "all"},
    ],
    "unweight": [{"strata": ["label"], "quantile": 0.9}, {"max_weight": 1.5}],
    "balanced_ensemble": [
        {"strata": ["label"], "draws": 5},
        {"strata": ["label", "dataset"], "sampling_strategy": "all", "column": "bag"},
    ],
    "class_weights": [
        {"strata": ["label"]},
        {"strata": ["label", {"column": "MET.pt", "edges": [0, 30]}], "class_weight": "effective", "beta": 0.99},
    ],
    "active_select": [
        {"score": "HT", "size": 20, "strata": ["label"], "informative": "highest"},
        {"score": "label", "size": {"all": 60}, "column": "chosen"},
    ],
    "smooth": [
        {"features": ["MET.pt", "HT"], "strata": ["label"]},
        {"features": ["HT"], "shrinkage": 0.5, "originals": True},
    ],
    "positive_resample": [{"strata": ["label"]}, {"strata": ["label"], "keep": "uncertainty"}],
}
