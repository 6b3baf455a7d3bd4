"""Train the model of jets that is shipped with the package: ``python tools/train_jets_bundle.py FOLDER``.

Generated events go to FOLDER, and those that are there already are used: 26,000 of each process take half an hour of one
core, and the training ten minutes more. They are other events than those of the shipped sample, which the tests compare
the model with. Needs torch and Pythia 8: pip install --only-binary=:all: "pythia8mc<8.318".
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from dask_augment.columns import flatten
from dask_augment.generator.generate import generate
from dask_augment.models.transforms import Input, Output
from dask_augment.training.loop import Schedule, train_bundle

BUNDLE = Path(__file__).parents[1] / "src" / "dask_augment" / "data" / "bundles" / "jets"
PROCESSES = ("wz", "qcd")
EVENTS = 26_000
SEED = 770
FIELDS = ("pt", "eta", "phi", "mass")
SIZES = {"components": 8, "hidden": 96, "layers": 3}
SCHEDULE = Schedule(epochs=140, batch=1024)
OUTSIDE = 0.0005
"""Fraction of the generated jets beyond each end of a range, where there are too few to learn from."""

Arrays = dict[str, NDArray[Any]]


def pairs(files: list[str]) -> tuple[Arrays, Arrays, NDArray[np.bool_]]:
    """Generated jets, the jets that are matched to them, and which of them have one; flat, one entry for each."""
    branches = [f"{name}_{field}" for name in ("GenJet", "Jet") for field in FIELDS] + ["Jet_genJetIdx"]
    events = uproot.concatenate([f"{file}:Events" for file in files], branches)
    counts = ak.num(events.GenJet_pt)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    index = events.Jet_genJetIdx
    matched = index >= 0
    generated = flatten((index + first)[matched]).astype(np.int64)
    found = np.zeros(int(ak.sum(counts)), np.bool_)
    found[generated] = True
    reconstructed = {field: np.zeros(len(found)) for field in FIELDS}
    for field, values in reconstructed.items():
        values[generated] = flatten(events[f"Jet_{field}"][matched])
    return {field: flatten(events[f"GenJet_{field}"]) for field in FIELDS}, reconstructed, found


def inside(values: NDArray[Any]) -> tuple[float, float]:
    """The range of nearly all values, to three digits."""
    low, high = (float(f"{edge:.3g}") for edge in np.quantile(values, [OUTSIDE, 1 - OUTSIDE]))
    return low, high


def main() -> None:
    """Generate, train, and put the bundle in its place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for the generated events, some 40 MB")
    parser.add_argument("--output", type=Path, default=BUNDLE, help="folder of the bundle; what is there is replaced")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    fileset = generate(PROCESSES, options.folder, events=EVENTS, seed=SEED, workers=options.workers)
    generated, reconstructed, found = pairs([file for entry in fileset.values() for file in entry["files"]])
    eta = max(np.abs(inside(generated["eta"])))
    inputs = [
        Input(column="pt", unit="GeV", transform="log", range=(10.0, inside(generated["pt"])[1])),
        Input(column="eta", transform="abs", range=(-eta, eta)),
        Input(column="mass", unit="GeV", transform="log", offset=1.0, range=(0.0, inside(generated["mass"])[1])),
    ]
    outputs = [
        Output(column="pt", unit="GeV", transform="log_ratio", of="pt", minimum=0.0),
        Output(column="eta", transform="difference", of="eta"),
        Output(column="phi", unit="rad", transform="wrapped_difference", of="phi"),
        Output(column="mass", unit="GeV", transform="log_ratio", of="mass", offset=1.0, minimum=0.0),
    ]
    trained = options.output.with_name(f"{options.output.name}.new")
    about = train_bundle(
        trained,
        inputs=inputs,
        outputs=outputs,
        generated=generated,
        reconstructed=reconstructed,
        found=found,
        sizes=SIZES,
        schedule=SCHEDULE,
        licence="BSD-3-Clause",
        trained_on={
            "sample": "anti-kt jets of radius 0.4 from Pythia 8 through the parametric detector of "
            "dask_augment.generator, both with their default settings",
            "events": dict.fromkeys(PROCESSES, EVENTS),
            "seed": SEED,
        },
        told=lambda epoch, loss: print(f"epoch {epoch}: {loss:.4f}", flush=True),
    )
    # Only now: a training that fails leaves the bundle that is there.
    shutil.rmtree(options.output, ignore_errors=True)
    trained.rename(options.output)
    print(f"{options.output}: {about.trained_on['objects']:,} jets")


if __name__ == "__main__":
    main()
