"""Train the model of jets that is shipped with the package: ``python tools/train_jets_bundle.py FOLDER``.

Generated events go to FOLDER, and those that are there already are used: 26,000 of each process take half an hour of one
core, and the training ten minutes more. They are other events than those of the shipped sample, which the tests compare
the model with. Needs torch and Pythia 8: pip install --only-binary=:all: "pythia8mc<8.318".

``--describe``, without a folder, trains nothing: the shipped weights stay, and what the manifest says of stored bits, the
threshold and the sample is measured anew, on the shipped events, which generator and detector made likewise.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from dask_augment.augmenters.fast_sim import FastSim
from dask_augment.events.columns import flatten
from dask_augment.generator.generate import generate
from dask_augment.generator.jobs import MOST_EVENTS
from dask_augment.generator.nanoaod import JET
from dask_augment.kernels.mantissa import stored_bits
from dask_augment.models import bundle
from dask_augment.models.bundle import Manifest
from dask_augment.models.sample import Sample
from dask_augment.models.transforms import Input, Output
from dask_augment.training.loop import Schedule, train_bundle
from dask_augment.validation.closure import closure

BUNDLE = Path(__file__).parents[1] / "src" / "dask_augment" / "data" / "bundles" / "jets"
PROCESSES = ("wz", "qcd")
EVENTS = 26_000
SEED = 770
SAMPLE = (
    "anti-kt jets of radius 0.4 from Pythia 8 through the parametric detector of dask_augment.generator, both with their "
    "default settings"
)
DETECTOR = "the parametric detector of dask_augment.generator, without pile-up"
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


def shipped(process: str) -> ak.Array:
    """The shipped events of a process, as far as pairs and conditions need them."""
    names = [f"{name}_{field}" for name in ("GenJet", "Jet") for field in FIELDS]
    branches = ["run", "luminosityBlock", "event", "Jet_genJetIdx", *names]
    with uproot.open(BUNDLE.parents[1] / f"{process}.root") as file:
        return file["Events"].arrays(branches)


def sample_of(model: str) -> Sample:
    """What code is to know of the sample, with what becomes of the shipped events where this model makes their jets."""
    effects = {}
    for process in PROCESSES:
        found = closure(shipped(process), FastSim(model=model), dataset=process)
        ratios = {name: getattr(found, name)[1] / getattr(found, name)[0] - 1 for name in ("objects", "scalar_sum")}
        effects[process] = {name: round(value, 3) for name, value in (ratios | {"unmatched": found.unmatched}).items()}
    return Sample(source="GenJet", detector=DETECTOR, events_per_block=MOST_EVENTS, effects=effects)


def stored(about: Manifest) -> Manifest:
    """The manifest with the bits and the threshold that the jets of the shipped events are stored with."""
    events = ak.concatenate([shipped(process) for process in PROCESSES])
    outputs = [
        replace(
            entry,
            bits=stored_bits(flatten(events[f"Jet_{entry.column}"])),
            threshold=JET if entry.column == "pt" else None,
        )
        for entry in about.outputs
    ]
    return replace(about, outputs=tuple(outputs))


def describe(folder: Path, about: Manifest, arrays: Mapping[str, NDArray[Any]]) -> Manifest:
    """Write the bundle with what is to be known of its sample; what is in the folder is replaced."""
    unfinished, finished = (folder.with_name(f"{folder.name}.{word}") for word in ("measured", "finished"))
    for path in (unfinished, finished):
        shutil.rmtree(path, ignore_errors=True)
    bundle.write(unfinished, replace(about, sample=None), arrays)
    about = bundle.write(finished, replace(about, sample=sample_of(str(unfinished))), arrays)
    shutil.rmtree(unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    finished.rename(folder)
    return about


def main() -> None:
    """Generate, train, and put the bundle in its place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="for the generated events, some 40 MB")
    parser.add_argument("--output", type=Path, default=BUNDLE, help="folder of the bundle; what is there is replaced")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--describe", action="store_true", help="train nothing; measure what the manifest says")
    options = parser.parse_args()
    if options.describe:
        name = str(options.output)
        digest = bundle.sha256_of(name)
        describe(options.output, stored(bundle.manifest(name, digest)), bundle.weights(name, digest))
        return
    if options.folder is None:
        parser.error("a folder is needed for the generated events, or --describe")
    fileset = generate(PROCESSES, options.folder, events=EVENTS, seed=SEED, workers=options.workers)
    generated, reconstructed, found = pairs([file for entry in fileset.values() for file in entry["files"]])
    eta = max(np.abs(inside(generated["eta"])))
    inputs = [
        Input(column="pt", unit="GeV", transform="log", range=(10.0, inside(generated["pt"])[1])),
        Input(column="eta", transform="abs", range=(-eta, eta)),
        Input(column="mass", unit="GeV", transform="log", offset=1.0, range=(0.0, inside(generated["mass"])[1])),
    ]
    outputs = [
        Output(column="pt", unit="GeV", transform="log_ratio", of="pt", minimum=0.0, threshold=JET),
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
            "sample": SAMPLE,
            "events": dict.fromkeys(PROCESSES, EVENTS),
            "seed": SEED,
        },
        told=lambda epoch, loss: print(f"epoch {epoch}: {loss:.4f}", flush=True),
    )
    # Only now: a training that fails leaves the bundle that is there.
    describe(options.output, about, bundle.weights(str(trained), bundle.sha256_of(str(trained))))
    shutil.rmtree(trained)
    print(f"{options.output}: {about.trained_on['objects']:,} jets")


if __name__ == "__main__":
    main()
