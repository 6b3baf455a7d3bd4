"""A tagger of W bosons from few of them: raw, under-sampled, SMOTE and ADASYN, before and after the prior correction.

Run ``python examples/resampling.py [FOLDER]``; it draws FOLDER/resampling.png. The events are those that the package
ships; one in eight of the W bosons is used, so that they are rare, and QCD jets have the weights of their spectrum. It
needs scikit-learn and matplotlib.

Training on balanced rows changes how often the signal seems to occur, and with it the output of the classifier. With
n rows of signal (1) and background (0) as they are, and n' after resampling, what it calls p' is to be read as

    logit p = logit p' - log[(n1' / n0') / (n1 / n0)]

The order of events, and with it the ROC curve, is not changed by this; resampling changes it little, too.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

import dask_augment as da

FEATURES = ("trimmed_mass", "log_pt", "distance", "subjets")
SETTING: dict[str, Any] = {
    "seed": 7,
    "dataset": "sample",
    "ids": ("run", "luminosityBlock", "event", "label"),
    "weights": "none",
}
WAYS = {
    "raw": None,
    "under-sampled": da.Undersample(strata=["label"], weights=(), train_weight="unit"),
    "SMOTE": da.Smote(strata=["label"], features=FEATURES, weights=(), train_weight="unit", carry="parent"),
    "ADASYN": da.Adasyn(features=FEATURES, weights=(), train_weight="unit", carry="parent"),
}


def jets() -> ak.Array:
    """The leading large jet of each event: features, label (1: W boson), and weights with a mean of 1 for each label."""
    samples = []
    for label, name, part in ((1, "wz", 8), (0, "qcd", 1)):
        with uproot.open(files("dask_augment") / "data" / f"{name}.root") as file:
            events = file["Events"].arrays()[::part]
        events = da.augment(
            events,
            da.Select("nFatJet >= 1"),
            da.JetZoom(jets="FatJet", output=None),
            da.Define(
                trimmed_mass="FatJet.trimmed_mass[0]",
                log_pt="log(FatJet.pt[0])",
                distance="FatJet.dr12_zoomed[0]",
                subjets="FatJet.n_subjets[0] * 1.0",
            ),
            dataset=name,
            split=None,
        )[["run", "luminosityBlock", "event", "genWeight", *FEATURES]]
        events["label"] = np.full(len(events), label, np.int32)
        events["share"] = ak.values_astype(events.genWeight / ak.mean(events.genWeight), np.float64)
        samples.append(events)
    return da.augment(ak.concatenate(samples), da.Split(train=0.6), **SETTING)


def resampled(events: ak.Array, step: Any) -> ak.Array:
    """The training rows of one way."""
    if step is not None:
        events = da.augment(events, da.learn(events, step, **SETTING), **SETTING)
    return events[events.split == 0]


def table(events: ak.Array) -> np.ndarray[Any, Any]:
    """The features as scikit-learn takes them."""
    return np.stack([events[name].to_numpy() for name in FEATURES], axis=1)


def log_odds(train: ak.Array) -> float:
    """log(n1 / n0), in weights."""
    return float(np.log(ak.sum(train.share[train.label == 1]) / ak.sum(train.share[train.label == 0])))


def main(folder: Path) -> dict[str, dict[str, float]]:
    """Train each way, draw, and return area under the ROC curve and calibration error before and after correction."""
    import matplotlib.pyplot as plt
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score, roc_curve

    events = jets()
    test = events[events.split == 2]
    truth, weight = test.label.to_numpy(), test.share.to_numpy()
    natural = log_odds(resampled(events, None))
    figure, (roc, before, after) = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    found = {}
    for way, step in WAYS.items():
        train = resampled(events, step)
        model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.08, max_leaf_nodes=8, random_state=1)
        model.fit(table(train), train.label.to_numpy(), sample_weight=train.share.to_numpy())
        logit = model.decision_function(table(test))
        corrected = logit - (log_odds(train) - natural)
        area = roc_auc_score(truth, logit, sample_weight=weight)
        wrong, accepted, _ = roc_curve(truth, logit, sample_weight=weight)
        roc.plot(accepted, 1 / np.maximum(wrong, 1e-4), label=f"{way}: area {area:.3f}, {len(train):,} rows")
        found[way] = {"area": float(area)}
        for axes, values, name in ((before, logit, "before"), (after, corrected, "after")):
            p = 1 / (1 + np.exp(-values))
            said, happened, error = calibration(p, truth, weight)
            axes.plot(said, happened, "o-", label=f"{way}: error {error:.3f}")
            found[way][name] = error
    roc.set(
        xlabel="efficiency for W bosons",
        ylabel="1 / efficiency for QCD jets",
        yscale="log",
        xlim=(0.2, 1),
        title="ROC curves",
    )
    before.set(xlabel="p' that the classifier says", ylabel="fraction of W bosons", title="before the prior correction")
    after.set(xlabel="p after the correction", ylabel="fraction of W bosons", title="after the prior correction")
    for axes in (before, after):
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for axes in (roc, before, after):
        axes.legend(fontsize="small")
    figure.savefig(folder / "resampling.png", dpi=110)
    plt.close(figure)
    return found


def calibration(p: Any, truth: Any, weight: Any, bins: int = 8) -> tuple[Any, Any, float]:
    """In bins of p: the mean of p, the fraction of signal, and the weighted mean of their distance."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    total, signal, said = (np.bincount(which, w, bins) for w in (weight, weight * truth, weight * p))
    there = total > 0
    said, happened = said[there] / total[there], signal[there] / total[there]
    return said, happened, float(np.sum(total[there] * np.abs(said - happened)) / total.sum())


if __name__ == "__main__":
    for name, values in main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path()).items():
        print(f"{name:14}", "  ".join(f"{key} {value:.3f}" for key, value in values.items()))
