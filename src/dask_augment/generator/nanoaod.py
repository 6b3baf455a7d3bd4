"""NanoAOD-like columns of generated and measured events, and their ROOT file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import awkward as ak
import numpy as np

from dask_augment.generator.detector import ELECTRON, MUON, Detector, assumed_mass
from dask_augment.generator.jets import Jets, anti_kt, flavour, matched
from dask_augment.generator.particles import NEUTRINOS, Floats, Integers, Particles, pt_eta_phi_mass
from dask_augment.generator.pythia import Generated
from dask_augment.kernels.mantissa import rounded

GEN_JET, JET, GEN_FAT_JET, FAT_JET = 10.0, 15.0, 100.0, 170.0
"""Lowest transverse momenta [GeV], those of NanoAOD."""
SMALL, LARGE = 0.4, 0.8
"""Radius of AK4 and AK8 jets. A generated jet is matched within half of it, as in CMS."""
_BITS = {"pt": 10, "eta": 12, "phi": 12, "mass": 10}
"""Bits of the mantissa that are kept, as NanoAOD does: files are half as large."""


def columns(generated: Generated, detector: Detector, rng: np.random.Generator) -> dict[str, ak.Array]:
    """The event's collections, but for its ids and weight: generated and measured jets, leptons, momentum balance.

    Isolated electrons and muons are in no jet, generated or measured. Candidates are stored where a fat jet holds
    them, in the layout of NanoAOD v15: ``FatJetPFCand`` links ``FatJet`` to ``PFCand``.
    """
    visible = detector.visible(generated.final)
    candidates, leptons = detector.measure(visible, rng)
    hadrons, rest = visible.where(~detector.isolated(visible)), candidates.where(~leptons)
    gen_jets, jets = anti_kt(hadrons, SMALL, GEN_JET), anti_kt(rest, SMALL, JET)
    gen_fat, fat = anti_kt(hadrons, LARGE, GEN_FAT_JET), anti_kt(rest, LARGE, FAT_JET)
    neutrinos = generated.final.where(np.isin(np.abs(generated.final.pdg), NEUTRINOS))
    hard = generated.hard
    partons = hard.where((np.abs(hard.pdg) <= 5) | (hard.pdg == 21))
    return {
        "GenPart": _collection(hard.offsets, hard.p4, pdgId=hard.pdg, genPartIdxMother=generated.mother),
        "GenJet": _collection(gen_jets.offsets, gen_jets.p4, partonFlavour=flavour(gen_jets, partons, SMALL)),
        "Jet": _collection(jets.offsets, jets.p4, genJetIdx=matched(jets, gen_jets, SMALL / 2)),
        "GenJetAK8": _collection(gen_fat.offsets, gen_fat.p4, partonFlavour=flavour(gen_fat, partons, LARGE)),
        "FatJet": _collection(fat.offsets, fat.p4, genJetAK8Idx=matched(fat, gen_fat, LARGE / 2)),
        **_constituents(rest, fat),
        "Electron": _leptons(candidates.where(leptons), ELECTRON),
        "Muon": _leptons(candidates.where(leptons), MUON),
        "MET": _transverse(candidates, -1.0),
        "GenMET": _transverse(neutrinos, 1.0),
    }


def _constituents(particles: Particles, fat: Jets) -> dict[str, ak.Array]:
    """The candidates in fat jets, jet by jet, in each by descending pT, and the links to them."""
    inside = fat.jet_of >= 0
    jet, chosen = fat.jet_of[inside], particles.where(inside)
    order = np.lexsort((-np.hypot(chosen.p4[:, 0], chosen.p4[:, 1]), jet, chosen.event))
    counts = np.diff(chosen.offsets)
    number = np.arange(len(jet)) - np.repeat(chosen.offsets[:-1], counts)
    links = {"pfCandIdx": number.astype(np.int32), "jetIdx": jet[order].astype(np.int32)}
    return {
        "PFCand": _candidates(chosen, order, pdgId=chosen.pdg),
        "FatJetPFCand": ak.zip({name: ak.unflatten(values, counts) for name, values in links.items()}),
    }


def _leptons(leptons: Particles, kind: int) -> ak.Array:
    mine = leptons.where(np.abs(leptons.pdg) == kind)
    order = np.lexsort((-np.hypot(mine.p4[:, 0], mine.p4[:, 1]), mine.event))
    return _candidates(mine, order, charge=mine.charge.astype(np.int64))


def _candidates(candidates: Particles, order: Integers, **further: Integers) -> ak.Array:
    """Candidates in another order, with the mass that was assumed, free of rounding."""
    further = {name: values[order] for name, values in further.items()}
    mass = assumed_mass(candidates.pdg[order])
    return _collection(candidates.offsets, candidates.p4[order], mass, **further)


_WIDTH = {"genJetIdx": np.int16, "genJetAK8Idx": np.int16, "partonFlavour": np.int16, "genPartIdxMother": np.int16}


def _collection(offsets: Integers, p4: Floats, mass: Floats | None = None, **further: Integers) -> ak.Array:
    counts = np.diff(offsets)
    pt, eta, phi, own_mass = pt_eta_phi_mass(p4)
    values = {"pt": pt, "eta": eta, "phi": phi, "mass": own_mass if mass is None else mass}
    fields: dict[str, Any] = {
        name: rounded(numbers.astype(np.float32), _BITS[name]) for name, numbers in values.items()
    }
    fields |= {name: numbers.astype(_WIDTH.get(name, np.int32)) for name, numbers in further.items()}
    return ak.zip({name: ak.unflatten(numbers, counts) for name, numbers in fields.items()})


def _transverse(particles: Particles, sign: float) -> ak.Array:
    """The sum of transverse momenta, or what balances it."""
    x, y = (sign * np.bincount(particles.event, particles.p4[:, i], particles.events) for i in range(2))
    return ak.zip(
        {
            "pt": rounded(np.hypot(x, y).astype(np.float32), _BITS["pt"]),
            "phi": rounded(np.arctan2(y, x).astype(np.float32), _BITS["phi"]),
        },
        depth_limit=1,
    )


def write(path: Path, events: Mapping[str, Any], *, uuid: UUID, compression: Any = None) -> None:
    """Write ``Events`` and ``Runs``, with the sum of generator weights, to a ROOT file that has this UUID.

    The file is there whole or not at all. The same events give the same file, but for the times in it.
    """
    import uproot

    weights = np.asarray(events["genWeight"])
    sumw, count = float(weights.sum(dtype=np.float64)), len(weights)
    flat: dict[str, Any] = {}
    for name, values in events.items():
        if isinstance(values, ak.Array) and values.ndim == 1:
            flat |= {f"{name}_{field}": values[field].to_numpy() for field in values.fields}
        else:
            flat[name] = values
    how = uproot.ZSTD(5) if compression is None else compression
    types = {name: v.dtype if isinstance(v, np.ndarray) else ak.Array(v).type for name, v in flat.items()}
    # A name of its own: a task that Dask does twice, on two machines, may be writing the same file now.
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with uproot.recreate(unfinished, compression=how, uuid_function=lambda: uuid) as file:
            file.mktree("Events", types)
            file["Events"].extend(flat)
            file.mktree("Runs", {"run": np.uint32, "genEventSumw": np.float64, "genEventCount": np.int64})
            file["Runs"].extend({"run": [1], "genEventSumw": [sumw], "genEventCount": [count]})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def joined(batches: list[dict[str, ak.Array]]) -> dict[str, ak.Array]:
    """The columns of all batches, one after the other."""
    return {name: ak.concatenate([batch[name] for batch in batches]) for name in batches[0]}
