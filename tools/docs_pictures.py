"""Draw each step before and after, for the gallery of the documentation: ``da.preview`` of random or shipped events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import awkward as ak
import uproot

import dask_augment as da
from dask_augment import Compound, Learner
from dask_augment.laws import sample_events
from dask_augment.plans import registry

BOTH = {"features": ["HT", "MET.pt"]}
LABEL = {"strata": ["label"]}
NOT_DRAWN = {
    "fast_sim": "![Response of the trained model](../../demo.png)\n\nThe right panel is from `dask-augment demo`: the "
    "response of the model and of the detector that it learned.",
}
"""Steps without a picture of their own, and what their page shows instead."""


def sample() -> ak.Array:
    """Random events in the shape of NanoAOD."""
    return sample_events(3000, seed=5)


def unweighted() -> ak.Array:
    """Those without their weights, for steps that copy rows: what copies weigh is no part of a picture."""
    return ak.without_field(sample(), "weight")


def unsplit() -> ak.Array:
    """Those without their split, for the step that makes one."""
    return ak.without_field(sample(), "split")


def one_side() -> ak.Array:
    """Those of them whose missing momentum points to one side, so that a rotation is seen."""
    events = sample()
    return events[(events.MET.phi > 0) & (events.MET.phi < 1)]


def bosons() -> ak.Array:
    """Shipped events of W bosons, with the particles of their large jets."""
    tree = uproot.open(str(files("dask_augment") / "data" / "wz.root"))["Events"]
    return tree.arrays(
        filter_name=["run", "luminosityBlock", "event", "FatJet_*", "FatJetPFCand_*", "PFCand_*"], entry_stop=800
    )


@dataclass(frozen=True)
class Picture:
    """A step, the columns that show what it does, and the events that show it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    columns: Sequence[str] | None = None
    events: Callable[[], ak.Array] = sample

    def said(self) -> str:
        """The step as Python says it."""
        options = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"da.{registry.get(self.name).__name__}({options})"

    def draw(self, path: Path) -> None:
        """Write the picture."""
        events = self.events()
        step = registry.get(self.name)(**self.options)
        if isinstance(step, Learner | Compound):
            step = da.learn(events, step, seed=1, dataset="preview", split=None)
        da.preview(events, step, self.columns, seed=1).savefig(path, dpi=80)


PICTURES = {
    picture.name: picture
    for picture in (
        Picture("active_select", {"score": "HT", "size": 400, "informative": "highest"}),
        Picture("adasyn", BOTH, ["HT", "label"]),
        Picture("balanced_ensemble", {**LABEL, "draws": 5}),
        Picture("borderline_smote", BOTH, ["HT", "label"]),
        Picture("class_weights", LABEL),
        Picture("define", {"ST": "HT + MET.pt", "dphi": "abs(MET.phi)"}),
        Picture("edited_nearest_neighbours", BOTH, ["HT", "label"]),
        Picture("jet_zoom", {}, ["FatJet.dr12", "FatJet.dr12_zoomed", "FatJet.trimmed_mass"], bosons),
        Picture("lbn", {"inputs": ["Jet[:3]", "MET"], "weights": {"random": 3, "seed": 1}, "features": ["pt"]}),
        Picture("oversample", LABEL, ["label", "HT"], unweighted),
        Picture("phi_rotate", {"columns": ["MET.phi"], "originals": True}, events=one_side),
        Picture("positive_resample", LABEL, ["weight", "HT"]),
        Picture("repeat", {"n": 2}, ["augment_kind"], unweighted),
        Picture("select", {"condition": "HT > 100"}),
        Picture("smooth", {"features": ["HT"], **LABEL, "shrinkage": 0.5, "originals": True}, ["HT"]),
        Picture("smote", {**BOTH, **LABEL}, ["HT", "label"]),
        Picture("smote_enn", BOTH, ["HT", "label"]),
        Picture("smote_tomek", BOTH, ["HT", "label"]),
        Picture("smote_undersample", {**BOTH, "sampling_strategy": "minority"}, ["HT", "label"]),
        Picture("smotenc", {**BOTH, **LABEL, "categorical": ["split"]}, ["HT", "split"]),
        Picture("split", {"train": 0.6, "validation": 0.2}, events=unsplit),
        Picture("tomek_links", BOTH, ["HT", "label"]),
        Picture("undersample", LABEL, ["label", "HT"]),
        Picture("unweight", {"max_weight": 1.5}, ["weight"]),
    )
}


def draw_all(folder: Path) -> None:
    """Draw all pictures into the folder."""
    for name, picture in PICTURES.items():
        picture.draw(folder / f"{name}.png")
